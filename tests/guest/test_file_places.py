# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The paths in file records are right for mounts, links, long paths and files without a name.

All scenes are played once, one after the other, before one reader; each test checks its own scene.
"""

import errno
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.guest.shared_session import Handoff
from harness.model.settings import Settings
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.file_log import (
    DELETED,
    FS_PATH,
    NO_PATH,
    OTHER_CONTEXT,
    TRUNC_PATH,
    difference,
    parse_log,
    seen,
    under,
)
from tests.guest.tailing import Record, Tail, Tailing

TOP = "/var/tmp/osqplaces"
AIO_TRIES = 40
# A name with each byte that a file name can have, and the longest name.
ANY_NAME = bytes(code for code in range(1, 256) if code != ord("/"))[:254] + b"x"
_OCTAL = "".join(f"\\{code:03o}" for code in ANY_NAME)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Shell lines that run in a folder of the scene's own, before and during the watch."""

    watch: str
    act: str
    set_up: str = ":"
    tear_down: str = ":"


SCENES = {
    "bind": Scene(
        set_up="mkdir -p a/sub b; mount --bind a/sub b",
        watch="b",
        act=": > a/sub/x; : >> b/x; mv a/sub/x a/y; mv a/y b/z",
        tear_down="umount b",
    ),
    "mount": Scene(
        set_up="mkdir a; mount -t tmpfs none a; mkdir a/in",
        watch="a/in",
        act="cd a; : > x; mv x in/y; mv in/y z; mv z w",
        tear_down="umount a",
    ),
    "later": Scene(
        set_up="mkdir a; ln -s a link",
        watch="link/new/sub",
        act="cd a; mkdir new; cd new; mkdir sub sub2; rmdir sub; mkdir sub; mkdir sub/x",
    ),
    "moving": Scene(set_up="mkdir a b", watch="a", act="mv a c; : > c/no; mv b a; mkdir a/yes"),
    "deep": Scene(set_up="mkdir a", watch="a", act=f"osqdeep /tmp/log.deep {TOP}/deep/a"),
    "gone": Scene(set_up="mkdir a", watch="a", act="exec 3> a/x; rm a/x; exec 3>&-"),
    "kernel": Scene(set_up="mkdir a", watch="a", act=f"osqaio a/x {AIO_TRIES}; sleep 0.3"),
    "handle": Scene(
        set_up="mkdir a; : > a/x; osqhandle save a/x /tmp/handle",
        watch="a",
        act="echo 2 > /proc/sys/vm/drop_caches; osqhandle open . /tmp/handle",
    ),
    "unmounted": Scene(
        set_up="mkdir a; mount -t tmpfs none a",
        watch="a",
        act="mkdir a/x; umount a; mount -t tmpfs none a; mkdir a/y",
        tear_down="umount a",
    ),
    "names": Scene(set_up="mkdir a", watch="a", act=f"mkdir \"a/$(printf '{_OCTAL}')\""),
}

# The attempts of 'osqwatch refusals', and the errno that each must get; 0 must work.
REFUSALS = {
    "before_allocate": errno.ENXIO,
    "before_subscribe": errno.ENOTCONN,
    "relative": errno.EINVAL,
    "empty": errno.EINVAL,
    "empty_component": errno.EINVAL,
    "slash_at_the_end": errno.EINVAL,
    "dot": errno.EINVAL,
    "dots": errno.EINVAL,
    "nul": errno.EINVAL,
    "no_action": errno.EINVAL,
    "unknown_action": errno.EINVAL,
    "on_is_2": errno.EINVAL,
    "off_with_actions": errno.EINVAL,
    "off_what_is_not_on": errno.ENOENT,
    "below_a_file": errno.ENOTDIR,
    "long_name": errno.ENAMETOOLONG,
    "too_long": errno.EINVAL,
    "longest": 0,
    "longest_off": 0,
    "null": errno.EFAULT,
    "as_many_as_fit": 0,
    "one_more": errno.ENOSPC,
    "one_again": 0,
    "one_less": 0,
    "one_instead": 0,
    "unsubscribed": errno.ENOTCONN,
    "forgotten": errno.ENOENT,
    "again": 0,
    "invalid": errno.ESTALE,
    "allocated_again": errno.ENOTCONN,
}


