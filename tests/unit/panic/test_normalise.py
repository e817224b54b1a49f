# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of normalise: a report is the same, whatever format its log was packed into."""

import html
import json
import re
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from harness.panic.intake.normalise import Normaliser
from harness.panic.log import LogReader
from harness.panic.values import KernelReport
from tests.unit.panic.test_formats import CASES as FORMATS

DATA = Path(__file__).resolve().parents[2] / "data" / "panic"
MACOS = """\
panic(cpu 2 caller 0xffffff8000a1b2c3): Kernel trap at 0xffffff7fa1a10468, type 14=page fault
CR0: 0x0000000080010033, CR2: 0x0000000000000008, CR3: 0x0000000003a00000, CR4: 0x00000000000606e0
Backtrace (CPU 2), Frame : Return Address
0xffffff80b5d3c08 : 0xffffff8000204d15 mach_kernel : _panic + 0x27d
0xffffff80b5d3c18 : 0xffffff7fa1a10468 io.osquery.kernel : _osq_ring_reserve + 0x18
      Kernel Extensions in backtrace:
         io.osquery.kernel(1.0)[C86236B2-4976-3542-80CA-74A6B8B4BA03]@0xffffff7fa1a10000->0xffffff7fa1a1ffff

Process name corresponding to current thread: osqueryd"""
# Each key names the program that writes the prefix, with or without the kernel's own time.
PREFIXES = [
    "2024-09-20T22:59:50.819111+02:00 host kernel: ",  # rsyslog, high precision
    "[   12.345678] host kernel: ",  # journalctl -o short-monotonic
    "[   12.345678] kernel: ",
    "Apr 15 13:58:08.549417 host kernel: ",  # short-precise
    "Apr 15 13:58:08 host kernel: ",
    "Apr 15 13:58:08 host kernel[0]: ",
    "Apr 15 13:58:08 kernel: ",
    "<4>Apr 15 13:58:08 kernel: ",
    "vas. 19 10:20:12 host kernel: ",  # months of other languages
    "июл 27 10:20:12 host kernel: ",
    "27 июл 10:20:12 host kernel: ",
    "sep 03 10:20:12 host kernel: ",
    "Mär 03 10:20:12 host kernel: ",
    "févr. 12 10:20:12 host kernel: ",
    "9月 09 10:20:12 host kernel: ",
    "[Mon Sep  9 09:33:26 2024] ",  # dmesg -T
    "[Mo Sep  9 09:33:26 2024] ",
    "[mar. sept.  9 09:33:26 2024] ",
    "[一 9月  9 09:33:26 2024] ",
    "[  +0.000012] ",  # dmesg -H
    "2026-11-25T09:39:44,123456+00:00 ",  # dmesg --time-format iso
    "kern  :alert : [   12.345678] ",  # dmesg -x
    "6,1234,12345678,-;",  # /dev/kmsg, netconsole
    "6.1.0,6,1234,12345678,-;",
    "Sun 2024-09-20 22:59:50 CEST host kernel: ",  # short-full
    "1726865990.819111 host kernel: ",  # short-unix
    "kern.alert kernel: ",
    "Sat Apr 15 13:58:08 2023 kern.warn kernel: [   12.345678] ",  # OpenWrt
    "> ",  # mail
    "> > ",
    "\t",  # Markdown
    "    ",
    "`",
    "| ",
    "[    0.693542] c0 1 (swapper/0) ",  # vendors' printk
    "[    0.693542] [0:      swapper/0:    1] ",
    "[    0.693542] (0)[1:swapper/0] ",
    " 1276.705430:   <1> (01-28 07:22:33.30) ",
    "01-28 07:22:33.300     0     0 I kernel  : ",  # logcat
    "[2021/07/05, 13:43:52.334] ",  # serial programs
    "[2021-07-05 13:43:52.334] ",
    "[13:43:52.334] ",
    "13:43:52.334> ",
    "2021-07-05 13:43:52 ",
    "2024-01-01T00:00:00.1234567Z ",  # GitHub Actions
    "2024-01-01T00:00:00.123456Z 00O ",  # GitLab
    "2024-01-01T00:00:00.123456Z stdout F ",  # Kubernetes
    "web_1  | ",  # docker compose
    "2024-09-20 22:59:50.123456+0200 0x1234 Default 0x0 0 0 kernel: ",  # log show
    "\x1b[0m\x1b[32m[   12.345678] \x1b[0m",
    "<6>[   12.345678][    T1] ",
    " kernel: ",
]
ENDS = {"lf": "\n", "crlf": "\r\n", "crcrlf": "\r\r\n", "lfcr": "\n\r", "cr": "\r"}


