"""Clips that go on from first frames, and clips that play round."""

import numpy as np
import pytest
import torch
from PIL import Image

import dvdgan
from conftest import tiny_config, tiny_network
from dvdgan.cli import main
from dvdgan.data.errors import ClipError
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import MARK
from dvdgan.models import Model, save_model
from dvdgan.networks import Generator
from dvdgan.pipeline import Pipeline, PipelineError
from dvdgan.sampling import FirstFrames, loop_clips, settle_statistics

SIZE = 32


def predictor(first_frames=1, stride=1, target_fps=None, background="#ffffff") -> Model:
    """A finished one with random weights."""
    config = tiny_config("store")
    data = config.data.model_copy(update={"stride": stride, "target_fps": target_fps, "background": background})
    network = tiny_network(frames=4 + first_frames, first_frames=first_frames)
    config = config.model_copy(update={"network": network, "data": data})
    plain = network.generator.model_copy(update={"spectral_norm": False})
    generator = Generator(network.model_copy(update={"generator": plain}), torch.Generator().manual_seed(0))
    frames = np.random.default_rng(0).integers(0, 256, (6, first_frames, SIZE, SIZE, 3), np.uint8)
    first = FirstFrames(torch.from_numpy(frames), torch.arange(6) % 3)
    statistics = {1.0: settle_statistics(generator, [1, 1, 1], batches=2, batch_size=6, first=first)}
    return Model(generator.requires_grad_(False), config, ["dot", "bar", "sky"], [1.0, 1.0, 1.0], statistics)


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(predictor())


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A photo on its side: 48 wide and 64 high once it is turned, red above and blue below."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (0, 0, 250), (250, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90 degrees, against the clock
    path = tmp_path_factory.mktemp("picture") / "photo.png"
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_a_picture_has_futures(pipeline, picture):
    clips = pipeline.predict(picture, "bar", num=3, seed=5)
    assert clips.video.shape == (3, 5, SIZE, SIZE, 3)
    assert clips.given == 1
    assert clips.seeds == [5, 6, 7]
    assert clips.labels == ["bar"] * 3
    first = clips.video[:, 0]
    assert (first == first[0]).all()
    assert first[0, 4, 16].tolist() == [250, 0, 0]
    assert first[0, -4, 16].tolist() == [0, 0, 250]
    assert len({clip[1:].tobytes() for clip in clips}) == 3  # futures differ
    alone = pipeline.predict(picture, "bar", num=1, seed=6)[0].astype(int)
    assert np.abs(alone - clips[1]).max() <= 1  # another batch may round otherwise, where 1e-5 lies across a half
    assert np.mean(alone != clips[1]) < 0.001


def test_transparent_pixels_show_the_background(tmp_path):
    Image.fromarray(np.zeros((SIZE, SIZE, 4), np.uint8)).save(tmp_path / "clear.png")
    own = Pipeline(predictor(background="#102030"))
    assert own.predict(tmp_path / "clear.png", 0).video[0, 0, 0, 0].tolist() == [0x10, 0x20, 0x30]


def test_a_clip_gives_its_first_frames_at_the_stride_of_training(tmp_path):
    frames = np.stack([np.full((SIZE, SIZE, 3), 20 * t, np.uint8) for t in range(8)])
    path = write_clip(tmp_path / "clip.webp", frames, 12)
    seen = Pipeline(predictor(3, stride=2)).predict(path, "dot").video[0, :3, 0, 0, 0]
    assert np.abs(seen.astype(int) - [0, 40, 80]).max() <= 3


def test_numbered_frames_are_a_start(tmp_path):
    for number in range(2):
        Image.fromarray(np.full((SIZE, SIZE, 3), 100 * number, np.uint8)).save(tmp_path / f"{number:03}.png")
    assert Pipeline(predictor(2)).predict(tmp_path, "dot").video[0, :2, 0, 0, 0].tolist() == [0, 100]


def test_starts_and_classes(pipeline):
    starts = [np.full((1, SIZE, SIZE, 3), level, np.uint8) for level in (0, 200)]
    each = pipeline.predict(starts, ["dot", "sky"], num=2)
    assert each.labels == ["dot", "dot", "sky", "sky"]
    assert each.video[:, 0, 0, 0, 0].tolist() == [0, 0, 200, 200]
    assert pipeline.predict(starts[0], ["dot", "sky"]).labels == ["dot", "sky"]
    assert pipeline.predict(starts).labels == ["dot", "bar", "sky"] * 2


