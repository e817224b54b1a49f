# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kernel-test-load on every release of macOS: its commands, and its exit codes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    ModuleError,
    RestartNeeded,
    TargetNotReady,
    UsageError,
)
from harness.targets import workflow
from tests.macos.conftest import IDENTIFIER, PROFILES, Case
from tests.macos.fake_system import Profile

PATH = "/Library/Extensions/osq.kext"
COPY = [
    f"rm -rf {PATH}",
    "tar -x -f - -C /Library/Extensions",
    f"chown -R root:wheel {PATH}",
    f"chmod -R u=rwX,go=rX {PATH}",
]
MakeCase = Callable[[Profile], Case]


@pytest.mark.parametrize("release", ["10.10", "10.15"])
def test_kextload_loads_without_a_restart_before_macos_11(
    make_case: MakeCase, release: str
) -> None:
    """On a scripted Mac the kext is copied, given to root:wheel, and loaded by kextload."""
    case = make_case(replace(PROFILES[release]))

    loaded = workflow.load(case.loading, case.say)

    assert loaded.name == IDENTIFIER
    assert loaded.sections == {"__TEXT": 0xFFFFFF7F83A21000}
    assert case.changes == [*COPY, f"kextload {PATH}"]


@pytest.mark.parametrize("release", ["11", "13", "15", "15-arm"])
@pytest.mark.parametrize("says", [True, False])
def test_kmutil_needs_a_restart_since_macos_11(
    make_case: MakeCase,
    release: str,
    says: bool,  # noqa: FBT001
) -> None:
    """Without --reboot kernel-load raises RestartNeeded, whether or not kmutil says why.

    kmutil may print a message about the restart or not.
    """
    case = make_case(replace(PROFILES[release], says_reboot=says))

    with pytest.raises(RestartNeeded, match="needs reboot") as caught:
        workflow.load(case.loading, case.say)

    assert caught.value.exit_code == 2
    assert "--reboot" in caught.value.hint
    assert case.changes == [*COPY, f"kmutil load -p {PATH}"]


@pytest.mark.parametrize("release", ["11", "13", "15", "15-arm"])
def test_load_with_option_reboot_restarts_the_mac_and_loads_the_kext_since_macos_11(
    make_case: MakeCase, release: str
) -> None:
    """The scripted Mac gets kmutil load, shutdown -r, and kmutil load in the next boot."""
    case = make_case(replace(PROFILES[release]))
    session = case.mac.session

    loaded = workflow.load(replace(case.loading, restart=True), case.say)

    tool = f"kmutil load -p {PATH}"
    assert case.changes == [*COPY, tool, "shutdown -r now", tool]
    assert loaded.name == IDENTIFIER
    assert case.mac.session != session
    assert any("back after" in line for line in case.printed)


def test_load_with_restart_waits_until_the_old_boot_of_the_mac_stops_answering(
    make_case: MakeCase,
) -> None:
    """A scripted Mac answers on after `shutdown -r`: kernel-load waits for a new boot session."""
    case = make_case(replace(PROFILES["13"], slow_to_go=True))
    session = case.mac.session

    loaded = workflow.load(replace(case.loading, restart=True), case.say)

    assert loaded.name == IDENTIFIER
    assert case.mac.session != session


# Release, settings, and the expected error: its class, message, hint and exit code.
REFUSALS = [
    ("10.10", {"signed": False}, (ModuleError, "refused.*not loadable", "kernel-deps", 1)),
    ("10.15", {"signed": False}, (ModuleError, "refused.*not loadable", "kernel-deps", 1)),
    ("10.15", {"approved": False}, (TargetNotReady, "needs approval.*policy", "30 minutes", 2)),
    ("10.15", {"unresolved": True}, (ModuleError, "refused.*link error", "kext-check", 1)),
    ("10.10", {"start_fails": True}, (ModuleError, "refused.*start/stop", "kernel's log", 1)),
    ("11", {"signed": False}, (ModuleError, "refused.*Bad code signature", "sign it", 1)),
    ("13", {"approved": False}, (TargetNotReady, "needs approval", "System Settings", 2)),
    ("15", {"unresolved": True}, (ModuleError, "refused.*Cannot find symbol", "kext-check", 1)),
    ("15-arm", {"boot_policy": False}, (TargetNotReady, "needs approval", "Settings", 2)),
]


