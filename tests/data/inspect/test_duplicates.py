import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dvdgan.data import phenomena
from dvdgan.data.inspect import duplicates
from dvdgan.data.inspect.duplicates import NEAR_COPY, fingerprint, near_duplicates
from dvdgan.data.write.encode import write_clip
from support.clips import read_clip

CLASSES = phenomena.CLASSES
SEEDS = 3


@pytest.fixture(scope="module")
def clips():
    """Rendered clips, uint8 [9 * SEEDS, T, H, W, 3], class by class."""
    return np.stack(
        [phenomena.render(name, index, seed=5, size=48, frames=16).clip for name in CLASSES for index in range(SEEDS)]
    )


@pytest.fixture(scope="module")
def marks(clips):
    return np.stack([fingerprint(clip) for clip in clips])


def resized(clip, width, height):
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height))) for frame in clip])


def recoloured(clip, gain=1.0, bias=0.0, gamma=1.0, tint=(1, 1, 1)):
    values = ((clip / 255) ** gamma * gain + bias) * np.array(tint)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def encoded(clip, path, crf=34):
    return read_clip(write_clip(path, clip, 12, crf=crf))[0]


COPIES = {
    "low quality": lambda clip, tmp: encoded(clip, tmp / "a.mp4"),
    "a small GIF": lambda clip, tmp: read_clip(write_clip(tmp / "a.gif", resized(clip[::2], 24, 24), 6))[0],
    "smaller": lambda clip, tmp: resized(clip, 32, 32),
    "another aspect ratio": lambda clip, tmp: resized(clip, 64, 40),
    "cropped": lambda clip, tmp: clip[:, 1:-1, 2:-1],
    "brighter": lambda clip, tmp: recoloured(clip, bias=0.1),
    "darker": lambda clip, tmp: recoloured(clip, gain=0.6),
    "another contrast": lambda clip, tmp: recoloured(clip, gamma=1.4),
    "tinted": lambda clip, tmp: recoloured(clip, tint=(1.1, 0.9, 0.75)),
    "trimmed at the start": lambda clip, tmp: clip[1:],
    "trimmed at the end": lambda clip, tmp: clip[:-1],
    "half the frame rate": lambda clip, tmp: clip[::2],
    "all a little": lambda clip, tmp: encoded(recoloured(resized(clip, 40, 40), gain=0.9)[:-1], tmp / "a.mp4", 30),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_a_near_copy(clips, marks, tmp_path, change):
    for clip, mark, name in zip(clips[::SEEDS], marks[::SEEDS], CLASSES):
        assert fingerprint(COPIES[change](clip, tmp_path)) @ mark > NEAR_COPY, name


def test_clips_that_are_merely_alike_are_no_near_copies(marks):
    alike = marks @ marks.T - np.eye(len(marks))
    assert alike.max() < NEAR_COPY
    assert near_duplicates(marks) == []


def test_other_movement_before_one_background_is_no_near_copy(clips):
    background, things = clips[CLASSES.index("pan-left") * SEEDS, 0], clips[CLASSES.index("bounce") * SEEDS, 0]

    def moving(*path):
        clip = np.repeat(background[None], 16, axis=0)
        for frame, y, x in zip(clip, *(np.linspace(a, b, 16).astype(int) for a, b in path)):
            frame[y : y + 12, x : x + 12] = things[20:32, 20:32]
        return clip

    paths = [((0, 36), (0, 36)), ((36, 0), (0, 36)), ((0, 0), (0, 36)), ((0, 36), (0, 0)), ((36, 0), (36, 0))]
    assert near_duplicates(np.stack([fingerprint(moving(*path)) for path in paths])) == []


def test_a_still_is_a_copy_of_itself_and_not_of_the_clip(clips, marks, tmp_path):
    pan = CLASSES.index("pan-left") * SEEDS
    still = np.repeat(clips[pan][:1], 16, axis=0)
    stills = np.stack([fingerprint(still), fingerprint(encoded(still, tmp_path / "a.mp4")), fingerprint(still[:1])])
    assert near_duplicates(np.vstack([stills, marks[pan : pan + 1]])) == [[0, 1, 2]]


def test_clips_without_detail_are_copies_only_if_their_bytes_are_equal(tmp_path):
    flat = [np.full((8, 48, 48, 3), level, np.uint8) for level in (0, 0, 2, 128, 255)]
    noisy = (flat[3] + np.random.default_rng(0).integers(0, 2, flat[3].shape)).astype(np.uint8)
    fading = np.repeat(np.arange(8, dtype=np.uint8)[:, None, None, None] * 30, 48, axis=1).repeat(48, 2).repeat(3, 3)
    marks = np.stack([fingerprint(clip) for clip in [*flat, noisy, fading, flat[0][:7]]])
    assert near_duplicates(marks) == [[0, 1]]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 300])
def test_clips_of_any_length_have_a_unit_vector(clips, frames):
    mark = fingerprint(np.resize(clips[0], (frames, *clips[0].shape[1:])))
    assert (mark.shape, mark.dtype) == ((320,), np.float32)
    assert np.linalg.norm(mark) == pytest.approx(1, abs=1e-5)


def test_copies_of_copies_are_one_group(monkeypatch):
    monkeypatch.setattr(duplicates, "NEAR_COPY", np.cos(np.deg2rad(26)))
    angles = np.deg2rad([0, 90, 25, 50, 180, 95])
    marks = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert near_duplicates(marks) == [[0, 2, 3], [1, 5]]


def test_no_clips_and_one_clip_have_no_copies(marks):
    assert near_duplicates(np.empty((0, 320), np.float32)) == []
    assert near_duplicates(marks[:1]) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 10**6), st.floats(0.3, 0.95))
def test_tiles_find_what_a_search_of_all_pairs_finds(count, seed, threshold):
    marks = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)
    marks /= np.linalg.norm(marks, axis=1, keepdims=True)
    reach = marks @ marks.T >= threshold
    for _ in range(count):
        reach = reach @ reach | reach
    expected = sorted({tuple(np.flatnonzero(row | (np.arange(count) == i))) for i, row in enumerate(reach)})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("NEAR_COPY", threshold), ("_ROWS", 5), ("_COLUMNS", 7)):
            patch.setattr(duplicates, name, value)
        assert near_duplicates(marks) == [list(group) for group in expected if len(group) > 1]
