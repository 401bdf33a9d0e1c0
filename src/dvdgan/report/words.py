"""Numbers, shares, times and settings as a reader would write them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dvdgan.evaluation.measured import Measured, Share

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MANY = 200  # clips from which a tenth of a per cent is worth saying


@dataclass(frozen=True)
class Property:
    """A short entry with its heading."""

    heading: str
    text: str
    about: str = ""


def number(value: float, digits: int = 3) -> str:
    """With so many significant digits, grouped from a thousand, and in powers of ten below a ten-thousandth."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4:
        mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        return _signed(f"{mantissa}×10{str(exponent).translate(_SUPERSCRIPTS)}")
    return decimals(value, max(0, digits - 1 - exponent))


def decimals(value: float, places: int) -> str:
    """With so many decimals."""
    return _signed(f"{value:,.{places}f}")


def measured(result: Measured) -> str:
    """The value with its spread, both to the digits that the spread leaves certain, or its interval; "" if missing."""
    if result.value is None:
        return ""
    if result.spread is None and result.low is not None and result.high is not None:
        return f"{number(result.value)} ({interval(result.low, result.high)})"
    if not result.spread:
        return number(result.value)
    places = 1 - math.floor(math.log10(result.spread))
    if not 0 <= places <= 7 or result.spread > abs(result.value):
        return f"{number(result.value)} ± {number(result.spread, 2)}"
    return f"{decimals(result.value, places)} ± {decimals(result.spread, places)}"


def interval(low: float, high: float) -> str:
    """A range of numbers."""
    return f"{number(low)} to {number(high)}"


def times(ratio: float | None) -> str:
    """A ratio: 1.48×, 3.4×, 17×; infinite where a score that is to be high is 0; "" if there is none."""
    if ratio is None:
        return ""
    if ratio == math.inf:
        return "all missing"
    places = 2 if ratio < 1.995 else 1 if ratio < 9.95 else 0
    return f"{ratio:,.{places}f}×"


def percent(share: float, of: int = 0) -> str:
    """A share in per cent, with a decimal if there are clips enough for it."""
    return f"{100 * share:.{1 if of >= _MANY else 0}f}\u00a0%"


def share(result: Share) -> str:
    """A share in per cent; "" if it was not measured."""
    return "" if result.value is None else percent(result.value, result.of)


def share_interval(result: Share) -> str:
    """The ends of a share's interval; "" if it was not measured."""
    if result.low is None or result.high is None:
        return ""
    places = 1 if result.of >= _MANY else 0
    return f"{100 * result.low:.{places}f} to {100 * result.high:.{places}f}\u00a0%"


def share_whole(result: Share) -> str:
    """A share with its interval; why there is none."""
    return f"{share(result)} ({share_interval(result)})" if result.of else f"not measured: {result.missing}"


def moment(iso: str) -> str:
    """An ISO 8601 time as a reader would say it; what is none is given back."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time.day} {time:%B %Y, %H:%M} {time:%Z}".strip()


def setting(value: Any) -> str:
    """A setting's or a property's value as a reader would write it."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(setting(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {setting(part)}" for name, part in value.items()) or "none"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 48 s, 12 min, 3 h 05 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def size(count: int) -> str:
    """Bytes in a unit that fits."""
    for unit, unit_bytes in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit_bytes:
            return f"{count / unit_bytes:.3g} {unit}"
    return f"{count} bytes"


def _signed(digits: str) -> str:
    return digits.replace("-", "−", 1)
