# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fuzz `panic-explain` in this process, for as long as told, and print the figures as JSON.

    python -m tests.fuzz.fuzzer --seconds 3600 --seed 1 --folder FOLDER

The time is divided into rounds, each a run of hypothesis with a seed of its own; a round that
failed is repeated by that seed. The document that is being explained is in FOLDER, also after
this process was killed.
"""

import argparse
import faulthandler
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from harness.tasks.explain import FORMATS
from tests.fuzz.documents import Document, Growth, documents, growths
from tests.fuzz.programs import PROGRAMS, Program

Drawn = TypeVar("Drawn")

MOST_MEMORY_BYTES = 200_000_000
# A document that takes longer than this hangs; the process then shows its stack and ends.
_HANG_S = 300.0
_SIZES = tuple(4096 << step for step in range(7))
# Measuring a growth ends early at a size that takes this long.
_LONG_S = 0.5
# What takes less is not measured: the clock, caches and the collector weigh more than the text.
_SHORT_S = 0.05
# Twice the text takes about 2 times as long if the time is linear, and 4 times if it is quadratic.
_SUSPECT_GROWTH, _MOST_GROWTH = 2.2, 2.6
# The shortest of many times is the program's own, however busy the machine is.
_MORE = 6
_EXIT_CODES = {0, 2, 3, 5}
_EXAMPLES, _GROWTHS = 40, 4


@dataclass(kw_only=True)
class Figures:
    """What a run of the fuzzer has measured.

    `peak_bytes` is the largest resident size of this process: the interpreter, hypothesis and the
    program under test.
    """

    seed: int
    rounds: int = 0
    documents: int = 0
    growths: int = 0
    text_bytes: int = 0
    reports_found: int = 0
    processor_s: float = 0.0
    peak_bytes: int = 0
    slowest_ms_per_kb: float = 0.0
    steepest_doubling: float = 0.0


class Fuzzer:
    """Checks documents and growths with one program, and collects the figures."""

    def __init__(self, program: Program, *, folder: Path, seed: int) -> None:
        self.figures = Figures(seed=seed)
        self._program = program
        self._file = folder / "document.log"

    def check(self, document: Document) -> None:
        """Explain a document in each format: no exception, the same each time, and well-formed."""
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        self._file.write_bytes(document.data)
        found = {form: self._program(self._file, form) for form in FORMATS}
        began = time.process_time()
        again = self._program(self._file, "json")
        self._count(document, time.process_time() - began, exit_code=again.exit_code)

        assert again == found["json"], "explaining a file twice gives two outputs"
        assert {one.exit_code for one in found.values()} == {again.exit_code}
        assert again.exit_code in _EXIT_CODES
        if again.exit_code == 2:
            return
        json.loads(found["json"].output)
        json.loads(found["sarif"].output)
        ET.fromstring(found["junit"].output)  # noqa: S314 -- written by this process

    def check_growth(self, growth: Growth) -> None:
        """Explain a growing log; its time may not grow much faster than its size.

        A growth is steep only if both of the last two doublings are. A single one may be: the
        text passes a bound there, after which it is read in another way. What looks steep is
        measured again, since other processes share the caches of this one's processor.
        """
        took: list[float] = []
        for size in _SIZES:
            took.append(self._seconds(growth, size))
            if took[-1] > _LONG_S:
                break
        steepness = _steepness(took)
        for _ in range(_MORE):
            if steepness <= _SUSPECT_GROWTH:
                break
            sizes = _SIZES[len(took) - 3 : len(took)]
            took[-3:] = map(min, took[-3:], [self._seconds(growth, size) for size in sizes])
            steepness = _steepness(took)
        self.figures.growths += 1
        self.figures.steepest_doubling = max(self.figures.steepest_doubling, round(steepness, 2))
        assert steepness <= _MOST_GROWTH, f"not linear; seconds at doubled sizes: {took[-3:]}"

    def _seconds(self, growth: Growth, size_bytes: int) -> float:
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        self._file.write_bytes(growth.text(size_bytes))
        return min(self._processor_s() for _ in range(2))

    def _processor_s(self) -> float:
        began = time.process_time()
        self._program(self._file, "json")
        return time.process_time() - began

    def _count(self, document: Document, took_s: float, *, exit_code: int) -> None:
        figures, size = self.figures, len(document.text)
        figures.documents += 1
        figures.text_bytes += size
        figures.reports_found += exit_code == 3
        if size > 4096:
            pace = round(took_s * 1e3 / (size / 1024), 3)
            figures.slowest_ms_per_kb = max(figures.slowest_ms_per_kb, pace)

    def run(self, seconds: float, say: Callable[[str], object]) -> None:
        """Run rounds until the time is over; at least one is run.

        Raises: AssertionError, or what the program raised, at the first fault.
        """
        end = time.monotonic() + seconds
        for number in count(self.figures.seed):
            self._round(number)
            self.figures.rounds += 1
            self.figures.processor_s = round(time.process_time(), 1)
            self.figures.peak_bytes = peak_bytes()
            say(f"seed {number}: {json.dumps(asdict(self.figures))}")
            assert self.figures.peak_bytes < MOST_MEMORY_BYTES, (
                f"this process has used {self.figures.peak_bytes} bytes, by seed {number}"
            )
            if time.monotonic() > end:
                return

    def _round(self, number: int) -> None:
        _run(self.check, documents(), seeded=number, examples=_EXAMPLES)
        _run(self.check_growth, growths(), seeded=number, examples=_GROWTHS)


def _run(
    check: Callable[[Drawn], None],
    strategy: SearchStrategy[Drawn],
    *,
    seeded: int,
    examples: int,
) -> None:
    """Check examples of a strategy; a failing one is shrunk, and its exception is raised.

    Hypothesis has no database here: a round depends on its seed only, and nothing is left in the
    checkout.
    """

    @seed(seeded)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(drawn: Drawn) -> None:
        check(drawn)

    run()


def _steepness(took: list[float]) -> float:
    """Return the lesser growth of the last two doublings, or 1.0 for times that are too short."""
    if len(took) < 3 or took[-1] < _SHORT_S:
        return 1.0
    return min(took[-1] / took[-2], took[-2] / took[-3])


def peak_bytes() -> int:
    """Return the largest resident size that this process has had.

    getrusage's ru_maxrss does not fit: it includes the size of the parent before exec.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(description="Fuzz panic-explain.")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--program", choices=PROGRAMS, default="panic-explain")
    options = parser.parse_args()
    fuzzer = Fuzzer(PROGRAMS[options.program], folder=options.folder, seed=options.seed)
    fuzzer.run(options.seconds, lambda text: sys.stderr.write(text + "\n"))
    sys.stdout.write(json.dumps(asdict(fuzzer.figures)) + "\n")


if __name__ == "__main__":
    main()
