# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each exec makes one record with the right content, and none is lost."""

import json
from collections.abc import Callable
from itertools import pairwise

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

PROBE = "/usr/local/bin/osqprobe"


def test_one_exec_gives_one_record_with_the_right_path_arguments_ids_file_and_times(
    guest: Guest, tail: Tailing
) -> None:
    """In a real guest, the record of one exec equals what sh, stat and /proc/uptime print."""
    script = """
cp /bin/true "/tmp/a program"; chmod 751 "/tmp/a program"; chown 7:8 "/tmp/a program"
cd /tmp
now=$(cut -d' ' -f1 /proc/uptime)
sh -c 'echo $$ $PPID; exec "./a program" one "two words" "" "ünï"'
stat -c '%i %Y' "/tmp/a program"
echo $now
"""
    with tail() as running:
        said = guest.run(script, deadline_s=20).stdout.split("\n")
        seen = running.finish()

    (record,) = seen.execs_of("/tmp/a program")
    pid, parent = (int(word) for word in said[0].split())
    inode, changed = (int(word) for word in said[1].split())
    uptime_ns = float(said[2]) * 1e9
    assert record["argv"] == ["./a program", "one", "two words", "", "ünï"]
    assert (record["argc"], record["filename"]) == (5, "./a program")
    assert record["argv_bytes"] == sum(len(word.encode()) + 1 for word in record["argv"])
    assert (record["pid"], record["tid"], record["ppid"]) == (pid, pid, parent)
    assert {record[name] for name in ("uid", "euid", "suid", "fsuid")} == {0}
    assert {record[name] for name in ("gid", "egid", "sgid", "fsgid")} == {0}
    assert (record["mode"], record["owner_uid"], record["owner_gid"]) == (0o100751, 7, 8)
    assert (record["ino"], record["mtime_ns"] // 10**9) == (inode, changed)
    assert record["flags"] == 0
    assert uptime_ns < record["ts_boot_ns"] < uptime_ns + 20e9
    assert uptime_ns - 1e9 < record["start_boot_ns"] <= record["ts_boot_ns"]


def test_a_program_of_an_ordinary_user_has_that_users_ids(guest: Guest, tail: Tailing) -> None:
    """The exec record of a program that setpriv starts as uid 1000 has 1000 in each of its ids."""
    with tail() as running:
        guest.run("setpriv --reuid 1000 --regid 1000 --clear-groups /bin/true", deadline_s=20)
        seen = running.finish()

    (record,) = [one for one in seen.execs_of("/usr/bin/true") if one["uid"] == 1000]
    assert {record[name] for name in ("euid", "suid", "fsuid")} == {1000}
    assert {record[name] for name in ("gid", "egid", "sgid", "fsgid")} == {1000}


def test_the_environment_is_recorded_only_with_the_option_env(guest: Guest, tail: Tailing) -> None:
    """Without osqtail's --env an exec record has only the environment's count and size."""
    script = "env -i 'A=1' 'B=two words' /bin/true mark"

    with tail() as running:
        guest.run(script, deadline_s=20)
        without = running.finish()
    with tail("--env") as running:
        guest.run(script, deadline_s=20)
        seen = running.finish()

    (plain,) = [one for one in without.execs_of("/usr/bin/true") if "mark" in one["argv"]]
    (record,) = [one for one in seen.execs_of("/usr/bin/true") if "mark" in one["argv"]]
    assert (plain["env"], plain["envc"], plain["env_bytes"]) == ([], 2, 16)
    assert (record["env"], record["envc"], record["env_bytes"]) == (["A=1", "B=two words"], 2, 16)
    assert record["flags"] == plain["flags"] == 0


def test_an_environment_above_the_limit_is_truncated_and_the_record_has_a_flag(
    guest: Guest, tail: Tailing
) -> None:
    """Of a 30,000-byte variable, 6,864 bytes are recorded, with a flag and the true size."""
    with tail("--env") as running:
        guest.run("env -i V=$(head -c 30000 /dev/zero | tr '\\0' x) /bin/true", deadline_s=20)
        seen = running.finish()

    record = next(one for one in seen.execs_of("/usr/bin/true") if one["envc"] == 1)
    assert record["env_bytes"] == len("V=") + 30000 + 1
    assert record["flags"] == 0x20
    assert len(record["env"][0]) == 6832


def test_a_script_has_its_own_file_in_the_record_of_its_interpreter(
    guest: Guest, tail: Tailing
) -> None:
    """Each record of a script has the script's inode; that of a program has none.

    Of a script whose interpreter is a script, it is the one that was asked for. A failed exec of
    another script by the same thread leaves nothing behind.
    """
    script = """
printf '#!/bin/sh\\n:\\n' > /tmp/one; printf '#!/tmp/one\\n' > /tmp/two
printf '#!/no/such\\n' > /tmp/bad; chmod 755 /tmp/one /tmp/two /tmp/bad
stat -c %i /tmp/one /tmp/two
/tmp/one; /tmp/two; sh -c 'exec /tmp/bad'; bash -c 'shopt -s execfail; exec /tmp/bad; exec true'
rm /tmp/one /tmp/two /tmp/bad
"""
    with tail() as running:
        numbers = guest.run(script, deadline_s=20).stdout.split()
        seen = running.finish()

    of = {one["filename"]: one for one in seen.records if one["type"] == "exec"}
    one, two = of["/tmp/one"], of["/tmp/two"]
    assert [one["script_ino"], two["script_ino"]] == [int(number) for number in numbers]
    assert one["script_dev"] == two["script_dev"] != 0
    assert one["path"] == two["path"] != "/tmp/one"
    assert one["ino"] == two["ino"] != one["script_ino"]
    (program,) = seen.execs_of("/usr/bin/true")
    assert (program["script_dev"], program["script_ino"]) == (0, 0)


def test_a_records_cwd_namespaces_and_cgroup_equal_those_in_proc(
    guest: Guest, tail: Tailing
) -> None:
    """Exec records equal /proc/self of their process, outside and inside of new namespaces."""
    names = ("pid", "mnt", "net", "uts", "ipc", "user", "cgroup")
    ask = "".join(f"stat -L -c %i /proc/self/ns/{name}; " for name in names)
    script = f"""
mkdir -p "/tmp/some where"; cd "/tmp/some where"
cat > /tmp/place <<'END'
{ask}
stat -c %i /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
exec /bin/true place
END
sh /tmp/place
unshare --mount --uts --ipc --net --pid --fork sh /tmp/place
"""
    with tail() as running:
        said = [int(word) for word in guest.run(script, deadline_s=30).stdout.split()]
        group = guest.run("sed -n 's/^0:://p' /proc/self/cgroup", deadline_s=20).stdout.strip()
        seen = running.finish()

    outside, inside = [one for one in seen.execs_of("/usr/bin/true") if "place" in one["argv"]]
    fields = [f"{name}_ns" for name in names] + ["cgroup_id"]
    assert [outside[field] for field in fields] == said[: len(fields)]
    assert [inside[field] for field in fields] == said[len(fields) :]
    assert outside["cgroup"] == inside["cgroup"] == group
    assert outside["cwd"] == inside["cwd"] == "/tmp/some where"
    assert outside["ns_pid"] == outside["pid"]
    assert inside["ns_pid"] == 1
    assert outside["mnt_ns"] != inside["mnt_ns"]


def test_a_record_has_the_terminals_number_and_the_flag_of_a_memfd_program(
    guest: Guest, tail: Tailing
) -> None:
    """An exec record has its terminal's device number, and a flag if the program is in a memfd."""
    memfd = 0x4000
    with tail() as running:
        said = guest.run(
            'script -qc "stat -Lc %t:%T /proc/self/fd/0; /bin/true tty" /dev/null;'
            "osqevade memfd /bin/true; /bin/true plain",
            deadline_s=60,
        ).stdout
        seen = running.finish()

    major, minor = (int(word, 16) for word in said.split()[0].split(":"))
    (on_tty,) = [one for one in seen.execs_of("/usr/bin/true") if "tty" in one["argv"]]
    (plain,) = [one for one in seen.execs_of("/usr/bin/true") if "plain" in one["argv"]]
    (hidden,) = [one for one in seen.records if one.get("path", "").startswith("/memfd:osq")]
    assert (on_tty["tty"], plain["tty"]) == (major << 32 | minor, 0)
    assert (hidden["flags"] & memfd, plain["flags"] & memfd) == (memfd, 0)


def test_a_record_has_the_modes_of_what_the_programs_first_descriptors_lead_to(
    guest: Guest, tail: Tailing
) -> None:
    """A file, a device, a pipe and a socket have the mode that stat tells; a closed one has 0."""
    socket = "socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; open(STDIN, '<&A') or die"
    script = f"""
mode() {{ stat -Lc %f "$1"; }}
mode /etc/hostname; mode /dev/null; : | mode /dev/stdin
perl -MSocket -e "{socket}; exec 'stat', '-Lc', '%f', '/dev/stdin'"
/bin/true files < /etc/hostname > /dev/null 2>&-
: | /bin/true pipe
perl -MSocket -e "{socket}; exec '/bin/true', 'socket'"
"""
    with tail() as running:
        said = guest.run(script, deadline_s=60).stdout.split()
        seen = running.finish()

    file, device, pipe, stream = (int(one, 16) for one in said)
    of = {one["argv"][-1]: one for one in seen.execs_of("/usr/bin/true")}
    names = ("stdin_mode", "stdout_mode", "stderr_mode")
    assert [of["files"][name] for name in names] == [file, device, 0]
    assert of["pipe"]["stdin_mode"] == pipe
    assert of["socket"]["stdin_mode"] == stream


def test_a_scripts_record_has_the_path_of_its_interpreter(guest: Guest, tail: Tailing) -> None:
    """In a guest, a script's exec record has the interpreter as path, the script as filename."""
    with tail() as running:
        guest.run(
            "printf '#!/bin/cat\\nhello\\n' > /tmp/script; chmod +x /tmp/script; /tmp/script",
            deadline_s=20,
        )
        seen = running.finish()

    (record,) = [one for one in seen.execs_of("/usr/bin/cat") if "/tmp/script" in one["argv"]]
    assert record["filename"] == "/tmp/script"


def test_arguments_above_the_limit_are_truncated_and_the_record_has_a_flag(
    guest: Guest, tail: Tailing
) -> None:
    """Of 40,000 bytes of arguments at most 12,288 are recorded, with a flag and the true size."""
    with tail() as running:
        guest.run("/bin/true $(head -c 40000 /dev/zero | tr '\\0' x)", deadline_s=20)
        seen = running.finish()

    (record,) = [one for one in seen.execs_of("/usr/bin/true") if one["argc"] == 2]
    assert record["argv_bytes"] == len("/bin/true") + 1 + 40001
    assert record["flags"] == 0x2
    assert sum(len(word) for word in record["argv"]) <= 12288


def test_arguments_end_at_a_swapped_out_page_and_the_record_has_a_flag(
    guest: Guest, tail: Tailing
) -> None:
    """The driver reads no swapped-out page: argv ends before it, flagged, with the true size."""
    swap = """
dd if=/dev/zero of=/swap bs=1M count=16 2> /dev/null; chmod 600 /swap
mkswap -q /swap && swapon /swap || exit
trap 'swapoff /swap; rm /swap /tmp/slow' EXIT
osqaway /tmp/slow 50
"""
    with tail() as running:
        guest.run(swap, deadline_s=60)
        seen = running.finish()

    whole = ["/tmp/slow", "a" * 5000, "b" * 5000]
    records = seen.execs_of("/tmp/slow")
    partial = [one for one in records if one["flags"] & 0x4]
    assert len(records) == 50
    assert {one["argv_bytes"] for one in records} == {10 + 5001 + 5001}
    assert all(one["argv"] == whole for one in records if one not in partial)
    assert partial, "no argv was swapped out in time"
    for one in partial:
        assert one["flags"] == 0x4
        assert one["argv"] == ["/tmp/slow", "a" * len(one["argv"][1])]
        assert 0 < len(one["argv"][1]) < 4096


def test_a_program_path_above_4095_bytes_is_empty_and_the_record_has_a_flag(
    guest: Guest, tail: Tailing
) -> None:
    """Path and cwd of such a program are empty and flagged; its argv and filename are recorded."""
    script = """
name=$(printf 'd%.0s' $(seq 200))
cd /tmp; for step in $(seq 25); do mkdir $name; cd -P ./$name 2> /dev/null; done
cp /bin/true deep; ./deep mark
cd /; rm -r /tmp/$name
"""
    with tail() as running:
        guest.run(script, deadline_s=30)
        seen = running.finish()

    (record,) = [one for one in seen.execs_of("") if one["argv"] == ["./deep", "mark"]]
    assert (record["flags"], record["cwd"], record["filename"]) == (0x88, "", "./deep")


def test_a_deleted_programs_exec_record_has_its_old_path_and_a_flag(
    guest: Guest, tail: Tailing
) -> None:
    """Its path ends with " (deleted)"; the flag tells it from a file that really has that name."""
    script = "cp /bin/true /tmp/gone; exec 9< /tmp/gone; rm /tmp/gone; /proc/self/fd/9 mark"
    honest = "cp /bin/true '/tmp/here (deleted)'; '/tmp/here (deleted)'"

    with tail() as running:
        guest.run(f"{script}; {honest}", deadline_s=20)
        seen = running.finish()

    (gone,) = seen.execs_of("/tmp/gone (deleted)")
    (here,) = seen.execs_of("/tmp/here (deleted)")
    assert (gone["flags"], gone["filename"]) == (0x1, "/proc/self/fd/9")
    assert here["flags"] == 0


def test_in_a_storm_of_execs_each_exec_is_either_recorded_or_counted_as_dropped(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Of 1,000 quick execs in a guest, those without a record equal the count of drops."""
    count = 10_000 if long_run else 1_000
    storm_it = f"cp /usr/local/bin/osqprobe /tmp/storm; /tmp/storm storm {count}"

    with tail("--ring-bytes 4194304") as running:
        guest.run(storm_it, deadline_s=900 if long_run else 180)
        seen = running.finish()

    storm, stats = seen.execs_of("/tmp/storm"), seen.stats
    assert stats["attempts"] == stats["committed"] + stats["dropped"]
    assert stats["committed"] == stats["consumed"] == len(seen.records)
    assert len(storm) == count + 1 - stats["dropped"]
    assert len({record["pid"] for record in storm}) == len(storm)


def test_a_full_ring_counts_each_record_that_it_drops(guest: Guest, tail: Tailing) -> None:
    """While osqtail is stopped the ring fills; the drop count equals the gaps in seq numbers."""
    script = "pkill -STOP -x osqtail; /usr/local/bin/osqprobe storm 300; pkill -CONT -x osqtail"

    with tail("--ring-bytes 8192") as running:
        guest.run(script, deadline_s=60)
        seen = running.finish()

    numbers = [record["seq"] for record in seen.records]
    lost = [record for record in seen.records if record["type"] == "lost"]
    gaps = numbers[0] - 1 + sum(b - a - 1 for a, b in pairwise(numbers))
    after_the_last = seen.stats["attempts"] - numbers[-1]
    assert seen.stats["dropped"] == seen.stats["dropped_full"] > 200
    assert gaps + after_the_last == seen.stats["dropped"]
    assert seen.stats["committed"] == len(seen.records)
    assert sum(record["dropped"] for record in lost) == seen.stats["dropped"] - after_the_last


def test_a_record_is_dropped_and_counted_if_every_encoding_buffer_is_in_use(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """While a test holds the buffers in which records are built, execs are dropped as NESTED.

    This ends when the owner of the buffers ends.
    """
    variant("test").load()

    said = json.loads(guest.run("osqheld 40", deadline_s=120).stdout)

    assert said == {
        "fault": "",
        "before": {"execs": 40, "losses": 0, "lost": 0, "nested": 0},
        "held": {"execs": 0, "losses": 0, "lost": 0, "nested": 40},
        "after": {"execs": 40, "losses": 1, "lost": 40, "nested": 40},
        "again": {"execs": 40, "losses": 0, "lost": 0, "nested": 0},
    }


def test_the_path_of_a_cgroup_is_whole_up_to_1023_bytes_and_empty_beyond(
    guest: Guest, tail: Tailing
) -> None:
    """In an exec record, the path of a control group of more than 1,023 bytes is empty."""
    top = "/sys/fs/cgroup"
    whole = "/osq" + "/".join(["", *["x" * 63] * 15, "x" * 58])
    groups = (whole, f"{whole}x", f"/osq{'/d' * 600}")
    run = f"sh -c 'echo $$ > $1/cgroup.procs; exec {PROBE} exit' sh"

    with tail("--type exec") as running:
        for group in groups:
            guest.run(
                f"cd {top}; mkdir -p .{group}; {run} .{group}; rmdir -p .{group}",
                deadline_s=60,
                check=False,
            )
        seen = running.finish()

    assert len(whole) == 1_023
    assert [one["cgroup"] for one in seen.execs_of(PROBE)] == [whole, "", ""]
