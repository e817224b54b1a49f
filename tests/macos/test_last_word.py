# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the final log check on macOS: a restart or a panic report fails it."""

from collections.abc import Callable
from dataclasses import replace

from harness.systems.macos import kextload, panic_store, setup
from harness.systems.ssh import Guest
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import REPORTS, File, Profile

MakeCase = Callable[[Profile], Case]
TOKEN = "c0ffee"  # noqa: S105
PANIC = 'panic(cpu 0 caller 0xffffff8000a1b2c3): "osq: bad ring"@ring.c:7\n'


def test_clean_run_passes_the_final_log_check(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """kextload.last_word returns no reason, and its line is the last in the scripted Mac's log."""
    case = make_case(replace(PROFILES["13"]))
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)

    assert kextload.last_word(guest, TOKEN) == ()
    assert case.mac.log[-1] == f"harness-last-word {TOKEN}"
    assert not any(TOKEN in name for name in case.mac.files)


def test_restart_fails_the_final_log_check(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """If the Mac has restarted since the run began, last_word returns that as the reason."""
    case = make_case(replace(PROFILES["13"]))
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)
    case.mac.session = "another"

    assert kextload.last_word(guest, TOKEN)[0].startswith("the system has been restarted")
    assert kextload.last_word(guest, "never-noted") != ()
    assert not any("last-word" in line for line in case.mac.log)


def test_final_check_fails_for_a_panic_report_of_the_run_but_not_for_an_older_one(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """last_word names the panic report that appeared since the run began, and no older one."""
    case = make_case(replace(PROFILES["13"]))
    case.mac.files[f"{REPORTS}/Kernel_old.panic"] = File(b"old")
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)
    case.mac.files[f"{REPORTS}/Kernel_new.panic"] = File(b"new")

    assert kextload.last_word(guest, TOKEN) == ("a panic report appeared: Kernel_new.panic",)


def test_a_panic_is_read_from_nvram_only_until_its_report_file_exists(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """crash_logs of a scripted Mac has the panic once: from NVRAM, later from the report."""
    case = make_case(replace(PROFILES["15"]))
    case.mac.nvram[panic_store.OLD_VARIABLE] = PANIC.replace("\n", "%0a")
    guest = connected(case)

    (early,) = setup.crash_logs(guest)
    known = setup.panic_reports(guest)
    case.mac.files[f"{REPORTS}/Kernel_new.panic"] = File(PANIC.encode())
    (late,) = setup.crash_logs(guest)

    assert early.text == PANIC
    assert known == (early.name,)
    assert (late.name, late.text) == ("Kernel_new.panic", PANIC)
    assert setup.crash_logs(guest, known=setup.panic_reports(guest)) == ()
