# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of a release: reproducible, complete, and without anything of the test build."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import build, kernels
from harness.errors import BuildError, UsageError
from harness.host import config
from harness.model.settings import Kernel
from harness.release import gate, signing
from harness.release.folders import SUMS
from harness.release.packages import Release
from harness.release.signing import SigningKey
from tests.packages.releases import (
    ENVIRONMENT,
    KERNEL,
    ROOT,
    SETTINGS,
    contents,
    make_release,
    package,
    package_names,
    spec,
)

USER_LAND = {"osq", "osq-subscriber", "libosq0", "libosq-dev"}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """Return the default target's kernel."""
    return kernels.ensure(
        KERNEL, SETTINGS.kernels[KERNEL], root=ENVIRONMENT.cache, progress=lambda _: None
    )


def another_checkout(folder: Path) -> Path:
    """Return another git checkout with the same tracked files."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


def test_changed_file_fails_the_checksums(release: Release, tmp_path: Path) -> None:
    """sha256sum --check names a .deb of the release to which a byte was added."""
    shutil.copytree(release.folder, tmp_path / "copy")
    check = ["sha256sum", "--check", "--quiet", SUMS]
    assert subprocess.run(check, cwd=tmp_path / "copy", check=False).returncode == 0
    victim = package(release, "osq").name
    with (tmp_path / "copy" / victim).open("ab") as file:
        file.write(b"\0")

    done = subprocess.run(
        check, cwd=tmp_path / "copy", check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stdout.strip() == f"{victim}: FAILED"


def test_release_has_all_packages(release: Release, kernel: Kernel) -> None:
    """A release has osq, osq-subscriber, osq-dkms, osq-modules, libosq0 and libosq-dev."""
    module = f"osq-modules-{kernel.release}"

    assert package_names(release) == USER_LAND | {"osq-dkms", module}
    assert f"/lib/modules/{kernel.release}/updates/osq/osq.ko" in contents(
        package(release, module)
    )
    tools = contents(package(release, "osq"))
    assert {
        "/usr/sbin/osqtail",
        "/usr/sbin/osqstat",
        "/usr/share/man/man8/osqtail.8.gz",
        "/lib/systemd/system/osqtail.service",
        "/etc/modprobe.d/osq.conf",
        "/usr/share/doc/osq/copyright",
    } <= set(tools)
    assert "/usr/include/osq/osq.h" in contents(package(release, "libosq-dev"))


def test_dkms_source_has_every_file_of_core_uapi_and_os_linux_except_the_test_builds(
    release: Release,
) -> None:
    """osq-dkms.deb has these folders of kernel/, without the test build's files, and dkms.conf."""
    root = ROOT / "kernel"
    known = {
        path.relative_to(root).as_posix()
        for folder in ("core", "uapi", "os/linux")
        for path in (root / folder).iterdir()
    }
    of_tests = {name for name in known if name.startswith("os/linux/test_")}
    of_tests |= {"os/linux/osq_test_crash.h", "uapi/osq_test.h"}
    place = f"/usr/src/osq-{release.version.text}/"

    files = contents(package(release, "osq-dkms"))

    packed = {name.removeprefix(place) for name in files if name.startswith(place)}
    assert packed == (known - of_tests) | {"dkms.conf"}
    assert f'PACKAGE_VERSION="{release.version.text}"'.encode() in files[f"{place}dkms.conf"]


def test_user_space_packages_built_with_skip_kernel_have_the_same_bytes_as_the_released_ones(
    release: Release, tmp_path: Path
) -> None:
    """`packages` with SKIP_KERNEL=1 makes them without a kernel's headers and a signing key."""
    elsewhere = another_checkout(tmp_path / "elsewhere")
    out = tmp_path / "out"
    file = elsewhere / "pyproject.toml"
    command = [sys.executable, "-m", "invoke", "packages", f"--out={out}", f"--config={file}"]
    home = {"HOME": str(tmp_path), "HARNESS_CACHE": str(tmp_path / "cache")}

    subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        env={**os.environ, **home, "SKIP_KERNEL": "1"},
        timeout=600,
        umask=0o077,
    )

    made = {file.name.partition("_")[0]: file.read_bytes() for file in out.glob("*.deb")}
    assert set(made) == USER_LAND
    for name, data in made.items():
        assert data == package(release, name).read_bytes(), name
    assert not list(tmp_path.rglob("*.pem"))


@pytest.mark.long
def test_release_is_reproducible(release: Release, key: SigningKey, tmp_path: Path) -> None:
    """A second release, from another checkout with another umask, has the same SHA256SUMS."""
    elsewhere = another_checkout(tmp_path / "elsewhere")
    settings = config.load(elsewhere / "pyproject.toml")
    before = os.umask(0o077)

    try:
        again = make_release(tmp_path / "out", key=key, settings=settings, version=release.version)
    finally:
        os.umask(before)

    assert (again.folder / SUMS).read_text() == (release.folder / SUMS).read_text()
    assert len((release.folder / SUMS).read_text().splitlines()) == 8