def stamped(lines: Sequence[str]) -> list[str]:
    """Return lines with printk's timestamps, a second apart."""
    return [f"[{second:5d}.000000] {line}" for second, line in enumerate(lines, start=1)]


def wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Return lines wrapped as a terminal of the given width shows them."""
    return [line[at : at + width] for line in lines for at in range(0, len(line), width)]


def panic_file(lines: Sequence[str], indent: int | None) -> str:
    """Return an .ips file that contains a panic text."""
    body = {"build": "x", "panicString": "\n".join(lines), "product": "y"}
    return json.dumps({"bug_type": "210"}) + "\n" + json.dumps(body, indent=indent)


PACKED: dict[str, Callable[[Sequence[str]], str]] = {
    "docker": lambda lines: "\n".join(
        json.dumps({"log": line + "\n", "stream": "stdout"}) for line in lines
    ),
    "journal": lambda lines: "\n".join(
        json.dumps({"MESSAGE": line, "_TRANSPORT": "kernel", "__CURSOR": "x"}) for line in lines
    ),
    "journal with bytes": lambda lines: "\n".join(
        json.dumps({"MESSAGE": list(line.encode()), "SYSLOG_IDENTIFIER": "kernel"})
        for line in lines
    ),
    "entities": lambda lines: "\n".join(map(html.escape, lines)),
    "breaks": lambda lines: "<p>" + "<br>".join(map(html.escape, lines)) + "</p>",
    "newest first": lambda lines: "\n".join(stamped(lines)[::-1]),
    "wrapped": lambda lines: "\n".join(wrapped(stamped(lines), 80)),
    "each twice": lambda lines: "\n".join(
        copy for line in stamped(lines) for copy in (line, line)
    ),
    "console and journal": lambda lines: "\n".join(
        copy for line in stamped(lines) for copy in (line, "Apr 15 13:58:08 h kernel: " + line)
    ),
    "ips": lambda lines: panic_file(lines, 1),
    "ips on one line": lambda lines: panic_file(lines, None),
    "a bare panicString": lambda lines: '"panicString" : ' + json.dumps("\n".join(lines)),
}


def explained(text: str) -> list[KernelReport]:
    """Return the reports of a log, without the harness's canaries."""
    return [one for one in LogReader().read([text]) if one.kind != "canary"]


def essence(report: KernelReport) -> tuple[object, ...]:
    """Return a report's fields except its line and its time."""
    text = tuple(line.strip() for line in report.text)
    who = (report.task, report.pid, report.cpu, report.taint)
    what = (report.kind, report.title, report.function, report.module, report.place)
    return (*what, *who, report.registers, report.stacks, report.facts, text)


def bare_texts() -> dict[str, tuple[str, ...]]:
    """Return the text of every recorded report, and of one panic of macOS."""
    logs = sorted(DATA.glob("*.log"))
    reports = [(log, report) for log in logs for report in explained(log.read_text())]
    found = {f"{log.stem}-{report.line}": report.text for log, report in reports}
    return {**found, "macos": tuple(MACOS.split("\n"))}


TEXTS = bare_texts()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_line_prefix_or_line_end_does_not_change_the_recorded_reports(
    prefix: str, end: str
) -> None:
    """Recorded consoles with prefixes of syslog, journald and others give the same reports."""
    for name, lines in TEXTS.items():
        (bare,) = explained("\n".join(lines))

        (found,) = explained("".join(prefix + line + ENDS[end] for line in lines))

        assert essence(found) == essence(bare), name


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_does_not_change_a_report_of_any_format(prefix: str) -> None:
    """Each example report of test_formats.py is read the same after every log line prefix."""
    ends = cycle(ENDS.values())
    for name, case in FORMATS.items():
        lines, end = case.text.split("\n"), next(ends)
        bare = explained(case.text)

        found = explained("".join(prefix + line + end for line in lines))

        assert list(map(essence, found)) == list(map(essence, bare)), name


@pytest.mark.parametrize("how", PACKED)
def test_a_json_html_reversed_or_wrapped_log_gives_the_same_report(how: str) -> None:
    """A report reads the same from JSON, HTML, a reversed log, wrapped lines and doubled lines."""
    for name, lines in TEXTS.items():
        if len(lines) < 5:  # too short to show an order
            continue
        (bare,) = explained("\n".join(lines))

        (found,) = explained(PACKED[how](lines))

        assert essence(found) == essence(bare), name


