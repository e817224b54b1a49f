# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`debug-attach --vscode` and `--dap`: a real lldb-dap, spoken to as an editor does."""

import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from harness.guest.registry import GuestEntry
from harness.systems.ssh import Guest
from tests.debug.terminal import PROJECT, ended
from tests.debug.test_debug_attach import run_programs, runs_on

LAUNCH = PROJECT / ".vscode" / "launch.json"
pytestmark = pytest.mark.skipif(not shutil.which("lldb-dap-19"), reason="no lldb-dap-19")


class Adapter:
    """A debug adapter, spoken to in its own protocol."""

    def __init__(self, input_: IO[bytes], output: IO[bytes]) -> None:
        self._input = input_
        self._output = output
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the body of the answer to a request."""
        number = next(self._numbers)
        self.tell(command, number, arguments)
        while True:
            message = self._next()
            if message.get("request_seq") == number:
                assert message["success"], message
                return dict(message.get("body") or {})

    def event(self, name: str) -> dict[str, Any]:
        """Return the body of the next event of a name, which may have come before."""
        while not any(one["event"] == name for one in self.events):
            self._next()
        found = next(one for one in self.events if one["event"] == name)
        del self.events[: self.events.index(found) + 1]
        return dict(found.get("body") or {})

    def _next(self) -> dict[str, Any]:
        """Return the next message; events are kept."""
        message = self._read()
        if message["type"] == "event":
            self.events.append(message)
        return message

    def tell(self, command: str, number: int, arguments: dict[str, Any]) -> None:
        """Send a request to the debug adapter."""
        body = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(body).encode()
        self._input.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self._input.flush()

    def _read(self) -> dict[str, Any]:
        size = 0
        while (line := self._output.readline().strip()) != b"":
            size = int(line.partition(b":")[2])
        assert size, "the adapter hung up"
        return dict(json.loads(self._output.read(size)))


def written(path: Path) -> dict[str, Any]:
    """Wait until the configuration for lldb is written, and return it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists():
            found = json.loads(path.read_text())["configurations"]
            return dict(next(one for one in found if one["name"] == "guest: lldb"))
        time.sleep(0.2)
    raise AssertionError(f"no {path}")


def debugged(adapter: Adapter, ssh: Guest) -> None:
    """Act as an editor: attach by an empty request and stop in a function that an exec enters."""
    adapter.ask("initialize", adapterID="lldb-dap")
    adapter.ask("attach")
    adapter.event("initialized")
    function = {"name": "osq_ring_reserve"}
    (breakpoint_,) = adapter.ask("setFunctionBreakpoints", breakpoints=[function])["breakpoints"]
    assert breakpoint_["verified"]
    adapter.ask("configurationDone")
    adapter.event("stopped")
    adapter.ask("continue", threadId=1)
    programs = run_programs(ssh)
    stop = adapter.event("stopped")
    assert "breakpoint" in stop["reason"]
    frames = adapter.ask("stackTrace", threadId=stop["threadId"])["stackFrames"]
    assert "osq_ring_reserve" in frames[0]["name"]
    assert frames[0]["source"]["name"] == "osq_ring.c"
    assert frames[0]["line"] > 1
    assert any("do_syscall_64" in one["name"] for one in frames)
    scopes = adapter.ask("scopes", frameId=frames[0]["id"])["scopes"]
    local = adapter.ask("variables", variablesReference=scopes[0]["variablesReference"])
    assert "ring" in [one["name"] for one in local["variables"]]
    assert len(adapter.ask("threads")["threads"]) == 2
    # Whatever the editor requests here, the guest must keep running.
    adapter.ask("disconnect", terminateDebuggee=True)
    programs.join(60)


@contextmanager
def listening(ssh: Guest) -> Iterator[None]:
    """Let the driver make a record of every exec in the guest."""
    with ssh.popen("exec osqtail > /dev/null"):
        ssh.run("until pgrep -x osqtail; do sleep 0.1; done", deadline_s=30)
        try:
            yield
        finally:
            ssh.run("pkill osqtail", deadline_s=30)


def test_an_editor_using_dap_on_stdin_and_stdout_sees_stack_and_variables_at_a_breakpoint(
    shared: GuestEntry, ssh: Guest
) -> None:
    """`debug-attach --dap` serves a test that acts as an editor; the real guest then runs on."""
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}", "--dap"]
    with (
        listening(ssh),
        ended(
            subprocess.Popen(
                line, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr
            )
        ) as command,
    ):
        assert command.stdin is not None
        assert command.stdout is not None
        debugged(Adapter(command.stdin, command.stdout), ssh)
        command.stdin.close()
        assert command.wait(30) == 0

    assert runs_on(shared)
    assert not list((shared.folder / "dbg").iterdir())


def test_two_editors_debug_one_after_the_other_by_dap_on_a_port(
    shared: GuestEntry, ssh: Guest
) -> None:
    """`debug-attach --dap --port` serves one editor after another on loopback, until Ctrl-C."""
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}"]
    with ended(
        subprocess.Popen(
            [*line, "--dap", "--port=0"], cwd=PROJECT, stderr=subprocess.PIPE, text=True
        )
    ) as command:
        assert command.stderr is not None
        said = next(one for one in command.stderr if "listens on" in one)
        host, _, port = said.split()[-1].partition(":")
        ours = [
            one.laddr.ip
            for one in psutil.Process(command.pid).net_connections()
            if one.status == psutil.CONN_LISTEN
        ]
        for _ in range(2):
            with (
                listening(ssh),
                socket.create_connection((host, int(port)), timeout=60) as editor,
                editor.makefile("rb") as output,
                editor.makefile("wb") as input_,
            ):
                debugged(Adapter(input_, output), ssh)
            assert runs_on(shared)
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0

    assert (host, ours) == ("127.0.0.1", ["127.0.0.1"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    assert runs_on(shared)


def test_the_guest_runs_on_after_an_attached_editor_closes_its_dap_pipes_without_detaching(
    shared: GuestEntry,
) -> None:
    """When the editor of `debug-attach --dap` just goes away, the guest is resumed."""
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}", "--dap"]
    with ended(
        subprocess.Popen(line, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        adapter = Adapter(command.stdin, command.stdout)
        adapter.ask("initialize", adapterID="lldb-dap")
        adapter.ask("attach")
        command.stdin.close()
        command.stdout.close()
        command.wait(60)

    assert runs_on(shared)


def test_lldb_dap_with_the_launch_json_of_option_vscode_shows_stack_and_the_guest_runs_on(
    shared: GuestEntry,
) -> None:
    """lldb-dap, given what `debug-attach --vscode` wrote, reads a real guest's two threads."""
    LAUNCH.unlink(missing_ok=True)
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}", "--vscode"]
    command = subprocess.Popen(line, cwd=PROJECT, stderr=subprocess.PIPE)
    try:
        configured = written(LAUNCH)
        with ended(
            subprocess.Popen(["lldb-dap-19"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            adapter = Adapter(process.stdin, process.stdout)
            adapter.ask("initialize", adapterID="lldb-dap")
            adapter.ask("attach", **configured)
            adapter.ask("configurationDone")
            threads = adapter.ask("threads")["threads"]
            frames = adapter.ask("stackTrace", threadId=threads[0]["id"])["stackFrames"]
            adapter.ask("disconnect", terminateDebuggee=False)
            process.kill()
        assert len(threads) == 2
        assert frames
        assert runs_on(shared)
    finally:
        command.send_signal(signal.SIGINT)
        command.wait(30)
        LAUNCH.unlink(missing_ok=True)

    assert not list((shared.folder / "dbg").iterdir())
    assert runs_on(shared)
