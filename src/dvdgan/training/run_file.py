"""``run.json`` of a run: what was decided when it started, checked as it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvdgan.documents import DocumentError, read_json, shortened
from dvdgan.networks.checkpointing import KINDS
from dvdgan.runs.directory import TrainingError

STORE = re.compile(r"data(-[0-9]{1,9})?")
"""Names of a run's packed stores."""


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and set(map(type, value)) <= {str}


def _is_weight(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


_DECIDED: dict[str, tuple[Callable[[Any], bool], bool]] = {  # what run.json's fields may be, and which are needed
    "precision": (lambda value: value in ("fp32", "bf16"), True),
    "memory_format": (lambda value: value in ("contiguous", "channels_last"), True),
    "checkpointing": (lambda value: value in KINDS, False),
    "threads": (lambda value: type(value) is int and 1 <= value <= 4096, True),
    "data": (lambda value: isinstance(value, str), True),
    "store": (lambda value: isinstance(value, str) and STORE.fullmatch(value) is not None, False),
    "classes": (_is_names, False),
    "class_weights": (
        lambda value: (
            isinstance(value, list) and set(map(type, value)) <= {int, float} and all(0 <= w < math.inf for w in value)
        ),
        False,
    ),
    "clips": (lambda value: type(value) is int, False),
    "config": (lambda value: isinstance(value, dict), False),
    "overrides": (lambda value: isinstance(value, list) and all(map(_is_override, value)), False),
    "evaluation": (lambda value: isinstance(value, dict), False),
    "started_from": (lambda value: value is None or _is_start(value), False),
}


def _is_start(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        return False
    return type(entry.get("steps")) is int and _is_weight(entry.get("seconds"))


def _is_override(entry: Any) -> bool:
    changes = entry.get("changes") if isinstance(entry, dict) else None
    return isinstance(changes, dict) and all(isinstance(pair, list) and len(pair) == 2 for pair in changes.values())


def read_decided(path: Path) -> dict[str, Any]:
    """What was decided: precision, memory_format, threads, and the data's identity.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        decided = read_json(path, finite=False)
    except FileNotFoundError:
        raise TrainingError(f"{path}: missing; start anew in another --out") from None
    except DocumentError as error:
        raise TrainingError(f"{error}; start anew in another --out") from None
    if not isinstance(decided, dict):
        decided = {}
    for name, (fits, needed) in _DECIDED.items():
        if not fits(decided[name]) if name in decided else needed:
            what = f"has {shortened(repr(decided[name]))}" if name in decided else "is missing"
            raise TrainingError(f"{path}: damaged ({name} {what}); start anew in another --out")
    return decided
