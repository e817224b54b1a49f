# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.single_thread_qemu: QEMU gets libvirt's command line with two options changed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import single_thread_qemu
from harness.model.machines import TargetSpec
from harness.model.settings import Accel


def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Return the arguments that QEMU gets when the program is run with these words."""
    fake = tmp_path / "bin" / "qemu-system-x86_64"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nfor word in "$@"; do echo "[$word]"; done\n')
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _name: str(fake))
    done = subprocess.run(
        [single_thread_qemu.one_thread_program(tmp_path), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line[1:-1] for line in done.stdout.splitlines()]


def test_only_the_values_after_accel_and_cpu_are_changed_for_a_single_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that starts QEMU adds thread=single and removes cx16 there.

    Words with blanks stay whole, and 'tcg' elsewhere is not changed.
    """
    before, after = ("-name", "guest=a b"), ("-machine", "tcg", "")
    words = (*before, "-accel", "tcg", "-cpu", "max", *after)

    passed = arguments(tmp_path, monkeypatch, *words)

    assert passed == [
        *before,
        *("-accel", "tcg,thread=single"),
        *("-cpu", "max,cx16=off"),
        *after,
    ]


def test_a_command_line_with_another_accelerator_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script for QEMU's single thread passes the words of KVM guests on as they are."""
    words = ("-accel", "kvm", "-machine", "none,accel=kvm:tcg")

    assert arguments(tmp_path, monkeypatch, *words) == list(words)


def test_a_missing_qemu_is_a_hypervisor_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without QEMU the harness raises the error itself, because libvirt's is less clear."""
    monkeypatch.setattr(shutil, "which", lambda _name, **_options: None)

    with pytest.raises(HypervisorError, match="not installed"):
        single_thread_qemu.one_thread_program(tmp_path)


@pytest.mark.parametrize(
    ("version", "stale"),
    [("7.2.22", True), ("8.0.5", True), ("8.1.0", False), ("10.0.2", False), (None, True)],
)
def test_qemu_before_8_1_or_of_unknown_version_needs_the_single_thread(
    version: str | None, *, stale: bool
) -> None:
    """Older QEMU may run stale guest code on several threads; an unknown one counts as old."""
    assert single_thread_qemu.runs_stale_code({"qemu": version} if version else {}) is stale


@pytest.mark.parametrize(
    ("target", "accel", "version", "own"),
    [
        (TargetSpec(), Accel.TCG, "7.2.22", True),
        (TargetSpec(one_thread=False), Accel.TCG, "7.2.22", False),
        (TargetSpec(), Accel.KVM, "7.2.22", False),
        (TargetSpec(), Accel.TCG, "8.1.0", False),
    ],
)
def test_a_guest_gets_the_script_if_an_old_qemu_emulates_it_and_its_target_allows_it(
    target: TargetSpec,
    accel: Accel,
    version: str,
    *,
    own: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The script that makes QEMU single-threaded is not used with `one_thread = false`."""
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/qemu-system-x86_64")

    found = single_thread_qemu.emulator(target, accel, {"qemu": version}, root=tmp_path)

    assert (found is not None) is own
