"""The directory of a DVD-GAN's training: its configuration, and what was decided when it started."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from dvdgan.config import Config
from dvdgan.config_files import load_config, parse_config
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.store.index import is_store
from dvdgan.runs.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, step_of
from dvdgan.runs.directory import RunDirectory, TrainingError, replace_text

# Fields that a resumed run may change: they decide when things are written and when it ends, not what is learned.
CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.tensorboard",
    "training.timeout",
    "training.checkpointing",
    "training.classifier",  # which classifier it is counts, not where: `TrainingDirectory.other_classifier`
    "training.sample_clips",
    "training.statistics_batches",
    "data.fps",
    "data.workers",
    "data.decode_seconds",
    "data.decode_gib",
    "name",
    "description",
}
CHANGEABLE_SECTIONS = ("training.health.",)
STORED_DATA = {  # that decide what a store holds
    f"data.{field}"
    for field in (
        *("source", "seed", "clips_per_class", "stride", "layout", "list_file", "fold", "test_fraction", "group"),
        *("split_seed", "target_fps", "folder_fps", "background", "max_seconds", "windows"),
    )
}
_STORE = re.compile(r"data(-\d+)?")
_PACKING = re.compile(r"\.data(-\d+)?\.partial")
_ABSENT = "(none)"
FROM_THE_DATA = {"network.classes"}  # filled in once the data is open


Changes = dict[str, tuple[Any, Any]]  # old and new value by what changed


class TrainingDirectory(RunDirectory):
    """``config.yaml`` and ``run.json`` of a run, beside its checkpoints, samples, log and model.

    Args:
        path: the directory; made by `locked` and `write`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._config, self._decided = path / "config.yaml", path / "run.json"

    @property
    def started(self) -> bool:
        """Whether a run has something to go on with here: a checkpoint.

        Raises:
            TrainingError: there are checkpoints, but the files that say what they belong to are missing.
        """
        if not self.checkpoints:
            return False
        for needed in (self._config, self._decided):
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
        before, after = _leaves(self._started_with().model_dump(mode="json")), _leaves(config.model_dump(mode="json"))
        ignored = CHANGEABLE | FROM_THE_DATA
        if config.training.lr_decay != "none":
            ignored = ignored - {"training.steps"}  # the decay is planned over all the steps
        names = sorted(
            name
            for name in before.keys() | after.keys()
            if name not in ignored
            and not name.startswith(CHANGEABLE_SECTIONS)
            and before.get(name, _ABSENT) != after.get(name, _ABSENT)
        )
        changes = {name: (before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in names}
        if fixed := [name for name in names if name.startswith("network.")]:
            raise TrainingError(
                f"{self.path} was started with other settings: {in_words(changes)}. "
                + (f"--override cannot change the networks ({fixed[0]}): " if override else "")
                + "use the old settings, or another --out"
            )
        if names and not override:
            raise TrainingError(
                f"{self.path} was started with other settings: {in_words(changes)}. "
                "Use the old settings, another --out, or --override to go on with the new ones"
            )
        return changes

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
        decided = self.decided()
        if decided.get("classes", dataset.classes) != dataset.classes:
            raise TrainingError(
                f"{self.path} was started with clips of other classes; restore them, or use another --out"
            )
        before, after = decided["data"], dataset.store.identity
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
        before = self.decided().get("evaluation", {}).get("classifier")
        if before == weights:
            return {}
        if not override:
            raise TrainingError(
                f"{self.path} was started with {'another' if before else 'no'} classifier (training.classifier); do as "
                "then, use another --out, or --override to go on and to choose the best checkpoint anew"
            )
        return {"training.classifier": (before and before[:12], weights and weights[:12])}

    def forget_scores(self) -> None:
        """Take the scores out of the checkpoints: those that are to come are measured otherwise.

        Raises:
            OSError: one cannot be written; it is as it was.
        """
        for path in self.checkpoints:
            try:
                tensors, numbers = load_checkpoint(path)
            except CheckpointError:  # resuming says so
                continue
            save_checkpoint(path.parent, step_of(path), tensors, numbers | {"score": None})

    def store(self) -> Path:
        """Where a started run's packed store is.

        Raises:
            TrainingError: run.json is damaged.
        """
        return self.path / self.decided().get("store", "data")

    def new_store(self) -> Path:
        """A place for another store, beside the one that the run was started with."""
        number = 2
        while (self.path / f"data-{number}").exists():
            number += 1
        return self.path / f"data-{number}"

    def write(self, config: Config, metadata: dict[str, Any]) -> None:
        """Write the configuration, in which a resumed run may have changed what may change, and what goes with it.

        ``run.json`` is what counts; ``config.yaml`` is written from it, to be read.

        Args:
            config: the settings from now on.
            metadata: what `decided` is to give, and what reports want to know; JSON-serialisable.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        replace_text(self._decided, json.dumps(metadata | {"config": config.model_dump(mode="json")}, indent=1))
        replace_text(self._config, config.to_yaml())
        for old in self.path.glob("data*"):  # stores that an override replaced, or that were never taken
            if old.name != metadata.get("store", "data") and _STORE.fullmatch(old.name) and is_store(old):
                shutil.rmtree(old)
        for left in self.path.glob(".data*.partial"):  # a packing that was given up
            shutil.rmtree(left)

    def decided(self) -> dict[str, Any]:
        """What was decided when the run started: precision, memory_format, threads, and the data's identity.

        Raises:
            TrainingError: run.json is damaged.
        """
        try:
            decided: dict[str, Any] = json.loads(self._decided.read_text(encoding="utf-8"))
            _ = [decided[name] for name in ("precision", "memory_format", "threads", "data")]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{self._decided}: damaged ({error!r}); start anew in another --out") from None
        return decided

    def _started_with(self) -> Config:
        """The configuration that the run was started with, or that the last override left."""
        decided = self.decided()
        if "config" in decided:
            return parse_config(decided["config"], str(self._decided))
        return load_config(str(self._config))

    def remove_leftovers(self) -> None:
        """Remove what a killed training left half-written; call it while `locked`.

        What was moved aside for a new one that never came goes back first.
        """
        for name in ("model", "data"):
            for old in sorted(self.path.glob(f".{name}-old-*")) + sorted(self.path.glob(f".{name}.*.old")):
                if not (self.path / name).exists() and any(old.iterdir()):
                    old.rename(self.path / name)
        for folder in (self.path, *(self.path / name for name in ("checkpoints", "samples", "evaluation"))):
            for path in folder.glob(".*"):
                if _PACKING.fullmatch(path.name):
                    continue  # a packing that goes on where it was
                if path.name.startswith((".model-", ".data")) and path.is_dir():
                    shutil.rmtree(path)
                elif ".partial" in path.name and path.is_file():
                    path.unlink()


def in_words(changes: Changes) -> str:
    """Changes as one line: ``field old -> new; ...``."""
    return "; ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves
