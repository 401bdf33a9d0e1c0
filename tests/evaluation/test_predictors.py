import shutil

import numpy as np
import pytest
import torch
from scipy import ndimage

from conftest import tiny_config, tiny_network
from dvdgan import cli
from dvdgan.evaluation import spaces
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.corruptions import CORRUPTIONS
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate import JSON, evaluate
from dvdgan.evaluation.inputs import open_inputs
from dvdgan.evaluation.model_clips import model_clips
from dvdgan.evaluation.prediction import scoring
from dvdgan.evaluation.prediction.measures import MOST_DB, Psnr, Ssim
from dvdgan.evaluation.prediction.naive import copied, extrapolated, naive, naive_set
from dvdgan.evaluation.prediction.scoring import compare, score_prediction
from dvdgan.evaluation.sets import Sets, choose_sets
from dvdgan.evaluation.settings import QUICK, SEEDS_APART, EvaluationSettings
from dvdgan.models import load_model
from dvdgan.training import train
from support.clip_sets import array_set, noise_set
from support.evaluations import Means, no_weights, pictures_that_move
from support.records import saved

GIVEN = 2


def fade(frames=10, by=7, size=32):
    """A picture that grows brighter by so much each frame, from below 60 on."""
    picture = np.random.default_rng(0).integers(0, 60, (size, size, 3))
    return np.minimum(picture + by * np.arange(frames)[:, None, None, None], 255).astype(np.uint8)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 32, 32, 3), np.uint8)


def test_linear_extrapolation_is_exact_on_a_fade_and_stays_in_range():
    clip = fade()
    np.testing.assert_array_equal(extrapolated(clip, GIVEN), clip)
    np.testing.assert_array_equal(extrapolated(clip, 5), clip)
    steep = fade(by=40)
    np.testing.assert_array_equal(extrapolated(steep, GIVEN), steep)  # up to 255
    down = 255 - steep
    np.testing.assert_array_equal(extrapolated(down, GIVEN), down)


def test_copies_hold_the_last_given_frame():
    clip = noise(6)
    found = copied(clip, GIVEN)
    np.testing.assert_array_equal(found[:GIVEN], clip[:GIVEN])
    assert (found[GIVEN:] == clip[GIVEN - 1]).all()
    assert naive(1).keys() == {"copied"}  # of one frame, extrapolation is copying
    assert naive(2).keys() == {"copied", "extrapolated"}


def test_naive_predictions_are_controls_of_predictors_alone():
    clips = noise_set(3, frames=5, size=16)
    assert naive(0) == {}
    assert "linear extrapolation is the same" in naive(1)["copied"]
    found = naive_set(clips, "copied", 3)
    np.testing.assert_array_equal(found.read([1])[0], copied(clips.read([1])[0], 3))
    assert len({found.key, naive_set(clips, "copied", 2).key, naive_set(clips, "extrapolated", 3).key, clips.key}) == 4


def test_psnr():
    psnr, frames = Psnr(), noise(2)
    assert psnr.compare(psnr.see(frames), psnr.see(frames)).tolist() == [MOST_DB] * 2
    apart = [psnr.see(np.full((1, 8, 8, 3), value, np.uint8)) for value in (100, 110)]
    np.testing.assert_allclose(psnr.compare(*apart), 20 * np.log10(255 / 10))
    black, white = (psnr.see(np.full((1, 8, 8, 3), value, np.uint8)) for value in (0, 255))
    assert psnr.compare(black, white).tolist() == [0.0]


def test_ssim_of_constant_frames_is_the_luminance_term():
    ssim, c1 = Ssim(), (0.01 * 255) ** 2
    a, b = 100, 180
    seen = [ssim.see(np.full((1, 16, 16, 3), value, np.uint8)) for value in (a, b)]
    np.testing.assert_allclose(ssim.compare(*seen), (2 * a * b + c1) / (a**2 + b**2 + c1))


def test_ssim_is_the_published_formula_in_windows_within_the_frame():
    ssim, frames = Ssim(), noise(3)
    seen = ssim.see(frames)
    np.testing.assert_allclose(ssim.compare(seen, seen), 1)
    other = ssim.see(255 - frames)
    found = ssim.compare(seen, other)
    np.testing.assert_allclose(found, ssim.compare(other, seen))
    assert (found < -0.5).all()  # what is bright is dark

    def means(values):
        return ndimage.gaussian_filter(values, 1.5, radius=5, axes=(1, 2))[:, 5:-5, 5:-5]

    x, y = frames.astype(float), 255.0 - frames
    mx, my, c1, c2 = means(x), means(y), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance, vx, vy = means(x * y) - mx * my, means(x * x) - mx**2, means(y * y) - my**2
    wanted = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    np.testing.assert_allclose(found, wanted.mean((1, 2, 3)))


