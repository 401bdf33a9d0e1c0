"""The feature spaces of an evaluation: which networks look at the clips, and what is told in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dvdgan.evaluation.classifier.classifier import FRECHET_NAME, Classifier
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate_measures import (
    Family,
    classifier_family,
    frechet_family,
    kernel_family,
    manifold_family,
)
from dvdgan.evaluation.evaluate_settings import EvaluationSettings
from dvdgan.evaluation.features.efficientnet import EfficientNetFrames
from dvdgan.evaluation.features.extract import FeatureExtractor, Unit
from dvdgan.evaluation.features.torchscript import I3D, INCEPTION, TorchScriptFeatures
from dvdgan.evaluation.features.transnet import TransNetClips
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0, TRANSNETV2
from dvdgan.evaluation.memorisation.pixels import CoarsePixels
from dvdgan.evaluation.memorisation.windows import clip_vectors
from dvdgan.evaluation.record import Space

PAIRS = 4
"""Frames of a clip, evenly over its time, at which an extractor of frames looks, each with the next one."""


@dataclass(frozen=True)
class FeatureSpace:
    """What sees clips, and the scores that are taken of it.

    Attributes:
        prefix: of the scores' keys, such as ``classifier``.
        record: what the report says of it; its name is the scores' ``measured_with``.
        extractor: whose features are kept.
        view: of these features, float32 ``[N, …]``: the space's own, ``[N, D]`` or ``[N, T', D]``.
        families: the scores.
        swept: whether it is cheap enough for the curve over truncation.
    """

    prefix: str
    record: Space
    extractor: FeatureExtractor
    view: Callable[[np.ndarray], np.ndarray]
    families: list[Family]
    swept: bool

    @property
    def name(self) -> str:
        """The space's name."""
        return self.record.name


@dataclass(frozen=True)
class Neighbourhood:
    """A space in which nearest training clips are looked up.

    Attributes:
        name: of the space.
        about: what it sees.
        clips: gives one vector per clip, for the many windows of training clips.
        extractor: whose features, kept for the scores, the vectors of other clips follow from.
        vectors: of these features, ``[N, …]``: the same vectors, float32 ``[N, D]``.
        plain: whether distances mean something as they are.
    """

    name: str
    about: str
    clips: FeatureExtractor
    extractor: FeatureExtractor
    vectors: Callable[[np.ndarray], np.ndarray]
    plain: bool = False


@dataclass(frozen=True)
class Spaces:
    """All spaces of an evaluation.

    Attributes:
        spaces: in the report's order.
        neighbourhoods: likewise.
        missing: why spaces are not there, a sentence each.
    """

    spaces: list[FeatureSpace]
    neighbourhoods: list[Neighbourhood]
    missing: list[str]


@dataclass(frozen=True)
class FieldFiles:
    """The field's own networks, which the user brings.

    Attributes:
        fvd: I3D's TorchScript file; None leaves FVD out.
        fvd_sha256: of a file that is another than StyleGAN-V's; its score is then not called FVD.
        inception: Inception's TorchScript file; None leaves FID out.
        inception_sha256: likewise.
    """

    fvd: Path | None = None
    fvd_sha256: str | None = None
    inception: Path | None = None
    inception_sha256: str | None = None

    def load(self, device: torch.device | str | None = None) -> list[TorchScriptFeatures]:
        """Read the files that there are.

        Raises:
            EvaluationError: a file cannot be used, or a hash is given without one.
        """
        found = []
        for path, sha256, network, flag in (
            (self.fvd, self.fvd_sha256, I3D, "fvd"),
            (self.inception, self.inception_sha256, INCEPTION, "inception"),
        ):
            if path is not None:
                found.append(TorchScriptFeatures(path, network, sha256, device=device))
            elif sha256 is not None:
                raise EvaluationError(f"--{flag}-sha256 is the hash of a file: name it with --{flag}-weights")
        return found


