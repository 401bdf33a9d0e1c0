import json

import pytest

from dvdgan.config.training import HealthConfig
from dvdgan.runs.events import in_lines
from dvdgan.training.checks import SampleCheck
from dvdgan.training.health import ADVICE, Monitor
from dvdgan.training.metrics import AveragedMetrics, DiscriminatorMetrics, StepSeconds

HEALTHY = {
    "first_frame": 1.1,
    "first_frame_real": 1.0,
    "auc_spatial": 0.8,
    "loss_spatial": 1.4,
    "auc_temporal": 0.7,
    "loss_temporal": 1.6,
}
FINE = {
    "distance": 3.0,
    "diversity": 0.9,
    "diversity_by_class": {"pan": 0.8, "zoom": 0.7},
    "accuracy": 0.9,
    "accuracy_by_class": {"pan": 0.9, "zoom": 0.6},
}
USABLE = {"pan", "zoom"}


def averages(values):
    """What a line of the log says that has these values."""
    return AveragedMetrics(
        discriminators={
            name: DiscriminatorMetrics(values[f"loss_{name}"], 1.0, -1.0, values[f"auc_{name}"], 1.0)
            for name in ("spatial", "temporal")
        },
        generator=None,
        motion_ratio=None,
        motion_ratio_by_class={},
        first_frame=values["first_frame"],
        first_frame_real=values["first_frame_real"],
        seconds=StepSeconds(0.0, 0.0, 0.0),
    )


def check(change):
    return SampleCheck(**(FINE | change))


MOVING = {"pan": 0.8, "zoom": 1.3}  # motion of generated clips in units of the real ones'


def ten_steps(monitor, ratios, clips=3, real=0.02):
    """Ten steps with some clips of each class."""
    for _ in range(10):
        monitor.moved(
            dict.fromkeys(ratios, (real * clips, clips)),
            {name: (real * clips * ratio, clips) for name, ratio in ratios.items()},
        )


def events_of_lines(line, count=30, first=1000, ratios=MOVING, clips=3, real=0.02, **config):
    monitor, events = Monitor(HealthConfig(**config)), []
    for n in range(count):
        ten_steps(monitor, ratios, clips, real)
        events += monitor.logged(first + 10 * n, averages(line), 10)
    return events


def events_of_checks(change, count=4, usable=USABLE):
    monitor = Monitor(HealthConfig())
    return [event for n in range(count) for event in monitor.checked(1000 + 250 * n, check(change), usable)]


def test_healthy_values_raise_nothing():
    assert events_of_lines(HEALTHY) == []
    assert events_of_checks({}) == []
    monitor = Monitor(HealthConfig())
    assert [e for step in range(500) for e in monitor.gradients(step, {"generator": 3.0 + step % 7})] == []


@pytest.mark.parametrize(
    ("change", "event", "about"),
    [
        ({"first_frame": 2.5}, "frame 0 apart", None),
        ({"first_frame": 5.0, "first_frame_real": 2.0}, "frame 0 apart", None),
        ({"auc_spatial": 1.0, "loss_spatial": 0.01}, "discriminator saturated", "D_S"),
        ({"auc_temporal": 0.5, "loss_temporal": 2.0}, "discriminator blind", "D_T"),
        ({"auc_temporal": 0.2, "loss_temporal": 2.0}, "discriminator blind", "D_T"),
    ],
)
def test_each_condition_of_the_log_is_raised_once(change, event, about):
    events = events_of_lines(HEALTHY | change)
    assert [(e.event, e.about, e.state) for e in events] == [(event, about, "raised")]
    assert events[0].advice == ADVICE[event]
    assert event in str(events[0])
    assert ADVICE[event] in str(events[0])
    line = json.loads(json.dumps(events[0].line()))
    assert line["step"] == 1000
    assert line["event"] == event


@pytest.mark.parametrize(
    "change",
    [
        {"first_frame": 3.0, "first_frame_real": 2.0},
        {"auc_spatial": 1.0, "loss_spatial": 1.0},  # ranks all rightly, but by less than the hinge's margin
        {"auc_spatial": 0.9, "loss_spatial": 0.05},
        {"auc_spatial": 0.53},
        {"first_frame": 3.0, "first_frame_real": 0.0},  # real clips stand still
    ],
)
def test_near_misses_raise_nothing(change):
    assert events_of_lines(HEALTHY | change) == []


@pytest.mark.parametrize(
    ("change", "event", "about"),
    [
        ({"diversity_by_class": {"pan": 0.1, "zoom": 0.7}}, "little variety within a class", "pan"),
        ({"diversity": 0.1}, "little variety", None),
        ({"accuracy_by_class": {"pan": 0.0, "zoom": 0.6}}, "class never right", "pan"),
    ],
)
def test_each_condition_of_a_check_is_raised_once(change, event, about):
    events = events_of_checks(change)
    assert [(e.event, e.about, e.state) for e in events] == [(event, about, "raised")]


