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
from harness.products import KextSpec
from tests.kext.planted import PLANTED, Planted
from tests.kext.scenarios import SCENARIOS
from tests.kext.steps import Boot


def first_objection(binary: bytes) -> str:
    """Return what the first scenario that fails says; '' when none does."""
    boot: Boot = lambda: Kernel(binary)  # noqa: E731 - as each scenario wants it
    for scenario in SCENARIOS:
        try:
            scenario(boot)
        except (RuleBroken, AssertionError) as error:
            return f"{scenario.__name__}: {error}"
    return ""


def planted(spec: KextSpec, built: KextBuild, folder: Path, fault: Planted) -> bytes:
    """Return the binary of a kext with a fault in it."""
    root = folder / "kernel"
    shutil.copytree(spec.root, root)
    file = root / fault.file
    text = file.read_text()
    assert text.count(fault.old) == 1, f"{fault.file} has changed"
    file.write_text(text.replace(fault.old, fault.new))
    copy = replace(spec, root=root, plist=root / "os" / "macos" / "Info.plist")
    return build.binary_with(copy, built.bundle.parent / "objects", file, folder / "out")


def test_the_control_is_clean(built: KextBuild) -> None:
    """The kext as it is gets through."""
    assert first_objection(built.binary.read_bytes()) == ""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(
    spec: KextSpec, built: KextBuild, tmp_path: Path, name: str
) -> None:
    """And what is said of it is to the point."""
    objection = first_objection(planted(spec, built, tmp_path, PLANTED[name]))

    assert objection
    assert PLANTED[name].said in objection
