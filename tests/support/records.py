"""Records of evaluations, made up."""

import numpy as np

from dvdgan.evaluation.classifier.results import Accuracy, ClassifierResults
from dvdgan.evaluation.measured import Measured, PassRate, Share
from dvdgan.evaluation.memorisation.results import Histogram, Memorisation, Nearness, Pair
from dvdgan.evaluation.prediction.results import FrameCurve, Prediction, PredictionMeasure
from dvdgan.evaluation.record import BehaviourRates, Behaviours, ClipList, Evaluated, Evaluation, Reference, Space
from dvdgan.evaluation.scores import Baseline, ClassScore, Score, Sweep, SweepPoint

FRAMES, MOTION, POOLED = "EfficientNet-Lite0, frames", "TransNetV2, movement", "Classifier, pooled features"
CLASSES = ["pen", "zoom-in", "zoom-out", "pan-left", "pan-right", "passing", "bounce", "turn", "flow"]
CORRUPTIONS = {
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

# What the scores below are made of: name, space, which way is better, baseline, and how many times worse each
# corruption is. Synthetic numbers, chosen to look like those of a half-trained model; nothing here was measured.
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


def saved(path):
    """The record in a file."""
    return Evaluation.model_validate_json(path.read_bytes())


def baseline_of(mean, width=0.08):
    return Baseline(mean=mean, low=mean * (1 - width), high=mean * (1 + width), repeats=10, counts=(1024, 1024))


def clip_list(name, classes, per_class):
    names = classes or ["clip"]
    ids = [f"{name}/{label}/{index:05d}.mp4 frames 0 to 15" for label in names for index in range(per_class)]
    counts = dict.fromkeys(classes, per_class)
    return ClipList(name=name, count=len(ids), ids=ids, key="ab12" * 16, frames=16, size=64, fps=12, counts=counts)


def _score(index, classes, rng):
    key, title, space, better, mean, factors = _SCORES[index]
    worse = (3.4, 8.0, 1.4, 1.9, 1.5, 5.1, 12.0, 6.8, 1.35)[index]
    power = 1 if better == "lower" else -1
    baseline = baseline_of(mean)
    if "KID" in title:
        baseline = Baseline(mean=mean, low=-3 * mean, high=4 * mean, repeats=10, counts=(1024, 1024))
    controls = {
        name: Measured(value=mean * factor**power * (1 + 0.02 * rng.standard_normal()))
        for name, factor in zip(CORRUPTIONS, factors)
    }
    per_class = {}
    if key in ("frames/frechet", "motion/frechet"):
        for label in classes:
            factor = worse * rng.uniform(0.7, 1.6)
            per_class[label] = ClassScore(value=mean * 2.5 * factor, baseline=mean * 2.5, counts=(113, 113))
        per_class[classes[-1]] = ClassScore(missing=FEW)
    value = mean * worse**power
    return Score(
        key=key,
        name=title,
        space=space,
        better=better,
        about=_ABOUT[title],
        headline=key in ("frames/frechet", "motion/frechet", "classifier/frechet"),
        overall=Measured(value=value, spread=0.03 * value, over="standard deviation over 3 seeds"),
        baseline=baseline,
        generated_count=1024,
        real_count=1024,
        controls=controls,
        per_class=per_class,
        warnings=["1,024 clips for 1,280 dimensions: biased upwards."] if key == "frames/frechet" else [],
    )


def _accuracy(classes, right, rng):
    counts = np.zeros((len(classes), len(classes)), int)
    for row in range(len(classes)):
        others = rng.multinomial(
            113, [right if k == row else (1 - right) / (len(classes) - 1) for k in range(len(classes))]
        )
        counts[row] = others
    return Accuracy.of_counts(classes, counts)


def _classifier(classes, rng):
    real, made = _accuracy(classes, 0.97, rng), _accuracy(classes, 0.74, rng)
    return ClassifierResults(
        path="runs/classifier",
        key="cd34" * 16,
        trained_on="phenomena, training part",
        classes=classes,
        chance=1 / len(classes),
        accuracy=real,
        still={
            "their middle frame, held still": _accuracy(classes, 0.48, rng),
            "their middle frame alone, classifier of frames": _accuracy(classes, 0.52, rng),
        },
        fidelity=made,
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
                nearer=Share.make(hits, 1024),
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
            k: Share.make(int(rng.binomial(113, min(1, p * rng.uniform(0.8, 1.0)) if p < 0.9 else p)), 113)
            for k, p in kinds.items()
        }
        failed = 113 - rates["generated"].hits
        failures = {
            "not alive": failed // 3,
            "not found": failed // 3,
            "does not behave": failed - 2 * (failed // 3),
        }
        by_class.append(
            BehaviourRates(
                label=label,
                about="The ink stays, and grows where the tip of the pen is."
                if label == "pen"
                else "It moves as its class does.",
                rates={k: PassRate(**rate.model_dump(), failures=failures) for k, rate in rates.items()},
                may_pass=["reversed"] if label == "passing" else [],
            )
        )
    overall = {kind: Share.make(sum(part.rates[kind].hits for part in by_class), 113 * len(classes)) for kind in kinds}
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
        corruptions=CORRUPTIONS,
        sweep=Sweep(points=points, clips=1024),
        classifier=_classifier(classes, rng),
        memorisation=_memorisation(rng, pairs),
        behaviours=_behaviours(classes, rng),
        warnings=["The classifier was trained for less time than advised."],
        settings={"seed": 0, "batch_size": 32, "baseline_repeats": 10},
        seconds={"features": 812.4, "statistics": 12.0, "page": 7.9},
        versions={"dvdgan": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        command="dvdgan evaluate --model runs/demo --data phenomena --out report",
    )


def frame_curve(values, half=0.01):
    """A number per made frame, with an interval."""
    over = "95 % interval over 180 starts"
    frames = [Measured(value=value, low=value - half, high=value + half, over=over) for value in values]
    mean = sum(values) / len(values)
    return FrameCurve(frames=frames, overall=Measured(value=mean, low=mean - half, high=mean + half, over=over))


def prediction(lead=(-0.05, -0.02, 0.05, 0.1), given=2):
    """A prediction whose mean future is better than copying by so much in each made frame. Nothing was measured."""
    made, measures = len(lead), []
    for key, name, better, unit in (
        ("psnr", "PSNR", "higher", "dB"), ("ssim", "SSIM", "higher", ""), ("st-lpips", "ST-LPIPS", "lower", ""),
    ):  # fmt: skip
        sign = 1 if better == "higher" else -1
        copied = [0.4 + sign * -0.03 * time for time in range(made)]
        ways = {"mean": list(lead), "best": [value + 0.04 for value in lead]}
        curves = {way: frame_curve([c + sign * by for c, by in zip(copied, over)]) for way, over in ways.items()}
        baselines = {"copied": 0.0, "extrapolated": 0.2} if given > 1 else {"copied": 0.0}
        curves |= {base: frame_curve([c - sign * by for c in copied]) for base, by in baselines.items()}
        leads = {
            way: {base: frame_curve([value + by for value in over]) for base, by in baselines.items()}
            for way, over in ways.items()
        }
        measures.append(
            PredictionMeasure(key=key, name=name, better=better, unit=unit, about="How.", curves=curves, leads=leads)
        )
    diversity = frame_curve([0.02 * time for time in range(made)])
    return Prediction(given=given, made=made, starts=180, futures=4, measures=measures, diversity=diversity)


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
                baseline=Baseline(missing=nothing),
            ),
            Score(
                key="frames/kid",
                name="Kernel distance (KID)",
                space=FRAMES,
                better="lower",
                overall=Measured(value=0.25),
                baseline=Baseline(missing=nothing),
            ),
        ],
        absent={
            "sweep": "clips of a folder have no truncation",
            "classifier": "the clips have no classes",
            "memorisation": "no training clips were named",
            "behaviours": "defined for the phenomena only",
        },
    )
