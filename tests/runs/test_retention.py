from pathlib import Path

from dvdgan.runs.retention import Retention, SavedCheckpoint

GIB = 2**30


def stays(checkpoints, **fields):
    gone = Retention(**fields).expendable(checkpoints)
    return [c.step for c in sorted(checkpoints, key=lambda c: c.step) if c.path not in gone]


def run_of(steps, scores=None, size=100):
    scores = scores or {}
    return [SavedCheckpoint(Path(f"{step}"), step, size, scores.get(step)) for step in steps]


def test_the_newest_stay():
    assert stays(run_of(range(1, 6)), newest=2) == [4, 5]
    assert stays(run_of(range(1, 6))[::-1], newest=1) == [5]
    assert stays([], newest=2) == []


def test_every_nth_stays():
    assert stays(run_of(range(1, 12)), newest=2, every=5) == [5, 10, 11]


def test_the_best_stay_and_the_later_of_equals():
    scores = {1: 9.0, 2: 1.0, 3: 4.0, 4: 1.0, 5: 8.0, 6: 7.0}
    assert stays(run_of(range(1, 8), scores), newest=1, best=1) == [4, 7]
    assert stays(run_of(range(1, 8), scores), newest=1, best=3) == [2, 3, 4, 7]
    assert stays(run_of(range(1, 8), scores), newest=1, best=0) == [7]


def test_room_is_kept_to_and_what_goes_first():
    checkpoints = run_of(range(1, 8), {2: 1.0}, size=GIB)
    fields = {"newest": 2, "every": 3, "best": 1}
    assert stays(checkpoints, gib=5, **fields) == [2, 3, 6, 7]
    assert stays(checkpoints, gib=3, **fields) == [2, 6, 7]
    assert stays(checkpoints, gib=2, **fields) == [2, 7]
    assert stays(checkpoints, gib=1, **fields) == [7]
    assert stays(checkpoints, gib=0.5, **fields) == [7]
