# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.build_box: a command sees the chosen kernel and has no network."""

import subprocess
from pathlib import Path

import pytest

from harness.artefacts.build_box import Box
from harness.errors import BuildError
from harness.modules import namespace

RELEASE = "6.9.0-box"


@pytest.fixture(params=["host", "root"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    """Return a box on this host, and a box whose build root is this host's own root folder."""
    if not namespace.prefix():
        pytest.skip("this host allows no namespaces")
    for name in ("out", "kdir"):
        (tmp_path / name).mkdir()
    (tmp_path / "kdir" / "Makefile").write_text("")
    return Box(
        release=RELEASE,
        kdir=tmp_path / "kdir",
        scratch=tmp_path / "box",
        root=Path("/") if request.param == "root" else None,
        shared=(tmp_path / "out", tmp_path / "kdir"),
    )


def run(box: Box, script: str, *, cwd: Path) -> str:
    """Run a shell script in the box, and return its output."""
    done = subprocess.run(
        box.command(["sh", "-c", script], cwd=cwd),
        check=False,
        capture_output=True,
        text=True,
        env=box.environment(CHOSEN="yes"),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_uname_in_a_box_prints_the_chosen_kernels_release(box: Box, tmp_path: Path) -> None:
    """In a build's box (namespaces) `uname -r` and /lib/modules show the kernel to build for."""
    script = f"pwd; uname -r; ls /lib/modules/{RELEASE}/build; uname -s; echo $CHOSEN"

    said = run(box, script, cwd=tmp_path / "out").split()

    assert said == [str(tmp_path / "out"), RELEASE, "Makefile", "Linux", "yes"]


def test_built_files_stay_and_mounts_are_gone_after_a_box_ends(box: Box, tmp_path: Path) -> None:
    """Files that a box's command wrote into a shared folder stay; the box's mounts are gone."""
    run(box, "echo made > made; ls /proc/self > /dev/null", cwd=tmp_path / "out")

    assert (tmp_path / "out" / "made").read_text() == "made\n"
    assert not Path(f"/lib/modules/{RELEASE}").exists()
    assert list(box.scratch.iterdir()) == []


def test_a_box_has_no_network(box: Box, tmp_path: Path) -> None:
    """A command in a box has no network, so a build that downloads fails on every host."""
    said = run(box, "cat /proc/net/dev", cwd=tmp_path / "out")

    names = [line.split(":")[0].strip() for line in said.splitlines() if ":" in line]
    assert names == ["lo"]


def test_without_namespaces_a_command_runs_in_the_given_host_folder_and_a_build_root_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without namespaces the command of a box runs on the host; with a build root it fails."""
    monkeypatch.setattr(namespace, "prefix", lambda: ())
    plain = Box(release=RELEASE, kdir=tmp_path, scratch=tmp_path / "box")

    assert run(plain, "pwd; uname -r", cwd=tmp_path).split() == [str(tmp_path), RELEASE]
    rooted = Box(release=RELEASE, kdir=tmp_path, scratch=tmp_path / "box", root=tmp_path)
    with pytest.raises(BuildError, match="needs namespaces"):
        rooted.command(["true"], cwd=tmp_path)
