# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests to install packages in, and what is found there."""

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

# Emulated, on a host that others use, too: seconds of work there are minutes here.
STEP_S = 300.0
# Unpacking a kernel, or compiling the driver.
LONG_STEP_S = 3000.0
# A whole Debian, not made for tests, boots longer than the guests of the tests.
_BOOT_S = 180.0
_VERSIONED = re.compile(r"linux-image-\d+\.\d+\.\d+\S*-cloud-amd64")
# What changes by itself, and dpkg's and systemd's own books.
_VOLATILE = (
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/var/log", "/var/cache", "/var/tmp"),
    *("/var/lib/dpkg", "/var/lib/systemd", "/lib/modules"),
)


def say(text: str) -> None:
    """Show progress in pytest's captured output."""
    print(text, flush=True)  # noqa: T201


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a guest is made of, before it is one; its console goes into `folder`."""

    image: Image
    kernel: Kernel
    target: TargetSpec
    folder: Path

    @contextmanager
    def run(self, *, share: Path | None = None, fresh: bool = False) -> Iterator[Session]:
        """Give a session of it."""
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
            one_thread=self.target.one_thread,
        )
        with session.open_session(request, token=secrets.token_hex(8), progress=say) as live:
            yield live


def ordinary(folder: Path, *, cmdline: str = "") -> Machine:
    """Return the default target's machine, whose kernel is no package in it."""
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
    """One suite with two of its kernels: the oldest and the newest that its mirror has."""

    suite: str
    image_name: str

    def kernel_packages(self) -> tuple[str, str]:
        """Return the names of the two kernels' packages."""
        view = self._view()
        named = [one for one in apt.names("linux-image-", *view) if _VERSIONED.fullmatch(one)]
        known = apt.versions([*named, *map(_headers, named)], *view)
        offered = [one for one in named if one in known and _headers(one) in known]
        ordered = sorted(offered, key=_numbers)
        assert len(ordered) > 1, f"{self.suite} has one kernel only: {ordered}"
        return ordered[0], ordered[-1]

    def machine(self, package: str, folder: Path) -> Machine:
        """Return a machine on which a kernel is installed, with what builds modules for it."""
        spec = image.load_spec(SETTINGS.images, self.image_name)
        headers = _headers(package)
        spec = replace(spec, packages=(*spec.packages, package, headers))
        # Much of a boot patches code, and emulators before QEMU 8.1 may run what was there before.
        target = TargetSpec(image=self.image_name, kernel=package, one_thread=True)
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
        """Fetch all packages that come with a kernel where another one is installed."""
        view = self._view()
        known, coming = (
            apt.dependency_closure([one, _headers(one)], *view) for one in (beside, package)
        )
        # The same kernel without a signature conflicts with the one that has it.
        wanted = [one for one in coming - known if not one.endswith("-unsigned")]
        folder.mkdir(parents=True)
        apt.download(sorted(wanted), folder, *view)

    def _view(self) -> tuple[str, ...]:
        return apt_suite.view(self.suite, root=ENVIRONMENT.cache, progress=say)


def _headers(package: str) -> str:
    """Return the package of a kernel's headers."""
    return package.replace("-image-", "-headers-")


def _numbers(package: str) -> list[int]:
    """Return the numbers of a kernel's version, by which packages sort."""
    return [int(part) for part in re.findall(r"\d+", package.partition("-cloud")[0])]


def install(guest: Guest, files: Sequence[str], *, deadline_s: float = STEP_S) -> str:
    """Install packages by their paths in the guest, and return what dpkg said.

    INITRD=No: guests boot with an initrd of the harness, and a new one takes minutes to make.
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


def pushed(guest: Guest, files: Sequence[Path]) -> list[str]:
    """Copy packages into the guest and return their paths there."""
    paths = [f"/run/{file.name}" for file in files]
    items = [PushSpec(source=file, target=path) for file, path in zip(files, paths, strict=True)]
    guest.push(items, deadline_s=STEP_S)
    return paths


def state_of(guest: Guest, package: str) -> str:
    """Return what dpkg says of a package: "installed", "config-files", "" when unknown."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return guest.run(query, deadline_s=STEP_S, check=False).stdout.removeprefix("not-installed")


def files_of(guest: Guest) -> set[str]:
    """Return every file and folder of the guest but what changes by itself, with its mode."""
    pruned = " -o ".join(f"-path {place}" for place in _VOLATILE)
    script = (
        f"find / \\( {pruned} -o -path /usr/lib/modules \\) -prune -o -printf '%m %u %p %l\\n'; "
        "find /lib/modules/ -printf '%m %u %p %l\\n'"
    )
    return set(guest.run(script, deadline_s=LONG_STEP_S).stdout.splitlines())


def one_exec(guest: Guest) -> None:
    """Assert that osqtail shows an exec, and that it ends well."""
    script = "(sleep 2; exec /bin/true) & osqtail --count 1 --path '*/true' --idle-exit-ms 20000"
    lines = guest.run(script, deadline_s=STEP_S).stdout.splitlines()
    assert any('"type":"exec"' in line and "/true" in line for line in lines), lines


@contextmanager
def kept_disk(live: Session) -> Iterator[Path]:
    """Give the guest's disk under another name, so that it outlives the session.

    The guest's file system is written and read-only from here on. What QEMU has not given to the
    host yet it does when the CPUs stop: at its end it is killed.
    """
    since = live.watch.line_count
    live.guest.run("sync; echo u > /proc/sysrq-trigger", deadline_s=STEP_S)
    live.console.wait_for("Emergency Remount complete", deadline_s=STEP_S, since=since)
    live.domain.suspend()
    with tempfile.TemporaryDirectory(prefix="kept-", dir=ENVIRONMENT.cache) as name:
        kept = Path(name) / "disk.qcow2"
        os.link(live.entry.disk / "overlay.qcow2", kept)
        yield kept


def stand_in_for_kernel(release: str, folder: Path) -> Path:
    """Return a package that has the name of a kernel's, for a guest whose kernel is none.

    It holds what module packages look for: System.map, which Debian's own leaves empty, too.
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
