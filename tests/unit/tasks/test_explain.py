# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of tasks.explain: the program `panic-explain`, for several logs and in each format."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import PIPE_CLOSED
from harness.tasks import explain

DATA = Path(__file__).resolve().parents[2] / "data" / "panic"
NULL = str(DATA / "null.log")


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ("text", "1. BUG: unable to handle kernel NULL pointer dereference in osq_crash_null"),
        ("json", '"function": "osq_crash_null"'),
        ("markdown", "### BUG: unable to handle kernel NULL pointer dereference"),
        ("junit", "<testsuites"),
        ("sarif", '"version": "2.1.0"'),
    ],
)
def test_a_crash_is_printed_in_each_format(
    form: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """panic-explain prints a crash in each output format, and its exit code is that of a crash."""
    assert explain.main([NULL, "--format", form]) == 3
    assert word in capsys.readouterr().out


def test_several_logs_are_printed_under_their_names_although_one_file_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each log is printed under its file's name, and an unreadable file hides no other."""
    clean = tmp_path / "clean.log"
    clean.write_text("[    0.000000] Linux version 6.1.0\n")

    code = explain.main([NULL, str(clean), str(tmp_path / "none"), "--format", "text"])

    printed = capsys.readouterr()
    assert code == 3
    assert f"{NULL}:\n1. BUG" in printed.out
    assert f"{clean}:\nnothing found" in printed.out
    assert "none cannot be read" in printed.err


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_explain_main_with_format_json_or_no_format_prints_one_json_object_for_each_log(
    options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """With --format json, as without it, each log gives a JSON object, in the order given."""
    explain.main([*options, NULL, str(DATA / "soft-lockup.log")])

    decoder, text = json.JSONDecoder(), capsys.readouterr().out
    first, end = decoder.raw_decode(text)
    second, _ = decoder.raw_decode(text[end:].lstrip())
    assert first["crashes"][0]["kind"] == "null-deref"
    assert second["crashes"][0]["kind"] == "rcu-stall"


PROGRAM = [sys.executable, "-c", "from harness.tasks import explain; explain.run()"]


def test_a_terminal_that_cannot_show_a_character_gets_its_escape(tmp_path: Path) -> None:
    """Where stdout is not UTF-8, panic-explain writes a foreign character as its escape."""
    log = tmp_path / "named.log"
    header = "BUG: KASAN: use-after-free in osq_read+0x1/0x2"
    log.write_text(f"{header}\nCPU: 0 PID: 7 Comm: июл Not tainted 6.0.0 #1\n")

    done = subprocess.run(
        [*PROGRAM, str(log)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (3, "")
    assert "task \\u0438\\u044e\\u043b" in done.stdout


def test_a_closed_pipe_ends_panic_explain_without_a_stack() -> None:
    """With a pipe without a reader as stdout, panic-explain prints no error; its status is 141."""
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*PROGRAM, NULL], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )

    os.close(writer)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, b"")


def test_panic_explain_imports_no_guest_or_symbol_library() -> None:
    """panic-explain imports no library for guests or symbols, which are slow or may be missing."""
    heavy = ["libvirt", "drgn", "elftools", "invoke", "pydantic", "paramiko", "rich", "psutil"]
    code = (
        "import sys; from harness.tasks import explain; "
        f"explain.main([{NULL!r}]); "
        f"sys.stderr.write(' '.join(m for m in {heavy} if m in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stderr == ""
