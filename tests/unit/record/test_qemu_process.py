# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of qemu_process: an unsuitable QEMU is refused, and a started process always ends."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import HypervisorError, UsageError
from harness.model.settings import Accel
from harness.record import qemu_process
from harness.record.qemu_process import Recorder

SLEEP = Recorder(program=Path("/bin/sleep"), version="1")
ICOUNT = "-icount [shift=N|auto][,rr=record|replay,rrfile=<filename>]"


def program(folder: Path, version: str, *, accels: str = "tcg kvm", options: str = ICOUNT) -> str:
    """Write a program that answers the queries as a QEMU of this version would."""
    path = folder / "qemu"
    path.write_text(
        f"#!/bin/sh\ncase $1 in\n--version) echo 'QEMU emulator version {version}' ;;\n"
        f"-accel) echo {accels} ;;\n-help) echo '{options}' ;;\nesac\n"
    )
    path.chmod(0o755)
    return str(path)


def test_version_includes_the_distributions_revision(tmp_path: Path) -> None:
    """A recording needs exactly its QEMU, since Debian's patches can change the log's format."""
    found = qemu_process.recorder(
        arch="x86_64", accel=Accel.TCG, program=program(tmp_path, "7.2.22 (Debian 1:7.2+u18)")
    )

    assert found.version == "7.2.22 (Debian 1:7.2+u18)"


@pytest.mark.parametrize(
    ("version", "accels", "options", "message"),
    [
        ("5.1.0", "tcg", ICOUNT, "too old"),
        ("7.2.0", "kvm", ICOUNT, "without TCG"),
        ("7.2.0", "tcg", "-smp", "without -icount"),
        ("unknown", "tcg", ICOUNT, "does not print its version"),
    ],
)
def test_qemu_without_record_support_is_refused(
    tmp_path: Path, version: str, accels: str, options: str, message: str
) -> None:
    """A QEMU without record and replay is refused before a guest starts."""
    lacking = program(tmp_path, version, accels=accels, options=options)

    with pytest.raises(UsageError, match=message):
        qemu_process.recorder(arch="x86_64", accel=None, program=lacking)


def test_a_qemu_that_does_not_answer_is_no_fault_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake QEMU that hangs at --version or cannot be executed raises HypervisorError."""
    monkeypatch.setattr(qemu_process, "_QUERY_DEADLINE_S", 0.1)
    hung, broken = tmp_path / "hung", tmp_path / "broken"
    hung.write_text("#!/bin/sh\nexec sleep 60\n")
    broken.write_text("")
    for file in (hung, broken):
        file.chmod(0o755)

    with pytest.raises(HypervisorError, match=r"did not answer --version") as caught:
        qemu_process.recorder(arch="x86_64", accel=None, program=str(hung))
    assert caught.value.exit_code == 4
    with pytest.raises(HypervisorError, match="cannot be started"):
        qemu_process.recorder(arch="x86_64", accel=None, program=str(broken))


def test_kvm_other_architectures_and_a_missing_qemu_are_refused() -> None:
    """A recording with KVM, of another architecture or without QEMU is refused with the reason."""
    with pytest.raises(UsageError, match="KVM cannot"):
        qemu_process.recorder(arch="x86_64", accel=Accel.KVM)
    with pytest.raises(UsageError, match="aarch64"):
        qemu_process.recorder(arch="aarch64", accel=None)
    with pytest.raises(UsageError, match="not installed"):
        qemu_process.recorder(arch="x86_64", accel=None, program="qemu-of-no-host")


def test_qemu_is_ended_when_an_exception_leaves_the_with_block(tmp_path: Path) -> None:
    """No process is left after a block that ends with an exception."""
    with (
        pytest.raises(KeyboardInterrupt),
        qemu_process.start_qemu(
            SLEEP, ["60"], log=tmp_path / "log", qmp=tmp_path / "qmp"
        ) as found,
    ):
        assert found.alive
        raise KeyboardInterrupt

    assert not psutil.pid_exists(found.process.pid)


def test_qemu_ends_when_the_harness_is_killed(tmp_path: Path) -> None:
    """No process is left when the harness is killed, although it cannot clean up."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from harness.record import qemu_process as q\n"
        "log = Path(sys.argv[1])\n"
        "recorder = q.Recorder(program=Path('/bin/sleep'), version='1')\n"
        "with q.start_qemu(recorder, ['60'], log=log, qmp=log) as found:\n"
        "    print(found.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    left = int(done.stdout)
    psutil.wait_procs([psutil.Process(left)] if psutil.pid_exists(left) else [], timeout=10)
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == "zombie"


def test_qemu_without_a_qmp_answer_raises_an_error_with_its_output_as_evidence(
    tmp_path: Path,
) -> None:
    """If QEMU does not open its QMP socket, the error has the output of QEMU as evidence."""
    log = tmp_path / "log"
    with qemu_process.start_qemu(SLEEP, ["x"], log=log, qmp=tmp_path / "qmp") as found:
        found.process.wait(10)

        with pytest.raises(HypervisorError, match="query-replay") as caught:
            found.query_count()

    assert any("invalid" in line for line in caught.value.evidence)
