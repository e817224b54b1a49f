# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Look up files and lines for the frames of a kernel's report, in the binaries that ran.

The kernel prints function+offset/size, so neither KASLR nor a module's load address matters: the
offset is looked up in the function of that name. A frame that does not fit the binary stays as the
kernel printed it, because no line is better than a wrong one.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import HarnessError, UsageError
from harness.panic import frames as text_frames
from harness.panic import guilty
from harness.panic.values import Frame, KernelReport, Stack
from harness.symbols import tail_calls
from harness.symbols.addr2line import LineFinder, SourcePoint
from harness.symbols.elf import Code, Symbol, SymbolTable
from harness.symbols.paths import shown_path, shown_place

# A function, an offset in it and its module.
_Spot = tuple[str, int, str]


def _spot(frame: Frame) -> _Spot:
    return frame.function, frame.offset, frame.module


class Symbolizer:
    """A context manager for looking up frames; its helper programs run until the block ends.

    `modules` are the modules with debug information by name. `roots` are the folders to which
    shown paths are relative. `notes` lists each problem once.
    """

    def __init__(
        self,
        modules: Mapping[str, Path],
        vmlinux: Path | None = None,
        *,
        roots: Sequence[Path] = (),
    ) -> None:
        self._files = {name.replace("-", "_"): path for name, path in modules.items()}
        if vmlinux is not None:
            self._files[""] = vmlinux
        self._roots = tuple(roots)
        self._symbols: dict[str, SymbolTable | None] = {}
        self._finders: dict[tuple[str, str], LineFinder] = {}
        self._codes: dict[tuple[str, str], Code] = {}
        self._notes: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        self._finders.clear()

    @property
    def notes(self) -> tuple[str, ...]:
        """The frames and symbol files that could not be used, each with the reason."""
        return tuple(self._notes)

    def report(self, report: KernelReport) -> KernelReport:
        """Return a report with file and line in its stacks' frames, and for the blamed function.

        Functions that tail calls hid are added to the stacks. Such a function may be blamed in
        place of its caller; `tail_calls.renamed` says when.
        """
        pointers = [one for one in text_frames.where(report.text) if not one.inline]
        at = {_spot(one) for one in pointers}
        hidden = [pair for stack in report.stacks for pair in self._hidden(stack.frames, at)]
        callees = {id(caller): frame for frame, caller in hidden}
        stacks = tuple(
            Stack(
                name=stack.name,
                frames=tuple(
                    found
                    for frame in stack.frames
                    for found in (
                        *((callees[id(frame)],) if id(frame) in callees else ()),
                        *self.frame(frame, at_address=_spot(frame) in at),
                    )
                ),
            )
            for stack in report.stacks
        )
        place = _best_place(shown_place(report.place, self._roots), _place_of(report, stacks))
        return tail_calls.renamed(replace(report, stacks=stacks, place=place), hidden)

    def _hidden(
        self, frames: Sequence[Frame], at: Container[_Spot]
    ) -> Iterator[tuple[Frame, Frame]]:
        """Yield a frame for each function that a tail call hid, and the frame that called it.

        `at` has the frames that are program counters, not return addresses. No call precedes a
        program counter, so these are skipped.
        """
        sure = [one for one in frames if one.reliable and not one.inline]
        for inner, caller in pairwise(sure):
            if _spot(caller) in at or tail_calls.is_entry(inner.function):
                continue
            try:
                found = self._hidden_by(inner, caller)
            except HarnessError as error:
                self._note(f"{self._shown(caller.module)}: {error.message}")
                continue
            if found is not None:
                yield found, caller

    def _hidden_by(self, inner: Frame, caller: Frame) -> Frame | None:
        symbol = self._symbol(caller) if caller.offset else None
        if symbol is None:
            return None
        code = self._code_of(caller.module, symbol.section)
        found = tail_calls.hidden(inner, symbol, caller.offset, code)
        if found is None:
            return None
        points: tuple[SourcePoint, ...] = ()
        if found.jump is not None:
            points = self._finder(caller.module, symbol.section).find(found.jump)
        module = caller.module if code.defines(found.function) else ""
        place = self._place(points[-1]) if points else ""
        return Frame(function=found.function, module=module, place=place, inferred=True)

    def _code_of(self, module: str, section: str) -> Code:
        table = self._table(module)
        if table is None:
            raise UsageError("has no symbols")
        if (module, section) not in self._codes:
            self._codes[module, section] = Code(self._files[module], section, table)
        return self._codes[module, section]

    def frame(self, frame: Frame, *, at_address: bool = False) -> tuple[Frame, ...]:
        """Return a frame with its place, preceded by the functions inlined there, innermost first.

        A return address belongs to the call before it; `at_address` is for the program counter,
        which is exact. A frame that is not found in the binary is returned unchanged.
        """
        if frame.inline or frame.place or not frame.function:
            return (frame,)
        try:
            points = self._points(frame, back=0 if at_address else 1)
        except HarnessError as error:
            self._note(f"{self._shown(frame.module)}: {error.message}")
            # After a failure, addr2line may answer the next question with the previous answer, so
            # it is started again.
            self._symbols[frame.module] = None
            return (frame,)
        if not points:
            return (frame,)
        inlined = tuple(
            Frame(
                function=point.function,
                module=frame.module,
                place=self._place(point),
                reliable=frame.reliable,
                inline=True,
            )
            for point in points[:-1]
        )
        return (*inlined, replace(frame, place=self._place(points[-1])))

    def _points(self, frame: Frame, *, back: int) -> tuple[SourcePoint, ...]:
        symbol = self._symbol(frame)
        if symbol is None:
            return ()
        finder = self._finder(frame.module, symbol.section)
        return finder.find(symbol.value + max(frame.offset - back, 0))

    def _symbol(self, frame: Frame) -> Symbol | None:
        """Return the symbol to which a frame of a report refers, None if it is not known for sure.

        It is not known without the binary, when several functions of that name have the same size,
        and when the frame is in data, which has no lines. If the binary has no function of that
        name, or none of that size, a note is added, too.
        """
        table = self._table(frame.module)
        if table is None:
            return None
        named = table.find(frame.function)
        if named and all(one.is_data for one in named):
            return None
        fitting = [one for one in named if not frame.size or one.fits(frame.size)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
        file = self._shown(frame.module)
        if named:
            self._note(
                f"{file} is another build than the one that ran: "
                f"{frame.function} has not {frame.size:#x} bytes in it"
            )
        else:
            self._note(f"{file} has no function {frame.function}")
        return None

    def _table(self, module: str) -> SymbolTable | None:
        if module not in self._symbols:
            path = self._files.get(module)
            if path is None:
                return None
            # A file that cannot be read is remembered as well, so that it is noted only once.
            self._symbols[module] = None
            if not path.is_file():
                self._note(f"{path} is not there")
            else:
                self._symbols[module] = SymbolTable(path)
        return self._symbols[module]

    def _finder(self, module: str, section: str) -> LineFinder:
        # A module is a relocatable file; vmlinux is linked, and its addresses are absolute.
        relative = section if module else ""
        key = (module, relative)
        if key not in self._finders:
            finder = LineFinder(self._files[module], relative)
            self._stack.callback(finder.close)
            self._finders[key] = finder
        return self._finders[key]

    def _shown(self, module: str) -> str:
        return f"{module}.ko" if module else "vmlinux"

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _place(self, point: SourcePoint) -> str:
        return f"{shown_path(point.file, self._roots)}:{point.line}"


def source_lines(place: str, roots: Sequence[Path], *, around: int = 2) -> tuple[str, ...]:
    """Return the source lines around FILE:LINE, numbered, with that line marked by '>'.

    FILE is relative to one of `roots`, and `around` is the number of lines on each side. The
    result is () when `place` has no line number, and when the file is in none of the roots, or is
    now shorter.
    """
    file, _, number = place.rpartition(":")
    path = next((root / file for root in roots if (root / file).is_file()), None)
    if path is None or not number.isdigit():
        return ()
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    guilty_line = int(number)
    if not 1 <= guilty_line <= len(text):
        return ()
    first = max(guilty_line - around, 1)
    last = min(guilty_line + around, len(text))
    width = len(str(last))
    return tuple(
        f"{'>' if at == guilty_line else ' '} {at:{width}} | {text[at - 1].expandtabs(8)}".rstrip()
        for at in range(first, last + 1)
    )


def _best_place(of_text: str, of_frame: str) -> str:
    """Return the place that the text gives, or that of the blamed frame where it gives none.

    The text may name the copy in which the file was compiled: UBSAN does. Debug information names
    the file itself, and its line is less exact.
    """
    file, _, line = of_text.rpartition(":")
    own = of_frame.rpartition(":")[0]
    if own and Path(file).name == Path(own).name:
        return f"{own}:{line}"
    return of_text or of_frame


def _place_of(report: KernelReport, stacks: Sequence[Stack]) -> str:
    """Return FILE:LINE in the function that the report blames, "" if no frame of it has a line.

    A reliable frame in the blamed module is preferred.
    """
    blamed = [
        frame
        for stack in stacks
        for frame in stack.frames
        if frame.place and not frame.inline and guilty.bare(frame.function) == report.function
    ]
    # Sorting keeps the order of equal elements, so this is the first of the best frames.
    blamed.sort(key=lambda frame: (frame.module != report.module, not frame.reliable))
    return blamed[0].place if blamed else ""
