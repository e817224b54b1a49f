# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.doctor: each lack is reported with the command that helps."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.host import accelerator, apt, debuggers, doctor
from harness.host.debuggers import Debugger, Program
from harness.host.doctor import Level
from harness.model.settings import Accel

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - it stands in for shutil's own


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the host's properties by those of a complete host."""
    monkeypatch.setattr(accelerator, "usable_accel", lambda: (Accel.KVM, "it works"))
    monkeypatch.setattr(apt, "debian_sources", lambda _suite: ["one"])
    monkeypatch.setattr(
        shutil, "which", lambda _name, path=None: "/bin/true" if not path else None
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 1 << 40))
    there = Path("/usr/bin/lldb-19")
    monkeypatch.setattr(
        debuggers, "choose", lambda kind: Program(debugger=Debugger(kind), path=there, major=19)
    )


def test_on_a_complete_host_the_doctor_proposes_no_remedy(tmp_path: Path) -> None:
    """On a host that has all it needs, no finding of the task doctor has a command to run."""
    findings = doctor.examine(tmp_path / "not" / "there" / "yet")

    assert doctor.usable(findings)
    assert "lldb: /usr/bin/lldb-19, version 19" in [finding.what for finding in findings]
    assert not [finding.what for finding in findings if finding.cure]


def test_the_doctor_calls_a_host_without_kvm_usable_but_slow_and_gives_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task doctor's finding at level SLOW says why KVM cannot be used."""
    monkeypatch.setattr(accelerator, "usable_accel", lambda: (Accel.TCG, "no vmx"))

    findings = doctor.examine(tmp_path)

    assert doctor.usable(findings)
    (note,) = [finding for finding in findings if finding.level is Level.SLOW]
    assert "no vmx" in note.what


def test_the_doctor_reports_a_full_disk_and_the_apt_get_commands_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task doctor calls a host with a full disk, or without tools or lists, unusable.

    The report has the commands that get the lists and the tools.
    """

    def no_lists(_suite: str) -> list[str]:
        raise Lost("apt knows nothing", hint="apt-get update")

    monkeypatch.setattr(apt, "debian_sources", no_lists)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 1 << 20))
    monkeypatch.setattr(shutil, "which", lambda _name, path=None: path and None)

    def no_debugger(kind: str) -> Program:
        raise UsageError("none", hint=f"apt-get install {kind}-19")

    monkeypatch.setattr(debuggers, "choose", no_debugger)

    findings = doctor.examine(tmp_path)

    text = "\n".join(line for finding in findings for line in doctor.lines(finding))
    assert not doctor.usable(findings)
    assert "MISSING  disk: 1 MiB free" in text
    assert "-> apt-get update" in text
    assert "-> apt-get install mmdebstrap, or modlab setup" in text
    assert (
        "note     lldb: not installed (debugs kernels)\n         -> apt-get install lldb-19"
        in text
    )
