# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kernel-test-unload: what is busy is tried again, what is for ever is not."""

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
    """Give a way to a Mac on which the kext is loaded already."""

    def make(profile: Profile) -> Case:
        case = make_case(profile)
        file = case.loading.file / "Contents" / "Info.plist"
        path = "/Library/Extensions/osq.kext/Contents/Info.plist"
        case.mac.files[path] = File(file.read_bytes())
        case.mac.into_the_kernel(IDENTIFIER)
        return case

    return make


@pytest.mark.parametrize("release", ["10.15", "15"])
def test_a_busy_kext_is_tried_again(loaded_case: Callable[[Profile], Case], release: str) -> None:
    """Two refusals of its stop routine, then it goes: three attempts, and the list is clean."""
    case = loaded_case(replace(PROFILES[release], busy=2))

    workflow.unload(case.target, SPEC)

    assert case.changes == [TOOLS[release]] * 3
    assert case.mac.loaded == {}


@pytest.mark.parametrize("release", ["10.15", "15"])
def test_unsupported_by_cache_is_never_tried_again(
    loaded_case: Callable[[Profile], Case], release: str
) -> None:
    """One attempt, code 2, and what a person has to do: remove the bundle, restart."""
    case = loaded_case(replace(PROFILES[release], cache_locked=True))

    with pytest.raises(RestartNeeded, match="unsupported by cache") as caught:
        workflow.unload(case.target, SPEC)

    assert case.changes == [TOOLS[release]]
    assert "sudo rm -r /Library/Extensions/osq.kext" in caught.value.hint
    assert caught.value.exit_code == 2


def test_one_restart_is_enough_for_more_than_one_load(
    make_case: Callable[[Profile], Case],
) -> None:
    """A kext that the system was started with goes, and comes again without another restart."""
    case = make_case(replace(PROFILES["15"]))
    workflow.load(replace(case.loading, restart=True), case.say)

    workflow.unload(case.target, SPEC)
    again = workflow.load(case.loading, case.say)

    assert again.name == IDENTIFIER
    assert case.changes.count("shutdown -r now") == 1


def test_busy_for_ever_says_who_holds_it(loaded_case: Callable[[Profile], Case]) -> None:
    """Five attempts, code 1, with the process that has the device open."""
    case = loaded_case(replace(PROFILES["13"]))
    case.mac.opened.add("/dev/osquery")

    with pytest.raises(ModuleError, match=r"after 5 attempts.*did not stop") as caught:
        workflow.unload(case.target, SPEC)

    assert len(case.changes) == 5
    assert "open in process 412 osqueryd" in caught.value.evidence
    assert "reference count 0" in caught.value.evidence
    assert caught.value.exit_code == 1


def test_one_that_is_not_loaded_is_no_success(loaded_case: Callable[[Profile], Case]) -> None:
    """Nothing was there to unload: said at once, after one attempt."""
    case = loaded_case(replace(PROFILES["10.15"]))
    case.mac.loaded.clear()

    with pytest.raises(ModuleError, match="not found"):
        workflow.unload(case.target, SPEC)

    assert len(case.changes) == 1


def test_without_a_bundle_there_is_nothing_to_unload(
    make_case: Callable[[Profile], Case],
) -> None:
    """The identifier comes from the installed bundle: without one, the error says so."""
    case = make_case(replace(PROFILES["15"]))

    with pytest.raises(ModuleError, match="is not installed"):
        workflow.unload(case.target, SPEC)


def test_sudo_with_a_password_is_a_usage_error(
    loaded_case: Callable[[Profile], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness types no password: it says which line of sudoers is needed."""
    case = loaded_case(replace(PROFILES["15"]))
    refused = ("", "sudo: a password is required\n", 1)
    monkeypatch.setattr(case.mac, "run", lambda *_words: refused)

    with pytest.raises(UsageError, match="sudo without a password") as caught:
        workflow.unload(case.target, SPEC)

    assert "NOPASSWD" in caught.value.hint
