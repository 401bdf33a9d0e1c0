import json

import pytest

from dvdgan.runs.events import Event


@pytest.mark.parametrize("about", ["D_S", None])
def test_an_event_is_read_as_it_was_written(about):
    event = Event(3, "frozen clips", about, "raised", "they stand still", "train on")
    line = json.loads(json.dumps(event.line()))
    assert Event.from_line(line.pop("step"), line) == event


def test_a_line_that_lacks_fields_is_an_event_even_so():
    assert Event.from_line(1, {"event": 7, "advice": None}) == Event(1, "7", None, "", "")
