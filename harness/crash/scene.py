# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the explanation of a bad end has to know of the guest, whoever brought the guest up."""

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
    """A guest and what watches it; `Session` is one, and so is `JoinedGuest`."""

    @property
    def domain(self) -> Domain:
        """The machine."""

    @property
    def console(self) -> Console:
        """Its serial line."""

    @property
    def watch(self) -> LogWatch:
        """What its kernel has said."""

    @property
    def health(self) -> Health:
        """Who knows whether it lives."""

    @property
    def qmp_socket(self) -> Path:
        """QEMU's second monitor."""

    def deadline(self, seconds: float) -> float:
        """Return a limit, stretched as this guest needs it."""

    def run_script(self, script: str, *, deadline_s: float) -> None:
        """Run a script in the guest; raise a HarnessError when it does not answer."""


def _ignore(_shown: object) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A guest that came to a bad end, and where its evidence goes.

    `console_file` holds what its console said. `kernel` is the name of the kernel in the
    configuration, and `vmlinux` has its symbols, None where they were not fetched. `modules` are
    the files with symbols of the modules under test, by the names under which the kernel knows
    them. `roots` are the folders in which sources are looked for, the module's own first.
    `folder` gets the evidence of this end, `runs` holds all runs. `plugin` reads the module's
    state in drgn. `vmcores` bounds the dumps that all runs keep; None keeps no dump. `keep`: a
    guest whose kernel only complained is left running. `note` shows a line of progress, `show`
    the explanation on one screen.
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
