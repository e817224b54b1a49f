# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each BPF program that bpf(2) loads, opens or attaches has a record with the kernel's facts."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

# Inside, no other program is attached.
GROUP = "/sys/fs/cgroup/osqbpf"


def test_each_load_open_and_attach_of_a_program_has_one_record_with_number_and_tag(
    guest: Guest, tail: Tailing
) -> None:
    """The records equal what the kernel says of each descriptor; a refused program has none."""
    script = f"mkdir {GROUP}; osqbpf {GROUP}; status=$?; rmdir {GROUP}; exit $status"
    with tail("--type bpf") as running:
        first, *said = guest.run(script, deadline_s=60).stdout.splitlines()
        seen = running.finish()

    found = [one for one in seen.records if one["type"] == "bpf" and one["pid"] == int(first)]
    calls = [line.split() for line in said]
    assert [call[0] for call in calls] == ["load", "open", "attach", "attach", "load", "attach"]
    assert [
        (one["action"], one["command"], one["prog_id"], one["prog_type"], one["tag"], one["name"])
        for one in found
    ] == [
        (action, int(command), int(number), int(kind), tag, name)
        for action, command, number, kind, tag, name, _ in calls
    ]
    assert [one["target"] or "-" for one in found] == [call[6] for call in calls]
    assert {(one["uid"], one["euid"], one["flags"]) for one in found} == {(0, 0, 0)}
    assert [one["insns"] for one in found] == [2] * len(calls)


def test_a_program_that_a_user_without_rights_may_not_load_has_no_record(
    guest: Guest, tail: Tailing
) -> None:
    """A load that the kernel refuses a user for want of rights makes no record."""
    user = "setpriv --reuid 1000 --regid 1000 --clear-groups"
    with tail("--type bpf") as running:
        done = guest.run(f"{user} osqbpf /sys/fs/cgroup", deadline_s=60, check=False)
        seen = running.finish()

    assert done.status != 0
    assert [one for one in seen.records if one["type"] == "bpf" and one["uid"] == 1000] == []


def test_the_probes_of_bpf_come_and_go_with_the_type(guest: Guest, tail: Tailing) -> None:
    """The probes are there while the type is subscribed to, and gone afterwards."""
    listed = "grep -c security_bpf /sys/kernel/debug/kprobes/list || true"
    with tail("--type bpf") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert (during, after) == ("2", "0")
