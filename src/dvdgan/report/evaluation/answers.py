"""The page's summary in plain words: how far from real, whose class, which behaviour, whose copy, and how sure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dvdgan.evaluation.classifier.results import ClassifierResults
from dvdgan.evaluation.memorisation.results import Memorisation
from dvdgan.evaluation.prediction.results import Prediction
from dvdgan.evaluation.record import Behaviours, Evaluation
from dvdgan.evaluation.scores import Score
from dvdgan.report.evaluation.tables import prediction_ways, sides
from dvdgan.report.words import interval, measured, number, percent, share, share_whole, times
from dvdgan.wording import counted

_HEADLINES = 4  # shown where no score is marked as one


@dataclass(frozen=True)
class Headline:
    """A main score in words: its value, what that means, what the controls say, and how sure it is."""

    score: Score
    value: str
    verdict: str
    controls: str
    sure: str


@dataclass(frozen=True)
class Answer:
    """A question that a viewer would ask, the figure that answers it, and the sentences about it."""

    question: str
    figure: str
    sentences: list[str]


def headlines(evaluation: Evaluation) -> list[Headline]:
    """The main scores; the first few that have a value if none is marked."""
    there = [score for score in evaluation.scores if score.overall.value is not None]
    marked = [score for score in there if score.headline]
    return [_headline(score) for score in (marked or there[:_HEADLINES])]


def _headline(score: Score) -> Headline:
    spread = f"±: {score.overall.over}" if score.overall.over else ""
    sure = ", ".join(filter(None, (" against ".join(sides(score)), spread)))
    return Headline(score, measured(score.overall), _verdict(score), _controls(score), sure)


def _verdict(score: Score) -> str:
    """How a score stands to its baseline, in a sentence."""
    value, baseline = score.overall.value, score.baseline
    if value is None:
        return f"Not measured: {score.overall.missing}."
    if baseline.mean is None or baseline.low is None or baseline.high is None:
        return f"There is no baseline to compare it with: {baseline.missing}."
    ranged = f"{number(baseline.mean)} ({interval(baseline.low, baseline.high)} in {baseline.repeats} repeats)"
    if value <= baseline.high if score.better == "lower" else value >= baseline.low:
        return f"As good as real clips against other real clips, {ranged}: by this score not to be told from them."
    ratio = score.times_worse(value)
    if ratio is None:
        return f"Worse than real clips against other real clips, {ranged}."
    if ratio == math.inf:
        return f"All is missing: real clips against other real clips reach {ranged}."
    if score.better == "lower":
        return f"{times(ratio)} what real clips score against other real clips, {ranged}."
    return f"Real clips against other real clips reach {times(ratio)} as much, {ranged}."


def _controls(score: Score) -> str:
    """The corruptions that are seen least and most, in a sentence."""
    tried = [(name, c) for name, c in score.controls.items() if c.value is not None]
    if not tried:
        return "No control was scored."
    way = 1 if score.better == "lower" else -1
    seen = sorted(
        (pair for pair in tried if score.sees(pair[0]) is not False), key=lambda pair: way * (pair[1].value or 0)
    )
    if not seen:
        return f"It sees none of {len(tried)} controls."
    said = [
        f"{number(c.value or 0.0)} ({', '.join(filter(None, (name, times(score.times_worse(c.value)))))})"
        for name, c in (seen[:1] + seen[-1:] if len(seen) > 1 else seen)
    ]
    unseen = [name for name, _ in tried if score.sees(name) is False]
    blind = f" Corruptions that it does not see: {', '.join(unseen)}." if unseen else ""
    return f"Corrupted real clips score {' to '.join(said)}.{blind}"


def answers(evaluation: Evaluation) -> list[Answer]:
    """Questions with answers; those that were not measured are left out."""
    made = []
    if evaluation.prediction:
        made.append(of_prediction(evaluation.prediction, evaluation.scores))
    if evaluation.classifier:
        made.append(_of_classifier(evaluation.classifier))
    if evaluation.behaviours:
        made.append(_of_behaviours(evaluation.behaviours))
    if evaluation.memorisation:
        made.append(_of_memorisation(evaluation.memorisation))
    return [*made, _confidence(evaluation)]


def of_prediction(prediction: Prediction, scores: list[Score]) -> Answer:
    """Whether a predictor beats its baselines; the sentences after the first say more than its table."""
    measure, ways = prediction.main, prediction_ways(prediction)
    against, mean = measure.against("mean", "copied"), _ahead(measure.ahead_from("mean"))
    best = f" ({ways['best']}: {_ahead(measure.ahead_from('best'))})" if "best" in ways else ""
    baselines = "both baselines" if "extrapolated" in measure.curves else "copying"
    said = [
        f"{name} {number(measure.curves[way].overall.value or 0.0)}"
        for way, name in ways.items()
        if way in measure.curves
    ]
    sentences = [
        f"{measure.name} ({measure.better} is better) over {counted(prediction.made, 'made frame')} of "
        f"{counted(prediction.starts, 'held-out start')}: {', '.join(said)}.",
        f"Ahead of {baselines}, frame by frame: {mean}{best}.",
    ]
    if against == measure.against("best", "copied") == "worse":
        sentences.append("A model that loses to copying has not been trained.")
    sentences.append(_temporal(scores))
    if prediction.diversity:
        first, *later = (number(frame.value or 0.0) for frame in prediction.diversity.frames)
        apart = f"{first} apart in the first made frame, {later[-1]} in the last" if later else f"{first} apart"
        sentences.append(f"Two futures of one start lie {apart}.")
    if against != "better":
        figure = "it loses to copying" if against == "worse" else "no better than copying"
    else:
        figure = mean
    return Answer("Does it predict better than copying the last frame?", figure, sentences)


def _ahead(frame: int | None) -> str:
    return "not to the end" if frame is None else f"from made frame {frame} on"


def _temporal(scores: list[Score]) -> str:
    """How a predictor stands to its baselines in the score of movement, in a sentence."""
    score = next((score for score in scores if score.key == "motion/frechet"), None)
    if score is None or score.overall.value is None:
        return "The score of movement was not measured."
    naive = {name: score.controls[name].value for name in ("copied", "extrapolated") if name in score.controls}
    worst = score.overall.value if score.overall.high is None else score.overall.high  # of the seeds
    beaten = all(value is not None and worst < value for value in naive.values())
    values = ", ".join(f"{name} clips {number(value or 0.0)}" for name, value in naive.items())
    return (
        f"In time ({score.name}, {score.space}; lower is better) it scores {number(score.overall.value)}, {values}: "
        f"{'better' if beaten else 'no better'}."
    )


def _of_classifier(classifier: ClassifierResults) -> Answer:
    taken, known = share_whole(classifier.fidelity), share_whole(classifier.accuracy)
    sentences = [
        f"The classifier takes {taken} of {counted(classifier.fidelity.of, 'clip')} for the class that was asked."
        if classifier.fidelity.of
        else f"Class fidelity was not measured: {classifier.fidelity.missing}.",
        f"Of held-out real clips it gets {known} right; guessing reaches {percent(classifier.chance)}.",
    ]
    still = {where: part for where, part in classifier.still.items() if part.of}
    if still:
        most = max(still, key=lambda where: still[where].value or 0.0)
        most_of = f"Without movement it gets at most {share_whole(still[most])} right ({most})"
        sentences.append(f"{most_of}: what lies above that is recognised by movement.")
    return Answer("Is it the class that was asked?", share(classifier.fidelity) or "not measured", sentences)


def _of_behaviours(behaviours: Behaviours) -> Answer:
    rates = behaviours.overall
    generated, real = rates.get("generated"), rates.get("real")
    controls = {name: rate for name, rate in rates.items() if name not in ("generated", "real") and rate.of}
    sentences = []
    if generated:
        sentences.append(f"{share_whole(generated)} of generated clips do what their class is about.")
    if real:
        sentences.append(f"Of real clips {share_whole(real)} do.")
    if controls:
        best = max(controls, key=lambda name: controls[name].value or 0.0)
        sentences.append(f"Of the controls, {best} clips pass most often: {share_whole(controls[best])}.")
    figure = (generated and share(generated)) or "not measured"
    return Answer("Does it behave like the real thing?", figure, sentences)


def _of_memorisation(memorisation: Memorisation) -> Answer:
    verdicts = [part.verdict for part in memorisation.spaces]
    worst = next((v for v in ("copies", "cannot tell") if v in verdicts), verdicts[0])
    sentences = []
    for part in memorisation.spaces:
        near = f"{part.space}: {share_whole(part.nearer)}"
        if part.nearer.of:
            near += " of samples lie within the distance of the closest 5\u00a0% of held-out clips"
            near += f" to a training clip; {percent(part.expected)} is expected if none are copies"
        sentences.append(f"{near}. {part.reason}")
    return Answer("Are they copies of training clips?", worst, sentences)


def _confidence(evaluation: Evaluation) -> Answer:
    scores = [score for score in evaluation.scores if score.overall.value is not None]
    baselines = sum(score.baseline.mean is not None for score in scores)
    spreads = sum(bool(score.overall.over) for score in scores)
    warned = len(evaluation.warnings) + sum(len(score.warnings) for score in evaluation.scores)
    generated, real = evaluation.evaluated.clips.count, evaluation.reference.clips.count
    sentences = [
        f"{counted(generated, 'generated clip')} against {counted(real, 'real one')}. "
        f"Of {counted(len(scores), 'score')}, "
        f"{baselines} with a baseline (real clips against other real clips, at equal counts), {spreads} with a spread."
    ]
    unseen = evaluation.unseen()
    if unseen:
        sentences.append(
            f"Not seen by any score: {', '.join(unseen)}. A model with only that fault would score as real."
        )
    elif any(score.controls for score in scores):
        sentences.append("Each corruption of real clips is seen by at least one score.")
    else:
        sentences.append("No controls were scored, so it is open what these scores can see.")
    figure = counted(warned, "warning") if warned or baselines else "not known"
    if not baselines:
        sentences.append("Without a baseline it is open which values real clips would reach.")
    return Answer("How sure is that?", figure, sentences)
