# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kernel-test on a target that the user boots: suite, verdict, and a panic."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import GuestCrashed, UsageError
from harness.host import config
from harness.model.request import Selection
from harness.model.settings import RunReport, Settings, System, Verdict
from harness.report import live_view
from harness.runs import on_target
from harness.runs.on_target import RemoteTest
from harness.targets import target_file
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import Profile

ROOT = Path(__file__).resolve().parents[2]
MakeCase = Callable[[Profile], Case]
PANIC = """panic(cpu 1 caller 0xffffff8000a1b2c3): Kernel trap at 0xffffff7f83a21210, type 14
Backtrace (CPU 1), Frame : Return Address
0xffffff81f0b03d40 : 0xffffff7f83a21214
      Kernel Extensions in backtrace:
  org.example.osq(1.0)[7E1A7E1A-0000-3000-8000-000000000001]@0xffffff7f83a21000->0xffffff7f83a25fff
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return this project's settings, with the test's own folder for runs."""
    found = config.load(ROOT / "pyproject.toml")
    return replace(found, root=tmp_path)


def run_of(case: Case, settings: Settings, *, expression: str = "") -> RunReport:
    """Run the suite for macOS on a scripted Mac, and return the report."""
    wanted = tuple(spec for spec in settings.tests if spec.system is System.MACOS)
    request = RemoteTest(
        loading=case.loading,
        settings=settings,
        environment=config.environment(),
        suites=wanted,
        selection=Selection(expression=expression),
        run_id="run",
    )
    with live_view.PlainView() as view:
        return on_target.run(request, view)


def test_a_refused_kext_gives_the_verdict_failed_and_no_test_results(
    make_case: MakeCase, settings: Settings
) -> None:
    """A scripted Mac refuses the unsigned kext, so the run's reason says "not loadable"."""
    case = make_case(replace(PROFILES["10.15"], signed=False))

    found = run_of(case, settings)

    assert (found.verdict, found.results) == (Verdict.FAILED, ())
    assert "not loadable" in found.reason


def test_in_one_run_a_wrong_node_mode_fails_its_test_and_a_later_panic_makes_the_run_crashed(
    make_case: MakeCase, settings: Settings
) -> None:
    """On a scripted Mac, the test of mode 0600 fails; a panic at kextunload ends in exit code 3.

    The Mac panics while it unloads the kext, and its own report after the restart names the test.
    """
    case = make_case(replace(PROFILES["10.15"], panics_on="kextunload"))
    case.mac.panic_text = PANIC
    original = case.mac.add_kext

    def careless(identifier: str) -> None:
        original(identifier)
        case.mac.files["/dev/osquery"].mode = 0o666

    case.mac.add_kext = careless  # type: ignore[method-assign]

    found = run_of(case, settings, expression="mode_0600 or are_gone")

    assert (found.verdict, found.verdict.exit_code) == (Verdict.CRASHED, 3)
    failed, crashed = found.results
    assert failed.name == "test_kext::test_the_device_node_has_mode_0600_and_belongs_to_root"
    assert (failed.verdict, crashed.verdict) == (Verdict.FAILED, Verdict.CRASHED)
    (panic,) = crashed.reports
    assert (panic.module, panic.title) == ("org.example.osq", "panic: Kernel trap type 14")
    assert (found.folder / "panic.txt").read_text().startswith("panic(cpu 1")


def test_health_check_raises_guest_crashed_if_the_mac_has_restarted_during_the_run(
    make_case: MakeCase,
) -> None:
    """A scripted Mac's boot session differs from the run's: a crash, even without a report."""
    case = make_case(replace(PROFILES["15"]))
    with target_file.connect(case.target, deadline_s=10) as guest:
        life = on_target.BootSession(
            target=case.target, guest=guest, begun_in=case.mac.session, asked_at=0.0
        )
        life.check()
        case.mac.session = "another"
        life.asked_at = 0.0

        with pytest.raises(GuestCrashed, match="rebooted during the run"):
            life.check()


def test_run_without_a_configured_test_suite_for_macos_is_a_usage_error(
    make_case: MakeCase, settings: Settings
) -> None:
    """kernel-test on a Mac raises UsageError if no suite of the project names macos."""
    case = make_case(replace(PROFILES["15"]))

    with pytest.raises(UsageError, match="no suite is configured for macos"):
        run_of(case, replace(settings, tests=()))
