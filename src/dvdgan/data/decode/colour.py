"""Colours as a display of standard range shows them: transfer and primaries of a video, and high dynamic range.

The matrix and the range are the business of the conversion to RGB (`dvdgan.data.decode.video`). What comes out is
BT.709, for a display of gamma 2.4 (BT.1886); transfers that are taken for that, sRGB among them, pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

HDR = {16: "PQ", 18: "HLG"}
"""Transfers of high dynamic range, by their code points in ITU-T H.273."""

UNREADABLE = {8: "YCgCo", 10: "BT.2020 with constant luminance", 13: "derived constant luminance", 14: "ICtCp"}
"""Matrices that cannot be converted to RGB here, likewise."""

BT2020 = 9
"""Matrix and primaries, likewise."""

_GAMMA = 2.4  # of the display, BT.1886
_WHITE = 203.0  # nits of diffuse white in high dynamic range, BT.2408
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # nits of the display that HLG is shown on, and its system gamma: BT.2100, table 5
_KNEE = 0.92  # of the signal: what is brighter is compressed, so that highlights keep some detail
_D65, _C, _DCI, _E = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3)
_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06), _D65
_SMPTE_C = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65
_PRIMARIES = {  # x and y of red, green and blue, and white: H.273, table 2
    4: ((0.67, 0.33, 0.21, 0.71, 0.14, 0.08), _C),
    5: ((0.64, 0.33, 0.29, 0.60, 0.15, 0.06), _D65),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: ((0.681, 0.319, 0.243, 0.692, 0.145, 0.049), _C),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), _D65),
    10: ((1.0, 0.0, 0.0, 1.0, 0.0, 0.0), _E),
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _DCI),
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _D65),
    22: ((0.630, 0.340, 0.295, 0.605, 0.155, 0.077), _D65),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@lru_cache(maxsize=16)
def to_display(transfer: int, primaries: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """What turns a video's RGB into that of a display of standard range; None where they are the same.

    Transfer and primaries are code points in ITU-T H.273. It is a function of uint8 ``[H, W, 3 or 4]``; alpha stays.
    """
    light = _LIGHT.get(transfer)
    matrix = _to_bt709(primaries)
    if light is None and matrix is None:
        return None
    table = (light or _power(_GAMMA))(np.arange(256) / 255)
    hlg, hdr = HDR.get(transfer) == "HLG", transfer in HDR

    def show(pixels: np.ndarray) -> np.ndarray:
        linear = table[pixels[..., :3]]
        if hlg:  # from the light of the scene to that of a display: BT.2100, table 5
            luminance = linear @ np.array([0.2627, 0.6780, 0.0593])
            linear = linear * luminance[..., None] ** (_HLG_GAMMA - 1) * (_HLG_PEAK / _WHITE)
        if matrix is not None:
            linear = linear @ matrix.T
        signal = np.maximum(linear, 0) ** (1 / _GAMMA)
        if hdr:
            brightest = signal.max(axis=-1, keepdims=True)
            signal = signal * (_shoulder(brightest) / np.maximum(brightest, 1e-9))
        shown = np.round(255 * np.minimum(signal, 1)).astype(np.uint8)
        return np.concatenate([shown, pixels[..., 3:]], axis=-1)

    return show


def _shoulder(signal: np.ndarray) -> np.ndarray:
    room = 1 - _KNEE
    return np.where(signal <= _KNEE, signal, _KNEE + room * (1 - np.exp(-(signal - _KNEE) / room)))


def _power(gamma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda signal: signal**gamma


def _pq(signal: np.ndarray) -> np.ndarray:
    """Light in units of diffuse white: BT.2100, table 4."""
    root = signal ** (1 / 78.84375)
    nits = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return nits / _WHITE


def _hlg(signal: np.ndarray) -> np.ndarray:
    """Light of the scene, 1 at the peak: BT.2100, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _log(decades: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda signal: np.where(signal > 0, 10 ** (decades * (signal - 1)), 0)


_LIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    5: _power(2.8),
    8: _power(1.0),
    9: _log(2.0),
    10: _log(2.5),
    16: _pq,
    17: lambda signal: 52.37 / 48 * signal**2.6,
    18: _hlg,
}


def _to_bt709(primaries: int) -> np.ndarray | None:
    if primaries not in _PRIMARIES:
        return None
    own, white = _PRIMARIES[primaries]
    to_xyz, from_xyz = _xyz(own, white), np.linalg.inv(_xyz(*_BT709))
    cones, wanted = (_BRADFORD @ _white(point) for point in (white, _D65))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(wanted / cones) @ _BRADFORD
    matrix: np.ndarray = from_xyz @ adapted @ to_xyz
    return matrix


def _xyz(primaries: tuple[float, ...], white: tuple[float, float]) -> np.ndarray:
    """From RGB to CIE XYZ."""
    x, y = np.array(primaries[::2]), np.array(primaries[1::2])
    columns = np.stack([x, y, 1 - x - y])
    scaled: np.ndarray = columns * np.linalg.solve(columns, _white(white))
    return scaled


def _white(point: tuple[float, float]) -> np.ndarray:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])
