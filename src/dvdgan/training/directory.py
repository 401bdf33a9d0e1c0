"""The directory of a DVD-GAN's training: its configuration, and what was decided when it started."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dvdgan.atomic import atomic_path
from dvdgan.config import Config
from dvdgan.config.data import PHENOMENA
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.sources import are_packed
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import is_store
from dvdgan.data.store.partial import is_packing, remove_abandoned, remove_own
from dvdgan.documents import read_text
from dvdgan.model_place import remove_staging
from dvdgan.runs.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, step_of
from dvdgan.runs.directory import RunDirectory, TrainingError
from dvdgan.training.changes import Changes, differences, in_words
from dvdgan.training.run_file import STORE, RunFile

_PACKING = re.compile(r"\.data(-[0-9]{1,9})?\.partial")
_ASIDE = re.compile(r"\.(data(?:-[0-9]{1,9})?)\.[0-9a-f]{8}\.(?:old|partial)")
_LEFT = re.compile(r"\..+\.[0-9]+-[0-9a-f]{8}\.partial(\.\w+)?")  # by `atomic_path`


class TrainingDirectory(RunDirectory):
    """``config.yaml`` and ``run.json`` of a run, beside its checkpoints, samples, log and model.

    Args:
        path: the directory; made by `locked` and `write`.
    """

    WRITTEN = RunDirectory.WRITTEN | {"run.json", "config.yaml", "samples", "evaluation", "model"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._config, self._run_file = path / "config.yaml", path / "run.json"

    @property
    def started(self) -> bool:
        """Whether a run has something to go on with here: a checkpoint.

        Raises:
            TrainingError: there are checkpoints, but the files that say what they belong to are missing.
        """
        if not self.checkpoints:
            return False
        for needed in (self._config, self._run_file):
            if not needed.exists():
                raise TrainingError(f"{needed}: missing beside checkpoints; start anew in another --out")
        return True

    def changes(self, config: Config, override: bool) -> Changes:
        """What differs from the settings that the run was started with, beyond what may change at any time.

        Args:
            config: the settings to go on under.
            override: whether fields of ``training`` and ``data`` may differ.

        Returns:
            Old and new value by the field's path.

        Raises:
            TrainingError: a field that decides what is learned differs and may not; each difference is named.
        """
        started = self.run_file().config
        moved = started.data.source != config.data.source and self._same_source(started.data.source, config)
        changes = differences(started, config, {"data.source"} if moved else set())  # which clips they are counts
        if fixed := [name for name in changes if name.startswith("network.") or name == "training.start_from"]:
            what = "the networks" if fixed[0].startswith("network.") else "what a run started from"
            raise TrainingError(
                f"{self.path} was started with other settings: {in_words(changes)}. "
                + (f"--override cannot change {what} ({fixed[0]}): " if override else "")
                + "use the old settings, or another --out"
            )
        if changes and not override:
            raise TrainingError(
                f"{self.path} was started with other settings: {in_words(changes)}. "
                "Use the old settings, another --out, or --override to go on with the new ones"
            )
        return changes

    def _same_source(self, before: str | None, config: Config) -> bool:
        """Whether another path names the clips that the run was started with, as far as they are not compared later.

        Raises:
            DataError: there is no such source, or nothing in it can be used.
        """
        source, network = config.data.source, config.network
        if before is None or source is None or PHENOMENA in (before, source):
            return False
        if os.path.abspath(before) == os.path.abspath(source):
            return True
        if is_store(source):
            return ClipStore.open(source).identity == self.run_file().data
        if not config.data.pack:
            return True  # `other_clips` compares them
        return are_packed(config.data, network.size, network.frames, self.store())

    def other_clips(self, dataset: ClipDataset, override: bool) -> Changes:
        """Whether the clips differ from those that the run was started with.

        Args:
            dataset: the clips that are there now.
            override: whether they may.

        Returns:
            ``data`` with the old and the new identity, or nothing.

        Raises:
            TrainingError: they differ and may not, or have other classes.
        """
        started = self.run_file()
        if started.classes != dataset.classes:
            raise TrainingError(
                f"{self.path} was started with clips of other classes; restore them, or use another --out"
            )
        before, after = started.data, dataset.store.identity
        if before == after:
            return {}
        if not override:
            raise TrainingError(
                f"{self.path} was started with other clips; restore them, use another --out, or --override to go on "
                "with the new ones"
            )
        return {"data": (before, after)}

    def other_classifier(self, weights: str | None, override: bool) -> Changes:
        """Whether the classifier differs from the one that the run was started with.

        Args:
            weights: SHA-256 of the classifier's weights; None without a classifier.
            override: whether it may.

        Returns:
            ``training.classifier`` with the starts of the old and the new hash, or nothing.

        Raises:
            TrainingError: it differs and may not.
        """
        before = (self.run_file().evaluation or {}).get("classifier")
        if before == weights:
            return {}
        if not override:
            raise TrainingError(
                f"{self.path} was started with {'another' if before else 'no'} classifier (training.classifier); do as "
                "then, use another --out, or --override to go on and to choose the best checkpoint anew"
            )
        return {"training.classifier": (before and before[:12], weights and weights[:12])}

    def scores_differ(self, config: Config, changes: Changes) -> bool:
        """Whether samples will be scored otherwise than those of the checkpoints that are there.

        Args:
            config: the settings to go on under; with no `training.health.clips` nothing more is scored.
            changes: what they change.

        Raises:
            TrainingError: run.json is damaged.
        """
        clips = config.training.health.clips
        if not (self.started and clips):
            return False
        compared = any(name == "training.classifier" or name.split(".")[0] == "data" for name in changes)
        return compared or self.run_file().config.training.health.clips != clips

    def forget_scores(self) -> bool:
        """Take the scores out of the checkpoints: those that are to come are measured otherwise.

        Returns:
            Whether there were any.

        Raises:
            OSError: one cannot be written; it is as it was.
        """
        forgotten = False
        for path in self.checkpoints:
            try:
                tensors, numbers = load_checkpoint(path)
            except CheckpointError:  # resuming says so
                continue
            if numbers.get("score") is not None:
                save_checkpoint(path.parent, step_of(path), tensors, numbers | {"score": None})
                forgotten = True
        return forgotten

    def store(self) -> Path:
        """Where a started run's packed store is.

        Raises:
            TrainingError: run.json is damaged.
        """
        return self.path / self.run_file().store

    def new_store(self) -> Path:
        """A place for another store, beside the one that the run was started with."""
        number = 2
        while os.path.lexists(self.path / f"data-{number}") and f"data-{number}" not in self.packed:
            number += 1
        return self.path / f"data-{number}"

    @property
    def packed(self) -> list[str]:
        """Names of the stores that this run packed, or was about to."""
        return read_text(self._lock).splitlines()[1:]

    def note_packed(self, store: Path) -> None:
        """Note, where nothing is there yet, that what comes to be at a place is this run's."""
        if not os.path.lexists(store) and store.name not in self.packed:
            with open(self._lock, "a", encoding="utf-8") as file:
                file.write(f"{store.name}\n")

    def write(self, run: RunFile) -> None:
        """Write what was decided, and the configuration, in which a resumed run may have changed what may change.

        ``run.json`` is what counts; ``config.yaml`` is written from it, to be read.
        """
        run.write(self._run_file)
        with atomic_path(self._config, synced=True) as temporary:
            temporary.write_text(run.config.to_yaml(), encoding="utf-8")
        for name in self.packed:  # stores that an override replaced, or that were never taken
            if name != run.store and STORE.fullmatch(name) and is_store(self.path / name):
                remove_own(self.path / name)
        for left in self.path.glob(".data*.partial"):  # a packing that was given up
            if _PACKING.fullmatch(left.name) and is_packing(left):
                remove_own(left)

    def run_file(self) -> RunFile:
        """What ``run.json`` holds.

        Raises:
            TrainingError: it is missing or damaged.
        """
        return RunFile.read(self._run_file)

    def remove_leftovers(self) -> None:
        """Remove what a killed training left half-written; call it while `locked`.

        What was moved aside for a new one that never came goes back first. Names tell what the program left: others,
        and what is in a directory beside it, are the user's.
        """
        remove_staging(self.path / "model")
        for path in sorted(self.path.glob(".data*")):
            if aside := _ASIDE.fullmatch(path.name):
                remove_abandoned(self.path / aside[1], resume=True)
        for folder in (self.path, *(self.path / name for name in ("checkpoints", "samples", "evaluation"))):
            for path in folder.glob(".*"):
                if _LEFT.fullmatch(path.name) and not path.is_dir():
                    path.unlink()
