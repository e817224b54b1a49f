# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Panic texts of macOS: the twin of `scan`, for what xnu prints when it stops.

Read from the formats of xnu's osfmk/kern/debug.c and its machine-dependent neighbours, on the
serial line and in the files that macOS keeps (.panic is the text, .ips wraps it into JSON). No
Mac has run this project yet; the parser has met published logs and texts made from those formats.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.panic.lines import clean
from harness.panic.values import Frame, KernelReport, Stack

_PANIC = re.compile(r"^panic\(cpu (?P<cpu>\d+) caller (?:0x)?[0-9a-fA-F]+\): (?P<what>.*)")
_DEBUGGER = re.compile(r"^Debugger: Unexpected kernel trap number: (?P<what>.*)")
# x86: '0xffffffb0 : 0xffffff80 mach_kernel : _function + 0x1c', names only with keepsyms=1.
_FRAME = re.compile(
    r"^\s*(?:0x[0-9a-f]+) : (?P<address>0x[0-9a-f]+)"
    r"(?: (?P<image>[\w.]+) : (?P<function>[\w.$]+)(?: \+ (?P<offset>0x[0-9a-f]+))?)?"
)
_ARM_FRAME = re.compile(r"^\s*lr: (?P<address>0x[0-9a-f]+)\s+fp: 0x[0-9a-f]+")
_KEXT = re.compile(
    r"^\s*(?P<name>[\w.-]+)\([^)]*\)\[(?P<uuid>[0-9A-Fa-f-]+)\]@(?P<start>0x[0-9a-f]+)->(?P<end>0x[0-9a-f]+)"
)
_PROCESS = re.compile(
    r"^(?:Process name corresponding to current thread.*?: |"
    r"Panicked task .*?: pid (?P<pid>\d+): )(?P<task>.+?)\s*$"
)
_REGISTER = re.compile(
    r"\b([A-Z][A-Z0-9]{1,2}|x\d{1,2}|fp|lr|sp|pc|cpsr|esr|far): *0x([0-9a-f]{8,16})\b"
)
_FACTS = (
    ("kernel", re.compile(r"^(Darwin Kernel Version .*)")),
    ("kernel-uuid", re.compile(r"^Kernel UUID: ([0-9A-F-]+)")),
    ("kernelcache-slide", re.compile(r"^KernelCache slide: +(0x[0-9a-f]+)")),
    ("kernelcache-base", re.compile(r"^KernelCache base: +(0x[0-9a-f]+)")),
    ("kernel-slide", re.compile(r"^Kernel slide: +(0x[0-9a-f]+)")),
    ("kernel-text-base", re.compile(r"^Kernel text (?:exec )?base: +(0x[0-9a-f]+)")),
    ("kernel-text-slide", re.compile(r"^Kernel text exec slide: +(0x[0-9a-f]+)")),
    ("last-started-kext", re.compile(r"^last (?:started|loaded) kext at \d+: (\S+)")),
)
# Below these stands who panicked or trapped.
_PLUMBING = re.compile(
    r"^_*(?:handle_debugger_trap|kdp_|sync_iss|iss_|kernel_trap|trap_from_kernel|return_from_trap|DebuggerTrap|"
    r"panic|Debugger|assfail|Assert|sleh_|fleh_|handle_kernel|arm_|mem(?:cpy|set|move)|bzero|bcopy|"
    r"lck_|zone_|zalloc_|kalloc_(?:type|zone)|lock_|hw_lock|usimple_|mach_call)"
)
_MOST_LINES = 400
_MOST_TITLE = 120
_KERNEL = "mach_kernel"


@dataclass(frozen=True, kw_only=True)
class _Kext:
    """One kernel extension that the panic text places in memory."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one frame of a stack lies: its address, and how far into which kext that is."""

    address: int
    kext: str = ""
    offset: int = 0


def places(text: Sequence[str]) -> tuple[Place, ...]:
    """Return the place of each frame of a panic, in the order of its frames."""
    kexts = [kext for one in text if (kext := _kext(one)) is not None]
    found = [match for one in text if (match := _FRAME.match(one) or _ARM_FRAME.match(one))]
    return tuple(_place(int(match["address"], 16), kexts) for match in found)


def _place(address: int, kexts: Sequence[_Kext]) -> Place:
    home = next((kext for kext in kexts if kext.start <= address <= kext.end), None)
    if home is None:
        return Place(address=address)
    return Place(address=address, kext=home.name, offset=address - home.start)


def guilty(frames: Sequence[Frame]) -> Frame | None:
    """Return the innermost frame with a name that is not plumbing of the panic itself."""
    return next((one for one in frames if _nameable(one.function)), None)


