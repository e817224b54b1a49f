# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that a Mac gets a kext of the current sources, built before it is copied."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.host import config
from harness.kext import build
from harness.tasks import targets, workflow
from tests.command_line import code_of
from tests.macos.conftest import PROFILES, ROOT, Case
from tests.macos.fake_system import Profile
from tests.shared.bodies import BODIES

INSTALLED = "/Library/Extensions/osq.kext/Contents/MacOS/osq"
Named = Callable[[Profile], Case]

pytestmark = pytest.mark.skipif(
    bool(build.missing_tools()), reason=f"not installed: {', '.join(build.missing_tools())}"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a project with the kext's sources and without any build."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "kernel", folder / "kernel")
    for name in ("vm-images", "tests", "packaging"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def change_constant(project: Path) -> None:
    """Change a constant of the kext, and with it the UUID of its build."""
    gate = project / "kernel" / "os" / "macos" / "gate.c"
    text = gate.read_text()
    assert "#define POLL_MS 5u" in text
    gate.write_text(text.replace("#define POLL_MS 5u", "#define POLL_MS 6u"))


def installed_uuid(case: Case) -> str:
    """Return the UUID of the kext that is installed on a Mac."""
    return build.uuid_of(case.mac.files[INSTALLED].data or b"")


def config_of(project: Path) -> str:
    """Return the value of --config for a project."""
    return str(project / "pyproject.toml")


def test_task_kernel_test_builds_and_loads_a_kext_runs_all_tests_with_success_and_unloads_it(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a scripted Mac behind real SSH, each test of kernel-test passes; the kext is unloaded."""
    case = named(replace(PROFILES["10.15"]))

    code = code_of(
        workflow.run_kernel_test, target="mine", config=config_of(project), run_id="run"
    )

    output = capsys.readouterr().out
    assert code == 0, output
    assert f"built osq.kext for x86_64, UUID {installed_uuid(case)}" in output
    report = json.loads((project / "build" / "runs" / "run" / "report.json").read_text())
    assert {one["verdict"] for one in report["results"]} == {"passed"}
    assert len(report["results"]) == 4 + len(BODIES)
    assert case.mac.loaded == {}


def test_changed_source_is_built_and_loaded(
    named: Named,
    project: Path,
) -> None:
    """After a change in gate.c, kernel-load installs another UUID on the scripted Mac."""
    case = named(replace(PROFILES["10.15"]))
    load = {"target": "mine", "config": config_of(project)}
    assert code_of(workflow.kernel_test_load, **load) == 0
    before = installed_uuid(case)
    assert code_of(workflow.kernel_test_unload, **load) == 0

    change_constant(project)
    assert code_of(workflow.kernel_load, **load) == 0

    assert installed_uuid(case) not in {before, ""}


def test_source_that_does_not_compile_exits_with_1_before_any_command_on_the_mac(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """kernel-load, kernel-test and verify-on-mac print the compiler's error and do not connect."""
    case = named(replace(PROFILES["10.15"]))
    assert code_of(workflow.kernel_build, target="macos", config=config_of(project)) == 0
    (project / "kernel" / "core" / "wrong.c").write_text("int f(void) { return nothing; }\n")

    for task in (workflow.kernel_test_load, workflow.run_kernel_test, targets.verify_on_mac):
        options = {"name": "A B"} if task is targets.verify_on_mac else {}
        assert code_of(task, target="mine", config=config_of(project), **options) == 1
        assert "nothing" in capsys.readouterr().err

    assert case.mac.commands == []


def test_without_a_compiler_load_exits_with_2_if_there_is_no_build_and_else_uses_the_build(
    named: Named,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If clang is not found, kernel-load says so and loads the kext of the last build, if any."""
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
    assert installed_uuid(case) == built.uuid


def test_kext_with_a_wrong_error_number_fails_only_the_test_of_that_error(
    named: Named, project: Path
) -> None:
    """A kext, emulated for the scripted Mac, returns EINVAL for EEXIST: one shared body fails."""
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
    assert failed == [
        "test_shared::test_each_test_body_that_linux_and_macos_share_passes_on_the_kext_of_a_mac[each_misuse_has_its_own_error]"
    ]
    assert len(report["results"]) == len(BODIES)
