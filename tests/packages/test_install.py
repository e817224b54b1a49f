# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Install the module for one kernel and the tools in a guest; use, remove and purge them."""

from pathlib import Path

from harness.release.packages import Release
from harness.systems.linux import kmod
from harness.systems.ssh import Guest
from tests.packages.guests import (
    STEP_S,
    assert_osqtail_prints_an_exec,
    build_kernel_stand_in,
    files_of,
    install,
    ordinary,
    push,
    state_of,
)
from tests.packages.releases import SETTINGS, package

# The harness mounts this guest's modules read-only, so dpkg's files go into an overlay.
_WRITABLE_MODULES = """set -e
modprobe overlay
mkdir /run/added
mount -t tmpfs added /run/added
mkdir /run/added/files /run/added/work
mount -t overlay -o lowerdir=/lib/modules,upperdir=/run/added/files,workdir=/run/added/work \
	modules /lib/modules
"""

# The service loads the module itself. The journal may show its output with a delay.
_RECORD = """set -e
written() { journalctl --sync; journalctl -u osqtail -o cat | grep -q "$1"; }
rmmod osq
systemctl start osqtail
until written '"type":"ready"'; do sleep 0.2; done
until written '"type":"exec"'; do /bin/true; done
systemctl stop osqtail
"""


def test_installed_packages_record_an_exec_and_purging_them_leaves_no_file(
    release: Release, tmp_path: Path
) -> None:
    """In a real Debian guest, after purge the files are those from before the installation."""
    machine = ordinary(tmp_path / "run")
    built = f"osq-modules-{machine.kernel.release}"
    packages = [package(release, name) for name in (built, "libosq0", "osq")]
    stand_in = build_kernel_stand_in(machine.kernel.release, tmp_path)
    with machine.run() as live:
        guest = live.guest
        guest.run(_WRITABLE_MODULES, deadline_s=STEP_S)
        install(guest, push(guest, [stand_in]))
        guest.run(f"depmod {machine.kernel.release}", deadline_s=STEP_S)
        assert_files_of_sees_changes(guest)
        before = files_of(guest)

        install(guest, push(guest, packages))

        assert state_of(guest, "osq") == state_of(guest, built) == "installed"
        assert_the_driver_is_loaded_and_only_root_opens_its_node(guest)
        assert_the_package_script_loads_the_driver_or_says_what_to_do(guest)
        assert_service_records_when_started(guest)
        assert_osqtail_prints_an_exec(guest)
        guest.run(["dpkg", "--remove", "osq", built, "libosq0"], deadline_s=STEP_S)
        assert guest.run("cat /proc/modules", deadline_s=STEP_S).stdout.find("osq ") == -1
        assert state_of(guest, "osq") == "config-files"
        # The administrator's settings stay until purge, and nothing else does.
        left = {line.split()[2] for line in files_of(guest) ^ before}
        assert left == {"/etc/modprobe.d/osq.conf"}
        guest.run(["dpkg", "--purge", "osq", built, "libosq0"], deadline_s=STEP_S)
        assert files_of(guest) ^ before == set()
        assert state_of(guest, "osq") == ""
        allowed = SETTINGS.allow_kernel_lines
        assert kmod.last_word(guest, live.token, allow=allowed) == ()


def assert_the_driver_is_loaded_and_only_root_opens_its_node(guest: Guest) -> None:
    """Assert that installing has loaded the driver, and that its node has mode 600."""
    look = "stat -c '%a %U %G' /dev/osquery"
    guest.run("udevadm settle", deadline_s=STEP_S)
    assert guest.run(look, deadline_s=STEP_S).stdout == "600 root root\n"
    guest.run("modprobe -r osq; modprobe osquery; udevadm settle", deadline_s=STEP_S)
    assert guest.run(look, deadline_s=STEP_S).stdout == "600 root root\n"


# The folder of the driver goes for a moment, as it does when another kernel than its own runs.
_CONFIGURE = """set -e
script=/var/lib/dpkg/info/osq-modules-$(uname -r).postinst
place=/lib/modules/$(uname -r)/updates
sh $script configure 0 2>&1
modprobe -r osq
mv $place /run/away; depmod
sh $script configure 2>&1
mv /run/away $place; depmod
sh $script configure 2>&1
test -d /sys/module/osq
"""


def assert_the_package_script_loads_the_driver_or_says_what_to_do(guest: Guest) -> None:
    """Assert the messages for an old driver that stays and for a missing one, and the load."""
    said = guest.run(_CONFIGURE, deadline_s=STEP_S).stdout
    release = guest.run("uname -r", deadline_s=STEP_S).stdout.strip()

    stays, missing = (line for line in said.splitlines() if line.startswith("osq: "))
    assert stays.startswith("osq: the driver that is loaded stays until the next boot.")
    assert stays.endswith(
        "stop its reader (osq-subscriber, osqtail or osqueryd), then: "
        "modprobe -r osq && modprobe osq"
    )
    assert missing.startswith("osq: there is no driver for the running kernel")
    assert f"Install linux-headers-{release}, for which osq-dkms builds it" in missing


def assert_service_records_when_started(guest: Guest) -> None:
    """Assert that the service is disabled, records when started, and stops without an error."""
    state = guest.run(
        "systemctl is-enabled osqtail; systemctl is-active osqtail; :", deadline_s=30
    )
    assert state.stdout.split() == ["disabled", "inactive"]
    guest.run(_RECORD, deadline_s=STEP_S)
    result = guest.run("systemctl show -P Result osqtail", deadline_s=STEP_S).stdout
    assert result == "success\n"
    loaded = guest.run("cat /proc/modules", deadline_s=STEP_S).stdout
    assert loaded.startswith("osq ") or "\nosq " in loaded


def assert_files_of_sees_changes(guest: Guest) -> None:
    """Assert that files_of sees a new file and a changed mode."""
    before = files_of(guest)

    guest.run("touch /etc/left; chmod 700 /usr/sbin", deadline_s=STEP_S)

    changed = {" ".join(line.split()[:3]) for line in files_of(guest) - before}
    assert {"644 root /etc/left", "700 root /usr/sbin"} <= changed
    guest.run("rm /etc/left; chmod 755 /usr/sbin", deadline_s=STEP_S)
    assert files_of(guest) == before
