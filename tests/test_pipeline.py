import gc
import inspect
import json
import os
import re
import shutil
import tracemalloc

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import dvdgan
from dvdgan.clips import OutputError
from dvdgan.data.errors import DataError
from dvdgan.model_place import FILES
from dvdgan.models import ModelError, builtin_models, find_model, load_model, read_discriminators, save_model
from dvdgan.pipeline import Pipeline, PipelineError
from dvdgan.sampling import latents


@pytest.fixture(scope="module")
def pipeline(model_dir):
    return dvdgan.load(model_dir, device="cpu")


def test_public_names_are_there():
    assert all(callable(getattr(dvdgan, name)) for name in dvdgan.__all__)


def test_clips_are_uint8_and_named(pipeline):
    clips = pipeline(["dot", "sky"], num=3, seed=5)
    assert clips.video.shape == (3, 4, 32, 32, 3)
    assert clips.video.dtype == np.uint8
    assert clips.labels == ["dot", "sky", "dot"]
    assert clips.seeds == [5, 6, 7]
    assert len(clips) == 3
    assert np.array_equal(next(iter(clips)), clips[0])


def test_without_labels_all_classes_in_turn(pipeline):
    assert pipeline().labels == ["dot", "bar", "sky"]
    assert pipeline(num=4).labels == ["dot", "bar", "sky", "dot"]


def test_a_seed_gives_one_clip_whatever_the_batch(model_dir):
    together = dvdgan.load(model_dir, "cpu", batch_size=8)("bar", num=5, seed=10)
    apart = dvdgan.load(model_dir, "cpu", batch_size=1)("bar", num=1, seed=13)
    assert np.abs(together[3].astype(int) - apart[0].astype(int)).max() <= 1
    z = latents(range(4), 8)
    assert torch.equal(z[2:3], latents([2], 8))


@torch.no_grad()
@pytest.mark.parametrize(("built_in", "dtype", "most"), [(False, torch.float64, 1e-12), (True, torch.float32, 1e-5)])
def test_a_clip_does_not_depend_on_its_batch(built_in, dtype, most, model_dir):
    generator = load_model("phenomena-64" if built_in else model_dir).generator.to(dtype)
    z, y = latents(range(5), generator.config.generator.z_dim).to(dtype), torch.tensor([0, 1, 2, 0, 1])
    together, alone = generator(z, y)[3:4], generator(z[3:4], y[3:4])
    error = (together - alone).abs().max() if dtype == torch.float64 else (together - alone).norm() / alone.norm()
    assert error < most  # single values in fp32 differ by 2e-5 where convolutions round otherwise


def test_truncation(pipeline):
    wide, narrow = latents(range(500), 8), latents(range(500), 8, 0.5)
    torch.testing.assert_close(narrow, 0.5 * wide)
    cut = latents(range(500), 8, 0.5, "resample")
    assert cut.abs().max() <= 0.5
    assert cut.std() > 0.25
    for kind in ("scale", "resample"):
        spread = pipeline("dot", num=12, truncation=0.3, truncation_kind=kind).video.astype(float).std(0).mean()
        assert spread < pipeline("dot", num=12).video.astype(float).std(0).mean()
    with pytest.raises(PipelineError, match="truncation"):
        pipeline(truncation=0.0)


def test_a_threshold_of_one_is_a_truncation(pipeline):
    """Unlike a scale of 1: its statistics are as those of thresholds beside it."""
    assert latents(range(500), 8, 1.0, "resample").abs().max() <= 1
    at, beside = (pipeline("dot", num=4, truncation=t, truncation_kind="resample").video for t in (1.0, 1 - 1e-9))
    assert np.array_equal(at, beside)
    assert not np.array_equal(at, pipeline("dot", num=4, truncation=1.0, truncation_kind="resample", seed=9).video)


def test_statistics_that_are_estimated_do_not_depend_on_the_batch(model_dir):
    one, many = (dvdgan.load(model_dir, "cpu", batch_size=size)("bar", num=2, truncation=0.7) for size in (1, 8))
    assert np.abs(one.video.astype(int) - many.video.astype(int)).max() <= 1


