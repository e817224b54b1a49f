# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that crash the kernel in every way of the test build; the harness must name each crash.

Run by `invoke kernel-test --crash-tests`. A test passes when the crash has the announced kind,
function, module and line.
"""

from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from harness.errors import HarnessError
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.crash.places import place_of

ANSWER_S = 8.0
FAULT, MEMORY, HANG = "test_crash.c", "test_crash_memory.c", "test_crash_hang.c"
# Shorter limits for watchdogs. Each is set alone: a task that waits for a CPU that spins hangs,
# too, and would be reported first.
IMPATIENT = {
    "hung-task": "sysctl -q -w kernel.hung_task_timeout_secs=4",
    "soft-lockup": "sysctl -q -w kernel.watchdog_thresh=3",
}
IMPATIENT_RCU = "echo 6 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"


def recordable(number: int) -> pytest.MarkDecorator:
    """Return the mark with the command that makes this crash in a guest without a network."""
    return pytest.mark.recordable(command=command_of(number), variant="test")


def command_of(number: int) -> str:
    """Return the command that crashes the guest in the way with this number."""
    return f"osqstress crash {number}"


def crashes(
    kind: str, function: str, file: str, text: str, *, fatal: bool
) -> pytest.MarkDecorator:
    """Return the mark that announces a crash of the test build at the line with this text."""
    return pytest.mark.crashes(
        kind=kind,
        function=function,
        place=place_of(file, function, text),
        module="osq_test",
        fatal=fatal,
    )


def point(
    number: int, kind: str, name: str, file: str, text: str, *, fatal: bool = True
) -> ParameterSet:
    """Return one crash point as a parameter of a test below."""
    marks = [crashes(kind, f"osq_crash_{name}", file, text, fatal=fatal), recordable(number)]
    return pytest.param(number, marks=marks, id=name)


def hang(number: int, watchdog: str, name: str, text: str) -> ParameterSet:
    """Return one hang as a parameter of a test; its watchdog's limit is set before."""
    mark = crashes(watchdog, f"osq_crash_{name}", HANG, text, fatal=False)
    return pytest.param(number, watchdog, marks=mark, id=name)


@pytest.mark.parametrize(
    "number",
    [
        point(1, "null-deref", "null", FAULT, "WRITE_ONCE"),
        point(2, "general-protection", "use_after_free", MEMORY, "WRITE_ONCE"),
        point(3, "bug", "bug", FAULT, "BUG()"),
        point(4, "warning", "warn", FAULT, "WARN(1", fatal=False),
        point(6, "stack-overflow", "stack_overflow", FAULT, "return osq_crash_stack_overflow"),
        point(7, "atomic-sleep", "sleep_in_atomic", HANG, "msleep", fatal=False),
        point(12, "panic", "panic", FAULT, 'panic("'),
        point(15, "general-protection", "general_protection", FAULT, "WRITE_ONCE"),
        point(16, "divide-error", "divide", FAULT, "1000 / by"),
        point(17, "stack-corruption", "stack_smash", FAULT, "}"),
        point(18, "list-corruption", "list", MEMORY, "is in it"),
        point(19, "refcount", "refcount", MEMORY, "refcount_dec", fatal=False),
        point(20, "bug", "double_free", MEMORY, "is free"),
        point(21, "page-fault", "execute_data", MEMORY, "call()"),
        point(22, "page-fault", "write_constant", MEMORY, "WRITE_ONCE"),
        point(23, "usercopy", "usercopy", MEMORY, "copy_to_user"),
    ],
)
def test_a_fault_detected_at_once_is_reported_with_its_kind_function_and_line(
    guest: Guest, variant: Callable[[str], Driver], number: int
) -> None:
    """The driver's test build makes each fault, and the crash report has what was announced."""
    variant("test").load()

    crash(guest, number)


@crashes("null-deref", "osq_crash_null", FAULT, "WRITE_ONCE", fatal=True)
@recordable(14)
def test_for_a_fault_in_an_interrupt_the_crash_report_blames_the_function_with_the_fault(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """For a NULL pointer in an interrupt, the function of the interrupted task is not blamed."""
    variant("test").load()

    crash(guest, 14)


@crashes("null-deref", "osq_crash_null", FAULT, "WRITE_ONCE", fatal=True)
def test_a_repeated_crash_is_reported_each_time_with_the_expected_kind_function_and_line(
    guest: Guest, variant: Callable[[str], Driver], crash_round: int
) -> None:
    """The same NULL pointer crashes guest after guest, and the harness reports each crash alike.

    tests/system checks that the harness's memory does not grow meanwhile.
    """
    assert crash_round >= 0
    variant("test").load()

    crash(guest, 1)


@pytest.mark.parametrize(
    ("number", "watchdog"),
    [
        hang(5, "hung-task", "deadlock", "mutex_lock(&second"),
        hang(8, "soft-lockup", "soft_lockup", "mdelay"),
        hang(9, "hung-task", "hung_task", "wait_for_completion"),
        hang(24, "soft-lockup", "spin_twice", "for ever"),
    ],
)
def test_a_hang_found_as_hung_task_or_soft_lockup_is_reported_with_its_kind_function_and_line(
    guest: Guest, variant: Callable[[str], Driver], number: int, watchdog: str
) -> None:
    """The test build hangs a task or a CPU; the kernel finds it, and the report agrees."""
    variant("test").load()
    guest.run(IMPATIENT[watchdog], deadline_s=10)

    crash(guest, number, deadline_s=120.0)


@crashes("rcu-stall", "osq_crash_hard_lockup", HANG, "mdelay", fatal=False)
def test_a_cpu_that_spins_with_interrupts_off_is_found_by_rcu(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """RCU's stall detector on another CPU finds it, and the crash report has function and line.

    The CPU's own watchdog does not run then.
    """
    variant("test").load()
    guest.run(IMPATIENT_RCU, deadline_s=10)

    crash(guest, 13, deadline_s=120.0)


def crash(guest: Guest, number: int, *, deadline_s: float = ANSWER_S) -> None:
    """Ask the test build for a crash; fail the test if the guest dies."""
    try:
        guest.run(command_of(number), deadline_s=deadline_s, check=False)
    except HarnessError as error:
        pytest.fail(f"the guest did not answer: {error.message}", pytrace=False)
