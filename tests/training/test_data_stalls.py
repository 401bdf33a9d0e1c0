from dvdgan.training.data_stalls import DataStallNotice


def notices(stalls, waited, total, steps):
    return [text for text in (stalls.step(waited, total) for _ in range(steps)) if text]


def test_decoding_that_keeps_up_is_silent():
    assert notices(DataStallNotice(workers=2), 0.05, 1.0, 3000) == []


def test_decoding_that_does_not_keep_up_is_said_once_in_a_while():
    said = notices(DataStallNotice(workers=2), 0.3, 1.0, 1500)
    assert len(said) == 2
    assert "30 % of a step is waiting for clips" in said[0]
    assert "2 processes" in said[0]
    assert "dvdgan data pack" in said[0]


def test_a_slow_disk_is_told_from_slow_decoding():
    (said,) = notices(DataStallNotice(workers=0), 0.3, 1.0, 100)
    assert "disk" in said
    assert "decoding" not in said


def test_one_slow_step_and_steps_of_a_moment_are_nothing():
    stalls = DataStallNotice(workers=2)
    assert notices(stalls, 0.0, 1.0, 30) + notices(stalls, 1.0, 2.0, 1) == []
    assert notices(DataStallNotice(workers=2), 0.005, 0.01, 500) == []
