"""What clips are known by: what their files hold, wherever they lie and whenever they were written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dvdgan.data.decode.sequences import matches

_SAMPLE = 1 << 16  # bytes at the beginning, in the middle and at the end of a file


def content_of(path: Path) -> str:
    """A digest of a clip's file, or of the frames of a folder or of a common name; empty where there is none.

    It is that of a file's length and of up to 192 KiB of it, and of the lengths of all frames and of the first, the
    middle and the last one: what is encoded anew differs in these.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir() or (not path.exists() and "*" in path.name):
            folder = path if path.is_dir() else path.parent
            names = sorted(name for name in os.listdir(folder) if name[0] != ".")
            files = [folder / name for name in (names if path.is_dir() else matches(path.name, names))]
            files = [file for file in files if file.is_file()]
            digest.update(repr([file.stat().st_size for file in files]).encode())
            for at in sorted({0, len(files) // 2, len(files) - 1} if files else set()):
                _add(digest, files[at])
        else:
            _add(digest, path)
    except OSError:  # a dangling link, or a file that was just removed
        return ""
    return digest.hexdigest()


def _add(digest: hashlib._Hash, file: Path) -> None:
    with open(file, "rb") as data:
        size = os.fstat(data.fileno()).st_size
        digest.update(str(size).encode())
        for start in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
            data.seek(start)
            digest.update(data.read(_SAMPLE))
