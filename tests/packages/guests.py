# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests in which packages are installed, and functions that inspect them."""

import os
import re
import secrets
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.artefacts import image, kernels
from harness.guest import session
from harness.guest.session import Session
from harness.host import apt, apt_suite
from harness.model.machines import KernelSpec, TargetSpec
from harness.model.session_request import SessionRequest
from harness.model.settings import Image, Kernel, PushSpec
from harness.systems.ssh import Guest
from tests.packages.releases import ENVIRONMENT, SETTINGS

# Guests are emulated on a shared host: seconds of work can take minutes.
STEP_S = 300.0
# For steps that unpack a kernel or compile the driver.
LONG_STEP_S = 3000.0
# A complete Debian boots longer than the small guests of other tests.
_BOOT_S = 180.0
_VERSIONED = re.compile(r"linux-image-\d+\.\d+\.\d+\S*-cloud-amd64")
# Files that change by themselves, and the state files of dpkg and systemd.
_VOLATILE = (
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/var/log", "/var/cache", "/var/tmp"),
    *("/var/lib/dpkg", "/var/lib/systemd", "/lib/modules"),
)


def say(text: str) -> None:
    """Print a line of progress, which pytest shows for a failed test."""
    print(text, flush=True)  # noqa: T201


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The parts of a guest that can be started; its console is logged into `folder`."""

    image: Image
    kernel: Kernel
    target: TargetSpec
    folder: Path

    @contextmanager
    def run(self, *, share: Path | None = None, fresh: bool = False) -> Iterator[Session]:
        """Start the guest and run it while the block runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        request = SessionRequest(
            run_id=f"packages-{time.time_ns():x}",
            target_name="packages",
            target=self.target,
            image=self.image,
            kernel=self.kernel,
            timeouts=replace(SETTINGS.timeouts, boot_s=_BOOT_S),
            cache=ENVIRONMENT.cache,
            runtime=ENVIRONMENT.runtime,
            folder=self.folder,
            share=share,
            fresh=fresh,
        )
        with session.open_session(request, token=secrets.token_hex(8), progress=say) as live:
            yield live


def ordinary(folder: Path, *, cmdline: str = "") -> Machine:
    """Return the default target's machine, whose kernel is not installed as a package."""
    target = SETTINGS.targets[SETTINGS.default_target]
    root = ENVIRONMENT.cache
    return Machine(
        image=image.ensure(
            image.load_spec(SETTINGS.images, target.image), root=root, progress=say
        ),
        kernel=kernels.ensure(
            target.kernel, SETTINGS.kernels[target.kernel], root=root, progress=say
        ),
        target=replace(target, cmdline=cmdline),
        folder=folder,
    )


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A Debian suite, from which the oldest and the newest kernel are used."""

    suite: str
    image_name: str

    def kernel_packages(self) -> tuple[str, str]:
        """Return the package names of the oldest and the newest kernel."""
        view = self._view()
        named = [one for one in apt.names("linux-image-", *view) if _VERSIONED.fullmatch(one)]
        known = apt.versions([*named, *map(_headers, named)], *view)
        offered = [one for one in named if one in known and _headers(one) in known]
        ordered = sorted(offered, key=_numbers)
        assert len(ordered) > 1, f"{self.suite} has one kernel only: {ordered}"
        return ordered[0], ordered[-1]

    def machine(self, package: str, folder: Path) -> Machine:
        """Return a machine with a kernel, its headers and a compiler installed."""
        spec = image.load_spec(SETTINGS.images, self.image_name)
        headers = _headers(package)
        spec = replace(spec, packages=(*spec.packages, package, headers))
        target = TargetSpec(image=self.image_name, kernel=package)
        return Machine(
            image=image.ensure(spec, root=ENVIRONMENT.cache, progress=say),
            kernel=self.kernel(package),
            target=target,
            folder=folder,
        )

    def kernel(self, package: str) -> Kernel:
        """Return a kernel of the suite, unpacked for booting."""
        spec = KernelSpec(package=package, suite=self.suite)
        return kernels.ensure(package, spec, root=ENVIRONMENT.cache, progress=say)

    def fetch(self, package: str, folder: Path, *, beside: str) -> None:
        """Download the packages that a second kernel needs beside the first one."""
        view = self._view()
        known, coming = (
            apt.dependency_closure([one, _headers(one)], *view) for one in (beside, package)
        )
        # An unsigned kernel package conflicts with the signed one of the same version.
        wanted = [one for one in coming - known if not one.endswith("-unsigned")]
        folder.mkdir(parents=True)
        apt.download(sorted(wanted), folder, *view)

    def _view(self) -> tuple[str, ...]:
        return apt_suite.view(self.suite, root=ENVIRONMENT.cache, progress=say)


def _headers(package: str) -> str:
    """Return the name of a kernel's headers package."""
    return package.replace("-image-", "-headers-")


