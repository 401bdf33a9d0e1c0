"""What becomes of clips past the trained length: scores and behaviours, window by window, beside real clips.

``python bench/long_clips.py --model phenomena-64 --out long.json`` makes clips of 16 times the trained length and looks
at windows of that length which begin at 0, 1, 3, 7 and 15 times it. A window is compared with real clips of the trained
length, whose own scores against one another stand above. ``--sheet`` draws some of the clips, three frames of each
window. ``--loop 4`` measures loops instead: the seam, from the last frame to the first, against a clip's other steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import dvdgan
from dvdgan import Pipeline
from dvdgan.data import phenomena
from dvdgan.data.write.sheets import clip_sheet, write_image
from dvdgan.evaluation.behaviours.calibration import calibration
from dvdgan.evaluation.behaviours.scoring import score
from dvdgan.evaluation.features.transnet import TransNetClips
from dvdgan.evaluation.metrics.frechet import frechet_distance, gaussian
from dvdgan.sampling import from_uint8
from dvdgan.training.motion import frame_differences

STARTS = (0, 1, 3, 7, 15)  # of the windows, in trained lengths


def real_clips(network, per_class: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Rendered clips, uint8 ``[N, T, S, S, 3]``, and their classes ``[N]``, in turn."""
    keys = [(label, index) for index in range(per_class) for label in phenomena.CLASSES]
    size, frames = network.size, network.frames
    clips = [phenomena.render(label, index, size=size, frames=frames, split=split).clip for label, index in keys]
    return np.stack(clips), np.array([phenomena.CLASSES.index(label) for label, _ in keys])


def measure_seams(pipeline: Pipeline, count: int, given: argparse.Namespace) -> None:
    """Print how large the step from the last frame to the first is, of the median step, with the loop and without."""
    length = pipeline.model.config.network.frames
    for name, loop, frames in (("as they are", 0, length), ("loops", given.loop, length - given.loop)):
        clips = pipeline(num=count, seed=given.seed, frames=frames, loop=loop).video
        around = np.concatenate([clips, clips[:, :1]], axis=1)
        steps = frame_differences(from_uint8(around)).numpy()
        ratios = steps[:, -1] / np.median(steps[:, :-1], axis=1)
        shares = np.percentile(ratios, (50, 90))
        seam = f"seam {shares[0]:.2f} times the median step, 90th percentile {shares[1]:.2f}"
        print(f"{count} clips of {frames} frames, {name}: {seam}")
        if loop and given.sheet is not None:
            shown = np.concatenate([around, around[:, 1:4]], axis=1)[: len(pipeline.classes)]
            write_image(given.sheet, clip_sheet(shown, pipeline.classes, shown.shape[1], 1))


def main() -> None:
    """Measure, print a table, and write what it says."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="phenomena-64")
    arguments.add_argument("--per-class", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--chain", action="store_true", help="of a predictor: begin anew after each trained length")
    arguments.add_argument("--loop", type=int, default=0, help="frames of the end that melt into the beginning")
    arguments.add_argument("--sheet", type=Path)
    arguments.add_argument("--out", type=Path)
    given = arguments.parse_args()

    pipeline = dvdgan.load(given.model)
    network = pipeline.model.config.network
    length, classes = network.frames, pipeline.classes
    count = given.per_class * len(classes)
    if given.loop:
        return measure_seams(pipeline, count, given)
    reference, _ = real_clips(network, 2 * given.per_class, "train")
    held_out, labels = real_clips(network, given.per_class, "heldout")

    frames = (STARTS[-1] + 1) * length
    if network.first_frames:
        starts = list(held_out[:, : network.first_frames])
        options = {"seed": given.seed, "frames": frames - network.first_frames, "chain": given.chain}
        stream = pipeline.stream_prediction(starts, [classes[label] for label in labels], **options)
    else:
        stream = pipeline.stream([classes[label] for label in labels], count, given.seed, frames=frames)
    clips = stream.read().video

    look, limits = TransNetClips(), calibration(network.size, length)
    target = gaussian(look(reference))

    def measured(some: np.ndarray) -> dict[str, float]:
        rates = score(some, labels, phenomena.CLASSES, limits)
        moved = frame_differences(from_uint8(some)).mean()
        return {
            "TransNetV2": frechet_distance(target, gaussian(look(some))),
            "behaviours": sum(rate.hits for rate in rates.values()) / len(some),
            "motion": float(moved),
        }

    rows = {"real clips": measured(held_out)}
    for start in STARTS:
        window = clips[:, start * length : (start + 1) * length]
        rows[f"frames {start * length + 1} to {(start + 1) * length}"] = measured(window)
    real = rows["real clips"]["motion"]
    print(f"{count} clips of {given.model}{', chained' if given.chain else ''}\n")
    print("| | TransNetV2 Fréchet | behaviours | motion, of real |\n|---|---:|---:|---:|")
    for name, row in rows.items():
        print(f"| {name} | {row['TransNetV2']:.2f} | {row['behaviours']:.0%} | {row['motion'] / real:.2f} |")
    if given.out is not None:
        given.out.write_text(json.dumps({"model": given.model, "clips": count, "windows": rows}, indent=1))
    if given.sheet is not None:
        times = [start * length + step for start in STARTS for step in (0, length // 3, 2 * length // 3)]
        shown = clips[: len(classes)][:, times]
        write_image(given.sheet, clip_sheet(shown, classes, len(times), 1, times, network.first_frames))


if __name__ == "__main__":
    main()
