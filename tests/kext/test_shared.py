# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The bodies that every system runs, on the kext's own machine code; and that they can fail."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RuleBroken
from harness.kext.build import KextBuild
from harness.kext.emulator.kernel import Kernel
from harness.model.products import KextSpec
from tests.kext.loaded import EmulatedLoaded
from tests.kext.planted import SHARED
from tests.kext.steps import started, stopped
from tests.kext.test_planted import planted
from tests.shared.bodies import BODIES
from tests.shared.client import Loaded

Body = Callable[[Loaded], None]


@pytest.mark.parametrize("body", BODIES, ids=lambda one: one.__name__)
def test_body(binary: bytes, body: Body) -> None:
    """It holds, as its docstring says it, and the kext can be unloaded after it."""
    kernel = started(lambda: Kernel(binary))

    body(EmulatedLoaded(kernel))

    stopped(kernel)


@pytest.mark.parametrize("name", [body.__name__ for body in BODIES])
def test_each_body_can_fail(built: KextBuild, spec: KextSpec, tmp_path: Path, name: str) -> None:
    """With the fault that it is there for in the kext, it does not hold."""
    (body,) = (one for one in BODIES if one.__name__ == name)
    binary = planted(spec, built, tmp_path, SHARED[name])
    kernel = started(lambda: Kernel(binary))

    with pytest.raises((AssertionError, RuleBroken)) as seen:
        body(EmulatedLoaded(kernel))

    assert SHARED[name].said in str(seen.value)
