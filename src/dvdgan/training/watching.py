"""What a run looks at beside its losses: at every sheet, samples of the averaged generator against training clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dvdgan.config.training import HealthConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.networks import Generator
from dvdgan.runs.run import Run
from dvdgan.training.checks import SampleChecker
from dvdgan.training.evaluating import Evaluator
from dvdgan.training.samples import CHECKED_PER_CLASS, check_clips, watched_classes, write_samples
from dvdgan.training.state import TrainingState


class SampleWatch:
    """Makes samples, checks and evaluates them; what that needs of training clips is found once.

    Args:
        dataset: the clips that are trained on.
        classifier: that of ``training.classifier``, if any.
        health: how many samples are checked; with 0 they are only made.
        cache: see `Evaluator`.
        say: where lines for the user go.

    Attributes:
        baseline: see `SampleChecker`; None where nothing is checked.
        real_accuracy_by_class: see `SampleChecker`.
        evaluation: what ``run.json`` says of what samples are evaluated with; None where they are not.

    Raises:
        TrainingError: the classifier cannot take the training clips.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        classifier: Classifier | None,
        health: HealthConfig,
        cache: Path,
        say: Callable[[str], None],
    ) -> None:
        self.dataset = dataset
        self.baseline: float | None = None
        self.real_accuracy_by_class: dict[str, float] = {}
        self.evaluation: dict[str, Any] | None = None
        self._comparison: tuple[SampleChecker, Evaluator] | None = None
        if not health.clips:
            return
        watched = watched_classes(dataset.class_weights, health.clips)
        checker = SampleChecker.fit(dataset, check_clips=health.clips, labels=watched)
        if len(watched) < (present := np.count_nonzero(dataset.class_weights)):
            clips = CHECKED_PER_CLASS * present
            say(f"samples of {len(watched)} classes are checked; training.health.clips={clips} checks all")
        evaluator = Evaluator(classifier, dataset, watched, health.clips, cache, say)
        self._comparison = checker, evaluator
        self.baseline, self.real_accuracy_by_class = checker.baseline, checker.real_accuracy_by_class
        self.evaluation = evaluator.metadata or None

    def sample(self, run: Run, state: TrainingState, network: Generator) -> None:
        """Write a sheet and clips; make other clips, check and evaluate them, and log what is found.

        Args:
            run: the run, in `Run.training`.
            state: the run's; gets the step and its score.
            network: from `finished_generator`.
        """
        run.show_image(write_samples(network, state, self.dataset, run.folder / "samples", state.step))
        state.sampled_step, state.score = state.step, None
        if self._comparison is None:
            return
        checker, evaluator = self._comparison
        clips, labels = check_clips(network, state, self.dataset)
        check, found = checker.check(clips, labels), evaluator(clips, labels)
        score = check.score
        state.score = found["distance"] if evaluator.has_classifier else score
        best_by = "evaluation.distance" if evaluator.has_classifier else "check.score"
        run.write({"check": asdict(check) | {"score": score}, "best_by": best_by})
        if found:
            run.write({"evaluation": found})
        run.report(state.monitor.checked(state.step, check, checker.usable_classes))
