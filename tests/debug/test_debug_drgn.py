# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`debug-attach --drgn` on a real guest that runs, works and is never stopped."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.guest import domain, hypervisor
from harness.guest.registry import GuestEntry
from harness.host import config
from harness.systems.ssh import Guest
from tests.debug.conftest import invoke
from tests.debug.terminal import PROJECT, attached, ended
from tests.debug.test_debug_attach import runs_on

# The program is in the kernel for most of its time; the other CPU of the guest idles.
BUSY = "exec dd if=/dev/zero of=/dev/null bs=4M"
_NO_STACK = "it ran on while it was looked at|in user mode"


def drgn(life: GuestEntry, *commands: str) -> "subprocess.CompletedProcess[str]":
    """Return the output of drgn for these commands."""
    words = [f"--command={one}" for one in commands]
    return invoke("debug-attach", f"--run={life.run_id}", "--drgn", *words)


def stack_of(text: str, cpu: int) -> str:
    """Return the part of an answer that is about one CPU."""
    match = re.search(rf"^CPU {cpu}: .*\n(?:  .*\n)*", text, re.MULTILINE)
    assert match, text
    return match[0]


@pytest.mark.short
def test_drgn_shows_all_cpus_and_the_drivers_state_while_the_guest_keeps_running(
    shared: GuestEntry,
) -> None:
    """Each CPU's stack and the driver's state come from a real guest that QEMU never stops."""
    line = [sys.executable, "-m", "invoke", "debug-attach", f"--run={shared.run_id}", "--drgn"]
    line += [
        "--command=cpus()",
        "--command=repr(cpus())[:6]",
        "--command=%osq",
        "--command=prog['init_task'].comm.string_()",
    ]
    cache = config.environment().cache / "libvirt"
    states = set()
    with (
        hypervisor.connect(shared.uri, runtime=shared.folder, cache=cache, mask_kvm=False) as hv,
        domain.attach(hv, shared.domain) as guest,
        ended(
            subprocess.Popen(
                line, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        ) as process,
    ):
        while process.poll() is None:
            states.add(guest.hmp("info status").strip())
        assert process.stdout is not None
        said = process.stdout.read()

    assert process.returncode == 0, said
    assert states == {"VM status: running"}
    stacks = [stack_of(said, cpu) for cpu in (0, 1)]
    idle = [one for one in stacks if "secondary_startup_64" in one]
    assert idle, said
    assert re.search(r"^  do_idle \(.*idle\.c:\d+\)", idle[0], re.MULTILINE)
    assert re.search(r"^      \w+ = ", "".join(stacks), re.MULTILINE)
    assert re.search(r"^CPU 0:$", said, re.MULTILINE), "a shell shows cpus() line by line"
    assert "nobody has the device open" in said
    assert "swapper/0" in said
    assert runs_on(shared)


def test_the_stack_of_a_busy_cpu_is_shown_completely_or_not_at_all(
    shared: GuestEntry, ssh: Guest
) -> None:
    """A running guest's stack reaches its entry into the kernel, or drgn says why not."""
    with ssh.popen(BUSY):
        said = [drgn(shared, "cpus()").stdout for _ in range(3)]
        ssh.run("pkill dd", deadline_s=30)

    stacks = [stack_of(text, cpu) for text in said for cpu in (0, 1)]
    busy = [one for one in stacks if re.search(r"^CPU \d: dd ", one)]
    assert busy, said
    for one in stacks:
        assert re.search(rf"entry_SYSCALL_64|secondary_startup_64|ret_from_fork|{_NO_STACK}", one)
    assert any("entry_SYSCALL_64" in one for one in busy), busy


def test_drgn_reads_a_guest_that_gdb_has_stopped(shared: GuestEntry) -> None:
    """While gdb holds a guest at a breakpoint, drgn shows the function and line of the stop."""
    with attached("gdb", f"--run={shared.run_id}", "--break=do_sys_openat2") as terminal:
        terminal.tell("continue")
        terminal.stopped()
        said = drgn(shared, "cpus()")
        terminal.quit()

    assert said.returncode == 0, said.stderr
    assert re.search(r"^  do_sys_openat2 \(.*open\.c:\d+\)", said.stdout, re.MULTILINE)
    assert runs_on(shared)


def test_debug_attach_with_drgn_exits_with_2_for_a_breakpoint_or_an_invalid_vmlinux_file(
    shared: GuestEntry, tmp_path: Path
) -> None:
    """With --drgn no guest is stopped, so --break is refused; a --vmlinux that is no ELF is, too.

    The guest runs on.
    """
    stops = invoke("debug-attach", f"--run={shared.run_id}", "--drgn", "--break=schedule")
    junk = tmp_path / "vmlinux"
    junk.write_bytes(b"nothing")
    wrong = invoke("debug-attach", f"--run={shared.run_id}", "--drgn", f"--vmlinux={junk}")

    assert (stops.returncode, wrong.returncode) == (2, 2)
    assert "never stops a guest" in stops.stderr
    assert "no 64-bit little-endian ELF" in wrong.stderr
    assert runs_on(shared)
