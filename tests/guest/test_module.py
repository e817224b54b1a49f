# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each load and unload of a module has records that agree with sysfs."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

# The test build of this driver is another module, whose init requires a parameter.
OTHER = "/run/harness/osq_test.ko"
PARAMETER = "i_know_this_is_a_test=1"
BROKEN = "/tmp/broken.ko"
ENOEXEC, EPERM, EEXIST = 8, 1, 17
TRUNC_ARGV, NO_PATH = 0x2, 0x8
# The letters of /sys/module/NAME/taint, as bits of /proc/sys/kernel/tainted.
_TAINTS = {"P": 0, "F": 1, "O": 12, "E": 13, "N": 18}


def of(records: tuple[Record, ...], name: str) -> list[Record]:
    """Return the records of one module, in the order of the ring."""
    return [one for one in records if one["type"] == "module" and one["name"] == name]


def test_each_load_and_unload_of_a_module_makes_three_records_with_size_and_taints_of_sysfs(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Records loading, loaded and unloading of another module equal its files in sysfs."""
    rounds = 100 if long_run else 3
    script = f"""
for round in $(seq {rounds}); do
	insmod {OTHER} {PARAMETER} || exit 1
	cd /sys/module/osq_test && echo $(cat coresize taint version srcversion) && cd /
	rmmod osq_test || exit 2
done
"""
    with tail("--type module") as running:
        said = guest.run(script, deadline_s=600 if long_run else 60).stdout.splitlines()
        seen = running.finish()

    found = of(seen.records, "osq_test")
    assert [one["action"] for one in found] == ["loading", "loaded", "unloading"] * rounds
    for number, line in enumerate(said):
        size, taints, version, srcversion = line.split()
        for one in found[3 * number : 3 * number + 3]:
            assert one["size_bytes"] == int(size)
            assert one["taints"] == sum(1 << _TAINTS[letter] for letter in taints)
            assert (one["version"], one["srcversion"]) == (version, srcversion)
            assert one["flags"] == 0
    args = [PARAMETER, "", ""] * rounds
    assert [one["args"] for one in found] == args
    assert [one["path"] for one in found] == [OTHER, "", ""] * rounds
    assert [one["args_bytes"] for one in found] == [len(one) for one in args]
    assert {one["type"] for one in seen.records} == {"module"}
    assert seen.stats["dropped"] == 0


def test_the_records_of_a_module_that_modprobe_loads_have_the_version_and_size_of_sysfs(
    guest: Guest, tail: Tailing
) -> None:
    """The records of tcp_illinois have version, srcversion and size as in /sys/module."""
    script = """
modprobe tcp_illinois
cd /sys/module/tcp_illinois && cat coresize version srcversion
rmmod tcp_illinois
"""
    with tail("--type module") as running:
        size, version, srcversion = guest.run(script, deadline_s=40).stdout.split()
        seen = running.finish()

    found = of(seen.records, "tcp_illinois")
    assert [one["action"] for one in found] == ["loading", "loaded", "unloading"]
    for one in found:
        assert (one["version"], one["srcversion"]) == (version, srcversion)
        assert (one["size_bytes"], one["taints"]) == (int(size), 0)
    assert found[0]["pid"] == found[1]["pid"] != found[2]["pid"]


def test_the_records_of_a_module_without_a_version_have_no_version(
    guest: Guest, tail: Tailing
) -> None:
    """tcp_westwood names no version, so the kernel shows none in sysfs, nor do the records."""
    script = "modprobe tcp_westwood; ls /sys/module/tcp_westwood; rmmod tcp_westwood"
    with tail("--type module") as running:
        listed = guest.run(script, deadline_s=40).stdout.split()
        seen = running.finish()

    found = of(seen.records, "tcp_westwood")
    assert "coresize" in listed
    assert "version" not in listed
    assert [(one["version"], one["srcversion"]) for one in found] == [("", "")] * 3


def test_a_module_whose_init_fails_has_a_loading_and_an_unloading_record_but_no_loaded_record(
    guest: Guest, tail: Tailing
) -> None:
    """In a guest, insmod of a module that refuses to load makes these two records."""
    with tail("--type module") as running:
        refused = guest.run(f"insmod {OTHER}", deadline_s=40, check=False)
        seen = running.finish()

    found = of(seen.records, "osq_test")
    assert refused.status != 0
    assert [one["action"] for one in found] == ["loading", "unloading"]
    assert {one["pid"] for one in found} == {found[0]["pid"]}
    assert guest.run("test -e /sys/module/osq_test", deadline_s=20, check=False).status != 0


# Calls that fail and calls that succeed; by root, and by a user without rights.
CALLS = f"""
head -c 4096 {OTHER} > {BROKEN} && chmod 644 {BROKEN}
osqload file {BROKEN} a=1
osqload memory {BROKEN} b=2
setpriv --reuid 1000 --regid 1000 --clear-groups osqload file {BROKEN} c=3
setpriv --reuid 1000 --regid 1000 --clear-groups osqload memory {BROKEN} d=4
osqload file {OTHER} {PARAMETER}
osqload memory {OTHER} {PARAMETER}
rmmod osq_test
osqload memory {OTHER} {PARAMETER}
rmmod osq_test
osqload file {OTHER} $(head -c 600 /dev/zero | tr '\\0' x)
rm {BROKEN}
"""
# Of each call: its errno, whether it has a file, and the path and parameters of its record.
EXPECTED = (
    (ENOEXEC, True, BROKEN, "a=1"),
    (ENOEXEC, False, "", "b=2"),
    (EPERM, True, BROKEN, "c=3"),
    (EPERM, False, "", "d=4"),
    (0, True, "", ""),
    (EEXIST, False, "", PARAMETER),
    (0, False, "", ""),
    (EPERM, True, OTHER, "x" * 512),
)


def test_a_load_that_the_kernel_refuses_has_a_record_with_its_errno_file_and_parameters(
    guest: Guest, tail: Tailing
) -> None:
    """Each failed call has one record that equals the program's own report; others have none.

    With PREEMPT_RT a probe cannot build a path, and says so.
    """
    realtime = guest.run("cat /sys/kernel/realtime", deadline_s=20, check=False).stdout == "1\n"
    with tail("--type module") as running:
        said = guest.run(CALLS, deadline_s=60).stdout.splitlines()
        seen = running.finish()

    calls = [tuple(map(int, line.split())) for line in said]
    assert [call[1] for call in calls] == [error for error, _, _, _ in EXPECTED]
    failed = [one for one in seen.records if one["type"] == "module" and one["action"] == "failed"]
    wanted = [
        (
            *(pid, error, "", "" if realtime else path, args),
            *((dev, ino) if by_file else (0, 0)),
            (NO_PATH if by_file and realtime else 0) | (TRUNC_ARGV if len(args) > 500 else 0),
        )
        for (pid, error, dev, ino), (_, by_file, path, args) in zip(calls, EXPECTED, strict=True)
        if error
    ]
    assert [
        (
            *(one["pid"], one["error"], one["name"], one["path"], one["args"]),
            *(one["file_dev"], one["file_ino"], one["flags"]),
        )
        for one in failed
    ] == wanted
    actions = ["loading", "loaded", "unloading"] * 2 + ["loading", "unloading"]
    assert [one["action"] for one in of(seen.records, "osq_test")] == actions
    assert seen.stats["dropped"] == 0


def test_the_probes_at_the_calls_that_load_modules_come_and_go_with_the_type(
    guest: Guest, tail: Tailing
) -> None:
    """The probes at the calls are there while the type is subscribed to, and gone afterwards."""
    listed = "grep -c 'sys_f\\?init_module' /sys/kernel/debug/kprobes/list || true"
    with tail("--type module") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert int(during) >= 2
    assert after == "0"
