# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The collection of tasks that every project has, by their documented and their short names."""

from copy import copy

from invoke.collection import Collection

from harness.tasks import (
    crashes,
    debugging,
    guests,
    host,
    nights,
    packaging,
    targets,
    timetravel,
    workflow,
)

TASKS = (
    crashes.bisect,
    crashes.explain,
    crashes.explain_guest,
    crashes.fail_allocations,
    crashes.fetch_kernel_symbols,
    crashes.open_vmcore,
    crashes.panic_list,
    crashes.replay,
    debugging.debug_attach,
    guests.clean,
    guests.guest_console,
    guests.guest_list,
    guests.guest_ssh,
    guests.guest_stop,
    guests.image_build,
    guests.image_list,
    guests.make_kernel_image,
    host.doctor,
    host.init,
    host.setup,
    nights.nightly,
    nights.nightly_bisect,
    nights.nightly_cell,
    nights.nightly_gitlab,
    nights.nightly_merge,
    nights.nightly_report,
    packaging.packages,
    targets.kernel_configure_target,
    targets.kernel_deps,
    targets.kext_check,
    targets.target_list,
    targets.target_power,
    targets.verify_on_mac,
    timetravel.record_command,
    timetravel.replay_debug,
    workflow.kernel_build,
    workflow.kernel_load,
    workflow.kernel_test_load,
    workflow.kernel_test_unload,
    workflow.run_kernel_test,
)


def shared_tasks() -> Collection:
    """Return the tasks that this project has in common with every other project."""
    return Collection(*TASKS)


def installed_tasks() -> Collection:
    """Return the tasks of the installed command `modlab`, where `test` means kernel-test."""
    found = shared_tasks()
    # Invoke's parser knows only the names in the task itself, so a copy gets the short name; the
    # checkout's task is not changed.
    kernel_test = copy(workflow.run_kernel_test)
    kernel_test.aliases = ("test",)
    found.add_task(kernel_test)
    return found