def test_two_pipelines_of_a_model_have_their_own_statistics(model_dir, monkeypatch):
    model = load_model(model_dir)
    plain, other = Pipeline(model), Pipeline(model, "bf16")
    before = plain("dot", num=2).video
    other("dot", truncation=0.44)
    assert np.array_equal(plain("dot", num=2).video, before)
    monkeypatch.setattr("dvdgan.truncation.settle_statistics", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plain("dot", truncation=0.7)
    assert np.array_equal(plain("dot", num=2).video, before)


def interrupted(generator, *arguments, **options):
    generator.norm.mean.add_(1)
    raise KeyboardInterrupt


def test_a_pass_has_as_many_clips_as_the_memory_takes_where_each_is_made_whole(model_dir, monkeypatch):
    pipeline = dvdgan.load(model_dir, device="cpu")
    monkeypatch.setattr("dvdgan.pipeline.largest_pass", lambda generator: 10)  # frames
    passes = []
    real = dvdgan.pipeline.stream_clips
    monkeypatch.setattr("dvdgan.pipeline.stream_clips", lambda *args: passes.append(len(args[1])) or real(*args))
    for attends, clips in ((False, 8), (True, 2)):
        monkeypatch.setattr(type(pipeline.model.generator), "attends_over_time", attends)
        passes.clear()
        pipeline("dot", num=8)  # of 4 frames
        assert max(passes) == clips


def test_interpolation_begins_and_ends_at_its_ends(pipeline):
    clips = pipeline.interpolate(["dot", "sky"], seeds=[3, 8], steps=5)
    assert len(clips) == 5
    for end, (label, seed) in ((0, ("dot", 3)), (4, ("sky", 8))):
        alone = pipeline(label, seed=seed)
        assert np.abs(clips[end].astype(int) - alone[0].astype(int)).max() <= 1
    assert clips.labels[0] == "dot"
    assert clips.labels[2] == "dot 50%, sky 50%"
    steps = np.abs(np.diff(clips.video.astype(float), axis=0)).mean((1, 2, 3, 4))
    assert (steps > 0).all()
    same = pipeline.interpolate("dot", seeds=[3, 3], steps=3)
    assert np.abs(same[0].astype(int) - same[2].astype(int)).max() <= 1
    with pytest.raises(PipelineError, match="seeds"):
        pipeline.interpolate(seeds=[1])
    with pytest.raises(PipelineError, match="seed"):
        pipeline.interpolate(["dot", "bar", "sky"], seeds=[1, 2])


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_other_lengths(pipeline, frames):
    assert pipeline("dot", frames=frames).video.shape[1] == frames


def test_bf16_is_close_to_fp32(model_dir):
    a, b = (dvdgan.load(model_dir, "cpu", precision=p)("dot", num=2).video.astype(float) for p in ("fp32", "bf16"))
    assert np.abs(a - b).mean() < 4


@pytest.mark.parametrize("name", ["one.mp4", "one.gif", "one.webp"])
def test_video_files(pipeline, tmp_path, name):
    clips = pipeline("dot")
    (path,) = clips.save(tmp_path / "new" / name, scale=2)
    if name.endswith(".webp"):
        image = Image.open(path)
        assert (image.n_frames, image.size) == (4, (64, 64))
    else:
        with av.open(str(path)) as file:
            frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert len(frames) == 4
        assert frames[0].shape[:2] == (64, 64)


def test_sheet_npz_and_folder(pipeline, tmp_path):
    clips = pipeline(["dot", "bar"], seed=2)
    assert Image.open(clips.save(tmp_path / "sheet.png")[0]).size[0] > 4 * 32
    with np.load(clips.save(tmp_path / "clips.npz")[0]) as saved:
        assert np.array_equal(saved["video"], clips.video)
        assert saved["labels"].tolist() == ["dot", "bar"]
        assert saved["seeds"].tolist() == [2, 3]
    assert [path.name for path in clips.save(tmp_path / "folder")] == ["0000-dot-seed2.mp4", "0001-bar-seed3.mp4"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: "):
        pipeline().save(tmp_path / "file")
    with pytest.raises(OutputError, match=r"clips\.txt"):
        clips.save(tmp_path / "clips.txt")


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp", "a.png", "a.npz", "folder"])
def test_an_earlier_result_is_written_over_and_nothing_else_is(pipeline, tmp_path, name):
    out = tmp_path / name
    (first,) = pipeline("dot", seed=1).save(out)
    (again,) = pipeline("bar" if out.suffix else "dot", seed=2 if out.suffix else 1).save(out)
    assert again == first
    written = first.read_bytes()
    assert written != b""
    for mine in (b"mine", written[:-40], bytes(100_000)):
        first.write_bytes(mine)
        with pytest.raises(DataError, match=first.name):
            pipeline("dot", seed=1).save(out)
        assert first.read_bytes() == mine
    first.write_bytes(b"")  # a place that was kept for it, as mktemp does
    pipeline("dot", seed=1).save(out)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("dott", "dot"),
        ("xyz", "dot, bar, sky"),
        (7, "7.* 2"),
        (["dot", "br"], "bar"),
        ([], "leave them out"),
    ],
)
def test_wrong_classes(pipeline, labels, message):
    with pytest.raises(PipelineError, match=message):
        pipeline(labels)