@pytest.mark.parametrize("frames", [1, 4, 11])
def test_other_lengths_and_chains(frames, monkeypatch):
    """Within the trained length a chain is the same; beyond it, each link goes on from the last frames before it."""
    own = Pipeline(predictor(2))
    start = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    plain, chained = (own.predict(start, "dot", frames=frames, chain=chain).video[0] for chain in (False, True))
    assert plain.shape == chained.shape == (2 + frames, SIZE, SIZE, 3)
    assert np.array_equal(plain[:6], chained[:6])
    if frames > 4:
        link = own.predict(chained[4:6], "dot").video[0]
        assert np.array_equal(chained[4:10], link)
        assert not np.array_equal(plain[6:], chained[6:])


@pytest.mark.parametrize("name", ["futures.png", "futures.webp"])
def test_given_frames_are_marked_beside_their_pixels(pipeline, tmp_path, name):
    start = np.full((1, SIZE, SIZE, 3), 90, np.uint8)
    clips = pipeline.predict(start, "dot", num=2)
    clips.save(tmp_path / name)
    image = Image.open(tmp_path / name).convert("RGB")
    near = np.abs(np.asarray(image).astype(int) - MARK).max(-1) <= 40
    assert near.any()
    if name.endswith("webp"):
        image = Image.open(tmp_path / name)
        image.seek(2)
        assert not (np.abs(np.asarray(image.convert("RGB")).astype(int) - MARK).max(-1) <= 40).any()


def test_arrays_hold_pixels_as_they_are(pipeline, tmp_path):
    clips = pipeline.predict(np.full((1, SIZE, SIZE, 3), 90, np.uint8), "dot")
    clips.save(tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz") as file:
        assert file["given"] == 1
        assert np.array_equal(file["video"], clips.video)


@pytest.mark.parametrize(
    ("first", "options", "message"),
    [
        ("nothing.png", {}, "nothing.png"),
        ("text.png", {}, "text.png"),
        (np.zeros((2, SIZE, SIZE, 3), np.uint8), {}, "uint8"),
        (np.zeros((1, SIZE, SIZE, 3), np.float32), {}, "float32"),
        (np.zeros((1, SIZE, SIZE, 3), np.uint8), {"num": 0}, "num"),
        (np.zeros((1, SIZE, SIZE, 3), np.uint8), {"truncation": 0.7}, "truncation"),
        (np.zeros((1, SIZE, SIZE, 3), np.uint8), {"labels": "cat"}, "cat"),
        (np.zeros((1, SIZE, SIZE, 3), np.uint8), {"frames": 0}, "frames"),
        ([], {}, "^first is empty"),
    ],
)
def test_bad_requests(pipeline, tmp_path, first, options, message):
    (tmp_path / "text.png").write_text("no picture")
    first = tmp_path / first if isinstance(first, str) else first
    with pytest.raises((PipelineError, ClipError), match=message):
        pipeline.predict(first, **options)


def test_a_clip_that_is_too_short_is_refused(tmp_path, picture):
    own = Pipeline(predictor(3))
    path = write_clip(tmp_path / "two.webp", np.zeros((2, SIZE, SIZE, 3), np.uint8), 12)
    for short, count in ((path, 2), (picture, 1)):
        with pytest.raises(ClipError, match=rf"{short.name}.* {count} of the 3 frames"):
            own.predict(short, "dot")


def test_a_predictor_needs_first_frames_and_others_take_none(pipeline, model_dir):
    for call in (pipeline, pipeline.interpolate):
        with pytest.raises(PipelineError, match="--first"):
            call()
    with pytest.raises(PipelineError, match="generate"):
        dvdgan.load(model_dir).predict(np.zeros((1, SIZE, SIZE, 3), np.uint8))


def test_the_commands(tmp_path, picture, capsys):
    save_model(predictor(), tmp_path / "model")
    model = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "f.png")]
    for arguments, code in ((["predict", *model, "--first", str(picture)], 0), (["generate", *model], 2)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code
    said = capsys.readouterr()
    assert (tmp_path / "f.png").exists()
    assert "--first" in said.err


@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_a_loop_leads_from_its_end_to_its_beginning(chunk):
    made = np.arange(12, dtype=np.uint8).reshape(1, 12, 1, 1, 1) * 10
    pieces = (made[:, start : start + chunk] for start in range(0, 12, chunk))
    loop = np.concatenate(list(loop_clips(pieces, frames=9, overlap=3)), 1).ravel().tolist()
    assert loop == [
        30,
        40,
        50,
        60,
        70,
        80,
        round(0.75 * 90),
        round(0.5 * 100 + 0.5 * 10),
        round(0.25 * 110 + 0.75 * 20),
    ]


def test_loops_have_the_length_that_is_asked_for(model_dir):
    own = dvdgan.load(model_dir)
    assert own("dot", loop=1).video.shape[1] == 3
    assert own("dot", loop=2, frames=7).video.shape[1] == 7
    for loop in (-1, 2, 4):
        with pytest.raises(PipelineError, match="loop"):
            own("dot", loop=loop)
