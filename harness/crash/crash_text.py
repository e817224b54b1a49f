# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Format a crash for people, and write it into its folder: terminal screen, bug mail and JSON.

docs/panic.md shows the screen and the mail. This module analyses nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import hints
from harness.host import cache, whole_file
from harness.memory import vmcore
from harness.model.crash import Crash
from harness.panic import taint
from harness.panic.causes import main_report
from harness.panic.values import Frame, KernelReport

MARKDOWN = "report.md"
SCREEN = "screen.txt"
VALUES = "crash.json"
_MOST_FRAMES = 12
_MOST_MEMORY = 14
_MOST_NOTES = 3
_SCREEN_LAST_LINES = 5
_RULE = "-" * 78


def screen(crash: Crash) -> tuple[str, ...]:
    """Return about 60 lines on a crash: what failed, where and when, last lines, next steps."""
    lines = [_RULE, f"crash {crash.number}: {crash.title}  (explained in {crash.explained_s} s)"]
    lines += _rows("where", _where(crash))
    lines += _rows("", crash.source)
    lines += _rows("test", [crash.test or "none: the crash happened between tests"])
    own, later = _own_and_later(crash)
    main = own[0] if own else None
    lines += _rows("task", [_task(main)] if main is not None and main.task else [])
    lines += _rows("tainted", [_taint(main)] if main is not None and main.taint else [])
    lines += _rows("blame", [f"{crash.blame.value}: {crash.blame_why}"])
    lines += _rows("stack", stack_lines(main)[:_MOST_FRAMES] if main is not None else [])
    lines += _rows("then", [one.title for one in own[1:]][:4])
    lines += _rows("later", [f"{one.title}, in the test {one.test}" for one in later][:4])
    lines += _rows("before", crash.last_lines[-_SCREEN_LAST_LINES:])
    lines += _rows("seen by", [_seen(crash)])
    lines += _rows("memory", crash.memory[:_MOST_MEMORY])
    lines += _rows("note", crash.notes[:_MOST_NOTES])
    lines += _rows("files", [str(crash.folder)])
    run = crash.folder.parents[1].name
    lines += _rows("vmcore", [crash.vmcore_note] if crash.vmcore_note else [])
    shell = hints.command("vmcore-open", run, "--crash", str(crash.number))
    # The note comes with the end of the dump, which begins after the screen was shown.
    lines += _rows("open it", [shell] if crash.vmcore or not crash.vmcore_note else [])
    lines += _rows("again", [crash.reproduce] if crash.reproduce else [])
    return (*lines, f"signature {crash.signature}", _RULE)


def _own_and_later(crash: Crash) -> tuple[list[KernelReport], list[KernelReport]]:
    """Return the reports of this crash, and those of tests that came later, each in their order.

    The report that names the crash comes first: a hung task can be reported before its cause.
    A kernel that survives a fault can report the next test's fault before its guest is replaced.
    """
    later = [one for one in crash.reports if crash.is_of_later_test(one)]
    own = [one for one in crash.reports if one not in later]
    main = main_report(own)
    return sorted(own, key=lambda one: one is not main), later


def _rows(name: str, texts: "tuple[str, ...] | list[str]") -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f"  {name if number == 0 else '':8} {text}".rstrip()


def _where(crash: Crash) -> list[str]:
    if not crash.function:
        return []
    module = f" [{crash.module}]" if crash.module else ""
    place = f" at {crash.place}" if crash.place else ""
    return [f"{crash.function}{module}{place}"]


def _task(report: KernelReport) -> str:
    cpu = f", CPU {report.cpu}" if report.cpu is not None else ""
    pid = f" (pid {report.pid})" if report.pid is not None else ""
    return f"{report.task}{pid}{cpu}"


def _taint(report: KernelReport) -> str:
    return "; ".join(taint.meanings(report.taint)) or report.taint


def _seen(crash: Crash) -> str:
    seen = [f"{one.name} after {one.after_s:.1f} s: {one.words}" for one in crash.witnesses[:4]]
    return "; ".join(seen) or crash.cause.value


def stack_lines(report: KernelReport) -> list[str]:
    """Return the stack of a report as text, one frame a line: function, file:line, module.

    Unreliable frames of the kernel itself are left out, unless the stack has no others.
    """
    own = next((one.frames for one in report.stacks if not one.name), report.frames)
    return [_frame(frame) for frame in own if frame.reliable or frame.module] or [
        _frame(frame) for frame in own
    ]


