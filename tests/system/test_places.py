# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs pass wherever the cache, the checkout and the caller are, and whoever calls."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.artefacts import image, kernels
from harness.host import config
from tests.system.whole_run import (
    Project,
    call_task,
    copy_checkout,
    copy_example,
)

# The user and group that own nothing (nobody, nogroup on Debian).
NOBODY = 65534
LONGEST_S = 2400.0
FACTOR = 16.0


def give_time(project: Project) -> Project:
    """Give a project's guests more time: these tests are about places, and not about deadlines."""
    project.replace(
        "pyproject.toml",
        "[tool.harness.module]",
        f"timeouts.tcg_factor = {FACTOR}\n\n[tool.harness.module]",
    )
    return project


def copy_cache(project: Project, folder: Path) -> Path:
    """Copy the image and the kernel of a project out of this user's cache; return the copy."""
    settings = config.load(project.root / "pyproject.toml")
    target = config.choose_target(settings, None, None)
    own = config.environment().cache
    spec = image.load_spec(settings.images, target.image)
    found = image.ensure(spec, root=own, progress=print)
    kernel = kernels.ensure(
        target.kernel, settings.kernels[target.kernel], root=own, progress=print
    )
    for place in (found.disk.parent, kernel.vmlinuz.parent):
        shutil.copytree(place, folder / place.relative_to(own), symlinks=True)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a cache with an image, a kernel and a saved guest, which no other test uses."""
    folder = tmp_path_factory.mktemp("caches")
    project = give_time(copy_example(folder / "project"))
    cache = copy_cache(project, folder / "first")
    run = project.run(deadline_s=LONGEST_S, HARNESS_CACHE=str(cache))
    assert run.code == 0, run.output
    return cache


@contextmanager
def renamed(folder: Path, name: str) -> Iterator[Path]:
    """Give a folder another name for as long as the block lasts."""
    other = folder.rename(folder.with_name(name))
    try:
        yield other
    finally:
        other.rename(folder)


@pytest.mark.long
def test_a_run_with_a_moved_cache_folder_passes_and_restores_its_saved_guest(
    project: Project, first: Path
) -> None:
    """kernel-test with a HARNESS_CACHE that was renamed restores its saved guest, boots none."""
    with renamed(first, "moved") as moved:
        run = give_time(project).run(deadline_s=LONGEST_S, HARNESS_CACHE=str(moved))

    assert run.code == 0, run.output
    assert "guest restored" in run.output
    assert "booting" not in run.output


@pytest.mark.long
def test_a_run_with_a_copied_cache_folder_passes_without_the_original(
    project: Project, first: Path, tmp_path: Path
) -> None:
    """kernel-test with a copied HARNESS_CACHE restores the guest after the first cache is gone."""
    copy = tmp_path / "copy"
    shutil.copytree(first, copy, symlinks=True)

    with renamed(first, "hidden"):
        run = give_time(project).run(deadline_s=LONGEST_S, HARNESS_CACHE=str(copy))

    assert run.code == 0, run.output
    assert "guest restored" in run.output
    assert "booting" not in run.output


@pytest.mark.long
def test_a_run_in_a_checkout_whose_path_has_spaces_and_umlauts_passes(tmp_path: Path) -> None:
    """A copy of this repository builds, loads and tests the driver in a real guest there."""
    checkout = copy_checkout(tmp_path / "Prüf mappe" / "mein modlab")
    own = Project(root=checkout)
    own.replace("pyproject.toml", "tcg_factor = 4.0", f"tcg_factor = {FACTOR}")

    done = call_task(
        *("kernel-test", "-k", "only_root_with_cap_sys_admin"),
        cwd=checkout,
        deadline_s=LONGEST_S,
        PYTHONPATH=str(checkout),
    )

    assert done.returncode == 0, done.stdout
    assert f"files: {checkout}/build/runs/" in done.stdout
    assert "verdict: passed" in done.stdout


def test_a_run_from_an_empty_folder_with_a_relative_project_path_passes_and_leaves_it_empty(
    project: Project, tmp_path: Path
) -> None:
    """kernel-test -C ../project writes into that project alone."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    give_time(project)
    done = call_task("kernel-test", "-C", "../project", cwd=elsewhere, deadline_s=LONGEST_S)

    assert done.returncode == 0, done.stdout
    assert f"files: {project.root}/build/runs/" in done.stdout
    assert list(elsewhere.iterdir()) == []


def processes_in(folder: Path, *, deadline_s: float = 30.0) -> list[str]:
    """Return the processes that name a folder on their command line, after some time to end."""
    end = time.monotonic() + deadline_s
    while True:
        every = psutil.process_iter(["name", "cmdline"])
        found = [
            one.info["name"] for one in every if str(folder) in " ".join(one.info["cmdline"] or [])
        ]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


@pytest.fixture
def of_nobody() -> Iterator[Path]:
    """Give a folder that belongs to an ordinary user; root alone can act as another user."""
    if os.getuid() != 0:
        pytest.skip("acting as another user needs root; this run is one of an ordinary user")
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    # What a killed run leaves is ended by libvirtd_parent, which needs the folder.
    assert processes_in(folder) == []
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_run_by_an_unprivileged_user_whose_cache_holds_image_and_kernel_passes(
    of_nobody: Path,
) -> None:
    """User nobody, with a cache, runtime folder and home of its own, runs kernel-test."""
    project = give_time(copy_example(of_nobody / "project"))
    copy_cache(project, of_nobody / "cache")
    places = {"HARNESS_CACHE": "cache", "XDG_RUNTIME_DIR": "run", "HOME": "home"}
    for name in ("run", "home"):
        (of_nobody / name).mkdir(mode=0o700)
    for path in (of_nobody, *of_nobody.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    words = {"PATH": os.environ["PATH"], "CI": "1"}
    words |= {name: str(of_nobody / place) for name, place in places.items()}

    done = subprocess.run(
        project.command(),
        cwd=project.root,
        env=words,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=LONGEST_S,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: passed" in done.stdout
