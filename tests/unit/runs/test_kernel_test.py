# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kernel_test: a request that cannot be carried out is no lost run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import requested
from harness.errors import GuestLost, HarnessError, UsageError
from harness.guest import session
from harness.host import config
from harness.model.limits import Timeouts
from harness.model.machines import KernelSpec
from harness.model.request import KernelTestRequest
from harness.model.session_request import SessionRequest
from harness.model.settings import Accel, Image, Kernel, ModuleBuild, RunReport, Verdict
from harness.report.live_view import PlainView
from harness.runs import kernel_test, loaded_guest


@pytest.fixture
def request_(tmp_path: Path) -> KernelTestRequest:
    """Return the request to run a command in a guest of a project with one module."""
    (tmp_path / "Kbuild").write_text("obj-m := thing.o\n")
    (tmp_path / "thing.c").write_text("")
    (tmp_path / "modlab.toml").write_text("")
    return KernelTestRequest(
        settings=config.load(tmp_path / "modlab.toml"),
        environment=config.environment({"HARNESS_CACHE": str(tmp_path / "cache")}),
        target_name=None,
        command="true",
        run_id="one",
    )


def failing(monkeypatch: pytest.MonkeyPatch, error: HarnessError) -> None:
    """Let the start of a guest end in an error."""

    @contextmanager
    def open_guest(*_arguments: object) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr(kernel_test, "open_guest", open_guest)


def test_a_request_that_the_kernel_does_not_allow_is_a_usage_error_with_a_report(
    request_: KernelTestRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a kernel lacks 9p for --writable, UsageError is raised and report.json has it, too."""
    failing(monkeypatch, UsageError("--writable: no 9p"))

    with pytest.raises(UsageError, match="no 9p"):
        kernel_test.run(request_, PlainView())

    report = json.loads((request_.runs / "one" / "report.json").read_text())
    assert report["reason"] == "--writable: no 9p"


def test_a_guest_that_does_not_start_is_a_lost_run(
    request_: KernelTestRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kernel-test's report then has the verdict lost with the error's text; nothing is raised."""
    failing(monkeypatch, GuestLost("no answer"))

    report: RunReport = kernel_test.run(request_, PlainView())

    assert (report.verdict, report.reason) == (Verdict.LOST, "no answer")


def test_a_run_whose_guest_never_answers_has_its_accelerator_deadlines_and_kernel(
    request_: KernelTestRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost run that was to use KVM says so, with the factor of a slow host and the kernel."""
    settings = request_.settings
    target = settings.targets[settings.default_target]
    asked = SessionRequest(
        run_id="one",
        target_name=settings.default_target,
        target=target,
        image=Image(name="i", key="k", disk=tmp_path, ssh_key=tmp_path, host_key=""),
        kernel=kernel(tmp_path, ""),
        timeouts=Timeouts(kvm_factor=5.0),
        cache=tmp_path,
        runtime=tmp_path,
        folder=tmp_path,
    )
    built = ModuleBuild(
        name="m",
        release="6.1",
        stripped=tmp_path,
        debug=tmp_path,
        build_id="",
        log=tmp_path,
        fresh=False,
    )

    def open_session(*_arguments: object, **_options: object) -> None:
        raise GuestLost("the guest did not answer")

    monkeypatch.setattr(loaded_guest, "_artefacts", lambda *_arguments: asked)
    monkeypatch.setattr(requested, "modules", lambda *_arguments: (built, {}))
    monkeypatch.setattr(requested, "keep_modules", lambda *_arguments: None)
    monkeypatch.setattr(session, "open_session", open_session)

    report = kernel_test.run(replace(request_, accel=Accel.KVM), PlainView())

    assert (report.verdict, report.reason) == (Verdict.LOST, "the guest did not answer")
    assert (report.accel, report.deadline_factor) == (Accel.KVM, 5.0)
    assert report.provenance.kernel_release == "6.1.0-cloud"


def kernel(folder: Path, options: str) -> Kernel:
    """Return a kernel with these lines in its configuration."""
    file = folder / "config"
    file.write_text(options)
    return Kernel(
        name="own",
        release="6.1.0-cloud",
        version="1",
        key="k",
        vmlinuz=folder,
        initrd=folder,
        modules_disk=folder,
        kdir=folder,
        config=file,
    )


def test_a_kernel_without_9p_is_refused_with_the_kernels_that_have_it(tmp_path: Path) -> None:
    """--writable needs 9p in the guest's kernel; a kernel of unknown configuration passes."""
    cloud = KernelSpec(package="linux-image-cloud-amd64")
    configured = {"own": cloud, "6.1": KernelSpec(package="linux-image-amd64")}

    for options in ("CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=y\n", ""):
        loaded_guest._check_9p(kernel(tmp_path, options), configured)
    with pytest.raises(UsageError) as caught:
        loaded_guest._check_9p(kernel(tmp_path, "CONFIG_9P_FS=m\n"), configured)
    with pytest.raises(UsageError) as alone:
        loaded_guest._check_9p(kernel(tmp_path, "CONFIG_X=y\n"), {"own": cloud})

    assert "own (6.1.0-cloud) has no CONFIG_NET_9P_VIRTIO, so" in caught.value.message
    assert "give --kernel 6.1, or leave --writable out" in caught.value.hint
    assert "no CONFIG_9P_FS and no CONFIG_NET_9P_VIRTIO" in alone.value.message
    assert "give a kernel that has them" in alone.value.hint
