# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of signature: one crash has the same signature in every run, another crash has another."""

import random
import re

import pytest

from harness.panic.scan import scan
from harness.panic.signature import signature
from harness.panic.values import KernelReport

OOPS = """\
[   10.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   10.000002] #PF: supervisor write access in kernel mode
[   10.000003] Oops: 0002 [#1] PREEMPT SMP NOPTI
[   10.000004] CPU: 0 PID: 399 Comm: osqstress Tainted: G           OE      6.1.0-56-cloud-amd64 #1
[   10.000005] RIP: 0010:memcpy+0x5/0x10
[   10.000006] RAX: 0000000000000001 RBX: ffff888012345678 RCX: 0000000000000003
[   10.000007] Call Trace:
[   10.000008]  <TASK>
[   10.000009]  osq_ring_reserve+0x97/0x200 [osq]
[   10.000010]  ? left_over+0x4d/0xc0
[   10.000011]  osq_publish_exec+0x3e0/0x510 [osq]
[   10.000012]  __x64_sys_execve+0x90/0xd0
[   10.000013]  do_syscall_64+0x5d/0x90
[   10.000014] ---[ end trace 0000000000000000 ]---
"""
LOCKUP = """\
[   33.970064] watchdog: BUG: soft lockup - CPU#1 stuck for 30s! [osqstress:92]
[   33.970591] CPU: 1 PID: 92 Comm: osqstress Tainted: G           OEL     6.1.0-56-cloud-amd64 #1
[   33.971192] RIP: 0010:native_queued_spin_lock_slowpath+0xe/0x10
[   33.973135] Call Trace:
[   33.973136]  _raw_spin_lock+0x1/0x2
[   33.973137]  osq_ring_reserve+0x3c4/0x4ad [osq]
[   33.973138]  osq_ioctl+0x56/0xa0 [osq]
[   33.973139]  __x64_sys_ioctl+0xc7/0x3f0
[   33.973140]  do_syscall_64+0x5d/0x90
"""


def first(text: str) -> KernelReport:
    """Return the only report of a console."""
    (found,) = scan(text.splitlines())
    return found


def other_run(text: str, seed: int) -> str:
    """Return a report's text as another run would print it, with every variable number changed."""
    dice = random.Random(seed)  # noqa: S311
    text = re.sub(r"\b[0-9a-f]{16}\b", lambda _: f"{dice.getrandbits(64):016x}", text)
    text = re.sub(r"\+0x[0-9a-f]+/", lambda _: f"+{dice.randrange(1, 256):#x}/", text)
    text = re.sub(r"PID: \d+", lambda _: f"PID: {dice.randrange(1, 9999)}", text)
    text = re.sub(r"CPU: \d", lambda _: f"CPU: {dice.randrange(8)}", text)
    return re.sub(r"^\[ *\d+\.", f"[{dice.randrange(20, 9999):5d}.", text, flags=re.MULTILINE)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", [OOPS, LOCKUP])
def test_other_addresses_offsets_pids_cpus_and_times_do_not_change_the_signature(
    text: str, seed: int
) -> None:
    """Crashes that differ only in addresses, offsets, ids, CPUs and times have one signature."""
    assert signature(first(other_run(text, seed))) == signature(first(text))


def test_unrelated_lines_do_not_change_the_signature() -> None:
    """Other kernel lines and frames marked '?' in a report leave its crash signature as it is."""
    noisy = OOPS.replace(
        "[   10.000009]",
        "[   10.000009] eth0: link up\n[   10.000009]  ? stale+0x1/0x2\n[   10.000009]",
    )

    assert signature(first(noisy)) == signature(first(OOPS))


def test_compiler_suffixes_do_not_change_the_signature() -> None:
    """A crash in f.constprop.0 has the crash signature of one in f."""
    cloned = OOPS.replace("osq_ring_reserve+", "osq_ring_reserve.constprop.0+")

    assert signature(first(cloned)) == signature(first(OOPS))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("osq_ring_reserve", "osq_ring_commit"),
        ("osq_publish_exec", "osq_publish_fork"),
        ("[osq]", "[osq_test]"),
        ("BUG: kernel NULL pointer dereference, address", "BUG: unable to handle page fault for"),
    ],
)
def test_another_function_module_or_kind_changes_the_signature(old: str, new: str) -> None:
    """A report with another function, caller, module or kind has another signature."""
    assert signature(first(OOPS.replace(old, new))) != signature(first(OOPS))


def test_two_lockup_reports_of_one_spinning_loop_have_the_same_signature() -> None:
    """Two samples of one spinning loop have one signature; another loop has another."""
    inside = LOCKUP.replace("native_queued_spin_lock_slowpath", "queued_spin_lock")
    other = LOCKUP.replace("osq_ring_reserve", "osq_ring_reset")

    assert signature(first(inside)) == signature(first(LOCKUP))
    assert signature(first(other)) != signature(first(LOCKUP))


ARM64 = """\
[   10.000001] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
[   10.000002] Internal error: Oops: 96000005 [#1] SMP
[   10.000003] CPU: 3 PID: 17 Comm: sh Tainted: G           O       5.10.0 #1
[   10.000004] pc : __memcpy+0x5/0x10
[   10.000005] Call trace:
[   10.000006]  __memcpy+0x5/0x10
[   10.000007]  osq_ring_reserve.constprop.0+0x90/0x210 [osq]
[   10.000008]  osq_ring_open+0x10/0x20 [osq]
[   10.000009]  osq_publish_exec+0x3e0/0x510 [osq]
[   10.000010]  __arm64_sys_execve+0x90/0xd0
[   10.000011]  el0_svc_common.constprop.0+0x5d/0x90
"""


def test_one_fault_on_two_architectures_has_one_signature() -> None:
    """The same fault on x86 and arm64, with other inlining, has one signature."""
    assert signature(first(ARM64)) == signature(first(OOPS))


def test_a_page_fault_and_a_protection_fault_at_one_place_have_the_same_signature() -> None:
    """A page fault and a general protection fault at one place have the same signature."""
    fault = OOPS.replace(
        "kernel NULL pointer dereference, address", "unable to handle page fault for"
    )
    protection = re.sub(r"BUG: .*", "general protection fault: 0000 [#1] SMP", OOPS)

    assert signature(first(fault)) == signature(first(protection))


def test_two_lockups_in_different_callees_of_one_ioctl_handler_differ_in_signature() -> None:
    """The crash signature of a hang has the function that the ioctl's handler called."""
    builtin = LOCKUP.replace(" [osq]", "").replace("osq_ioctl", "drm_ioctl")
    other = builtin.replace("osq_ring_reserve", "drm_mode_setcrtc")

    assert first(builtin).function == first(other).function == "drm_ioctl"
    assert signature(first(builtin)) != signature(first(other))


def test_a_signature_is_12_hex_digits_even_for_a_report_without_a_stack() -> None:
    """A signature has 12 hex digits, even for a report without function and stack."""
    bare = KernelReport(kind="panic", title="kernel panic: \udcff", line=0, text=("x",))

    assert re.fullmatch(r"[0-9a-f]{12}", signature(bare))
    assert re.fullmatch(r"[0-9a-f]{12}", signature(first(OOPS)))
