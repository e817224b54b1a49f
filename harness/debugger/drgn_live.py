# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Open drgn's shell on the memory of a running guest (`debug-attach --drgn`).

Memory is read from QEMU's process and registers through QEMU's second monitor, so the guest is not
stopped. Tests may run meanwhile, and another debugger may be attached.
"""

import json
import sys

from harness import hints
from harness.debugger import attach
from harness.debugger.attach import AttachRequest
from harness.errors import UsageError
from harness.host import foreground


def shell(request: AttachRequest) -> int:
    """Open drgn's shell on the memory of a running guest, or run the request's commands in one.

    Return the shell's exit status.
    Raises: UsageError without the guest or its kernel's vmlinux.
    """
    entry = attach.living(request)
    symbols = attach.find_symbols(request, entry)
    if symbols.vmlinux is None:
        raise UsageError(
            "drgn needs the symbols of the kernel",
            hint=f"{hints.command('kernel-symbols')} fetches them",
        )
    # The dataclass of drgn_shell is not used here, because importing it would load drgn.
    asked = {
        "qmp": str(entry.qmp_socket),
        "vmlinux": str(symbols.vmlinux),
        "modules": {name: str(path) for name, path in symbols.modules.items()},
        "plugin": str(request.settings.module.drgn or ""),
        "commands": list(request.commands),
    }
    return foreground.run([sys.executable, "-m", "harness.memory.drgn_shell", json.dumps(asked)])
