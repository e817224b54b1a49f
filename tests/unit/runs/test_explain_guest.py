# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.explain_guest: the run's report gets the crash; the guest's state is restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.crash import collect
from harness.errors import GuestHung, HarnessError, HypervisorDied, KernelComplained
from harness.guest import cleanup, joined, shared_session
from harness.guest.domain import DomainState
from harness.guest.registry import GuestEntry
from harness.host import config
from harness.model.crash import Cause, Crash
from harness.model.provenance import Provenance
from harness.model.settings import Accel, Verdict
from harness.report import run_report
from harness.report.live_view import PlainView
from harness.runs import explain_guest
from tests.unit.crashes import crash, report, report_of

ROOT = Path(__file__).resolve().parents[3]
KNOWN = Provenance(kernel="6.1", kernel_release="6.1.0-50", kernel_version="6.1.176-1")
HUNG = GuestHung("the guest hangs")
COMPLAINED = KernelComplained("the kernel reported: bad")


@dataclass
class FakeDomain:
    """A stand-in for a virtual machine that runs until it is suspended."""

    now: DomainState = DomainState.RUNNING

    def state(self) -> DomainState:
        """Return the machine's state, as libvirt reports it."""
        return self.now

    def resume(self) -> None:
        """Let the machine run."""
        self.now = DomainState.RUNNING


def entry_of(run: Path) -> GuestEntry:
    """Return the session entry of a guest that a run has kept."""
    return GuestEntry(
        run_id=run.name,
        folder=run,
        disk=run,
        run=run,
        pid=1,
        target="debian-12",
        started_at=1_800_000_000.0,
    )


@dataclass
class Scenery:
    """The set-up of one test: a kept guest, its problem, and the state of its machine."""

    run: Path
    error: HarnessError | None
    domain: FakeDomain = field(default_factory=FakeDomain)
    left_in: DomainState = DomainState.PAUSED
    explained: tuple[Any, ...] = ()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the functions that reach a real guest by ones that use these values."""
        entry = entry_of(self.run)
        handoff = SimpleNamespace(
            settings_file=ROOT / "pyproject.toml",
            accel=Accel.TCG,
            factor=4.0,
            modules={},
            provenance=KNOWN,
        )
        settings = config.load(ROOT / "pyproject.toml")
        monkeypatch.setattr(cleanup, "choose_guest", lambda _runtime, _run: entry)
        monkeypatch.setattr(shared_session, "read", lambda _file: handoff)
        monkeypatch.setattr(config, "load", lambda _file: settings)
        guest = SimpleNamespace(
            entry=entry,
            handoff=handoff,
            domain=self.domain,
            watch=SimpleNamespace(current_test=""),
            deadline=lambda seconds: seconds,
        )

        @contextmanager
        def join(*_words: Any, explained: tuple[Any, ...], **_options: Any) -> Iterator[Any]:
            self.explained = explained
            yield guest

        def collected(scene: Any, known: Any) -> Crash:
            self.domain.now = self.left_in
            return crash(scene.folder, number=known.number, cause=known.cause, test="")

        monkeypatch.setattr(joined, "join", join)
        monkeypatch.setattr(joined, "find_fault", lambda _guest, **_options: self.error)
        monkeypatch.setattr(collect, "collect", collected)


def explain(scenery: Scenery, monkeypatch: pytest.MonkeyPatch) -> Crash | None:
    """Explain the guest of this test."""
    scenery.install(monkeypatch)
    return explain_guest.explain(config.environment(), "", PlainView())


def test_explaining_a_hung_guest_of_a_run_without_tests_writes_a_report_with_the_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that only loaded the module into a fake guest gets a report.json: crashed."""
    found = explain(Scenery(tmp_path, HUNG), monkeypatch)

    written = run_report.load(tmp_path)
    assert found is not None
    assert found.folder == tmp_path / "crashes" / "1"
    assert written.crashes == (found,)
    assert (written.verdict, written.reason) == (Verdict.CRASHED, "the guest hangs")
    assert written.provenance == KNOWN


def test_a_guest_whose_qemu_dies_while_it_is_explained_gives_the_run_the_verdict_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report.json of a run that only loaded the module does not call a dead QEMU a crash."""
    explain(Scenery(tmp_path, HypervisorDied("QEMU was killed")), monkeypatch)

    written = run_report.load(tmp_path)
    assert (written.verdict, written.reason) == (Verdict.LOST, "QEMU was killed")


def test_explaining_a_hung_guest_of_a_tested_run_adds_the_crash_and_keeps_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's report.json, written before, gets the new crash under the next free number."""
    (tmp_path / "crashes" / "4").mkdir(parents=True)
    before = replace(report_of(tmp_path), verdict=Verdict.PASSED, reason="all passed")
    run_report.write(before)

    found = explain(Scenery(tmp_path, HUNG), monkeypatch)

    written = run_report.load(tmp_path)
    assert found is not None
    assert found.number == 5
    assert [one.number for one in written.crashes] == [1, 5]
    assert (written.verdict, written.reason) == (Verdict.PASSED, "all passed")


@pytest.mark.parametrize(
    ("left_in", "in_the_end"),
    [
        (DomainState.PAUSED, DomainState.RUNNING),
        (DomainState.CRASHED, DomainState.CRASHED),
        (DomainState.GONE, DomainState.GONE),
    ],
)
def test_a_running_guest_that_the_explanation_paused_is_resumed_but_a_crashed_or_gone_one_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left_in: DomainState,
    in_the_end: DomainState,
) -> None:
    """A fake guest is paused while the task collects what its kernel reported."""
    scenery = Scenery(tmp_path, COMPLAINED, left_in=left_in)

    explain(scenery, monkeypatch)

    assert scenery.domain.now is in_the_end


def test_a_guest_that_is_suspended_before_it_is_explained_is_suspended_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that explains a hung guest does not resume one that a person had suspended."""
    scenery = Scenery(tmp_path, HUNG, domain=FakeDomain(now=DomainState.PAUSED))

    explain(scenery, monkeypatch)

    assert scenery.domain.now is DomainState.PAUSED


def test_explaining_a_guest_without_a_crash_or_hang_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that explains a guest returns None for a healthy fake guest."""
    assert explain(Scenery(tmp_path, None), monkeypatch) is None
    assert list(tmp_path.iterdir()) == []


def test_of_the_reports_in_a_runs_crashes_only_the_survived_warning_counts_as_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A survived warning is not explained again by the next call; a panic is."""
    survived = report(kind="warning", fatal=False, line=3)
    complaint = crash(tmp_path / "1", cause=Cause.REPORT, reports=(survived,))
    panic = crash(tmp_path / "2", number=2, reports=(report(line=9),))
    run_report.write(replace(report_of(tmp_path), crashes=(complaint, panic)))
    scenery = Scenery(tmp_path, HUNG)

    explain(scenery, monkeypatch)

    assert scenery.explained == (survived,)
