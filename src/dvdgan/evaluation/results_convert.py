"""From what was measured to its record: scores, floors, the classifier's file and pass rates as parts of an
evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dvdgan.evaluation import record as parts
from dvdgan.evaluation import record as records
from dvdgan.evaluation.metrics.intervals import wilson
from dvdgan.evaluation.metrics.scores import ClassScores, Score, Spread

if TYPE_CHECKING:
    from dvdgan.evaluation.behaviours.scoring import PassRate
    from dvdgan.evaluation.metrics.baselines import Floor
    from dvdgan.evaluation.metrics.classification import Fidelity


def measured(score: Score) -> parts.Measured:
    """A score's value with its spread, or the reason why it has none."""
    if score.value is None:
        return parts.Measured(missing=score.reason or "not measured")
    spread = score.spread or Spread("", None, None, None)
    whole = spread.low is not None and spread.high is not None
    return parts.Measured(
        value=score.value,
        spread=spread.deviation,
        low=spread.low if whole else None,
        high=spread.high if whole else None,
        over=spread.kind,
    )


def floor(found: Floor | None, missing: str = "not measured") -> records.Baseline:
    """A floor; ``missing`` says why there is none."""
    if found is None or found.mean is None or found.low is None or found.high is None:
        return records.Baseline(missing=missing if found is None else found.note or missing)
    return records.Baseline(
        mean=found.mean,
        low=found.low,
        high=found.high,
        repeats=found.draws,
        counts=(found.standins, found.reference),
        note=found.note or "",
    )


def score(
    key: str,
    overall: Score,
    beneath: records.Baseline,
    controls: Mapping[str, Score] | None = None,
    classes: ClassScores | None = None,
    class_floors: Mapping[str, float] | None = None,
    about: str = "",
    headline: bool = False,
) -> records.Score:
    """The record of one score; ``overall.measured_with`` names its space.

    Args:
        key: its name in the record.
        overall: of generated clips.
        beneath: its floor.
        controls: by damage, of real clips damaged so.
        classes: class by class; None without.
        class_floors: by class, the mean of real against real at the class's counts.
        about: what it measures, in one plain sentence.
        headline: whether the summary shows it.
    """
    return records.Score(
        key=key,
        name=overall.name,
        space=overall.measured_with,
        better=overall.better,
        about=about,
        headline=headline,
        overall=measured(overall),
        baseline=beneath,
        generated_count=overall.counts.generated,
        real_count=overall.counts.real or None,
        controls={
            damage: records.Control.make(measured(control), beneath, overall.better)
            for damage, control in (controls or {}).items()
        },
        per_class={
            label: records.ClassScore(
                value=part.value,
                baseline=None if part.value is None else (class_floors or {}).get(label),
                counts=(part.counts.generated, part.counts.real),
                missing="" if part.value is not None else part.reason or "not measured",
            )
            for label, part in (classes.by_class if classes else {}).items()
        },
        warnings=[*overall.warnings, *([beneath.note] if beneath.note else [])],
    )


def share(hits: int, of: int, missing: str = "no clips") -> parts.Share:
    """A share with its Wilson interval; ``missing`` says why it was not measured if it is one of none."""
    if not of:
        return parts.Share(missing=missing)
    low, high = wilson(hits, of)
    return parts.Share(hits=hits, of=of, low=low, high=high)


def classifier(
    about: Mapping[str, Any],
    path: str,
    weights_sha256: str,
    trained_on: str,
    titles: Mapping[str, str],
    generated: Fidelity | None,
    missing: str = "no generated clips have a class",
) -> parts.Classifier:
    """The classifier, from its own file and what it says of generated clips.

    Args:
        about: the content of its classifier.json.
        path: its directory.
        weights_sha256: of its weights.
        trained_on: data and part, in words.
        titles: `dvdgan.evaluation.classifier.report.TITLES`, the first of them that of clips.
        generated: what it takes generated clips for.
        missing: why that is None.
    """
    accuracy, classes = about["accuracy"], list(about["classes"])
    clips, *rest = titles
    matrix = None if generated is None else generated.confusion
    right = 0 if matrix is None else int(matrix.trace())
    return parts.Classifier(
        path=path,
        key=weights_sha256,
        trained_on=trained_on,
        accuracy=_share(accuracy[clips]),
        still={titles[name]: _share(accuracy[name]) for name in rest if name in accuracy},
        chance=accuracy["chance"],
        fidelity=share(right, 0 if matrix is None else int(matrix.sum()), missing),
        fidelity_by_class={}
        if generated is None or matrix is None
        else {label: share(int(matrix[k, k]), int(matrix[k].sum())) for k, label in enumerate(generated.classes)},
        accuracy_by_class={label: _share(entry) for label, entry in accuracy[clips]["by_class"].items()},
        confusion_real=parts.Confusion(classes=classes, counts=accuracy[clips]["confusion"]),
        confusion_generated=None
        if generated is None or matrix is None
        else parts.Confusion(classes=list(generated.classes), counts=matrix.tolist()),
    )


def behaviours(
    rates: Mapping[str, Mapping[str, PassRate]],
    thresholds: str,
    about: Mapping[str, str] | None = None,
    may_pass: Mapping[str, tuple[str, ...]] | None = None,
) -> parts.Behaviours:
    """Pass rates of each class and of all.

    Args:
        rates: ``[class][set]``, as from `dvdgan.evaluation.behaviours.scoring.score_sets`.
        thresholds: version and hash of the thresholds.
        about: by class, what a clip does that passes.
        may_pass: by class, controls that may pass.
    """
    sets = list(dict.fromkeys(kind for of_class in rates.values() for kind in of_class))
    return parts.Behaviours(
        thresholds=thresholds,
        overall={
            kind: share(
                sum(of_class[kind].passed for of_class in rates.values() if kind in of_class),
                sum(of_class[kind].count for of_class in rates.values() if kind in of_class),
            )
            for kind in sets
        },
        by_class=[
            parts.Behaviour(
                label=label,
                about=(about or {}).get(label, ""),
                rates={kind: share(rate.passed, rate.count) for kind, rate in of_class.items()},
                may_pass=list((may_pass or {}).get(label, ())),
                failures=dict(of_class["generated"].failures) if "generated" in of_class else {},
            )
            for label, of_class in rates.items()
        ],
    )


def _share(entry: Mapping[str, Any]) -> parts.Share:
    """A share as classifier.json has it."""
    return share(int(entry["hits"]), int(entry["of"]))
