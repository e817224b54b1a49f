# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.cached: hosts share what they make, and nothing damaged is ever used.

A host is a cache of its own; the shared cache is a folder.
"""

import hashlib
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from harness.artefacts.cached import artefact, shared_cache
from harness.artefacts.cached.artefact import Artefact
from harness.modules import namespace

ROOT = Path(__file__).resolve().parents[3]
NAME = "one-0123456789abcdef"


@dataclass(kw_only=True)
class Host:
    """A host with its own cache, what it has made there, and what it has reported."""

    root: Path
    shared: Path | None
    made: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def ensure(self, text: str = "made here") -> Path:
        """Return the folder of the artefact, which is made with this text if it must be made."""

        def make(folder: Path) -> None:
            self.made.append(text)
            (folder / "ready").write_text(text)

        wanted = Artefact(
            folder=self.root / "things" / NAME, what="thing", lock_s=60.0, shared=self.shared
        )
        problem = artefact.lack_of("ready")
        return artefact.ensure(wanted, make, problem=problem, progress=self.said.append)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Give an empty shared cache."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def entries(shared: Path) -> list[Path]:
    """Return everything in the shared cache's folder of things."""
    return sorted((shared / platform.machine() / "things").iterdir())


def put(shared: Path, content: bytes, digest: str = "") -> Path:
    """Put an entry with this content into the shared cache, by default with the right hash."""
    folder = shared / platform.machine() / "things"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.{digest or hashlib.sha256(content).hexdigest()}.tar"
    file.write_bytes(content)
    return file


def test_an_artefact_of_one_host_is_taken_by_another(tmp_path: Path, shared: Path) -> None:
    """The second host makes nothing, says what it takes, and has the same content."""
    first = Host(root=tmp_path / "a", shared=shared)
    second = Host(root=tmp_path / "b", shared=shared)

    first.ensure("by the first")
    found = second.ensure("by the second")

    assert (found / "ready").read_text() == "by the first"
    assert (first.said, second.made) == ([], [])
    assert second.said == [f"took {NAME} (0 MiB) from the shared cache"]
    assert [one.name for one in found.iterdir()] == ["ready"]


def test_a_host_without_a_shared_cache_makes_its_artefacts(tmp_path: Path) -> None:
    """Nothing is reported, and the artefact is made once."""
    host = Host(root=tmp_path / "a", shared=None)

    host.ensure()
    host.ensure()

    assert (host.made, host.said) == (["made here"], [])


def test_permissions_links_and_holes_arrive_as_they_were(tmp_path: Path, shared: Path) -> None:
    """A key stays private, a link keeps its target wherever it points, a hole takes no space."""

    def make(folder: Path) -> None:
        (folder / "ready").touch()
        (folder / "key").write_text("secret")
        (folder / "key").chmod(0o600)
        (folder / "tool").write_text("#!/bin/sh\n")
        (folder / "tool").chmod(0o4755)
        (folder / "link").symlink_to("/usr/bin/true")
        with (folder / "disk").open("wb") as disk:
            disk.truncate(64 << 20)

    said: list[str] = []
    for host in ("a", "b"):
        folder = tmp_path / host / "things" / NAME
        wanted = Artefact(folder=folder, what="thing", lock_s=60.0, shared=shared)
        problem = artefact.lack_of("ready")
        artefact.ensure(wanted, make, problem=problem, progress=said.append)

    assert len(said) == 1
    assert (folder / "key").stat().st_mode & 0o7777 == 0o600
    assert (folder / "tool").stat().st_mode & 0o7777 == 0o4755
    assert (folder / "link").readlink() == Path("/usr/bin/true")
    disk = (folder / "disk").stat()
    assert (disk.st_size, disk.st_uid) == (64 << 20, os.getuid())
    assert disk.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("harm", ["changed", "cut", "empty"])
def test_a_damaged_entry_is_reported_removed_and_made_again(
    tmp_path: Path, shared: Path, harm: str
) -> None:
    """The host that finds it makes the artefact, and its entry serves the next host."""
    Host(root=tmp_path / "a", shared=shared).ensure("by the first")
    (entry,) = entries(shared)
    whole = entry.read_bytes()
    at = whole.index(b"by the first")
    damaged = {"changed": whole[:at] + b"X" + whole[at + 1 :], "cut": whole[:-1], "empty": b""}
    entry.write_bytes(damaged[harm])

    finder = Host(root=tmp_path / "b", shared=shared)
    found = finder.ensure("by the second")
    third = Host(root=tmp_path / "c", shared=shared)
    third.ensure("by the third")

    assert (found / "ready").read_text() == "by the second"
    damage = "damaged (its content does not have the hash in its name)"
    assert finder.said == [f"{entry} is {damage}; it is not used, and is removed"]
    assert not entry.exists()
    assert third.made == []


