# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`debug-attach --drgn`: drgn's shell on the memory of a guest that keeps running.

No stub and no signal is used: memory is read from QEMU's process, registers through its second
monitor. So it works beside tests, and beside a debugger that holds the guest.
"""

import json
import sys

from harness import hints
from harness.debugger import attach
from harness.debugger.attach import AttachRequest
from harness.errors import UsageError
from harness.host import foreground


def shell(request: AttachRequest) -> int:
    """Open drgn's shell on a guest, or run commands in one; return its exit status.

    Raises: UsageError without the guest or its kernel's vmlinux.
    """
    entry = attach.living(request)
    symbols = attach.find_symbols(request, entry)
    if symbols.vmlinux is None:
        raise UsageError(
            "drgn needs the symbols of the kernel",
            hint=f"{hints.command('kernel-symbols')} fetches them",
        )
    # This is not the dataclass of drgn_shell, because importing that would load drgn here.
    asked = {
        "qmp": str(entry.qmp_socket),
        "vmlinux": str(symbols.vmlinux),
        "modules": {name: str(path) for name, path in symbols.modules.items()},
        "plugin": str(request.settings.module.drgn or ""),
        "commands": list(request.commands),
    }
    return foreground.run([sys.executable, "-m", "harness.memory.drgn_shell", json.dumps(asked)])
