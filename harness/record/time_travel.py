# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Replay a recording under gdb, which can then go back in the guest's time.

read and check the recording -> start QEMU in replay, stopped -> gdb

The recording itself is not changed: gdb's commands save states, so a replay uses a copy.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness import hints
from harness.artefacts import kernel_symbols, requested
from harness.errors import HypervisorError, UsageError
from harness.guest import registry
from harness.host import cache, foreground, programs
from harness.model.environment import Environment
from harness.record import gdb_script, qemu_process, record_run, recording
from harness.record.gdb_script import ReplayFiles
from harness.record.recording import Mode, Recording

_STUB_S = 30.0
_POLL_S = 0.05
_TMP = ".replay"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A recording that is being replayed, stopped at the state from which it begins.

    `stub` is the gdb stub's UNIX socket. `console` is the file with this replay's console. `state`
    is the saved state from which the replay began.
    """

    recording: Recording
    run: Path
    stub: Path
    console: Path
    state: str
    qemu: qemu_process.RunningQemu


@contextmanager
def replaying(run: Path, *, runtime: Path, from_boot: bool = False) -> Iterator[Replay]:
    """Replay a recording while the block runs, stopped at the state from which it begins.

    A replay begins at the state that was saved just before the module was loaded. With
    `from_boot`, or if no state was saved, it begins at the guest's first instruction. The
    temporary copies are removed after the block.
    Raises: UsageError when the folder is no recording, is damaged, or was made by another QEMU,
    and when this host's QEMU cannot replay; HypervisorError when QEMU does not replay it; Lost
    when the disk is full.
    """
    found = recording.read(run)
    recorder = qemu_process.recorder(arch="x86_64", accel=None)
    _check(found, run, recorder)
    later = recording.AT_LOAD in found.states and not from_boot
    state = recording.AT_LOAD if later else recording.AT_START
    with _copy(run) as files, registry.hold_folder(runtime, "replay") as place:
        stub, qmp = place / "gdb", place / "qmp"
        line = recording.arguments(
            found.machine, Mode.REPLAY, files=files, state=state, control={"gdb": stub, "qmp": qmp}
        )
        log = place / "qemu.log"
        with qemu_process.start_qemu(recorder, line, log=log, qmp=qmp) as qemu:
            _await_stub(qemu, stub)
            yield Replay(
                recording=found,
                run=run,
                stub=stub,
                console=files[recording.CONSOLE],
                state=state,
                qemu=qemu,
            )


def debug(
    run: Path, environment: Environment, *, commands: tuple[str, ...], from_boot: bool
) -> int:
    """Open gdb on a recording, or run gdb commands on it; return gdb's exit code.

    Raises: the errors of `replaying`; UsageError when gdb, the kernel's vmlinux or the module is
        missing.
    """
    gdb = programs.find("gdb", error=UsageError)
    found = recording.read(run)
    symbols = kernel_symbols.find_release(found.kernel, found.kernel_version, environment.cache)
    if symbols is None:
        raise UsageError(
            f"there is no vmlinux of {found.kernel} ({found.kernel_version})",
            hint=f"{hints.command('kernel-symbols')} fetches it, "
            "with the --target or --kernel of the run",
        )
    module = next(iter((run / requested.MODULES).glob("*.ko")), None)
    if module is None:
        raise UsageError(f"{run.name} has no module: {requested.MODULES}/ is empty")
    with replaying(run, runtime=environment.runtime, from_boot=from_boot) as replay:
        files = ReplayFiles(socket=replay.stub, vmlinux=symbols.vmlinux, module=module)
        script = replay.stub.with_name("gdb.commands")
        script.write_text(gdb_script.text(found, files))
        line = [gdb, "-q", "-x", str(script)]
        if commands:
            # -nx: a command's output must not depend on the user's .gdbinit.
            line += ["-nx", "-batch", *(word for one in commands for word in ("-ex", one))]
        return foreground.run(line)


def _check(found: Recording, run: Path, recorder: qemu_process.Recorder) -> None:
    """Raise UsageError if QEMU has another version than the recording, or a file has changed.

    `recorder` is this host's QEMU.
    """
    if found.qemu != recorder.version:
        raise UsageError(
            f"{run.name} was recorded by QEMU {found.qemu}, but this host has {recorder.version}",
            hint="only the same version can replay it: record it again",
        )
    now = record_run.digests(run)
    for name, digest in found.digests.items():
        if now.get(name) != digest:
            word = "has changed since it was recorded" if now.get(name) else "is missing"
            raise UsageError(f"{name} of {run.name} {word}", hint="record it again")


@contextmanager
def _copy(run: Path) -> Iterator[dict[str, Path]]:
    """Give the paths of the files of a replay by name, for the duration of the block.

    Events, kernel and initrd are those of the recording. The saved states are a temporary copy.
    The console is a temporary file into which the replay writes; it does not exist at first.
    Raises: Lost when the disk is full.
    """
    _sweep(run)
    own = run / f"{_TMP}.{os.getpid()}.tmp"
    with cache.room(run):
        own.mkdir()
        try:
            shutil.copyfile(run / recording.STATES, own / recording.STATES)
            yield {
                recording.EVENTS: run / recording.EVENTS,
                recording.KERNEL: run / recording.KERNEL,
                recording.INITRD: run / recording.INITRD,
                recording.STATES: own / recording.STATES,
                recording.CONSOLE: own / recording.CONSOLE,
            }
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _sweep(run: Path) -> None:
    """Remove the temporary copies that killed replays have left."""
    for stale in run.glob(f"{_TMP}.*.tmp"):
        if not psutil.pid_exists(int(stale.name.split(".")[-2])):
            shutil.rmtree(stale, ignore_errors=True)


def _await_stub(qemu: qemu_process.RunningQemu, stub: Path) -> None:
    end = time.monotonic() + _STUB_S
    while not stub.exists():
        if not qemu.alive or time.monotonic() > end:
            raise HypervisorError("QEMU could not start the replay", evidence=qemu.words())
        time.sleep(_POLL_S)