def test_an_incomplete_artefact_is_not_used(tmp_path: Path, shared: Path) -> None:
    """An entry with the right hash, whose maker stored half of an artefact, is removed as well."""
    (tmp_path / "other").write_text("")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "other", "other")
    entry = put(shared, (tmp_path / "x.tar").read_bytes())
    host = Host(root=tmp_path / "a", shared=shared)

    found = host.ensure()

    assert [one.name for one in found.iterdir()] == ["ready"]
    assert host.said == [f"{entry} is damaged (it has no ready); it is not used, and is removed"]


def test_an_entry_that_is_no_archive_is_not_used(tmp_path: Path, shared: Path) -> None:
    """The host says so with the file's name, and makes the artefact."""
    entry = put(shared, b"no archive at all, but with its own hash" * 100)
    host = Host(root=tmp_path / "a", shared=shared)

    host.ensure()

    assert host.made == ["made here"]
    assert host.said[0].startswith(f"{entry} cannot be taken from the shared cache: tar: ")


def test_files_with_other_names_are_no_entries(tmp_path: Path, shared: Path) -> None:
    """What a killed host has left, and a name without a hash, are never read."""
    put(shared, b"", "no-hash")
    (shared / platform.machine() / "things" / f".{NAME}.0123.tmp").write_bytes(b"half")
    host = Host(root=tmp_path / "a", shared=shared)

    host.ensure()

    assert (host.made, host.said) == (["made here"], [])


