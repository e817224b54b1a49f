# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A model of many CPUs that share the ring's lock: at which rate is one lock not enough? Pure.

Each record takes the lock twice, to reserve and to commit. How long it holds the lock was
measured: `held_ns` when the same CPU had it last, `foreign_ns` when another CPU had, whose cache
then has the lock and the counters. The lock serves in the order of arrival, as a kernel's queued
spin lock does. The model has one socket, no interrupts, and CPUs whose waiting costs the holder
nothing, so a real machine reaches its limit earlier.
"""

import heapq
import random
from dataclasses import dataclass

CPUS = (8, 16, 32, 64, 128)
_EVENTS = 4000
_WARM = 1000
_SEED = 7
_TURNS = 8
_RESERVE, _COMMIT = 0, 1


@dataclass(frozen=True, kw_only=True)
class Sections:
    """The measured times of the parts of writing one record of 256 bytes into the ring.

    A record takes the ring's lock twice. `held_ns` and `foreign_ns` are the sum of both times
    under the lock: when the same CPU, and when another CPU, had the lock before. `clock_ns` is the
    reading of the clock, and `copy_ns` the copying of the record. `foreign_ns` is 0 when the
    machine has only one CPU.
    """

    clock_ns: float
    held_ns: float
    foreign_ns: float
    copy_ns: float

    @property
    def alone_ns(self) -> float:
        """The time to write a record without a wait, when another CPU had the lock before."""
        return self.clock_ns + self.copy_ns + (self.foreign_ns + self.held_ns) / 2


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The number of records per second up to which one lock is enough for `cpus` CPUs.

    At `records_per_s`, all CPUs together, a record waits for the lock on average as long as
    writing it takes without a wait. `most_per_s` is what the CPUs reach when they do nothing but
    write records.
    """

    cpus: int
    records_per_s: float
    most_per_s: float


def limits(sections: Sections) -> tuple[Limit, ...]:
    """Return the limit for each number of CPUs in CPUS.

    The result is () when the machine has one CPU, so that `foreign_ns` could not be measured.
    """
    if not sections.foreign_ns:
        return ()
    return tuple(_limit(sections, cpus) for cpus in CPUS)


def _limit(sections: Sections, cpus: int) -> Limit:
    most = 1e9 / mean_ns(sections, cpus=cpus, gap_ns=0.0) * cpus
    low, high = 0.0, most
    for _ in range(_TURNS):
        rate = (low + high) / 2
        gap_ns = max(cpus * 1e9 / rate - sections.alone_ns, 0.0)
        if mean_ns(sections, cpus=cpus, gap_ns=gap_ns) > 2 * sections.alone_ns:
            high = rate
        else:
            low = rate
    return Limit(cpus=cpus, records_per_s=low, most_per_s=most)


def mean_ns(sections: Sections, *, cpus: int, gap_ns: float) -> float:
    """Simulate CPUs that write records, and return the mean time from begin to end of a record.

    The time includes the wait for the lock. Each CPU pauses about `gap_ns` after each record. The
    pauses are exponentially distributed, so that records come as those of independent CPUs do.
    """
    chance = random.Random(_SEED)  # noqa: S311 - a simulation, no secret

    def pause() -> float:
        return chance.expovariate(1 / gap_ns) if gap_ns else 0.0

    # When a CPU asks for the lock: the time, the CPU, which of the two sections, and its begin.
    asking = []
    for cpu in range(cpus):
        begin = pause()
        asking.append((begin + sections.clock_ns, cpu, _RESERVE, begin))
    heapq.heapify(asking)
    free_ns, holder, done, total = 0.0, -1, 0, 0.0
    while done < _EVENTS:
        asked, cpu, section, begin = heapq.heappop(asking)
        held = sections.held_ns if cpu == holder else sections.foreign_ns
        free_ns = max(asked, free_ns) + held / 2
        holder = cpu
        if section == _RESERVE:
            heapq.heappush(asking, (free_ns + sections.copy_ns, cpu, _COMMIT, begin))
            continue
        done += 1
        total += free_ns - begin if done > _WARM else 0.0
        begin = free_ns + pause()
        heapq.heappush(asking, (begin + sections.clock_ns, cpu, _RESERVE, begin))
    return total / (_EVENTS - _WARM)
