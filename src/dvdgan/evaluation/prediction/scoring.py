"""How near a predictor's frames come to those that followed: the part `prediction` of the record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import torch
from scipy import stats

from dvdgan.data.progress import progress_bar
from dvdgan.evaluation.cache import CHUNK, Cache
from dvdgan.evaluation.clip_set import ClipSet, chunks, content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.st_lpips import ShiftTolerantLpips
from dvdgan.evaluation.measured import Measured
from dvdgan.evaluation.model_clips import model_set
from dvdgan.evaluation.prediction.measures import MOST_DB, FrameMeasure, Psnr, Ssim
from dvdgan.evaluation.prediction.naive import NAIVE, naive
from dvdgan.evaluation.prediction.results import FrameCurve, Prediction, PredictionMeasure
from dvdgan.evaluation.sets import Sets
from dvdgan.evaluation.settings import SEEDS_APART, EvaluationSettings
from dvdgan.models import Model

_VERSION = 1  # raised whenever other numbers are kept
_AT_ONCE = 8  # frames of each clip that are compared together: what a measure sees of them may be large
_CLIPS = 16  # starts whose clips are in memory at once

_PSNR = PredictionMeasure(
    key="psnr",
    name="PSNR",
    better="higher",
    unit="dB",
    about=f"Peak signal-to-noise ratio, of the mean squared error of pixels; at most {MOST_DB:g} dB.",
)
_SSIM = PredictionMeasure(
    key="ssim",
    name="SSIM",
    better="higher",
    about="Structural similarity in windows of 11 x 11 pixels; 1 is equal.",
)
_ST_LPIPS = PredictionMeasure(
    key="st-lpips",
    name="ST-LPIPS",
    better="lower",
    about="Perceptual distance, the shift-tolerant LPIPS on AlexNet; 0 is equal. Its numbers are not those of LPIPS.",
)

Values = dict[str, np.ndarray]
"""Of S starts: ``futures [S, N, T]``, ``between [S, T]`` (mean over pairs of futures), and ``[S, T]`` by baseline."""


def futures_of(model: Model, sets: Sets, settings: EvaluationSettings, cache: Cache) -> list[ClipSet]:
    """As many futures of each start as the settings say, the generated sets first; none unless the model predicts."""
    if not sets.given:
        return []
    options = settings.truncation, settings.frames, cache, sets.starts
    more = [
        model_set(model, sets.classes, sets.weights, sets.count, place * SEEDS_APART, *options)
        for place in range(len(sets.generated), settings.futures)
    ]
    return [*sets.generated, *more][: settings.futures]


def score_prediction(sets: Sets, futures: Sequence[ClipSet], device: torch.device, cache: Cache) -> Prediction:
    """Compare futures of held-out starts with how these went on.

    Args:
        sets: with `starts`; one that comes more than once counts once.
        futures: N sets of clips that go on from these starts.
        device: where networks run.
        cache: where what was found is kept.
    """
    assert sets.starts is not None
    rows = np.sort(np.unique(sets.starts.ids, return_index=True)[1])
    real, made = sets.starts.take(rows), [clips.take(rows) for clips in futures]
    kinds: list[tuple[PredictionMeasure, FrameMeasure]] = [(_PSNR, Psnr()), (_SSIM, Ssim())]
    missing = ""
    try:
        kinds.append((_ST_LPIPS, ShiftTolerantLpips(real.size, device)))
    except EvaluationError as error:
        missing = str(error)
    found: dict[str, Values] = {}
    with progress_bar("comparing futures", len(kinds) * len(real)) as advance:
        for record, measure in kinds:
            parts = []
            for chunk in chunks(range(len(real)), CHUNK):
                key = content_key(
                    *("prediction", _VERSION, measure.key, sets.given, real.key),
                    *([clips.key for clips in made], chunk.start, chunk.stop),
                )
                parts.append(
                    cache.arrays("prediction", key, partial(_of_chunk, measure, real, made, sets.given, chunk))
                )
                advance(len(chunk))
            found[record.key] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    measures = [_measure(record, found[record.key]) for record, _ in kinds]
    if missing:
        measures.append(_ST_LPIPS.model_copy(update={"missing": missing}))
    elif len(futures) < 2:
        missing = "one future of each start; it takes two (futures)"
    return Prediction(
        given=sets.given,
        made=real.frames - sets.given,
        starts=len(real),
        futures=len(futures),
        measures=measures,
        diversity=None if missing else _curve(found[_ST_LPIPS.key]["between"]),
        diversity_missing=missing,
    )


def _of_chunk(measure: FrameMeasure, real: ClipSet, made: Sequence[ClipSet], given: int, rows: range) -> Values:
    found: list[Values] = []
    for some in chunks(rows, _CLIPS):
        futures = np.stack([clips.read(some) for clips in made], 1)  # [S, N, T, H, W, 3]
        found += [compare(measure, *clips, given) for clips in zip(real.read(some), futures)]
    return {name: np.stack([values[name] for values in found]) for name in found[0]}


def compare(measure: FrameMeasure, real: np.ndarray, futures: np.ndarray, given: int) -> Values:
    """A real clip, and what was made of its first frames.

    Args:
        measure: what compares.
        real: uint8 ``[D + T, H, W, 3]``.
        futures: uint8 ``[N, D + T, H, W, 3]``.
        given: D, how many first frames were given; they are not compared.

    Returns:
        `Values` without the first axis, float64.
    """
    naively = {name: NAIVE[name](real, given)[given:] for name in naive(given)}
    naively["copied"] = naively["copied"][:1]  # all are equal
    made, parts = futures[:, given:], []
    for start in range(0, len(real) - given, _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        truth = measure.see(real[given:][block])
        seen = [measure.see(future[block]) for future in made]
        between = [measure.compare(one, other) for one, other in combinations(seen, 2)]
        part = {
            "futures": np.stack([measure.compare(future, truth) for future in seen]),
            "between": np.mean(between, 0) if between else np.zeros(len(real[given:][block])),
        }
        for name, frames in naively.items():
            part[name] = measure.compare(truth, measure.see(frames if len(frames) == 1 else frames[block]))
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts], -1) for name in parts[0]}


def _measure(record: PredictionMeasure, values: Values) -> PredictionMeasure:
    """Its curves: the futures', averaged; the best one's of each start; the baselines'; and the leads over these."""
    futures, sign = values["futures"], 1 if record.better == "higher" else -1
    best = np.argmax(sign * futures.mean(2), 1)  # [S]
    ways = {"mean": futures.mean(1), "best": futures[np.arange(len(futures)), best]}
    naively = {name: of for name, of in values.items() if name not in ("futures", "between")}
    curves = {name: _curve(of) for name, of in (ways | naively).items()}
    leads = {way: {name: _curve(sign * (of - base)) for name, base in naively.items()} for way, of in ways.items()}
    return record.model_copy(update={"curves": curves, "leads": leads})


def _curve(values: np.ndarray) -> FrameCurve:
    """The means over starts of ``[S, T]``, with their intervals; without, of a single start."""
    table = np.concatenate([values, values.mean(1, keepdims=True)], 1)
    means = table.mean(0)
    if len(table) < 2:
        *frames, overall = [Measured(value=value) for value in means.tolist()]
    else:
        over = f"95 % interval over {len(table)} starts"
        half = stats.t.ppf(0.975, len(table) - 1) * stats.sem(table)
        *frames, overall = [
            Measured(value=value, low=value - width, high=value + width, over=over)
            for value, width in zip(means.tolist(), half.tolist())
        ]
    return FrameCurve(frames=frames, overall=overall)
