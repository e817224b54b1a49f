# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The scenarios can fail: a kext with any one planted fault does not get through them."""

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

# A lock, a fault of the processor's, an order of stores, a call that is left out.
ON_ARM64 = (
    "allocation-under-spin-lock",
    "missing-unlock",
    "missing-wrap-check",
    "published-before-written",
    "callback-after-stop",
    "lost-wakeup",
)


def first_objection(binary: bytes) -> str:
    """Return what the first scenario that fails says; '' when none does."""
    boot: Boot = lambda: Kernel(binary)  # noqa: E731 - as each scenario wants it
    for scenario in SCENARIOS:
        try:
            scenario(boot)
        except (RuleBroken, AssertionError) as error:
            return f"{scenario.__name__}: {error}"
    return ""


def changed(spec: KextSpec, folder: Path, fault: Planted) -> tuple[KextSpec, Path]:
    """Return a copy of the sources with a fault, and the file that it is in."""
    root = folder / "kernel"
    shutil.copytree(spec.root, root)
    file = root / fault.file
    text = file.read_text()
    assert text.count(fault.old) == 1, f"{fault.file} has changed"
    file.write_text(text.replace(fault.old, fault.new))
    return replace(spec, root=root, plist=root / "os" / "macos" / "Info.plist"), file


def planted(spec: KextSpec, built: KextBuild, folder: Path, fault: Planted) -> bytes:
    """Return the binary of a kext with a fault in it."""
    copy, file = changed(spec, folder, fault)
    return build.binary_with(copy, built.bundle.parent / "objects", file, folder / "out")


def test_the_control_is_clean(binary: bytes) -> None:
    """The kext as it is gets through."""
    assert first_objection(binary) == ""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(
    spec: KextSpec, built: KextBuild, tmp_path: Path, name: str
) -> None:
    """And what is said of it is to the point."""
    objection = first_objection(planted(spec, built, tmp_path, PLANTED[name]))

    assert objection
    assert PLANTED[name].said in objection


@pytest.mark.parametrize("name", ON_ARM64)
def test_a_planted_fault_is_found_on_arm64(spec: KextSpec, tmp_path: Path, name: str) -> None:
    """The models and the scenarios see it in that code, too."""
    copy, _file = changed(spec, tmp_path, PLANTED[name])

    objection = first_objection(build.binary_to_emulate(copy, "arm64", tmp_path / "out"))

    assert objection
    assert PLANTED[name].said in objection
