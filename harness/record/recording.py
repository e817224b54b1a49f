# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording: the machine that can be recorded and replayed, and what its folder says of it.

One folder is all that a replay needs beside the very same QEMU: kernel, initrd, the log of what
came from outside, saved states, the modules. record.json binds them together. QEMU's side is
described in its docs/system/replay.rst.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.host import whole_file

RECORD = "record.json"
EVENTS = "replay.bin"
STATES = "snapshots.qcow2"
KERNEL = "vmlinuz"
INITRD = "initrd"
CONSOLE = "console.log"
# Names of saved states: before the first instruction, and just before the module is loaded.
AT_START = "start"
AT_LOAD = "load"
# An instruction takes 8 ns of the guest's time, and a guest that has nothing to do does not wait:
# the time of its next timer comes at once. With shift=auto a sleep of 10 s took 100.
_CLOCK = "shift=3,sleep=off"
# No KASLR, so that addresses are those of the files; any oops ends the recording. A panic prints
# before it restarts only when it waits, and a replay needs that; see replay_script.
_CMDLINE = (
    "console=ttyS0,115200 nokaslr oops=panic panic=1 printk.devkmsg=on ignore_loglevel "
    "rdinit=/init"
)


class Mode(Enum):
    """What QEMU does with the log of events."""

    RECORD = "record"
    REPLAY = "replay"


class Ending(Enum):
    """How a recording ended."""

    FINISHED = "finished"
    PANIC = "panic"
    REFUSED = "module refused"
    GONE = "switched off or restarted itself"
    DEADLINE = "still running at the deadline"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The one machine of a recording; a replay that differs in anything goes wrong."""

    memory_mib: int
    extra_cmdline: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The instruction at which the first report came about, as function+offset/size."""

    function: str
    offset: int
    size: int
    module: str


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What record.json holds. `module` is the kernel's name of the module that was loaded.

    `sections` are its addresses, {} when its init did not return. `status` is the command's,
    None when it did not end. `states` are those that a replay can begin with. `instructions` is
    how far a replay goes of a guest that was ended at its deadline, 0 for others. `digests` are
    SHA-256 of the files that a replay reads, by name.
    """

    run_id: str
    command: str
    module: str
    kernel: str
    kernel_version: str
    qemu: str
    command_line: tuple[str, ...]
    machine: Machine
    ending: Ending
    status: int | None
    fault: Fault | None
    sections: dict[str, int]
    states: tuple[str, ...]
    instructions: int
    digests: dict[str, str]


_ADAPTER = TypeAdapter(Recording)


def write(recording: Recording, folder: Path) -> None:
    """Write record.json, whole or not at all."""
    data = {**asdict(recording), "ending": recording.ending.value}
    whole_file.write(folder / RECORD, json.dumps(data, indent=1) + "\n")


def read(folder: Path) -> Recording:
    """Return the recording of a run's folder.

    Raises: UsageError when the folder holds none, or one that cannot be understood.
    """
    try:
        return _ADAPTER.validate_json((folder / RECORD).read_bytes())
    except OSError as error:
        raise UsageError(
            f"{folder.name} is no recording: it has no {RECORD}",
            hint='invoke record "COMMAND" makes one',
        ) from error
    except ValidationError as error:
        raise UsageError(
            f"{folder / RECORD} is not what a recording leaves",
            evidence=str(error).splitlines()[:5],
        ) from error


def arguments(
    machine: Machine,
    mode: Mode,
    *,
    files: Mapping[str, Path],
    state: str,
    control: Mapping[str, Path],
) -> list[str]:
    """Return QEMU's arguments for recording or replaying a machine.

    `files` are its files by their names in a recording's folder; `state` is the saved state that
    is written at the start, or begun with. `control` may hold sockets: "qmp" and, for a replay
    that waits for a debugger, "gdb".
    """
    clock = f"{_CLOCK},rr={mode.value},rrfile={_option(files[EVENTS])},rrsnapshot={state}"
    found = [
        *("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1"),
        *("-m", str(machine.memory_mib), "-no-user-config", "-nodefaults"),
        *("-display", "none", "-net", "none", "-no-reboot"),
        # kvmvapic's reset waits for the CPU's thread, and that for a lock which whoever restores
        # a state holds: with it, going backwards hangs (QEMU 7.2, hw/i386/kvmvapic.c).
        *("-global", "apic-common.vapic=off"),
        *("-kernel", str(files[KERNEL]), "-initrd", str(files[INITRD])),
        *("-append", f"{_CMDLINE} {machine.extra_cmdline}".strip()),
        *("-chardev", f"file,id=console,path={_option(files[CONSOLE])}"),
        *("-serial", "chardev:console"),
        *("-drive", f"file={_option(files[STATES])},if=none,id=states,format=qcow2"),
        *("-icount", clock),
    ]
    if "qmp" in control:
        found += ["-qmp", f"unix:{_option(control['qmp'])},server=on,wait=off"]
    if "gdb" in control:
        # At its end it stays for the debugger, which would lose it otherwise.
        found += ["-S", "-no-shutdown"]
        found += ["-gdb", f"unix:{_option(control['gdb'])},server=on,wait=off"]
    return found


def _option(path: Path) -> str:
    """Return a path as a QEMU option value: its commas doubled."""
    return str(path).replace(",", ",,")
