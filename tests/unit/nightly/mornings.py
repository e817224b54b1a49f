# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Mornings for the tests of the writers: the synthetic history, and a small one of every kind."""

from dataclasses import replace
from functools import cache

from harness.model.settings import Verdict
from harness.nightly.judge.findings import Bisected, Kind
from harness.nightly.judge.judge import judge
from harness.nightly.judge.nights import CellOnce, CrashOnce, Night, TestOnce
from harness.nightly.show.morning import Morning
from tests.unit.nightly import synthetic

MADE_AT = "2026-11-30T06:10:00+00:00"
COMMIT = synthetic.commit_of(synthetic.REGRESSION_NIGHT)


@cache
def long_morning(seed: int = 1) -> Morning:
    """Return the morning after the last night of the synthetic history.

    The regression has been bisected to the commit that was planted.
    """
    nights = synthetic.history(seed)
    judgements = judge(nights)
    found = next(
        one
        for one in judgements[synthetic.REGRESSION_NIGHT].news
        if one.kind is Kind.NEW and one.signature
    )
    answer = Bisected(
        key=found.key,
        commit=COMMIT,
        answer="ring: reserve without a second look, by A. Developer",
        steps=("8e5a9cc0705e is good: 20 tests passed", "266480ae323d is bad: the crash is there"),
    )
    return Morning(
        project="greeter",
        made_at=MADE_AT,
        nights=nights,
        judgements=judgements,
        bisected={found.key: answer},
        address="https://ci.example.org/nightly/",
    )


def cell(name: str, *tests: TestOnce, **changes: object) -> CellOnce:
    """Return a cell with these tests; its verdict is the worst of theirs."""
    worst = max((one.verdict for one in tests), key=list(Verdict).index, default=Verdict.PASSED)
    plain = CellOnce(
        cell=name,
        target="debian-12",
        kernel="6.1",
        kernel_version="6.1.158-1",
        commit="c" * 40,
        verdict=worst,
        tests=tests,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def result(name: str, verdict: Verdict = Verdict.PASSED, **changes: object) -> TestOnce:
    """Return a result of a test of one second in the suite guest."""
    plain = TestOnce(suite="guest", name=name, verdict=verdict, duration_s=1.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def night(number: int, *cells: CellOnce, **changes: object) -> Night:
    """Return the night of a day of January."""
    plain = Night(
        name=f"2026-01-{number:02}",
        started_at=f"2026-01-{number:02}T01:00:00+00:00",
        duration_s=600.0,
        cells=cells,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def crash(test: str, title: str = "BUG: null-deref in f", signature: str = "5" * 12) -> CrashOnce:
    """Return a crash during a test."""
    return CrashOnce(signature=signature, title=title, test=test)


@cache
def colourful_morning() -> Morning:
    """Return a morning with a finding of each kind in its last night."""
    nights = tuple(_colourful(number) for number in range(1, 31))
    return Morning(project="greeter", made_at=MADE_AT, nights=nights, judgements=judge(nights))


def _colourful(number: int) -> Night:
    last = number == 30
    seconds = 1.0 + (0.5 if number > 26 else 0.0)
    tests = (
        result("test_new", Verdict.CRASHED if last else Verdict.PASSED, reason="BUG: f"),
        result("test_fixed", Verdict.PASSED if last else Verdict.FAILED, reason="assert 1 == 2"),
        result("test_still", Verdict.FAILED, reason="<script>alert(1)</script>"),
        result("test_slower", duration_s=seconds),
        result("test_slow_drift", duration_s=1.0 + 0.02 * number),
        result("test_skipped", Verdict.SKIPPED),
        result("test_flaky", *((Verdict.FAILED,) if last else ()), reruns=(Verdict.PASSED,)),
    )
    one = cell(
        "one",
        *tests,
        commit=f"{number:02}" * 20,
        boot_s=9.0,
        crashes=(crash("test_new"),) if last else (),
        warnings=("WARNING: at f.c:7",) if last else (),
    )
    lost = cell(
        "two", verdict=Verdict.LOST if last else Verdict.PASSED, worker="kvm-1", kernel="6.12"
    )
    return night(number, one, lost, left_over=("three",) if last else ())
