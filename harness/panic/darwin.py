# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parse the panic texts of macOS, as `scan` parses the reports of Linux.

The formats come from xnu's osfmk/kern/debug.c and the machine-dependent files beside it. They
appear on the serial line and in files of macOS: a .panic file is the text, an .ips file wraps the
text in JSON. No Mac has run this project yet; the parser was tested with published logs and with
texts made from those formats.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.panic.intake.lines import clean, parse
from harness.panic.intake.normalise import Normaliser
from harness.panic.tables.function_lists import functions
from harness.panic.values import Frame, KernelReport, Stack

# First lines of a panic: osfmk/kern/debug.c since 10.4, and the trap handlers of i386 and PowerPC.
_HEADERS = (
    re.compile(r"^panic ?\(cpu (?P<cpu>\d+)(?: caller (?:0x)?[0-9a-fA-F]+)?\): ?(?P<what>.*)"),
    re.compile(r"^Debugger: Unexpected kernel trap number: (?P<what>.*)"),
    re.compile(r"^Unresolved kernel trap ?\(cpu (?P<cpu>\d+)\): (?P<what>.*)"),
)
# Each header contains one of these words, and nearly no other line does, so they are searched for
# first.
WORDS = ("panic(cpu ", "panic (cpu ", "Debugger: Unexpected kernel trap", "Unresolved kernel trap")
_HEX = r"0x[0-9a-fA-F]+"
# A frame on x86: '0xffffffb0 : 0xffffff80 mach_kernel : _function + 0x1c'; names need keepsyms=1.
_FRAME = re.compile(
    r"^\s*(?:" + _HEX + r") : (?P<address>" + _HEX + r")"
    r"(?: (?P<image>[\w.-]+) : (?P<function>[\w.$]+)(?: \+ (?P<offset>0x[0-9a-f]+))?)?"
)
_ARM_FRAME = re.compile(
    r"^\s*lr: (?P<address>"
    + _HEX
    + r")\s+fp: "
    + _HEX
    + r"(?:\s+(?P<image>[\w.-]+) : (?P<function>[\w.$]+)(?: \+ (?P<offset>0x[0-9a-f]+))?)?"
)
# A frame of a backtrace that atos, or kpdescribe of the kernel debug kit, has symbolized.
_DESCRIBED = re.compile(
    r"^\s*(?:(?P<address>"
    + _HEX
    + r")\s+){0,2}(?P<function>\S[^(]{0,200}(?:\([^()]{0,200}\)(?: const)?)?) \(in (?P<image>[\w.-]+)\)"
    r"(?: \+ (?P<offset>\d+|0x[0-9a-f]+)| \((?P<place>[^()\s]+:\d+)\))?"
)
# 'Backtrace:' is followed by bare addresses, several on a line.
_ADDRESSES = re.compile(r"^\s*(?:Backtrace:)?\s*(0x[0-9A-Fa-f]{8}(?:\s+0x[0-9A-Fa-f]{8})*)\s*$")
_KEXT = re.compile(
    r"^\s*(?P<name>[\w.-]+)\([^)]*\)(?:\[(?P<uuid>[0-9A-Fa-f-]+)\])?@(?P<start>"
    + _HEX
    + r")(?:->(?P<end>"
    + _HEX
    + r"))?"
)
_PROCESS = re.compile(
    r"^(?:(?:BSD process|Process) name corresponding to current thread.*?: |"
    r"Panicked task .*?: pid (?P<pid>\d+): )(?P<task>.+?)\s*$"
)
_REGISTER = re.compile(
    r"\b([A-Z][A-Z0-9]{1,4}|x\d{1,2}|fp|lr|sp|pc|cpsr|esr|far)[:=] *0x([0-9a-fA-F]{8,16})\b"
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
_MOST_LINES = 400
_MOST_TITLE = 120
_MOST_FRAMES = 200
# The panic's own header follows the trap handler's header within this number of lines.
_TRAP_LINES = 60
_KERNELS = re.compile(r"^(?:mach_kernel|kernel)(?:\.\w+)*$")
# PowerPC prints only the start address of a kext, so its size is assumed.
_LARGEST_KEXT = 0x1000000


@dataclass(frozen=True, kw_only=True)
class _Kext:
    """A kernel extension's name and address range, from the list of kexts in a macOS panic."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """An address in the backtrace of a macOS panic, with the kext that contains it and the offset.

    `kext` is "" for an address in no listed kext.
    """

    address: int
    kext: str = ""
    offset: int = 0


def places(text: Sequence[str]) -> tuple[Place, ...]:
    """Return the addresses in a macOS panic's backtrace with their kexts, innermost first."""
    kexts = [kext for one in text if (kext := _kext(one)) is not None]
    return tuple(place for _, place in _frames(text, kexts))


def _place(address: int, kexts: Sequence[_Kext]) -> Place:
    homes = [kext for kext in kexts if kext.start <= address <= kext.end]
    home = max(homes, key=lambda kext: kext.start, default=None)
    if home is None:
        return Place(address=address)
    return Place(address=address, kext=home.name, offset=address - home.start)


def guilty(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame that a macOS panic blames, None when no frame can be blamed.

    It is the innermost one that has a name and is not one of xnu's panic or trap functions.
    """
    return next((one for one in frames if _nameable(one.function)), None)


def header(text: str) -> re.Match[str] | None:
    """Return the match of a line that begins a panic of macOS, or None."""
    if not any(word in text for word in WORDS):
        return None
    text = text.lstrip()
    return next((match for one in _HEADERS if (match := one.match(text)) is not None), None)


class PanicScanner:
    """A scanner that gets a log's lines in order and returns each macOS panic once complete."""

    def __init__(self) -> None:
        self._index = -1
        self._begun = 0
        self._text: list[str] = []

    @property
    def idle(self) -> bool:
        """Whether no panic is being read, so that only a line that begins one matters next."""
        return not self._text

    def skip(self, count: int) -> None:
        """Count `count` lines as read; none of them may begin a panic."""
        self._index += count

    def feed(self, line: str) -> tuple[KernelReport, ...]:
        """Read the next line, and return the panic that ends before it, if any.

        A panic ends where the next one begins.
        """
        self._index += 1
        line = clean(line)
        kernel = parse(line)
        text = kernel.text if kernel is not None else line
        if header(text) is None:
            if self._text and len(self._text) < _MOST_LINES:
                self._text.append(text)
            return ()
        if self._text and self._text[0].startswith("Unresolved") and len(self._text) < _TRAP_LINES:
            self._text.append(text)
            return ()
        done = self.finish()
        self._begun, self._text = self._index, [text.lstrip()]
        return done

    def finish(self) -> tuple[KernelReport, ...]:
        """Return the panic that the end of the log ends, if any."""
        while self._text and not self._text[-1].strip():
            self._text.pop()
        done = (_report(self._text, self._begun),) if self._text else ()
        self._text = []
        return done


def scan(lines: Iterable[str]) -> tuple[KernelReport, ...]:
    """Return every panic in a log of macOS or in one of its panic files (.panic, .ips)."""
    scanner, normaliser = PanicScanner(), Normaliser()
    text = normaliser.block("\n".join(lines))
    found = [report for line in text.split("\n") for report in scanner.feed(line)]
    return tuple(
        replace(report, line=normaliser.source_line(report.line))
        for report in (*found, *scanner.finish())
    )


def _report(text: Sequence[str], line: int) -> KernelReport:
    begin = header(text[0])
    groups = begin.groupdict() if begin is not None else {}
    kexts = [kext for one in text if (kext := _kext(one)) is not None]
    frames = tuple(frame for frame, _ in _frames(text, kexts))
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
    """Return the title of a macOS panic from its message, without source places and addresses."""
    text = what.strip().strip('"').split('"@')[0].split(" @")[0]
    text = re.sub(r"Kernel trap at 0x[0-9a-f]+, type", "Kernel trap type", text)
    text = re.sub(r", (?:registers|file): ?.*", "", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDR", text)
    return f"panic: {text}"


def _kext(line: str) -> _Kext | None:
    found = _KEXT.match(line)
    if found is None:
        return None
    start = int(found["start"], 16)
    end = int(found["end"], 16) if found["end"] else start + _LARGEST_KEXT
    return _Kext(name=found["name"], start=start, end=end)


def _frames(text: Sequence[str], kexts: Sequence[_Kext]) -> list[tuple[Frame, Place]]:
    """Return the frames of a macOS panic's backtrace, each with its address and the kext there."""
    found: list[tuple[Frame, Place]] = []
    for line in text:
        if len(found) >= _MOST_FRAMES:
            break
        frame = _frame(line, kexts)
        if frame is not None:
            found.append(frame)
            continue
        bare = _ADDRESSES.match(line)
        if bare is not None:
            found += [_unnamed(address, kexts) for address in bare[1].split()]
    return found


def _frame(line: str, kexts: Sequence[_Kext]) -> tuple[Frame, Place] | None:
    """Return the stack frame in a line of a macOS panic, None for another line.

    A frame without a symbol is named by its address.
    """
    found = _FRAME.match(line) or _ARM_FRAME.match(line)
    found = found or (_DESCRIBED.match(line) if " (in " in line else None)
    if found is None:
        return None
    groups = found.groupdict()
    address = groups.get("address") or "0x0"
    if not groups.get("function"):
        return _unnamed(address, kexts)
    image = groups.get("image") or ""
    frame = Frame(
        function=groups["function"].removeprefix("_"),
        offset=int(groups["offset"], 0) if groups.get("offset") else 0,
        module="" if _KERNELS.match(image) else image,
        place=groups.get("place") or "",
    )
    return frame, _place(int(address, 16), kexts)


def _unnamed(address: str, kexts: Sequence[_Kext]) -> tuple[Frame, Place]:
    place = _place(int(address, 16), kexts)
    return Frame(function=address, offset=place.offset, module=place.kext), place


def _nameable(function: str) -> bool:
    plumbing = functions("macos plumbing").holds(function.lstrip("_"))
    return not (function.startswith("0x") or plumbing)


def _module(frames: Sequence[Frame], kexts: Sequence[_Kext]) -> str:
    """Return the kext that a macOS panic blames: the first on the stack, else in the kext list.

    Apple's kexts are left out, unless there are no others. Return "" when there are no kexts.
    """
    names = [frame.module for frame in frames if frame.module] + [kext.name for kext in kexts]
    others = (name for name in names if not name.startswith("com.apple."))
    return next(others, "") or next(iter(names), "")


def _registers(text: Sequence[str]) -> dict[str, str]:
    """Return the registers in a macOS panic as hex digits, by the names that xnu prints."""
    found: dict[str, str] = {}
    for line in text:
        if _FRAME.match(line) or _ARM_FRAME.match(line) or line.lstrip().startswith("Backtrace"):
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
