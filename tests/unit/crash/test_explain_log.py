# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of explain_log: logs from any source and compression are explained, or refused."""

import gzip
import io
import json
import lzma
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.crash import explain_log, log_symbols, log_text
from harness.errors import UsageError

DATA = Path(__file__).resolve().parents[2] / "data" / "panic"
NULL = DATA / "null.log"


def zstd(data: bytes) -> bytes:
    """Return data as the zstd command packs it."""
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "log": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


def need(kind: str) -> None:
    """Skip where the program that packs is not installed."""
    if kind == "zst" and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")


@pytest.mark.parametrize("kind", PACKERS)
def test_a_compressed_log_gives_the_same_reports(tmp_path: Path, kind: str) -> None:
    """A compressed log is recognized by its first bytes, not by its name, and unpacked."""
    need(kind)
    file = tmp_path / "console"
    file.write_bytes(PACKERS[kind](NULL.read_bytes()))

    found = explain_log.explain_file(file)

    assert [report.kind for report in found.reports] == ["null-deref", "panic"]
    assert found.exit_code == 3


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_utf_16_logs_and_utf_8_logs_with_a_byte_order_mark_give_the_same_reports(
    tmp_path: Path, encoding: str
) -> None:
    """UTF-16 with or without a byte order mark, and UTF-8 with one, are decoded."""
    file = tmp_path / "console"
    file.write_bytes(NULL.read_text().replace("\n", "\r\n").encode(encoding))

    assert explain_log.explain_file(file).reports == explain_log.explain_file(NULL).reports


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_a_truncated_compressed_log_is_refused(tmp_path: Path, kind: str) -> None:
    """A truncated compressed log is refused, because the missing part may have a crash."""
    need(kind)
    file = tmp_path / "console"
    file.write_bytes(PACKERS[kind](NULL.read_bytes())[:-200])

    with pytest.raises(UsageError, match="cannot be read"):
        explain_log.explain_file(file)


def test_explain_log_raises_a_usage_error_that_names_a_missing_log_or_module_file(
    tmp_path: Path,
) -> None:
    """A missing log and a missing .ko are refused by name; a folder as log 'cannot be read'."""
    with pytest.raises(UsageError, match="nothing-here"):
        explain_log.explain_file(tmp_path / "nothing-here")
    with pytest.raises(UsageError, match="cannot be read"):
        explain_log.explain_file(tmp_path)
    with pytest.raises(UsageError, match=r"none\.ko: no such file"):
        log_symbols.explain_with_symbols((NULL,), modules=(tmp_path / "none.ko",), vmlinux=None)


def test_the_file_name_minus_reads_the_log_from_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file name '-' reads standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NULL.read_bytes())))

    assert explain_log.explain_file(Path("-")).count == 2


def test_explaining_a_log_without_a_crash_report_gives_exit_code_0_and_says_nothing_found(
    tmp_path: Path,
) -> None:
    """An empty log and a boot's log end in exit code 0 and a line that begins 'nothing found'."""
    file = tmp_path / "console"
    for text in ("", "[    0.000000] Linux version 6.1.0\n"):
        file.write_text(text)

        found = explain_log.explain_file(file)

        assert found.exit_code == 0
        assert log_text.to_lines(found)[0].startswith("nothing found")
        data = json.loads(log_text.to_json(found))
        assert (data["crashes"], data["count"], data["suspects"]) == ([], 0, [])


def test_explaining_a_log_with_crash_like_lines_but_no_report_gives_exit_code_5_and_the_lines(
    tmp_path: Path,
) -> None:
    """A garbled panic line that cannot be parsed as a report is shown with its line number."""
    file = tmp_path / "console"
    file.write_text("[    0.000000] Linux\n<garbled> Kernel panic - not syncing: x\n")

    found = explain_log.explain_file(file)

    assert found.exit_code == 5
    assert "line 2: <garbled> Kernel panic" in "\n".join(log_text.to_lines(found))
    assert json.loads(log_text.to_json(found))["suspects"][0]["line"] == 1


