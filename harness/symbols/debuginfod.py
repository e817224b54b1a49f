# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fetch symbol files of kernels and modules from a debuginfod server, by their build ids.

A kernel with CONFIG_STACKTRACE_BUILD_ID prints its build id in the line 'CPU:', and that of a
module after the module's name. elfutils' debuginfod-find asks the servers of DEBUGINFOD_URLS and
keeps what it fetched.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.host import tool
from harness.panic.values import KernelReport

# A kernel's debug information has up to 1 GB.
_DEADLINE_S = 1800.0
# lib/dump_stack.c, dump_stack_print_info(); kernel/kallsyms.c, append_buildid().
_OF_KERNEL = re.compile(r"^CPU: .* (?P<id>[0-9a-f]{40})(?: |$)")
_OF_MODULE = re.compile(r"\[(?P<module>[\w-]+) (?P<id>[0-9a-f]{40})\]")


def build_ids(reports: Iterable[KernelReport]) -> Mapping[str, str]:
    """Return the build ids that reports print, by module; the kernel's has the key ""."""
    found: dict[str, str] = {}
    for report in reports:
        for line in report.text:
            kernel = _OF_KERNEL.match(line)
            if kernel is not None:
                found.setdefault("", kernel["id"])
            for module in _OF_MODULE.finditer(line):
                found.setdefault(module["module"], module["id"])
    return found


def symbol_file(build_id: str) -> Path | None:
    """Return the file with the debug information of a build, None if it could not be fetched.

    None means that no server has it, that no server is set or reached, or that 30 minutes were not
    enough. `build_id` is in hex.
    Raises: UsageError when debuginfod-find is not installed.
    """
    command = ["debuginfod-find", "debuginfo", build_id]
    done = tool.run(command, deadline_s=_DEADLINE_S, error=UsageError, check=False)
    return Path(done.text.strip()) if done.status == 0 else None
