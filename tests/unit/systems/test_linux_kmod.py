# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.linux.kmod: the guest's answers become values or the right errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from harness.errors import GuestHung, GuestLost, ModuleError
from harness.model.loaded_module import ModuleFile
from harness.model.settings import ModuleBuild, ModuleSpec, PushSpec
from harness.systems.linux import kmod
from harness.systems.shell import CommandFailed, Completed
from harness.systems.ssh import Guest

SPEC = ModuleSpec(name="m", source=Path("/src"), devices=("/dev/m",), parameters={"a": "b c"})
TOKEN = "c0ffee"  # noqa: S105
LOADED = "m 16384 1 other, Live 0x0000000000000000 (OE)\nplain 1 0 - Live 0x0\n"
CANARY = f"[    1.0] harness-canary {TOKEN}: WARNING: planted by the harness, not a fault"


class FakeGuest:
    """A stand-in for a guest that answers by a part of the command, and records every command."""

    def __init__(self, answers: dict[str, str | tuple[int, str, str] | Exception]) -> None:
        self.answers = answers
        self.commands: list[str] = []
        self.deadlines: dict[str, float] = {}

    def run(
        self, command: str | Sequence[str], *, deadline_s: float, check: bool = True
    ) -> Completed:
        """Record the command, and return the scripted answer."""
        line = command if isinstance(command, str) else " ".join(command)
        self.commands.append(line)
        self.deadlines[line] = deadline_s
        answer = next((text for key, text in self.answers.items() if key in line), "")
        if isinstance(answer, Exception):
            raise answer
        status, out, err = answer if isinstance(answer, tuple) else (0, answer, "")
        done = Completed(stdout=out, stderr=err, status=status, duration_s=deadline_s * 0)
        if check and status:
            raise CommandFailed(line, done)
        return done


def guest(**answers: str | tuple[int, str, str] | Exception) -> tuple[FakeGuest, Guest]:
    """Return a fake guest, once as itself and once as a Guest; '_' in a key stands for a space."""
    fake = FakeGuest({key.replace("_", " "): text for key, text in answers.items()})
    return fake, cast("Guest", fake)


def test_names_reference_counts_and_users_of_modules_are_parsed_from_proc_modules() -> None:
    """From /proc/modules name, size, count and users are read, and short lines are ignored."""
    modules = kmod.parse_modules(LOADED + "broken\n")

    assert set(modules) == {"m", "plain"}
    assert (modules["m"].size_bytes, modules["m"].references) == (16384, 1)
    assert modules["m"].used_by == ("other",)
    assert modules["plain"].used_by == ()


def test_loading_passes_parameters_quoted() -> None:
    """For a fake guest, a module's parameter with a space is one word of the insmod command."""
    fake, peer = guest(insmod="4.25\n.text:0xffffffffc0000000\n.data:0x10\nodd\n")

    loaded = kmod.load(peer, SPEC, deadline_s=1)

    assert any("insmod /run/harness/m.ko 'a=b c'" in line for line in fake.commands)
    assert loaded.sections == {".text": 0xFFFFFFFFC0000000, ".data": 16}


def test_a_refused_load_has_the_kernels_lines_as_evidence() -> None:
    """If a fake guest's insmod fails, ModuleError has the errno's text and the kernel's lines."""
    words = "insmod: ERROR: could not insert module /run/harness/m.ko: Device or resource busy\n"
    # The kernel log's clock may be late compared with the uptime that was read when the load
    # began.
    beat = "[   12.0] harness-heartbeat run 7\n"
    log = f"[    1.0] old\nits rest\n[   11.4] m: no luck\nand why\n{beat}"
    _, peer = guest(insmod=(1, f"12.50\n{words}", ""), dmesg=log)

    with pytest.raises(ModuleError, match="m does not load: Device or resource busy") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert caught.value.evidence == ("[   11.4] m: no luck", "and why")


def test_a_load_that_exceeds_its_deadline_is_a_hang() -> None:
    """A fake guest whose insmod does not end raises GuestHung with insmod's kernel stack."""
    _, peer = guest(stack="[<0>] m_init+0x1/0x2 [m]\n", insmod=GuestLost("late"))

    with pytest.raises(GuestHung, match="hangs in its init") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert caught.value.evidence == ("[<0>] m_init+0x1/0x2 [m]",)


def test_a_device_that_does_not_appear_is_an_error() -> None:
    """A loaded module without a configured device node is an error."""
    _, peer = guest(test_=(1, "", ""), insmod="1.0\n")

    with pytest.raises(ModuleError, match="/dev/m did not appear"):
        kmod.load(peer, SPEC, deadline_s=0)


