# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The window of time of a report, as an analyst writes it."""

import re
import time
from dataclasses import dataclass
from datetime import datetime

from osq.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"(\d{1,9})([smhd])")
_EXPECTED = "a span such as 30m, 2h or 7d, or a time such as '2026-11-30 13:00', was expected"


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of time, both ends included, in seconds since the epoch."""

    begin_s: int
    end_s: int


def window_of(since: str, until: str | None, now_s: int) -> Window:
    """Return the window that the options --since and --until describe.

    A text is a span before now, such as 30m, or a local time. until: None for now.
    Raises: UsageError for a text that is neither, and for an end before the begin.
    """
    window = Window(
        begin_s=_moment("--since", since, now_s),
        end_s=now_s if until is None else _moment("--until", until, now_s),
    )
    if window.end_s < window.begin_s:
        raise UsageError(f"the window would end ({until}) before it begins ({since})")
    return window


def _moment(option: str, text: str, now_s: int) -> int:
    span = _AGO.fullmatch(text)
    if span:
        return now_s - int(span[1]) * _SECONDS[span[2]]
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{option} {text}: {_EXPECTED}") from error


def clock(time_s: int) -> str:
    """Return a time in seconds since the epoch as the local time of day, HH:MM:SS."""
    return time.strftime("%H:%M:%S", time.localtime(time_s))


def stamp(time_s: int) -> str:
    """Return a time in seconds since the epoch as the local date and time of day."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def span(seconds: float) -> str:
    """Return a length of time as text, in ms, s, min or h, whichever fits its size."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.3g} h"
