# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check packages with other tools: lintian on Debian's, rpmlint and rpmbuild on the spec."""

import subprocess
from pathlib import Path

import pytest

from harness.release.packages import Release
from tests.packages.releases import ROOT

pytestmark = pytest.mark.long

_TOOLS = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def run(*command: str | Path, cwd: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run a tool and return its result; a missing tool fails the test."""
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
    # The names of snapshots for one kernel are long.
    known = "--suppress-tags=package-has-long-file-name"
    command = ("lintian", "--no-cfg", "--tag-display-limit=0", known)
    done = run(*command, *files, cwd=home, home=home)
    return [line for line in done.stdout.splitlines() if line.startswith(("E: ", "W: "))]


def rpmlint(spec: Path, home: Path) -> str:
    """Return rpmlint's output for a spec, without what the project's rpmlintrc explains."""
    rules = ROOT / "packaging/rpm/osq.rpmlintrc"
    return run("rpmlint", "-r", rules, spec, cwd=home, home=home).stdout


def test_lintian_reports_no_error_or_warning_for_the_released_packages(
    release: Release, tmp_path: Path
) -> None:
    """In the .deb files lintian finds nothing beyond what packaging/debian overrides."""
    assert lintian([file for file in release.files if file.suffix == ".deb"], tmp_path) == []


def test_lintian_reports_a_package_without_manual_page_and_copyright_file(
    release: Release, tmp_path: Path
) -> None:
    """In an osq.deb without both, lintian names the two, so the preceding test can fail."""
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


def test_rpmlint_finds_nothing_in_the_spec_and_rpmbuild_builds_all_its_four_packages(
    release: Release, tmp_path: Path
) -> None:
    """On this machine osq.spec of a release gives osq, osq-libs, osq-devel and osq-dkms."""
    spec = release.folder / "osq.spec"
    sources = tmp_path / "rpmbuild" / "SOURCES"
    sources.mkdir(parents=True)
    (archive,) = release.folder.glob("osq-*.tar.gz")
    (sources / archive.name).symlink_to(archive)
    places = ("--define", f"_topdir {tmp_path / 'rpmbuild'}", "--define", f"_tmppath {tmp_path}")

    parsed = run("rpmspec", "-P", spec, cwd=tmp_path, home=tmp_path)
    linted = rpmlint(spec, tmp_path)
    # --nodeps: the tools that the spec requires are installed here, but not as rpm packages.
    built = run(*("rpmbuild", "-bb", "--nodeps", *places, spec), cwd=tmp_path, home=tmp_path)

    assert parsed.returncode == 0, parsed.stderr
    assert "0 errors, 0 warnings" in linted, linted
    assert built.returncode == 0, built.stderr[-3000:]
    made = {file.name.partition(f"-{release.version.text}")[0] for file in tmp_path.rglob("*.rpm")}
    assert made == {"osq", "osq-libs", "osq-devel", "osq-dkms"}


def test_rpmspec_refuses_an_unclosed_if_and_rpmlint_a_misspelt_tag(
    release: Release, tmp_path: Path
) -> None:
    """Both tools object to a spoilt osq.spec, so the preceding test can fail."""
    text = (release.folder / "osq.spec").read_text()
    bad = tmp_path / "osq.spec"

    bad.write_text(text.replace("%endif\n\n%prep", "\n%prep"))
    assert run("rpmspec", "-P", bad, cwd=tmp_path, home=tmp_path).returncode != 0

    bad.write_text(text.replace("License:", "Licence:"))
    assert "0 errors" not in rpmlint(bad, tmp_path)
