"""The place of a model directory: what may be replaced there, how it is, and what a killed writer leaves."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvdgan.documents import DocumentError, open_regular

FORMAT = "dvdgan-model"
DISCRIMINATORS = "discriminators.safetensors"
FILES = ("config.yaml", "model.safetensors", "classes.json", "card.md", DISCRIMINATORS)


class ModelError(ValueError):
    """A model directory that cannot be used; the message is one line, names the file and says what to do."""


@contextlib.contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A directory to write a model's files to; at the end it takes the place of the model that is there, if any.

    Raises:
        ModelError: as `check_model_place`.
    """
    check_model_place(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = directory.with_name(f".{directory.name}-{secrets.token_hex(4)}")
    try:
        staging.mkdir()
        yield staging
        for path in staging.iterdir():  # safetensors makes its files for the owner alone
            path.chmod(staging.stat().st_mode & 0o666)
        if not directory.exists():
            os.replace(staging, directory)
            return
        retired = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
        retired.rmdir()  # Windows replaces no directory, not even an empty one
        os.replace(directory, retired)
        try:
            os.replace(staging, directory)
        except OSError:
            os.replace(retired, directory)
            raise
        _remove_files(retired)
    finally:
        _remove_files(staging)


def check_model_place(directory: Path) -> None:
    """Refuse a place where a model cannot be written, before any work.

    Raises:
        ModelError: the path is a file, a link, or a directory with other files than a model's.
    """
    if directory.is_symlink():
        raise ModelError(f"{directory}: is a link; name the place that it leads to, or choose another one")
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not directory.is_dir() or not set(os.listdir(directory)) <= set(FILES) or not _is_ours(directory):
        raise ModelError(
            f"{directory}: exists and is not a model directory; move what is in it, or choose another place"
        )


def remove_staging(place: Path) -> None:
    """Remove what a killed `save_model` left beside a model's place; a model that it moved aside is restored first."""
    name = re.escape(place.name)
    for left in place.parent.glob(f".{glob.escape(place.name)}-*"):
        if re.fullmatch(rf"\.{name}-old-[a-z0-9_]{{8}}", left.name) and _is_ours(left) and not place.exists():
            left.rename(place)
        elif re.fullmatch(rf"\.{name}-(old-)?[a-z0-9_]{{8}}", left.name):
            _remove_files(left)


def _is_ours(directory: Path) -> bool:
    """Whether the weights in it are a model's, of any version."""
    try:
        with open_regular(directory / "model.safetensors") as file:
            length = int.from_bytes(file.read(8), "little")
            return f'"{FORMAT} '.encode() in file.read(min(length, 1 << 24))
    except (OSError, DocumentError):
        return False


def _remove_files(directory: Path) -> None:
    """Remove a model's files, and the directory unless there is more in it."""
    if directory.is_symlink():
        return
    with contextlib.suppress(OSError):
        for name in FILES:
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()
