"""Places for results, and the mark of files by which they may be written over: nothing of a user's is."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from dvdgan.data.errors import DataError
from dvdgan.documents import DocumentError, open_regular

_MARK = b"made with dvdgan"
_READ = 4096  # bytes at either end of a file


def sign(path: Path) -> None:
    """Put the mark where the format has room for it and readers pass over it; other suffixes get none.

    MP4 gets a ``free`` box, GIF and JPEG a comment, WebP a chunk of its own, PNG the text Software, NPZ the
    comment of a ZIP.
    """
    with open(path, "r+b") as file:
        end = file.seek(0, 2)
        suffix = path.suffix.lower()
        if suffix == ".mp4":
            file.write(struct.pack(">I4s", 8 + len(_MARK), b"free") + _MARK)
        elif suffix == ".gif":
            file.seek(end - 1)  # the trailer, one byte
            file.write(b"!\xfe" + bytes([len(_MARK)]) + _MARK + b"\0;")
        elif suffix == ".webp":
            file.write(struct.pack("<4sI", b"MADE", len(_MARK)) + _MARK)
            file.seek(4)
            file.write(struct.pack("<I", end + len(_MARK)))  # what follows these eight bytes
        elif suffix == ".png":
            file.seek(end - 12)  # the chunk IEND
            last, chunk = file.read(), b"tEXtSoftware\0" + _MARK
            file.seek(end - 12)
            file.write(struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + last)
        elif suffix in (".jpg", ".jpeg"):
            file.seek(end - 2)  # the marker EOI
            file.write(struct.pack(">HH", 0xFFFE, 2 + len(_MARK)) + _MARK + b"\xff\xd9")
        elif suffix == ".npz":
            file.seek(end - 2)  # the length of the comment
            file.write(struct.pack("<H", len(_MARK)) + _MARK)


def _is_signed(head: bytes, tail: bytes) -> bool:
    return _MARK in tail[-64:]


def check_above(path: Path) -> None:
    """Refuse a place below a file.

    Raises:
        DataError: there is no directory that it could be made in.
    """
    above = next((above for above in path.absolute().parents if above.exists()), None)
    if above is not None and not above.is_dir():
        raise DataError(f"{path}: {above} is a file; choose another place")


def check_free(path: Path, is_own: Callable[[bytes, bytes], bool] = _is_signed) -> None:
    """Refuse a place where something else is than an empty file or an earlier result.

    Args:
        path: the file to be written.
        is_own: whether a file with such a beginning and such an end is an earlier result.

    Raises:
        DataError: it is a directory, lies below a file, or is a file that is not known to be of this program.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name a file")
    check_above(path)
    if not path.exists():
        return
    try:
        with open_regular(path) as file:
            head = file.read(_READ)
            file.seek(max(0, file.seek(0, 2) - _READ))
            tail = file.read()
    except (DocumentError, OSError) as error:
        raise DataError(f"{error}; name another file") from None
    if head and not is_own(head, tail):
        raise DataError(f"{path}: exists and was not made with dvdgan; name another file, or remove it")