def test_class_names_ignore_case(pipeline):
    assert pipeline("DOT").labels == ["dot"]


def test_bad_numbers(pipeline, model_dir):
    for arguments, message in (
        ({"num": 0}, "num"),
        ({"seed": -1}, "seeds"),
        ({"seed": 2**63 - 1, "num": 2}, r"below 2\*\*63"),
        ({"frames": 0}, "frames"),
    ):
        with pytest.raises(PipelineError, match=message):
            pipeline.stream("dot", **arguments)  # before any clip is made
    for wrong in ({"precision": "fp8"}, {"batch_size": 0}):
        with pytest.raises(PipelineError, match=next(iter(wrong))):
            dvdgan.load(model_dir, **wrong)
        with pytest.raises(PipelineError, match=next(iter(wrong))):
            Pipeline(load_model(model_dir), **wrong)
    with pytest.raises(ValueError, match="nowhere"):
        dvdgan.load(model_dir, device="nowhere")


def damage_remove(path):
    path.unlink()


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_text(path):
    path.write_text("hello")


def damage_pickle(path):
    torch.save({"weight": torch.ones(2)}, path)


def damage_classes(path):
    path.write_text(json.dumps({"classes": ["a"], "weights": [1]}))


def damage_weights(path):
    path.write_text('{"classes": ["dot", "bar", "sky"], "weights": [1, NaN, 1]}')


def damage_weights_to_nothing(path):
    path.write_text('{"classes": ["dot", "bar", "sky"], "weights": [0, 0, 0]}')


def damage_to_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.safetensors", damage_remove),
        ("model.safetensors", damage_truncate),
        ("model.safetensors", damage_text),
        ("model.safetensors", damage_pickle),
        ("config.yaml", damage_remove),
        ("config.yaml", damage_text),
        ("classes.json", damage_remove),
        ("classes.json", damage_text),
        ("classes.json", damage_classes),
        ("classes.json", damage_weights),
        ("classes.json", damage_weights_to_nothing),
        ("classes.json", damage_to_a_pipe),
        ("config.yaml", damage_to_a_pipe),
    ],
)
def test_damaged_models_are_one_line_errors(model_dir, tmp_path, file, damage):
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    damage(broken / file)
    with pytest.raises(ModelError) as caught:
        load_model(broken)
    assert "\n" not in str(caught.value)
    assert file in str(caught.value)


def test_equal_models_are_equal_files(model_dir, tmp_path):
    model = load_model(model_dir)
    files = []
    for name in ("a", "b", "c", "d"):
        save_model(model, tmp_path / name)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert len(set(files)) == 1


def test_as_people_know_it_from_diffusers(model_dir, tmp_path):
    first = Pipeline.from_pretrained(model_dir)
    first.save_pretrained(tmp_path / "copy")
    second = Pipeline.from_pretrained(tmp_path / "copy")
    drawn = [pipeline("dot", generator=torch.Generator().manual_seed(3)) for pipeline in (first, second)]
    assert np.array_equal(drawn[0].video, drawn[1].video)
    assert drawn[0].seeds == drawn[1].seeds != [0]