def test_modinfo_shows_version_and_abi_of_the_packaged_module(
    release: Release, kernel: Kernel, tmp_path: Path
) -> None:
    """The commands of SECURITY.md and kernel/README.md print the release's number and the ABI."""
    files = contents(package(release, f"osq-modules-{kernel.release}"))
    module = tmp_path / "osq.ko"
    module.write_bytes(files[f"/lib/modules/{kernel.release}/updates/osq/osq.ko"])
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    shown = [
        subprocess.run(
            ["modinfo", "-F", field, module], check=True, capture_output=True, text=True
        ).stdout
        for field in ("version", "osq_abi")
    ]

    abi = re.search(r"OSQ_ABI_RELEASE (\w+)", (ROOT / "kernel" / "uapi" / "osq.h").read_text())
    assert abi is not None
    assert shown == [f"{number}\n", f"{abi[1]}\n"]


def test_packaged_module_has_a_valid_signature(
    release: Release, kernel: Kernel, key: SigningKey, tmp_path: Path
) -> None:
    """osq.ko verifies with the certificate in its package; with one bit changed it does not."""
    files = contents(package(release, f"osq-modules-{kernel.release}"))
    module = tmp_path / "osq.ko"
    module.write_bytes(files[f"/lib/modules/{kernel.release}/updates/osq/osq.ko"])
    (certificate,) = (data for name, data in files.items() if name.endswith(".der"))

    assert certificate == key.certificate.read_bytes()
    assert signing.is_signed_by(module, key.certificate)
    content, signature = signing.split(module.read_bytes())
    changed = content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
    module.write_bytes(changed + module.read_bytes()[len(content) :])
    assert signature
    assert not signing.is_signed_by(module, key.certificate)


def test_release_check_refuses_the_modules_test_build_and_lists_forbidden_texts_and_abi_number(
    kernel: Kernel,
) -> None:
    """The check of modules before packaging raises BuildError for osq_test.ko."""
    built = build.build_module(
        SETTINGS.module.variant("test"),
        kernel,
        project=ROOT,
        out=build.output_folder(ROOT, "kernel-test", cache_root=ENVIRONMENT.cache),
        variables={},
        progress=lambda _: None,
    )

    with pytest.raises(BuildError, match="not released") as caught:
        gate.check_module(built.stripped, gate.rules_of(spec()))

    evidence = "\n".join(caught.value.evidence)
    in_modules = set(spec().forbidden) - {"osquery_test"}
    assert {text for text in spec().forbidden if repr(text) in evidence} >= in_modules
    assert "ABI 0x80000002, which only a test build has" in evidence


def test_release_check_refuses_osqtail_when_it_is_built_for_the_test_build(tmp_path: Path) -> None:
    """The check before packaging finds /dev/osquery_test and the test ABI in osqtail_test."""
    subprocess.run(
        ["make", "-s", "-C", ROOT / "kernel/client", f"O={tmp_path}", "TEST=1"], check=True
    )
    data = (tmp_path / "osqtail_test").read_bytes()

    found = "\n".join(gate.objections("osqtail", data, gate.rules_of(spec()), stamped=True))

    assert "'osquery_test'" in found
    assert "ABI 0x80000002, which only a test build has" in found


@pytest.mark.long
def test_failed_release_does_not_remove_the_older_release(key: SigningKey, tmp_path: Path) -> None:
    """When a release fails, because its module is the test build, the folder's files stay."""
    out = tmp_path / "out"
    out.mkdir()
    (out / SUMS).write_text("of before\n")
    module = replace(SETTINGS.module, variables={"OSQ_TEST": "1"}, name="osq_test")
    settings_with_test_build = replace(
        SETTINGS, module=module, packages=replace(spec(), without=())
    )

    with pytest.raises(BuildError, match="not released"):
        make_release(out, key=key, settings=settings_with_test_build)

    assert [path.name for path in out.iterdir()] == [SUMS]
    assert (out / SUMS).read_text() == "of before\n"


def test_release_into_a_folder_with_other_files_is_refused_and_the_files_stay(
    key: SigningKey, tmp_path: Path
) -> None:
    """`packages` into a folder with a foreign file raises UsageError and deletes nothing."""
    (tmp_path / "thesis.txt").write_text("three years")

    with pytest.raises(UsageError, match="not overwritten"):
        make_release(tmp_path, key=key)

    assert (tmp_path / "thesis.txt").read_text() == "three years"
