"""``run.json`` of a run: what was decided when it started, checked as it is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dvdgan.atomic import atomic_path
from dvdgan.config import Config
from dvdgan.documents import DocumentError, read_json, shortened
from dvdgan.runs.directory import TrainingError

STORE = re.compile(r"data(-[0-9]{1,9})?")
"""Names of a run's packed stores."""

_Weight = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class StartedFrom(_Part):
    """The weights that a run started from, other than freshly initialised ones."""

    source: str  # as ``training.start_from`` names it
    steps: int  # that they were trained; 0 if unknown
    seconds: _Weight
    taken: dict[str, float]  # share of each network's parameters, from 0 to 1


class Override(_Part):
    """Settings that changed while the run went on."""

    step: int
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]
    """Old and new value by the field's path."""


class RunFile(_Part):
    """What ``run.json`` holds: what was decided when the run started, and what reports want to know."""

    precision: Literal["fp32", "bf16"]
    memory_format: Literal["contiguous", "channels_last"]
    checkpointing: Literal["none", "stages", "chunks"]
    threads: int = Field(ge=1, le=4096)
    torch: str  # PyTorch's version
    device: str  # its type
    processes: int = Field(ge=1)
    store: str = Field(pattern=f"^{STORE.pattern}$")  # the name of the packed store
    data: str  # the clips' identity
    clips: int  # how many they are
    classes: list[str]
    class_weights: list[_Weight]  # see `ClipDataset.class_weights`
    started_from: StartedFrom | None = None
    overrides: list[Override] = []
    baseline: float | None = None  # see `SampleChecker`
    real_accuracy_by_class: dict[str, float] = {}  # see `SampleChecker`
    evaluation: dict[str, Any] | None = None  # see `Evaluator`
    config: Config  # the settings from now on

    @classmethod
    def read(cls, path: Path) -> RunFile:
        """What a file holds.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        anew = "start anew in another --out"
        try:
            return cls.model_validate(read_json(path, finite=False))
        except FileNotFoundError:
            raise TrainingError(f"{path}: missing; {anew}") from None
        except DocumentError as error:
            raise TrainingError(f"{error}; {anew}") from None
        except ValidationError as error:
            fault = error.errors()[0]
            name = shortened(".".join(map(str, fault["loc"]))) or "it"
            what = "is missing" if fault["type"] == "missing" else f"has {shortened(repr(fault['input']))}"
            raise TrainingError(f"{path}: damaged ({name} {what}); {anew}") from None

    def write(self, path: Path) -> None:
        """Write it, so that it is there whole, on the disk, or as it was."""
        tree = self.model_dump(mode="json", exclude={"config"}, exclude_none=True)
        with atomic_path(path, synced=True) as temporary:
            text = json.dumps(tree | {"config": self.config.model_dump(mode="json")}, indent=1)
            temporary.write_text(text, encoding="utf-8")
