# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run through the life of an installation on Debian 12 and 13: DKMS, upgrades, purge."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.session import Session
from harness.release.packages import Release
from harness.release.signing import SigningKey
from harness.systems.linux import kmod
from harness.systems.ssh import Guest
from tests.packages.guests import (
    LONG_STEP_S,
    STEP_S,
    Distribution,
    assert_osqtail_prints_an_exec,
    files_of,
    install,
    keep_disk,
    state_of,
)
from tests.packages.releases import SETTINGS, make_release, package

pytestmark = pytest.mark.long

NAMES = ("libosq0", "libosq-dev", "osq-dkms", "osq", "osq-subscriber")
DEBIANS = (
    Distribution(suite="bookworm", image_name="debian-12-packages"),
    Distribution(suite="trixie", image_name="debian-13-packages"),
)
# DKMS makes this key at its first build and keeps it for all modules.
_OF_DKMS = {"/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub"}
# Links of Debian's kernel packages to the newest kernel.
_OF_KERNELS = {"/vmlinuz", "/vmlinuz.old", "/initrd.img", "/initrd.img.old"}
_PROGRAM = """
#include <errno.h>
#include <stdio.h>
#include <libosq.h>
int main(void)
{
	struct osq_client client;
	int err = osq_client_open(&client, NULL, 8192);

	if (!err)
		err = osq_client_subscribe(&client, OSQ_TYPE_EXEC, 1, 0);
	printf("%d\\n", err);
	osq_client_close(&client);
	return err != 0;
}
"""