def _frame(frame: Frame) -> str:
    offset = f"+{frame.offset:#x}/{frame.size:#x}" if frame.size and not frame.place else ""
    place = f" ({frame.place})" if frame.place else ""
    module = f" [{frame.module}]" if frame.module else ""
    inline = " inline" if frame.inline else " inferred" if frame.inferred else ""
    return f"{'' if frame.reliable else '? '}{frame.function}{offset}{place}{module}{inline}"


def markdown(crash: Crash, facts: dict[str, str]) -> str:
    """Return a crash as Markdown for a bug mail: subject, source, report, facts, reproduction.

    `facts` are further texts for the mail, by name.
    """
    parts = [f"# {crash.title}", _lead(crash)]
    if crash.source:
        parts.append(_fenced(crash.source, "c"))
    own, later = _own_and_later(crash)
    for number, report in enumerate(own):
        head = "What the kernel said" if number == 0 else f"Then: {report.title}"
        parts += [f"## {head}", _fenced(decoded(report))]
    for report in later:
        head = f"Not of this crash, in the test {report.test}: {report.title}"
        parts += [f"## {head}", _fenced(decoded(report))]
    if crash.last_lines:
        parts += ["## Before it", _fenced(crash.last_lines)]
    if crash.memory:
        parts += ["## In its memory", _fenced(crash.memory)]
    parts += ["## Where and how", _facts(crash, facts)]
    return "\n\n".join(parts) + "\n"


def _lead(crash: Crash) -> str:
    rows = [("in", " ".join(_where(crash))), ("during", crash.test or "no test")]
    rows += [("blame", f"{crash.blame.value}: {crash.blame_why}"), ("seen by", _seen(crash))]
    main = next(iter(_own_and_later(crash)[0]), None)
    rows += [("tainted", _taint(main) if main is not None else "")]
    rows += [("signature", f"`{crash.signature}`")]
    return "\n".join(f"- {name}: {text}" for name, text in rows if text)


def _fenced(lines: "tuple[str, ...] | list[str]", language: str = "") -> str:
    return "\n".join((f"```{language}", *lines, "```"))


def _facts(crash: Crash, facts: dict[str, str]) -> str:
    rows = [f"- {name}: {text}" for name, text in facts.items()]
    rows += [f"- note: {note}" for note in crash.notes]
    rows += [f"- vmcore: {crash.vmcore or 'none'} ({crash.vmcore_note})"]
    rows += [f"- to repeat it: `{crash.reproduce}`"] if crash.reproduce else []
    return "\n".join(rows)


def decoded(report: KernelReport) -> tuple[str, ...]:
    """Return a report's text in which each resolved frame is followed by its file and line."""
    known = {
        (frame.function, frame.offset): frame.place
        for frame in report.frames
        if frame.place and not frame.inline
    }
    return tuple(_with_place(line, known) for line in report.text)


def _with_place(line: str, known: dict[tuple[str, int], str]) -> str:
    for (function, offset), place in known.items():
        mark = f"{function}+{offset:#x}/"
        if mark in line and place not in line:
            return f"{line} ({place})"
    return line


def write(crash: Crash, facts: dict[str, str]) -> None:
    """Write the files that describe a crash into its folder: bug mail, terminal screen and JSON.

    `facts` are further texts for the mail, by name.
    Raises: Lost when the disk is full.
    """
    with cache.room(crash.folder):
        (crash.folder / MARKDOWN).write_text(markdown(crash, facts), errors="backslashreplace")
        text = "\n".join(screen(crash)) + "\n"
        (crash.folder / SCREEN).write_text(text, errors="backslashreplace")
        plain: Any = asdict(crash)
        (crash.folder / VALUES).write_text(json.dumps(plain, indent=1, default=_value) + "\n")


def record_removal(folder: Path) -> None:
    """Change a crash's files after its memory dump was removed: each then says why it has none."""
    why = vmcore.why_missing(folder).partition("\n")[0]
    texts = ((MARKDOWN, "- vmcore: ", f"none ({why})"), (SCREEN, "  vmcore   ", f"none: {why}"))
    for name, begin, words in texts:
        if (folder / name).is_file():
            lines = (folder / name).read_text().splitlines()
            kept = (one for one in lines if not one.startswith("  open it "))
            changed = (begin + words if one.startswith(begin) else one for one in kept)
            whole_file.write(folder / name, "\n".join((*changed, "")))
    if (folder / VALUES).is_file():
        values = json.loads((folder / VALUES).read_text())
        values |= {"vmcore": "", "vmcore_note": f"none: {why}"}
        whole_file.write(folder / VALUES, json.dumps(values, indent=1) + "\n")


def _value(item: Any) -> Any:
    return str(item) if isinstance(item, Path) else item.value
