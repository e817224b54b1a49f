# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""platform_macos.last_word: silence, a restart and a panic report are each no clean word."""

from collections.abc import Callable
from dataclasses import replace

from harness.systems.macos import kextload, panic_store, setup
from harness.systems.ssh import Guest
from tests.macos.conftest import PROFILES, Case
from tests.macos.fake_system import REPORTS, File, Profile

MakeCase = Callable[[Profile], Case]
TOKEN = "c0ffee"  # noqa: S105
PANIC = 'panic(cpu 0 caller 0xffffff8000a1b2c3): "osq: bad ring"@ring.c:7\n'


def test_a_clean_run_has_its_word_in_the_log(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """Said by the Mac itself; what the run noted there is gone."""
    case = make_case(replace(PROFILES["13"]))
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)

    assert kextload.last_word(guest, TOKEN) == ()
    assert case.mac.log[-1] == f"harness-last-word {TOKEN}"
    assert not any(TOKEN in name for name in case.mac.files)


def test_a_restart_in_between_is_told(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """Another boot session, the note still there or gone: no word, and why."""
    case = make_case(replace(PROFILES["13"]))
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)
    case.mac.session = "another"

    assert kextload.last_word(guest, TOKEN)[0].startswith("the system has been started anew")
    assert kextload.last_word(guest, "never-noted") != ()
    assert not any("last-word" in line for line in case.mac.log)


def test_a_new_panic_report_is_told_an_old_one_is_not(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """What lay there before the run does not count against it."""
    case = make_case(replace(PROFILES["13"]))
    case.mac.files[f"{REPORTS}/Kernel_old.panic"] = File(b"old")
    guest = connected(case)
    kextload.prepare(guest, run_id="run", canary=TOKEN)
    case.mac.files[f"{REPORTS}/Kernel_new.panic"] = File(b"new")

    assert kextload.last_word(guest, TOKEN) == ("a panic report appeared: Kernel_new.panic",)


def test_a_panic_that_is_still_in_nvram_is_read_once(
    make_case: MakeCase, connected: Callable[[Case], Guest]
) -> None:
    """From the variable while no file was made of it; with the file, the variable adds nothing."""
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
