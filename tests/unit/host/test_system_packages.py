# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.system_packages: the package list is read, compared with dpkg, and installed."""

import shutil
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.host import system_packages
from harness.host.system_packages import SystemPackage

LIST = """\
# a comment
package base qemu the machine
package base gcc compiles, and more
package checkers spin visits states
task check checkers
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH with stand-ins: dpkg-query knows only gcc, and apt-get records its call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    stub(folder, "dpkg-query", 'echo "gcc installed"; echo "qemu not-installed"; exit 1')
    stub(folder, "apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {tmp_path / "log"}')
    stub(folder, "sudo", '"$@"')
    for tool in ("env", "sh"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(system_packages, "_LISTS", tmp_path / "lists")
    return folder


def stub(folder: Path, name: str, text: str) -> None:
    """Write a stand-in for a program into the folder on the PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_each_listed_package_has_a_group_a_name_and_a_reason() -> None:
    """Each line of debian-packages.txt gives a group, the package's name and a reason."""
    found = system_packages.listed(LIST)

    assert [one.name for one in found] == ["qemu", "gcc", "spin"]
    assert found[1] == SystemPackage(name="gcc", group="base", reason="compiles, and more")


def test_a_tasks_package_groups_are_base_and_those_listed_for_the_task() -> None:
    """Each task of the harness needs Debian packages of `base`; an unknown task is an error."""
    assert system_packages.groups_of("", LIST) == ("base",)
    assert system_packages.groups_of("check", LIST) == ("base", "checkers")
    with pytest.raises(UsageError, match="clean needs no packages of its own") as caught:
        system_packages.groups_of("clean", LIST)
    assert caught.value.hint == "these tasks do: check"


def test_the_shipped_package_list_has_each_package_once_and_packages_for_every_tasks_groups() -> (
    None
):
    """In debian-packages.txt each group that a task needs has a package, each with a reason."""
    packages = system_packages.listed()
    groups = {one.group for one in packages}
    tasks = [
        line.split()[1]
        for line in system_packages.LIST.read_text().splitlines()
        if line[:5] == "task "
    ]

    assert len({one.name for one in packages}) == len(packages)
    assert all(one.reason for one in packages)
    assert {group for task in tasks for group in system_packages.groups_of(task)} <= groups


@pytest.mark.usefixtures("programs")
def test_a_package_that_dpkg_knows_but_that_is_not_installed_is_listed_as_missing() -> None:
    """A package that dpkg knows but does not call installed is reported as missing."""
    found = system_packages.missing(system_packages.listed(LIST))

    assert [one.name for one in found] == ["qemu", "spin"]


def test_packages_are_installed_without_a_question(programs: Path, tmp_path: Path) -> None:
    """apt-get is called with -y, after an update if there are no package lists."""
    said: list[str] = []

    system_packages.install(system_packages.listed(LIST)[:1], said.append)

    assert programs.is_dir()
    assert (tmp_path / "log").read_text().splitlines() == [
        "noninteractive update",
        "noninteractive install -y --no-install-recommends qemu",
    ]
    assert said == ["fetching package lists", "installing qemu"]


def test_if_apt_get_fails_an_error_with_its_last_output_lines_as_evidence_is_raised(
    programs: Path,
) -> None:
    """When apt-get fails, the error's evidence is apt's last lines."""
    stub(programs, "apt-get", "echo no such mirror >&2; exit 100")

    with pytest.raises(Lost, match="apt-get update failed") as caught:
        system_packages.install(system_packages.listed(LIST), lambda _text: None)

    assert caught.value.evidence == ("no such mirror",)


def test_without_dpkg_the_error_lists_the_needed_packages_and_reasons(programs: Path) -> None:
    """On a system without dpkg the error lists the packages to install, with the reasons."""
    (programs / "dpkg-query").unlink()

    with pytest.raises(UsageError, match="this is no Debian") as caught:
        system_packages.missing(system_packages.listed(LIST))

    assert [line.split() for line in caught.value.evidence] == [
        ["qemu", "the", "machine"],
        ["gcc", "compiles,", "and", "more"],
        ["spin", "visits", "states"],
    ]