def test_the_json_of_a_log_names_printk_as_its_only_line_format() -> None:
    """The JSON of a recorded console lists its line formats, which is here printk's alone."""
    data = json.loads(log_text.to_json(explain_log.explain_file(NULL)))

    assert [region["dialect"] for region in data["dialects"]] == ["printk"]


def test_the_text_of_a_log_has_function_task_stack_and_the_panic_that_followed() -> None:
    """The text for a recorded oops calls its panic a consequence, and omits a planted line."""
    text = "\n".join(log_text.to_lines(explain_log.explain_file(NULL)))

    assert "1. BUG: unable to handle kernel NULL pointer dereference in osq_crash_null" in text
    assert "in osq_crash_null [osq_test]" in text
    assert "task osqstress pid 399 cpu 0 taint GOEN" in text
    assert "     osq_test_ioctl+0x4d osq_test" in text
    assert "2. kernel panic: Fatal exception" in text
    assert "a consequence of 1" in text
    assert "planted" not in text


def test_json_of_a_log_has_kind_function_module_frames_signature_and_registers_of_its_report() -> (
    None
):
    """The JSON of a recorded oops has these values of its first report, as the register CR2."""
    data = json.loads(log_text.to_json(explain_log.explain_file(NULL)))

    first = data["crashes"][0]
    assert (first["kind"], first["function"], first["module"]) == (
        "null-deref",
        "osq_crash_null",
        "osq_test",
    )
    assert first["frames"][:2] == ["osq_crash_null", "osq_test_crash"]
    assert len(first["signature"]) == 12
    assert first["registers"]["CR2"] == "0000000000000000"


def test_the_callback_decorate_changes_each_report_in_the_result_and_the_text() -> None:
    """`decorate` gets a report and returns the one to use, for example with a source line."""
    found = explain_log.explain_file(
        NULL, decorate=lambda report: replace(report, place="crash.c:3")
    )

    assert [report.place for report in found.reports] == ["crash.c:3", "crash.c:3"]
    assert "(crash.c:3)" in "\n".join(log_text.to_lines(found))


def test_a_panic_of_macos_is_found_in_an_ips_file(tmp_path: Path) -> None:
    """A macOS panic in an .ips file gives one report, with the panic's text and its task."""
    panic = (
        "panic(cpu 2 caller 0xffffff8000000000): osquery: bad queue\n"
        "Panicked task 0x1: 1 pages, 1 threads: pid 3: osqueryd"
    )
    file = tmp_path / "Kernel.ips"
    file.write_text('{"bug_type":"210"}\n' + json.dumps({"panicString": panic}))

    (report,) = explain_log.explain_file(file).reports

    assert (report.title, report.task) == ("panic: osquery: bad queue", "osqueryd")


def test_reports_throughout_a_long_log_are_found_and_of_1200_reports_1000_are_kept(
    tmp_path: Path,
) -> None:
    """Reports at both ends and across a block's border are found; the first thousand are kept."""
    crash = NULL.read_bytes()
    quiet = b"[    5.000000] eth0: nothing of note happens here\n" * 25_000
    file = tmp_path / "console"
    file.write_bytes(crash + quiet + crash + quiet + crash)
    many = tmp_path / "many"
    many.write_bytes(b"[    1.000000] BUG: unable to handle page fault for address: 0\n" * 1200)

    long, repeated = explain_log.explain_file(file), explain_log.explain_file(many)

    lines = crash.count(b"\n") + quiet.count(b"\n")
    first = long.reports[0].line
    starts = [report.line for report in long.reports if report.kind == "null-deref"]
    assert starts == [first, first + lines, first + 2 * lines]
    assert (len(repeated.reports), repeated.count) == (1000, 1200)
    assert log_text.to_lines(repeated)[-1] == "and 200 more reports"
