# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`explain-guest` explains a kept guest from another process, without a run."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.guest import registry, shared_session
from harness.guest.registry import GuestEntry
from harness.guest.session import QEMU_CONSOLE
from harness.systems.ssh import Guest
from tests.crash.places import place_of
from tests.system.whole_run import ROOT, RUNTIME

_START_S = 400
_EXPLAIN_S = 300
_SSH_S = 40.0
_SAID_S = 120.0
_FETCH_S = 900
_WELL = "the guest is well: its kernel beats and has reported nothing"
_NULL, _GUILTY = 1, place_of("test_crash.c", "osq_crash_null", "WRITE_ONCE")


def invoke(*words: str, deadline_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a command of the project with guests in a folder of these tests; return its result."""
    clean = {name: text for name, text in os.environ.items() if name != "HARNESS_RUN"}
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**clean, "CI": "1", "XDG_RUNTIME_DIR": str(RUNTIME)},
        check=False,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def kept() -> Iterator[GuestEntry]:
    """Give a guest that an earlier command has kept."""
    done = invoke("kernel-test-load", deadline_s=_START_S)
    match = re.search(r"^guest (\S+) stays up", done.stdout, re.MULTILINE)
    assert match, done.stdout + done.stderr
    (folder,) = RUNTIME.glob(f"*/{match[1]}")
    entry = registry.read(folder)
    assert entry is not None
    try:
        yield entry
    finally:
        invoke("guest-stop", f"--run={entry.run_id}")
        shutil.rmtree(entry.run, ignore_errors=True)


def run_in(entry: GuestEntry, script: str) -> None:
    """Run a script in the guest, which may die of it."""
    endpoint = shared_session.read(entry.run / shared_session.SESSION_FILE).endpoint
    with Guest.connect(endpoint, deadline_s=_SSH_S, alive=lambda: None) as guest:
        guest.run(script, deadline_s=_SSH_S)


def wait_for(entry: GuestEntry, words: str) -> None:
    """Wait until the guest's console has this text."""
    end = time.monotonic() + _SAID_S
    file = entry.run / QEMU_CONSOLE
    while words not in file.read_text(errors="replace"):
        assert time.monotonic() < end, f"{words!r} did not come"
        time.sleep(0.5)


def crash_of(entry: GuestEntry, number: int) -> dict[str, Any]:
    """Return the crash that a run's folder describes."""
    file = entry.run / "crashes" / str(number) / "crash.json"
    values: dict[str, Any] = json.loads(file.read_text())
    return values


def explained(entry: GuestEntry, *, code: int, alias: str = "explain-guest") -> str:
    """Return the command's output for a guest, after checking the exit code."""
    done = invoke(alias, f"--run={entry.run_id[-4:]}", deadline_s=_EXPLAIN_S)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_a_guest_left_running_is_explained_after_a_warning_a_hang_and_a_panic(
    kept: GuestEntry,
) -> None:
    """explain-guest explains a kept real guest that is well, and then after each of these."""
    assert explained(kept, code=0).endswith(f"{_WELL}\n")

    words = "WARNING: CPU: 0 PID: 1 at a.c:1 planted_fault+0x1/0x2"
    run_in(kept, f"echo '{words}' > /dev/kmsg; echo '---[ end trace 0 ]---' > /dev/kmsg")
    explained(kept, code=1, alias="guest-explain")
    complaint = crash_of(kept, 1)
    assert (complaint["cause"], complaint["function"]) == ("report", "planted_fault")
    assert explained(kept, code=0).endswith(f"{_WELL}\n")

    run_in(kept, "pkill -f /run/harness/heartbeat")
    explained(kept, code=3)
    silence = crash_of(kept, 2)
    assert (silence["cause"], silence["answered"], silence["blame"]) == ("hang", "ssh", "harness")

    run_in(
        kept,
        "insmod /run/harness/osq_test.ko i_know_this_is_a_test=1; "
        f"(sleep 2; exec osqstress crash {_NULL}) < /dev/null > /dev/null 2>&1 &",
    )
    wait_for(kept, "Kernel panic - not syncing")
    screen = explained(kept, code=3)
    panic = crash_of(kept, 3)
    assert (panic["kind"], panic["function"], panic["module"]) == (
        "null-deref",
        "osq_crash_null",
        "osq_test",
    )
    assert panic["place"].endswith(_GUILTY)
    assert (panic["cause"], panic["blame"]) == ("panic", "module")
    assert f"osq_crash_null [osq_test] at {panic['place']}" in screen
    folder = kept.run / "crashes" / "3"
    for name in ("console.log", "report.md", "screen.txt", "vmcore.zst"):
        assert (folder / name).stat().st_size > 0, name
    report = json.loads((kept.run / "report.json").read_text())
    assert [one["number"] for one in report["crashes"]] == [1, 2, 3]
    assert report["provenance"]["kernel_release"]
    look_into_dump(kept.run.name)


def look_into_dump(run: str) -> None:
    """Open the dump of a run's third crash in each documented way, and check what is shown."""
    symbols = invoke("kernel-symbols", deadline_s=_FETCH_S)
    assert symbols.returncode == 0, symbols.stderr
    dump = ("vmcore-open", run, "--crash=3")
    for words, said in (
        ((*dump, "--command=prog.crashed_thread().stack_trace()"), "osq_crash_null"),
        ((*dump, "--command=%osq"), "osq_test: "),
        ((*dump, "--command=%cpus"), "on which it died: osqstress"),
        (("debug-attach", f"--core={run}", "--crash=3", "--command=%osq"), "osq_test: "),
    ):
        done = invoke(*words, deadline_s=_EXPLAIN_S)
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout, words
