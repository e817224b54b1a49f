# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each kernel that is given to kexec has a record with its file and command line."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

FILE = "/tmp/nokernel"
NO_PATH = 0x8


def test_a_file_given_to_kexec_and_an_unload_each_have_one_record(
    guest: Guest, tail: Tailing
) -> None:
    """The file has a record although it is no kernel; a user's calls have none."""
    user = "setpriv --reuid 1000 --regid 1000 --clear-groups"
    script = f"""
head -c 4096 /dev/zero > {FILE}; chmod 644 {FILE}
osqkexec {FILE}
{user} osqkexec {FILE} > /dev/null
rm {FILE}
"""
    paths = guest.run("cat /sys/kernel/realtime", deadline_s=20, check=False).stdout != "1\n"
    with tail("--type kexec") as running:
        first, *said = guest.run(script, deadline_s=60).stdout.splitlines()
        seen = running.finish()

    pid, dev, ino = map(int, first.split())
    calls = [line.split() for line in said]
    found = [one for one in seen.records if one["type"] == "kexec"]
    assert [(one["action"], one["syscall"]) for one in found] == [
        (name, int(number)) for name, number, _ in calls
    ]
    assert {one["pid"] for one in found} == {pid}
    unload, by_file = found
    assert int(calls[0][2]) == 0
    assert int(calls[1][2]) != 0
    assert (unload["path"], unload["cmdline"]) == ("", "")
    assert (unload["file_ino"], unload["flags"]) == (0, 0)
    assert (by_file["file_dev"], by_file["file_ino"]) == (dev, ino)
    assert (by_file["cmdline"], by_file["kexec_flags"]) == ("quiet osq=1", 4)
    assert (by_file["path"], by_file["flags"]) == ((FILE, 0) if paths else ("", NO_PATH))


def test_the_probes_of_kexec_come_and_go_with_the_type(guest: Guest, tail: Tailing) -> None:
    """The probes are there while the type is subscribed to, and gone afterwards."""
    listed = "grep -c security_kernel_ /sys/kernel/debug/kprobes/list || true"
    with tail("--type kexec") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert (during, after) == ("2", "0")