def test_a_class_is_never_right_only_over_several_checks_and_where_real_clips_are():
    wrong = {"accuracy_by_class": {"pan": 0.0, "zoom": 0.6}}
    assert events_of_checks(wrong, count=2) == []
    assert events_of_checks(wrong, count=3) != []
    assert events_of_checks(wrong, usable={"zoom"}) == []
    monitor = Monitor(HealthConfig())
    shares = [0.0, 0.5, 0.0, 0.0, 0.0]
    counts = [
        len(monitor.checked(1000 + n, check({"accuracy_by_class": {"pan": share}}), USABLE))
        for n, share in enumerate(shares)
    ]
    assert counts == [0, 0, 0, 0, 1]


def test_checks_without_classes_and_numbers():
    """An unconditional run, and one with too few clips to measure."""
    empty = {"diversity": None, "distance": None, "accuracy": None, "diversity_by_class": {}, "accuracy_by_class": {}}
    assert events_of_checks(empty, usable=set()) == []


@pytest.mark.parametrize(("ratios", "about"), [({"pan": 0.3, "zoom": 1.0}, "pan"), ({"": 0.3}, None)])
def test_frozen_clips_are_raised_once(ratios, about):
    events = events_of_lines(HEALTHY, ratios=ratios)
    assert [(e.event, e.about, e.state, e.step) for e in events] == [("frozen clips", about, "raised", 1000)]
    assert "0.30 times as much as real ones" in events[0].message


def test_what_is_no_frozen_clip():
    assert events_of_lines(HEALTHY, ratios={"pan": 0.55, "zoom": 1.0}) == []
    assert events_of_lines(HEALTHY, ratios={"pan": 0.1}, real=1e-4) == []  # real clips stand still, too
    assert events_of_lines(HEALTHY, ratios={"pan": 0.1}, clips=0.05) == []  # too few to say


def test_a_lively_real_clip_weighs_as_much_as_it_moves():
    """Sums are compared, not ratios: a clip against a nearly still real one does not hide frozen ones."""
    monitor = Monitor(HealthConfig())
    for _ in range(100):
        monitor.moved({"pan": (0.0402, 3)}, {"pan": (0.009, 3)})
    monitor.moved({"pan": (1e-5, 1)}, {"pan": (0.02, 1)})
    assert [e.event for e in monitor.logged(1000, averages(HEALTHY), 10)] == ["frozen clips"]


def test_nothing_is_raised_while_the_generator_is_young():
    still = {"pan": 0.1, "zoom": 0.1}
    assert events_of_lines(HEALTHY, count=99, first=0, ratios=still) == []
    events = events_of_lines(HEALTHY, count=101, first=0, ratios=still)
    assert {(e.about, e.step) for e in events} == {("pan", 1000), ("zoom", 1000)}


def test_one_bad_line_among_good_ones_is_averaged_away():
    monitor = Monitor(HealthConfig())
    bad = HEALTHY | {"first_frame": 6.0}
    events = [e for n in range(40) for e in monitor.logged(1000 + 10 * n, averages(bad if n == 20 else HEALTHY), 10)]
    assert events == []


def test_a_condition_clears_only_well_past_its_threshold():
    monitor, seen = Monitor(HealthConfig(window=1)), []
    for n, ratio in enumerate([0.4, 0.52, 0.4, 0.55, 0.7, 0.55, 0.4]):
        ten_steps(monitor, {"pan": ratio}, clips=9)
        seen += [(n, e.state) for e in monitor.logged(1000 + 10 * n, averages(HEALTHY), 10)]
    assert seen == [(0, "raised"), (4, "cleared"), (6, "raised")]
    assert monitor.state()["raised"] == [["frozen clips", "pan"]]


def test_one_line_for_each_kind_of_event():
    events = events_of_lines(HEALTHY | {"first_frame": 5.0}, ratios={"pan": 0.1, "zoom": 0.2, "pen": 0.3})
    assert len(events) == 4
    lines = in_lines(events)
    assert len(lines) == 2
    assert lines[0].startswith("warning: step 1000: frozen clips (pan): ")
    assert lines[0].endswith("(also zoom, pen)")
    assert lines[1] == str(events[3])


def test_gradient_explosions_are_measured_against_the_usual_norm():
    monitor = Monitor(HealthConfig())
    norms = [1.0] * 100 + [20.0] + [1.0] * 10 + [500.0] + [1.0] * 10
    events = [(n, e.about, e.state) for n, g in enumerate(norms) for e in monitor.gradients(n, {"spatial": g})]
    assert events == [(111, "D_S", "raised"), (112, "D_S", "cleared")]
    assert Monitor(HealthConfig()).gradients(0, {"spatial": 1e9}) == []  # no usual norm yet


def test_a_restored_monitor_goes_on_as_the_first_would_have():
    def feed(monitor, n):
        ten_steps(monitor, {"pan": 1.0 - n / 40})
        events = monitor.logged(1000 + 10 * n, averages(HEALTHY | {"first_frame": 1 + n / 20}), 10)
        return events + monitor.gradients(n, {"generator": 1.0 + n}) + monitor.checked(n, check({}), USABLE)

    whole = Monitor(HealthConfig())
    events = [event for n in range(40) for event in feed(whole, n)]
    parts, again = Monitor(HealthConfig()), []
    for n in range(40):
        parts = Monitor(HealthConfig(), json.loads(json.dumps(parts.state())))
        again += feed(parts, n)
    assert again == events
    assert {event.event for event in events} == {"frozen clips", "frame 0 apart"}
    assert parts.state() == whole.state()
