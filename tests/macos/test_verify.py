# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of verify-on-mac: the report claims only results of steps that have passed."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host import config
from harness.model.settings import System, Verdict
from harness.report import run_report
from harness.runs import verify_mac
from harness.runs.verify_mac import Outcome, Verification
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import Profile
from tests.shared.bodies import BODIES

ROOT = Path(__file__).resolve().parents[2]
TESTS = 4 + len(BODIES)
MakeCase = Callable[[Profile], Case]


def verification_of(case: Case, folder: Path, *, name: str, tests: bool = True) -> Verification:
    """Return a request for a verification with its files in the test's folder."""
    settings = replace(config.load(ROOT / "pyproject.toml"), root=folder)
    return Verification(
        loading=case.loading,
        settings=settings if tests else replace(settings, tests=()),
        environment=config.environment(),
        name=name,
        report=folder / "report.md",
    )


def test_report_of_a_passed_verification_has_person_mac_and_checksum(
    make_case: MakeCase, kext: Path, tmp_path: Path
) -> None:
    """verify-on-mac's report names the person, the scripted Mac, and the kext's SHA-256."""
    case = make_case(replace(PROFILES["10.15"]))
    case = replace(case, loading=replace(case.loading, file=kext))

    found = verify_mac.run(verification_of(case, tmp_path, name="A Tester"), case.say)

    assert verify_mac.all_shown(found)
    text = (tmp_path / "report.md").read_text()
    assert "| signed off by | A Tester |" in text
    assert "macOS 10.15 (19H2026), x86_64, a physical Mac" in text
    binary = case.loading.file / "Contents" / "MacOS" / "osq"
    assert hashlib.sha256(binary.read_bytes()).hexdigest() in text
    assert text.count("| shown |") == len(verify_mac.CLAIMS)
    assert case.mac.loaded == {}
    assert [name for name in case.mac.files if name.startswith("/var/run/")] == []
    (run,) = (tmp_path / "build" / "runs").iterdir()
    kept = run_report.load(run)
    assert (kept.verdict, kept.reason) == (
        Verdict.PASSED,
        f"{TESTS} tests passed, kernel log clean",
    )
    assert any(line.startswith("harness-test-begin test_kext::") for line in case.mac.log)


def test_verification_reports_each_claim_after_the_first_failed_one_as_not_verified(
    make_case: MakeCase, tmp_path: Path
) -> None:
    """On a scripted Mac loading fails, so the later claims have the outcome NOT_REACHED."""
    case = make_case(replace(PROFILES["15"]))

    found = verify_mac.run(verification_of(case, tmp_path, name="A Tester"), case.say)

    assert [one.outcome for one in found] == [
        Outcome.SHOWN,
        Outcome.FAILED,
        *[Outcome.NOT_REACHED] * 3,
    ]
    text = (tmp_path / "report.md").read_text()
    assert text.count("| not verified on hardware |") == 3
    assert "needs reboot" in text


def test_verification_reports_the_claim_about_tests_as_failed_if_no_macos_tests_are_configured(
    make_case: MakeCase, tmp_path: Path
) -> None:
    """verify-on-mac of a project without a suite for macOS cannot show that the tests pass."""
    case = make_case(replace(PROFILES["10.15"]))

    found = verify_mac.run(verification_of(case, tmp_path, name="A Tester", tests=False), case.say)

    assert [one.outcome for one in found][:3] == [Outcome.SHOWN, Outcome.SHOWN, Outcome.FAILED]


def test_verification_without_a_persons_name_or_of_a_linux_target_is_refused(
    make_case: MakeCase, tmp_path: Path
) -> None:
    """verify-on-mac raises UsageError for either, and sends no command to the target."""
    case = make_case(replace(PROFILES["15"]))
    linux = replace(case.target, system=System.LINUX)
    other = replace(case, loading=replace(case.loading, target=linux))

    with pytest.raises(UsageError, match="sign the report"):
        verify_mac.run(verification_of(case, tmp_path, name=""), case.say)
    with pytest.raises(UsageError, match="does not run macOS"):
        verify_mac.run(verification_of(other, tmp_path, name="A Tester"), case.say)
    assert case.mac.commands == []
