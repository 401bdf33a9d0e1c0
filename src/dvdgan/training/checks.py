"""Health checks of a training: do samples vary, is each class recognisable, how far are they from real clips?

No network and no download: fixed hand-made features of colour, texture, change and motion, and statistics in closed
form. The numbers compare checks of one run with one another; they mean nothing across runs or papers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.errors import DataError
from dvdgan.evaluation.metrics.frechet import Gaussian, frechet_distance, gaussian
from dvdgan.training.hand_made import WEIGHTS, describe

_FEWEST_REAL = 8  # real clips, in all, for a distance; of a class, for trusting its accuracy
_FEWEST = 4  # clips for an average over pairs, or for four folds
_FOLDS = 4
_RIDGES = (1.0, 0.1, 0.01)  # strengths of regularisation that are tried, the smoothest first
_KERNEL_WIDTH = 3.0  # in mean squared distances of two real clips: wide, so that blurred clips are still recognised
_TRUSTED = 0.6  # accuracy on real clips

_FAINT = 0.01  # deviation within a map of a layout, black to white = 1, below which a clip counts as blank
_ALIKE = 0.05  # variety of real clips, 0 to 1, below which nothing is said of samples
_COMPONENTS = 32
_MOST_COMPARED = 256  # clips in an average over pairs
_MOST_FOR_AXES = 1024  # clips in the eigenvectors


@dataclass(frozen=True)
class SampleCheck:
    """What a `SampleChecker` found in samples; four significant digits, never NaN.

    Attributes:
        distance: from the real clips, >= 0, to compare with `SampleChecker.baseline` and with earlier checks of the run
            at the same number of samples; None with fewer than 8 real clips or 4 samples, or where real clips are all
            equal.
        diversity: how much layouts (where and when clips have edges and change) vary over all samples, whatever their
            class, in units of real clips: 0 all alike, 1 as varied as real ones. Recoloured copies are alike. None with
            fewer than 4 samples or 4 real clips, or where real clips hardly vary.
        diversity_by_class: the same among the samples of one class; no entry where `diversity` would be None.
        accuracy: share of the samples that are taken for their own class; None without labels or without two classes.
        accuracy_by_class: the same for each class that has both samples and real clips. 0 is a finding only for
            `SampleChecker.usable_classes`.
    """

    distance: float | None
    diversity: float | None
    diversity_by_class: dict[str, float]
    accuracy: float | None
    accuracy_by_class: dict[str, float]

    @property
    def score(self) -> float | None:
        """The distance, more where samples are alike, by which checkpoints of a run compare: lower is better.

        The distance alone likes sharp clips that are all alike better than varied blurred ones; so it is divided by the
        square root of the diversity, of the classes' median where there are classes, which is at most 1 here.
        """
        overall = [] if self.diversity is None else [self.diversity]
        known = list(self.diversity_by_class.values()) or overall
        if self.distance is None or not known:
            return self.distance
        return rounded(self.distance / float(np.sqrt(np.clip(np.median(known), 0.01, 1.0))))


class SampleChecker:
    """What real clips look like, in fixed hand-made features: finds samples' variety, classes and distance from real.

    Use `SampleChecker.fit`. Nothing is random: equal clips give equal numbers.

    Attributes:
        real_accuracy_by_class: share of each class's real clips that a classifier made from the others recognises, for
            classes with at least 4 real clips.
        usable_classes: the classes that it recognises well (from 0.6, or from half-way between chance and 1 where that
            is more) over at least 8 real clips; of the others, samples that are never right say nothing.
        baseline: distance between two halves of the real clips, one of them as few as a check's samples; None with
            fewer than 8 real clips, or where they are all equal.
    """

    def __init__(
        self, dataset: ClipDataset, features: np.ndarray, layouts: np.ndarray, labels: np.ndarray, check_clips: int
    ) -> None:
        """Make the statistics of clips of a data set, in ascending order of labels, from what `describe` gives."""
        self._classes, self._shape = dataset.classes, (dataset.frames, dataset.size, dataset.size, 3)
        of_class = {int(k): np.flatnonzero(labels == k) for k in np.unique(labels)} if dataset.classes else {}
        self._variety = _variety(layouts)
        self._variety_by_class = {k: _variety(layouts[rows]) for k, rows in of_class.items()}

        self._mean, self._spread = features.mean(0, np.float64), features.std(0, np.float64) + 0.01
        points = self._standardise(features)
        self._axes = _principal_axes(points)
        enough = len(points) >= _FEWEST_REAL and self._axes.size > 0
        self._gaussian = _gaussian(points @ self._axes) if enough else None
        self.baseline = _baseline(points @ self._axes, check_clips) if enough else None

        self._classifier = _Classifier(points, labels) if enough and len(of_class) > 1 else None
        right = {k: self._classifier.held_out[rows] == k for k, rows in of_class.items()} if self._classifier else {}
        real = {k: rounded(hits.mean()) for k, hits in right.items() if len(hits) >= _FEWEST}
        good = max(_TRUSTED, (1 + 1 / max(1, len(of_class))) / 2)
        self.real_accuracy_by_class = {self._classes[k]: accuracy for k, accuracy in real.items()}
        self.usable_classes = tuple(
            self._classes[k] for k, accuracy in real.items() if accuracy >= good and len(right[k]) >= _FEWEST_REAL
        )

    @classmethod
    def fit(
        cls,
        dataset: ClipDataset,
        limit: int = 2000,
        check_clips: int = 128,
        most_bytes: int = 1 << 30,
        labels: np.ndarray | None = None,
    ) -> SampleChecker:
        """Learn what real clips look like.

        Args:
            dataset: where real clips come from: the first ones of each class, as evenly over classes as they last.
                With fewer than 8 in all only diversity is measured, with fewer than 4 nothing.
            limit: how many clips at most, in all; of more classes than that some go unseen.
            check_clips: how many samples a check will have; only `baseline` depends on it.
            most_bytes: how many bytes of pixels are read at most (but at least one clip).
            labels: the classes that samples will have, int64 ``[K]``; None is all that have clips.
        """
        total = max(1, min(limit, most_bytes // (dataset.frames * dataset.size**2 * 3)))
        own = np.isin(dataset.labels, labels) if labels is not None and len(labels) else np.ones(len(dataset), bool)
        labels, counts = np.unique(dataset.labels[own], return_counts=True)
        labels, counts = labels[_evenly(len(labels), total)], counts[_evenly(len(labels), total)]
        most = max(n for n in range(1, total + 1) if np.minimum(counts, n).sum() <= total)
        seen = []
        for label in labels:
            clips = dataset.reference(int(label), most)
            if not len(clips):  # files that turn out to be unreadable
                continue
            if dataset.mirrored[label] == label:  # training sees half of them mirrored
                clips[1::2] = clips[1::2, :, :, ::-1].copy()
            seen.append((*describe(clips), np.full(len(clips), label)))
        if not seen:
            raise DataError(f"{dataset.store.path}: no clip of it can be read; see the messages above")
        features, layouts, labels = (np.concatenate(parts) for parts in zip(*seen))
        return cls(dataset, features, layouts, labels, check_clips)

    def check(self, clips: np.ndarray, labels: np.ndarray | None = None) -> SampleCheck:
        """Measure samples.

        Args:
            clips: uint8 ``[M, T, H, W, 3]``, of the real clips' length and size; M >= 1.
            labels: int64 ``[M]``, the class that each was made for; None, or ignored, without classes.

        Raises:
            ValueError: no clips, clips of another shape or type, or labels that do not fit them.
        """
        if clips.dtype != np.uint8 or clips.shape[1:] != self._shape or not len(clips):
            raise ValueError(f"clips are uint8 {['M', *self._shape]}, not {clips.dtype} {list(clips.shape)}")
        if labels is None or not self._classes:
            labels = np.full(len(clips), -1)
        elif labels.shape != clips.shape[:1] or not np.isin(labels, range(len(self._classes))).all():
            raise ValueError(f"{len(clips)} clips need as many labels from 0 to {len(self._classes) - 1}")
        features, layouts = describe(clips)
        points = self._standardise(features)
        distance = None
        if self._gaussian is not None and len(clips) >= _FEWEST:
            distance = rounded(frechet_distance(self._gaussian, _gaussian(points @ self._axes)) ** 0.5)
        diversity = {k: _ratio(_variety(layouts[labels == k]), real) for k, real in self._variety_by_class.items()}
        guesses = self._classifier(points) if self._classifier else labels
        known = [int(k) for k in np.unique(labels) if self._classifier and k in self._classifier.labels]
        return SampleCheck(
            distance=distance,
            diversity=_ratio(_variety(layouts), self._variety),
            diversity_by_class={self._classes[k]: ratio for k, ratio in diversity.items() if ratio is not None},
            accuracy=rounded((guesses == labels)[np.isin(labels, known)].mean()) if known else None,
            accuracy_by_class={self._classes[k]: rounded((guesses[labels == k] == k).mean()) for k in known},
        )

    def _standardise(self, features: np.ndarray) -> np.ndarray:
        """Features ``[N, D]`` in units of the real ones' spread, cut off at 5, so that no odd clip outweighs all."""
        return np.clip((features - self._mean) / self._spread, -5, 5) * WEIGHTS


