# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`debug-attach --vscode`: a real lldb-dap debugs the guest by what is written for it."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from harness.lives import Life
from tests.debug.terminal import PROJECT
from tests.debug.test_debug_attach import runs_on

LAUNCH = PROJECT / ".vscode" / "launch.json"
pytestmark = pytest.mark.skipif(not shutil.which("lldb-dap-19"), reason="no lldb-dap-19")


class Adapter:
    """A debug adapter, spoken to in its own protocol."""

    def __init__(self, input_: IO[bytes], output: IO[bytes]) -> None:
        self._input = input_
        self._output = output
        self._numbers = itertools.count(1)
        self.events: list[str] = []

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the body of the answer to a request."""
        number = next(self._numbers)
        self.tell(command, number, arguments)
        while True:
            message = self._read()
            if message["type"] == "event":
                self.events.append(message["event"])
            elif message.get("request_seq") == number:
                assert message["success"], message
                return dict(message.get("body") or {})

    def tell(self, command: str, number: int, arguments: dict[str, Any]) -> None:
        """Send a request."""
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
    """Return the configuration for lldb, once it is written."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists():
            found = json.loads(path.read_text())["configurations"]
            return dict(next(one for one in found if one["name"] == "guest: lldb"))
        time.sleep(0.2)
    raise AssertionError(f"no {path}")


def test_lldb_dap_debugs_the_guest(shared: Life) -> None:
    """Two threads with stacks; the guest runs on after it, and Ctrl-C removes every trace."""
    LAUNCH.unlink(missing_ok=True)
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}", "--vscode"]
    command = subprocess.Popen(line, cwd=PROJECT, stderr=subprocess.PIPE)
    try:
        configured = written(LAUNCH)
        with subprocess.Popen(
            ["lldb-dap-19"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
