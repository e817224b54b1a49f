# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands of this checkout: those that every project has, and the checks of this one.

`./dev TASK...` installs what is missing and then runs these; `./dev TASK --help` teaches one.
Exit codes: 0 passed, 1 failed, 2 usage or configuration, 3 the guest crashed, 4 lost.
"""

from harness.tasks import project
from harness.tasks.collection import shared_tasks

namespace = shared_tasks()
for _task in (
    project.bench_ring,
    project.check,
    project.checkpatch,
    project.core_test,
    project.debug_test,
    project.kext_test,
    project.kvm_host_test,
    project.packages_test,
    project.release,
    project.subscriber_test,
    project.test,
):
    namespace.add_task(_task)

if __name__ == "__main__":
    from harness.tasks.program import run

    run(namespace)
