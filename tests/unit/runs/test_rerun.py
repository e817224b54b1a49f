# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.rerun: a run is repeated with its kernel, tests and module, or refused."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.artefacts import kernels
from harness.errors import UsageError
from harness.host import config
from harness.model.request import KernelTestRequest, Selection
from harness.model.settings import TestSpec
from harness.report import run_report
from harness.report.live_view import PlainView
from harness.runs import rerun as reruns
from harness.test_kinds import chosen
from tests.unit.crashes import crash, report_of

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class FakeKernel:
    """A stand-in for the kernel that apt offers today."""

    release: str = "6.1.0-50"
    version: str = "6.1.176-1"


def request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> Any:
    """Return a request whose project has one finished run, run-1, under `tmp_path`."""
    monkeypatch.setattr(kernels, "ensure", lambda *_words, **_options: kernel)
    settings = replace(config.load(ROOT / "pyproject.toml"), root=tmp_path)
    asked = KernelTestRequest(
        settings=settings, environment=config.environment(), target_name=None
    )
    folder = asked.runs / "run-1"
    folder.mkdir(parents=True)
    loose = crash(folder / "crashes" / "2", number=2, test="")
    found = report_of(folder)
    run_report.write(replace(found, crashes=(*found.crashes, loose)))
    return asked


def prepared(asked: Any, *, crash: int = 0, rebuild: bool = False) -> reruns.Replay:
    """Return the request that repeats run-1."""
    return reruns.prepare(asked, "run-1", crash=crash, rebuild=rebuild, view=PlainView())


def test_a_repeated_run_has_the_same_kernel_and_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated run has the first run's target, kernel, selected tests and modules."""
    asked = request(tmp_path, monkeypatch, FakeKernel())

    found = prepared(asked).request

    assert (found.target_name, found.kernel_name) == ("debian-12", "6.1")
    assert found.selection.expression == "one"
    assert found.modules == asked.runs / "run-1" / "modules"


def test_to_repeat_a_crash_only_the_test_in_which_it_happened_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeating a run's crash that came between tests, or an unknown number, is refused."""
    asked = request(tmp_path, monkeypatch, FakeKernel())

    found = prepared(asked, crash=1).request.selection

    assert (found.expression, found.tests) == ("", ("t::one",))
    with pytest.raises(UsageError, match="between tests"):
        prepared(asked, crash=2)
    with pytest.raises(UsageError, match="it has: 1, 2"):
        prepared(asked, crash=3)


def test_rerun_on_another_kernel_release_is_refused_unless_the_module_is_built_from_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apt's kernel is too new for the stored module; --rebuild says that it builds another one."""
    asked = request(tmp_path, monkeypatch, FakeKernel(release="6.1.0-56"))

    with pytest.raises(UsageError, match=r"6\.1\.0-50, and apt offers 6\.1\.0-56"):
        prepared(asked)
    again = prepared(asked, rebuild=True)
    assert again.request.modules is None
    assert any("built from the tree" in line for line in again.differences)


def test_only_tests_that_failed_last_on_the_same_kernel_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--last-failed selects tests whose last result on the same target and kernel was bad."""
    asked = request(tmp_path, monkeypatch, FakeKernel())

    found = reruns.only_failed(asked)
    elsewhere = reruns.only_failed(replace(asked, kernel_name="6.12"))

    assert found.selection.tests == ("t::one",)
    assert elsewhere.selection.tests == ()


def test_the_whole_suite_of_a_command_that_failed_last_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--last-failed runs the suite of a failed command once, and no suite of another command."""
    asked = request(tmp_path, monkeypatch, FakeKernel())
    suites = tuple(TestSpec(name=name, command="x") for name in ("guest", "other"))
    asked = replace(asked, settings=replace(asked.settings, tests=suites))

    found = reruns.only_failed(asked)

    assert found.selection.tests == ("guest",)
    listed = chosen.choose(found.suites, found.selection, build=tmp_path)
    assert [suite.spec.name for suite in listed] == ["guest"]


def test_failed_tests_that_no_longer_exist_are_left_out_and_if_none_exists_all_tests_run(
    tmp_path: Path,
) -> None:
    """--last-failed ignores tests that were renamed or removed since they failed."""
    suites = tuple(TestSpec(name=name, command="x") for name in ("guest", "other"))
    gone = Selection(tests=("guest", "t::gone"), if_there=True)
    all_gone = Selection(tests=("t::gone",), if_there=True)

    some = chosen.choose(suites, gone, build=tmp_path)
    every = chosen.choose(suites, all_gone, build=tmp_path)

    assert [suite.spec.name for suite in some] == ["guest"]
    assert [suite.spec.name for suite in every] == ["guest", "other"]


def test_a_repeated_run_has_the_tests_that_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of tests given by name is repeated with these; its crash with the crash's test."""
    asked = request(tmp_path, monkeypatch, FakeKernel())
    folder = asked.runs / "run-1"
    tests = ("t::zero", "t::one")
    report = run_report.load(folder)
    run_report.write(replace(report, provenance=replace(report.provenance, tests=tests)))

    assert prepared(asked).request.selection.tests == tests
    assert prepared(asked, crash=1).request.selection.tests == ("t::one",)


def test_one_test_of_a_run_can_be_repeated_without_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The given test takes the place of the tests that the earlier run had selected."""
    asked = request(tmp_path, monkeypatch, FakeKernel())

    again = reruns.prepare(asked, "run-1", crash=0, test="t::one", rebuild=True, view=PlainView())

    assert again.request.selection.tests == ("t::one",)
    assert again.request.selection.expression == ""
