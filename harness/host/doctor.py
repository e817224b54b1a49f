# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Report what this host can do for tests, what is missing, and how to install or fix it.

Nothing is changed. Each finding is one line; a second line has the command that helps.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from harness import hints
from harness.errors import Lost, UsageError
from harness.host import accelerator, apt, debuggers, programs, tool
from harness.host.debuggers import Debugger
from harness.model.settings import Accel

_NEEDED_DISK_MIB = 3000
_NEEDED_MEMORY_MIB = 1500
_VERSION_S = 30.0


class Level(Enum):
    """How much a finding about this host hinders tests.

    GOOD: nothing is wrong. SLOW: tests run, and are slow or lack something optional, such as a
    debugger. MISSING: tests cannot run.
    """

    GOOD = "ok"
    SLOW = "note"
    MISSING = "MISSING"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fact about this host; `cure` says how to fix it, "" when nothing is wrong."""

    level: Level
    what: str
    cure: str = ""


@dataclass(frozen=True, kw_only=True)
class _Tool:
    command: str
    purpose: str
    version: tuple[str, ...] = ("--version",)
    needed: bool = True


_TOOLS = (
    _Tool(command="qemu-system-x86_64", purpose="runs guests"),
    _Tool(command="qemu-img", purpose="makes guest disks"),
    _Tool(command="libvirtd", purpose="starts guests"),
    _Tool(command="mmdebstrap", purpose="makes guest images"),
    _Tool(command="mke2fs", purpose="makes file systems", version=("-V",)),
    _Tool(command="depmod", purpose="indexes a kernel's modules"),
    _Tool(command="ssh", purpose="shells in guests", version=("-V",)),
    _Tool(command="make", purpose="builds modules"),
    _Tool(command="gcc", purpose="builds modules"),
    _Tool(command="sparse", purpose="checks kernel C", needed=False),
)


def examine(cache: Path) -> tuple[Finding, ...]:
    """Return every finding about this host; `cache` is the folder for images and kernels."""
    return (*_machine(cache), *_accelerator(), *_bootstrap(), *map(_tool, _TOOLS), *_debuggers())


def usable(findings: tuple[Finding, ...]) -> bool:
    """Return whether tests can run on this host, according to the findings."""
    return all(finding.level is not Level.MISSING for finding in findings)


def lines(finding: Finding) -> tuple[str, ...]:
    """Return a finding as one line of text, or two if it has a cure."""
    head = f"{finding.level.value:8} {finding.what}"
    return (head, f"         -> {finding.cure}") if finding.cure else (head,)


def _debuggers() -> Iterator[Finding]:
    for kind in Debugger:
        try:
            program = debuggers.choose(kind.value)
        except UsageError as error:
            what = f"{kind.value}: not installed (debugs kernels)"
            yield Finding(level=Level.SLOW, what=what, cure=error.hint)
        else:
            what = f"{kind.value}: {program.path}, version {program.major}"
            yield Finding(level=Level.GOOD, what=what)


def _machine(cache: Path) -> Iterator[Finding]:
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free // 2**20
    enough = free >= _NEEDED_DISK_MIB
    yield Finding(
        level=Level.GOOD if enough else Level.MISSING,
        what=f"disk: {free} MiB free for {cache}",
        cure="" if enough else f"{_NEEDED_DISK_MIB} MiB are needed; HARNESS_CACHE moves the cache",
    )
    memory = psutil.virtual_memory().available // 2**20
    enough = memory >= _NEEDED_MEMORY_MIB
    yield Finding(
        level=Level.GOOD if enough else Level.MISSING,
        what=f"memory: {memory} MiB available, {os.cpu_count()} CPUs",
        cure="" if enough else f"{_NEEDED_MEMORY_MIB} MiB are needed for a guest",
    )


def _accelerator() -> Iterator[Finding]:
    accel, why = accelerator.usable_accel()
    fast = accel is Accel.KVM
    yield Finding(
        level=Level.GOOD if fast else Level.SLOW,
        what=f"accelerator: {accel.value}, since {why}",
        cure="" if fast else "guests are emulated, which is slow; deadlines are longer",
    )


def _bootstrap() -> Iterator[Finding]:
    try:
        # Any suite does: the sources are counted, and none is fetched.
        sources = apt.debian_sources("stable")
    except Lost as error:
        yield Finding(level=Level.MISSING, what=f"apt: {error.message}", cure=error.hint)
    else:
        yield Finding(level=Level.GOOD, what=f"apt: {len(sources)} Debian sources for images")
    if os.getuid() != 0:
        # mmdebstrap maps user ids with this program when root does not run it.
        able = shutil.which("newuidmap") is not None
        yield Finding(
            level=Level.GOOD if able else Level.MISSING,
            what=f"images without root: newuidmap is {'' if able else 'not '}installed",
            cure="" if able else "apt-get install uidmap",
        )


def _tool(wanted: _Tool) -> Finding:
    path = programs.located(wanted.command)
    if path is None:
        level = Level.MISSING if wanted.needed else Level.SLOW
        what = f"{wanted.command}: not installed ({wanted.purpose})"
        package = programs.package(wanted.command)
        return Finding(
            level=level, what=what, cure=f"apt-get install {package}, or {hints.command('setup')}"
        )
    version = tool.run([path, *wanted.version], deadline_s=_VERSION_S, error=Lost, check=False)
    shown = [line for line in version.lines if line.strip()]
    return Finding(level=Level.GOOD, what=f"{wanted.command}: {shown[0] if shown else path}")
