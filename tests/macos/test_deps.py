# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kernel-deps and kernel-configure-target: right for each release, and reversible."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ModuleError, RestartNeeded, TargetNotReady
from harness.model.requirement import State, Who
from harness.targets import workflow
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import File, Profile

MakeCase = Callable[[Profile], Case]
# Release, settings, and the unmet requirements: part of the text, and who can meet it.
MISSING = [
    ("10.10", {}, [("kext-dev-mode=1", Who.RUNNING)]),
    ("10.15", {}, [("without kext signing", Who.RECOVERY)]),
    ("10.15", {"csr": 0x1}, []),
    ("11", {}, [("without kext signing", Who.RECOVERY)]),
    ("13", {"csr": 0x7F}, []),
    ("15", {}, [("without kext signing", Who.RECOVERY)]),
    (
        "15-arm",
        {"boot_policy": False},
        [("boot policy", Who.RECOVERY), ("without kext signing", Who.RECOVERY)],
    ),
    ("15-arm", {"csr": 0x7F}, []),
    (
        "15-arm",
        {"virtual": True, "csr": 0x7F},
        [("third parties' kexts load here", Who.NOBODY)],
    ),
]


@pytest.mark.parametrize(("release", "setting", "missing"), MISSING)
def test_requirements_lists_what_is_unmet_for_an_unsigned_kext(
    make_case: MakeCase,
    release: str,
    setting: dict[str, int],
    missing: list[tuple[str, Who]],
) -> None:
    """For each release of a scripted Mac, kernel-deps says what is missing and who can act."""
    case = make_case(replace(PROFILES[release], signed=False, **setting))  # type: ignore[arg-type]

    found = workflow.requirements(case.target)

    unmet = [one for one in found if one.state is State.UNMET]
    assert [one.who for one in unmet] == [who for _, who in missing]
    for one, (text, _) in zip(unmet, missing, strict=True):
        assert text in one.what
    assert case.changes == []


def test_apply_on_macos_15_prints_that_nothing_can_be_changed(make_case: MakeCase) -> None:
    """kernel-deps --apply there changes nothing: kext-dev-mode is of macOS 10.10 only."""
    case = make_case(replace(PROFILES["15"], signed=False))

    workflow.allow(case.target, case.say)

    assert case.printed == ["nothing can be done from a running system"]
    assert case.changes == []


def test_undo_restores_boot_args_after_apply(make_case: MakeCase) -> None:
    """kernel-deps --apply adds kext-dev-mode=1 to a scripted Mac; --undo removes just that."""
    case = make_case(replace(PROFILES["10.10"], signed=False))
    case.mac.nvram["boot-args"] = "-v serial=3"

    workflow.allow(case.target, case.say)
    after = case.mac.nvram["boot-args"]
    workflow.disallow(case.target, case.say)

    assert after == "-v serial=3 kext-dev-mode=1"
    assert case.mac.nvram["boot-args"] == "-v serial=3"
    assert any("lowers the target's security" in line for line in case.printed)
    assert case.changes == [
        "tee /var/db/harness-deps.json",
        "nvram 'boot-args=-v serial=3 kext-dev-mode=1'",
        "nvram 'boot-args=-v serial=3'",
        "rm -f /var/db/harness-deps.json",
    ]


def test_undo_removes_boot_args_that_did_not_exist(make_case: MakeCase) -> None:
    """kernel-deps --undo removes the variable that --apply made; a second one says "nothing"."""
    case = make_case(replace(PROFILES["10.10"], signed=False))

    workflow.allow(case.target, case.say)
    workflow.disallow(case.target, case.say)
    workflow.disallow(case.target, case.say)

    assert "boot-args" not in case.mac.nvram
    assert case.printed[-1].startswith("nothing to undo")


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("10.10", "debug=0x144 keepsyms=1 -v kdp_match_name=en0"),
        ("13", "debug=0x144 keepsyms=1 -v kdp_match_name=en0"),
        ("15-arm", "keepsyms=1 -v"),
    ],
)
def test_configure_sets_boot_args_and_restarts(
    make_case: MakeCase, release: str, line: str
) -> None:
    """kernel-configure-target sets a scripted Mac's boot-args; the restarted kernel has them."""
    case = make_case(replace(PROFILES[release], csr=0x7F))
    target = replace(case.target, link="en0")

    workflow.configure(target, case.say, undo=False, restart=True)

    assert case.mac.boot_args == line
    assert case.changes[-1] == "shutdown -r now"
    assert case.printed[-1] == "mac runs with all of it"
    assert any("no KDK of build" in text for text in case.printed)


def test_kdk_of_another_build_is_not_accepted(make_case: MakeCase) -> None:
    """kernel-configure-target names the missing Kernel Debug Kit; another build's does not do."""
    case = make_case(replace(PROFILES["13"], csr=0x7F))
    case.mac.files["/Library/Developer/KDKs/KDK_13.7.1_22H221.kdk/x"] = File(b"")
    with pytest.raises(RestartNeeded):
        workflow.configure(case.target, case.say, undo=False, restart=False)
    assert any("no KDK of build 22H313" in text for text in case.printed)
    case.mac.files["/Library/Developer/KDKs/KDK_13.7.2_22H313.kdk/x"] = File(b"")
    with pytest.raises(RestartNeeded) as caught:
        workflow.configure(case.target, case.say, undo=False, restart=False)

    assert any("KDK of this build: " in text for text in case.printed)
    assert caught.value.exit_code == 2


def test_undo_keeps_arguments_of_the_user(make_case: MakeCase) -> None:
    """kernel-configure-target --undo restores debug=0x8, and keeps a word that was added later."""
    case = make_case(replace(PROFILES["13"], csr=0x7F))
    case.mac.nvram["boot-args"] = "debug=0x8 amfi=1"
    workflow.configure(case.target, case.say, undo=False, restart=True)
    case.mac.nvram["boot-args"] += " mine=1"

    workflow.configure(case.target, case.say, undo=True, restart=True)

    assert sorted(case.mac.nvram["boot-args"].split()) == ["amfi=1", "debug=0x8", "mine=1"]


def test_configure_changes_nothing_while_system_integrity_protection_is_enabled(
    make_case: MakeCase,
) -> None:
    """kernel-configure-target raises TargetNotReady, with the csrutil command for Recovery."""
    case = make_case(replace(PROFILES["13"]))

    with pytest.raises(TargetNotReady, match="takes no debugger") as caught:
        workflow.configure(case.target, case.say, undo=False, restart=True)

    assert "csrutil enable --without kext" in caught.value.hint
    assert case.changes == []


def test_locked_nvram_is_an_error_with_a_hint(make_case: MakeCase) -> None:
    """If `nvram` is refused, TargetNotReady has its message, and a hint with csrutil."""
    case = make_case(replace(PROFILES["13"], csr=0x1, nvram_locked=True))

    with pytest.raises(TargetNotReady, match="cannot be set") as caught:
        workflow.configure(case.target, case.say, undo=False, restart=True)

    assert any("not permitted" in line for line in caught.value.evidence)
    assert "--without nvram" in caught.value.hint


def test_configure_fails_if_the_restarted_kernel_lacks_the_new_boot_args(
    make_case: MakeCase,
) -> None:
    """A scripted Mac drops arguments from NVRAM: ModuleError lists those that are missing."""
    case = make_case(replace(PROFILES["15-arm"], csr=0x7F, filters_boot_args=True))

    with pytest.raises(ModuleError, match="started without keepsyms=1 -v"):
        workflow.configure(case.target, case.say, undo=False, restart=True)