def test_an_unfinished_run_says_so(model_dir, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    shutil.copy(model_dir / "config.yaml", tmp_path / "run")
    with pytest.raises(ModelError, match="--minutes 0"):
        load_model(tmp_path / "run")
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    (broken / "classes.json").unlink()
    with pytest.raises(ModelError, match=r"classes\.json"):
        load_model(broken)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("to_rgb.bias", lambda t: t.bfloat16()),
        ("stem.weight", lambda t: t.long()),
        ("statistics/1.0/norm.mean", lambda t: t[:1]),
    ],
)
def test_tensors_of_the_wrong_kind_are_refused(model_dir, tmp_path, name, change):
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    tensors = load_file(broken / "model.safetensors")
    save_file(
        tensors | {name: change(tensors[name]).contiguous()},
        broken / "model.safetensors",
        {"format": "dvdgan-model 2"},
    )
    with pytest.raises(ModelError, match=r"model\.safetensors.*config\.yaml"):
        load_model(broken)


@pytest.mark.parametrize("name", ["statistics/often/norm.mean", "statistics/1.0", "statistics/0.8/extra"])
def test_foreign_statistics_are_refused(model_dir, tmp_path, name):
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    tensors = load_file(broken / "model.safetensors") | {name: torch.zeros(2)}
    save_file(tensors, broken / "model.safetensors", {"format": "dvdgan-model 2"})
    with pytest.raises(ModelError):
        load_model(broken)


