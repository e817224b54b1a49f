# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that explaining a crash or hang needs from the guest, however it was started."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.guest.console import Console
from harness.guest.domain import Domain
from harness.guest.health import Health
from harness.guest.log_watch import LogWatch
from harness.model.limits import VmcoreLimits


class Observed(Protocol):
    """A guest with its console and observers, as `Session` and `JoinedGuest` provide them."""

    @property
    def domain(self) -> Domain:
        """The libvirt domain of the guest."""

    @property
    def console(self) -> Console:
        """The guest's serial console, with the lines that it has printed."""

    @property
    def watch(self) -> LogWatch:
        """The watch that collects the kernel's reports from the guest's console."""

    @property
    def health(self) -> Health:
        """The health check that notices when the guest hangs."""

    @property
    def qmp_socket(self) -> Path:
        """The socket of QEMU's second monitor."""

    def deadline(self, seconds: float) -> float:
        """Return a time limit in seconds, multiplied if this guest is slow, such as emulated."""

    def run_script(self, script: str, *, deadline_s: float) -> None:
        """Run a script in the guest; raise a HarnessError when it fails or is not over in time."""


def _ignore(_shown: object) -> None:
    """Do nothing with a line of progress; `note` and `show` default to this function."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A guest that crashed or hangs, its symbol files, and the folders for the evidence.

    `kernel` is the kernel's name in the configuration. `modules` are the files with debug
    information by name, and `roots` the folders to which shown source paths are relative. `folder`
    is the crash's own folder, `runs` that of all runs. `plugin` is the project's drgn plugin.
    Without `vmcores`, no memory is dumped. With `keep`, a guest whose kernel only reported a fault
    continues. `note` is called with each line of progress, `show` with the lines that explain the
    crash on the terminal.
    """

    session: Observed
    console_file: Path
    memory_mib: int
    kernel: str
    vmlinux: Path | None
    modules: dict[str, Path]
    roots: tuple[Path, ...]
    folder: Path
    runs: Path
    plugin: Path | None = None
    vmcores: VmcoreLimits | None = None
    keep: bool = False
    note: Callable[[str], None] = _ignore
    show: Callable[[Sequence[str]], None] = _ignore
