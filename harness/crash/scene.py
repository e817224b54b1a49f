# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that explaining a bad end needs from the guest, however the guest was started."""

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
    """A guest and its observers; `Session` is one, and so is `JoinedGuest`."""

    @property
    def domain(self) -> Domain:
        """The libvirt domain of the guest."""

    @property
    def console(self) -> Console:
        """The console of the guest."""

    @property
    def watch(self) -> LogWatch:
        """The kernel reports of the guest."""

    @property
    def health(self) -> Health:
        """The health check of the guest."""

    @property
    def qmp_socket(self) -> Path:
        """The socket of QEMU's second monitor."""

    def deadline(self, seconds: float) -> float:
        """Return a time limit, stretched by this guest's factor."""

    def run_script(self, script: str, *, deadline_s: float) -> None:
        """Run a script in the guest; raise a HarnessError when the guest does not answer."""


def _ignore(_shown: object) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A guest that came to a bad end, and the folders for its evidence.

    `console_file` has the console's output. `kernel` is the name of the kernel in the
    configuration, and `vmlinux` has its symbols, None where they were not fetched. `modules` are
    the files with symbols of the modules under test, by the names that the kernel uses. `roots`
    are the folders in which sources are searched, the module's own first. `folder` gets the
    evidence of this end, and `runs` holds all runs. `plugin` reads the module's state in drgn.
    `vmcores` bounds the dumps that all runs keep; None keeps no dump. `keep`: a guest whose kernel
    only complained keeps running. `note` shows a line of progress, `show` the explanation on one
    screen.
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
