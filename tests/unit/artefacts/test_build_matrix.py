# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.build_matrix: every configured kernel has a row, however its build ends."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import build, build_matrix, build_root, kernels
from harness.errors import KernelError
from harness.host import config
from harness.model.machines import BuildSpec
from harness.model.settings import Kernel, Settings

PROJECT = Path(__file__).parents[3]
PAGE = PROJECT / "docs" / "driver-kernels.md"


@pytest.fixture
def settings() -> Settings:
    """Give this project's settings, with one kernel that is only built for."""
    whole = config.load(PROJECT / "pyproject.toml")
    spec = BuildSpec(
        headers="linux-headers-arm64",
        suite="trixie",
        arch="arm64",
        variables={"OSQ_WITHOUT": "KPROBES"},
    )
    return replace(whole, kernels={"6.1": whole.kernels["6.1"]}, builds={"odd": spec})


def stand_in(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> list[dict[str, str]]:
    """Replace everything that fetches or builds; return the variables of each build."""
    given: list[dict[str, str]] = []
    monkeypatch.setattr(kernels, "ensure", lambda *_, **__: kernel)
    monkeypatch.setattr(kernels, "ensure_headers", lambda *_, **__: kernel)
    monkeypatch.setattr(build_root, "fitted", lambda kernel, *_, **__: kernel)
    monkeypatch.setattr(build, "build_module", lambda *_, **told: given.append(told["variables"]))
    return given


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Give a kernel that is nowhere."""
    return Kernel(
        name="k",
        release="6.1.9",
        version="1",
        key="key",
        vmlinuz=tmp_path / "vmlinuz",
        initrd=tmp_path / "initrd",
        modules_disk=tmp_path / "modules",
        kdir=tmp_path / "kdir",
        config=tmp_path / "config",
    )


def test_each_configured_kernel_is_built(
    settings: Settings, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matrix builds the module for each configured kernel, one of them for another CPU."""
    given = stand_in(monkeypatch, kernel)

    found = tuple(build_matrix.build_all(settings, config.environment({}), print))

    assert [(one.name, one.arch, one.result) for one in found] == [
        ("6.1", "amd64", "built"),
        ("odd", "arm64", "built"),
    ]
    assert found[1].cells[1] == "linux-headers-arm64 (trixie)"
    assert given == [
        {},
        {"ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-", "OSQ_WITHOUT": "KPROBES"},
    ]
    assert build_matrix.worst(found) == 0


def test_a_failed_build_stops_no_other(
    settings: Settings, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other kernels are built after a failed one, whose row has the reason and exit code."""
    stand_in(monkeypatch, kernel)

    def no_kernel(*_: object, **__: object) -> Kernel:
        raise KernelError("apt offers no such kernel")

    monkeypatch.setattr(kernels, "ensure", no_kernel)

    found = tuple(build_matrix.build_all(settings, config.environment({}), print))

    assert [one.result for one in found] == ["fails: apt offers no such kernel", "built"]
    assert build_matrix.worst(found) == KernelError.exit_code
    assert (
        build_matrix.table(found)
        .splitlines()[2]
        .endswith("|  | fails: apt offers no such kernel |")
    )


def configured(table: str) -> list[tuple[str, ...]]:
    """Return the columns of a table that the configuration determines."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [tuple(row[: build_matrix.CONFIGURED]) for row in rows if set(row[0]) != {"-"}]


def test_the_page_has_the_table_of_the_configuration() -> None:
    """docs/driver-kernels.md lists exactly the kernels of pyproject.toml, all as built."""
    rows = build_matrix.rows(config.load(PROJECT / "pyproject.toml"))
    text = PAGE.read_text()
    table = text[text.index("| kernel |") :].partition("\n\n")[0]

    assert configured(table) == configured(build_matrix.table(rows))
    results = re.findall(r"\| (\S+) \|$", table, re.MULTILINE)
    assert set(results) - {"result", "---"} == {build_matrix.BUILT}


def test_the_comparison_of_kernel_tables_detects_a_table_without_one_configured_kernel() -> None:
    """The check of docs/driver-kernels.md sees that a table lacks one configured kernel."""
    rows = build_matrix.rows(config.load(PROJECT / "pyproject.toml"))

    assert configured(build_matrix.table(rows[:-1])) != configured(build_matrix.table(rows))
