# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A Mac gets the kext of the sources as they are now: it is built before it is copied there."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.host import config
from harness.kext import build
from harness.tasks import targets, workflow
from tests.macos.conftest import PROFILES, ROOT, Case, code_of
from tests.macos.fake_system import Profile
from tests.shared.bodies import BODIES

INSTALLED = "/Library/Extensions/osq.kext/Contents/MacOS/osq"
Named = Callable[[Profile], Case]

pytestmark = pytest.mark.skipif(
    bool(build.missing_tools()), reason=f"not installed: {', '.join(build.missing_tools())}"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with the kext's sources, and nothing built."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "kernel", folder / "kernel")
    for name in ("vm-images", "tests", "packaging"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def changed(project: Path) -> None:
    """Change a constant of the kext's, and so its UUID."""
    gate = project / "kernel" / "os" / "macos" / "gate.c"
    text = gate.read_text()
    assert "#define POLL_MS 5u" in text
    gate.write_text(text.replace("#define POLL_MS 5u", "#define POLL_MS 6u"))


def installed(case: Case) -> str:
    """Return the UUID of the binary that a Mac has."""
    return build.uuid_of(case.mac.files[INSTALLED].data or b"")


def config_of(project: Path) -> str:
    """Return the option that names a project."""
    return str(project / "pyproject.toml")


def test_kernel_test_builds_loads_tests_and_unloads(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing was built before; every test on the Mac passes, and the kext is gone at the end."""
    case = named(replace(PROFILES["10.15"]))

    code = code_of(
        workflow.run_kernel_test, target="mine", config=config_of(project), run_id="run"
    )

    said = capsys.readouterr().out
    assert code == 0, said
    assert f"built osq.kext for x86_64, UUID {installed(case)}" in said
    report = json.loads((project / "build" / "runs" / "run" / "report.json").read_text())
    assert {one["verdict"] for one in report["results"]} == {"passed"}
    assert len(report["results"]) == 4 + len(BODIES)
    assert case.mac.loaded == {}


def test_a_changed_source_is_what_is_loaded(
    named: Named,
    project: Path,
) -> None:
    """The kext that was built before is not taken for the one of now."""
    case = named(replace(PROFILES["10.15"]))
    load = {"target": "mine", "config": config_of(project)}
    assert code_of(workflow.kernel_test_load, **load) == 0
    before = installed(case)
    assert code_of(workflow.kernel_test_unload, **load) == 0

    changed(project)
    assert code_of(workflow.kernel_load, **load) == 0

    assert installed(case) not in {before, ""}


def test_a_source_that_does_not_compile_ends_before_the_mac_is_asked(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Code 1 and the compiler's words; the kext of before is not loaded instead."""
    case = named(replace(PROFILES["10.15"]))
    assert code_of(workflow.kernel_build, target="macos", config=config_of(project)) == 0
    (project / "kernel" / "core" / "wrong.c").write_text("int f(void) { return nothing; }\n")

    for task in (workflow.kernel_test_load, workflow.run_kernel_test, targets.verify_on_mac):
        options = {"name": "A B"} if task is targets.verify_on_mac else {}
        assert code_of(task, target="mine", config=config_of(project), **options) == 1
        assert "nothing" in capsys.readouterr().err

    assert case.mac.commands == []


def test_without_a_compiler_the_kext_that_is_there_is_taken(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said that its sources may be newer; without any kext it is code 2, and what to do."""
    case = named(replace(PROFILES["10.15"]))
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **how: None if name == "clang" else which(name, **how)
    )
    load = {"target": "mine", "config": config_of(project)}

    assert code_of(workflow.kernel_test_load, **load) == 2
    assert "osq.kext cannot be built here" in capsys.readouterr().err
    assert case.mac.commands == []

    spec = config.load(project / "pyproject.toml").kext
    assert spec is not None
    built = build.build(spec, project / "build" / "kext")
    assert code_of(workflow.kernel_test_load, **load) == 0
    assert "missing: clang" in capsys.readouterr().out
    assert installed(case) == built.uuid


def test_a_fault_in_the_kext_is_found_over_ssh(named: Named, project: Path) -> None:
    """Another error than osq.h says: the one body that looks for it fails, and the run with it."""
    named(replace(PROFILES["10.15"]))
    core = project / "kernel" / "core" / "osq_device.c"
    text = core.read_text()
    assert "OSQ_QUEUE_VALID ? -EEXIST : 0" in text
    core.write_text(text.replace("OSQ_QUEUE_VALID ? -EEXIST : 0", "OSQ_QUEUE_VALID ? -EINVAL : 0"))

    code = code_of(
        workflow.run_kernel_test, target="mine", config=config_of(project), run_id="run", k="body"
    )

    assert code == 1
    report = json.loads((project / "build" / "runs" / "run" / "report.json").read_text())
    failed = [one["name"] for one in report["results"] if one["verdict"] == "failed"]
    assert failed == ["test_shared::test_body[each_misuse_has_its_own_error]"]
    assert len(report["results"]) == len(BODIES)