Told = list[tuple[str, str, str]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """The driver's records of all scenes."""

    records: tuple[Record, ...]
    dropped: int

    def of(self, scene: str, *actions: str) -> list[Record]:
        """Return the records of one scene in order, or only those of some actions."""
        folder = f"{TOP}/{scene}/"
        return [
            one
            for one in self.records
            if (one["path"].startswith(folder) or one["dest_path"].startswith(folder))
            and (not actions or one["action"] in actions)
        ]


def places(records: list[Record]) -> Told:
    """Return the action and the path of each record, in order."""
    return [(one["action"], one["path"], one["dest_path"]) for one in records]


def script_of(part: Callable[[Scene], str]) -> str:
    """Return one part of all scenes as a script that stops at the first failure."""
    lines = [f"(cd {TOP}/{name}\n{part(scene)})" for name, scene in SCENES.items()]
    return "\n".join(["set -e", *lines])


@pytest.fixture(scope="module")
def story(guest: Guest, harness_handoff: Handoff, harness_settings: Settings) -> Story:
    """Play all scenes before one reader."""
    driver = Driver(
        guest=guest, spec=harness_settings.module, handoff=harness_handoff, load_s=60.0
    )
    if not driver.is_loaded():
        driver.load()
    folders = " ".join(f"{TOP}/{name}" for name in SCENES)
    guest.run(f"rm -rf {TOP}; mkdir -p {folders}", deadline_s=60)
    guest.run(script_of(lambda scene: scene.set_up), deadline_s=60)
    watches = " ".join(f"--watch {TOP}/{name}/{one.watch}" for name, one in SCENES.items())
    tail = Tail(guest, f"{watches} --watermark 65536")
    guest.run(script_of(lambda scene: scene.act), deadline_s=240)
    told = tail.finish()
    guest.run(script_of(lambda scene: scene.tear_down), deadline_s=60)
    return Story(records=told.records, dropped=told.stats["dropped"])


def test_each_invalid_request_for_a_file_watch_fails_with_the_expected_errno(
    guest: Guest, driver: Driver
) -> None:
    """In a guest, osqwatch asks for wrong paths, actions and orders of calls: each has its errno.

    Watches end with the subscription and with the queue.
    """
    assert driver.is_loaded()

    said = json.loads(guest.run("osqwatch refusals", deadline_s=120).stdout)

    assert said == REFUSALS
    driver.unload()


def test_a_watch_of_the_root_folder_records_hard_links_on_its_own_mount_only(
    guest: Guest, tail: Tailing
) -> None:
    """A watch of / records link(2) on the root file system, but not on one mounted below it."""
    lines = (
        f"rm -rf {TOP}; mkdir -p {TOP}/a {TOP}/b; cd {TOP}; mount -t tmpfs none b",
        ": > a/x; ln a/x a/y; ln a/x z; : > b/x; ln b/x b/y; umount b",
    )

    with tail(f"--watch / --watch {TOP}/a --action link") as running:
        guest.run("; ".join(lines), deadline_s=20)
        told = running.finish()

    assert places(list(told.records)) == [("link", f"{TOP}/a/y", ""), ("link", f"{TOP}/z", "")]
    assert [one["nlink"] for one in told.records] == [2, 3]


def test_the_recording_that_the_tests_of_this_source_file_examine_has_no_dropped_record(
    story: Story,
) -> None:
    """One osqtail in a guest records what all tests here examine; it has dropped nothing."""
    assert story.dropped == 0
    assert {one["type"] for one in story.records} == {"file"}


def test_events_through_another_mount_of_a_watched_folder_are_recorded_with_the_watched_path(
    story: Story,
) -> None:
    """A watched bind mount has records of changes through the original, with the watched path."""
    told = [one for one in story.of("bind") if one["path"] != f"{TOP}/bind/b/z"]

    b = f"{TOP}/bind/b"
    assert places(told) == [
        ("create", f"{b}/x", ""),
        ("open", f"{b}/x", ""),
        ("close_write", f"{b}/x", ""),
        ("open", f"{b}/x", ""),
        ("close_write", f"{b}/x", ""),
        ("rename", f"{b}/x", f"{TOP}/bind/a/y"),
    ]
    assert [one["flags"] for one in told] == [0, 0, 0, 0, 0, FS_PATH]
    # Across mounts, mv copies and deletes.
    assert places(story.of("bind", "create"))[1:] == [("create", f"{b}/z", "")]


def test_the_unwatched_path_of_a_rename_begins_with_its_mount_point(story: Story) -> None:
    """A file that moves between the watched folder and others of its mount has full paths."""
    told = story.of("mount", "rename")

    a = f"{TOP}/mount/a"
    assert places(told) == [("rename", f"{a}/x", f"{a}/in/y"), ("rename", f"{a}/in/y", f"{a}/z")]
    assert {one["flags"] for one in told} == {0}


def test_a_watched_path_that_does_not_exist_is_watched_from_its_creation(story: Story) -> None:
    """Its creation, removal and new creation are recorded, also behind a symbolic link."""
    sub = f"{TOP}/later/link/new/sub"
    assert places(story.of("later")) == [
        ("create", sub, ""),
        ("unlink", sub, ""),
        ("create", sub, ""),
        ("create", f"{sub}/x", ""),
    ]


def test_a_watch_stays_at_its_path_when_the_folder_moves(story: Story) -> None:
    """After mv a c; mv b a, a watch of `a` records what is in the new `a`, not what is in `c`."""
    folder = f"{TOP}/moving"
    assert places(story.of("moving")) == [
        ("rename", f"{folder}/a", f"{folder}/c"),
        ("rename", f"{folder}/b", f"{folder}/a"),
        ("create", f"{folder}/a/yes", ""),
    ]


def test_too_long_paths_are_recorded_as_the_deepest_folder_that_fits_and_a_flag(
    guest: Guest, story: Story
) -> None:
    """Of a path of up to 4,800 bytes, a record has the deepest parent folder that fits."""
    log = parse_log(guest.run("cat /tmp/log.deep", deadline_s=60).stdout)

    done = under([f"{TOP}/deep/a"], log.events)

    assert difference(seen(story.records, log), done) == ""
    assert {one.flags for one in done} == {0, TRUNC_PATH}
    assert sum(one.flags == TRUNC_PATH for one in done) > 20


def test_closing_an_unlinked_file_is_recorded_with_its_old_path_and_a_flag(story: Story) -> None:
    """The close_write record of a file that was removed while open has its path and DELETED."""
    (record,) = story.of("gone", "close_write")

    assert record["path"] == f"{TOP}/gone/a/x"
    assert (record["flags"], record["nlink"]) == (DELETED, 0)


def test_a_close_by_a_kernel_thread_has_a_record_with_a_flag(story: Story) -> None:
    """A write that ends after close(2) lets a kernel thread close the file: that is flagged."""
    told = story.of("kernel", "close_write")

    opener = {one["pid"] for one in story.of("kernel", "open")}
    by_kernel = [one for one in told if one["flags"] == OTHER_CONTEXT]
    assert len(told) == AIO_TRIES
    assert {one["flags"] for one in told} <= {0, OTHER_CONTEXT}
    assert by_kernel
    assert {one["pid"] for one in by_kernel}.isdisjoint(opener)
    assert {one["pid"] for one in told if not one["flags"]} <= opener


def test_a_file_opened_by_handle_has_a_record_with_inode_and_without_path(
    guest: Guest, story: Story
) -> None:
    """open_by_handle_at finds a file without a name: its open record has an inode and a flag."""
    ino = int(guest.run(f"stat -c %i {TOP}/handle/a/x", deadline_s=20).stdout)

    unnamed = [one for one in story.records if one["flags"] & NO_PATH]

    assert [(one["action"], one["path"], one["ino"]) for one in unnamed] == [("open", "", ino)]


def test_a_watched_file_system_can_be_unmounted_and_its_successor_there_is_not_watched(
    story: Story,
) -> None:
    """The watch keeps no file system busy, and does not watch one that is mounted there later."""
    assert places(story.of("unmounted")) == [("create", f"{TOP}/unmounted/a/x", "")]


def test_a_file_name_with_every_possible_byte_is_recorded_as_valid_json_without_loss(
    story: Story,
) -> None:
    """The path that osqtail prints for such a file can be decoded into the same bytes."""
    (record,) = story.of("names")

    path = record["path"].encode(errors="surrogateescape")
    assert path == f"{TOP}/names/a/".encode() + ANY_NAME