class _Classifier:
    """Kernel ridge regression onto classes, each class with the same weight whatever its number of clips.

    Attributes:
        labels: int64 ``[K]``, the classes that it knows.
        held_out: int64 ``[N]``, what it takes each of its own clips for when made without that clip's quarter of the
            class: clips that follow one another, because neighbours in a folder are often cut from one film.
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray) -> None:
        """Choose the regularisation by cross-validation; points ``[N, D]``, labels ``[N]`` in ascending order."""
        self.labels, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._points = points
        self._width = _KERNEL_WIDTH * 2 * float(points.var(0).sum()) or 1.0
        kernel = self._kernel(points)
        targets = np.eye(len(counts))[rows] - 1 / len(counts)
        ridge = counts[rows] / counts.mean()
        folds = np.concatenate([np.arange(count) * _FOLDS // count for count in counts])
        best, chosen, self.held_out = -1.0, _RIDGES[0], np.full(len(labels), -1)
        for strength in _RIDGES if counts.max() >= _FEWEST else ():
            guesses = np.empty(len(labels), np.int64)
            for fold in range(_FOLDS):
                out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
                ridged = kernel[np.ix_(rest, rest)] + np.diag(strength * ridge[rest])
                weights = linalg.solve(ridged, targets[rest], assume_a="pos")
                guesses[out] = self.labels[(kernel[np.ix_(out, rest)] @ weights).argmax(1)]
            score = float(((guesses == labels) / counts[rows]).sum())
            if score > best:
                best, chosen, self.held_out = score, strength, guesses
        self._weights = linalg.solve(kernel + np.diag(chosen * ridge), targets, assume_a="pos")

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The class that each of points ``[M, D]`` is taken for, int64 ``[M]``."""
        return self.labels[(self._kernel(points) @ self._weights).argmax(1)]

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        squared = (points**2).sum(1)[:, None] + (self._points**2).sum(1) - 2 * points @ self._points.T
        return np.exp(-np.maximum(squared, 0) / self._width)