def test_the_error_of_a_busy_module_names_its_users() -> None:
    """Unloading fails with the reference count, and the modules and processes that use it."""
    fake, peer = guest(
        rmmod=(1, "", "rmmod: ERROR: Module m is in use\n"), modules=LOADED, find="12 osqtail\n"
    )

    with pytest.raises(ModuleError, match="after 2 attempts") as caught:
        kmod.unload(peer, SPEC, deadline_s=1, attempts=2)

    assert caught.value.evidence == (
        "reference count 1",
        "used by module other",
        "open in process 12 osqtail",
    )
    assert sum("rmmod" in line for line in fake.commands) == 2


def test_unloading_a_module_that_is_not_loaded_is_tried_once_and_the_error_says_so() -> None:
    """Unloading a module that is not loaded is tried once, and the hint names kernel-test-load."""
    refusal = (1, "", "rmmod: ERROR: Module m is not currently loaded")
    fake, peer = guest(rmmod=refusal)

    with pytest.raises(ModuleError, match=r"^m is not loaded$") as caught:
        kmod.unload(peer, SPEC, deadline_s=1, attempts=3)

    assert len([line for line in fake.commands if "rmmod" in line]) == 1
    assert "kernel-test-load" in caught.value.hint


def test_an_unload_that_exceeds_its_deadline_is_a_hang() -> None:
    """An unload that does not end by its deadline raises GuestHung."""
    _, peer = guest(rmmod=GuestLost("late"))

    with pytest.raises(GuestHung, match="hangs in its exit"):
        kmod.unload(peer, SPEC, deadline_s=1, attempts=3)


def test_if_the_kernel_log_has_no_fault_the_guest_writes_the_final_line_of_the_harness() -> None:
    """The run's planted false warning is no fault; the final line shows that all was read."""
    fake, peer = guest(dmesg=f"[    0.5] WARNING: before us\n{CANARY}\n[    2.0] fine\n")

    assert kmod.last_word(peer, TOKEN) == ()
    assert f"harness-last-word {TOKEN}" in fake.commands[-1]


def test_a_fault_in_the_kernel_log_is_returned_and_prevents_the_harness_final_line() -> None:
    """The guest's final line says that its log is clean; an allowed fault is no fault."""
    log = f"{CANARY}\n[    2.0] BUG: bad\n"
    fake, peer = guest(dmesg=log)

    assert kmod.last_word(peer, TOKEN) == ("[    2.0] BUG: bad",)
    assert not any("last-word" in line for line in fake.commands)
    assert kmod.last_word(peer, TOKEN, allow=("BUG: bad$",)) == ()


def test_a_kernel_log_without_the_planted_line_gives_one_objection_and_no_final_line() -> None:
    """If the run's false warning is missing in the guest's log, other lines may be, too."""
    fake, peer = guest(dmesg="[    2.0] fine\n")

    (found,) = kmod.last_word(peer, TOKEN)

    assert "planted line" in found
    assert not any("last-word" in line for line in fake.commands)


def test_a_guest_whose_boot_does_not_finish_is_lost() -> None:
    """If systemd is still starting at the deadline, GuestLost names the jobs that run."""
    fake, peer = guest()
    jobs = "1 foo.service start running\n"
    fake.answers = {"is-system-running": "starting\n", "list-jobs": jobs}

    with pytest.raises(GuestLost, match="still starting") as caught:
        kmod.quiesce(peer, deadline_s=0)

    assert caught.value.evidence == ("1 foo.service start running",)


def test_the_sync_command_after_the_boot_gets_the_deadline_of_the_boot() -> None:
    """Writing the disk of a guest that has booted may take as long as its boot."""
    fake, peer = guest()
    fake.answers |= {"is-system-running": "running\n"}

    kmod.quiesce(peer, deadline_s=360)

    assert [seconds for line, seconds in fake.deadlines.items() if "sync" in line] == [360]


@pytest.mark.parametrize(
    "line",
    [
        "[    9.1] Loading of unsigned module is rejected",
        "[    9.1] Loading of module with unavailable key is rejected",
        "[    9.1] Loading of module with unsupported crypto is rejected",
        "[    9.1] Lockdown: insmod: unsigned module loading is restricted; see man 7",
    ],
)
def test_the_hint_for_a_rejected_module_signature_names_sig_enforce_and_packages_key(
    line: str,
) -> None:
    """The error for a rejected signature has the kernel's reason and the two solutions."""
    words = "insmod: ERROR: could not insert module m.ko: Key was rejected by service\n"
    _, peer = guest(insmod=(1, f"8.50\n{words}", ""), dmesg=f"{line}\n")

    with pytest.raises(ModuleError, match="Key was rejected by service") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert line in caught.value.evidence
    assert "module.sig_enforce=1" in caught.value.hint
    assert "modlab packages --key" in caught.value.hint


