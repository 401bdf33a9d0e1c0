import numpy as np
import pytest
from PIL import Image

from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import BACKGROUND, clip_grid, clip_sheet, write_image
from support.clips import read_clip


@pytest.fixture
def clips():
    """Frame t of clip n is one colour, (40 n, 20 t, 200)."""
    clips = np.full((3, 9, 16, 24, 3), 200, np.uint8)
    clips[..., 0] = 40 * np.arange(3)[:, None, None, None]
    clips[..., 1] = 20 * np.arange(9)[None, :, None, None]
    return clips


def frames_of(image):
    """Colours of the plain frames in a sheet, in reading order, one list per row of frames."""
    rows = []
    for line in image:
        colours = [tuple(int(v) for v in pixel) for pixel in line if pixel[2] == 200 and pixel[0] <= 80]
        row = list(dict.fromkeys(colours))
        if row and (not rows or rows[-1] != row):
            rows.append(row)
    return rows


@pytest.mark.parametrize("labels", [None, ["a", "a", "another"]])
def test_sheet_shows_clips_as_rows_in_order_of_time(clips, labels):
    image = clip_sheet(clips, labels, columns=5, scale=3)
    assert frames_of(image) == [[(40 * n, 20 * t, 200) for t in (0, 2, 4, 6, 8)] for n in range(3)]
    assert (
        (image[..., 2] == 200) & (image[..., 0] <= 80)
    ).sum() == 3 * 5 * 48 * 72  # every frame whole, enlarged three times


def test_sheet_shows_no_frame_twice(clips):
    assert len(frames_of(clip_sheet(clips, columns=100))[0]) == 9
    assert frames_of(clip_sheet(clips[:, :1]))[0] == [(0, 0, 200)]


def test_labels_widen_the_margin_and_are_drawn_once_per_group(clips):
    plain = clip_sheet(clips, None, columns=2)
    short = clip_sheet(clips, ["a", "a", "b"], columns=2)
    long = clip_sheet(clips, ["a long name", "a long name", "b"], columns=2)
    assert plain.shape[1] < short.shape[1] < long.shape[1]
    margin = long[:, : long.shape[1] - plain.shape[1]]
    written = np.flatnonzero((margin.max(axis=-1) > 150).any(axis=1))  # lines with letters
    tops = [i for i in written if i - 1 not in written and i - 2 not in written and i - 3 not in written]
    assert len(tops) == 2


def test_grid_places_clips_in_reading_order(clips):
    grid = clip_grid(clips, columns=2, scale=2, gap=4)
    assert grid.shape == (9, 2 * 36 + 4, 2 * 52 + 4, 3)
    for index, (top, left) in enumerate([(4, 4), (4, 56), (40, 4)]):
        assert np.array_equal(grid[5, top : top + 32, left : left + 48], np.tile(clips[index, 5], (2, 2, 1)))
    assert (grid[:, 40:72, 56:104] == BACKGROUND).all()  # the place left over
    assert (grid[:, :4] == BACKGROUND).all()


def test_grid_is_about_square_by_default_and_can_be_written(clips, tmp_path):
    grid = clip_grid(np.repeat(clips, 3, axis=0))
    assert grid.shape[1:3] == (3 * 20 + 4, 3 * 28 + 4)
    assert read_clip(write_clip(tmp_path / "grid.mp4", grid, 12))[0].shape == grid.shape


def test_wrong_input_is_refused(clips):
    with pytest.raises(ValueError, match="3 labels"):
        clip_sheet(clips, ["a"])
    for wrong in (clips[0], clips / 255, clips[:0]):
        with pytest.raises(ValueError, match="uint8"):
            clip_sheet(wrong)
        with pytest.raises(ValueError, match="uint8"):
            clip_grid(wrong)


def test_write_image(clips, tmp_path):
    image = clip_sheet(clips)
    path = write_image(tmp_path / "new" / "sheet.png", image)
    assert np.array_equal(np.asarray(Image.open(path)), image)
    with pytest.raises(ValueError, match="extension"):
        write_image(tmp_path / "new" / "sheet.nothing", image)
    assert [entry.name for entry in path.parent.iterdir()] == ["sheet.png"]
