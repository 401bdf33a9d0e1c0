import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from dvdgan.evaluation import results_convert
from dvdgan.evaluation.behaviours.scoring import PassRate
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics import baselines as floors
from dvdgan.evaluation.metrics import scores
from dvdgan.evaluation.metrics.classification import class_fidelity
from dvdgan.evaluation.metrics.scores import Counts, Spread
from dvdgan.evaluation.results import ClipList, Evaluated, Evaluation, Reference, Space, load
from dvdgan.evaluation.results_parts import (
    Behaviour,
    Behaviours,
    Classifier,
    Confusion,
    Histogram,
    Measured,
    Memorisation,
    Nearness,
    Pair,
    Share,
)
from dvdgan.evaluation.results_scores import ClassScore, Floor, Score, Sweep, SweepPoint, damaged, times_worse

FRAMES, MOTION, POOLED = "EfficientNet-Lite0, frames", "TransNetV2, movement", "Classifier, pooled features"
CLASSES = ["pen", "zoom-in", "zoom-out", "pan-left", "pan-right", "passing", "bounce", "turn", "flow"]
DAMAGES = {
    "shuffled": "the frames in random order",
    "reversed": "the frames from the last to the first",
    "frozen": "the middle frame, over and over",
    "cut": "the second half is that of another clip",
    "jittered": "each frame moved by up to 3 pixels",
    "flickering": "each frame brighter or darker by up to 12 %",
    "blurred": "Gaussian blur",
    "noisy": "Gaussian noise of 12/255",
    "warped": "one fixed warp of the picture",
}
FEW = "too few clips of the class"

# What the scores below are made of: name, space, which way is better, floor, and how many times worse each damage is.
# Synthetic numbers, chosen to look like those of a half-trained model; nothing here was measured.
_SCORES = [
    ("frames/frechet", "Fréchet distance", FRAMES, "lower", 11.8, [1, 1, 1.1, 1.02, 1, 1, 2.4, 4.1, 1.6]),
    ("frames/kid", "Kernel distance (KID)", FRAMES, "lower", 0.0004, [1, 1, 1.2, 1, 1, 1, 9, 22, 4]),
    ("frames/precision", "Precision", FRAMES, "higher", 0.83, [1, 1, 1, 1, 1, 1, 1.7, 3.9, 1.2]),
    ("frames/recall", "Recall", FRAMES, "higher", 0.81, [1, 1, 1.3, 1, 1, 1, 1.4, 1.6, 1.1]),
    ("frames/coverage", "Coverage", FRAMES, "higher", 0.95, [1, 1, 1.2, 1, 1, 1, 2.1, 5.2, 1.2]),
    ("motion/frechet", "Fréchet distance", MOTION, "lower", 0.42, [2.1, 1.2, 7.4, 171, 4.9, 18, 2.2, 1.05, 1]),
    ("motion/kid", "Kernel distance (KID)", MOTION, "lower", 0.00002, [3, 1, 9, 210, 6, 30, 2, 1, 1]),
    ("classifier/frechet", "Classifier Fréchet distance", POOLED, "lower", 2.1, [14, 6, 22, 9, 3.3, 1.2, 3.4, 1.9, 1]),
    ("classifier/is", "Inception Score", POOLED, "higher", 8.2, [1.8, 1.2, 2.5, 1.3, 1.1, 1, 1.1, 1.02, 1]),
]  # fmt: skip
_ABOUT = {
    "Fréchet distance": "How far the averages and spreads of all features lie apart.",
    "Kernel distance (KID)": "The same with no bias from small counts; around 0 for equal sets.",
    "Precision": "Share of generated clips that lie among real ones.",
    "Recall": "Share of real clips that lie among generated ones.",
    "Coverage": "Share of real clips with a generated one close by.",
    "Classifier Fréchet distance": "The paper's score, with a classifier of this data in place of I3D.",
    "Inception Score": "How surely clips show one class, and all classes alike.",
}