class SomeFrames:
    """A `FeatureExtractor`: what another one sees in a few frames, or in pairs of consecutive ones.

    A clip gives float32 ``[P, D]``, or ``[2 P, D]`` with the pairs one after another; one of a single frame ``[1, D]``.

    Args:
        base: an extractor of frames.
        pairs: whether each frame comes with the next one.
    """

    unit: Unit = "frames"

    def __init__(self, base: FeatureExtractor, pairs: bool) -> None:
        """Take over what the other says of itself."""
        self.base, self.pairs = base, pairs
        self.name, self.dimension = base.name, base.dimension
        self.key = content_key("some frames", 1, PAIRS, pairs, base.key)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``."""
        chosen = pair_frames(clips.shape[1])
        return self.base(clips[:, chosen if self.pairs else chosen[::2]])


class PooledFrames:
    """A `FeatureExtractor`: mean and deviation over a few frames of a clip, float32 ``[N, 2 D]``.

    Args:
        base: an extractor of frames.
    """

    unit: Unit = "clip"

    def __init__(self, base: FeatureExtractor) -> None:
        """Take over what the other says of itself."""
        self._of = SomeFrames(base, pairs=False)
        self.name, self.dimension = base.name, 2 * base.dimension
        self.key = content_key("pooled frames", 1, self._of.key)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``."""
        return clip_vectors(self._of(clips))