def _variety(layouts: np.ndarray) -> float | None:
    """How much layouts ``[N, 2, P]`` differ, from 0 to about 1; None with fewer than 4.

    One less the correlation of two clips' maps, averaged over pairs and over the two maps. Recoloured copies correlate;
    blank clips count as equal.
    """
    if len(layouts) < _FEWEST:
        return None
    maps = layouts[_evenly(len(layouts), _MOST_COMPARED)].astype(np.float64)
    maps -= maps.mean(2, keepdims=True)
    maps /= np.sqrt((maps**2).mean(2, keepdims=True)) + _FAINT
    similarity = np.einsum("imp,jmp->ij", maps, maps) / maps[0].size
    n = len(maps)
    return max(0.0, float((n * np.trace(similarity) - similarity.sum()) / (n * (n - 1))))


def _ratio(samples: float | None, real: float | None) -> float | None:
    return None if samples is None or real is None or real < _ALIKE else rounded(samples / real)


def _principal_axes(points: np.ndarray) -> np.ndarray:
    """Orthonormal principal axes of points ``[N, D]`` with mean 0, ``[D, d]``: 32, and at most a quarter of N."""
    some = points[_evenly(len(points), _MOST_FOR_AXES)]
    values, vectors = np.linalg.eigh(some @ some.T)
    largest = np.flatnonzero(values > 1e-9 * max(1.0, values[-1]))[::-1][: min(_COMPONENTS, len(points) // 4)]
    return some.T @ (vectors[:, largest] / np.sqrt(values[largest]))


def _gaussian(coordinates: np.ndarray) -> Gaussian:
    """The Gaussian of ``[N, d]``, with the covariances between axes shrunk by d / (d + N)."""
    n, d = coordinates.shape
    plain = gaussian(coordinates)
    deviations = np.diag(np.sqrt((plain.factor**2).sum(1)))
    return Gaussian(plain.mean, np.concatenate([n**0.5 * plain.factor, d**0.5 * deviations], axis=1) / (n + d) ** 0.5)


def _baseline(coordinates: np.ndarray, count: int) -> float:
    """Mean distance of samples of `count` from one half of the real clips to the other half."""
    distances = []
    for drawn, rest in ((coordinates[::2], coordinates[1::2]), (coordinates[1::2], coordinates[::2])):
        parts = max(1, len(drawn) // max(_FEWEST, count))
        distances += [
            frechet_distance(_gaussian(rest), _gaussian(drawn[i::parts])) ** 0.5 for i in range(min(parts, 4))
        ]
    return rounded(float(np.mean(distances)))


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of `count` rows, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def rounded(value: float) -> float:
    """Four significant digits, and nothing below a millionth, so that logs compare equal."""
    return round(float(f"{value:.4g}"), 6)
