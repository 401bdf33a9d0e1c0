"""What a file is, by its first bytes, and whether it has its last ones: names and headers may say something else."""

from __future__ import annotations

from pathlib import Path

PICTURES = (b"GIF87a", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
"""How pictures and animations begin, but for WebP."""

_FILMS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"OggS",
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG-1, MPEG-2
    b"\0\0\x01\xb0",  # MPEG-4 part 2
    b"\0\0\0\x01",  # H.264, HEVC and VVC by start codes
    b"\0\0\x01\x67",
    b"\0\0\x01\x09",
    b"\x12\0\x0a",  # AV1 by units
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
    b"nut/multimedia container\0",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"\x1f\x07\0",  # DV
    b".RMF",
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")  # MP4 and QuickTime
_RIFF = (b"AVI ", b"WEBP", b"AMV ")
_READ = 1024


def is_clip(path: Path) -> bool:
    """Whether a file's first bytes are those of a film, an animation or a picture.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(_READ)
    if head.startswith(PICTURES + _FILMS) or head[4:8] in _BOXES or (head[:4] == b"RIFF" and head[8:12] in _RIFF):
        return True
    return any(_is_transport_stream(head, step, first) for step, first in ((188, 0), (192, 4), (204, 0)))


def _is_transport_stream(head: bytes, step: int, first: int) -> bool:
    marks = head[first::step]
    return len(marks) > 3 and set(marks) == {0x47}


def lacks_end(path: Path) -> bool:
    """Whether a Matroska or AVI file is shorter than it says, or ends in zeros, as downloads that broke off do."""
    with open(path, "rb") as file:
        head = file.read(_READ)
        size = file.seek(0, 2)
        file.seek(-min(size, 16), 2)
        if not any(file.read()):
            return True
    if head[:4] == b"RIFF":
        says = int.from_bytes(head[4:8], "little")
        return 0 < says < 0xFFFFFFFF and 8 + says > size
    return _matroska_end(head) > size


def _matroska_end(head: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 where it does not say."""
    header, start = _number_at(head, 4)
    if not head.startswith(b"\x1a\x45\xdf\xa3") or header is None:
        return 0
    at = start + header
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    length, start = _number_at(head, at + 4)
    return 0 if length is None else start + length


def _number_at(data: bytes, at: int) -> tuple[int | None, int]:
    """A number of EBML, None where it is unknown, and where it ends."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if not 1 <= width <= 8:
        return None, at
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value, at + width
