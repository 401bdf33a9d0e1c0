"""What a run's directory says of it: its configuration, and what was decided when it started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvdgan.config import Config
from dvdgan.config_files import load_config

# Fields that a resumed run may change: they decide when things are written and when it ends, not what is learned.
CHANGEABLE = {
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.sample_clips",
    "training.statistics_batches",
    "data.fps",
    "name",
    "description",
}
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

    def check(self, config: Config) -> None:
        """Refuse to go on under other settings.

        Raises:
            TrainingError: a field that decides what is learned differs; each difference is named.
        """
        before, after = (_leaves(c.model_dump(mode="json")) for c in (load_config(str(self._config)), config))
        ignored = CHANGEABLE | FROM_THE_DATA
        if config.training.lr_decay != "none":
            ignored = ignored - {"training.steps"}  # the decay is planned over all the steps
        names = sorted(name for name in (before | after).keys() - ignored if before.get(name) != after.get(name))
        if names:
            differences = "; ".join(f"{name} {before.get(name)} -> {after.get(name)}" for name in names)
            raise TrainingError(
                f"{self.path} was started with other settings: {differences}. Use the old settings, or another --out"
            )

    def start(self, config: Config, decided: dict[str, Any]) -> None:
        """Write what a new run starts with."""
        self.write_config(config)
        _replace_text(self._decided, json.dumps(decided, indent=1))

    def write_config(self, config: Config) -> None:
        """Write the configuration, in which a resumed run may have changed when things are written."""
        self.path.mkdir(parents=True, exist_ok=True)
        _replace_text(self._config, config.to_yaml())

    def decided(self, data: str) -> dict[str, Any]:
        """What was decided when the run started: precision, memory_format, threads, and the data's identity.

        Args:
            data: the identity of the clips that are there now.

        Raises:
            TrainingError: run.json is damaged, or the run was started with other clips.
        """
        try:
            decided = json.loads(self._decided.read_text(encoding="utf-8"))
            started_with = {name: decided[name] for name in ("precision", "memory_format", "threads", "data")}["data"]
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise TrainingError(f"{self._decided}: damaged ({error!r}); start anew in another --out") from None
        if started_with != data:
            raise TrainingError(f"{self.path} was started with other clips; restore them, or use another --out")
        return decided

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