@pytest.fixture(scope="module")
def next_release(
    release: Release, key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """Build a second release with a higher version and the same content, without a module."""
    later = replace(release.version, text=f"{release.version.text}+later")
    return make_release(
        tmp_path_factory.mktemp("later") / "out", key=key, version=later, kernels=()
    )


@pytest.mark.parametrize("debian", DEBIANS, ids=lambda one: one.suite)
def test_packages_record_execs_after_upgrades_and_purging_them_leaves_no_file(
    debian: Distribution, release: Release, next_release: Release, tmp_path: Path
) -> None:
    """Guests of Debian 12 and 13 install, upgrade, change the kernel, reboot and purge them."""
    old, new = debian.kernel_packages()
    share = tmp_path / "share"
    for name, one in (("first", release), ("later", next_release)):
        (share / name).mkdir(parents=True)
        for package_name in NAMES:
            shutil.copy(package(one, package_name), share / name)
    debian.fetch(new, share / "kernel", beside=old)
    machine = debian.machine(old, tmp_path / "first-boot")
    with machine.run(share=share, fresh=True) as live:
        unmount_harness_modules(live)
        before = files_of(live.guest)
        install_and_upgrade(live.guest, machine.kernel.release, release, next_release)
        install_another_kernel(live.guest, debian.kernel(new).release, next_release)
        with keep_disk(live) as disk:
            live.end()
            image = replace(machine.image, disk=disk, key=f"{machine.image.key}-kept")
            again = replace(
                machine, image=image, kernel=debian.kernel(new), folder=tmp_path / "second-boot"
            )
            with again.run(share=share, fresh=True) as next_life:
                unmount_harness_modules(next_life)
                use_and_purge_on_the_new_kernel(next_life, before)


def unmount_harness_modules(live: Session) -> None:
    """Unmount the harness's modules, so that the guest sees those of its own packages.

    The unmount is lazy, because a program of the boot may still read there.
    """
    live.guest.run("umount -l /lib/modules", deadline_s=STEP_S)


def install_and_upgrade(guest: Guest, running: str, release: Release, later: Release) -> None:
    """Install the first release, use it, and upgrade to the next while its service runs."""
    output = install(guest, ["--recursive", "/mnt/share/first"], deadline_s=LONG_STEP_S)
    assert built_for(guest, release) == {running}, output
    use(guest)
    guest.run("systemctl start osqtail", deadline_s=STEP_S)

    output = install(guest, ["--recursive", "/mnt/share/later"], deadline_s=LONG_STEP_S)

    assert built_for(guest, later) == {running}, output
    assert built_for(guest, release) == set()
    active = guest.run("systemctl is-active osqtail", deadline_s=STEP_S).stdout
    assert active == "active\n"
    guest.run("systemctl stop osqtail; rmmod osq", deadline_s=STEP_S)
    use(guest)


def install_another_kernel(guest: Guest, coming: str, later: Release) -> None:
    """Install another kernel and assert that DKMS builds the module for it."""
    known = built_for(guest, later)

    output = install(guest, ["--recursive", "/mnt/share/kernel"], deadline_s=LONG_STEP_S)

    assert built_for(guest, later) == known | {coming}, output


def use_and_purge_on_the_new_kernel(live: Session, before: set[str]) -> None:
    """On the new kernel: loaded at boot, used, removed, purged, and nothing is left."""
    guest = live.guest
    guest.run("rmmod osq 2>/dev/null; systemctl restart systemd-modules-load", deadline_s=STEP_S)
    loader = guest.run("journalctl -u systemd-modules-load", deadline_s=STEP_S).stdout
    assert "osq " in guest.run("cat /proc/modules", deadline_s=STEP_S).stdout, loader
    use(guest)
    guest.run(["dpkg", "--remove", *reversed(NAMES)], deadline_s=LONG_STEP_S)
    assert "osq " not in guest.run("cat /proc/modules", deadline_s=STEP_S).stdout
    guest.run(["dpkg", "--purge", *reversed(NAMES)], deadline_s=LONG_STEP_S)
    assert {state_of(guest, name) for name in NAMES} == {""}
    assert left_over(guest, before) == set()
    allowed = SETTINGS.allow_kernel_lines
    assert kmod.last_word(guest, live.token, allow=allowed) == ()


def left_over(guest: Guest, before: set[str]) -> set[str]:
    """Return the new paths in the guest that belong neither to a package nor to a kernel."""
    paths = {line.split(" ", 3)[2] for line in files_of(guest) - before}
    owned = guest.run(
        "cat /var/lib/dpkg/info/*.list; for d in $(ls /lib/modules); do "
        "for f in /lib/modules/$d/modules.*; do echo $f; done; done",
        deadline_s=LONG_STEP_S,
    ).stdout.splitlines()
    known = set(owned) | {f"/usr{path}" for path in owned if path.startswith("/lib/")}
    known |= {path.removeprefix("/usr") for path in known}
    return paths - known - _OF_DKMS - _OF_KERNELS


def built_for(guest: Guest, release: Release) -> set[str]:
    """Return the kernels for which DKMS has installed a release's module."""
    version = release.version.text
    lines = guest.run("dkms status", deadline_s=STEP_S).stdout.splitlines()
    found = {
        line.split(",")[1].strip()
        for line in lines
        if line.startswith((f"osq/{version},", f"osq, {version},")) and "installed" in line
    }
    for kernel in found:
        where = f"ls /lib/modules/{kernel}/updates/dkms/osq.ko*"
        assert guest.run(where, deadline_s=STEP_S).stdout
    return found


def use(guest: Guest) -> None:
    """Load the module; read records with osqtail, a compiled program and the subscriber."""
    guest.run("modprobe osq", deadline_s=STEP_S)
    assert guest.run("stat -c %a /dev/osquery", deadline_s=STEP_S).stdout == "600\n"
    assert_osqtail_prints_an_exec(guest)
    guest.run("cat > /tmp/user.c", deadline_s=STEP_S, input=_PROGRAM.encode())
    build = "cc -Wall -Werror -o /tmp/user /tmp/user.c $(pkg-config --cflags --libs osq)"
    assert guest.run(f"{build} && /tmp/user", deadline_s=STEP_S).stdout == "0\n"
    subscribe(guest)


def subscribe(guest: Guest) -> None:
    """Start the subscriber's service, and assert that it stores an exec."""
    guest.run("systemctl start osq-subscriber", deadline_s=STEP_S)
    query = "SELECT count(*) AS n FROM kprocess_events WHERE cmdline = '/bin/true a-mark'"
    script = f"""
before=$(osq query --csv "{query}" | tail -n 1)
for try in $(seq 60); do
    /bin/true a-mark; sleep 1
    after=$(osq query --csv "{query}" | tail -n 1)
    test "$after" -gt "${{before:-0}}" && echo "$after" && break
done
"""
    found = guest.run(script, deadline_s=STEP_S, check=False)
    output = guest.run("journalctl -u osq-subscriber | tail", deadline_s=STEP_S).stdout
    guest.run("systemctl stop osq-subscriber", deadline_s=STEP_S)
    assert found.stdout, f"{found.stderr}\n{output}"
