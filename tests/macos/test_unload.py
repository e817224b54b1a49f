# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kernel-test-unload: a busy kext is tried again, an impossible one is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ModuleError, RestartNeeded, UsageError
from harness.targets import workflow
from tests.macos.conftest import IDENTIFIER, PROFILES, SPEC, Case
from tests.macos.fake_system import File, Profile

TOOLS = {"10.15": f"kextunload -b {IDENTIFIER}", "15": f"kmutil unload -b {IDENTIFIER}"}


@pytest.fixture
def loaded_case(make_case: Callable[[Profile], Case]) -> Callable[[Profile], Case]:
    """Return a function that starts a scripted Mac with the kext loaded."""

    def make(profile: Profile) -> Case:
        case = make_case(profile)
        file = case.loading.file / "Contents" / "Info.plist"
        path = "/Library/Extensions/osq.kext/Contents/Info.plist"
        case.mac.files[path] = File(file.read_bytes())
        case.mac.add_kext(IDENTIFIER)
        return case

    return make


@pytest.mark.parametrize("release", ["10.15", "15"])
def test_busy_kext_is_unloaded_at_the_third_attempt(
    loaded_case: Callable[[Profile], Case], release: str
) -> None:
    """A scripted Mac's kext "did not stop" twice; kernel-test-unload tries a third time."""
    case = loaded_case(replace(PROFILES[release], busy=2))

    workflow.unload(case.target, SPEC)

    assert case.changes == [TOOLS[release]] * 3
    assert case.mac.loaded == {}


@pytest.mark.parametrize("release", ["10.15", "15"])
def test_kext_unload_error_unsupported_by_cache_exits_with_2_after_one_attempt(
    loaded_case: Callable[[Profile], Case], release: str
) -> None:
    """A scripted Mac keeps the kext in its cache until a restart; the hint has the commands."""
    case = loaded_case(replace(PROFILES[release], cache_locked=True))

    with pytest.raises(RestartNeeded, match="unsupported by cache") as caught:
        workflow.unload(case.target, SPEC)

    assert case.changes == [TOOLS[release]]
    assert "sudo rm -r /Library/Extensions/osq.kext" in caught.value.hint
    assert caught.value.exit_code == 2


def test_kext_loaded_by_a_restart_can_be_unloaded_and_loaded_without_another(
    make_case: Callable[[Profile], Case],
) -> None:
    """On a scripted macOS 15, one `shutdown -r` suffices for load, unload and load."""
    case = make_case(replace(PROFILES["15"]))
    workflow.load(replace(case.loading, restart=True), case.say)

    workflow.unload(case.target, SPEC)
    again = workflow.load(case.loading, case.say)

    assert again.name == IDENTIFIER
    assert case.changes.count("shutdown -r now") == 1


def test_error_for_a_kext_that_stays_busy_names_the_process(
    loaded_case: Callable[[Profile], Case],
) -> None:
    """After five refusals ModuleError names osqueryd, which has the device open on the Mac."""
    case = loaded_case(replace(PROFILES["13"]))
    case.mac.opened.add("/dev/osquery")

    with pytest.raises(ModuleError, match=r"after 5 attempts.*did not stop") as caught:
        workflow.unload(case.target, SPEC)

    assert len(case.changes) == 5
    assert "open in process 412 osqueryd" in caught.value.evidence
    assert "reference count 0" in caught.value.evidence
    assert caught.value.exit_code == 1


def test_unloading_a_kext_that_is_not_loaded_fails(loaded_case: Callable[[Profile], Case]) -> None:
    """The scripted Mac answers "not found", and ModuleError comes after that one attempt."""
    case = loaded_case(replace(PROFILES["10.15"]))
    case.mac.loaded.clear()

    with pytest.raises(ModuleError, match="not found"):
        workflow.unload(case.target, SPEC)

    assert len(case.changes) == 1


def test_unloading_without_an_installed_bundle_fails(
    make_case: Callable[[Profile], Case],
) -> None:
    """Without osq.kext on the scripted Mac there is no identifier to unload: ModuleError."""
    case = make_case(replace(PROFILES["15"]))

    with pytest.raises(ModuleError, match="is not installed"):
        workflow.unload(case.target, SPEC)


def test_sudo_that_needs_a_password_is_a_usage_error(
    loaded_case: Callable[[Profile], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If sudo on the Mac asks for a password, the hint has the line with NOPASSWD for sudoers."""
    case = loaded_case(replace(PROFILES["15"]))
    refused = ("", "sudo: a password is required\n", 1)
    monkeypatch.setattr(case.mac, "run", lambda *_words: refused)

    with pytest.raises(UsageError, match="sudo without a password") as caught:
        workflow.unload(case.target, SPEC)

    assert "NOPASSWD" in caught.value.hint
