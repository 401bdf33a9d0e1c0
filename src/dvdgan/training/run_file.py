"""``run.json`` of a run: what was decided when it started, checked as it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dvdgan.documents import DocumentError, read_json, shortened
from dvdgan.runs.directory import TrainingError

STORE = re.compile(r"data(-[0-9]{1,9})?")
"""Names of a run's packed stores."""

_Weight = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Start(_Part):
    source: str
    steps: int
    seconds: _Weight


class _Override(_Part):
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]


class _Decided(_Part):
    precision: Literal["fp32", "bf16"]
    memory_format: Literal["contiguous", "channels_last"]
    checkpointing: Literal["none", "stages", "chunks"] = "none"
    threads: int = Field(ge=1, le=4096)
    data: str
    store: str = Field("data", pattern=f"^{STORE.pattern}$")
    classes: list[str] = []
    class_weights: list[_Weight] = []
    clips: int = 0
    config: dict[str, Any] = {}
    overrides: list[_Override] = []
    evaluation: dict[str, Any] = {}
    started_from: _Start | None = None


def read_decided(path: Path) -> dict[str, Any]:
    """What was decided: precision, memory_format, threads, and the data's identity.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    anew = "start anew in another --out"
    try:
        found = read_json(path, finite=False)
        decided: dict[str, Any] = found if isinstance(found, dict) else {}
        _Decided.model_validate(decided)
    except FileNotFoundError:
        raise TrainingError(f"{path}: missing; {anew}") from None
    except DocumentError as error:
        raise TrainingError(f"{error}; {anew}") from None
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        what = f"has {shortened(repr(decided[name]))}" if name in decided else "is missing"
        raise TrainingError(f"{path}: damaged ({name} {what}); {anew}") from None
    return decided