def share(hits, of, missing=""):
    """A share with its Wilson interval, by the formula."""
    if not of:
        return Share(missing=missing or "no clips")
    p, z = hits / of, 1.959964
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return Share(hits=hits, of=of, low=max(0.0, min(low, p)), high=min(1.0, max(high, p)))


def floor_of(mean, width=0.08):
    return Floor(mean=mean, low=mean * (1 - width), high=mean * (1 + width), repeats=10, counts=(1024, 1024))


def clip_list(name, classes, per_class):
    names = classes or ["clip"]
    ids = [f"{name}/{label}/{index:05d}.mp4 frames 0 to 15" for label in names for index in range(per_class)]
    counts = dict.fromkeys(classes, per_class)
    return ClipList(name=name, count=len(ids), ids=ids, key="ab12" * 16, frames=16, size=64, fps=12, counts=counts)


def _score(index, classes, rng):
    key, name, space, better, mean, factors = _SCORES[index]
    worse = (3.4, 8.0, 1.4, 1.9, 1.5, 5.1, 12.0, 6.8, 1.35)[index]
    power = 1 if better == "lower" else -1
    floor = floor_of(mean)
    if "KID" in name:
        floor = Floor(mean=mean, low=-3 * mean, high=4 * mean, repeats=10, counts=(1024, 1024))
    controls = {
        damage: damaged(mean * factor**power * (1 + 0.02 * rng.standard_normal()), floor, better)
        for damage, factor in zip(DAMAGES, factors)
    }
    per_class = {}
    if key in ("frames/frechet", "motion/frechet"):
        for label in classes:
            factor = worse * rng.uniform(0.7, 1.6)
            per_class[label] = ClassScore(value=mean * 2.5 * factor, floor=mean * 2.5, counts=(113, 113))
        per_class[classes[-1]] = ClassScore(missing=FEW)
    value = mean * worse**power
    return Score(
        key=key,
        name=name,
        space=space,
        better=better,
        about=_ABOUT[name],
        headline=key in ("frames/frechet", "motion/frechet", "classifier/frechet"),
        overall=Measured(value=value, spread=0.03 * value, over="standard deviation over 3 seeds"),
        floor=floor,
        generated_count=1024,
        real_count=1024,
        controls=controls,
        per_class=per_class,
        warnings=["1,024 clips for 1,280 dimensions: biased upwards."] if key == "frames/frechet" else [],
    )


def _confusion(classes, right, rng):
    counts = np.zeros((len(classes), len(classes)), int)
    for row in range(len(classes)):
        others = rng.multinomial(
            113, [right if k == row else (1 - right) / (len(classes) - 1) for k in range(len(classes))]
        )
        counts[row] = others
    return Confusion(classes=classes, counts=counts.tolist())


def _classifier(classes, rng):
    real, made = _confusion(classes, 0.97, rng), _confusion(classes, 0.74, rng)
    by_class = [
        {label: share(matrix.counts[k][k], sum(matrix.counts[k])) for k, label in enumerate(classes)}
        for matrix in (real, made)
    ]
    n = 113 * len(classes)
    return Classifier(
        path="runs/classifier",
        key="cd34" * 16,
        trained_on="phenomena, training part",
        accuracy=share(sum(part.hits for part in by_class[0].values()), n),
        still={
            "their middle frame, held still": share(int(0.48 * n), n),
            "their middle frame alone, classifier of frames": share(int(0.52 * n), n),
        },
        chance=1 / len(classes),
        fidelity=share(sum(part.hits for part in by_class[1].values()), n),
        fidelity_by_class=by_class[1],
        accuracy_by_class=by_class[0],
        confusion_real=real,
        confusion_generated=made,
    )


