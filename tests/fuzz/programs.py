# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The program under the fuzzer, and faulty copies of it that the fuzzer must detect."""

import contextlib
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.tasks import explain


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What `panic-explain` answers for a file: its exit code, and what it writes to stdout."""

    exit_code: int
    output: bytes


Program = Callable[[Path, str], Explanation]


def panic_explain(file: Path, form: str) -> Explanation:
    """Run `panic-explain FILE --format FORM` in this process; stdout refuses what is not UTF-8."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        exit_code = explain.main([str(file), "--format", form])
    output.flush()
    return Explanation(exit_code=exit_code, output=output.detach().getvalue())


def raises(file: Path, form: str) -> Explanation:
    """Run `panic-explain`, except that a document with a carriage return raises."""
    if b"\r" in file.read_bytes():
        raise IndexError("planted")
    return panic_explain(file, form)


def answers_differently(file: Path, form: str) -> Explanation:
    """Run `panic-explain` and add the time to its output."""
    found = panic_explain(file, form)
    now = str(time.perf_counter_ns()).encode()
    return Explanation(exit_code=found.exit_code, output=found.output + now)


_KEPT: list[bytes] = []


def keeps(file: Path, form: str) -> Explanation:
    """Run `panic-explain` and keep two megabytes for each document."""
    _KEPT.append(bytes(1 << 21) + file.read_bytes())
    return panic_explain(file, form)


def takes_quadratic_time(file: Path, _form: str) -> Explanation:
    """Search a pattern that, from each byte again, reads all that follows."""
    re.search(rb"[^\xfe]*\xfe", file.read_bytes())
    return Explanation(exit_code=0, output=b"")


PROGRAMS: dict[str, Program] = {
    "panic-explain": panic_explain,
    "raises": raises,
    "keeps": keeps,
}
