# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find memory that a module has leaked, by kmemleak, and write the leaks to the kernel's log.

An object that a module never frees counts as leaked only when the module is unloaded, since its
data may point to the object before. kmemleak has then only addresses for the module's functions,
so each unloading writes down the symbols of all modules (`load_script.unload`). The leaks are
written to the kernel's log with the functions' names, between the marks of the test that ran when
the object was allocated; the console's scanner finds them there like every report of the kernel.
"""

import re
import shlex
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.systems.linux import load_script
from harness.systems.ssh import Guest

# kmemleak ignores younger objects (MSECS_MIN_AGE in mm/kmemleak.c).
_YOUNG_S = 6
# Objects beyond this number are only counted.
_MOST = 20
_STEP_S = 60.0
_HEAD = re.compile(r"^unreferenced object 0x[0-9a-f]+ \(size \d+\):$")
_JIFFIES = re.compile(r"jiffies (\d+)")
_ADDRESS = re.compile(r"^(?P<before>\s+(?:\[<[0-9a-f]+>\] )?)0x(?P<address>[0-9a-f]{8,16})$")
_OF_MODULE = re.compile(r"\[\w+\]$")
_MARK = re.compile(r"^\[ *(\d+\.\d+)\](?:\[[^\]]*\])? harness-test-(begin|end) (\S+)")
_CUT = "harness-cut"
# Two scans: kmemleak does not report an object that is new or has changed since the scan before
# (kmemleak_scan() in mm/kmemleak.c). The list of timers has the uptime for its own jiffies, and
# the mark in the log has the uptime for the log's clock: no command comes between two clocks.
_SCAN = f"""
cd /sys/kernel/debug || exit 1
sleep {_YOUNG_S}
echo scan > kmemleak && echo scan > kmemleak || exit 1
read -r up _ < /proc/uptime
echo "<6>harness-leaks at $up" > /dev/kmsg
grep -m 2 -e '^now at ' -e '^jiffies: ' /proc/timer_list
dmesg | grep 'harness-leaks at ' | tail -n 1
echo {_CUT}
cat kmemleak
echo {_CUT}
cat {load_script.SYMBOLS} 2> /dev/null
echo {_CUT}
dmesg | grep 'harness-test-'
:
"""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """One leaked object: the lines of its report, and when it was allocated, in jiffies.

    `test` is the test that ran at that time, "" for none; `count` the number of equal leaks.
    """

    lines: tuple[str, ...]
    jiffies: int
    test: str = ""
    count: int = 1

    @property
    def stack(self) -> tuple[str, ...]:
        """The frames of the allocation, without addresses; equal leaks have equal frames."""
        return tuple(line.rpartition("] ")[2] for line in self.lines if "+0x" in line)

    @property
    def is_of_module(self) -> bool:
        """Whether a function of a module is among the frames, by its name or only as an address.

        The kernel prints only the address of a function whose module has been unloaded.
        """
        frames = (line for line in self.lines if not line.startswith("unreferenced"))
        return any(_OF_MODULE.search(line) or _ADDRESS.match(line) for line in frames)


@dataclass(frozen=True, kw_only=True)
class _Symbols:
    """The symbols of all loaded modules, saved when a module was unloaded, sorted by address.

    `until_s` is the uptime at that unloading; the addresses may mean something else afterwards.
    """

    until_s: float
    addresses: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def named(self, address: int) -> str:
        """Return FUNCTION+OFFSET [MODULE] for an address in a module, "" for any other address."""
        index = bisect_right(self.addresses, address) - 1
        if index < 0 or index == len(self.addresses) - 1:
            return ""
        name, _, module = self.names[index].partition(" ")
        return f"{name}+{address - self.addresses[index]:#x} {module}"


def scan(guest: Guest, *, hz: int, deadline_s: float) -> tuple[Leak, ...]:
    """Run kmemleak twice in a guest, and return what modules have leaked; equal leaks only once.

    `hz` is the kernel's CONFIG_HZ.
    Raises: CommandFailed when the kernel has no kmemleak; GuestLost.
    """
    return found(guest.run(_SCAN, deadline_s=deadline_s).stdout, hz)


def found(text: str, hz: int) -> tuple[Leak, ...]:
    """Return the leaks of modules in the text that the commands of `scan` printed. Pure.

    The text has clocks, kmemleak's objects, saved symbols and the kernel's log.
    """
    clock, objects, symbols, log = (part.strip("\n") for part in text.split(f"{_CUT}\n", 3))
    now_s = int(clock.partition("now at ")[2].split()[0]) / 1e9
    now = int(clock.partition("jiffies: ")[2].split()[0])
    stamp_s, up_s = float(clock.rpartition("[")[2].partition("]")[0]), float(clock.split()[-1])
    known = tuple(_snapshots(symbols))
    marks = [found for line in log.splitlines() if (found := _MARK.match(line)) is not None]
    leaks: dict[tuple[str, ...], Leak] = {}
    for one in _objects(objects):
        made_s = now_s - (now - one.jiffies) / hz
        named = _resolved(one, known, made_s)
        if named.is_of_module:
            test = _running_at(made_s + stamp_s - up_s, marks)
            first = leaks.setdefault(named.stack, replace(named, test=test, count=0))
            leaks[named.stack] = replace(first, count=first.count + 1)
    return tuple(leaks.values())


def _objects(text: str) -> Iterator[Leak]:
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if lines and (not line or _HEAD.match(line)):
            when = _JIFFIES.search("\n".join(lines))
            yield Leak(lines=tuple(lines), jiffies=int(when[1]) if when else 0)
            lines = []
        if line:
            lines.append(line)


def _snapshots(text: str) -> Iterator[_Symbols]:
    """Yield the symbols saved at each unloading of a module, in the order of the unloadings.

    Shape: `text` has a line `unload UPTIME` for each, and below it lines of /proc/kallsyms.
    """
    for part in text.split("unload ")[1:]:
        until, *lines = part.splitlines()
        rows = sorted(
            (int(words[0], 16), f"{words[2]} {words[3]}")
            for words in (line.split() for line in lines)
            if len(words) == 4
        )
        addresses, names = [row[0] for row in rows], [row[1] for row in rows]
        yield _Symbols(until_s=float(until), addresses=addresses, names=names)


def _resolved(leak: Leak, known: Sequence[_Symbols], at_s: float) -> Leak:
    """Return a leak with the names that its addresses had when the object was allocated."""
    symbols = next((one for one in known if one.until_s >= at_s), None)
    if symbols is None:
        return leak
    lines = []
    for line in leak.lines:
        match = _ADDRESS.match(line)
        name = symbols.named(int(match["address"], 16)) if match else ""
        lines.append(f"{match['before']}{name}" if match and name else line)
    return replace(leak, lines=tuple(lines))


def _running_at(at_s: float, marks: Sequence[re.Match[str]]) -> str:
    """Return the test that was running at a time of the kernel log's clock, "" for none.

    `marks` are the log's lines that mark the begin and end of tests.
    """
    before = [mark for mark in marks if float(mark[1]) <= at_s]
    return before[-1][3] if before and before[-1][2] == "begin" else ""


def report(guest: Guest, leaks: Sequence[Leak]) -> None:
    """Write leaks to the guest's kernel log, each between marks of the test that allocated it.

    The marks name "unload" for a leak of no test. After 20 leaks, only the number of the others is
    written.
    Raises: CommandFailed, GuestLost.
    """
    lines: list[str] = []
    for leak in leaks[:_MOST]:
        name = leak.test or "unload"
        own = leak.lines if leak.count == 1 else (*leak.lines, f"  {leak.count} such objects")
        lines += [f"<6>harness-test-begin {name}", *(f"<4>{line}" for line in own)]
        lines.append(f"<6>harness-test-end {name}")
    if len(leaks) > _MOST:
        lines.append(f"<6>harness: {len(leaks) - _MOST} more leaks")
    script = f"printf '%s\\n' {shlex.join(lines)} | while IFS= read -r line; do\n"
    guest.run(f'{script}echo "$line" > /dev/kmsg; done', deadline_s=_STEP_S)
