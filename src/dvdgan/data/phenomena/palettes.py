"""Curated colours: what makes the rendered scenes pleasant, and keeps objects apart from their ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_M1 = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_M2 = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    """Linear light from sRGB-encoded values, both in [0, 1], any shape."""
    x = np.asarray(x)
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """sRGB-encoded values from linear light, clipped to [0, 1], any shape."""
    x = np.clip(x, 0.0, 1.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055)


_CODES = np.rint(255 * linear_to_srgb(np.arange(65536) / 65535)).astype(np.uint8)


def to_uint8(linear: np.ndarray) -> np.ndarray:
    """8-bit sRGB codes of linear light in [0, 1], any shape: clipped, rounded, never dithered."""
    return _CODES[np.rint(np.clip(linear, 0.0, 1.0) * 65535).astype(np.uint16)]


def luma(linear: np.ndarray) -> np.ndarray:
    """Luma in [0, 1] of linear RGB ``[..., 3]``: the Rec. 601 weighting of its sRGB-encoded values."""
    return linear_to_srgb(linear) @ np.array([0.299, 0.587, 0.114])


def recolour(linear: np.ndarray, hue: float, chroma: float = 1.0, lightness: float = 1.0) -> np.ndarray:
    """Turn the hue and scale the chroma and lightness of linear RGB ``[..., 3]``, in the OKLab space.

    Args:
        linear: colours in [0, 1].
        hue: angle to turn by, in radians.
        chroma: factor on the chroma.
        lightness: factor on the perceived lightness.
    """
    lab = np.cbrt(np.asarray(linear) @ _M1.T) @ _M2.T
    a, b = lab[..., 1] * chroma, lab[..., 2] * chroma
    turned = np.stack(
        [lab[..., 0] * lightness, a * np.cos(hue) - b * np.sin(hue), a * np.sin(hue) + b * np.cos(hue)], axis=-1
    )
    return np.clip((turned @ np.linalg.inv(_M2).T) ** 3 @ np.linalg.inv(_M1).T, 0.0, 1.0)


@dataclass(frozen=True)
class Palette:
    """Colours that look good together, as linear RGB in [0, 1].

    Attributes:
        name: what the palette is called.
        ground: ``[3, 3]``, three background tones from light to dark.
        tones: ``[5, 3]``, five object colours, distinct in hue and luma.
        light: ``[3]``, the colour of the key light, near white.
        shadow: ``[3]``, the dark tint of the shadows.
    """

    name: str
    ground: np.ndarray
    tones: np.ndarray
    light: np.ndarray
    shadow: np.ndarray


def _colours(hexes: str) -> np.ndarray:
    codes = np.array([list(bytes.fromhex(h)) for h in hexes.split()])
    return srgb_to_linear(codes / 255.0)


def _palette(name: str, ground: str, tones: str, light: str, shadow: str) -> Palette:
    return Palette(name, _colours(ground), _colours(tones), _colours(light)[0], _colours(shadow)[0])


PALETTES: tuple[Palette, ...] = (
    _palette("riviera", "f3e9d8 e3cfae b99c78", "1f4e79 e2725b f2b544 4f9d9d 8c2f39", "fff4e0", "2b2440"),
    _palette("hokusai", "efe6d2 c9d3cf 7f9aa6", "173f5f d1495b edae49 3c7a89 0b1f33", "fff6e6", "14213d"),
    _palette("terracotta", "f6e3d0 e8b998 b97a57", "7a2e1d 2a6f6b e9a03b 4c5b8a f4d7a1", "ffeedd", "2d1b2e"),
    _palette("nordic", "e9eef0 c3d0d6 8499a5", "24475b d96846 e6c05a 5f8f7b 8a4f7d", "f4faff", "1b2838"),
    _palette("sorbet", "fdeee6 f8cfc0 dd9a97", "d1495b f6a34d 5ba79d 7a5ea8 33518a", "fff3ea", "4a2545"),
    _palette("matcha", "f0efd9 cfd6a6 94a36b", "3f5d32 d9742b f0c75e 8c3b4a 2c6e7f", "fffbe8", "1f2a1c"),
    _palette("aubergine", "e9dbe3 a889a5 5a3f63", "f2a65a d64550 56b3a6 2b1a3d f5dd90", "ffefe2", "1c0f2b"),
    _palette("midnight", "5f7ea8 2f4672 141f3f", "f4c95d e76f51 7fd1c7 b58adb f3ede0", "eaf2ff", "070b1c"),
    _palette("desert", "fbe6c2 eebf86 c98650", "8f3b2e 29638a 3f8372 f7d66e 5b2a4d", "fff0d6", "3a1f2f"),
    _palette("lagoon", "dff3ee 8fd0c8 3a8f97", "f26b5b f9c45c 0e4a63 7b4b94 fbf1de", "f5fffb", "06303f"),
    _palette("bauhaus", "f2ead9 d9ccb1 a6977a", "c8372d 20518e f0b429 2b2b2b 3f8a5f", "fffaf0", "1d1b26"),
    _palette("orchard", "f7f0dd dcd9a9 a9b36f", "b5322f e58a33 5e8c3a 3d5a80 7c3f58", "fff8e4", "26301f"),
    _palette("peony", "fbe8ec f0bccb c9819f", "9b2352 f08a6b 4f8f86 f5cf6f 3b3f78", "fff2f2", "3a1535"),
    _palette("fjord", "d6e4ea 8fb0c2 4a6f88", "f0e3c4 c94c3b e5a93d 183a50 6aa68f", "f2faff", "0c1d2b"),
    _palette("ember", "d98f5c 8a4135 3a1a25", "fbd36b f2793d e9465a 6fb7b0 f8ead0", "ffe6c8", "14070f"),
    _palette("lavender", "efeaf7 cfc3e6 9685bd", "4b3b80 e8776f f3c15f 3d8c95 a83e75", "fdf6ff", "231b42"),
    _palette("porcelain", "f4f2ec d8dde3 a2b1c6", "1d3a8a c4573a e0ae57 4d87b8 5f2b3c", "fffdf8", "1a2140"),
    _palette("canyon", "f5d5b8 dd9468 a3533c", "f8efd9 2f7f86 52203a f0b13f 34568b", "ffeada", "2a0f1c"),
    _palette("moss", "b9c6a0 6f8a62 2f4a3c", "f3d37a e07a4b e9e4d0 b24a6a 7cc0c4", "f8ffe6", "0d1c18"),
    _palette("kyoto", "f1e4d3 d6b9a0 8f6f63", "a4262c 2e5339 e3a43b 31456b f6d5c8", "fff2e2", "241722"),
    _palette("aurora", "6fa79d 2d5f70 142a43", "8ff0b5 f28fb3 f7d774 a98af0 f4f6ea", "e6fff6", "060f1f"),
    _palette("saffron", "fff0c9 f7cf73 d99a2b", "a32a2a 1f5f7a 5c3a78 2f7d57 fdf6e6", "fff7dc", "3d2211"),
    _palette("dusk", "f4c7a8 b57e94 4e4777", "fbe3a2 ef6a5a 2c2950 5fb3b9 c74b86", "ffe7d2", "15122f"),
    _palette("seaglass", "eef6ee bfdccf 7fb0a2", "1f5b63 ef8354 f4d06f 8e5572 2f4858", "fafff8", "123036"),
    _palette("copper", "e8ded3 bfa48e 74594b", "b4552d 2f8f83 f0c27b 2f3e5c 8c1f3f", "fff1e0", "20151a"),
    _palette("monsoon", "c4d0d4 7c919b 3d4f5c", "f4b942 e4572e 7bc4a4 d9a5b3 f3efe2", "f0f7fa", "0f1820"),
    _palette("tulip", "f7f3e8 f5d9c8 e3a58f", "d7263d f46036 2e294e 1b998b e0c341", "fff5ea", "2b1738"),
    _palette("indigo", "8fa3d9 4a57a6 23235f", "ffd166 f78c6b ef476f 63d2c6 f4f1ff", "eef0ff", "0a0a2a"),
)


def pick_palette(rng: np.random.Generator) -> Palette:
    """Draw one of ``PALETTES`` with a small change of hue, chroma and lightness, so that no two are the same."""
    palette = PALETTES[int(rng.integers(len(PALETTES)))]
    change = (rng.uniform(-0.16, 0.16), rng.uniform(0.85, 1.12), rng.uniform(0.96, 1.03))
    return Palette(
        palette.name,
        recolour(palette.ground, *change),
        recolour(palette.tones, *change),
        recolour(palette.light, *change),
        recolour(palette.shadow, *change),
    )
