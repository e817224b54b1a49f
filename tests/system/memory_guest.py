# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest with both builds of the driver loaded, and the symbols that explain its memory."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import kernel_symbols
from harness.guest.session import Session
from harness.host import config
from harness.memory.values import MemoryRequest
from harness.model.request import KernelTestRequest
from harness.report.live_view import PlainView
from harness.runs.kernel_test import load_guest
from harness.runs.loaded_guest import LoadedGuest
from harness.systems.linux import kmod
from tests.system.whole_run import ROOT

SETTINGS = config.load(ROOT / "pyproject.toml")
SOURCE = SETTINGS.module.source
LOOK_S = 60.0


@dataclass(frozen=True, kw_only=True)
class MemoryGuest:
    """The guest, and the kernel's symbols."""

    loaded: LoadedGuest
    vmlinux: Path

    @property
    def session(self) -> Session:
        """The session with the guest."""
        return self.loaded.session

    @property
    def modules(self) -> dict[str, Path]:
        """The files with debug information, by module."""
        return {
            "osq": self.loaded.build.debug,
            "osq_test": self.loaded.handoff.variants["test"].debug,
        }

    def request(self, task_comm: str) -> MemoryRequest:
        """Return a request for everything in the memory of the guest, which is paused."""
        return MemoryRequest(
            qmp=str(self.session.entry.folder / "qmp"),
            registers=self.session.domain.hmp("info registers -a"),
            vmlinux=str(self.vmlinux),
            modules={name: str(path) for name, path in self.modules.items()},
            plugin=str(SETTINGS.module.drgn),
            task_comm=task_comm,
        )


@contextmanager
def memory_guest() -> Iterator[MemoryGuest]:
    """Give the guest for memory tests, restored; its run's folder is removed at the end."""
    environment = config.environment()
    request = KernelTestRequest(
        settings=replace(SETTINGS, tests=()),
        environment=environment,
        target_name=None,
        run_id=f"memory-{time.time_ns():x}",
    )
    try:
        with load_guest(request, PlainView(verbose=False)) as loaded:
            live = loaded.session
            symbols = kernel_symbols.ensure(
                live.request.kernel, root=environment.cache, progress=lambda _: None
            )
            variant = SETTINGS.module.variant("test")
            kmod.load(live.guest, variant, deadline_s=live.deadline(10.0))
            yield MemoryGuest(loaded=loaded, vmlinux=symbols.vmlinux)
    finally:
        shutil.rmtree(request.runs / str(request.run_id), ignore_errors=True)
