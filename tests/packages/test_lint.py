# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Second opinions: lintian on the Debian packages, rpm's own tools and rpmlint on the spec."""

import subprocess
from pathlib import Path

import pytest

from harness.release.packages import Release
from tests.packages.releases import ROOT

pytestmark = pytest.mark.long

_TOOLS = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def run(*command: str | Path, cwd: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Return how a tool ended; one that is missing fails the test."""
    return subprocess.run(
        command,
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env={**_TOOLS, "HOME": str(home)},
    )


def lintian(files: list[Path], home: Path) -> list[str]:
    """Return lintian's errors and warnings."""
    # Of a snapshot for one kernel: both are long to say.
    known = "--suppress-tags=package-has-long-file-name"
    command = ("lintian", "--no-cfg", "--tag-display-limit=0", known)
    done = run(*command, *files, cwd=home, home=home)
    return [line for line in done.stdout.splitlines() if line.startswith(("E: ", "W: "))]


def rpmlint(spec: Path, home: Path) -> str:
    """Return what rpmlint says of a spec, but for what the project's rpmlintrc explains."""
    rules = ROOT / "packaging/rpm/osq.rpmlintrc"
    return run("rpmlint", "-r", rules, spec, cwd=home, home=home).stdout


def test_lintian_has_nothing_to_object_to(release: Release, tmp_path: Path) -> None:
    """Neither errors nor warnings but those that debian/ overrides with a reason."""
    assert lintian([file for file in release.files if file.suffix == ".deb"], tmp_path) == []


def test_lintian_would_object(release: Release, tmp_path: Path) -> None:
    """To a package with a man page taken out and a mode changed."""
    (deb,) = release.folder.glob("osq_*.deb")
    root = tmp_path / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, root], check=True)
    (root / "usr/share/man/man8/osqtail.8.gz").unlink()
    (root / "usr/share/doc/osq/copyright").unlink()
    bad = tmp_path / deb.name
    subprocess.run(["dpkg-deb", "--build", root, bad], check=True, capture_output=True)

    found = "\n".join(lintian([bad], tmp_path))

    assert "no-manual-page" in found
    assert "no-copyright-file" in found


def test_the_spec_builds_what_it_lists(release: Release, tmp_path: Path) -> None:
    """Rpmspec parses it, rpmlint has no error, rpmbuild makes every package of it."""
    spec = release.folder / "osq.spec"
    sources = tmp_path / "rpmbuild" / "SOURCES"
    sources.mkdir(parents=True)
    (archive,) = release.folder.glob("osq-*.tar.gz")
    (sources / archive.name).symlink_to(archive)
    places = ("--define", f"_topdir {tmp_path / 'rpmbuild'}", "--define", f"_tmppath {tmp_path}")

    parsed = run("rpmspec", "-P", spec, cwd=tmp_path, home=tmp_path)
    linted = rpmlint(spec, tmp_path)
    # This host is no rpm system: what the build requires is here, but rpm cannot know.
    built = run(*("rpmbuild", "-bb", "--nodeps", *places, spec), cwd=tmp_path, home=tmp_path)

    assert parsed.returncode == 0, parsed.stderr
    assert "0 errors, 0 warnings" in linted, linted
    assert built.returncode == 0, built.stderr[-3000:]
    made = {file.name.partition(f"-{release.version.text}")[0] for file in tmp_path.rglob("*.rpm")}
    assert made == {"osq", "osq-libs", "osq-devel", "osq-dkms"}


def test_a_broken_spec_is_seen(release: Release, tmp_path: Path) -> None:
    """A file that is listed and not there, and a section that does not close."""
    text = (release.folder / "osq.spec").read_text()
    bad = tmp_path / "osq.spec"

    bad.write_text(text.replace("%endif\n\n%prep", "\n%prep"))
    assert run("rpmspec", "-P", bad, cwd=tmp_path, home=tmp_path).returncode != 0

    bad.write_text(text.replace("License:", "Licence:"))
    assert "0 errors" not in rpmlint(bad, tmp_path)
