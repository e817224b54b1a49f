# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.project_init: `init` turns a folder, dkms.conf or package into a project."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.artefacts import build_root, dkms_package, project_init
from harness.artefacts.dkms_package import DkmsPackage
from harness.errors import BuildError, UsageError
from harness.host import config
from harness.model.environment import Environment
from harness.model.settings import Settings

DKMS = 'PACKAGE_NAME="p"\nPACKAGE_VERSION="1"\nBUILT_MODULE_NAME[0]="m"\n'
SOURCE_ERROR = ["/x/m.c:3:1: error: unknown type name"]
CONFIGURE_ERROR = ["configure: error: no libx"]


class Builds:
    """A stand-in for the build that records each configuration that was tried."""

    def __init__(self) -> None:
        self.tried: list[tuple[tuple[str, ...], str]] = []
        self.judge: Callable[[tuple[str, ...], str], list[str]] = lambda _needs, _kernel: []

    def build(self, settings: Settings, _environment: Environment, _progress: object) -> None:
        """Build, or fail with the error that the test's function gives for packages and kernel."""
        kernel = settings.targets[settings.default_target].kernel
        self.tried.append((settings.module.build_needs, kernel))
        evidence = self.judge(settings.module.build_needs, kernel)
        if evidence:
            raise BuildError("the module does not build", evidence=evidence)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    """Replace the build by a stand-in; nothing is installed, and apt offers one older kernel."""
    found = Builds()
    monkeypatch.setattr(project_init, "_build", found.build)
    monkeypatch.setattr(build_root, "missing", tuple)
    others = (("6.1.0-47", "linux-image-6.1.0-47-amd64"), ("5.10", ""))
    monkeypatch.setattr(project_init, "_other_kernels", lambda *_: iter(others))
    return found


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DkmsPackage:
    """Give a package that depends on one package and recommends another."""
    source = tmp_path / "cache" / "p-1"
    source.mkdir(parents=True)
    (source / "dkms.conf").write_text(DKMS)
    found = DkmsPackage(
        name="p-dkms", version="1-1", source=source, depends=("libx",), recommends=("tooly",)
    )
    monkeypatch.setattr(dkms_package, "fetch", lambda *_args, **_options: found)
    return found


def init(here: Path, what: str = "") -> project_init.Concluded:
    """Call `init` in a folder, and return its conclusions."""
    here.mkdir(exist_ok=True)
    return project_init.init(
        what, here=here, environment=config.environment({}), progress=lambda _: None
    )


def table(root: Path) -> dict[str, Any]:
    """Return the configuration table that `init` wrote."""
    text = (root / "pyproject.toml").read_text()
    found: dict[str, Any] = tomllib.loads(text)["tool"]["harness"]
    return found


def test_init_writes_the_modules_name_and_a_test_and_leaves_out_default_settings(
    tmp_path: Path, builds: Builds
) -> None:
    """`init` writes the table [tool.harness] and, as a comment, how it found the module."""
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")

    found = init(tmp_path)

    assert found.error is None
    assert table(tmp_path) == {
        "module": {"name": "hello"},
        "tests": [{"name": "first", "pytest": "tests"}],
    }
    assert "Makefile sets obj-m: kbuild builds hello.ko" in found.lines
    assert "# Makefile sets obj-m" in (tmp_path / "pyproject.toml").read_text()
    assert (tmp_path / "tests" / "test_hello.py").is_file()
    assert builds.tried == [((), "6.1")]