@pytest.mark.parametrize("measure", [Psnr(), Ssim()])
def test_a_model_that_copies_is_the_baseline_and_given_frames_do_not_count(measure):
    real = noise(12)  # more made frames than are compared together
    copies = np.stack([copied(real, GIVEN)] * 2)
    copies[:, :GIVEN] = 0
    found = compare(measure, real, copies, GIVEN)
    assert found["futures"].shape == (2, 10)
    np.testing.assert_allclose(found["futures"], [found["copied"]] * 2)
    perfect = MOST_DB if isinstance(measure, Psnr) else 1.0
    np.testing.assert_allclose(compare(measure, real, real[None], GIVEN)["futures"], perfect)
    np.testing.assert_allclose(compare(measure, fade(), fade()[None], GIVEN)["extrapolated"], perfect)
    np.testing.assert_allclose(found["between"], perfect)  # equal futures
    single = compare(measure, real[:7], real[None, :7], GIVEN)  # the last block is shorter
    np.testing.assert_allclose(single["copied"], found["copied"][:5])


def sets_from(real, given=GIVEN, ids=None):
    starts = array_set(real, ids=ids)
    return Sets([], [1.0], [starts], starts, starts, starts, None, starts.ids, [], [], starts, given)


class NoLpips:
    def __init__(self, size, device):
        raise EvaluationError("ST-LPIPS: it is not installed")


def scored(monkeypatch, tmp_path, real, futures, **options):
    monkeypatch.setattr(scoring, "ShiftTolerantLpips", NoLpips)
    sets = sets_from(real, **options)
    return score_prediction(sets, futures, torch.device("cpu"), Cache(tmp_path))


def test_the_best_future_is_chosen_clip_by_clip_and_leads_are_paired(monkeypatch, tmp_path):
    real = np.stack([fade(6, by) for by in (3, 5, 8, 9)])
    poor = np.stack([copied(clip, GIVEN) for clip in real])
    poor[:, GIVEN:] //= 2
    swapped = [np.where(np.arange(4)[:, None, None, None, None] % 2 == k, real, poor) for k in (0, 1)]
    found = scored(monkeypatch, tmp_path, real, [array_set(clips) for clips in swapped])
    assert (found.given, found.made, found.starts, found.futures) == (2, 4, 4, 2)
    psnr, ssim, lpips = found.measures
    assert [measure.name for measure in found.measures] == ["PSNR", "SSIM", "ST-LPIPS"]
    assert found.main is ssim
    assert lpips.missing == found.diversity_missing == "ST-LPIPS: it is not installed"
    assert [frame.value for frame in psnr.curves["best"].frames] == [MOST_DB] * 4
    assert psnr.curves["mean"].overall.value < MOST_DB
    assert psnr.curves["extrapolated"].overall.value == MOST_DB
    assert psnr.against("best", "copied") == "better"
    assert psnr.against("best", "extrapolated") == "level"
    assert psnr.ahead_from("best") is None
    lead = psnr.leads["mean"]["copied"].overall
    difference = psnr.curves["mean"].overall.value - psnr.curves["copied"].overall.value
    assert lead.value == pytest.approx(difference)
    assert lead.high - lead.low < 2 * (psnr.curves["copied"].overall.high - psnr.curves["copied"].overall.low)


def test_from_which_frame_on_a_model_is_ahead(monkeypatch, tmp_path):
    real = np.stack([fade(7, by) for by in (3, 5, 8, 9)])
    late = real.copy()
    late[:, :3] = 0  # of made frames, the first two are black
    found = scored(monkeypatch, tmp_path, real, [array_set(late)], given=1).measures[0]
    assert found.leads["mean"].keys() == {"copied"}
    assert found.ahead_from("mean") == found.ahead_from("best") == 3
    late[:, -1] = 0
    lost = scored(monkeypatch, tmp_path, real, [array_set(late)], given=1).measures[0]
    assert lost.ahead_from("mean") is None
    black = scored(monkeypatch, tmp_path, real, [array_set(np.zeros_like(real))], given=1).measures[0]
    assert black.against("mean", "copied") == "worse"


def test_a_start_that_comes_twice_counts_once_and_what_was_found_is_kept(monkeypatch, tmp_path):
    real = noise(3, 4)[[0, 1, 2, 0, 1]]
    ids = ["a", "b", "c", "a", "b"]
    found = scored(monkeypatch, tmp_path, real, [array_set(real)], ids=ids)
    assert found.starts == 3
    monkeypatch.setattr(scoring, "compare", None)
    assert scored(monkeypatch, tmp_path, real, [array_set(real)], ids=ids) == found
    with pytest.raises(TypeError):
        scored(monkeypatch, tmp_path, real, [array_set(real)], ids=ids, given=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return pictures_that_move(tmp_path_factory.mktemp("data") / "store", 12)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory, data):
    """A run of two steps: two frames are given, two made."""
    run = tmp_path_factory.mktemp("run") / "run"
    config = tiny_config(data, steps=2)
    changes = {"network": tiny_network(first_frames=2), "data": config.data.model_copy(update={"test_fraction": 0.5})}
    train(config.model_copy(update=changes), run, say=lambda text: None)
    return run


@pytest.fixture
def _networks(monkeypatch):
    monkeypatch.setattr(spaces, "EfficientNetFrames", Means)
    monkeypatch.setattr(spaces, "TransNetClips", no_weights)
    monkeypatch.setattr(Means, "left", None)


