# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the kext once for all tests, and its code for each processor."""

from pathlib import Path

import pytest

from harness.host import config
from harness.kext import build
from harness.kext.build import KextBuild
from harness.model.products import KextSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def spec() -> KextSpec:
    """Return the configuration of the project's kext."""
    found = config.load(ROOT / "pyproject.toml").kext
    assert found is not None
    return found


@pytest.fixture(scope="session")
def built(spec: KextSpec, tmp_path_factory: pytest.TempPathFactory) -> KextBuild:
    """Return the kext, built for x86_64."""
    return build.build(spec, tmp_path_factory.mktemp("kext") / "out")


@pytest.fixture(scope="session", params=["x86_64", "arm64"])
def binary(
    request: pytest.FixtureRequest,
    built: KextBuild,
    spec: KextSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> bytes:
    """Return the kext's machine code: for x86_64 as loaded, for arm64 linked for the emulator."""
    if request.param == build.LINKED_ARCH:
        return built.binary.read_bytes()
    return build.binary_to_emulate(spec, request.param, tmp_path_factory.mktemp("kext"))
