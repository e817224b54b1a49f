# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find a step or a slow rise in a series of durations, one for each night, despite noise. Pure.

Medians are used throughout, so single bad nights have no effect. The noise of a series is its
median absolute deviation, scaled to a standard deviation. The trend is the slope of Theil and Sen,
and the test of Mann and Kendall decides whether there is one.

Sources: Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, 1993; Sen, Estimates
    of the Regression Coefficient Based on Kendall's Tau, 1968; Mann, Nonparametric Tests Against
    Trend, 1945.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

# The median absolute deviation of a normal distribution is its standard deviation divided by this.
_MAD_SCALE = 1.4826
# A step holds for this many nights before it is reported.
HOLDS = 4
_FEWEST_BEFORE = 10
_MOST_BEFORE = 20
_STEP_NOISES = 4.0
_STEP_SHARE = 0.15
# Clocks and schedulers have a noise of their own, which a short history may not show.
_LEAST_NOISE_SHARE = 0.02
_LEAST_NOISE_S = 0.02
_DRIFT_NIGHTS = 30
_FEWEST_DRIFT_NIGHTS = 20
_DRIFT_SHARE = 0.10
_DRIFT_SURE = 5.0
_DRIFT_GOES_ON = 3.0
_DRIFT_POSSIBLE = 2.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A lasting change of a test's or boot's duration: the values before and after, and the noise.

    `begins` is the index in the series of the first value that belongs to the change, and `nights`
    the number of values from there to the end.
    """

    before_s: float
    after_s: float
    noise_s: float
    begins: int
    nights: int

    @property
    def share(self) -> float:
        """The change relative to the duration before it; 0.25 means a quarter longer."""
        return self.after_s / self.before_s - 1.0 if self.before_s else 0.0


def noise(values: Sequence[float]) -> float:
    """Return a robust standard deviation: the scaled median absolute deviation of the values.

    It is at least 2 % of the median and 0.02 s, because a short history may not show all noise.
    """
    middle = median(values)
    spread = _MAD_SCALE * median(abs(value - middle) for value in values)
    return max(spread, _LEAST_NOISE_SHARE * middle, _LEAST_NOISE_S)


def step(values: Sequence[float]) -> Change | None:
    """Return the step with which a series of durations ends, or None.

    There is one when the last 4 values all lie beyond the median of the 10 to 20 before them, on
    the same side, by more than 15 % and more than 4 times the noise. Two levels must also fit the
    series better than a straight line. If the earlier values may rise slowly, the rise is
    continued first, so that a drift is no step.
    """
    before, last = values[:-HOLDS][-_MOST_BEFORE:], values[-HOLDS:]
    if len(before) < _FEWEST_BEFORE:
        return None
    slope = _slope(before) if _trend(before) > _DRIFT_POSSIBLE else 0.0
    size = len(before)
    level = [value + slope * (size - place) for place, value in enumerate(before)]
    expected, spread = median(level), noise(level)
    limit = max(_STEP_NOISES * spread, _STEP_SHARE * expected)
    beyond = [value - expected - slope * place for place, value in enumerate(last)]
    is_beyond = min(beyond) > limit or max(beyond) < -limit
    if is_beyond and _steps_at((*before, *last), size):
        return Change(
            before_s=expected,
            after_s=median(last),
            noise_s=spread,
            begins=len(values) - HOLDS,
            nights=HOLDS,
        )
    return None


def drift(values: Sequence[float], *, goes_on: bool) -> Change | None:
    """Return the slow rise with which a series of durations ends, or None.

    It is looked for in the last 30 values; there must be at least 20. It must be at least 10 % and
    the noise, and a straight line must fit better than a step. `goes_on` is True when this drift
    was reported the night before: weaker evidence is enough then.
    """
    window = values[-_DRIFT_NIGHTS:]
    if len(window) < _FEWEST_DRIFT_NIGHTS or not _rises(window):
        return None
    if _trend(window) < (_DRIFT_GOES_ON if goes_on else _DRIFT_SURE):
        return None
    slope = _slope(window)
    level = [value - slope * place for place, value in enumerate(window)]
    places = range(HOLDS, len(window) - HOLDS + 1)
    if any(_steps_at(window, place) for place in places):
        return None
    start, spread = median(level), noise(level)
    rise = slope * (len(window) - 1)
    if rise < _DRIFT_SHARE * start or rise < spread:
        return None
    return Change(
        before_s=start,
        after_s=start + rise,
        noise_s=spread,
        begins=len(values) - len(window),
        nights=len(window),
    )


def _rises(window: Sequence[float]) -> bool:
    """Return whether the last quarter is over 5 % above the first, as a cheap first test."""
    quarter = len(window) // 4
    first, last = median(window[:quarter]), median(window[-quarter:])
    return last - first > 0.5 * _DRIFT_SHARE * first


def _steps_at(values: Sequence[float], place: int) -> bool:
    """Return whether two constant levels, split at index `place`, fit better than a straight line.

    A drift leaves its old level, too, and a small step has a trend. This tells them apart.
    """
    slope = _slope(values)
    line = _distance([value - slope * number for number, value in enumerate(values)])
    return _distance(values[:place]) + _distance(values[place:]) < line


def _distance(values: Sequence[float]) -> float:
    """Return the sum of the absolute deviations of the values from their median."""
    middle = median(values)
    return sum(abs(value - middle) for value in values)


def _trend(values: Sequence[float]) -> float:
    """Return Mann and Kendall's statistic: how many standard deviations from having no trend."""
    size = len(values)
    pairs = combinations(values, 2)
    score = sum((later > earlier) - (later < earlier) for earlier, later in pairs)
    return score / math.sqrt(size * (size - 1) * (2 * size + 5) / 18)


def _slope(values: Sequence[float]) -> float:
    """Return Theil and Sen's slope: the median of the slopes between all pairs of values."""
    pairs = combinations(enumerate(values), 2)
    return median((later - earlier) / (end - start) for (start, earlier), (end, later) in pairs)
