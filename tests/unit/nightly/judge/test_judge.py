# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.judge.judge on the synthetic history: each planted event and nothing else."""

from functools import cache

import pytest

from harness.nightly.judge.findings import Finding, Judgement, Kind, Suspect
from harness.nightly.judge.judge import judge
from tests.unit.nightly import synthetic

SEEDS = [1, 2, 3]


@cache
def judged(seed: int) -> tuple[Judgement, ...]:
    """Return the judgements of all nights of the synthetic history with this seed."""
    return judge(synthetic.history(seed))


def the_news(seed: int, kind: Kind) -> tuple[int, Finding]:
    """Return the only news of a kind, with the number of its night."""
    found = [
        (number, one)
        for number, judgement in enumerate(judged(seed))
        for one in judgement.news
        if one.kind is kind
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_sixty_nights_have_the_planted_events_as_news_and_nothing_else(seed: int) -> None:
    """In a synthetic history, each of five planted events is reported in one night as news."""
    found = sorted(
        (one.kind.value, one.subject.name) for each in judged(seed) for one in each.news
    )

    assert found == sorted(
        [
            (Kind.NEW.value, f"guest::{synthetic.REGRESSION}"),
            (Kind.NEW.value, "build"),
            (Kind.LOST.value, synthetic.LOST_WORKER),
            (Kind.FLAKY.value, f"guest::{synthetic.FLAKE}"),
            (Kind.DRIFT.value, f"guest::{synthetic.DRIFT}"),
        ]
    )


def test_a_regression_is_reported_in_its_night_with_the_last_good_and_the_first_bad_commit() -> (
    None
):
    """In the synthetic history, the planted regression is blamed on commits of the module."""
    night = synthetic.REGRESSION_NIGHT
    found = next(one for one in judged(1)[night].news if one.kind is Kind.NEW)

    assert found.signature == synthetic.SIGNATURE
    assert len(found.cells) == 40
    assert found.cause is not None
    assert found.cause.suspect is Suspect.COMMITS
    assert found.cause.commits == (synthetic.commit_of(night - 1), synthetic.commit_of(night))


def test_a_regression_still_fails_in_the_last_night_since_its_first() -> None:
    """In the synthetic history, later nights repeat finding and cause, but not as news."""
    first = next(one for one in judged(1)[synthetic.REGRESSION_NIGHT].news if one.signature)
    still = next(one for one in judged(1)[-1].findings if one.kind is Kind.STILL)

    assert (still.key, still.cause, still.since) == (first.key, first.cause, first.since)
    assert not still.is_news


def test_a_build_that_a_kernel_update_breaks_names_the_two_versions_of_the_kernel() -> None:
    """In the synthetic history, the broken build is blamed on the kernel's package, no commit."""
    found = next(one for one in judged(1)[synthetic.BUILD_NIGHT].news if one.kind is Kind.NEW)

    assert all(f"/{synthetic.BUILD_KERNEL}/" in cell for cell in found.cells)
    assert len(found.cells) == 8
    assert found.cause is not None
    assert found.cause.suspect is Suspect.KERNELS
    assert found.cause.versions == (synthetic.OLD_VERSION, synthetic.NEW_VERSION)
    assert found.cause.commits == ()


def test_a_flake_of_8_percent_has_its_rate_after_sixty_nights() -> None:
    """In the synthetic history, the flaky test's reported rate is 8 %, within two deviations."""
    nights = synthetic.history(1)
    runs = [
        test
        for night in nights
        for cell in night.cells
        for test in cell.tests
        if test.name == synthetic.FLAKE
    ]
    number, last = next(
        (number, one)
        for number, judgement in reversed(list(enumerate(judged(1))))
        for one in judgement.findings
        if one.kind is Kind.FLAKY
    )

    assert last.rate is not None
    # With 2400 runs of 8 %, one standard deviation is 0.55 %; the cells that never failed are out.
    assert last.rate.percent == pytest.approx(100 * synthetic.FLAKE_RATE, abs=1.1)
    assert last.rate.runs <= len(runs)
    assert number >= 57


def test_a_lost_worker_is_one_finding_with_all_its_cells() -> None:
    """In the synthetic history, a worker that dies with ten cells is one finding, no failures."""
    number, found = the_news(1, Kind.LOST)

    assert number == synthetic.LOST_NIGHT
    assert len(found.cells) == 10
    assert {one.kind for one in judged(1)[number].news} == {Kind.LOST}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_drift_is_found_within_twenty_nights(seed: int) -> None:
    """In the synthetic history, a test that gets 1.2 % slower each night is reported in time."""
    number, found = the_news(seed, Kind.DRIFT)

    assert synthetic.DRIFT_NIGHT < number <= synthetic.DRIFT_NIGHT + 20
    assert found.change is not None
    assert 0.1 < found.change.share < 0.4


def test_a_history_without_planted_events_has_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a synthetic history of sixty nights with nothing but noise, nothing is reported."""
    for name in ("REGRESSION_NIGHT", "DRIFT_NIGHT", "LOST_NIGHT", "BUILD_NIGHT"):
        monkeypatch.setattr(synthetic, name, synthetic.NIGHTS)
    monkeypatch.setattr(synthetic, "FLAKE_RATE", 0.0)

    assert [one for each in judge(synthetic.history(4)) for one in each.findings] == []
