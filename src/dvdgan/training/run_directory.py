"""What a run's directory says of it: its configuration, and what was decided when it started."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvdgan.config import Config
from dvdgan.config_files import load_config
from dvdgan.data.clips import ClipDataset

# Fields that a resumed run may change: they decide when things are written and when it ends, not what is learned.
CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.keep_every",
    "training.keep_best",
    "training.checkpoint_gib",
    "training.tensorboard",
    "training.sample_clips",
    "training.statistics_batches",
    "data.fps",
    "name",
    "description",
}
CHANGEABLE_SECTIONS = ("training.health.",)
FROM_THE_DATA = {"network.classes"}  # filled in once the data is open


class TrainingError(RuntimeError):
    """A run that cannot start or go on; the message is one line and names the mend."""


class RunDirectory:
    """``config.yaml`` and ``run.json`` of a run, beside its checkpoints, samples, log and model.

    Args:
        path: the directory; made by `start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config, self._decided = path / "config.yaml", path / "run.json"

    @property
    def started(self) -> bool:
        """Whether a run has something to go on with here: a checkpoint.

        Raises:
            TrainingError: there are checkpoints, but the files that say what they belong to are missing.
        """
        if not any((self.path / "checkpoints").glob("step-*.safetensors")):
            return False
        for needed in (self._config, self._decided):
            if not needed.exists():
                raise TrainingError(f"{needed}: missing beside checkpoints; start anew in another --out")
        return True

    def changes(self, config: Config, override: bool) -> dict[str, tuple[Any, Any]]:
        """What differs from the settings that the run was started with, beyond what may change at any time.

        Args:
            config: the settings to go on under.
            override: whether fields of ``training`` and ``data`` may differ.

        Returns:
            Old and new value by the field's path.

        Raises:
            TrainingError: a field that decides what is learned differs and may not; each difference is named.
        """
        before, after = (_leaves(c.model_dump(mode="json")) for c in (load_config(str(self._config)), config))
        ignored = CHANGEABLE | FROM_THE_DATA
        if config.training.lr_decay != "none":
            ignored = ignored - {"training.steps"}  # the decay is planned over all the steps
        names = sorted(
            name
            for name in before.keys() | after.keys()
            if name not in ignored and not name.startswith(CHANGEABLE_SECTIONS) and before.get(name) != after.get(name)
        )
        changes = {name: (before.get(name), after.get(name)) for name in names}
        differences = "; ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())
        if fixed := [name for name in names if name.startswith("network.")]:
            raise TrainingError(
                f"{self.path} was started with other settings: {differences}. "
                + (f"--override cannot change the networks ({fixed[0]}): " if override else "")
                + "use the old settings, or another --out"
            )
        if names and not override:
            raise TrainingError(
                f"{self.path} was started with other settings: {differences}. "
                "Use the old settings, another --out, or --override to go on with the new ones"
            )
        return changes

    def other_clips(self, dataset: ClipDataset, override: bool) -> dict[str, tuple[Any, Any]]:
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

    def record_override(self, decided: dict[str, Any], step: int, changes: dict[str, tuple[Any, Any]]) -> None:
        """Add changes to those that `decided` has."""
        entry = {"step": step, "changes": {name: list(pair) for name, pair in changes.items()}}
        decided["overrides"] = [*decided.get("overrides", []), entry]

    def write(self, config: Config, facts: dict[str, Any]) -> None:
        """Write the configuration, in which a resumed run may have changed what may change, and what goes with it.

        Args:
            config: the settings from now on.
            facts: what `decided` is to give, and what reports want to know; JSON-serialisable.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        _replace_text(self._decided, json.dumps(facts, indent=1))
        _replace_text(self._config, config.to_yaml())

    def decided(self) -> dict[str, Any]:
        """What was decided when the run started: precision, memory_format, threads, and the data's identity.

        Raises:
            TrainingError: run.json is damaged.
        """
        try:
            decided: dict[str, Any] = json.loads(self._decided.read_text(encoding="utf-8"))
            _ = [decided[name] for name in ("precision", "memory_format", "threads", "data")]
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise TrainingError(f"{self._decided}: damaged ({error!r}); start anew in another --out") from None
        return decided

    def remove_leftovers(self) -> None:
        """Remove what a killed training left half-written; call it while `locked`.

        What was moved aside for a new one that never came goes back first.
        """
        for name in ("model", "data"):
            for old in sorted(self.path.glob(f".{name}-old-*")) + sorted(self.path.glob(f".{name}.*.old")):
                if not (self.path / name).exists() and any(old.iterdir()):
                    old.rename(self.path / name)
        for folder in (self.path, self.path / "checkpoints", self.path / "samples"):
            for path in folder.glob(".*"):
                if path.name.startswith((".model-", ".data.")) and path.is_dir():
                    shutil.rmtree(path)
                elif ".partial" in path.name and path.is_file():
                    path.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out while this one runs, where the system has file locks.

        Raises:
            TrainingError: another training is at work here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        with open(self.path / ".lock", "w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise TrainingError(
                    f"{self.path}: another training is at work here; wait, or use another --out"
                ) from None
            yield


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
