# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whatever becomes of drgn's process, what it had found is given, in time, with what happened."""

import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.memory import drgn_program, inspect
from harness.memory.values import MemoryRequest, MemoryView

CPUS = {
    "cpus": [
        {
            "pid": 1,
            "comm": "writer",
            "crashed": True,
            "cpu": 0,
            "frames": [{"function": "toy_write", "place": "/src/toy/os/../toy.c:5"}],
        }
    ]
}
LOOK_S = 30.0


def look(script: str, *, deadline_s: float = LOOK_S) -> MemoryView:
    """Look with a process that runs a script instead of drgn."""
    parts = f"import json, os, signal, sys, time; cpus = {CPUS!r}\n"
    write = "def write(**part): print(json.dumps(part), flush=True)\n"
    return inspect.look(
        MemoryRequest(),
        deadline_s=deadline_s,
        roots=(Path("/src/toy"),),
        command=(sys.executable, "-c", parts + write + script),
    )


def test_parts_are_joined() -> None:
    """Each line is a part; places are shown from the module's source."""
    view = look("write(release='6.1'); write(**cpus); write(waits=[], log=['one', 'two'])")

    assert (view.release, view.log, view.problems) == ("6.1", ("one", "two"), ())
    assert view.crashed is not None
    assert view.crashed.frames[0].place == "toy.c:5"


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "drgn was ended by signal 11"),
        ("raise ValueError('odd memory')", "drgn failed: ValueError: odd memory"),
        ("sys.exit(7)", "drgn failed: exit status 7"),
        ("print('{\"log\": [1'); sys.exit(0)", "a part of drgn's answer was not understood"),
        ("write(log=5)", "a part of drgn's answer was not understood"),
    ],
)
def test_what_was_found_before_the_end_is_given(end: str, problem: str) -> None:
    """A fault of drgn, or of a plugin, costs the parts that were to come, and is named."""
    view = look(f"write(**cpus)\n{end}")

    assert view.crashed is not None
    assert view.crashed.comm == "writer"
    assert len(view.problems) == 1
    assert view.problems[0].startswith(problem)


def test_hanging_drgn_is_ended_in_time() -> None:
    """At the deadline the process is killed, and its parts are given."""
    # The deadline must not come before the first part: that takes as long as it takes here.
    begun = time.monotonic()
    look("write(**cpus)")
    deadline_s = float(1 + int(3 * (time.monotonic() - begun)))
    begun = time.monotonic()

    view = look("write(**cpus)\ntime.sleep(600)", deadline_s=deadline_s)

    assert time.monotonic() - begun < deadline_s + LOOK_S
    assert view.crashed is not None
    assert view.problems == (f"drgn did not finish within {deadline_s:.0f} s",)


def test_problems_of_the_process_itself_come_first() -> None:
    """What the process says it could not find stands beside how it ended."""
    view = look("write(problems=['modules: fault']); sys.exit(1)")

    assert view.problems == ("modules: fault", "drgn failed: exit status 1")


def real(request: MemoryRequest) -> MemoryView:
    """Look with drgn itself."""
    return inspect.look(request, deadline_s=LOOK_S)


def test_file_that_is_no_dump_is_told(tmp_path: Path) -> None:
    """Drgn's own word for it, no stack, no traceback."""
    core = tmp_path / "core"
    core.write_bytes(b"nothing of a core")

    view = real(MemoryRequest(core=str(core)))

    assert view.cpus == ()
    assert view.problems[0].startswith("the guest's memory cannot be opened")


def test_socket_without_qemu_is_told(tmp_path: Path) -> None:
    """Nobody behind the socket, or somebody else: each a clear statement."""
    path = tmp_path / "qmp"
    nobody = real(MemoryRequest(qmp=str(path)))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        other = real(MemoryRequest(qmp=str(path)))

    assert nobody.problems[0].startswith(f"no QEMU listens on {path}")
    assert other.problems == (f"process {os.getpid()} has no guest's memory: is it QEMU?",)


@pytest.mark.parametrize("text", ["x = 1\n", "report = 5\n"])
def test_plugin_without_report_is_refused(tmp_path: Path, text: str) -> None:
    """A module's own view is a file with a function report(prog)."""
    plugin = tmp_path / "view.py"
    plugin.write_text(text)

    with pytest.raises(UsageError, match="no function report"):
        drgn_program.load_plugin(plugin)


def test_plugin_is_loaded_from_its_file(tmp_path: Path) -> None:
    """Its function answers, and it knows where it lies."""
    plugin = tmp_path / "view.py"
    plugin.write_text("def report(prog):\n    return [__file__, str(prog)]\n")

    assert drgn_program.load_plugin(plugin).report(5) == [str(plugin), "5"]


def test_request_survives_the_way_to_the_process() -> None:
    """What is sent is what is asked: JSON has no paths and no tuples."""
    request = MemoryRequest(qmp="/q", modules={"toy": "/toy.ko"}, task_pid=5)
    script = "asked = json.load(sys.stdin); write(driver=[json.dumps(asked)])"

    view = inspect.look(
        request,
        deadline_s=LOOK_S,
        command=(
            *(sys.executable, "-c"),
            f"import json, sys\ndef write(**p): print(json.dumps(p))\n{script}",
        ),
    )

    assert MemoryRequest(**json.loads(view.driver[0])) == request