def test_an_entry_that_does_not_answer_costs_a_bounded_time(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a pipe that nobody writes to blocks, as a dead server's file does."""
    monkeypatch.setattr(shared_cache, "_ANSWER_S", 1.0)
    entry = shared / platform.machine() / "things" / f"{NAME}.{'0' * 64}.tar"
    entry.parent.mkdir(parents=True)
    os.mkfifo(entry)
    host = Host(root=tmp_path / "a", shared=shared)
    begun = time.monotonic()

    host.ensure()

    assert host.made == ["made here"]
    assert host.said == [f"{entry} cannot be taken from the shared cache: no answer within 1 s"]
    # One deadline, and the time that a busy host needs to start a few programs.
    assert time.monotonic() - begun < 30.0


def test_a_shared_cache_that_does_not_answer_is_reported_and_not_used(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program lists a folder within a microsecond, so each request passes its deadline."""
    monkeypatch.setattr(shared_cache, "_ANSWER_S", 1e-6)
    host = Host(root=tmp_path / "a", shared=shared)

    host.ensure()

    assert host.made == ["made here"]
    assert set(host.said) == {f"the shared cache {shared} is not used: no answer within 0 s"}


def test_a_missing_shared_cache_is_reported_with_its_folder(tmp_path: Path) -> None:
    """A host on which it is not mounted makes its own artefacts."""
    shared = tmp_path / "not-mounted"
    host = Host(root=tmp_path / "a", shared=shared)

    host.ensure()

    assert host.made == ["made here"]
    assert not shared.exists()
    assert host.said
    for line in host.said:
        assert re.fullmatch(f"the shared cache {shared} is not used: .*can't cd to {shared}", line)


def _give(root: Path, shared: Path, text: str, barrier: Barrier) -> None:
    """Make an artefact and put it into the shared cache at the same time as another process."""
    give = artefact.give

    def wait_and_give(made: Artefact, progress: Callable[[str], None]) -> None:
        barrier.wait(60)
        give(made, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artefact, "give", wait_and_give)
        Host(root=root, shared=shared).ensure(text)


def test_two_hosts_that_give_the_same_artefact_at_once_do_not_harm_each_other(
    tmp_path: Path, shared: Path
) -> None:
    """Each entry is whole afterwards, nothing else is left, and a third host takes one."""
    context = multiprocessing.get_context("fork")
    for number in range(3):
        barrier = context.Barrier(2)
        givers = [
            context.Process(
                target=_give, args=(tmp_path / f"{name}{number}", shared, name * 3000, barrier)
            )
            for name in ("a", "b")
        ]
        for one in givers:
            one.start()
        for one in givers:
            one.join(60)
        assert [one.exitcode for one in givers] == [0, 0]

        found = entries(shared)
        third = Host(root=tmp_path / f"c{number}", shared=shared)
        text = (third.ensure() / "ready").read_text()

        assert 1 <= len(found) <= 2
        for file in found:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            assert file.name == f"{NAME}.{digest}.tar"
        assert text in {"a" * 3000, "b" * 3000}
        for file in found:
            file.unlink()


def test_entries_that_no_host_has_used_for_two_weeks_are_removed(
    tmp_path: Path, shared: Path
) -> None:
    """A host that gives one removes them, and what killed hosts have left the day before."""
    unused, used = put(shared, b"1", "1" * 64), put(shared, b"2", "2" * 64)
    unused.rename(unused.with_name(f"other-{unused.name}"))
    used.rename(used.with_name(f"more-{used.name}"))
    left = shared / platform.machine() / "things" / ".one.0123.tmp"
    left.write_bytes(b"half")
    for file, days in (
        (unused.with_name(f"other-{unused.name}"), 14.1),
        (used.with_name(f"more-{used.name}"), 13.5),
        (left, 1.1),
    ):
        os.utime(file, times=(time.time() - days * 86400,) * 2)

    Host(root=tmp_path / "a", shared=shared).ensure()

    names = [one.name for one in entries(shared)]
    assert len(names) == 2
    assert names[0] == f"more-{used.name}"
    assert names[1].startswith(NAME)


def test_taking_an_entry_keeps_it_young(tmp_path: Path, shared: Path) -> None:
    """The time of an entry is that of its last use."""
    Host(root=tmp_path / "a", shared=shared).ensure()
    (entry,) = entries(shared)
    os.utime(entry, times=(0, 0))

    Host(root=tmp_path / "b", shared=shared).ensure()

    assert time.time() - entry.stat().st_mtime < 600


MOUNTED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.artefacts.test_shared_cache import Host
host = Host(root=Path(sys.argv[2]), shared=Path(sys.argv[3]))
host.ensure("by " + sys.argv[2])
print(len(host.made), *host.said, sep="\\n")
"""


def ensure_mounted(mount: str, root: Path, shared: Path) -> list[str]:
    """Return the count of artefacts made, and the reports, of a host that mounts it like this."""
    prefix = namespace.prefix()
    if not prefix:
        pytest.skip("this host allows no namespaces")
    words = [ROOT, root, shared]
    command = [*prefix, "sh", "-euc", f'{mount}\nexec "$@"', "sh"]
    command += [sys.executable, "-c", MOUNTED, *map(str, words)]
    environment = {**os.environ, "SHARED": str(shared)}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120, env=environment
    )
    return done.stdout.splitlines()


READ_ONLY = 'mount --bind "$SHARED" "$SHARED"\nmount -o remount,bind,ro "$SHARED"'


def test_a_host_that_may_only_read_takes_an_artefact_and_gives_none(
    tmp_path: Path, shared: Path
) -> None:
    """On a read-only shared cache, a host reports what it takes, and not that it gives nothing."""
    made = ensure_mounted(READ_ONLY, tmp_path / "a", shared)
    assert (made, list(shared.iterdir())) == (["1"], [])

    Host(root=tmp_path / "b", shared=shared).ensure()
    taken = ensure_mounted(READ_ONLY, tmp_path / "c", shared)

    assert taken == ["0", f"took {NAME} (0 MiB) from the shared cache"]


def test_a_damaged_entry_that_cannot_be_removed_is_not_used(tmp_path: Path, shared: Path) -> None:
    """A host that may only read reports the entry with the reason, and makes the artefact."""
    entry = put(shared, b"damaged", "0" * 64)

    made, said = ensure_mounted(READ_ONLY, tmp_path / "a", shared)

    assert made == "1"
    assert said.startswith(f"{entry} is damaged")
    assert "it is not used, and cannot be removed: rm: " in said
    assert said.endswith("Read-only file system")
    assert entry.read_bytes() == b"damaged"


def test_a_full_shared_cache_is_reported_and_keeps_no_part_of_an_entry(
    tmp_path: Path, shared: Path
) -> None:
    """The artefact stays usable on the host that has made it."""
    full = 'mount -t tmpfs -o size=8k none "$SHARED"'
    count = '"$@"; find "$SHARED" -type f; exit'

    made, said = ensure_mounted(f"{full}\n{count}", tmp_path / "a", shared)

    assert made == "1"
    assert said.startswith(f"{NAME} is not put into the shared cache: cp: ")
    assert said.endswith("No space left on device")
    assert (tmp_path / "a" / "things" / NAME / "ready").is_file()
