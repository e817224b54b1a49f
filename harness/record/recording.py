# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values of a recording: its machine, its record.json, and QEMU's arguments for it.

A replay needs only the recording's folder and the same version of QEMU. The folder contains the
kernel, the initrd, the log of external events, the saved states and the modules; record.json
describes them. QEMU documents its part in docs/system/replay.rst.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness import hints
from harness.errors import UsageError
from harness.host import whole_file

RECORD = "record.json"
EVENTS = "replay.bin"
STATES = "snapshots.qcow2"
KERNEL = "vmlinuz"
INITRD = "initrd"
CONSOLE = "console.log"
# Names of the saved states: before the first instruction, and just before the module is loaded.
AT_START = "start"
AT_LOAD = "load"
# shift=3: one instruction takes 8 ns of the guest's time. sleep=off: an idle guest does not wait
# for its next timer, its clock jumps there. With shift=auto a sleep of 10 s took 100 s.
_CLOCK = "shift=3,sleep=off"
# nokaslr makes addresses equal to those in the files. panic_on_oops ends the recording at any
# oops. A kernel that panics prints everything before its restart only if it waits for a while
# (panic=), and a replay must reach that point; see gdb_script.
_CMDLINE = (
    "console=ttyS0,115200 nokaslr oops=panic panic=1 printk.devkmsg=on ignore_loglevel "
    "rdinit=/init"
)


class Mode(Enum):
    """Whether QEMU writes the log of external events (record) or reads it (replay)."""

    RECORD = "record"
    REPLAY = "replay"


class Ending(Enum):
    """How the guest of a recording ended: by itself, or at the deadline.

    By itself, it finished its command, panicked, refused the module, or switched off or restarted
    before the command had ended.
    """

    FINISHED = "finished"
    PANIC = "panic"
    REFUSED = "module refused"
    GONE = "switched off or restarted itself"
    DEADLINE = "still running at the deadline"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine of a recording: its memory, and what is added to the kernel's command line.

    A replay must use exactly the same one.
    """

    memory_mib: int
    extra_cmdline: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The failing instruction that a kernel report names, as function+offset/size.

    `module` is "" for a function of the kernel itself.
    """

    function: str
    offset: int
    size: int
    module: str


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The content of record.json.

    `module` is the kernel's name of the loaded module. `sections` are the addresses of the
    module's sections by name, {} when they were not printed, because the kernel refused the module
    or the guest ended before. `fault` is the failing instruction, None when no report names one.
    `status` is the command's exit status, or insmod's when the kernel refused the module; None
    when neither ended. `states` are the saved states from which a replay can begin. `instructions`
    is 0 for a guest that ended by itself. For a guest that the harness ended at the deadline, it
    is the number of instructions that a replay can execute. `digests` are the SHA-256 of the files
    that a replay reads, by name.
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
    """Write record.json into a recording's folder, atomically."""
    data = {**asdict(recording), "ending": recording.ending.value}
    whole_file.write(folder / RECORD, json.dumps(data, indent=1) + "\n")


def read(folder: Path) -> Recording:
    """Return the recording in a run's folder.

    Raises: UsageError when the folder contains no record.json, or an invalid one.
    """
    try:
        return _ADAPTER.validate_json((folder / RECORD).read_bytes())
    except OSError as error:
        raise UsageError(
            f"{folder.name} is no recording: it has no {RECORD}",
            hint=f"{hints.command('record', 'COMMAND')} makes one",
        ) from error
    except ValidationError as error:
        raise UsageError(
            f"{folder / RECORD} is not a valid record of a recording",
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

    `files` are the machine's files by their names in a recording's folder. `state` is the saved
    state that a recording writes at its start, or with which a replay begins. `control` may
    contain sockets: "qmp", and "gdb" for a replay that waits for a debugger.
    """
    clock = f"{_CLOCK},rr={mode.value},rrfile={_option(files[EVENTS])},rrsnapshot={state}"
    found = [
        *("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1"),
        *("-m", str(machine.memory_mib), "-no-user-config", "-nodefaults"),
        *("-display", "none", "-net", "none", "-no-reboot"),
        # With kvmvapic, going backwards hangs in QEMU 7.2 (hw/i386/kvmvapic.c): its reset waits
        # for the CPU's thread, which waits for a lock of the thread that restores a state.
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
        # QEMU does not exit at the end of the replay, so that the debugger stays connected.
        found += ["-S", "-no-shutdown"]
        found += ["-gdb", f"unix:{_option(control['gdb'])},server=on,wait=off"]
    return found


def _option(path: Path) -> str:
    """Return a path as a QEMU option value, in which commas are doubled."""
    return str(path).replace(",", ",,")
