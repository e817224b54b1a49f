# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The JSON file by which the harness passes facts about a guest to its code in the debugger."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The symbol files of a kernel, and the state of its guest before the debugger came.

    `modules` gives files with debug information by module name (with underscores), for every
    module that is or may be loaded. `dead` means that the kernel cannot continue, `booting` that
    the kernel is not in memory yet.
    """

    vmlinux: Path
    slide: int
    modules: dict[str, Path] = field(default_factory=dict)
    plugin: Path | None = None
    dead: bool = False
    booting: bool = False

    def write(self, file: Path) -> None:
        """Write the facts into a file as JSON."""
        file.write_text(json.dumps(asdict(self), default=str, indent=1) + "\n")


def read(file: Path) -> Facts:
    """Return the facts that `write` has stored in a file."""
    data = json.loads(file.read_text())
    return Facts(
        vmlinux=Path(data["vmlinux"]),
        slide=data["slide"],
        modules={name: Path(path) for name, path in data["modules"].items()},
        plugin=Path(data["plugin"]) if data["plugin"] else None,
        dead=data["dead"],
        booting=data["booting"],
    )


def kernel_name(file_name: str) -> str:
    """Return a module's name as the kernel has it, with underscores instead of dashes."""
    return file_name.replace("-", "_")
