"""The page of an evaluation: one file that shows its scores, clips and neighbours, and needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from dvdgan import __version__
from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.record import ClipList, Evaluation, Measured, Pair, Share
from dvdgan.evaluation.shown import by_worst
from dvdgan.report.evaluation import words as page_words
from dvdgan.report.evaluation.answers import answers, headlines
from dvdgan.report.evaluation.charts import curve, heat_map, histogram, share_bar, tradeoff
from dvdgan.report.evaluation.media import BUDGET, EvaluationMedia, Movie, movies
from dvdgan.report.evaluation.tables import by_space, class_table, control_table, most_confused, score_groups
from dvdgan.report.run_page import Fact, duration, words
from dvdgan.report.templates import page_environment

SHOWN_CLASSES = 12
"""With more classes than this, the rest is folded away."""

MOST_MOVING = 120
"""Classes whose clips a page holds: with more, each would have to be too small."""

_LISTED_CLIPS = 2000  # ids of clips that the page lists on each side; the JSON has all


@dataclass(frozen=True)
class Picture:
    """A drawing with its heading."""

    title: str
    about: str
    drawing: Markup


@dataclass(frozen=True)
class Shown:
    """Clips of a class, or a clip and its nearest training clip."""

    name: str
    movie: Movie
    pair: Pair | None = None


def write_evaluation_page(
    results: Evaluation, media: EvaluationMedia | None, out: Path, *, budget: int = BUDGET
) -> Path:
    """Write one self-contained HTML page about an evaluation.

    It loads nothing from anywhere, follows the reader's choice of light or dark, and is whole or absent.

    Args:
        results: the evaluation.
        media: the clips that it shows; None shows none.
        out: the file to write; folders on the way are made.
        budget: bytes for all the pictures, before base64 makes them a third larger.

    Returns:
        The page's path.

    Raises:
        EvaluationError: clips that do not fit each other or the results, or a page that cannot be written.
    """
    out = Path(out)
    if out.is_dir():
        raise EvaluationError(f"{out}: is a directory; name a file, such as {out / 'evaluation.html'}")
    media = media or EvaluationMedia(fps=results.evaluated.clips.fps)
    page = _template().render(
        results=results,
        version=__version__,
        facts=_header_facts(results),
        headlines=headlines(results),
        answers=answers(results),
        warned=[(f"{score.name}, {score.space}", score.warnings) for score in results.scores if score.warnings],
        groups=score_groups(results),
        controls=control_table(results),
        unseen=results.unseen(),
        by_class=class_table(results),
        curves=_curves(results),
        tradeoffs=_tradeoffs(results),
        swept_over=_swept_over(results),
        classifier_rates=_classifier_rates(results),
        confusions=_confusions(results),
        histograms={n.space: histogram(n.histogram, n.threshold) for n in _spaces(results) if n.histogram},
        settings=_settings(results),
        config=yaml.safe_dump(results.evaluated.config, sort_keys=False) if results.evaluated.config else "",
        clip_lists=[_listed("Generated", results.evaluated.clips), _listed("Real", results.reference.clips)],
        shown_classes=SHOWN_CLASSES,
        **_moving(results, media, budget),
    )
    try:
        with atomic_path(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    return out


def _template() -> Any:
    environment = page_environment("dvdgan.report")
    named = ("number", "percent", "share", "share_interval", "clips", "moment")
    environment.filters |= {name: getattr(page_words, name) for name in named}
    environment.globals["share_bar"] = share_bar
    return environment.get_template("evaluation.html.j2")


def _header_facts(results: Evaluation) -> list[Fact]:
    evaluated, reference = results.evaluated, results.reference
    clips, seconds = evaluated.clips, sum(results.seconds.values())
    found = {
        "Generated": page_words.clips(clips.count),
        "Real": f"{page_words.clips(reference.clips.count)}, {reference.split}",
        "Each clip": f"{clips.frames} frames, {clips.size}×{clips.size}, {clips.fps:g} fps",
        "Classes": len(results.classes) or "none (unlabelled)",
        "Seeds": ", ".join(map(str, evaluated.seeds[:6])) + (" …" if len(evaluated.seeds) > 6 else ""),
        "Truncation": "" if evaluated.truncation is None else f"{evaluated.truncation:g}",
        "Weights": (evaluated.weights_sha256 or "")[:12],
        "Took": f"{duration(seconds)}, without what earlier runs kept" if seconds else "",
    }
    return [Fact(heading, str(fact)) for heading, fact in found.items() if fact]


def _spaces(results: Evaluation) -> list[Any]:
    return results.memorisation.spaces if results.memorisation else []


def _moving(results: Evaluation, media: EvaluationMedia, budget: int) -> dict[str, Any]:
    """Videos of the classes, the worst first where there are many, and of the pairs of each kind."""
    pairs = results.memorisation.pairs if results.memorisation else []
    if media.pairs and len(media.pairs) != len(pairs):
        raise EvaluationError(f"{len(media.pairs)} pairs of clips, but the results have {len(pairs)}; give as many")
    unknown = sorted(set(media.classes) - {*results.classes, ""})
    if unknown:
        raise EvaluationError(f"clips of the class {unknown[0]!r}, which the results do not have; name one of theirs")
    order = by_worst(media.classes, results) if len(media.classes) > SHOWN_CLASSES else list(media.classes)
    kept = {name: media.classes[name] for name in order[:MOST_MOVING]}
    by_class, by_pair = movies(replace(media, classes=kept), budget)
    films: list[Movie | None] = [*by_pair] or [None] * len(pairs)
    shown = [Shown(pair.clip, film or Movie(None, None, False, False), pair) for pair, film in zip(pairs, films)]
    return {
        "movies": [Shown(name, movie) for name, movie in by_class.items() if movie.video],
        "not_moving": [name for name in order if name not in by_class or not by_class[name].video],
        "both_sides": any(movie.left and movie.right for movie in by_class.values()),
        "pairs": [
            (kind, [entry for entry in shown if entry.pair and entry.pair.kind == kind])
            for kind in ("generated", "held out")
        ],
        "pair_spaces": list(dict.fromkeys(pair.space for pair in pairs)),
    }


def _curves(results: Evaluation) -> list[Picture]:
    points = results.sweep.points if results.sweep else []
    made = []
    for score in results.scores:
        swept = [(point.truncation, point.values[score.key]) for point in points if score.key in point.values]
        if any(value.value is not None for _, value in swept):
            about = f"{score.space}; {page_words.better(score.better)}"
            made.append(Picture(score.name, about, curve(score.name, swept, score.baseline, score.better)))
    return made


def _swept_over(results: Evaluation) -> list[str]:
    points = results.sweep.points if results.sweep else []
    return list(dict.fromkeys(value.over for point in points for value in point.values.values() if value.over))


def _tradeoffs(results: Evaluation) -> list[Picture]:
    """In each space, the first score that should be low against each that should be high."""
    points = results.sweep.points if results.sweep else []
    made = []
    for space, scores in by_space(results):
        low = next((score for score in scores if score.better == "lower"), None)
        for high in scores if low else ():
            if high.better == "higher" and low:
                both = [
                    (point.truncation, x.value, y.value)
                    for point in points
                    for x, y in [(point.values.get(low.key, _NONE), point.values.get(high.key, _NONE))]
                    if x.value is not None and y.value is not None
                ]
                if len(both) > 1:
                    title = f"{high.name} against {low.name}"
                    about = f"{space.name}; better is up and to the left. Numbers at the points: truncation."
                    made.append(Picture(title, about, tradeoff(low.name, high.name, both)))
    return made


_NONE = Measured(missing="not in the sweep")


def _confusions(results: Evaluation) -> list[tuple[Picture, list[str]]]:
    classifier = results.classifier
    sides = [
        ("Real clips", "held out; rows: their class", classifier.confusion_real if classifier else None),
        ("Generated clips", "rows: the class that was asked", classifier.confusion_generated if classifier else None),
    ]
    return [
        (Picture(title, about, heat_map(confusion, title.split()[0].lower())), most_confused(confusion))
        for title, about, confusion in sides
        if confusion
    ]


def _classifier_rates(results: Evaluation) -> dict[str, Share]:
    classifier = results.classifier
    return {"generated": classifier.fidelity, "real": classifier.accuracy, **classifier.still} if classifier else {}


def _settings(results: Evaluation) -> list[tuple[str, list[Fact]]]:
    """Tables of facts with their headings."""
    evaluated, reference = results.evaluated, results.reference
    tables: dict[str, dict[str, Any]] = {
        "What was evaluated": {
            "kind": "a model" if evaluated.kind == "model" else "a folder of clips",
            "path": evaluated.path,
            "seeds": evaluated.seeds,
            "truncation": evaluated.truncation,
            "weights, SHA-256": evaluated.weights_sha256,
            "clips, key": evaluated.clips.key,
        },
        "Against what": {
            "data": reference.path,
            "part": reference.split,
            "stride": reference.stride,
            "resize": reference.resize,
            "clips, key": reference.clips.key,
        },
        "How": {name.replace("_", " "): value for name, value in results.settings.items()},
        "Feature spaces": {
            space.name: f"{space.dimension:,} numbers per {'clip' if space.unit == 'clip' else 'frame'}"
            + "".join(f"; {part}" for part in (space.resize, space.weights, f"key {space.key}") if part)
            for space in results.spaces
        },
        "Classifier": {} if results.classifier is None else _classifier_facts(results),
        "Time, without what earlier runs kept": {
            stage: duration(seconds) for stage, seconds in results.seconds.items()
        },
        "Versions": results.versions,
    }
    kept = {
        heading: [
            Fact(name.replace("_", " "), words(value)) for name, value in table.items() if value not in (None, [])
        ]
        for heading, table in tables.items()
    }
    return [(heading, facts) for heading, facts in kept.items() if facts]


def _classifier_facts(results: Evaluation) -> dict[str, Any]:
    classifier = results.classifier
    return (
        {"path": classifier.path, "trained on": classifier.trained_on, "weights, SHA-256": classifier.key}
        if classifier
        else {}
    )


def _listed(side: str, clips: ClipList) -> tuple[str, ClipList, str, int]:
    """A heading, the list, its first ids as a text, and how many are left out."""
    return side, clips, "\n".join(clips.ids[:_LISTED_CLIPS]), max(0, len(clips.ids) - _LISTED_CLIPS)
