"""Checkpoints: everything that resuming needs in one safetensors file, checksummed, written beside and renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dvdgan.atomic import atomic_path
from dvdgan.documents import DocumentError, open_regular, parse_json, shortened
from dvdgan.runs.retention import Retention, SavedCheckpoint

FORMAT = "dvdgan-checkpoint"
_NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,17})\.safetensors")  # as written here; others are the user's
_FULL = re.compile(r"No space left on device|os error (28|112|122)\b")  # ENOSPC, Windows' disk full, EDQUOT


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one line and names the file and the mend."""


def save_checkpoint(directory: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> Path:
    """Write ``step-<step>.safetensors`` atomically: it is there whole, on the disk, or not at all.

    Args:
        directory: where checkpoints live; made if missing.
        step: finished steps.
        tensors: by name.
        numbers: JSON-serialisable; ``score``, if there and not None, is what `saved_checkpoints` reads.

    Raises:
        OSError: it cannot be written; with ``errno.ENOSPC`` if the disk is full.
    """
    path = directory / f"step-{step:08d}.safetensors"
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(numbers)
    about = {"format": FORMAT, "step": str(step), "numbers": text, "sha256": _digest(contiguous, text)}
    try:
        with atomic_path(path, synced=True) as partial:
            save_file(contiguous, partial, about)
    except SafetensorError as error:
        full = is_disk_full(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, f"cannot be written ({error})", str(path)) from None
    return path


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's share of it, is full."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or bool(_FULL.search(str(error)))


def list_checkpoints(directory: Path) -> list[Path]:
    """Checkpoints of a run, oldest first; files of other names, such as copies, are left alone."""
    return sorted((path for path in directory.glob("step-*") if _NAME.fullmatch(path.name)), key=step_of)


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint by its header."""
    try:
        with open_regular(path), safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError, DocumentError):
        return False


def saved_checkpoints(directory: Path) -> list[SavedCheckpoint]:
    """Checkpoints of a run with their sizes and scores, oldest first; only headers are read."""
    saved = []
    for path in list_checkpoints(directory):
        try:
            with open_regular(path), safe_open(path, framework="pt") as file:
                score = parse_json((file.metadata() or {})["numbers"], str(path)).get("score")
        except (SafetensorError, OSError, KeyError, ValueError, AttributeError):
            score = None  # damaged; it goes when newer ones are there
        if type(score) not in (int, float) or not math.isfinite(score):
            score = None
        saved.append(SavedCheckpoint(path, step_of(path), path.lstat().st_size, score))
    return saved


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and numbers, and compare their checksum.

    Raises:
        CheckpointError: the file is damaged, is no dvdgan checkpoint, or is a link to nothing.
        OSError: it cannot be read at all.
    """
    try:
        with open_regular(path), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path}: not a dvdgan checkpoint; move it out of the run's directory")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        numbers = parse_json(metadata["numbers"], "its numbers", finite=False)
        if _digest(tensors, metadata["numbers"]) != metadata["sha256"]:
            raise ValueError("its checksum differs")
        return tensors, numbers
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file, or a link to none; put it back, or remove the link") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); use another checkpoint") from None


def save_and_prune(
    directory: Path,
    step: int,
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
    retention: Retention,
    say: Callable[[str], None],
) -> None:
    """Save a checkpoint, then remove those that need not stay.

    On a full disk, what makes room is removed before a second try: all of the newest ones but one.

    Args:
        directory: where checkpoints live; made if missing.
        step: finished steps.
        tensors: by name.
        numbers: see `save_checkpoint`.
        retention: which checkpoints stay.
        say: where lines for the user go.

    Raises:
        OSError: it cannot be written; the newest checkpoint on disk is as it was.
    """
    try:
        save_checkpoint(directory, step, tensors, numbers)
    except OSError as error:
        spare = replace(retention, newest=1).expendable(saved_checkpoints(directory))
        if not (is_disk_full(error) and spare):
            raise
        for path in spare:
            path.unlink()
        say(f"warning: the disk is full; removed {', '.join(path.name for path in spare)} to save step {step}")
        save_checkpoint(directory, step, tensors, numbers)
    prune(directory, retention)


def prune(directory: Path, retention: Retention) -> None:
    """Remove checkpoints that need not stay."""
    for path in retention.expendable(saved_checkpoints(directory)):
        path.unlink()


def restore_newest(
    directory: Path, restore: Callable[[dict[str, Tensor], dict[str, Any]], None], say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Restore the newest checkpoint that is whole; damaged ones are renamed, so that they are not met again.

    Args:
        directory: where checkpoints live.
        restore: takes the tensors and the numbers.
        say: where warnings go.

    Returns:
        The numbers; None if there are no checkpoints.

    Raises:
        CheckpointError: all are damaged, or the newest whole one is another network's or a link to nothing.
    """
    damaged = []
    for path in reversed(list_checkpoints(directory)):
        try:
            tensors, numbers = load_checkpoint(path)
        except CheckpointError as error:
            if not path.exists():  # a link to a disk that is away is not damage
                raise
            say(f"warning: {error}")
            damaged.append(path)
            continue
        restore_from(path, restore, tensors, numbers)
        for broken in damaged:
            aside, number = broken.with_name(f"{broken.name}.damaged"), 2
            while os.path.lexists(aside):  # one that was moved aside before
                aside, number = broken.with_name(f"{broken.name}.damaged-{number}"), number + 1
            broken.rename(aside)
            say(f"warning: renamed it to {aside.name}; going on from {path.name}")
        return numbers
    if damaged:
        raise CheckpointError(f"{directory}: every checkpoint is damaged; delete them to start anew")
    return None


def restore_from(
    path: Path,
    restore: Callable[[dict[str, Tensor], dict[str, Any]], None],
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
) -> None:
    """Restore what was loaded from a checkpoint.

    Raises:
        CheckpointError: it is another network's, or holds something else than a training's state.
    """
    try:
        restore(tensors, numbers)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; use another --out") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = shortened(f"{type(error).__name__}: {error}")
        raise CheckpointError(f"{path}: holds no state of this training ({reason}); use another --out") from None


def _digest(tensors: dict[str, Tensor], numbers: str) -> str:
    """SHA-256 over names, types, shapes and bytes of contiguous tensors, and over the numbers' text."""
    digest = hashlib.sha256(numbers.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