@pytest.mark.parametrize(("release", "setting", "end"), REFUSALS)
def test_each_reason_to_refuse_a_kext_gives_the_expected_error_message_hint_and_exit_code(
    make_case: MakeCase,
    release: str,
    setting: dict[str, bool],
    end: tuple[type[HarnessError], str, str, int],
) -> None:
    """A scripted Mac refuses a kext for its signature, approval, symbols or start routine."""
    kind, message, hint, code = end
    case = make_case(replace(PROFILES[release], **setting))  # type: ignore[arg-type]

    with pytest.raises(HarnessError, match=message) as caught:
        workflow.load(case.loading, case.say)

    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert caught.value.exit_code == code


def test_error_for_a_failed_kext_start_contains_the_kernels_log_lines_since_the_attempt_only(
    make_case: MakeCase,
) -> None:
    """Of the scripted Mac's kernel log, the error's evidence leaves out older lines."""
    case = make_case(replace(PROFILES["10.15"], start_fails=True))
    case.mac.kernel_log.append("an old line")

    with pytest.raises(ModuleError) as caught:
        workflow.load(case.loading, case.say)

    assert any("start failed (result 0x5)" in line for line in caught.value.evidence)
    assert "an old line" not in caught.value.evidence


def test_error_for_a_failed_kext_start_contains_the_new_log_lines_if_the_message_buffer_is_full(
    make_case: MakeCase,
) -> None:
    """On a scripted Mac the new line replaces old ones in dmesg, and the error still has it."""
    case = make_case(replace(PROFILES["10.15"], start_fails=True))
    case.mac.kernel_log += [f"line {number}" for number in range(1000)]
    case.mac.message_buffer_bytes = 1000

    with pytest.raises(ModuleError) as caught:
        workflow.load(case.loading, case.say)

    assert caught.value.evidence[-1] == "Kext org.example.osq start failed (result 0x5)."
    assert not any(line.startswith("line ") for line in caught.value.evidence)


@pytest.mark.parametrize(
    ("release", "setting"),
    [("10.10", {}), ("10.15", {"csr": 1}), ("15", {"csr": 0x7F})],
)
def test_unsigned_kext_loads_on_a_macos_release_whose_security_setting_allows_unsigned_kexts(
    make_case: MakeCase, release: str, setting: dict[str, int]
) -> None:
    """kernel-load succeeds on a scripted Mac with kext-dev-mode=1, or with SIP off for kexts."""
    case = make_case(replace(PROFILES[release], signed=False, **setting))  # type: ignore[arg-type]
    case.mac.boot_args = "kext-dev-mode=1"

    loaded = workflow.load(replace(case.loading, restart=True), case.say)

    assert loaded.name == IDENTIFIER


def test_target_not_back_in_time_after_its_restart_raises_guest_lost(make_case: MakeCase) -> None:
    """A scripted Mac that never answers again ends kernel-load with exit code 4, lost."""
    case = make_case(replace(PROFILES["13"], never_back=True))
    target = replace(case.target, restart_s=1.0)

    with pytest.raises(GuestLost, match="not back after 1 s") as caught:
        workflow.load(replace(case.loading, target=target, restart=True), case.say)

    assert caught.value.exit_code == 4


def test_panic_in_the_kexts_start_routine_raises_guest_crashed(make_case: MakeCase) -> None:
    """The panic report that the Mac has after its restart gives kernel-load exit code 3."""
    case = make_case(replace(PROFILES["13"]))
    case.mac.dies_at_start = 'panic(cpu 0 caller 0xffffff8000000000): "osq: bad ring"@ring.c:7\n'

    with pytest.raises(GuestCrashed, match="osq: bad ring") as caught:
        workflow.load(replace(case.loading, restart=True), case.say)

    assert caught.value.exit_code == 3


def test_folder_that_is_no_kext_bundle_is_refused_without_a_command_on_the_mac(
    make_case: MakeCase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """kernel-load of an empty osq.kext raises UsageError before it connects to the Mac."""
    case = make_case(replace(PROFILES["15"]))
    empty = tmp_path_factory.mktemp("empty") / "osq.kext"
    empty.mkdir()

    with pytest.raises(UsageError, match="no kext bundle"):
        workflow.load(replace(case.loading, file=empty), case.say)

    assert case.mac.commands == []
