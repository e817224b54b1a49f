# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the shared libraries of a program of the host, so that the program runs in a guest."""

import re
from pathlib import Path

from harness.errors import UsageError
from harness.host import tool

_DEADLINE_S = 10.0
# ldd prints a library as 'NAME => PATH (ADDRESS)', and the loader as 'PATH (ADDRESS)'.
_LIBRARY = re.compile(r"^\s*(?:(\S+) => )?(/\S+|not found)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)


def libraries(program: Path) -> tuple[Path, ...]:
    """Return every library of a program, its loader included; () for a static program or a script.

    Raises: UsageError with the names of the libraries that this host does not have, or when ldd
        is not installed, fails or does not end in time.
    """
    done = tool.run(["ldd", program], deadline_s=_DEADLINE_S, error=UsageError, check=False)
    # It says so of a script, too, which runs if the guest has its interpreter.
    if any("not a dynamic executable" in line for line in done.lines):
        return ()
    if done.status != 0:
        raise UsageError(f"ldd cannot read {program}", evidence=done.lines)
    found = _LIBRARY.findall(done.text)
    missing = [name for name, path in found if path == "not found"]
    if missing:
        raise UsageError(
            f"{program.name} needs {', '.join(missing)}, which this host does not have"
        )
    return tuple(Path(path) for _, path in found)
