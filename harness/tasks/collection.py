# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every task that a project with a module has, by its documented and its short name."""

from invoke.collection import Collection

from harness.tasks import (
    crashes,
    debugging,
    guests,
    host,
    init,
    memory,
    packaging,
    targets,
    timetravel,
    workflow,
)

TASKS = (
    crashes.bisect,
    crashes.explain,
    crashes.explain_guest,
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
    init.init,
    memory.fetch_kernel_symbols,
    memory.open_vmcore,
    host.doctor,
    host.nightly,
    host.setup,
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
    """Return the tasks that this project and every other one have."""
    return Collection(*TASKS)


def installed_tasks() -> Collection:
    """Return the tasks of `modlab`: here `test` is the short name of kernel-test."""
    found = shared_tasks()
    found.add_task(workflow.run_kernel_test, aliases=("test",))
    return found
