"""Names that are times: seconds since 1970, a date with or without a time, or a time of day with fractions."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from fractions import Fraction

_UNIX = re.compile(r"1[0-9]{9}(?:[._-]?[0-9]{1,9})?")  # 2001 to 2033, in s, or without a point in ms, us or ns
_DATE = re.compile(
    r"((?:19|20)[0-9]{2})(?P<gap>[-_.:]?)([0-9]{2})(?P=gap)([0-9]{2})"
    r"(?:[-_.T ]*([0-9]{2})[-_.:h]?([0-9]{2})(?:[-_.:m]?([0-9]{2})s?(?:[-_.,]?([0-9]{1,9}))?)?)?Z?"
)
_TIME = re.compile(r"([0-9]{1,2})[-_.:h]([0-9]{2})[-_.:m]([0-9]{2})s?[.,]([0-9]{1,9})")


def time_of(name: str) -> Fraction | None:
    """The time that a name is, in seconds after some beginning; None where it is, or says, anything else."""
    if _UNIX.fullmatch(name):
        digits = re.sub("[._-]", "", name)
        return Fraction(int(digits), 10 ** (len(digits) - 10))
    date, time = _DATE.fullmatch(name), _TIME.fullmatch(name)
    if date is not None:
        year, _, *rest, fraction = date.groups()
        numbers = [int(year), *(int(number or 0) for number in rest)]
    elif time is not None:
        *rest, fraction = time.groups()
        numbers = [2000, 1, 1, *map(int, rest)]
    else:
        return None
    try:
        whole = datetime(*numbers, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
    except ValueError:  # a month 13
        return None
    return Fraction(int(whole.timestamp())) + Fraction(int(fraction or 0), 10 ** len(fraction or ""))
