# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The operations on a system under test, and the modules that implement them for each system.

`Platform` works with a module in a guest, `Setup` prepares a system for modules.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.model.loaded_module import LoadedModule, ModuleEntry
from harness.model.requirement import CrashLog, Requirement
from harness.model.settings import ModuleBuild, ModuleSpec, System
from harness.systems.linux import kmod
from harness.systems.linux import setup as linux_setup
from harness.systems.macos import kextload
from harness.systems.macos import setup as macos_setup
from harness.systems.shell import Shell
from harness.systems.ssh import Guest


class Platform(Protocol):
    """The operations on a module in a guest, as linux.kmod and macos.kextload implement them.

    The docstrings are in those modules.
    """

    def prepare(self, guest: Guest, *, run_id: str, canary: str) -> None: ...

    def quiesce(self, guest: Guest, *, deadline_s: float) -> None: ...

    def mount_share(self, guest: Guest, *, writable: bool) -> None: ...

    def push_modules(
        self,
        guest: Guest,
        modules: Sequence[tuple[ModuleBuild, ModuleSpec]],
        *,
        deadline_s: float,
    ) -> None: ...

    def load(
        self,
        guest: Guest,
        spec: ModuleSpec,
        *,
        deadline_s: float,
        parameters: Mapping[str, str] | None = None,
    ) -> LoadedModule: ...

    def unload(
        self, guest: Guest, spec: ModuleSpec, *, deadline_s: float, attempts: int
    ) -> None: ...

    def is_loaded(self, guest: Guest, spec: ModuleSpec) -> bool: ...

    def holders(self, guest: Guest, spec: ModuleSpec) -> tuple[str, ...]: ...

    def mark(self, guest: Guest, text: str) -> None: ...

    def kernel_log(self, guest: Guest) -> tuple[str, ...]: ...

    def last_word(
        self, guest: Guest, token: str, *, allow: Sequence[str] = ()
    ) -> tuple[str, ...]: ...

    def parse_modules(self, text: str) -> dict[str, ModuleEntry]: ...

    def sections(self, guest: Guest, name: str) -> dict[str, int]: ...


class Setup(Protocol):
    """The operations that prepare a system for modules, as linux.setup and macos.setup have them.

    The docstrings are in those modules.
    """

    def requirements(self, shell: Shell, *, signed: bool) -> tuple[Requirement, ...]: ...

    def allow(self, shell: Shell, *, signed: bool) -> tuple[str, ...]: ...

    def disallow(self, shell: Shell) -> tuple[str, ...]: ...

    def configure_for_debug(self, shell: Shell, *, link: str) -> tuple[str, ...]: ...

    def unconfigure(self, shell: Shell) -> tuple[str, ...]: ...

    def not_in_force(self, shell: Shell, *, link: str) -> tuple[str, ...]: ...

    def boot_session(self, shell: Shell) -> str: ...

    def restart(self, shell: Shell) -> None: ...

    def panic_reports(self, shell: Shell) -> tuple[str, ...]: ...

    def crash_logs(self, shell: Shell, *, known: Sequence[str] = ()) -> tuple[CrashLog, ...]: ...


PLATFORMS: dict[System, Platform] = {System.LINUX: kmod, System.MACOS: kextload}
SETUPS: dict[System, Setup] = {System.LINUX: linux_setup, System.MACOS: macos_setup}
