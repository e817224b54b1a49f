# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""kernel-deps and kernel-configure-target: true for the release they meet, and taken back."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ModuleError, RestartNeeded, TargetNotReady
from harness.model.requirement import State, Who
from harness.targets import workflow
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import File, Profile

MakeCase = Callable[[Profile], Case]
# Release, setting, and what is then missing: part of its text, and who can mend it.
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
def test_what_is_missing_for_an_unsigned_kext(
    make_case: MakeCase,
    release: str,
    setting: dict[str, int],
    missing: list[tuple[str, Who]],
) -> None:
    """Exactly these requirements are unmet; nothing was changed by looking."""
    case = make_case(replace(PROFILES[release], signed=False, **setting))  # type: ignore[arg-type]

    found = workflow.requirements(case.target)

    unmet = [one for one in found if one.state is State.UNMET]
    assert [one.who for one in unmet] == [who for _, who in missing]
    for one, (text, _) in zip(unmet, missing, strict=True):
        assert text in one.what
    assert case.changes == []


def test_nothing_that_has_no_effect_is_offered(make_case: MakeCase) -> None:
    """kext-dev-mode is for 10.10 alone: on 15, --apply changes nothing and says so."""
    case = make_case(replace(PROFILES["15"], signed=False))

    workflow.allow(case.target, case.say)

    assert case.said == ["nothing can be done from a running system"]
    assert case.changes == []


def test_on_1010_it_is_done_with_a_warning_and_taken_back(make_case: MakeCase) -> None:
    """The boot argument is set beside what was there; --undo restores the line exactly."""
    case = make_case(replace(PROFILES["10.10"], signed=False))
    case.mac.nvram["boot-args"] = "-v serial=3"

    workflow.allow(case.target, case.say)
    after = case.mac.nvram["boot-args"]
    workflow.disallow(case.target, case.say)

    assert after == "-v serial=3 kext-dev-mode=1"
    assert case.mac.nvram["boot-args"] == "-v serial=3"
    assert any("lowers the target's security" in line for line in case.said)
    assert case.changes == [
        "tee /var/db/harness-deps.json",
        "nvram 'boot-args=-v serial=3 kext-dev-mode=1'",
        "nvram 'boot-args=-v serial=3'",
        "rm -f /var/db/harness-deps.json",
    ]


def test_boot_args_that_were_not_there_go_again(make_case: MakeCase) -> None:
    """Without a line before, there is none after; a second --undo has nothing to take back."""
    case = make_case(replace(PROFILES["10.10"], signed=False))

    workflow.allow(case.target, case.say)
    workflow.disallow(case.target, case.say)
    workflow.disallow(case.target, case.say)

    assert "boot-args" not in case.mac.nvram
    assert case.said[-1].startswith("nothing to take back")


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("10.10", "debug=0x144 keepsyms=1 -v kdp_match_name=en0"),
        ("13", "debug=0x144 keepsyms=1 -v kdp_match_name=en0"),
        ("15-arm", "keepsyms=1 -v"),
    ],
)
def test_a_kernel_is_made_ready_for_a_debugger(
    make_case: MakeCase, release: str, line: str
) -> None:
    """Boot arguments, a restart that is waited for, and a look at what the kernel has got."""
    case = make_case(replace(PROFILES[release], csr=0x7F))
    target = replace(case.target, link="en0")

    workflow.configure(target, case.say, undo=False, restart=True)

    assert case.mac.boot_args == line
    assert case.changes[-1] == "shutdown -r now"
    assert case.said[-1] == "mac runs with all of it"
    assert any("no KDK of build" in text for text in case.said)


def test_the_kdk_has_to_be_of_this_very_build(make_case: MakeCase) -> None:
    """One of another build is none; the right one is named."""
    case = make_case(replace(PROFILES["13"], csr=0x7F))
    case.mac.files["/Library/Developer/KDKs/KDK_13.7.1_22H221.kdk/x"] = File(b"")
    with pytest.raises(RestartNeeded):
        workflow.configure(case.target, case.say, undo=False, restart=False)
    assert any("no KDK of build 22H313" in text for text in case.said)
    case.mac.files["/Library/Developer/KDKs/KDK_13.7.2_22H313.kdk/x"] = File(b"")
    with pytest.raises(RestartNeeded) as caught:
        workflow.configure(case.target, case.say, undo=False, restart=False)

    assert any("KDK of this build: " in text for text in case.said)
    assert caught.value.exit_code == 2


def test_undo_leaves_what_somebody_else_has_set(make_case: MakeCase) -> None:
    """A debug= of the user's gives way and comes back; a word that he adds later stays."""
    case = make_case(replace(PROFILES["13"], csr=0x7F))
    case.mac.nvram["boot-args"] = "debug=0x8 amfi=1"
    workflow.configure(case.target, case.say, undo=False, restart=True)
    case.mac.nvram["boot-args"] += " mine=1"

    workflow.configure(case.target, case.say, undo=True, restart=True)

    assert sorted(case.mac.nvram["boot-args"].split()) == ["amfi=1", "debug=0x8", "mine=1"]


def test_a_system_that_ignores_debug_arguments_is_not_touched(make_case: MakeCase) -> None:
    """With System Integrity Protection whole, it says what Recovery has to do, and stops."""
    case = make_case(replace(PROFILES["13"]))

    with pytest.raises(TargetNotReady, match="takes no debugger") as caught:
        workflow.configure(case.target, case.say, undo=False, restart=True)

    assert "csrutil enable --without kext" in caught.value.hint
    assert case.changes == []


def test_a_guarded_nvram_is_a_persons_work(make_case: MakeCase) -> None:
    """Nvram says 'not permitted': code 2, its words, and the way out."""
    case = make_case(replace(PROFILES["13"], csr=0x1, nvram_locked=True))

    with pytest.raises(TargetNotReady, match="cannot be set") as caught:
        workflow.configure(case.target, case.say, undo=False, restart=True)

    assert any("not permitted" in line for line in caught.value.evidence)
    assert "--without nvram" in caught.value.hint


def test_arguments_that_the_boot_drops_are_noticed(make_case: MakeCase) -> None:
    """NVRAM has them, the kernel that comes up has not: that is no success."""
    case = make_case(replace(PROFILES["15-arm"], csr=0x7F, filters_boot_args=True))

    with pytest.raises(ModuleError, match="started without keepsyms=1 -v"):
        workflow.configure(case.target, case.say, undo=False, restart=True)
