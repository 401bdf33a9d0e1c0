"""What every refusal of bad input keeps to."""

from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind, match=None):
    """The block raises an error of this kind, in one line that names what `match`, a regular expression, finds."""
    with pytest.raises(kind, match=match) as caught:
        yield caught
    assert "\n" not in str(caught.value)
