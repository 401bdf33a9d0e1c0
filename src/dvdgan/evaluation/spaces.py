"""The feature spaces of an evaluation: which networks look at the clips, and what is measured in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from dvdgan.evaluation.classifier.classifier import FRECHET_NAME, Classifier
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.efficientnet import EfficientNetFrames
from dvdgan.evaluation.features.extract import FeatureExtractor, Unit
from dvdgan.evaluation.features.resize import resize_name
from dvdgan.evaluation.features.torchscript import I3D, INCEPTION, TorchScriptFeatures
from dvdgan.evaluation.features.transnet import TransNetClips
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0, TRANSNETV2
from dvdgan.evaluation.memorisation.pixels import CELLS, CoarsePixels
from dvdgan.evaluation.memorisation.windows import clip_vectors
from dvdgan.evaluation.metrics.registry import MetricGroup, classification, frechet, kernel, manifold
from dvdgan.evaluation.record import Space
from dvdgan.evaluation.settings import EvaluationSettings

PAIRS = 4
"""Frames of a clip, evenly over its time, at which an extractor of frames looks, each with the next one."""

View = Callable[[np.ndarray], np.ndarray]


def _whole(features: np.ndarray) -> np.ndarray:
    return features


def _first_of_pairs(features: np.ndarray) -> np.ndarray:
    return features[:, ::2]


def _changes(features: np.ndarray) -> np.ndarray:
    return features[:, 1::2] - features[:, ::2]


@dataclass(frozen=True)
class FeatureSpace:
    """What sees clips, and the scores that are taken of it.

    Attributes:
        prefix: of the scores' keys, such as ``classifier``.
        record: what the report says of it.
        extractor: whose features are kept.
        groups: the metrics.
        view: of these features, float32 ``[N, …]``: the space's own, ``[N, D]`` or ``[N, T', D]``.
        swept: whether it is cheap enough for the curve over truncation.
    """

    prefix: str
    record: Space
    extractor: FeatureExtractor
    groups: list[MetricGroup]
    view: View = _whole
    swept: bool = False


@dataclass(frozen=True)
class Neighbourhood:
    """A space in which nearest training clips are looked up.

    Attributes:
        about: what it sees.
        clips: gives one vector per clip, for the many windows of training clips.
        extractor: whose features, kept for the scores, the vectors of other clips follow from.
        vectors: of these features, ``[N, …]``: the same vectors, float32 ``[N, D]``.
        plain: whether distances mean something as they are.
    """

    about: str
    clips: FeatureExtractor
    extractor: FeatureExtractor
    vectors: View = clip_vectors
    plain: bool = False


@dataclass(frozen=True)
class Spaces:
    """All spaces of an evaluation.

    Attributes:
        spaces: in the report's order.
        neighbourhoods: likewise.
        missing: why spaces are not there, a sentence each.
    """

    spaces: list[FeatureSpace] = field(default_factory=list)
    neighbourhoods: list[Neighbourhood] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class SomeFrames:
    """A `FeatureExtractor`: what another one sees in a few frames, or in pairs of consecutive ones.

    A clip gives float32 ``[P, D]``, or ``[2 P, D]`` with the pairs one after another; one of a single frame ``[1, D]``.

    Args:
        base: an extractor of frames.
        pairs: whether each frame comes with the next one.
    """

    unit: Unit = "frames"

    def __init__(self, base: FeatureExtractor, pairs: bool) -> None:
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
    reference: ClipSet, classifier: Classifier | None, settings: EvaluationSettings, device: torch.device
) -> Spaces:
    """Find out what can look at clips of this size and length and of these classes.

    Raises:
        EvaluationError: the classifier does not know a class, or a file of the user's cannot be used.
    """
    found = Spaces()
    own_networks = _field_spaces(settings, device)
    if classifier is None:
        found.missing.append(
            "No classifier: without one there are no Inception Score, class fidelity and classifier Fréchet distance."
        )
    else:
        _add_classifier(found, classifier, reference)
    try:
        _add_frames(found, EfficientNetFrames(settings.seen_at(reference.size), device), reference.frames)
    except EvaluationError as error:
        found.missing.append(f"No scores of frames: {error}")
    if reference.frames > 1:
        try:
            found.spaces.append(_motion_space(TransNetClips(device)))
        except EvaluationError as error:
            found.missing.append(f"No scores of movement by TransNetV2: {error}")
    found.spaces.extend(own_networks)
    if reference.size >= CELLS:
        _add_pixels(found)
    return found


def _record(extractor: FeatureExtractor, resize: str, weights: str, about: str, **other: str) -> Space:
    known = {"name": extractor.name, "key": extractor.key, "dimension": extractor.dimension, "unit": extractor.unit}
    return Space.model_validate({**known, "resize": resize, "weights": weights, "about": about, **other})


def _add_classifier(found: Spaces, classifier: Classifier, reference: ClipSet) -> None:
    if reference.classes:
        classifier.require_classes(reference.classes)
    record = _record(
        classifier,
        resize_name((classifier.size, classifier.size)),
        f"{classifier.place}, SHA-256 {classifier.weights_sha256}",
        "a classifier of clips, trained on the same data, before its last layer: the paper's protocol with a network "
        "of this data in place of I3D",
    )
    groups = [
        frechet(FRECHET_NAME, headline=True, by_class=True),
        kernel(),
        classification(classifier, reference.classes),
        manifold(headline=True),
    ]
    found.spaces.append(FeatureSpace("classifier", record, classifier, groups, swept=True))
    about = "What the classifier of clips, trained on the data, sees: what is done, and how it looks."
    found.neighbourhoods.append(Neighbourhood(about, classifier, classifier))


def _add_frames(found: Spaces, base: EfficientNetFrames, frames: int) -> None:
    extractor, seen = SomeFrames(base, pairs=True), len(pair_frames(frames)[::2])
    weights = f"{EFFICIENTNET_LITE0.distribution} {EFFICIENTNET_LITE0.version}, SHA-256 {EFFICIENTNET_LITE0.sha256}"
    about = f"how single frames look, to a network trained on ImageNet; {seen} frames of each clip"
    record = _record(extractor, base.resize, weights, about, key=content_key(extractor.key, "frames"))
    groups = [frechet(headline=True), kernel(), manifold(headline=not found.spaces)]
    found.spaces.append(FeatureSpace("frames", record, extractor, groups, _first_of_pairs, swept=True))
    if frames > 1:
        about = f"how those features change from a frame to the next; {seen} such steps of each clip"
        other = {"name": f"{base.name}, differences", "key": content_key(extractor.key, "changes")}
        record = _record(extractor, base.resize, weights, about, **other)
        found.spaces.append(FeatureSpace("changes", record, extractor, [frechet(), kernel()], _changes))
    about = f"How frames look, and how much that varies: mean and deviation over {seen} of them."
    found.neighbourhoods.append(
        Neighbourhood(about, PooledFrames(base), extractor, lambda features: clip_vectors(_first_of_pairs(features)))
    )


def _motion_space(extractor: TransNetClips) -> FeatureSpace:
    weights = f"{TRANSNETV2.distribution} {TRANSNETV2.version}, SHA-256 {TRANSNETV2.sha256}"
    about = "how clips go on in time, to a network trained to find cuts in real video"
    record = _record(extractor, extractor.resize, weights, about)
    return FeatureSpace("motion", record, extractor, [frechet(headline=True), kernel()])


def _add_pixels(found: Spaces) -> None:
    extractor = CoarsePixels()
    about = "Coarse pictures, 12 x 12 cells at 4 times; distances are in levels of 255. No network looks."
    found.neighbourhoods.append(Neighbourhood(about, extractor, extractor, plain=True))
    if not found.spaces:
        record = _record(extractor, "none", "", about)
        groups = [frechet(), kernel(), manifold(headline=True)]
        found.spaces.append(FeatureSpace("pixels", record, extractor, groups, swept=True))


def _field_spaces(settings: EvaluationSettings, device: torch.device) -> list[FeatureSpace]:
    """FVD and FID, or what is measured like them with other files, of the files that the user brings."""
    found = []
    for path, sha256, known, name in (
        (settings.fvd_weights, settings.fvd_sha256, I3D, "fvd"),
        (settings.inception_weights, settings.inception_sha256, INCEPTION, "inception"),
    ):
        if path is None and sha256 is not None:
            raise EvaluationError(f"{name}_sha256 is the hash of a file: name it with {name}_weights")
        if path is None:
            continue
        network = TorchScriptFeatures(path, known, sha256, device)
        frames = network.unit == "frames"
        extractor: FeatureExtractor = SomeFrames(network, pairs=False) if frames else network
        whose = "the field's own network" if network.score_name == known.score else "a network that the user named"
        about = f"{whose}; {PAIRS} frames of each clip at most" if frames else whose
        record = _record(extractor, network.resize, str(network.path), about)
        groups = [
            frechet(network.score_name, headline=True),
            kernel("KID" if network.score_name == INCEPTION.score else "Kernel distance"),
        ]
        found.append(FeatureSpace(known.score.lower(), record, extractor, groups))
    return found
