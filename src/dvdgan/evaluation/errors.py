"""What an evaluation refuses, in one line that the user can act on."""

from __future__ import annotations


class EvaluationError(ValueError):
    """An evaluation cannot be done as asked; the message names the file, field or flag and the mend."""
