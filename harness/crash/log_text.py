# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Format the output of `panic-explain`: a text for people, and JSON for programs.

`log_documents` has the formats for other tools.
"""

import json
from dataclasses import asdict
from typing import Any

from harness.crash.explain_log import Explained
from harness.panic.signature import signature
from harness.panic.values import Frame, KernelReport


def to_json(found: Explained) -> str:
    """Return the reports of a log as JSON, each with its signature.

    The number of all reports, the log's dialects and the suspicious lines are in it, too.
    """
    return json.dumps(
        {
            "crashes": [_plain(report) for report in found.reports],
            "count": found.count,
            "dialects": [asdict(region) for region in found.dialects],
            "suspects": [asdict(suspect) for suspect in found.suspects],
        },
        indent=1,
    )


def _plain(report: KernelReport) -> dict[str, Any]:
    own = next((stack.frames for stack in report.stacks if not stack.name), ())
    return {
        **asdict(report),
        "signature": signature(report),
        "frames": [frame.function for frame in own],
    }


def to_lines(found: Explained) -> list[str]:
    """Return the reports of a log as text for people.

    Without a report, return the suspicious lines, or one line that says that nothing was found.
    """
    if found.suspects:
        return [
            "no report was found, but these lines have words of a crash:",
            *(f"   line {one.line + 1}: {one.text}" for one in found.suspects),
            "   a report is known by its first line, which must be there and unbroken",
        ]
    if not found.count:
        return ["nothing found: the log contains no report of a kernel fault"]
    numbers = {report.line: index for index, report in enumerate(found.reports, start=1)}
    lines = [
        line
        for index, report in enumerate(found.reports, start=1)
        for line in (*_block(index, report, numbers), "")
    ]
    more = found.count - len(found.reports)
    return [*lines, f"and {more} more reports"] if more > 0 else lines[:-1]


def _block(index: int, report: KernelReport, numbers: dict[int, int]) -> list[str]:
    place = f" ({report.place})" if report.place else ""
    module = f" [{report.module}]" if report.module else ""
    who = " ".join(
        part
        for part in (
            f"task {report.task}" if report.task else "",
            f"pid {report.pid}" if report.pid is not None else "",
            f"cpu {report.cpu}" if report.cpu is not None else "",
            f"taint {report.taint}" if report.taint else "",
        )
        if part
    )
    cause = numbers.get(report.follows) if report.follows is not None else None
    lines = [
        f"{index}. {report.title}",
        f"   line {report.line + 1}, signature {signature(report)}",
    ]
    if report.function or report.module:
        lines.append(f"   in {report.function or 'an unnamed function'}{module}{place}")
    if "inferred" in report.facts:
        lines.append(f"   {report.facts['inferred']}")
    lines += [f"   {who}"] if who else []
    if cause is not None:
        lines.append(f"   a consequence of {cause}")
    if report.fatal:
        lines.append("   the kernel stopped here")
    for stack in report.stacks:
        lines.append(f"   {stack.name or 'stack'}")
        lines += [f"     {_frame(frame)}" for frame in stack.frames]
    return lines


def _frame(frame: Frame) -> str:
    """Return a frame of a stack as text in the format of the kernel's decode_stacktrace.sh."""
    unsure = "" if frame.reliable else "? "
    offset = f"+{frame.offset:#x}" if frame.offset and not frame.place else ""
    place = f" ({frame.place})" if frame.place else ""
    module = f" {frame.module}" if frame.module else ""
    inline = " [inline]" if frame.inline else " [inferred]" if frame.inferred else ""
    return f"{unsure}{frame.function}{offset}{place}{module}{inline}"
