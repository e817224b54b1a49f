# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the explanation of a bad end has to know of the guest, whoever brought the guest up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.session import Session
from harness.model.settings import VmcoreLimits


def _ignore(_shown: object) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A guest that came to a bad end, and where its evidence goes.

    `modules` are the files with symbols of the modules under test, by the names under which the
    kernel knows them. `roots` are the folders in which sources are looked for, the module's own
    first. `folder` gets the evidence of this end, `runs` holds all runs. `plugin` reads the
    module's state in drgn. `vmcores` bounds the dumps that all runs keep; None keeps no dump.
    `keep`: a guest whose kernel only complained is left running. `note` shows a line of progress,
    `show` the explanation on one screen.
    """

    session: Session
    modules: dict[str, Path]
    roots: tuple[Path, ...]
    folder: Path
    runs: Path
    plugin: Path | None = None
    vmcores: VmcoreLimits | None = None
    keep: bool = False
    note: Callable[[str], None] = _ignore
    show: Callable[[Sequence[str]], None] = _ignore
