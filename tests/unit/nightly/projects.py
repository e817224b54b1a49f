# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A configuration with a matrix, for tests of cells and plans."""

from pathlib import Path

from harness.model.machines import BuildSpec, KernelSpec, TargetSpec
from harness.model.nights import MatrixSpec, NightSpec, TestSetSpec
from harness.model.settings import ModuleSpec, Settings, TestSpec

MATRIX = MatrixSpec(
    targets=("small", "large"),
    kernels=("6.1", "6.12"),
    flavours=("plain", "slub"),
    tests=("all", "smoke"),
    builds=("arm",),
)


def settings(root: Path, full: MatrixSpec = MATRIX, short: MatrixSpec | None = None) -> Settings:
    """Return a configuration whose matrix has 16 cells with tests and one that builds."""
    return Settings(
        root=root,
        file=root / "pyproject.toml",
        default_target="small",
        module=ModuleSpec(name="greeter", source=root / "src"),
        tests=(TestSpec(name="guest", pytest=root / "tests"),),
        targets={
            "small": TargetSpec(image="debian-12", kernel="6.1", vcpus=1, memory_mib=512),
            "large": TargetSpec(image="debian-13", kernel="6.12", vcpus=4, memory_mib=2048),
        },
        kernels={"6.1": KernelSpec(package="p"), "6.12": KernelSpec(package="q")},
        builds={"arm": BuildSpec(headers="h", arch="arm64")},
        images=root / "images",
        nightly=NightSpec(
            full=full,
            short=short or MatrixSpec(),
            flavours={"slub": "slub_debug=FZP"},
            sets={"smoke": TestSetSpec(tests=("test_one", "test_two"), k="quick", crash=True)},
        ),
    )
