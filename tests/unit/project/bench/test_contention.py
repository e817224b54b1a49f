# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.bench.contention: the model agrees with what can be computed by hand."""

import pytest

from harness.project.bench import contention

SECTIONS = contention.Sections(clock_ns=30.0, held_ns=20.0, foreign_ns=200.0, copy_ns=10.0)


def test_one_cpu_alone_never_waits() -> None:
    """The model of the ring's lock gives one CPU the sum of clock, copy and locked sections."""
    assert contention.mean_ns(SECTIONS, cpus=1, gap_ns=0.0) == pytest.approx(60.0)


def test_cpus_without_pause_are_as_slow_as_the_lock() -> None:
    """In the model, each of 64 CPUs waits for all others: 64 times two locked parts of 100 ns."""
    assert contention.mean_ns(SECTIONS, cpus=64, gap_ns=0.0) == pytest.approx(64 * 200, rel=0.02)


def test_rare_records_wait_for_nobody() -> None:
    """In the ring lock's model, 64 CPUs with 1,000 records/s in all write as if each was alone."""
    found = contention.mean_ns(SECTIONS, cpus=64, gap_ns=64e6)

    assert found == pytest.approx(SECTIONS.alone_ns, rel=0.02)
    assert SECTIONS.alone_ns == 30 + 10 + 110


def test_a_longer_section_and_more_cpus_lower_the_limit() -> None:
    """The modelled greatest rate of records falls as the ring's lock is held longer."""
    slow = contention.Sections(clock_ns=30.0, held_ns=20.0, foreign_ns=800.0, copy_ns=10.0)
    fast_limits, slow_limits = contention.limits(SECTIONS), contention.limits(slow)

    assert [one.cpus for one in fast_limits] == [8, 16, 32, 64, 128]
    assert all(one.records_per_s < one.most_per_s for one in fast_limits)
    assert fast_limits[0].records_per_s > fast_limits[-1].records_per_s
    assert all(
        one.records_per_s > other.records_per_s
        for one, other in zip(fast_limits, slow_limits, strict=True)
    )
    assert fast_limits[0].most_per_s == pytest.approx(5e6, rel=0.02)


def test_a_machine_with_one_cpu_has_no_limits() -> None:
    """Where waiting for the ring's lock could not be measured, the model gives no limit."""
    unknown = contention.Sections(clock_ns=30.0, held_ns=20.0, foreign_ns=0.0, copy_ns=10.0)

    assert contention.limits(unknown) == ()
