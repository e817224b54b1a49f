# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The harness works under KVM: shown on an emulated host, whose QEMU emulates AMD's SVM."""

import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import image, kernels
from harness.guest import session
from harness.host import config
from harness.model.machines import TargetSpec
from harness.model.session_request import SessionRequest
from harness.model.settings import Accel
from tests.kvm_host import brought
from tests.kvm_host.steps import STEPS, fault

SETTINGS = config.load(brought.ROOT / "pyproject.toml")
ENVIRONMENT = config.environment()
# One processor: with two, guests under KVM hung or died within minutes. Probably because QEMU's
# helper_vmrun leaves exception_index set after it has injected an interrupt, and so delivers the
# interrupt again, with interrupts off, when another processor makes this one leave its loop.
HOST = TargetSpec(image="kvm-host", kernel="6.1", vcpus=1, memory_mib=3072)
_BOOT_S = 300.0


def say(text: str) -> None:
    """Print a line of progress, which pytest shows for a failed test."""
    print(text, flush=True)  # noqa: T201


@pytest.mark.timeout(7500)
def test_the_harness_works_under_kvm_on_an_emulated_host(tmp_path: Path) -> None:
    """Every step of the plan ends as it should; the first one that does not is named."""
    root = ENVIRONMENT.cache
    kernel = kernels.ensure(HOST.kernel, SETTINGS.kernels[HOST.kernel], root=root, progress=say)
    guests = image.ensure(image.load_spec(SETTINGS.images, "debian-12"), root=root, progress=say)
    hosts = image.ensure(image.load_spec(SETTINGS.images, "kvm-host"), root=root, progress=say)
    (tmp_path / "share").mkdir()
    brought.fill(tmp_path / "share", guests, kernel, root=root)
    (tmp_path / "run").mkdir()
    request = SessionRequest(
        run_id=f"kvm-host-{secrets.token_hex(3)}",
        target_name="kvm-host",
        target=HOST,
        image=hosts,
        kernel=kernel,
        timeouts=replace(SETTINGS.timeouts, boot_s=_BOOT_S),
        cache=root,
        runtime=ENVIRONMENT.runtime,
        folder=tmp_path / "run",
        accel=Accel.TCG,
        share=tmp_path / "share",
    )

    with session.open_session(request, token=secrets.token_hex(8), progress=say) as live:
        for step in STEPS:
            begun = time.monotonic()
            ended = live.guest.run(step.command, deadline_s=step.deadline_s, check=False)
            took_s = time.monotonic() - begun
            say(f"--- {step.name}: {took_s:.0f} s\n{ended.stdout}{ended.stderr}")
            assert not fault(step, ended.status, ended.stdout + ended.stderr)
