import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan.data.errors import DataError
from dvdgan.data.layouts.splits import assign_splits, group_keys, leaks
from support.errors import refused

CLIPS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 3)), min_size=1, max_size=60)
FRACTIONS = st.floats(0.01, 0.9)


def clips_of(labels_and_groups):
    return [f"{group}{label}" for group, label in labels_and_groups], [label for _, label in labels_and_groups]


def drawn(groups, labels, fraction=0.3, seed=0):
    return assign_splits(groups, labels, [""] * len(groups), fraction, seed)


@given(CLIPS, FRACTIONS, st.integers(0, 5))
def test_a_group_is_never_on_both_sides(clips, fraction, seed):
    groups, labels = [group for group, _ in clips], [label for _, label in clips]  # groups of several classes
    splits = drawn(groups, labels, fraction, seed)
    assert set(splits) <= {"train", "test"}
    assert leaks(groups, splits) == []
    for label in set(labels):
        assert "train" in [split for split, own in zip(splits, labels) if own == label]


@given(CLIPS, FRACTIONS, st.integers(0, 5))
def test_each_class_with_two_groups_has_one_on_each_side(clips, fraction, seed):
    groups, labels = clips_of(clips)
    splits = drawn(groups, labels, fraction, seed)
    for label in set(labels):
        own = {(group, split) for group, split, other in zip(groups, splits, labels) if other == label}
        expected = {"train"} if len(own) == 1 else {"train", "test"}
        assert {split for _, split in own} == expected


@given(st.integers(2, 200), FRACTIONS, st.integers(0, 5))
def test_the_share_is_kept_to_half_a_group(count, fraction, seed):
    splits = drawn([str(n // 2) for n in range(2 * count)], [0] * 2 * count, fraction, seed)
    wanted = min(max(fraction * 2 * count, 2), 2 * (count - 1))
    assert abs(splits.count("test") - wanted) <= 1 + 1e-9


@given(st.data(), CLIPS, FRACTIONS)
def test_the_order_of_clips_makes_no_difference(data, clips, fraction):
    groups, labels = [group for group, _ in clips], [label for _, label in clips]
    order = data.draw(st.permutations(range(len(clips))))
    splits = drawn(groups, labels, fraction)
    assert drawn([groups[n] for n in order], [labels[n] for n in order], fraction) == [splits[n] for n in order]


@given(st.integers(2, 80), FRACTIONS)
@settings(max_examples=50)
def test_one_more_clip_moves_one_other_at_most(count, fraction):
    before = drawn([str(n) for n in range(count)], [0] * count, fraction)
    after = drawn([str(n) for n in range(count + 1)], [0] * (count + 1), fraction)
    assert sum(old != new for old, new in zip(before, after)) <= 1


def test_another_seed_draws_other_groups():
    groups, labels = [str(n) for n in range(100)], [0] * 100
    first, again, other = (drawn(groups, labels, 0.5, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.count("test") == other.count("test") == 50


def test_given_splits_stay_and_take_their_group_along():
    groups = ["a", "a", "b", "c", "c", "c"]
    given_splits = ["test", "", "", "train", "test", ""]
    splits = assign_splits(groups, [0] * 6, given_splits, 0.9, 0)
    assert splits == ["test", "test", "train", "train", "test", "train"]
    assert leaks(groups, splits) == ["c"]


def test_nothing_is_drawn_without_a_fraction():
    assert drawn(list("abcd"), [0, 0, 1, 1], 0) == ["train"] * 4


def test_a_group_that_is_the_last_of_any_class_trains():
    assert drawn(["ab", "a"], [0, 0], 1) != ["test", "test"]
    for seed in range(8):
        groups, labels = ["both", "both", "own"], [0, 1, 0]
        assert drawn(groups, labels, 0.9, seed) == ["train", "train", "test"]  # class 1 has nothing else


def test_impossible_arguments_are_refused():
    for arguments, message in [((["a"], [0, 1], [""], 0.5, 0), "zip"), ((["a"], [0], ["valid"], 0.5, 0), "'valid'")]:
        with pytest.raises(ValueError, match=message):
            assign_splits(*arguments)


def test_a_pattern_cuts_groups_out_of_sources():
    sources = ["run/v_g01_c1.avi", "run/v_g01_c2.avi", "run/v_g02_c1.avi", "loose.avi"]
    assert group_keys(sources, r"_(g\d+)_") == ["g01", "g01", "g02", "loose.avi"]
    assert group_keys(sources, r"^\w+/v_g\d+") == ["run/v_g01", "run/v_g01", "run/v_g02", "loose.avi"]
    assert group_keys(sources, r"g02()") == sources  # an empty group names nothing
    assert group_keys([], "x") == []


def test_a_wrong_pattern_names_its_field():
    for pattern in ("(", "nothing", "(a)(b)"):
        with refused(DataError, f"^data.group: {re.escape(repr(pattern))}"):
            group_keys(["a.mp4"], pattern)
