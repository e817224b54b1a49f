# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the shared test bodies on the kext's machine code, and show that each can fail."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RuleBroken
from harness.kext.build import KextBuild
from harness.kext.emulator.kernel import Kernel
from harness.model.products import KextSpec
from tests.kext.loaded import EmulatedLoaded
from tests.kext.planted import SHARED
from tests.kext.steps import start_kext, stop_kext
from tests.kext.test_planted import build_planted
from tests.shared.bodies import BODIES
from tests.shared.client import Loaded

Body = Callable[[Loaded], None]


@pytest.mark.parametrize("body", BODIES, ids=lambda one: one.__name__)
def test_each_device_check_shared_with_linux_passes_on_the_emulated_kext(
    binary: bytes, body: Body
) -> None:
    """Each test body of tests/shared passes on the kext in the emulator, which then stops."""
    kernel = start_kext(lambda: Kernel(binary))

    body(EmulatedLoaded(kernel))

    stop_kext(kernel)


@pytest.mark.parametrize("name", [body.__name__ for body in BODIES])
def test_each_device_check_shared_with_linux_fails_on_a_kext_with_the_fault_it_is_meant_to_find(
    built: KextBuild, spec: KextSpec, tmp_path: Path, name: str
) -> None:
    """Each test body of tests/shared fails on a kext with its planted fault, by that message."""
    (body,) = (one for one in BODIES if one.__name__ == name)
    binary = build_planted(spec, built, tmp_path, SHARED[name])
    kernel = start_kext(lambda: Kernel(binary))

    with pytest.raises((AssertionError, RuleBroken)) as seen:
        body(EmulatedLoaded(kernel))

    assert SHARED[name].message in str(seen.value)