def test_a_model_is_not_written_over_other_files(model_dir, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ModelError, match=f"^{re.escape(str(tmp_path))}: "):
        save_model(load_model(model_dir), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    save_model(load_model(model_dir), tmp_path / "again")
    save_model(load_model(model_dir), tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "thesis.txt"]


def test_foreign_models_are_refused(model_dir, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken)
    tensors = load_file(broken / "model.safetensors")
    save_file(tensors, broken / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(broken)
    tensors.pop("stem.weight")
    save_file(tensors, broken / "model.safetensors", {"format": "dvdgan-model 2"})
    with pytest.raises(ModelError, match=r"stem\.weight"):
        load_model(broken)
    save_file(tensors, broken / "model.safetensors", {"format": "dvdgan-model 99"})
    with pytest.raises(ModelError, match="99"):
        load_model(broken)
    with pytest.raises(ModelError, match="nowhere"):
        load_model(tmp_path / "nowhere")


def test_saved_model_is_plain_and_whole(model_dir):
    """Spectral norm is folded in, and what is loaded again makes the same clips."""
    model = load_model(model_dir)
    assert not any(name.endswith((".u", ".v")) for name in model.generator.state_dict())
    assert model.config.network.generator.spectral_norm
    assert sorted(path.name for path in model_dir.iterdir()) == [
        "card.md",
        "classes.json",
        "config.yaml",
        "model.safetensors",
    ]


@pytest.mark.parametrize("name", builtin_models())
def test_built_in_models_are_small_and_make_clips_of_every_class(name):
    files = list(find_model(name).iterdir())
    assert {path.name for path in files} == set(FILES)
    assert sum(path.stat().st_size for path in files) < 15e6
    model = dvdgan.load(name, device="cpu")
    assert len(model.classes) == 9
    assert sum(parameter.numel() for parameter in model.model.generator.parameters()) <= 6e6
    if model.model.config.network.first_frames:
        clips = model.predict("docs/first/pan-right.png", ["pan-right", "flow"], seed=3)
    else:
        clips = model(["pen", "flow"], seed=3)
    assert clips.video.shape == (2, 16, 64, 64, 3)
    assert np.abs(np.diff(clips.video.astype(int), axis=1)).mean((1, 2, 3, 4)).min() > 0.2  # they move
    assert read_discriminators(name).keys() >= {"spatial/head.linear.weight", "temporal/head.linear.weight"}


@pytest.mark.parametrize("name", ["clips.mp4", "clips.gif", "clips.webp", "clips.png", "clips.npz", "folder"])
def test_streamed_files_are_those_of_clips_made_whole(pipeline, tmp_path, monkeypatch, name):
    whole = pipeline(num=4, frames=9)
    monkeypatch.setattr("dvdgan.pipeline.largest_pass", lambda _: 6)
    made = []
    stream = Pipeline(pipeline.model, batch_size=3).stream(num=4, frames=9)
    read = stream.read()
    assert np.abs(read.video.astype(int) - whole.video.astype(int)).max() <= 1
    expected = [read_bytes(path) for path in read.save(tmp_path / "whole" / name, scale=2)]
    stream.progress = made.append
    assert [read_bytes(path) for path in stream.save(tmp_path / "streamed" / name, scale=2)] == expected
    assert made[0] == 6  # two frames of a batch of three
    assert sum(made) == 36


def read_bytes(path):
    """A file's content; of an archive that of its parts, since compression depends on how they came."""
    if path.suffix != ".npz":
        return path.name, path.read_bytes()
    with np.load(path) as archive:
        return {name: archive[name].tolist() for name in archive.files}


def test_a_full_disk_loses_only_what_could_not_be_written(pipeline, tmp_path, monkeypatch):
    import dvdgan.clips as module

    real, room = module.clip_writer, iter(range(3))

    def until_full(*arguments):
        if next(room, None) is None:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(module, "clip_writer", until_full)
    one_by_one = Pipeline(pipeline.model, batch_size=1)
    with pytest.raises(OSError, match="No space left"):
        one_by_one.stream(num=5).save(tmp_path / "clips")
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == [
        "0000-dot-seed0.mp4", "0001-bar-seed1.mp4", "0002-sky-seed2.mp4",
    ]  # fmt: skip


def test_long_clips_need_the_memory_of_a_few_frames(pipeline, tmp_path):
    made, held = 0, []

    def collect(frames):
        """Python keeps thousands of freed tuples until it collects."""
        nonlocal made
        made += frames
        if made % 20 == 0:
            gc.collect()

    for frames in (40, 400):
        stream = pipeline.stream("dot", num=1, frames=frames)
        stream.progress = collect
        tracemalloc.start()
        stream.save(tmp_path / f"{frames}.webp")
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert held[1] < 1.5 * held[0]


@pytest.mark.parametrize(
    ("method", "stream"),
    [("__call__", "stream"), ("predict", "stream_prediction"), ("interpolate", "stream_interpolation")],
)
def test_a_method_shows_the_arguments_of_what_it_reads(method, stream):
    shown, streamed = (inspect.signature(getattr(Pipeline, name)).parameters for name in (method, stream))
    assert list(shown) == [*streamed, "output_type"]
    assert all(shown[name] == argument for name, argument in streamed.items())


def test_the_type_of_the_output(pipeline, monkeypatch):
    video = pipeline("dot", num=2).video
    array, tensor, images = (pipeline("dot", num=2, output_type=kind) for kind in ("np", "pt", "pil"))
    assert (array.dtype, array.shape) == (np.float32, video.shape)
    assert np.array_equal(array, video.astype(np.float32) / 255)
    assert np.array_equal(tensor.numpy(), array.transpose(0, 1, 4, 2, 3))
    assert [[np.asarray(image).tolist() for image in clip] for clip in images] == video.tolist()
    assert pipeline.interpolate("dot", output_type="np").shape[0] == 8
    monkeypatch.setattr("dvdgan.pipeline.stream_clips", lambda *_: pytest.fail("work was done"))
    with pytest.raises(OutputError, match="output_type"):
        pipeline("dot", output_type="latent")


def test_a_generator_gives_the_seeds_everywhere(pipeline):
    torch_generator = torch.Generator().manual_seed(1)
    first, second = (pipeline.interpolate("dot", generator=torch_generator).seeds for _ in range(2))
    assert first[0] != first[-1]
    assert set(first).isdisjoint(second)
    assert pipeline.interpolate("dot", generator=torch.Generator().manual_seed(1)).seeds == first