def pair_frames(frames: int) -> np.ndarray:
    """Numbers of the frames of evenly spread pairs that share none, int64 ``[2 P]``; of clips of one frame ``[0]``."""
    if frames < 2:
        return np.zeros(1, np.int64)
    starts = np.linspace(0, frames - 2, min(PAIRS, frames // 2)).astype(np.int64)
    return np.stack([starts, starts + 1], 1).reshape(-1)


def open_spaces(
    reference: ClipSet,
    classifier: Classifier | None,
    settings: EvaluationSettings,
    brought: Sequence[TorchScriptFeatures] = (),
    device: torch.device | str | None = None,
) -> Spaces:
    """Find out what can look at the clips.

    Args:
        reference: clips of the size, length and classes that are looked at.
        classifier: a classifier; None does without.
        settings: at which size frames are seen.
        brought: networks of the field, from `FieldFiles.load`.
        device: where networks run; None takes the accelerator where there is one.

    Raises:
        EvaluationError: the classifier does not know a class.
        DeviceError: there is no such device.
    """
    spaces: list[FeatureSpace] = []
    around: list[Neighbourhood] = []
    missing: list[str] = []
    moving = reference.frames > 1
    if classifier is not None:
        if reference.classes:
            classifier.require_classes(reference.classes)
        spaces.append(_classifier_space(classifier, reference.classes))
        about = "What the classifier, a classifier of clips trained on the data, sees: what is done, and how it looks."
        around.append(
            Neighbourhood(classifier.features.name, about, classifier.features, classifier.features, clip_vectors)
        )
    else:
        missing.append(
            "No classifier: without one there are no Inception Score, class fidelity and classifier Fréchet distance."
        )
    try:
        base = EfficientNetFrames(settings.seen_at(reference.size), device)
        pairs, count = SomeFrames(base, pairs=True), len(pair_frames(reference.frames)[::2])
        spaces += _frame_spaces(pairs, base.resize, reference.frames)
        about = f"How frames look, and how much that varies: mean and deviation over {count} of them."
        vectors = _first_of_pairs(clip_vectors)
        around.append(Neighbourhood(base.name, about, PooledFrames(base), pairs, vectors))
    except EvaluationError as error:
        missing.append(f"No scores of frames: {error}")
    if moving:
        try:
            spaces.append(_motion_space(TransNetClips(device)))
        except EvaluationError as error:
            missing.append(f"No scores of movement by TransNetV2: {error}")
    spaces += [_field_space(network) for network in brought]
    if reference.size >= 12:
        pixels = CoarsePixels()
        about = "Coarse pictures, 12 x 12 cells at 4 times; distances are in levels of 255. No network looks."
        around.append(Neighbourhood(pixels.name, about, pixels, pixels, clip_vectors, plain=True))
        if not spaces:
            spaces.append(_pixel_space(pixels, about))
    return Spaces(spaces, around, missing)


def _whole(features: np.ndarray) -> np.ndarray:
    return features


def _first_of_pairs(then: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda features: then(features[:, ::2])


def _classifier_space(classifier: Classifier, classes: list[str]) -> FeatureSpace:
    extractor = classifier.features
    record = Space(
        name=extractor.name,
        key=extractor.key,
        dimension=extractor.dimension,
        unit="clip",
        resize=f"{classifier.size} x {classifier.size}, bilinear, antialiased",
        weights=f"{classifier.place}, SHA-256 {classifier.weights_sha256}",
        about="a classifier of clips, trained on the same data, before its last layer: the paper's protocol with a "
        "network of this data in place of I3D",
    )
    families = [
        frechet_family(extractor.name, FRECHET_NAME, headline=True, by_class=True),
        kernel_family(extractor.name),
        classifier_family(extractor.name, classifier, classes),
        manifold_family(extractor.name),
    ]
    return FeatureSpace("classifier", record, extractor, _whole, families, swept=True)


def _frame_spaces(pairs: SomeFrames, resize: str, frames: int) -> list[FeatureSpace]:
    weights = f"{EFFICIENTNET_LITE0.distribution} {EFFICIENTNET_LITE0.version}, SHA-256 {EFFICIENTNET_LITE0.sha256}"
    seen = len(pair_frames(frames)[::2])

    def space(prefix: str, name: str, about: str, view: Callable[[np.ndarray], np.ndarray]) -> FeatureSpace:
        record = Space(
            name=name,
            key=content_key(pairs.key, prefix),
            dimension=pairs.dimension,
            unit="frames",
            resize=resize,
            weights=weights,
            about=about,
        )
        looks = prefix == "frames"
        families = [frechet_family(name, headline=looks), kernel_family(name)]
        families += [manifold_family(name)] if looks else []
        return FeatureSpace(prefix, record, pairs, view, families, swept=looks)

    def changes(features: np.ndarray) -> np.ndarray:
        return features[:, 1::2] - features[:, ::2]

    looks = f"how single frames look, to a network trained on ImageNet; {seen} frames of each clip"
    found = [space("frames", pairs.name, looks, _first_of_pairs(_whole))]
    if frames > 1:
        about = f"how those features change from a frame to the next; {seen} such steps of each clip"
        found.append(space("changes", f"{pairs.name}, differences", about, changes))
    return found


def _motion_space(extractor: TransNetClips) -> FeatureSpace:
    record = Space(
        name=extractor.name,
        key=extractor.key,
        dimension=extractor.dimension,
        unit="clip",
        resize=extractor.resize,
        weights=f"{TRANSNETV2.distribution} {TRANSNETV2.version}, SHA-256 {TRANSNETV2.sha256}",
        about="how clips go on in time, to a network trained to find cuts in real video",
    )
    families = [frechet_family(extractor.name, headline=True), kernel_family(extractor.name)]
    return FeatureSpace("motion", record, extractor, _whole, families, swept=False)


def _pixel_space(extractor: CoarsePixels, about: str) -> FeatureSpace:
    record = Space(
        name=extractor.name, key=extractor.key, dimension=extractor.dimension, unit="clip", about=about, resize="none"
    )
    families = [frechet_family(extractor.name), kernel_family(extractor.name)]
    return FeatureSpace("pixels", record, extractor, _whole, families, swept=True)


def _field_space(look: TorchScriptFeatures) -> FeatureSpace:
    """FVD or FID, or what is measured like it with another file."""
    frames = look.unit == "frames"
    extractor: FeatureExtractor = SomeFrames(look, pairs=False) if frames else look
    genuine = look.score_name in (I3D.score, INCEPTION.score)
    whose = "the field's own network" if genuine else "a network that the user named"
    record = Space(
        name=look.name,
        key=extractor.key,
        dimension=look.dimension,
        unit=look.unit,
        resize=look.resize,
        weights=str(look.path),
        about=f"{whose}; {PAIRS} frames of each clip at most" if frames else whose,
    )
    kernel = "KID" if look.score_name == INCEPTION.score else "Kernel distance"
    families = [frechet_family(look.name, look.score_name, headline=True), kernel_family(look.name, kernel)]
    return FeatureSpace("fid" if frames else "fvd", record, extractor, _whole, families, swept=False)
