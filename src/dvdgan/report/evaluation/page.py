"""The page of an evaluation: one file that shows its scores, clips and neighbours, and needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dvdgan.evaluation.record import ClipList, Evaluation
from dvdgan.evaluation.shown import ShownClips, by_worst
from dvdgan.report.evaluation.answers import answers, headlines
from dvdgan.report.evaluation.movies import Movie, movies
from dvdgan.report.evaluation.tables import class_table, control_table, most_confused, prediction_table, score_groups
from dvdgan.report.html import ReportError, check_path, plotly_js, write_page
from dvdgan.report.words import Property, duration, setting
from dvdgan.wording import counted

SHOWN_CLASSES = 12
"""With more classes than this, the rest is folded away."""

_LISTED_CLIPS = 2000  # ids of clips that the page lists on each side; the JSON has all


def write_evaluation_page(results: Evaluation, shown: ShownClips | None, out: Path) -> Path:
    """Write one self-contained HTML page about an evaluation.

    It loads nothing from anywhere, follows the reader's choice of light or dark, and is whole or absent.

    Args:
        results: the evaluation.
        shown: the clips that it shows; None shows none.
        out: the file to write; folders on the way are made.

    Returns:
        The page's path.

    Raises:
        ReportError: clips that do not fit each other or the results, or Plotly is not installed.
        OSError: the page cannot be written.
    """
    out = Path(out)
    check_path(out)
    plotly_js(out)
    from dvdgan.report.evaluation.charts import curves, heat_map, histogram, ruler, tradeoffs
    from dvdgan.report.evaluation.prediction_charts import prediction_charts

    main, classifier, memorisation = headlines(results), results.classifier, results.memorisation
    rulers = {line.score.key: ruler(line.score) for line in main}
    swept, against = curves(results), tradeoffs(results)
    sides = [
        ("real", "Real clips", "held out; rows: their class", classifier and classifier.accuracy),
        ("generated", "Generated clips", "rows: the class asked for", classifier and classifier.fidelity),
    ]
    confusions = [
        (heat_map(classifier.classes, taken, f"confusion-{side}", *text), most_confused(classifier.classes, taken))
        for side, *text, taken in sides
        if classifier and taken and taken.confusion
    ]
    histograms = {part.space: histogram(part) for part in (memorisation.spaces if memorisation else ())}
    over_time = prediction_charts(results.prediction) if results.prediction else []
    charts = [*rulers.values(), *over_time, *swept, *against, *(chart for chart, _ in confusions), *histograms.values()]
    return write_page(
        out,
        "evaluation.html.j2",
        [chart for chart in charts if chart is not None],
        results=results,
        properties=_header(results),
        headlines=main,
        rulers=rulers,
        answers=answers(results),
        warned=[(f"{score.name}, {score.space}", score.warnings) for score in results.scores if score.warnings],
        groups=score_groups(results),
        controls=control_table(results),
        unseen=results.unseen(),
        by_class=class_table(results),
        predicted=prediction_table(results.prediction) if results.prediction else None,
        over_time=over_time,
        curves=swept,
        tradeoffs=against,
        swept_over=_swept_over(results),
        confusions=confusions,
        histograms=histograms,
        settings=_settings(results),
        config=yaml.safe_dump(results.evaluated.config, sort_keys=False) if results.evaluated.config else "",
        clip_lists=[_listed("Generated", results.evaluated.clips), _listed("Real", results.reference.clips)],
        shown_classes=SHOWN_CLASSES,
        **_moving(results, shown or ShownClips()),
    )


def _header(results: Evaluation) -> list[Property]:
    evaluated, reference = results.evaluated, results.reference
    used, seconds = evaluated.clips, sum(results.seconds.values())
    found = {
        "Generated": counted(used.count, "clip"),
        "Real": f"{counted(reference.clips.count, 'clip')}, {reference.split}",
        "Each clip": f"{used.frames} frames, {used.size}×{used.size}, {used.fps:g} fps",
        "Given": f"{counted(results.prediction.given, 'first frame')} of held-out clips" if results.prediction else "",
        "Classes": len(results.classes) or "none (unlabelled)",
        "Seeds": ", ".join(map(str, evaluated.seeds[:6])) + (" …" if len(evaluated.seeds) > 6 else ""),
        "Truncation": "" if evaluated.truncation is None else f"{evaluated.truncation:g}",
        "Weights": (evaluated.weights_sha256 or "")[:12],
        "Took": f"{duration(seconds)}, without what earlier runs kept" if seconds else "",
    }
    return [Property(heading, str(entry)) for heading, entry in found.items() if entry]


def _moving(results: Evaluation, shown: ShownClips) -> dict[str, Any]:
    """Videos of the classes, the worst first where there are many, and of the pairs of each kind."""
    pairs = results.memorisation.pairs if results.memorisation else []
    if shown.pairs and len(shown.pairs) != len(pairs):
        raise ReportError(f"{len(shown.pairs)} pairs of clips, but the results have {len(pairs)}; give as many")
    unknown = sorted(set(shown.classes) - {*results.classes, ""})
    if unknown:
        raise ReportError(f"clips of the class {unknown[0]!r}, which the results do not have; name one of theirs")
    by_class, by_pair = movies(shown, results.evaluated.clips.fps)
    order = by_worst(by_class, results) if len(by_class) > SHOWN_CLASSES else list(by_class)
    entries = list(zip(pairs, by_pair or [Movie(None, None, False, False)] * len(pairs)))
    return {
        "movies": [(name, by_class[name]) for name in order if by_class[name].video],
        "not_moving": sum(not movie.video for movie in by_class.values()),
        "both_sides": any(movie.left and movie.right for movie in by_class.values()),
        "pairs": [(kind, [entry for entry in entries if entry[0].kind == kind]) for kind in ("generated", "held out")],
        "pair_spaces": list(dict.fromkeys(pair.space for pair in pairs)),
    }


def _swept_over(results: Evaluation) -> list[str]:
    points = results.sweep.points if results.sweep else []
    return list(dict.fromkeys(value.over for point in points for value in point.values.values() if value.over))


def _settings(results: Evaluation) -> list[tuple[str, list[Property]]]:
    """Tables of properties with their headings."""
    evaluated, reference, classifier = results.evaluated, results.reference, results.classifier
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
        "How": results.settings,
        "Feature spaces": {
            space.name: f"{space.dimension:,} numbers per {'clip' if space.unit == 'clip' else 'frame'}"
            + "".join(f"; {part}" for part in (space.resize, space.weights, f"key {space.key}") if part)
            for space in results.spaces
        },
        "Classifier": {"path": classifier.path, "trained on": classifier.trained_on, "weights, SHA-256": classifier.key}
        if classifier
        else {},
        "Time, without what earlier runs kept": {
            stage: duration(seconds) for stage, seconds in results.seconds.items()
        },
        "Versions": results.versions,
    }
    kept = {
        heading: [
            Property(name.replace("_", " "), setting(value)) for name, value in table.items() if value not in (None, [])
        ]
        for heading, table in tables.items()
    }
    return [(heading, properties) for heading, properties in kept.items() if properties]


def _listed(side: str, used: ClipList) -> tuple[str, ClipList, str, int]:
    """A heading, the list, its first ids as a text, and how many are left out."""
    return side, used, "\n".join(used.ids[:_LISTED_CLIPS]), max(0, len(used.ids) - _LISTED_CLIPS)
