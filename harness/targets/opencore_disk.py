# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Edit a disk with OpenCore while its guest is off: raw or qcow2, with mtools.

The old config.plist stays beside the new one on the disk, and `undo` restores it. The disk is
replaced atomically.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Lost, UsageError
from harness.host import tool, whole_file
from harness.targets import opencore
from harness.targets.opencore import Settings

_STEP_S = 300.0
_SAVED = "EFI/OC/config.harness-saved.plist"
_SECTOR_BYTES = 512
# The first bytes of a qcow2 file: QEMU, docs/interop/qcow2.txt.
_QCOW2 = b"QFI\xfb"
# The type of an EFI system partition (UEFI specification, 5.3.3).
_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A raw copy of a disk with OpenCore, whose files are changed before `store` writes it back.

    `file` is the copy, `name` is mtools' name of the file system in it, and `form` is the format
    of the disk itself.
    """

    disk: Path
    form: str
    file: Path
    name: str

    def store(self) -> None:
        """Replace the disk atomically by this copy; the disk's format, mode and snapshots stay."""
        with whole_file.replacing(self.disk) as new:
            shutil.copy(self.disk, new)
            # Without -n the new disk would have none of the snapshots within the old one.
            options = ("-n", "-f", "raw", "-O", self.form)
            _run("qemu-img", "convert", *options, str(self.file), str(new))


def settings(disk: Path) -> Settings:
    """Return the settings of OpenCore on this disk.

    Raises: UsageError when the disk cannot be read or has no OpenCore.
    """
    with _copied(disk) as copy:
        return opencore.read(_get(copy.name, opencore.CONFIG))


def allow_kexts(disk: Path, *, debug: Sequence[str]) -> tuple[str, ...]:
    """Let unsigned kexts load in the guest of this disk, and return the changes as lines of text.

    `debug` are boot arguments to add. A disk that has the settings already is not written.
    Raises: UsageError when the disk cannot be read or written, or has no OpenCore.
    """
    with _copied(disk) as copy:
        data = _get(copy.name, opencore.CONFIG)
        before = opencore.read(data)
        wanted = opencore.for_kexts(before, debug=debug)
        if wanted == before:
            return (f"{disk.name} has it already: {_shown(before)}",)
        if not _has(copy.name, _SAVED):
            _write_file(copy.name, _SAVED, data)
        _write_file(copy.name, opencore.CONFIG, opencore.with_settings(data, wanted))
        copy.store()
    return (f"{disk.name}: {_shown(before)} -> {_shown(wanted)}; --undo takes it back",)


def undo(disk: Path) -> tuple[str, ...]:
    """Restore the config.plist from before `allow_kexts`, and return a description of that.

    A disk without an earlier config.plist is not written.
    Raises: UsageError when the disk cannot be read or written.
    """
    with _copied(disk) as copy:
        if not _has(copy.name, _SAVED):
            return (f"{disk.name}: nothing to take back",)
        data = _get(copy.name, _SAVED)
        _write_file(copy.name, opencore.CONFIG, data)
        _mtools(copy.name, "mdel", f"::/{_SAVED}")
        copy.store()
    return (f"{disk.name}: back to {_shown(opencore.read(data))}",)


def _shown(found: Settings) -> str:
    return f"csr-active-config {found.csr:#x}, boot-args '{found.boot_args}'"


@contextmanager
def _copied(disk: Path) -> Iterator[_Copy]:
    """Give a raw copy of a disk; the disk changes only when the caller stores the copy."""
    if not disk.is_file():
        raise UsageError(f"{disk}: no such disk", hint="opencore = ... in the target's file")
    with disk.open("rb") as stream:
        form = "qcow2" if stream.read(4) == _QCOW2 else "raw"
    with tempfile.TemporaryDirectory(prefix=".harness-", dir=disk.parent) as folder:
        file = Path(folder) / "disk.raw"
        _run("qemu-img", "convert", "-f", form, "-O", "raw", str(disk), str(file))
        # mtools reads a file system within a file as FILE@@OFFSET.
        name = f"{file}@@{_offset_bytes(file)}"
        yield _Copy(disk=disk, form=form, file=file, name=name)


def _offset_bytes(raw: Path) -> int:
    """Return the offset of the EFI system partition, or 0 for a disk without partitions."""
    command = ["partx", "--raw", "--noheadings", "--output", "START,TYPE", str(raw)]
    listed = tool.run(command, deadline_s=_STEP_S, error=UsageError, check=False)
    for line in listed.text.splitlines():
        start, _, kind = line.partition(" ")
        if kind.strip().lower() == _ESP:
            return int(start) * _SECTOR_BYTES
    return 0


def _has(raw: str, name: str) -> bool:
    command = ["mdir", "-b", "-i", raw, f"::/{name}"]
    return tool.run(command, deadline_s=_STEP_S, error=UsageError, check=False).status == 0


def _get(raw: str, name: str) -> bytes:
    return _mtools(raw, "mcopy", f"::/{name}", "-")


def _write_file(raw: str, name: str, data: bytes) -> None:
    _mtools(raw, "mcopy", "-o", "-", f"::/{name}", data=data)


def _mtools(raw: str, tool: str, *words: str, data: bytes = b"") -> bytes:
    return _run(tool, "-i", raw, *words, data=data)


def _run(*command: str, data: bytes = b"") -> bytes:
    within = tool.Surroundings(data=data)
    done = tool.run(command, deadline_s=_STEP_S, error=UsageError, check=False, within=within)
    if done.status is None:
        raise Lost(f"{command[0]} has not ended after {_STEP_S:.0f} s")
    if done.status != 0:
        raise UsageError(
            f"{command[0]} cannot do its part on this disk", evidence=done.lines[-10:]
        )
    return done.stdout
