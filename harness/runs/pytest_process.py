# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The pytest process of a suite: it runs on the host, and its KTAP is read line by line."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from harness.host import config

_LOG = logging.getLogger(__name__)


@contextmanager
def started(
    folder: Path,
    names: Sequence[str],
    *,
    long: bool,
    session_file: Path,
    log: Path,
    poll_s: float,
) -> Iterator[Iterator[str | None]]:
    """Run the named tests by pytest on this host, and give the lines of their KTAP as they come.

    The lines have a None whenever none came for `poll_s`. What pytest itself prints is added to
    `log`. The process is ended at the end of the block.
    """
    reader, writer = os.pipe()
    chosen = log.with_suffix(".chosen")
    chosen.write_text("".join(f"{name}\n" for name in names))
    command = [sys.executable, "-m", "pytest", str(folder), "-p", "harness"]
    # pytest's cache would be written into the user's project.
    command += ["-p", "no:cacheprovider", f"--ktap-fd={writer}", "--color=no", "-v"]
    command += [f"--harness-only={chosen}", *(["--long"] if long else [])]
    # A suite that goes on in another guest continues its log.
    with log.open("a") as output, os.fdopen(reader, "r", errors="backslashreplace") as ktap:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            env=config.child_environment(session_file),
            cwd=folder if folder.is_dir() else folder.parent,
            # Then `_end_group` also ends what the tests have started, and Ctrl-C reaches the
            # harness alone.
            start_new_session=True,
        )
        # The reader sees the end only when no process has the writing end open.
        os.close(writer)
        try:
            yield _queued(ktap, poll_s=poll_s)
        finally:
            _end_group(process)


def _queued(stream: Iterator[str], *, poll_s: float) -> Iterator[str | None]:
    """Yield the lines of a stream as they come, and None whenever none came for `poll_s` seconds.

    Reading the stream itself would block.
    """
    queue: Queue[str | None] = Queue()

    def read() -> None:
        for line in stream:
            queue.put(line.rstrip("\n"))
        queue.put(None)

    # A process that a test has left behind may hold the pipe open; it must not hold the harness.
    Thread(target=read, name="suite-output", daemon=True).start()
    while True:
        try:
            line = queue.get(timeout=poll_s)
        except Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _end_group(process: subprocess.Popen[bytes], *, grace_s: float = 5.0) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.wait(grace_s if number is signal.SIGKILL else 0.5)
        except subprocess.TimeoutExpired:
            _LOG.info("ending the suite's process %d with %s", process.pid, number.name)
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
    process.wait(grace_s)
