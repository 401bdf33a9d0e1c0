"""The second step of a measurement: features of clips become a Gaussian, in fp64, in pieces, kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.errors import EvaluationError

FORMAT = "dvdgan-gaussian"
FORMAT_VERSION = "1"
_CHUNK_BYTES = 1 << 26  # of fp64 features that are summed at once


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance of the feature vectors of a set of clips.

    Attributes:
        mean: float64 ``[D]``.
        covariance: float64 ``[D, D]``, symmetric, unbiased (divided by ``count`` − 1).
        count: how many vectors it is made from, >= 2.
        clips: how many clips they come from; vectors of frames of one clip are not independent, so that this number,
            and not ``count``, says how sure the Gaussian is.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int
    clips: int

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        return len(self.mean)


@dataclass(frozen=True, eq=False)
class Moments:
    """Partial sums of feature vectors: what a chunk leaves behind, and what two chunks leave together.

    Kept about the chunk's own mean, so that nothing cancels however far the vectors lie from zero.

    Attributes:
        mean: float64 ``[D]``.
        scatter: float64 ``[D, D]``, the sum over vectors of the outer product of their deviation from ``mean``.
        count: vectors, >= 1.
        clips: clips that they come from.
    """

    mean: np.ndarray
    scatter: np.ndarray
    count: int
    clips: int

    @classmethod
    def of(cls, features: np.ndarray, what: str = "features") -> Moments:
        """Sum up features, ``[N, D]`` or ``[N, T', D]`` (several vectors for each of N clips), N >= 1.

        Raises:
            EvaluationError: no vectors, another shape, or numbers that are not finite.
        """
        features = checked_features(features, what)
        vectors = features.reshape(-1, features.shape[-1])
        rows = max(1, _CHUNK_BYTES // (8 * vectors.shape[1]))
        total: Moments | None = None
        for start in range(0, len(vectors), rows):
            chunk = vectors[start : start + rows].astype(np.float64)
            mean = chunk.mean(0)
            chunk -= mean
            part = cls(mean, chunk.T @ chunk, len(chunk), 0)
            total = part if total is None else total.merge(part)
        assert total is not None
        return cls(total.mean, total.scatter, total.count, len(features))

    def merge(self, other: Moments) -> Moments:
        """The sums of both, as if made at once (Chan, Golub and LeVeque 1983, eq. 2.1).

        Raises:
            EvaluationError: vectors of another length.
        """
        if self.mean.shape != other.mean.shape:
            raise EvaluationError(
                f"features of {len(self.mean)} and of {len(other.mean)} numbers do not go together; "
                "use one extractor for both"
            )
        count = self.count + other.count
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.count / count)
        between = np.outer(gap, gap) * (self.count * other.count / count)
        return Moments(mean, self.scatter + other.scatter + between, count, self.clips + other.clips)

    def gaussian(self) -> Gaussian:
        """The Gaussian of the vectors so far.

        Raises:
            EvaluationError: fewer than two vectors, which have no covariance.
        """
        if self.count < 2:
            raise EvaluationError("one feature vector has no covariance; give at least 2 clips")
        covariance = self.scatter / (self.count - 1)
        return Gaussian(self.mean, (covariance + covariance.T) / 2, self.count, self.clips)


def gaussian(features: np.ndarray, what: str = "features") -> Gaussian:
    """The Gaussian of features, ``[N, D]`` or ``[N, T', D]`` (several vectors for each of N clips).

    Args:
        features: any real type; summed in fp64 in bounded memory.
        what: what an error calls them, such as "real clips".

    Raises:
        EvaluationError: fewer than two vectors, another shape, or numbers that are not finite.
    """
    return Moments.of(features, what).gaussian()


def gaussian_of_chunks(chunks: Iterable[np.ndarray], what: str = "features") -> Gaussian:
    """`gaussian` of features that come in chunks of whole clips, none of which is kept.

    Raises:
        EvaluationError: as `gaussian`, or chunks whose vectors differ in length.
    """
    total: Moments | None = None
    for chunk in chunks:
        part = Moments.of(chunk, what)
        total = part if total is None else total.merge(part)
    if total is None:
        raise EvaluationError(f"{what}: there are none; give at least 2 clips")
    return total.gaussian()


def checked_features(features: np.ndarray, what: str = "features") -> np.ndarray:
    """Features as they came, if they are finite numbers ``[N, D]`` or ``[N, T', D]`` with none of these zero.

    Raises:
        EvaluationError: they are not.
    """
    features = np.asarray(features)
    if features.ndim not in (2, 3) or not np.issubdtype(features.dtype, np.number):
        raise EvaluationError(
            f"{what}: features are numbers [N, D] or [N, T, D], not {features.dtype} {list(features.shape)}"
        )
    if not features.size:
        raise EvaluationError(f"{what}: features of shape {list(features.shape)} are empty; give at least 2 clips")
    finite = np.isfinite(features).reshape(len(features), -1).all(1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise EvaluationError(
            f"{what}: the features of clip {row} (counted from 0), and of {int((~finite).sum()) - 1} more, are not "
            "finite; look at that clip, and at the extractor's precision"
        )
    return features


def save_gaussian(path: Path, gaussian: Gaussian, key: str) -> None:
    """Write a Gaussian to a safetensors file, whole or not at all.

    Args:
        path: where; folders are made.
        gaussian: what.
        key: names the content that it was made from (clips, extractor); `load_gaussian` wants the same one.

    Raises:
        EvaluationError: it cannot be written.
    """
    tensors = {"mean": gaussian.mean, "covariance": np.ascontiguousarray(gaussian.covariance)}
    numbers = {"key": key, "count": str(gaussian.count), "clips": str(gaussian.clips)}
    about = {"format": FORMAT, "version": FORMAT_VERSION, **numbers, "sha256": _digest(tensors, numbers)}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, about)
    except (SafetensorError, OSError) as error:
        raise EvaluationError(
            f"{path}: cannot be written ({error}); make room there, or choose another place"
        ) from None


def load_gaussian(path: Path, key: str) -> Gaussian:
    """Read what `save_gaussian` wrote under the same key.

    Raises:
        EvaluationError: the file is missing, damaged, of another key, or no Gaussian of dvdgan.
    """
    mend = "delete it, and it is made again"
    if not path.is_file():
        raise EvaluationError(f"{path}: there is no such file; evaluate the clips to make it")
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT or about.get("version") != FORMAT_VERSION:
                raise EvaluationError(f"{path}: not statistics of this dvdgan; {mend}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        numbers = {name: about[name] for name in ("key", "count", "clips")}
        if _digest(tensors, numbers) != about["sha256"]:
            raise ValueError("its checksum differs")
        if numbers["key"] != key:
            raise EvaluationError(f"{path}: made from other clips or by another extractor; {mend}")
        return Gaussian(tensors["mean"], tensors["covariance"], int(numbers["count"]), int(numbers["clips"]))
    except EvaluationError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise EvaluationError(f"{path}: damaged ({' '.join(str(error).split())}); {mend}") from None


def kept_gaussian(cache: Path | None, key: str, make: Callable[[], Gaussian]) -> Gaussian:
    """The Gaussian of a key, from the cache if it is there whole, else made and put there.

    Args:
        cache: a folder; None makes it anew each time.
        key: a hex digest of everything that determines it.
        make: makes it; what it raises is passed on.
    """
    if cache is None:
        return make()
    path = cache / f"gaussian-{key}.safetensors"
    if path.exists():
        try:
            return load_gaussian(path, key)
        except EvaluationError:
            path.unlink()
    made = make()
    save_gaussian(path, made, key)
    return made


def _digest(tensors: dict[str, np.ndarray], numbers: dict[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(numbers.items())).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype.str} {list(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
