from fractions import Fraction
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dvdgan.data.decode.timing import LONGEST_GAP_OF_STREAMS, Length, TimedFrame, measure, on_grid, window_numbers

gaps = st.lists(st.one_of(st.integers(1, 300), st.sampled_from([8_000, 12_000, 60_000])), max_size=30)
rates = st.sampled_from([Fraction(1, 2), Fraction(5), Fraction(12), Fraction(30000, 1001), Fraction(60)])


@given(gaps, rates, rates, st.integers(0, 400), st.integers(1, 400), st.integers(0, 2000))
def test_a_length_says_which_frames_the_grid_gives(steps, rate, nominal, first, count, hold):
    """What is counted beforehand comes out, whatever the times, the rate and the window, jumps included."""
    times = [Fraction(time, 1000) for time in accumulate(steps, initial=0)]
    last = Fraction(hold, 1000)
    length = measure(times, last, nominal, LONGEST_GAP_OF_STREAMS)

    def grid(first, end):
        frames = [TimedFrame(time, last, lambda k=k: np.array(k)) for k, time in enumerate(times)]
        return [int(frame) for frame in on_grid(frames, rate, nominal, first, end, LONGEST_GAP_OF_STREAMS)]

    whole = grid(0, None)
    assert length.frames(rate) == len(whole)
    numbers = [number for run in length.numbers(rate) for number in run]
    shown = dict(zip(numbers, whole))
    inside = [number for run in length.numbers(rate, first, first + count) for number in run]
    assert inside == [number for number in numbers if first <= number < first + count]
    assert grid(first, first + count) == [shown[number] for number in inside]


@given(st.integers(0, 60_000), st.sampled_from([(1000, Fraction(25)), (3840, Fraction(25, 2)), (100, Fraction(30))]))
def test_equal_times_of_whole_frames_have_equally_many(start, kind):
    """Wherever they begin, also halfway between two frames; and at the end of the clip."""
    span, rate = kind
    end = (start + span) / 1000
    first, last = window_numbers(start / 1000, end, 0.0, rate)
    assert last - first == Fraction(span, 1000) * rate
    whole = Length(Fraction(25), Fraction(start + span, 1000))
    assert whole.numbers(rate, first, last) == [range(first, last)]
    frame = TimedFrame(Fraction(0), whole.seconds, lambda: np.array(0))
    assert len(list(on_grid([frame], rate, Fraction(25), first, last))) == last - first