def panic_string(text: str) -> str:
    """Return the panic text that a file holds: of an .ips its `panicString`, else the file as it is.

    A file that was cut off in the middle of the string gives what is there of it.
    """
    header, _, body = text.partition("\n")
    if not header.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(body)
    except ValueError:
        return _cut_string(body) or text
    string = found.get("panicString") if isinstance(found, dict) else None
    return string if isinstance(string, str) else text


_STRING = re.compile(r'"panicString"\s*:\s*"((?:[^"\\]|\\.)*)')


def _cut_string(body: str) -> str:
    found = _STRING.search(body)
    try:
        return str(json.loads(f'"{found[1]}"', strict=False)) if found is not None else ""
    except ValueError:
        return ""


def scan(lines: Iterable[str]) -> tuple[KernelReport, ...]:
    """Return every panic of a log of macOS."""
    found: list[KernelReport] = []
    begun = 0
    text: list[str] = []
    for number, raw in enumerate(lines):
        line = clean(raw)
        if _PANIC.match(line) or _DEBUGGER.match(line):
            if text:
                found.append(_report(text, begun))
            begun, text = number, [line]
        elif text and len(text) < _MOST_LINES:
            text.append(line)
    if text:
        found.append(_report(text, begun))
    return tuple(found)


def _report(text: Sequence[str], line: int) -> KernelReport:
    header = _PANIC.match(text[0]) or _DEBUGGER.match(text[0])
    groups = header.groupdict() if header is not None else {}
    kexts = [kext for one in text if (kext := _kext(one)) is not None]
    frames = tuple(frame for one in text if (frame := _frame(one, kexts)) is not None)
    named = guilty(frames)
    process = next((found for one in text if (found := _PROCESS.match(one))), None)
    title = _title(groups.get("what") or "")
    return KernelReport(
        kind="panic",
        title=(f"{title} in {named.function}" if named else title)[:_MOST_TITLE],
        line=line,
        text=tuple(text),
        fatal=True,
        function=named.function if named else "",
        module=(named.module if named else "") or _module(frames, kexts),
        task=process["task"] if process else "",
        pid=int(process["pid"]) if process and process["pid"] else None,
        cpu=int(groups["cpu"]) if groups.get("cpu") else None,
        registers=_registers(text),
        stacks=(Stack(name="", frames=frames),) if frames else (),
        facts=_facts(text),
    )


def _title(what: str) -> str:
    """Return what the panic says, without place and addresses."""
    text = what.strip().strip('"').split('"@')[0].split(" @")[0]
    text = re.sub(r"Kernel trap at 0x[0-9a-f]+, type", "Kernel trap type", text)
    text = re.sub(r", (?:registers|file): ?.*", "", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDR", text)
    return f"panic: {text}"


def _kext(line: str) -> _Kext | None:
    found = _KEXT.match(line)
    if found is None:
        return None
    return _Kext(name=found["name"], start=int(found["start"], 16), end=int(found["end"], 16))


def _frame(line: str, kexts: Sequence[_Kext]) -> Frame | None:
    """Return the frame of a line; one without a name is its address, with its offset in a kext."""
    found = _FRAME.match(line) or _ARM_FRAME.match(line)
    if found is None:
        return None
    groups = found.groupdict()
    if groups.get("function"):
        image = groups.get("image") or ""
        return Frame(
            function=groups["function"].removeprefix("_"),
            offset=int(groups["offset"], 16) if groups.get("offset") else 0,
            module="" if image == _KERNEL else image,
        )
    place = _place(int(found["address"], 16), kexts)
    return Frame(function=found["address"], offset=place.offset, module=place.kext)


def _nameable(function: str) -> bool:
    return not function.startswith("0x") and _PLUMBING.match(function) is None


def _module(frames: Sequence[Frame], kexts: Sequence[_Kext]) -> str:
    """Return the kext that a frame lies in, Apple's own last; without frames the first listed."""
    names = [frame.module for frame in frames if frame.module]
    names = names or [kext.name for kext in kexts if not frames]
    return next((name for name in names if not name.startswith("com.apple.")), "") or next(
        iter(names), ""
    )


def _registers(text: Sequence[str]) -> dict[str, str]:
    """Return the registers at the trap, by xnu's own names, in hex digits."""
    found: dict[str, str] = {}
    for line in text:
        if _FRAME.match(line) or _ARM_FRAME.match(line) or line.startswith("Backtrace"):
            break
        for name, value in _REGISTER.findall(line):
            found.setdefault(name, value)
    return found


def _facts(text: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text:
        for name, pattern in _FACTS:
            match = pattern.match(line)
            if match is not None:
                found.setdefault(name, match[1])
    return found
