# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Show that the scenarios can fail: each planted fault in the kext makes one of them fail."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RuleBroken
from harness.kext import build
from harness.kext.build import KextBuild
from harness.kext.emulator.kernel import Kernel
from harness.model.products import KextSpec
from tests.kext.planted import PLANTED, Planted
from tests.kext.scenarios import SCENARIOS
from tests.kext.steps import Boot

# One fault of each kind for arm64: a lock, a processor fault, an order of stores, a missing call.
ON_ARM64 = (
    "allocation-under-spin-lock",
    "missing-unlock",
    "missing-wrap-check",
    "published-before-written",
    "callback-after-stop",
    "lost-wakeup",
)


def first_objection(binary: bytes) -> str:
    """Run all scenarios; return the first failure as text, '' when all pass."""
    boot: Boot = lambda: Kernel(binary)  # noqa: E731 - as each scenario wants it
    for scenario in SCENARIOS:
        try:
            scenario(boot)
        except (RuleBroken, AssertionError) as error:
            return f"{scenario.__name__}: {error}"
    return ""


def plant(spec: KextSpec, folder: Path, fault: Planted) -> tuple[KextSpec, Path]:
    """Copy the sources and plant a fault; return the copy and the changed file."""
    root = folder / "kernel"
    shutil.copytree(spec.root, root)
    file = root / fault.file
    text = file.read_text()
    assert text.count(fault.old) == 1, f"{fault.file} has changed"
    file.write_text(text.replace(fault.old, fault.new))
    return replace(spec, root=root, plist=root / "os" / "macos" / "Info.plist"), file


def build_planted(spec: KextSpec, built: KextBuild, folder: Path, fault: Planted) -> bytes:
    """Return the binary of a kext with a planted fault."""
    copy, file = plant(spec, folder, fault)
    return build.binary_with(copy, built.bundle.parent / "objects", file, folder / "out")


def test_kext_without_a_fault_passes_every_scenario(binary: bytes) -> None:
    """In the emulator, every scenario passes on the kext as it is, before faults are planted."""
    assert first_objection(binary) == ""


@pytest.mark.parametrize("name", PLANTED)
def test_each_fault_added_to_the_kexts_source_makes_a_scenario_fail(
    spec: KextSpec, built: KextBuild, tmp_path: Path, name: str
) -> None:
    """Built with one planted fault, the kext fails in the emulator with that fault's message."""
    objection = first_objection(build_planted(spec, built, tmp_path, PLANTED[name]))

    assert objection
    assert PLANTED[name].message in objection


@pytest.mark.parametrize("name", ON_ARM64)
def test_each_of_six_faults_added_to_the_kexts_source_makes_a_scenario_fail_on_arm64(
    spec: KextSpec, tmp_path: Path, name: str
) -> None:
    """The emulator finds these faults in arm64 machine code, too."""
    copy, _file = plant(spec, tmp_path, PLANTED[name])

    objection = first_objection(build.binary_to_emulate(copy, "arm64", tmp_path / "out"))

    assert objection
    assert PLANTED[name].message in objection