def _numbers(package: str) -> list[int]:
    """Return the numbers in a kernel package's name, which sort as versions."""
    return [int(part) for part in re.findall(r"\d+", package.partition("-cloud")[0])]


def install(guest: Guest, files: Sequence[str], *, deadline_s: float = STEP_S) -> str:
    """Install packages by their paths in the guest, and return dpkg's output.

    With INITRD=No no initrd is built, which would take minutes and is not used by the guest.
    """
    done = guest.run(
        f"DEBIAN_FRONTEND=noninteractive INITRD=No dpkg -i {shlex.join(files)} 2>&1",
        deadline_s=deadline_s,
        check=False,
    )
    if done.status != 0:
        logs = "tail -n 30 /var/lib/dkms/*/*/build/make.log"
        why = guest.run(logs, deadline_s=STEP_S, check=False).stdout
        pytest.fail(f"dpkg: {done.stdout}\n{why}", pytrace=False)
    return done.stdout


def push(guest: Guest, files: Sequence[Path]) -> list[str]:
    """Copy packages into the guest and return their paths there."""
    paths = [f"/run/{file.name}" for file in files]
    items = [PushSpec(source=file, target=path) for file, path in zip(files, paths, strict=True)]
    guest.push(items, deadline_s=STEP_S)
    return paths


def state_of(guest: Guest, package: str) -> str:
    """Return dpkg's state of a package: "installed", "config-files", "" when unknown."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return guest.run(query, deadline_s=STEP_S, check=False).stdout.removeprefix("not-installed")


def files_of(guest: Guest) -> set[str]:
    """Return all files of the guest with mode and owner, except what changes by itself."""
    pruned = " -o ".join(f"-path {place}" for place in _VOLATILE)
    script = (
        f"find / \\( {pruned} -o -path /usr/lib/modules \\) -prune -o -printf '%m %u %p %l\\n'; "
        "find /lib/modules/ -printf '%m %u %p %l\\n'"
    )
    return set(guest.run(script, deadline_s=LONG_STEP_S).stdout.splitlines())


def assert_osqtail_prints_an_exec(guest: Guest) -> None:
    """Run a program and assert that osqtail prints its exec and exits with 0."""
    script = "(sleep 2; exec /bin/true) & osqtail --count 1 --path '*/true' --idle-exit-ms 20000"
    lines = guest.run(script, deadline_s=STEP_S).stdout.splitlines()
    assert any('"type":"exec"' in line and "/true" in line for line in lines), lines


@contextmanager
def keep_disk(live: Session) -> Iterator[Path]:
    """Link the guest's disk to a second name, so that it outlives the session.

    The guest's file system is synchronised and made read-only. Stopping the CPUs makes QEMU write
    its own buffers, which would be lost when it is killed at the end of the session.
    """
    since = live.watch.line_count
    live.guest.run("sync; echo u > /proc/sysrq-trigger", deadline_s=STEP_S)
    live.console.wait_for("Emergency Remount complete", deadline_s=STEP_S, since=since)
    live.domain.suspend()
    with tempfile.TemporaryDirectory(prefix="kept-", dir=ENVIRONMENT.cache) as name:
        kept = Path(name) / "disk.qcow2"
        os.link(live.entry.disk / "overlay.qcow2", kept)
        yield kept


def build_kernel_stand_in(release: str, folder: Path) -> Path:
    """Build an empty package with the name of a kernel's package.

    Module packages depend on that name. It has a System.map, which is empty in Debian's package,
    too.
    """
    root = folder / "stand-in"
    control = (
        f"Package: linux-image-{release}\nVersion: 0\nArchitecture: amd64\n"
        "Maintainer: test <test@test.invalid>\nDescription: stands in for the kernel's package\n"
    )
    for name, text in {"DEBIAN/control": control, f"boot/System.map-{release}": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    made = folder / "stand-in.deb"
    subprocess.run(["dpkg-deb", "--build", root, made], check=True, capture_output=True)
    return made
