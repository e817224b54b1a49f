# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fuzzing of `panic-explain`: no log makes it raise, keep memory or exceed linear time.

The environment variables FUZZ_S and FUZZ_SEED give the seconds and the first seed; FUZZ_LOGS names
a folder with further logs to start from. The fuzzer runs in a process of its own, whose memory is
then that of the interpreter, of hypothesis and of the program only.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.documents import Document, Growth
from tests.fuzz.fuzzer import MOST_MEMORY_BYTES, Fuzzer
from tests.fuzz.programs import answers_differently, panic_explain, takes_quadratic_time

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("FUZZ_S", "5"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
# A failing document is shrunk before the process ends, which takes minutes at worst.
SHRINKING_S = 600.0


def fuzz(
    folder: Path, *, program: str = "panic-explain", seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer in a process of its own, and return its status and output."""
    options = [f"--seconds={seconds}", f"--seed={SEED}", f"--folder={folder}"]
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzzer", *options, f"--program={program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + SHRINKING_S,
        check=False,
    )


def test_no_document_makes_panic_explain_raise_keep_memory_or_take_more_than_linear_time(
    tmp_path: Path,
) -> None:
    """For FUZZ_S seconds, randomly changed crash logs are explained in less than 200 MB."""
    ended = fuzz(tmp_path)

    assert ended.returncode == 0, ended.stderr[-8000:]
    sys.stdout.write(ended.stdout)
    figures = json.loads(ended.stdout)
    assert figures["reports_found"] > 0
    assert figures["peak_bytes"] < MOST_MEMORY_BYTES


def test_a_planted_exception_is_found_and_its_document_is_shrunk(tmp_path: Path) -> None:
    """For a planted IndexError, the fuzzer reports a log shrunk to less than 200 characters."""
    ended = fuzz(tmp_path, program="raises", seconds=0)

    assert ended.returncode == 1
    assert "IndexError: planted" in ended.stderr
    (reported,) = (line for line in ended.stderr.splitlines() if "drawn=Document(" in line)
    assert len(reported) < 200


def test_a_program_that_keeps_memory_is_detected(tmp_path: Path) -> None:
    """For a program that keeps memory, the fuzzer exits with 1 and prints its seed."""
    ended = fuzz(tmp_path, program="keeps", seconds=0)

    assert ended.returncode == 1
    assert f"by seed {SEED}" in ended.stderr


HEADER = b"BUG: unable to handle page fault for address: 0000000000000008\n"


def test_a_megabyte_of_empty_lines_after_a_crash_takes_less_than_200_mb(tmp_path: Path) -> None:
    """panic-explain once needed 355 MB for a million empty lines: a cost for each line, too."""
    script = (
        "from pathlib import Path; from tests.fuzz import fuzzer, programs; "
        "programs.panic_explain(Path('empty.log'), 'json'); print(fuzzer.peak_bytes())"
    )
    (tmp_path / "empty.log").write_bytes(HEADER + b"\n" * (1 << 20))

    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=SHRINKING_S,
    ).stdout

    assert int(printed) < MOST_MEMORY_BYTES


def test_quadratic_time_is_detected_and_linear_time_is_not(tmp_path: Path) -> None:
    """The fuzzer accepts panic-explain on a growing log, and rejects a quadratic program."""
    growth = Growth(head=b"", unit=HEADER, tail=b"")
    Fuzzer(panic_explain, folder=tmp_path, seed=1).check_growth(growth)

    with pytest.raises(AssertionError, match="not linear"):
        Fuzzer(takes_quadratic_time, folder=tmp_path, seed=1).check_growth(growth)


def test_panic_explain_exits_with_2_for_a_truncated_gzip_log_and_the_fuzzer_accepts_that(
    tmp_path: Path,
) -> None:
    """A gzip file that ends early is a usage error and not a crash, so the fuzzer goes on."""
    fuzzer = Fuzzer(panic_explain, folder=tmp_path, seed=1)

    fuzzer.check(Document(text=HEADER, packing="gzip", kept=20))

    assert panic_explain(tmp_path / "document.log", "json").exit_code == 2


def test_two_different_answers_for_one_document_are_detected(tmp_path: Path) -> None:
    """The fuzzer rejects a program that prints the time: two outputs for one log differ."""
    fuzzer = Fuzzer(answers_differently, folder=tmp_path, seed=1)

    with pytest.raises(AssertionError, match="two outputs"):
        fuzzer.check(Document(text=HEADER))
