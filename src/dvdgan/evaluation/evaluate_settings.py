"""How much an evaluation looks at, and at what."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dvdgan.evaluation.errors import EvaluationError

SEEDS_APART = 1_000_000
"""The first seed of each set of a model's clips lies so far from that of the set before: sets share no seed, and the
clips of a smaller set are the first of a larger one."""

_MOST = 500  # clips of a set, unless asked for
_CLASSES = 9  # as many clips as of so many classes, where there are fewer
_FRAMES_224_FROM = 96  # pixels of a clip from which EfficientNet sees frames at 224 px, and at 128 px below


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured.

    Attributes:
        num: generated clips of each set, and held-out clips that stand in for them in floors and controls; None is
            `per_class` of each class (of 9, where there are fewer), at most 500, and no more than held-out clips.
        per_class: see `num`.
        seeds: sets of generated clips, each of other seeds; scores are their mean, with the deviation over them.
        truncation: of the model's noise, above 0 and at most 1.
        truncations: the points of the curve over truncation; fewer than two leave it out.
        size: height and width of the clips in a folder, in pixels; None asks the data, then the classifier, else 64.
        frames: frames per clip; None is the model's, then the classifier's, else 12.
        controls: whether damaged real clips are scored.
        frame_size: height and width at which EfficientNet sees frames, in pixels; None is 128 for clips below 96 px and
            224 for others.
        windows: training clips are looked up in at most so many windows, in each of the spaces.
        floor_draws: draws of real against real.
        shown: clips of each class that the page shows on each side.
        pairs: nearest pairs that the page shows of each kind, in each of the spaces.
        seed: of the choice of clips, of damages and of every draw.
    """

    num: int | None = None
    per_class: int = 20
    seeds: int = 3
    truncation: float = 1.0
    truncations: tuple[float, ...] = (1.0, 0.8, 0.6, 0.44)
    size: int | None = None
    frames: int | None = None
    controls: bool = True
    frame_size: int | None = None
    windows: int = 10_000
    floor_draws: int = 10
    shown: int = 4
    pairs: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of their range.

        Raises:
            EvaluationError: one is; it is named.
        """
        least = {"per_class": 1, "seeds": 1, "windows": 1, "floor_draws": 1, "shown": 0, "pairs": 0, "seed": 0}
        optional = {"num": 2, "size": 16, "frames": 1, "frame_size": 32}
        for name, low in {**least, **optional}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise EvaluationError(f"{name.replace('_', '-')} must be {low} or more, not {value}")
        if self.num is not None and self.num > SEEDS_APART:
            raise EvaluationError(f"num must be at most {SEEDS_APART}, not {self.num}")
        for value in (self.truncation, *self.truncations):
            if not 0 < value <= 1:
                raise EvaluationError(f"a truncation is above 0 and at most 1, not {value:g}")

    @classmethod
    def quick(cls, **changes: object) -> EvaluationSettings:
        """A small form that takes a minute or two: 10 clips per class, two seeds, no curve, no controls."""
        small = cls(per_class=10, seeds=2, truncations=(), controls=False, windows=3000, floor_draws=5)
        return replace(small, **changes)  # type: ignore[arg-type]

    def clips(self, classes: int) -> int:
        """How many clips a set of so many classes has; 0 where there are none."""
        return self.num or min(self.per_class * max(classes, _CLASSES), _MOST)

    def seen_at(self, size: int) -> int:
        """At how many pixels EfficientNet sees the frames of clips of a size."""
        return self.frame_size or (224 if size >= _FRAMES_224_FROM else 128)


def numbers(text: str, what: str) -> tuple[float, ...]:
    """Numbers that are separated by commas; none of an empty text.

    Raises:
        EvaluationError: something else is between the commas.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise EvaluationError(f"{what}: {text!r} is no list of numbers, such as 1,0.8,0.6") from None
