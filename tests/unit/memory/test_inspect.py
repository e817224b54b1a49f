# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of inspect: however drgn's process ends, its parts and the reason arrive in time."""

import json
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

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
# A process that is not QEMU, and listens where QEMU would.
LISTENER = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("listening", flush=True)
sys.stdin.read()
"""


def look(script: str, *, deadline_s: float = LOOK_S) -> MemoryView:
    """Call inspect.look with a process that runs a script instead of drgn."""
    parts = f"import json, os, signal, sys, time; cpus = {CPUS!r}\n"
    write = "def write(**part): print(json.dumps(part), flush=True)\n"
    return inspect.look(
        MemoryRequest(),
        deadline_s=deadline_s,
        roots=(Path("/src/toy"),),
        command=(sys.executable, "-c", parts + write + script),
    )


def test_json_lines_of_drgns_process_form_one_memory_view() -> None:
    """Parts of a guest's memory, which a drgn process prints as JSON, become one value."""
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
        ("print('{\"log\": [1'); sys.exit(0)", "a part of drgn's answer is not valid"),
        ("write(log=5)", "a part of drgn's answer is not valid"),
    ],
)
def test_json_lines_before_drgns_failure_or_an_invalid_line_are_kept_and_a_problem_is_listed(
    end: str, problem: str
) -> None:
    """What drgn's process has read of a guest's memory before it failed is returned."""
    view = look(f"write(**cpus)\n{end}")

    assert view.crashed is not None
    assert view.crashed.comm == "writer"
    assert len(view.problems) == 1
    assert view.problems[0].startswith(problem)


def test_if_drgn_hangs_the_view_comes_after_the_deadline_with_the_written_part_and_a_problem() -> (
    None
):
    """The drgn process is killed at the deadline, and the view of the guest's memory kept."""
    # A busy host is slow to write the first part, so the deadline follows from a measured run.
    begun = time.monotonic()
    look("write(**cpus)")
    deadline_s = float(1 + int(3 * (time.monotonic() - begun)))
    begun = time.monotonic()

    view = look("write(**cpus)\ntime.sleep(600)", deadline_s=deadline_s)

    assert time.monotonic() - begun < deadline_s + LOOK_S
    assert view.crashed is not None
    assert view.problems == (f"drgn did not finish within {deadline_s:.0f} s",)


def test_problems_that_drgns_process_wrote_are_listed_before_its_exit_status() -> None:
    """The view of a guest's memory lists what drgn could not read, then why its process ended."""
    view = look("write(problems=['modules: fault']); sys.exit(1)")

    assert view.problems == ("modules: fault", "drgn failed: exit status 1")


def look_with_drgn(request: MemoryRequest) -> MemoryView:
    """Call inspect.look with drgn itself."""
    return inspect.look(request, deadline_s=LOOK_S)


def test_for_a_file_that_is_no_dump_the_view_says_memory_cannot_be_opened_and_has_no_stack(
    tmp_path: Path,
) -> None:
    """The real drgn gets a file of other content in the place of a guest's memory dump."""
    core = tmp_path / "core"
    core.write_bytes(b"nothing of a core")

    view = look_with_drgn(MemoryRequest(core=str(core)))

    assert view.cpus == ()
    assert view.problems[0].startswith("the guest's memory cannot be opened")


def test_the_memory_view_lists_a_problem_for_a_qmp_socket_with_no_listener_or_not_of_qemu(
    tmp_path: Path,
) -> None:
    """A guest's memory is read over QMP; a wrong socket is a problem in the view, no exception."""
    path = tmp_path / "qmp"
    nobody = look_with_drgn(MemoryRequest(qmp=str(path)))
    # A process of its own, since that of pytest may have a mapping as large as a guest's memory.
    words = [sys.executable, "-I", "-c", LISTENER, str(path)]
    with subprocess.Popen(words, stdin=PIPE, stdout=PIPE) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"listening\n"
        other = look_with_drgn(MemoryRequest(qmp=str(path)))
        listener.communicate()

    assert nobody.problems[0].startswith(f"no QEMU listens on {path}")
    assert other.problems == (
        f"process {listener.pid} has no mapping that could be a guest's memory: is it QEMU?",
    )


@pytest.mark.parametrize("text", ["x = 1\n", "report = 5\n"])
def test_a_plugin_without_a_function_named_report_is_a_usage_error(
    tmp_path: Path, text: str
) -> None:
    """A project's drgn plugin needs a function report(prog), which shows its module's state."""
    plugin = tmp_path / "view.py"
    plugin.write_text(text)

    with pytest.raises(UsageError, match="no function report"):
        drgn_program.load_plugin(plugin)


def test_plugin_is_loaded_from_its_file(tmp_path: Path) -> None:
    """The function report of a project's drgn plugin can be called, and its __file__ is right."""
    plugin = tmp_path / "view.py"
    plugin.write_text("def report(prog):\n    return [__file__, str(prog)]\n")

    assert drgn_program.load_plugin(plugin).report(5) == [str(plugin), "5"]


def test_drgns_process_receives_the_memory_request_unchanged() -> None:
    """A stand-in for the drgn process gets every field of the request on its standard input."""
    request = MemoryRequest(qmp="/q", modules={"toy": "/toy.ko"}, task_pid=5)
    script = "request = json.load(sys.stdin); write(driver=[json.dumps(request)])"

    view = inspect.look(
        request,
        deadline_s=LOOK_S,
        command=(
            *(sys.executable, "-c"),
            f"import json, sys\ndef write(**p): print(json.dumps(p))\n{script}",
        ),
    )

    assert MemoryRequest(**json.loads(view.driver[0])) == request