def test_an_unknown_parameter_fails_the_load_and_unloads_the_module() -> None:
    """An unknown parameter unloads the module again, and the error lists the known ones."""
    line = "harness-unknown [    9.1] m: unknown parameter 'a' ignored\n"
    fake, peer = guest(insmod=f"8.50\n{line}")
    fake.answers = {"modinfo -F parm": "b:a number (int)\nc:a word (charp)\n", **fake.answers}

    with pytest.raises(ModuleError, match="m has no parameter a") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert caught.value.hint == "its parameters are: b, c"
    assert "rmmod" in fake.commands[-1]


def test_the_warning_about_a_parameter_of_an_earlier_load_does_not_fail_this_one() -> None:
    """The kernel's log still has the warning, and this load was not given that parameter."""
    line = "harness-unknown [    9.1] m: unknown parameter 'a' ignored\n"
    fake, peer = guest(insmod=f"80.50\n{line}")

    loaded = kmod.load(peer, SPEC, deadline_s=1, parameters={"b": "1"})

    assert loaded.name == "m"
    assert "rmmod" not in fake.commands[-1]


def test_the_hint_for_an_unknown_symbol_names_the_kernel_module_that_exports_it() -> None:
    """The error for a missing symbol names the kernel module that exports it."""
    words = "insmod: ERROR: could not insert module m.ko: Unknown symbol in module\n"
    fake, peer = guest(insmod=(1, f"8.50\n{words}", ""))
    fake.answers |= {
        "dmesg": "[    9.0] m: Unknown symbol crc32c (err -2)\n",
        "modules.symbols": "alias symbol:crc32c libcrc32c\n",
    }

    with pytest.raises(ModuleError, match="Unknown symbol") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert 'needs = ["libcrc32c"]' in caught.value.hint


def test_a_missing_kernel_module_is_named_in_the_error() -> None:
    """The error for a missing kernel module names that module, not the module under test."""
    words = (
        "modprobe: FATAL: Module videodev not found in directory /lib/modules/6.1\n"
        "harness-refused modprobe videodev\n"
    )
    _, peer = guest(insmod=(1, f"8.50\n{words}", ""))

    with pytest.raises(ModuleError, match="videodev, which it needs, is missing") as caught:
        kmod.load(peer, SPEC, deadline_s=1)

    assert "the kernel 6.1 has no module videodev" in caught.value.hint


def test_a_refused_additional_module_is_named_in_the_result_and_loading_raises_no_error() -> None:
    """If the guest's kernel refuses a companion, the module under test is loaded all the same."""
    words = (
        "insmod: ERROR: could not insert module /run/harness/beside.ko: No such device\n"
        "harness-without beside\n"
    )
    _, peer = guest(insmod=(0, f"8.50\n{words}", ""))

    assert kmod.load(peer, SPEC, deadline_s=1).refused == ("beside",)


def test_built_modules_load_plan_and_firmware_are_copied_into_the_guest(tmp_path: Path) -> None:
    """Every built module, its load plan and its firmware are pushed into the guest."""
    pushed: list[PushSpec] = []

    class Pusher(FakeGuest):
        def push(self, files: Sequence[PushSpec], *, deadline_s: float) -> None:
            assert deadline_s == 1
            pushed.extend(files)

    files = tuple(ModuleFile(name=name, stripped=Path(name), debug=Path(name)) for name in "nm")
    fw = PushSpec(source=Path("fw"), target="/lib/firmware/fw")
    built = ModuleBuild(
        name="m",
        release="6.1",
        stripped=Path("m"),
        debug=Path("m"),
        build_id="",
        log=Path("log"),
        fresh=True,
        files=files,
        plan=tmp_path / "m.load",
        firmware=(fw,),
    )

    kmod.push_modules(cast("Guest", Pusher({})), [(built, SPEC)], deadline_s=1)

    targets = [one.target for one in pushed]
    assert targets[:3] == [f"/run/harness/{name}" for name in ("n.ko", "m.ko", "m.load")]
    assert targets[3:] == ["/lib/firmware/fw"]