def test_a_predictor_goes_on_from_held_out_clips_of_the_class(tmp_path, predictor):
    def sets(num):
        settings = EvaluationSettings(num=num, seeds=2)
        given = open_inputs(predictor, None, None, [], None, settings, tmp_path, "cpu", print)
        return choose_sets(given.made, given.parts, settings, Cache(tmp_path))

    found, fewer, more = sets(9), sets(6), sets(24)
    assert found.given == 2
    clips, starts = found.generated[0].read(range(9)), found.starts.read(range(9))
    assert clips.shape == starts.shape == (9, 4, 32, 32, 3)
    np.testing.assert_array_equal(clips[:, :2], starts[:, :2])
    assert (clips[:, 2:] != starts[:, 2:]).any()
    assert found.generated[0].labels.tolist() == found.starts.labels.tolist() == [0, 1, 2] * 3
    assert len(set(found.starts.ids)) == 9
    assert set(found.starts.ids) == set(found.controls.ids)
    assert not set(found.starts.ids) & set(found.training.ids)
    np.testing.assert_array_equal(found.generated[1].read([4])[0, :2], starts[4, :2])
    assert fewer.starts.ids == found.starts.ids[:6]
    assert len(set(more.starts.ids)) == 18  # all that there are, some of them twice
    assert more.generated[0].ids[:9] == found.generated[0].ids
    assert found.generated[0].ids[1] == f"seed 1, class bar, from the start of {found.starts.ids[1]}"


def test_a_predictor_s_clips_hang_on_seed_class_and_start_alone(predictor):
    model, starts = load_model(predictor), noise_set(5, 4, 32)
    made = model_clips(model, np.arange(5) % 3, range(5), starts=starts)
    whole = made.read(range(5)).astype(int)
    assert np.abs(whole[[3, 1]] - made.read([3, 1])).max() <= 1
    assert model_clips(model, np.arange(5) % 3, range(5), starts=noise_set(5, 4, 32, seed=1)).key != made.key
    longer = model_clips(model, np.array([0]), [0], frames=7, starts=noise_set(1, 7, 32)).read([0])
    assert longer.shape[1] == 7
    with pytest.raises(EvaluationError, match=r"truncation: 0\.37 .* 1, 0"):
        model_clips(model, np.array([0]), [0], 0.37, starts=noise_set(1, 4, 32))


@pytest.mark.usefixtures("_networks")
def test_a_predictor_is_evaluated_whole_by_the_command(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr(scoring, "ShiftTolerantLpips", NoLpips)
    model = shutil.copytree(predictor / "model", tmp_path / "model")
    options = ["num=6", "seeds=2", "futures=3", "truncations=1,0.6,0.5", "baseline_repeats=2", "shown=1", "pairs=0"]
    command = ["dvdgan", "evaluate", "--model", str(model), "--out", str(tmp_path / "out"), "--device", "cpu", *options]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    found = saved(tmp_path / "out" / JSON)
    assert (found.prediction.given, found.prediction.made, found.prediction.starts) == (2, 2, 6)
    assert found.prediction.futures == 3
    assert found.evaluated.seeds == [0, SEEDS_APART]
    for measure in found.prediction.measures[:2]:
        sign = 1 if measure.better == "higher" else -1
        assert sign * (measure.curves["best"].overall.value - measure.curves["mean"].overall.value) >= 0
        assert [len(curve.frames) for curve in measure.curves.values()] == [2] * 4
    assert list(found.corruptions) == [*CORRUPTIONS, "copied", "extrapolated"]
    for score in found.scores:
        assert score.controls["copied"].value is not None
    assert [point.truncation for point in found.sweep.points] == [1.0, 0.6]
    assert any("0.5" in warning for warning in found.warnings)
    page, card = (tmp_path / "out" / "evaluation.html").read_text(), (model / "card.md").read_text()
    assert 'id="prediction"' in page
    assert "| 2 made frames, 6 starts | PSNR (dB, higher is better) | SSIM (higher is better) |" in card
    assert "| linear extrapolation | " in card


@pytest.mark.usefixtures("_networks")
def test_the_baselines_of_a_predictor_are_there_without_the_other_controls(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr(scoring, "ShiftTolerantLpips", NoLpips)
    settings = EvaluationSettings(**QUICK | {"num": 6, "seeds": 1, "shown": 1, "pairs": 0})
    options = {"device": "cpu", "say": str}
    found, shown = evaluate(tmp_path, model=predictor, settings=settings, **options)
    assert found.corruptions.keys() == {"copied", "extrapolated"}
    assert found.prediction.futures == 2
    assert "futures" not in found.prediction.diversity_missing
    for generated, real in shown.classes.values():
        np.testing.assert_array_equal(generated[:, :2], real[:, :2])  # the clip that it goes on from
    with pytest.raises(EvaluationError, match="frames=3"):
        evaluate(tmp_path, model=predictor, settings=EvaluationSettings(frames=2), **options)
