# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.bench.figures: ratios by round, records unaccounted for, goals."""

import json

import pytest

from harness.project.bench import contention, figures

CELL = {"ring_bytes": 1 << 20, "producers": 1, "record_bytes": 256}


def cost(engine: str, batch_ns: list[float]) -> str:
    """Return the line that bench_ring prints for these rounds of an engine."""
    row = {"kind": "cost", "engine": engine, **CELL, "batch_ns": batch_ns}
    rates = [1e9 / ns for ns in batch_ns]
    return json.dumps(row | {"records_per_s": rates, "single_ns": [1, 2, 3], "drops": 0})


def load(engine: str, *, read: int, drops: int, garbage: bool = False) -> str:
    """Return the line that bench_ring prints for 100 records made under load."""
    row = {"kind": "load", "engine": engine, **CELL, "per_s": 300000, "made": 100}
    error = abs(100 - read - drops)
    return json.dumps(
        row | {"read": read, "drops": drops, "error": error, "found_garbage": garbage}
    )


def held(*lines: str) -> list[bool | None]:
    """Return which goals such lines reach: the floor, LTTng, exact accounting."""
    return [goal.held for goal in figures.goals(figures.parse(lines))][:3]


def test_a_ratio_is_taken_within_each_round() -> None:
    """Ours takes 1.2 times the floor's time in each round, though one is ten times slower."""
    measured = figures.parse(
        [cost("floor", [10.0, 100.0, 10.0]), cost("ours", [12.0, 120.0, 12.0])]
    )
    floor, ours = measured.costs

    found = figures.ratio(ours, floor)

    assert (found.median, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))


def test_an_interval_contains_the_median_and_is_the_same_for_the_same_values() -> None:
    """The confidence interval of a benchmark comes from resampling with a fixed seed."""
    values = [1.0, 1.1, 1.2, 1.5, 1.9, 2.4, 3.0]

    found = figures.interval(values)

    assert found.low < found.median == 1.5 < found.high
    assert found == figures.interval(values)


@pytest.mark.parametrize(
    ("floor_ns", "lttng_ns", "reached"),
    [
        (100.0, 200.0, [True, True, None]),
        (99.0, 200.0, [False, True, None]),
        (100.0, 125.0, [True, False, None]),
    ],
)
def test_goals_of_time_are_missed_above_their_limits(
    floor_ns: float, lttng_ns: float, reached: list[bool | None]
) -> None:
    """Our ring may take at most 1.25 times the floor's time, and must take less than LTTng's."""
    costs = [cost("floor", [floor_ns] * 5), cost("ours", [125.0] * 5)]

    assert held(*costs, cost("lttng-ust", [lttng_ns] * 5)) == reached


def test_what_a_run_has_not_measured_is_no_reached_goal() -> None:
    """A benchmark without LTTng and without loads has neither reached nor missed those goals."""
    assert held(cost("floor", [10.0]), cost("ours", [11.0])) == [True, None, None]


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        (load("ours", read=90, drops=10), True),
        (load("ours", read=90, drops=9), False),
        (load("ours", read=91, drops=10), False),
        (load("ours", read=90, drops=10, garbage=True), False),
        (load("original", read=90, drops=9), None),
    ],
)
def test_the_goal_of_exact_accounting_is_missed_by_one_record(
    line: str,
    exact: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A benchmark's records read plus dropped must equal those made; a rival's may differ."""
    assert held(line)[2] is exact


def test_opposite_errors_of_two_loads_do_not_cancel() -> None:
    """One record lost in one load and one surplus in another miss the benchmark's goal."""
    lines = [load("ours", read=90, drops=9), load("ours", read=91, drops=10)]

    assert held(*lines)[2] is False


def test_lttngs_discarded_events_are_summed_over_its_channels_without_a_wrong_2_to_the_63() -> (
    None
):
    """LTTng counts 2^63 too many for one channel; made records are still read plus discarded."""
    drops = [2**63 + 4, 6]
    lines = [
        load("lttng-ust", read=0, drops=0),
        load("lttng-ust", read=0, drops=0),
        json.dumps({"kind": "lttng-load", "read": 190, "drops": drops}),
    ]

    (found,) = figures.parse(lines).loads

    assert (found.made, found.read, found.drops, found.error) == (200, 190, 10, 0)


@pytest.mark.parametrize(("rate", "reached"), [(300_000.0, True), (299_999.0, False)])
def test_the_goal_of_one_lock_is_missed_below_300000_records_a_second(
    rate: float,
    reached: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The rate that the model of the ring's lock gives for 64 CPUs decides on this goal."""
    limits = [contention.Limit(cpus=64, records_per_s=rate, most_per_s=9e6)]

    assert figures.goals(figures.parse([]), limits)[3].held is reached
    assert figures.goals(figures.parse([]))[3].held is None


def test_the_sections_of_the_lock_are_read() -> None:
    """The printed times of bench_ring's locked sections become the input of the lock's model."""
    row = {"clock_ns": 32, "held_ns": 25, "foreign_ns": 220, "copy_ns": 9}

    found = figures.parse([json.dumps({"kind": "sections"} | row)])

    assert found.sections == contention.Sections(**row)
