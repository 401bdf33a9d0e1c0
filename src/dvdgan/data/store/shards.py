"""Tar shards that any reader of WebDataset understands, and whose clips lie at known places.

A shard is an uncompressed tar of samples, each of three files that share a number, ``00000012.npy`` and so on::

    .npy     the frames, uint8 [T, H, W, 3 or 4]
    .cls     the index of the class, as text; only where there are classes
    .json    source, class (its name, or null), fps, split, group, sha256 of the frames

A plain file in a tar is a range of its bytes, so the frames of a clip are read as from one large file.
"""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Sequence

from dvdgan.data.store.index import BEFORE_FRAMES, Clip

_BLOCK = 512  # bytes
_NPY_HEADER = BEFORE_FRAMES - _BLOCK

END = bytes(1024)
"""What a tar ends with."""

SAMPLE_BYTES = 3 << 10
"""About how many bytes of a sample are no frames."""

_NPY = "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}, {}, {}), }}"


def sample_bytes(clip: Clip, classes: Sequence[str]) -> int:
    """Length of a sample in its shard."""
    npy = _BLOCK + _padded(_NPY_HEADER + clip.bytes)
    return npy + (2 * _BLOCK if classes else 0) + _BLOCK + _padded(len(_description(clip, classes)))


def before_frames(number: int, clip: Clip) -> bytes:
    """The `BEFORE_FRAMES` bytes of a sample that stand before its frames."""
    text = _NPY.format(clip.frames, clip.height, clip.width, clip.channels).ljust(_NPY_HEADER - 11) + "\n"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")
    return _header(f"{number:08d}.npy", len(npy) + clip.bytes) + npy


def after_frames(number: int, clip: Clip, classes: Sequence[str]) -> bytes:
    """The bytes of a sample that stand behind its frames."""
    files = {"cls": str(clip.label).encode()} if classes else {}
    files["json"] = _description(clip, classes)
    members = [_header(f"{number:08d}.{suffix}", len(data)) + _filled(data) for suffix, data in files.items()]
    return bytes(-(_NPY_HEADER + clip.bytes) % _BLOCK) + b"".join(members)


def _description(clip: Clip, classes: Sequence[str]) -> bytes:
    known = {"source": clip.source, "class": classes[clip.label] if classes else None, "fps": clip.fps}
    return json.dumps(known | {"split": clip.split, "group": clip.group, "sha256": clip.sha256}).encode()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(size: int) -> int:
    return size + -size % _BLOCK


def _filled(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")
