# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest with the module loaded for debugger tests, and one that they may crash."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.guest import registry
from harness.guest.registry import GuestEntry
from harness.host import config
from harness.systems.ssh import Guest
from tests.debug.terminal import PROJECT

_START_S = 400
# The kernel's symbols are some 280 MB, which are fetched once.
FETCH_S = 900


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker by which `invoke test` chooses its debugger tests."""
    config.addinivalue_line("markers", "short: of the part that every run of the full set has")


def invoke(*words: str, deadline_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a command of the project and return its result."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def standing() -> Iterator[GuestEntry]:
    """Give a guest that only one test uses, which may crash it."""
    yield from _standing()


@pytest.fixture(scope="session")
def shared() -> Iterator[GuestEntry]:
    """Give a guest that tests share; each test restores its state."""
    yield from _standing()


def _standing() -> Iterator[GuestEntry]:
    symbols = invoke("kernel-symbols", deadline_s=FETCH_S)
    assert symbols.returncode == 0, symbols.stderr
    done = invoke("kernel-test-load", deadline_s=_START_S)
    match = re.search(r"^guest (\S+) stays up", done.stdout, re.MULTILINE)
    assert match, done.stdout + done.stderr
    life = registry.read(config.environment().runtime / match[1])
    assert life is not None
    try:
        yield life
    finally:
        invoke("guest-stop", f"--run={life.run_id}")


@pytest.fixture
def ssh(shared: GuestEntry) -> Iterator[Guest]:
    """Give a connection to the shared guest."""
    with Guest.connect(shared.endpoint, deadline_s=40, alive=lambda: None) as guest:
        yield guest
