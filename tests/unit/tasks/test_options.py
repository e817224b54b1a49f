# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of options: each mode of a task accepts an option, or gives the reason why it does not."""

import inspect
import itertools
from collections.abc import Iterator

import pytest

from harness.errors import UsageError
from harness.tasks import debugging, guests, nights, options, packaging, targets, workflow
from harness.tasks.common import HarnessTask
from harness.tasks.debugging import MODES, Way, chosen_way
from harness.tasks.options import Mode, check_options, option_name

SHARED = {"config", "C"}
OF_TASKS: list[tuple[HarnessTask, Mode, set[str]]] = [
    (workflow.run_kernel_test, options.TEST_IN_GUEST, set()),
    (workflow.run_kernel_test, options.TEST_ON_TARGET, set()),
    (workflow.run_kernel_test, options.TEST_LISTED, set()),
    (workflow.run_kernel_test, options.TEST_COMMAND, set()),
    (workflow.run_kernel_test, options.TEST_RECORDED, set()),
    # --run itself chooses its mode.
    (workflow.kernel_test_load, options.LOAD_IN_GUEST, {"run"}),
    (workflow.kernel_test_load, options.LOAD_AGAIN, set()),
    (workflow.kernel_test_load, options.LOAD_ON_TARGET, set()),
    # --all itself chooses its mode.
    (workflow.kernel_build, options.BUILD_KEXT, {"all"}),
    (workflow.kernel_build, options.BUILD_FOR_GUEST, {"all"}),
    (workflow.kernel_build, options.BUILD_ALONE, {"all"}),
    (workflow.kernel_build, options.BUILD_ALL, set()),
    (nights.nightly, options.NIGHT_RUN, set()),
    (nights.nightly, options.NIGHT_PLANNED, set()),
    (nights.nightly, options.NIGHT_RESUMED, set()),
    (nights.nightly, options.NIGHT_IMPORTED, set()),
    (workflow.kernel_test_unload, options.UNLOAD_ON_TARGET, set()),
    (targets.kernel_deps, targets.DEPS_OF_TARGET, set()),
    (targets.kernel_configure_target, targets.CONFIGURE_GUEST, set()),
    (packaging.packages, packaging.FOR_LINUX, set()),
    (packaging.packages, packaging.FOR_MACOS, set()),
    (guests.guest_stop, guests.STOP_ALL, set()),
    # `chosen_way` itself refuses the options that choose another way.
    *(
        (
            debugging.debug_attach,
            mode,
            {"break-at-boot", "vscode", "dap", "drgn", "core", "via"} - set(mode.known),
        )
        for mode in MODES.values()
    ),
]


def options_of(task: HarnessTask) -> set[str]:
    """Return the options that only this task has, without those that all tasks share."""
    parameters = list(inspect.signature(task.body).parameters)[1:]
    return {option_name(name) for name in parameters} - SHARED


@pytest.mark.parametrize(("task", "mode", "elsewhere"), OF_TASKS)
def test_each_mode_of_a_task_accepts_or_refuses_every_option_of_the_task(
    task: HarnessTask, mode: Mode, elsewhere: set[str]
) -> None:
    """For a task such as debug-attach, a table says which options apply in each of its modes."""
    listed = list(mode.known)

    assert len(listed) == len(set(listed))
    assert set(listed) | elsewhere == options_of(task)


def refusals() -> Iterator[tuple[Mode, str]]:
    """Yield every option that a mode of a task refuses, with the mode."""
    for _task, mode, _elsewhere in OF_TASKS:
        for name in mode.refused:
            yield mode, name


@pytest.mark.parametrize(("mode", "name"), list(refusals()))
def test_an_option_that_does_not_apply_is_an_error_with_the_reason(mode: Mode, name: str) -> None:
    """The UsageError names the option and the task's mode, in which it has no effect."""
    with pytest.raises(UsageError) as caught:
        check_options(mode, [name.replace("-", "_")])

    assert caught.value.message == f"--{name} does not apply {mode.when}"
    assert caught.value.hint == mode.refused[name]


def test_the_option_debugger_without_the_option_debug_on_crash_is_a_usage_error() -> None:
    """--debugger without --debug-on-crash is an error, since nothing would start that debugger."""
    check_options(options.TEST_IN_GUEST, ["debugger", "debug_on_crash"])

    with pytest.raises(UsageError, match="--debugger has no effect without --debug-on-crash"):
        check_options(options.TEST_IN_GUEST, ["debugger"])


@pytest.mark.parametrize(
    "pair", ["watch repeat", "watch keep", "watch run_id", "repeat keep", "repeat run_id"]
)
def test_options_that_exclude_each_other_are_an_error_with_the_reason(pair: str) -> None:
    """Two options that do not go together are an error that names both; each alone is accepted."""
    first, second = pair.split()
    for one in (first, second):
        check_options(options.TEST_IN_GUEST, [one])

    with pytest.raises(UsageError, match=f"--{first} and --{option_name(second)}") as caught:
        check_options(options.TEST_IN_GUEST, [first, second])

    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, Way.TERMINAL),
        ({"run": "1f", "break_": ["schedule"], "via": "gdbstub"}, Way.TERMINAL),
        ({"break_at_boot": True, "target": "debian-12"}, Way.BOOT),
        ({"vscode": True}, Way.EDITOR),
        ({"dap": True, "port": 0}, Way.ADAPTER),
        ({"drgn": True, "command": ["cpus()"]}, Way.DRGN),
        ({"core": "1f", "crash": 2}, Way.CORE),
        ({"via": "kdp", "run": "10.0.0.2", "symbols": "kernel"}, Way.KDP),
    ],
)
def test_combinations_of_debug_attach_options_each_choose_the_expected_way_of_debugging(
    given: dict[str, object], way: Way
) -> None:
    """Each combination of options of debug-attach leads to one way of debugging."""
    assert chosen_way(given, remote=False) is way


def test_debug_attach_accepts_breakpoints_and_commands_for_a_target_that_the_user_boots() -> None:
    """Breakpoints and commands may be given with a target that the user boots."""
    given = {"target": "mac", "break_": ["panic"], "command": ["bt"]}

    assert chosen_way(given, remote=True) is Way.TARGET


@pytest.mark.parametrize("other", ["break_at_boot", "vscode", "dap", "drgn", "via"])
def test_debug_attach_refuses_a_second_way_to_debug_beside_a_target_that_the_user_boots(
    other: str,
) -> None:
    """With such a target, --break-at-boot, --vscode, --dap, --drgn and --via kdp are errors."""
    given = {"target": "mac", other: "kdp" if other == "via" else True}

    with pytest.raises(UsageError, match="two ways to debug: one of them is expected"):
        chosen_way(given, remote=True)


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.combinations(["break_at_boot", "vscode", "dap", "drgn", "via"], 2)),
)
def test_options_that_choose_two_ways_to_debug_are_an_error(first: str, second: str) -> None:
    """Options of debug-attach that choose two ways of debugging are refused."""
    with pytest.raises(UsageError, match="two ways to debug"):
        chosen_way({first: True, second: "kdp" if second == "via" else True}, remote=False)


def test_an_unknown_debugger_stub_is_an_error() -> None:
    """An unknown value of debug-attach --via, which chooses how to reach the kernel, fails."""
    with pytest.raises(UsageError, match="gdbstub or kdp is expected"):
        chosen_way({"via": "serial"}, remote=False)
