# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the deadlines of a run: a long one has more time, and so has one of many modules."""

from dataclasses import replace
from pathlib import Path

from harness.host import config
from harness.model.limits import Timeouts
from harness.model.request import for_long_run
from tests.unit.host.test_config import project


def test_for_long_run_multiplies_test_and_suite_deadlines_and_leaves_other_timeouts_unchanged(
    tmp_path: Path,
) -> None:
    """A run with long tests has the usual limits for boot, load and a silent console."""
    plain = config.load(project(tmp_path))
    limits = replace(plain.timeouts, test_s=60.0, long_factor=15.0)

    long = for_long_run(replace(plain, timeouts=limits))

    assert long.timeouts == replace(limits, test_s=900.0)
    assert [spec.deadline_s for spec in long.tests] == [9000.0, 75.0]
    assert [spec.name for spec in long.tests] == [spec.name for spec in plain.tests]


def test_a_test_has_load_s_more_for_each_module_beyond_the_first() -> None:
    """A test's deadline grows with the modules under test, which it may load again."""
    limits = Timeouts(test_s=60.0, load_s=10.0)

    assert limits.for_modules(1) == limits
    assert limits.for_modules(27) == replace(limits, test_s=320.0)