def test_init_adds_a_table_to_an_existing_pyproject(tmp_path: Path, builds: Builds) -> None:
    """`init` adds [tool.harness] to an existing pyproject.toml; a second `init` is refused."""
    (tmp_path / "Kbuild").write_text("obj-m := a.o b.o\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "tests").mkdir()

    init(tmp_path)

    assert "name = 'x'" in (tmp_path / "pyproject.toml").read_text()
    assert table(tmp_path)["module"] == {"name": "a", "modules": ["*"]}
    assert table(tmp_path)["tests"][0]["pytest"] == "tests-modlab"
    with pytest.raises(UsageError, match="already"):
        init(tmp_path)
    assert len(builds.tried) == 1


def test_init_tries_no_other_kernel_when_the_users_own_source_does_not_build(
    tmp_path: Path, builds: Builds
) -> None:
    """When the user's own source does not build, `init` reports it and tries no other kernel."""
    (tmp_path / "Makefile").write_text("obj-m := hello.o\n")
    builds.judge = lambda _needs, _kernel: SOURCE_ERROR

    found = init(tmp_path)

    assert found.error is not None
    assert found.error.evidence == tuple(SOURCE_ERROR)
    assert len(builds.tried) == 1
    assert table(tmp_path)["module"] == {"name": "hello"}


def test_init_unpacks_the_source_of_a_package(
    tmp_path: Path, builds: Builds, package: DkmsPackage
) -> None:
    """`init` unpacks a package's source into the folder, where the user can change it."""
    found = init(tmp_path / "here", package.name)

    assert (tmp_path / "here" / "p-1" / "dkms.conf").is_file()
    assert table(tmp_path / "here")["module"] == {"name": "m", "source": "p-1"}
    assert found.lines[0].startswith("p-dkms 1-1 lies in")
    assert builds.tried == [((), "6.1")]


def test_init_adds_a_packages_dependencies_to_build_needs_if_a_build_without_them_fails(
    tmp_path: Path, builds: Builds, package: DkmsPackage
) -> None:
    """`init` adds the packages that a dkms package depends on or recommends to the build."""
    builds.judge = lambda needs, _kernel: [] if "tooly" in needs else CONFIGURE_ERROR

    init(tmp_path / "here", package.name)

    needs = [one for one, _ in builds.tried]
    assert needs == [(), ("libx", "tooly")]
    assert table(tmp_path / "here")["module"]["build_needs"] == ["libx", "tooly"]


def test_init_tries_an_older_kernel_when_a_packages_source_does_not_compile(
    tmp_path: Path, builds: Builds, package: DkmsPackage
) -> None:
    """When the compiler rejects a package's source, `init` tries an older kernel of the series."""
    builds.judge = lambda _needs, kernel: [] if kernel == "6.1.0-47" else SOURCE_ERROR

    found = init(tmp_path / "here", package.name)

    written = table(tmp_path / "here")
    assert [kernel for _, kernel in builds.tried] == ["6.1", "6.1.0-47"]
    assert written["kernels"] == {"6.1.0-47": {"package": "linux-image-6.1.0-47-amd64"}}
    assert written["targets"] == {"debian-12": {"kernel": "6.1.0-47"}}
    assert "it builds with kernel 6.1.0-47" in found.lines


def test_init_returns_an_error_and_writes_no_target_if_a_package_builds_with_no_kernel(
    tmp_path: Path, builds: Builds, package: DkmsPackage
) -> None:
    """If a dkms package builds with no kernel, `init` still writes a table without a target."""
    builds.judge = lambda _needs, _kernel: SOURCE_ERROR

    found = init(tmp_path / "here", package.name)

    assert found.error is not None
    assert [kernel for _, kernel in builds.tried] == ["6.1", "6.1.0-47", "5.10"]
    assert "targets" not in table(tmp_path / "here")


@pytest.mark.parametrize("what", ["", "nothing", "no.such-folder"])
def test_init_without_a_module_is_an_error_and_writes_no_file(
    tmp_path: Path, builds: Builds, what: str
) -> None:
    """Without a module, or for an unknown word, `init` is an error and writes no file."""
    with pytest.raises(UsageError):
        init(tmp_path, what)

    assert list(tmp_path.iterdir()) == []
    assert builds.tried == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pyproject.toml", b"tool = 3\n", "tool: a table is expected"),
        ("pyproject.toml", b"tool = { x = 1 }\n", r"\[tool.harness\] cannot be added"),
        ("pyproject.toml", b"# \xe9\n", "is not valid TOML"),
        ("pyproject.toml", b"[tool.harness]\n", "already"),
        ("modlab.toml", b"", "is a configuration already"),
    ],
)
def test_init_changes_nothing_where_no_table_can_be_added(
    tmp_path: Path, builds: Builds, name: str, content: bytes, words: str
) -> None:
    """`init` refuses a pyproject.toml that it cannot extend, and makes no file or folder."""
    (tmp_path / "Kbuild").write_text("obj-m := hello.o\n")
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UsageError, match=words):
        init(tmp_path)

    assert sorted(os.listdir(tmp_path)) == sorted(["Kbuild", name])
    assert (tmp_path / name).read_bytes() == content
    assert not builds.tried


@pytest.mark.parametrize("before", [None, "[project]\nname = 'x'\n"])
def test_init_leaves_the_project_as_it_was_when_it_fails_otherwise_than_by_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """After a Ctrl-C during its build, `init` has removed the files that it had written."""
    (tmp_path / "Kbuild").write_text("obj-m := hello.o\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests-modlab").mkdir()
    if before is not None:
        (tmp_path / "pyproject.toml").write_text(before)
    found = sorted(os.listdir(tmp_path))

    def interrupted(*_arguments: object) -> None:
        assert (tmp_path / "tests-modlab-2").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(project_init, "_build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        init(tmp_path)

    assert sorted(os.listdir(tmp_path)) == found
    if before is not None:
        assert (tmp_path / "pyproject.toml").read_text() == before
