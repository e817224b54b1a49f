# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands, collected from harness/tasks: arguments in, one library call, exit code out.

`./dev TASK...` installs what is missing and then runs these; `invoke --help TASK` teaches one.
Exit codes: 0 passed, 1 failed, 2 usage or configuration, 3 the guest crashed, 4 lost.
"""

from harness.tasks.crashes import explain
from harness.tasks.debugging import debug_attach
from harness.tasks.kexts import kext_check
from harness.tasks.memory import fetch_kernel_symbols, open_vmcore
from harness.tasks.nights import doctor, nightly
from harness.tasks.packaging import packages
from harness.tasks.project import (
    check,
    checkpatch,
    core_test,
    debug_test,
    kext_test,
    packages_test,
    subscriber_test,
    test,
)
from harness.tasks.reruns import bisect, panic_list, replay
from harness.tasks.standing import (
    clean,
    guest_console,
    guest_list,
    guest_ssh,
    guest_stop,
    image_build,
    image_list,
)
from harness.tasks.targets import (
    kernel_configure_target,
    kernel_deps,
    target_list,
    target_power,
    verify_on_mac,
)
from harness.tasks.timetravel import record_command, replay_debug
from harness.tasks.workflow import (
    kernel_build,
    kernel_load,
    kernel_test_load,
    kernel_test_unload,
    run_kernel_test,
)

__all__ = [
    "bisect",
    "check",
    "checkpatch",
    "clean",
    "core_test",
    "debug_attach",
    "debug_test",
    "doctor",
    "explain",
    "fetch_kernel_symbols",
    "guest_console",
    "guest_list",
    "guest_ssh",
    "guest_stop",
    "image_build",
    "image_list",
    "kernel_build",
    "kernel_configure_target",
    "kernel_deps",
    "kernel_load",
    "kernel_test_load",
    "kernel_test_unload",
    "kext_check",
    "kext_test",
    "nightly",
    "open_vmcore",
    "packages",
    "packages_test",
    "panic_list",
    "record_command",
    "replay",
    "replay_debug",
    "run_kernel_test",
    "subscriber_test",
    "target_list",
    "target_power",
    "test",
    "verify_on_mac",
]
