"""How long the frames of an animated GIF, WebP or PNG last, from the file's blocks, without decoding a pixel.

Pillow gives a WebP's delays only as it decodes, rounds those of a PNG, and does not say whether a GIF was cut between
two frames.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_SHORTEST = Fraction(1, 100)  # seconds: a frame whose delay is no longer than this
_UNTIMED = Fraction(1, 10)  # is shown for so long, as browsers do


class CutShort(ValueError):
    """A file ends, or makes no sense, before its last block."""


def delays(path: Path, format: str) -> Iterator[tuple[Fraction, int]]:
    """What each frame lasts, in seconds, and where in the file its block ends; the file is read as far as asked for.

    The format is GIF, WEBP or PNG, as Pillow names it.

    Raises:
        CutShort: from the iterator, where the file ends before its end mark or its blocks are none.
    """
    with open(path, "rb") as file:
        for delay in {"GIF": _of_gif, "WEBP": _of_webp, "PNG": _of_png}[format](file):
            yield (delay if delay > _SHORTEST else _UNTIMED), file.tell()


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise CutShort("the file ends too early")
    return data


def _of_gif(file: BinaryIO) -> Iterator[Fraction]:
    flags = _read(file, 13)[10]
    _skip_colours(file, flags)
    delay = Fraction(0)
    while (mark := _read(file, 1)) != b";":
        if mark == b"!":
            label = _read(file, 1)[0]
            size = _read(file, 1)[0]
            block = _read(file, size)
            if label == 0xF9 and size >= 3:
                delay = Fraction(struct.unpack_from("<H", block, 1)[0], 100)
            if size:
                _skip_blocks(file)
        elif mark == b",":
            _skip_colours(file, _read(file, 9)[8])
            _read(file, 1)
            _skip_blocks(file)
            yield delay
            delay = Fraction(0)
        elif mark != b"\0":  # some writers pad
            raise CutShort("bytes that belong to no frame")


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _read(file, 3 << ((flags & 7) + 1))


def _skip_blocks(file: BinaryIO) -> None:
    while size := _read(file, 1)[0]:
        _read(file, size)


def _of_webp(file: BinaryIO) -> Iterator[Fraction]:
    _, size, _ = struct.unpack("<4sI4s", _read(file, 12))
    end = size + 8
    while file.tell() < end:
        name, size = struct.unpack("<4sI", _read(file, 8))
        following = file.tell() + size + size % 2
        if name == b"ANMF":
            delay = Fraction(int.from_bytes(_read(file, 16)[12:15], "little"), 1000)
        _check_reaches(file, min(following, end))
        file.seek(following)
        if name == b"ANMF":
            yield delay
        elif name in (b"VP8 ", b"VP8L"):
            yield Fraction(0)


def _of_png(file: BinaryIO) -> Iterator[Fraction]:
    _read(file, 8)
    delay: Fraction | None = None
    while True:
        size, name = struct.unpack(">I4s", _read(file, 8))
        following = file.tell() + size + 4
        if name in (b"fcTL", b"IEND") and delay is not None:
            yield delay
        if name == b"fcTL":
            over, under = struct.unpack(">HH", _read(file, 26)[20:24])
            delay = Fraction(over, under or 100)
        _check_reaches(file, following)
        file.seek(following)
        if name == b"IEND":
            return


def _check_reaches(file: BinaryIO, end: int) -> None:
    if end > file.seek(0, 2):
        raise CutShort("the file ends too early")
