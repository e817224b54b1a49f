# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The module for one kernel and the tools, installed in a guest: used, removed, purged."""

from pathlib import Path

from harness.release.packages import Release
from harness.systems.linux import kmod
from harness.systems.ssh import Guest
from tests.packages.guests import (
    STEP_S,
    files_of,
    install,
    one_exec,
    ordinary,
    pushed,
    stand_in_for_kernel,
    state_of,
)
from tests.packages.releases import SETTINGS, package

# The harness boots this guest with modules that nobody can write: what dpkg adds lies over them.
_WRITABLE_MODULES = """set -e
modprobe overlay
mkdir /run/added
mount -t tmpfs added /run/added
mkdir /run/added/files /run/added/work
mount -t overlay -o lowerdir=/lib/modules,upperdir=/run/added/files,workdir=/run/added/work \
	modules /lib/modules
"""

# The service loads the module itself. What it has written, the journal may show a while later.
_RECORD = """set -e
written() { journalctl --sync; journalctl -u osqtail -o cat | grep -q "$1"; }
rmmod osq
systemctl start osqtail
until written '"type":"ready"'; do sleep 0.2; done
until written '"type":"exec"'; do /bin/true; done
systemctl stop osqtail
"""


def test_install_use_remove_purge(release: Release, tmp_path: Path) -> None:
    """The node is root's alone, the service records, and after purge no file is left."""
    machine = ordinary(tmp_path / "run")
    built = f"osq-modules-{machine.kernel.release}"
    packages = [package(release, name) for name in (built, "libosq0", "osq")]
    stand_in = stand_in_for_kernel(machine.kernel.release, tmp_path)
    with machine.run() as live:
        guest = live.guest
        guest.run(_WRITABLE_MODULES, deadline_s=STEP_S)
        install(guest, pushed(guest, [stand_in]))
        guest.run(f"depmod {machine.kernel.release}", deadline_s=STEP_S)
        hold_the_list_to_see_what_is_left(guest)
        before = files_of(guest)

        install(guest, pushed(guest, packages))

        assert state_of(guest, "osq") == state_of(guest, built) == "installed"
        hold_the_node_to_root(guest)
        hold_the_service_to_its_word(guest)
        one_exec(guest)
        guest.run(["dpkg", "--remove", "osq", built, "libosq0"], deadline_s=STEP_S)
        assert guest.run("cat /proc/modules", deadline_s=STEP_S).stdout.find("osq ") == -1
        assert state_of(guest, "osq") == "config-files"
        # A setting of the administrator's stays until purge, and nothing else does.
        left = {line.split()[2] for line in files_of(guest) ^ before}
        assert left == {"/etc/modprobe.d/osq.conf"}
        guest.run(["dpkg", "--purge", "osq", built, "libosq0"], deadline_s=STEP_S)
        assert files_of(guest) ^ before == set()
        assert state_of(guest, "osq") == ""
        allowed = SETTINGS.allow_kernel_lines
        assert kmod.last_word(guest, live.token, allow=allowed) == ()


def hold_the_node_to_root(guest: Guest) -> None:
    """Load the module by its node's name; what opens the node, udev closes again."""
    look = "stat -c '%a %U %G' /dev/osquery"
    guest.run("modprobe osquery; udevadm settle", deadline_s=STEP_S)
    assert guest.run(look, deadline_s=STEP_S).stdout == "600 root root\n"
    change = "chmod 666 /dev/osquery; udevadm trigger --settle --action=add /dev/osquery"
    guest.run(change, deadline_s=STEP_S)
    assert guest.run(look, deadline_s=STEP_S).stdout == "600 root root\n"


def hold_the_service_to_its_word(guest: Guest) -> None:
    """Not started by installing; started, it records; stopped, it ends well."""
    asked = guest.run(
        "systemctl is-enabled osqtail; systemctl is-active osqtail; :", deadline_s=30
    )
    assert asked.stdout.split() == ["disabled", "inactive"]
    guest.run(_RECORD, deadline_s=STEP_S)
    shown = guest.run("systemctl show -P Result osqtail", deadline_s=STEP_S).stdout
    assert shown == "success\n"
    loaded = guest.run("cat /proc/modules", deadline_s=STEP_S).stdout
    assert loaded.startswith("osq ") or "\nosq " in loaded


def hold_the_list_to_see_what_is_left(guest: Guest) -> None:
    """A file that a package would leave, and a mode that it would change, are both seen."""
    before = files_of(guest)

    guest.run("touch /etc/left; chmod 700 /usr/sbin", deadline_s=STEP_S)

    changed = {" ".join(line.split()[:3]) for line in files_of(guest) - before}
    assert {"644 root /etc/left", "700 root /usr/sbin"} <= changed
    guest.run("rm /etc/left; chmod 755 /usr/sbin", deadline_s=STEP_S)
    assert files_of(guest) == before