def _memorisation(rng, pairs):
    spaces = []
    for space, hits in ((POOLED, 61), (FRAMES, 49)):
        sides = [np.histogram(rng.gamma(9, size / 9, 1024), np.linspace(0, 2.5, 26))[0].tolist() for size in (1.05, 1)]
        spaces.append(
            Nearness(
                space=space,
                about="over shifts of up to 4 frames, and mirrored",
                threshold=0.52,
                nearer=share(hits, 1024),
                verdict="no sign of copies",
                reason="The interval holds the 5 % that clips which are no copies have.",
                histogram=Histogram(edges=np.linspace(0, 2.5, 26).tolist(), generated=sides[0], held_out=sides[1]),
            )
        )
    made = [
        Pair(
            kind=kind,
            clip=f"seed {index}, class pen" if kind == "generated" else f"heldout/pen/{index:05d}.mp4",
            training=f"train/pen/{7 * index:05d}.mp4",
            distance=0.31 + 0.04 * index,
            space=spaces[0].space,
            shift=(0, 3, -2)[index % 3],
            flipped=index % 2 == 1,
        )
        for kind in ("generated", "held out")
        for index in range(pairs)
    ]
    return Memorisation(spaces=spaces, generated_count=1024, held_out_count=1024, training_count=8192, pairs=made)


