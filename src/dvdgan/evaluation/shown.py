"""The clips that a page of an evaluation shows, and which classes come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dvdgan.evaluation.record import Evaluation


@dataclass(frozen=True)
class ShownClips:
    """Clips to look at, all of the same T, H and W.

    Attributes:
        classes: by class, generated and real clips, each uint8 ``[N, T, H, W, 3]``, N about 3 to 8; either may be None.
            Unlabelled clips have the class ``""``.
        pairs: the clip and its nearest training clip, each uint8 ``[T, H, W, 3]``, in the order of
            ``Memorisation.pairs``; empty, or as many as there.
    """

    classes: Mapping[str, tuple[np.ndarray | None, np.ndarray | None]] = field(default_factory=dict)
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = ()


def by_worst(names: Iterable[str], evaluation: Evaluation) -> list[str]:
    """Classes with those that the classifier recognises least first; in their own order without a classifier."""
    known = evaluation.classifier.fidelity.by_class if evaluation.classifier else {}
    return sorted(names, key=lambda name: known[name].value or 0.0 if name in known else 1.0)