@pytest.mark.parametrize(
    ("prefix", "dialect"),
    [
        ("[    1.000000] ", "printk"),
        ("Apr 15 13:58:08 host kernel: ", "syslog"),
        ("Apr 15 13:58:08 host kernel: [    1.000000] ", "syslog+printk"),
        ("[    1.000000] host kernel: ", "printk+syslog"),
        ("[Mon Sep  9 09:33:26 2024] ", "dmesg --ctime"),
        ("6,1234,12345678,-;", "kmsg"),
        ("> ", "quoted"),
        ("13:43:52.334> [    1.000000] ", "timed+printk"),
        ("", "bare"),
    ],
)
def test_a_log_regions_line_prefixes_are_named_from_outermost_to_innermost(
    prefix: str, dialect: str
) -> None:
    """The format of a log's part is named by all prefixes that its lines have."""
    normaliser = Normaliser()

    normaliser.block("\n".join(prefix + line for line in TEXTS["macos"]))

    assert [region.dialect for region in normaliser.regions] == [dialect]


def test_a_log_is_split_where_the_prefix_of_its_lines_changes() -> None:
    """A log of printk lines and then of syslog lines has two parts, each with its own format."""
    normaliser = Normaliser()
    lines = ["[    1.000000] a", "[    2.000000] b", "Apr 15 13:58:08 host kernel: c", "d"]

    normaliser.block("\n".join(lines))

    found = [(region.dialect, region.line, region.lines) for region in normaliser.regions]
    assert found == [("printk", 0, 2), ("syslog", 2, 2)]


def test_source_line_gives_a_lines_number_before_doubled_lines_were_dropped_from_the_log() -> None:
    """A report's line number is that in the log as given, though doubled lines were dropped."""
    normaliser = Normaliser()
    quiet = normaliser.pass_over("[    0.000000] x\n[    0.000000] y")
    twice = normaliser.block("\n".join(f"[    {n}.000000] {c}" for n in (1, 2, 3) for c in "aa"))

    lines = (quiet + "\n" + twice).split("\n")

    assert [normaliser.source_line(number) for number in range(len(lines))] == [0, 1, 2, 4, 6]


@pytest.mark.parametrize(
    "line",
    [
        "Apr 15 13:58:08 host app[12]: BUG: kernel NULL pointer dereference, address: 0",
        '{"MESSAGE": "BUG: kernel NULL pointer dereference", "SYSLOG_IDENTIFIER": "app"}',
    ],
)
def test_a_log_line_of_a_user_program_that_resembles_a_fault_gives_no_report(line: str) -> None:
    """A line whose tag names a program gives no report, even if its message looks like one."""
    assert explained("Apr 15 13:58:08 host kernel: x\n" + line) == []
    assert explained(line) == []


def test_in_a_log_with_timestamps_a_header_without_one_is_a_report_only_if_a_stack_follows() -> (
    None
):
    """A header is a report's first line; without a time, user space may have written it."""
    bare = ["BUG: kernel NULL pointer dereference, address: 08", "Call Trace:", " f+0x1/0x2"]
    log = ["[    0.000000] Linux version 6.1.0"]

    assert explained("\n".join([*log, bare[0], "hello"])) == []
    assert [one.function for one in explained("\n".join([*log, *bare]))] == ["f"]


def test_a_report_with_a_time_only_in_its_first_line_is_read_completely() -> None:
    """A report of which only the first line has a time is read to its end."""
    lines = TEXTS["macos"]
    text = "[    1.000000] " + "\n".join(lines)

    assert essence(explained(text)[0]) == essence(explained("\n".join(lines))[0])


def test_a_fault_that_syslogd_also_copied_to_the_terminals_gives_only_one_report() -> None:
    """The copy of a line that syslogd sends to terminals does not make a second report."""
    wall = (
        "Message from syslogd@h at Jul  7 00:27:08 ...\n kernel:[    2.000000] Internal error: x"
    )
    log = "Jul  7 00:27:08 h kernel: [    {}.000000] {}"
    text = "\n".join(
        [
            wall,
            log.format(1, "Unhandled fault: abort (0x1) at 0x2"),
            log.format(2, "Internal error: x"),
        ]
    )

    assert len(explained(text)) == 1
    assert len(explained(wall)) == 1


def test_crash_like_lines_are_kept_only_for_a_log_without_a_report_and_only_the_first_ten() -> (
    None
):
    """Lines with words of a crash are shown to the user if the log has no report."""
    reader = LogReader()
    odd = "x\n" + "\n".join(f"[{n}] ??? Kernel panic - not syncing: x" for n in range(20))
    log = "[    0.000000] Linux\n" + odd

    assert list(reader.read([log])) == []
    assert [suspect.line for suspect in reader.suspects] == list(range(2, 12))
    assert re.match(r"\[0\] \?\?\? Kernel panic", reader.suspects[0].text)

    whole = LogReader()
    assert len(list(whole.read([log, "[    1.000000] Kernel panic - not syncing: x"]))) == 1
    assert whole.suspects == []
