# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the subscriber's package: its content, and that Debian's own Python can run it."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.release.packages import Release
from tests.packages.releases import ROOT, contents, package

SOURCES = ROOT / "kernel/subscriber/osq"
SITE = "/usr/lib/python3/dist-packages"
LIBRARY = f"{SITE}/_libosq.abi3.so"
SCRIPTS = {"/usr/bin/osq", "/usr/lib/osq/osq-extension.ext"}


@pytest.fixture(scope="module")
def files(release: Release) -> dict[str, bytes]:
    """Return the files of the subscriber's package."""
    return contents(package(release, "osq-subscriber"))


@pytest.fixture(scope="module")
def root(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the package and the library that it needs into a folder."""
    folder = tmp_path_factory.mktemp("root")
    for name in ("osq-subscriber", "libosq0"):
        subprocess.run(["dpkg-deb", "--extract", package(release, name), folder], check=True)
    return folder


def run(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the unpacked package with the system's Python."""
    (library,) = root.glob("usr/lib/*/libosq.so.0")
    places = {"PYTHONPATH": f"{root}{SITE}", "LD_LIBRARY_PATH": str(library.parent)}
    return subprocess.run(
        ["/usr/bin/python3", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **places},
    )


def test_package_has_every_file_of_the_subscriber(files: dict[str, bytes]) -> None:
    """osq-subscriber.deb has each Python file, the commands, unit, udev rule and manual pages."""
    modules = {
        f"{SITE}/osq/{path.relative_to(SOURCES)}": path.read_bytes()
        for path in SOURCES.rglob("*.*")
        if path.suffix in {".py", ".css"}
    }
    docs = {name for name in files if name.startswith("/usr/share/doc/osq-subscriber/")}

    assert {name: files.get(name) for name in modules} == modules
    assert set(files) - docs == {
        *modules,
        *SCRIPTS,
        *(LIBRARY, "/etc/osq/osq.conf", "/lib/systemd/system/osq-subscriber.service"),
        "/lib/udev/rules.d/60-osq-subscriber.rules",
        *("/usr/share/man/man5/osq.conf.5.gz", "/usr/share/man/man8/osq.8.gz"),
    }
    rule = files["/lib/udev/rules.d/60-osq-subscriber.rules"]
    assert rule == (ROOT / "packaging/system/osq.udev").read_bytes()
    assert {Path(name).name for name in docs} == {
        *("changelog.gz", "copyright", "subscriber.md.gz", "subscriber-tables.md.gz"),
        "ten-questions.md.gz",
    }


def calls_of(binary: Path) -> dict[str, str]:
    """Return the kind of each osq_client_* symbol of a binary: U undefined, T defined."""
    table = ["nm", "--dynamic", "--format=posix", str(binary)]
    lines = subprocess.run(table, check=True, capture_output=True, text=True).stdout.splitlines()
    words = [line.split() for line in lines]
    return {name: kind for name, kind, *_ in words if name.startswith("osq_client_")}


def field(release: Release, name: str) -> str:
    """Return a field of the package's control file."""
    command = ["dpkg-deb", "--field", str(package(release, "osq-subscriber")), name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_package_recommends_the_tools_and_the_driver(release: Release) -> None:
    """osq-subscriber.deb recommends osq and osq-dkms, so that apt installs them as well."""
    assert field(release, "Recommends") == "osq, osq-dkms | osq-module\n"


def test_each_libosq_function_that_the_packaged_python_module_needs_is_exported_by_libosq0(
    release: Release, root: Path
) -> None:
    """_libosq of osq-subscriber.deb links to libosq0 of exactly the same version."""
    (library,) = root.glob("usr/lib/*/libosq.so.0")
    imported, exported = calls_of(root / LIBRARY.lstrip("/")), calls_of(library)
    depends = field(release, "Depends")

    assert (
        {"osq_client_open", "osq_client_next", "osq_client_filter"}
        <= set(imported)
        <= set(exported)
    )
    assert (set(imported.values()), set(exported.values())) == ({"U"}, {"T"})
    assert f"libosq0 (= {release.version.text})" in depends
    assert "python3-cffi-backend" in depends
    assert "python3:any (>= 3.11" in depends


def test_packaged_osq_on_debians_python_prints_the_documented_tables_and_refuses_a_bad_config(
    root: Path,
) -> None:
    """The unpacked osq-subscriber.deb runs on Debian's Python of this machine."""
    page = (ROOT / "docs" / "subscriber-tables.md").read_text()
    bad = root / "bad.conf"
    bad.write_text('{"osq": {"filters": {"exec": {"uid": [0]}}}}')

    tables = run(root, "-m", "osq", "tables")
    good = run(root, "-m", "osq", "--config", "etc/osq/osq.conf", "daemon")
    refused = run(root, "-m", "osq", "--config", str(bad), "query", "SELECT 1")

    assert tables.returncode == 0, tables.stderr
    assert tables.stdout.rstrip("\n") == page[page.index("## kprocess_events") :].rstrip("\n")
    # The service creates the store's folder, so it is missing here.
    assert good.returncode == 1
    assert "is its folder there?" in good.stderr
    assert refused.returncode == 2
    assert "osq.filters.exec.uid: unknown" in refused.stderr


def test_extension_reports_the_missing_python_package(root: Path) -> None:
    """Unpacked from osq-subscriber.deb, without osquery's package, it exits with 1."""
    start = "import sys; from osq.extension_command import main; sys.exit(main([]))"
    done = run(root, "-c", start)

    assert done.returncode == 1
    assert "the Python package osquery is not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_line_of_each_script_runs_python3_in_isolated_mode(
    files: dict[str, bytes],
) -> None:
    """Scripts of osq-subscriber.deb use python3 -I, which ignores PYTHONPATH and the folder."""
    assert {files[name].split(b"\n", 1)[0] for name in SCRIPTS} == {b"#!/usr/bin/python3 -I"}


def test_package_scripts_contain_the_was_enabled_check_and_the_removal_of_the_store(
    release: Release,
) -> None:
    """Scripts of osq-subscriber.deb have was-enabled of the service, and rm -rf /var/lib/osq.

    The file osq.conf is a configuration file of the package.
    """
    deb = package(release, "osq-subscriber")
    scripts = subprocess.run(
        ["dpkg-deb", "--ctrl-tarfile", deb], check=True, capture_output=True
    ).stdout
    listed = subprocess.run(
        ["tar", "-xO", "./postinst", "./postrm", "./conffiles"],
        input=scripts,
        check=True,
        capture_output=True,
    ).stdout.decode()

    assert "was-enabled 'osq-subscriber.service'" in listed
    assert "rm -rf /var/lib/osq" in listed
    assert "/etc/osq/osq.conf" in listed.splitlines()