def _behaviours(classes, rng):
    kinds = {"generated": 0.62, "real": 0.99, "frozen": 0, "shuffled": 0.02, "reversed": 0.05, "other class": 0.03}
    by_class = []
    for label in classes:
        rates = {
            k: share(int(rng.binomial(113, min(1, p * rng.uniform(0.8, 1.0)) if p < 0.9 else p)), 113)
            for k, p in kinds.items()
        }
        failed = 113 - rates["generated"].hits
        by_class.append(
            Behaviour(
                label=label,
                about="The ink stays, and grows where the tip of the pen is."
                if label == "pen"
                else "It moves as its class does.",
                rates=rates,
                may_pass=["reversed"] if label == "passing" else [],
                failures={
                    "not alive": failed // 3,
                    "not found": failed // 3,
                    "does not behave": failed - 2 * (failed // 3),
                },
            )
        )
    overall = {kind: share(sum(part.rates[kind].hits for part in by_class), 113 * len(classes)) for kind in kinds}
    return Behaviours(thresholds="version 1, sha256 9f31c0de", overall=overall, by_class=by_class)


def example(classes=CLASSES, pairs=6):
    """An evaluation with all of its parts. Synthetic: no number of it was measured."""
    rng = np.random.default_rng(0)
    scores = [_score(index, classes, rng) for index in range(len(_SCORES))]
    spaces = {score.space: score for score in scores}
    points = []
    for truncation in (0.2, 0.4, 0.6, 0.8, 1.0):
        values = {}
        for score in scores:
            better_looks = score.key in ("frames/precision", "classifier/is")
            factor = 1 + 0.8 * (1 - truncation) ** 2 * (1 if better_looks or score.better == "lower" else -1)
            value = score.overall.value * factor
            values[score.key] = Measured(value=value, spread=0.03 * abs(value), over="standard deviation over 3 seeds")
        points.append(SweepPoint(truncation=truncation, values=values))
    return Evaluation(
        made="2026-11-26T12:00:00+00:00",
        evaluated=Evaluated(
            kind="model",
            path="runs/demo/model",
            name="cpu-32-quick (synthetic numbers)",
            clips=clip_list("generated", classes, 113),
            classes=classes,
            seeds=[0, 1, 2],
            truncation=1.0,
            weights_sha256="ef56" * 16,
            card="# A card\n\nMade up for a test.\n",
            config={"network": {"size": 64, "frames": 16}, "training": {"steps": 1000}},
        ),
        reference=Reference(
            path="phenomena",
            split="held out",
            clips=clip_list("phenomena, held out", classes, 113),
            classes=classes,
            stride=1,
            resize="rendered at 64 pixels",
        ),
        spaces=[
            Space(
                name=name,
                key="0a1b" * 16,
                dimension=1280 if "frames" in name else 512,
                unit="frames" if "frames" in name else "clip",
                resize="antialiased bicubic to 224",
                weights="from the package, sha256 77aa",
                about="what single frames look like" if "frames" in name else "how clips move",
            )
            for name in spaces
        ],
        scores=scores,
        damages=DAMAGES,
        sweep=Sweep(points=points, clips=1024),
        classifier=_classifier(classes, rng),
        memorisation=_memorisation(rng, pairs),
        behaviours=_behaviours(classes, rng),
        warnings=["The classifier was trained for less time than advised."],
        settings={"seed": 0, "batch_size": 32, "floor_repeats": 10},
        seconds={"features": 812.4, "statistics": 12.0, "page": 7.9},
        versions={"dvdgan": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        command="dvdgan evaluate --model runs/demo --data phenomena --out report",
    )


def bare():
    """An evaluation of unlabelled clips in which nearly everything is missing."""
    clips = ClipList(name="clips", count=3, ids=["a.mp4", "b.mp4", "c.mp4"], key="00" * 32, frames=8, size=32, fps=12)
    nothing = "only 3 clips"
    return Evaluation(
        made="2026-11-26T12:00:00+00:00",
        evaluated=Evaluated(kind="clips", path="out", name="out", clips=clips),
        reference=Reference(path="films", split="all", clips=clips, resize="antialiased bilinear to 32"),
        spaces=[Space(name=FRAMES, key="00", dimension=1280, unit="frames")],
        scores=[
            Score(
                key="frames/frechet",
                name="Fréchet distance",
                space=FRAMES,
                better="lower",
                overall=Measured(missing=nothing),
                floor=Floor(missing=nothing),
            ),
            Score(
                key="frames/kid",
                name="Kernel distance (KID)",
                space=FRAMES,
                better="lower",
                overall=Measured(value=0.25),
                floor=Floor(missing=nothing),
            ),
        ],
        absent={
            "sweep": "clips of a folder have no truncation",
            "classifier": "the clips have no classes",
            "memorisation": "no training clips were named",
            "behaviours": "defined for the phenomena only",
        },
    )


def saved(path, evaluation, change=None):
    evaluation.save(path)
    if change:
        tree = json.loads(path.read_text())
        change(tree)
        path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("make", [example, bare])
def test_round_trip(tmp_path, make):
    evaluation = make()
    path = evaluation.save(tmp_path / "deep" / "evaluation.json")
    assert load(path) == evaluation
    assert [entry.name for entry in path.parent.iterdir()] == ["evaluation.json"]
    assert json.loads(path.read_text())["version"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(surprise=1), "unknown field surprise"),
        (lambda tree: tree["scores"][2].update(scor=1), r"unknown field scores\.2\.scor"),
        (lambda tree: tree["classifier"].pop("chance"), r"field classifier\.chance is missing"),
        (lambda tree: tree["scores"][0]["overall"].update(value=None), r"scores\.0\.overall: .*reason why"),
        (lambda tree: tree["scores"][0]["overall"].update(value="high"), r"scores\.0\.overall\.value: "),
        (lambda tree: tree["scores"][0]["overall"].update(value=float("nan")), r"scores\.0\.overall\.value: "),
        (lambda tree: tree["scores"][1].update(key=tree["scores"][0]["key"]), "two have the key 'frames/frechet'"),
        (lambda tree: tree["scores"][0].update(space="elsewhere"), "frames/frechet is in the space 'elsewhere'"),
        (lambda tree: tree["scores"][0]["per_class"].update(sun={"value": 1.0}), "unknown class 'sun'"),
        (lambda tree: tree["damages"].pop("warped"), "unknown control 'warped'"),
        (lambda tree: tree["sweep"]["points"][1]["values"].update(no={"value": 1.0}), "'no' at 0.4, which is no score"),
        (lambda tree: tree.update(classifier=None), "has its reason there, and no other has: classifier"),
        (lambda tree: tree["absent"].update(sweep="none"), "has its reason there, and no other has: sweep"),
        (
            lambda tree: tree["classifier"]["confusion_real"]["counts"].pop(),
            r"classifier\.confusion_real: 9 classes need 9 rows",
        ),
        (lambda tree: tree["classifier"]["fidelity"].update(hits=1100), r"classifier\.fidelity: 1100 hits of 1017"),
        (lambda tree: tree["classifier"]["fidelity"].update(low=0.9), r"classifier\.fidelity: .*outside its interval"),
        (lambda tree: tree["scores"][0]["floor"].update(low=12.0), r"scores\.0\.floor: .*outside its range"),
        (lambda tree: tree["evaluated"]["clips"].update(count=5), r"evaluated\.clips: count is 5, but there are 1017"),
        (lambda tree: tree.update(version=2), "version 2, but this dvdgan reads version 1; use a newer dvdgan"),
        (lambda tree: tree.update(version="x"), "version 'x'.*make it again"),
        (lambda tree: tree.clear(), "no field version"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, said):
    path = saved(tmp_path / "evaluation.json", example(), change)
    with pytest.raises(EvaluationError, match=said) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(EvaluationError, match=r"absent\.json: cannot be read \(No such file"):
        load(tmp_path / "absent.json")
    broken = saved(tmp_path / "evaluation.json", bare())
    broken.write_text(broken.read_text()[:100])
    with pytest.raises(EvaluationError, match=r"evaluation\.json: not valid JSON"):
        load(broken)
    with pytest.raises(EvaluationError, match="cannot be written"):
        bare().save(broken / "below.json")


def test_how_many_times_worse():
    floor = Floor(mean=2.0, low=1.5, high=2.5, repeats=4)
    assert times_worse(6.0, floor, "lower") == 3.0
    assert times_worse(0.5, floor, "higher") == 4.0  # it points upwards: the floor is 4 times as high
    assert times_worse(0.0, floor, "higher") is None
    around_zero = Floor(mean=0.001, low=-0.002, high=0.004, repeats=4)
    assert times_worse(1.0, around_zero, "lower") is None
    assert times_worse(1.0, Floor(missing="too few"), "lower") is None
    assert times_worse(6.0, Floor(mean=2.0, low=2.0, high=2.0, repeats=1), "lower") is None


def score(values, better="lower", floor=None):
    floor = floor or Floor(mean=2.0, low=1.5, high=2.5, repeats=4)
    return Score(
        key="a/b",
        name="b",
        space="a",
        better=better,
        overall=Measured(value=2.0),
        floor=floor,
        controls={name: damaged(value, floor, better, "not tried") for name, value in values.items()},
    )


def test_which_damage_a_score_sees():
    low = score({"much": 3.1, "little": 2.6, "none": 2.0, "better": 0.1, "untried": None})
    assert [low.sees(name) for name in (*low.controls, "unknown")] == [True, False, False, False, None, None]
    high = score({"much": 1.2, "little": 1.4, "better": 9.0}, "higher")
    assert [high.sees(name) for name in high.controls] == [True, False, False]
    values = {"beyond": 0.011, "outside": 0.009, "inside": 0.003}
    kid = score(values, floor=Floor(mean=0.001, low=-0.002, high=0.004, repeats=4))
    assert [kid.sees(name) for name in kid.controls] == [True, False, False]
    once = score({"much": 9.0}, floor=Floor(mean=2.0, low=2.0, high=2.0, repeats=1))
    assert once.sees("much") is None
    assert score({"a": float("inf")}).controls["a"].missing == "not tried"


def test_damages_that_no_score_sees():
    evaluation = example()
    assert evaluation.unseen() == []
    blind = [s for s in evaluation.scores if s.space.startswith("EfficientNet")]
    assert evaluation.model_copy(update={"scores": blind, "sweep": None}).unseen() == [
        "shuffled", "reversed", "frozen", "cut", "jittered", "flickering",
    ]  # fmt: skip
    assert bare().unseen() == []  # nothing was tried, so nothing is known


def test_numbers_are_there_or_say_why_not():
    for part in (Measured, ClassScore, Floor, Share):
        with pytest.raises(ValidationError, match="reason"):
            part()
        assert part(missing="too few clips").missing == "too few clips"
    with pytest.raises(ValidationError, match="in over what"):
        Measured(value=1.0, spread=0.1)
    with pytest.raises(ValidationError, match="both of its ends"):
        Measured(value=1.0, low=0.1, over="95 % interval")
    same = 0.1 + 0.2  # a mean of equal numbers may miss them by a rounding
    assert Floor(mean=0.3, low=same, high=same, repeats=3).mean == 0.3
    assert share(3, 4).value == 0.75
    assert share(0, 0).value is None


def test_records_of_what_was_measured():
    counts = Counts(real=50, generated=40, real_vectors=50, generated_vectors=40, dimension=9)
    spread = Spread("standard deviation over 3 seeds", 0.2, 2.8, 3.2)
    made = scores.Score("Fréchet distance", "a space", 3.0, "lower", counts, spread, warnings=("few",))
    unknown = scores.Score("Fréchet distance", "a space", None, "lower", counts, reason="too few")
    found = floors.Floor(1.0, 0.9, 1.2, 0.1, 10, 45, 38, False, "fewer than asked")
    record = results_convert.score(
        "a/b",
        made,
        results_convert.floor(found),
        {"cut": made, "warped": unknown},
        scores.ClassScores(made, {"pen": made, "flow": unknown}),
        {"pen": 2.0, "flow": 2.0},
    )
    assert record.overall == Measured(value=3.0, spread=0.2, low=2.8, high=3.2, over=spread.kind)
    assert (record.space, record.generated_count, record.real_count) == ("a space", 40, 50)
    assert record.floor.counts == (38, 45)
    assert record.controls["cut"].ratio == 3.0
    assert record.controls["warped"].missing == "too few"
    assert (record.per_class["pen"].value, record.per_class["pen"].floor) == (3.0, 2.0)
    assert (record.per_class["flow"].missing, record.per_class["flow"].floor) == ("too few", None)
    assert record.warnings == ["few", "fewer than asked"]
    none = floors.Floor(None, None, None, None, 0, 1, 1, False, "no draw could be measured")
    assert results_convert.floor(none).missing == "no draw could be measured"
    assert results_convert.floor(None, "no real clips").missing == "no real clips"


def test_record_of_a_classifier():
    labels, taken = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    generated = class_fidelity(taken, labels, ["pen", "flow"], "classifier")
    entry = {"hits": 9, "of": 10, "low": 0.5, "high": 1.0, "by_class": {"pen": {"hits": 4, "of": 5}}}
    entry["confusion"] = [[4, 1], [0, 5]]
    about = {"classes": ["pen", "flow"], "accuracy": {"chance": 0.5, "clips": entry, "single_frames": entry}}
    titles = {"clips": "held-out clips", "frozen_first": "first frame", "single_frames": "one frame"}
    record = results_convert.classifier(about, "runs/classifier", "ab", "clips", titles, generated)
    assert (record.fidelity.hits, record.fidelity.of) == (3, 5)
    assert record.fidelity.low == pytest.approx(0.2307, abs=1e-4)  # Wilson's interval of 3 of 5
    assert {label: (part.hits, part.of) for label, part in record.fidelity_by_class.items()} == {
        "pen": (1, 2),
        "flow": (2, 3),
    }
    assert record.confusion_generated.counts == [[1, 1], [1, 2]]
    assert list(record.still) == ["one frame"]
    assert (record.accuracy.hits, record.accuracy_by_class["pen"].hits) == (9, 4)
    alone = results_convert.classifier(about, "runs/classifier", "ab", "clips", titles, None, "unlabelled")
    assert alone.fidelity.missing == "unlabelled"
    assert alone.confusion_generated is None


def test_record_of_behaviours():
    few, all_of = PassRate(3, 10, 0.1, 0.6, {"alive: still": 7}), PassRate(10, 10, 0.7, 1.0)
    rates = {"pen": {"generated": few, "real": all_of}, "flow": {"real": all_of}}
    record = results_convert.behaviours(rates, "version 1", {"pen": "ink stays"}, {"pen": ("reversed",)})
    assert {kind: (part.hits, part.of) for kind, part in record.overall.items()} == {
        "generated": (3, 10),
        "real": (20, 20),
    }
    pen, flow = record.by_class
    assert (pen.about, pen.may_pass, pen.failures) == ("ink stays", ["reversed"], {"alive: still": 7})
    assert (flow.about, flow.failures, list(flow.rates)) == ("", {}, ["real"])
