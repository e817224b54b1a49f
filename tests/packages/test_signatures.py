# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests on a kernel that enforces module signatures, with trusted and other modules."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.settings import PushSpec
from harness.release import signing
from harness.release.packages import Release
from tests.packages.guests import STEP_S, ordinary
from tests.packages.releases import ROOT, contents, package

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "tests/data/example_module"
ENFORCE = "module.sig_enforce=1"


def test_enforcing_kernel_refuses_untrusted_modules(release: Release, tmp_path: Path) -> None:
    """A real guest with module.sig_enforce loads Debian's module, and none without Debian's key.

    A module of ours is trusted only if the machine's owner keys have its certificate, which needs
    UEFI.
    """
    machine = ordinary(tmp_path / "run", cmdline=ENFORCE)
    name = f"osq-modules-{machine.kernel.release}"
    signed = tmp_path / "osq.ko"
    signed.write_bytes(
        contents(package(release, name))[
            f"/lib/modules/{machine.kernel.release}/updates/osq/osq.ko"
        ]
    )
    unsigned = tmp_path / "unsigned.ko"
    unsigned.write_bytes(signing.split(signed.read_bytes())[0])
    with machine.run(fresh=True) as live:
        guest = live.guest
        guest.run("modprobe overlay", deadline_s=STEP_S)
        for file, words in (
            (unsigned, "unsigned module"),
            (signed, "module with unavailable key"),
        ):
            guest.push([PushSpec(source=file, target="/run/osq.ko")], deadline_s=STEP_S)
            done = guest.run("insmod /run/osq.ko 2>&1", deadline_s=STEP_S, check=False)
            assert done.status != 0
            assert "Key was rejected by service" in done.stdout
            log = guest.run("dmesg", deadline_s=STEP_S).stdout
            assert f"Loading of {words} is rejected" in log


def test_task_kernel_load_prints_cause_and_two_solutions_if_a_kernel_refuses_an_unsigned_module(
    tmp_path: Path,
) -> None:
    """In a real guest with module.sig_enforce, kernel-load exits with 1 and explains it."""
    root = tmp_path / "project"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("build"))
    file = root / "pyproject.toml"
    text = file.read_text().replace('"../../../vm-images"', f'"{ROOT / "vm-images"}"')
    target = "[tool.harness.targets.debian-12]\n"
    assert target in text
    file.write_text(text.replace(target, f'{target}cmdline = "{ENFORCE}"\n'))

    done = subprocess.run(
        [sys.executable, "-m", "invoke", "kernel-load", "debian-12", f"--config={file}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
        stdin=subprocess.DEVNULL,
    )

    message = " ".join(done.stderr.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Loading of unsigned module is rejected" in message
    assert "does not load: Key was rejected by service" in message
    assert "hint: this kernel loads only modules signed with a key that it trusts" in message
    assert f"leave {ENFORCE} out of the target's cmdline" in message
    assert "modlab packages --key" in message
