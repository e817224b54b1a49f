# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`invoke debug-attach` with the real debuggers, on a terminal, against a real guest."""

import os
import re
import resource
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.artefacts import kernel_symbols
from harness.debugger.inside.elf import Image
from harness.guest import shared_session
from harness.guest.registry import GuestEntry
from harness.host import config
from harness.systems.ssh import Guest
from tests.crash.places import place_of
from tests.debug.conftest import FETCH_S, invoke
from tests.debug.terminal import PROJECT, attached

BOTH = pytest.mark.parametrize("debugger", ["gdb", "lldb"])
ROUNDS = 20
PROMPT_S = 5.0
# osq_test.h: OSQ_IOC_TEST_CRASH with OSQ_CRASH_NULL.
CRASH = """
open(F, "+<", "/dev/osquery_test") or die "$!";
my $kind = pack("L", 1);
ioctl(F, 0x40047181, $kind) or print "ioctl: $!";
"""


def in_background(guest: Guest, command: str) -> threading.Thread:
    """Run a command in the guest while the debugger holds it."""

    def run() -> None:
        guest.run(command, deadline_s=120, check=False)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def run_programs(guest: Guest) -> threading.Thread:
    """Run programs in the guest for some seconds; the breakpoint may come before any answer."""
    return in_background(guest, "for i in $(seq 50); do /bin/true; sleep 0.2; done")


def beats(life: GuestEntry) -> int:
    """Return the number of the guest kernel's heartbeats on the console."""
    return (life.run / "qemu-console.log").read_text(errors="replace").count("harness-heartbeat")


def runs_on(life: GuestEntry) -> bool:
    """Return whether the guest's kernel beats within a few seconds."""
    before, end = beats(life), time.monotonic() + 15
    while time.monotonic() < end:
        if beats(life) > before:
            return True
        time.sleep(0.1)
    return False


def text_of(modules: str, name: str) -> int:
    """Return a module's code address as lx-modules shows it."""
    match = re.search(rf"^{name}\s+\S+\s+\.text (0x[0-9a-f]+)", modules, re.MULTILINE)
    assert match, modules
    return int(match[1], 16)


@BOTH
@pytest.mark.short
def test_at_a_breakpoint_in_the_module_a_debugger_shows_source_line_stack_and_local_variables(
    debugger: str, shared: GuestEntry, ssh: Guest
) -> None:
    """Gdb and lldb show these for a real guest that has stopped in osq_ring_reserve."""
    with (
        ssh.popen("exec osqtail > /dev/null"),
        attached(debugger, f"--run={shared.run_id}", "--break=osq_ring_reserve") as terminal,
    ):
        terminal.tell("continue")
        programs = run_programs(ssh)
        stop = terminal.stopped()
        stack = terminal.ask("bt")
        variables = terminal.ask("info args", "frame variable")
        step = terminal.ask("next")
        threads = terminal.ask("info threads", "thread list")
        ring = terminal.ask("osq-ring")
        terminal.ask("delete 1", "breakpoint delete --force 3")
        terminal.quit()
        programs.join(60)
        ssh.run("pkill osqtail", deadline_s=30)

    assert re.search(r"osq_ring_reserve.*osq_ring\.c", stop, re.DOTALL)
    assert re.search(r"osq_ring_put|osq_publish|osq_ring_reserve", stack)
    assert "do_syscall_64" in stack
    assert re.search(r"\bring\b.*0x[0-9a-f]+", variables)
    assert re.search(r"osq_ring\.c|^\d+\s", step, re.MULTILINE)
    assert re.search(r"\b2\b.*\n?", threads)
    assert re.search(r"(CPU#1|thread #2)", threads)
    assert re.search(r"owner: process \d+, queue valid", ring)
    assert "the counters add up" in ring
    assert runs_on(shared)


@BOTH
def test_a_breakpoint_in_init_is_hit_at_each_load_of_the_module(
    debugger: str, shared: GuestEntry, ssh: Guest
) -> None:
    """At each of three loads the debugger stops in osq_init, with symbols at its new address."""
    ssh.run("rmmod osq", deadline_s=30)
    loads = (
        "insmod /run/harness/osq.ko",
        "rmmod osq; insmod /run/harness/osq_test.ko i_know_this_is_a_test=1",
        "insmod /run/harness/osq.ko",
    )
    stacks, workers, places, found = [], [], [], []

    with attached(debugger, f"--run={shared.run_id}", "--break=osq_init") as terminal:
        for load in loads:
            terminal.tell("continue")
            workers.append(in_background(ssh, load))
            terminal.stopped()
            stacks.append(terminal.ask("bt"))
            name = "osq_test" if "osq_test" in load else "osq"
            places.append(text_of(terminal.ask(f"lx-modules {name}"), name))
            at = f"{places[-1]:#x}"
            found.append(terminal.ask(f"info symbol {at}", f"image lookup --address {at}"))
        terminal.quit()
    for worker in workers:
        worker.join(60)
    ssh.run("rmmod osq_test", deadline_s=30)

    # The third load is the first one's module at another address.
    assert places[0] != places[2]
    for symbol in found:
        assert re.search(r"\w+ in section \.text|Summary: osq\S*`\w+", symbol), symbol
    for stack in stacks:
        assert re.search(r"#0.*osq_init.*main\.c", stack), stack
        assert "do_init_module" in stack
    assert runs_on(shared)
    assert "osq " in ssh.run("lsmod", deadline_s=20).stdout


@BOTH
def test_lx_commands_in_gdb_and_in_lldb_print_tasks_log_modules_and_per_cpu_variables(
    debugger: str, shared: GuestEntry
) -> None:
    """lx-ps, lx-dmesg, lx-modules and lx-per-cpu read the kernel of a stopped real guest."""
    with attached(debugger, f"--run={shared.run_id}") as terminal:
        tasks = terminal.ask("lx-ps")
        log = terminal.ask("lx-dmesg 3")
        modules = terminal.ask("lx-modules osq")
        per_cpu = terminal.ask("lx-per-cpu current_task")
        wrong = terminal.ask("lx-per-cpu no_such_variable")
        words = terminal.ask("help lx-ps")
        terminal.quit()

    assert re.search(r"0x\w{16}\s+1\s+0\s+\d S  systemd", tasks)
    assert log.count("harness-heartbeat") >= 2
    assert re.search(r"osq\s+live\s+\.text 0xffffffff", modules)
    assert re.search(r"0x\w+ \.text", modules)
    assert re.search(r"CPU 0: 0x\w+ = 0x\w+.*CPU 1: ", per_cpu, re.DOTALL)
    assert "no symbol no_such_variable" in wrong
    assert "only those in these states" in words
    assert runs_on(shared)


@BOTH
def test_the_optional_words_of_the_kernel_commands_choose_what_is_shown(
    debugger: str, shared: GuestEntry
) -> None:
    """lx-ps takes a state, lx-per-cpu a size, lx-fault a stack pointer, osq-ring a module."""
    with attached(debugger, f"--run={shared.run_id}") as terminal:
        idle = terminal.ask("lx-ps I")
        log = terminal.ask("lx-dmesg")
        modules = terminal.ask("lx-modules")
        low = terminal.ask("lx-per-cpu current_task 4")
        ring = terminal.ask("osq-ring osq")
        here, there = terminal.ask("lx-fault"), terminal.ask("lx-fault 0")
        terminal.quit()

    assert re.search(r"\d I  \w", idle)
    assert "systemd" not in idle
    assert log.count("harness-heartbeat") >= 2
    assert re.search(r"osq\s+live\s+\.text 0xffffffff\w+, \d+ sections", modules)
    assert re.search(r"CPU 0: 0x\w+ = 0x\w{1,8}\s", low)
    assert "nobody has the device open" in ring
    assert re.search(r"no exception in kernel code|0x\w{16}", here)
    assert "no exception in kernel code on this stack" in there
    assert runs_on(shared)


@BOTH
def test_ctrl_c_stops_and_quit_resumes_the_guest(debugger: str, shared: GuestEntry) -> None:
    """On a terminal, Ctrl-C stops a real guest's heartbeat; after `quit` the guest beats again."""
    with attached(debugger, f"--run={shared.run_id}") as terminal:
        terminal.tell("continue")
        assert runs_on(shared)
        terminal.interrupt()
        still = beats(shared)
        threads = terminal.ask("info threads", "thread list")
        assert beats(shared) == still
        terminal.quit()

    assert re.search(r"(CPU#1|thread #2)", threads)
    assert runs_on(shared)


@BOTH
def test_the_guest_runs_on_after_sigkill_to_a_debugger_that_had_stopped_it_at_a_breakpoint(
    debugger: str, shared: GuestEntry
) -> None:
    """After SIGKILL to debugger and debug-attach, the guest runs again, without the breakpoint."""
    with attached(debugger, f"--run={shared.run_id}", "--break=do_sys_openat2") as terminal:
        terminal.tell("continue")
        terminal.stopped()
        command = psutil.Process(terminal.child.pid)
        for process in (*command.children(recursive=True), command):
            if "harness.debugger.stub_process" not in process.cmdline():
                os.kill(process.pid, signal.SIGKILL)

    assert runs_on(shared)
    with Guest.connect(shared.endpoint, deadline_s=40, alive=lambda: None) as guest:
        assert guest.run("cat /etc/hostname", deadline_s=30).status == 0


def test_a_second_debugger_is_refused_while_the_first_is_attached(shared: GuestEntry) -> None:
    """A second debug-attach to the same guest exits with 2; the first one and the guest go on."""
    with attached("gdb", f"--run={shared.run_id}") as terminal:
        second = invoke("debug-attach", f"--run={shared.run_id}", "--command=info threads")
        threads = terminal.ask("info threads")
        terminal.quit()

    assert second.returncode == 2
    assert "is already held by a debugger" in second.stderr
    assert "CPU#1" in threads
    assert runs_on(shared)


def test_gdbs_list_command_without_the_kernels_source_files_mentions_the_option_named_source(
    shared: GuestEntry,
) -> None:
    """`list` in a function of the guest's kernel prints that --source FOLDER names the sources."""
    with attached("gdb", f"--run={shared.run_id}") as terminal:
        said = terminal.ask("list schedule")
        plain = terminal.ask("frame 0") + terminal.ask("list")
        terminal.quit()

    assert "--source FOLDER" in plain, said + plain
    assert runs_on(shared)


def test_an_attached_gdb_opens_no_listening_port_on_the_host_and_leaves_no_socket_file_behind(
    shared: GuestEntry,
) -> None:
    """The host has no new listening port; the folder of the sockets is private, then empty."""

    def listening() -> set[str]:
        found = psutil.net_connections("inet")
        return {str(one.laddr) for one in found if one.status == psutil.CONN_LISTEN}

    before = listening()

    with attached("gdb", f"--run={shared.run_id}") as terminal:
        during = listening()
        mode = (shared.folder / "dbg").stat().st_mode & 0o777
        terminal.quit()

    assert during <= before
    assert mode == 0o700
    assert not list((shared.folder / "dbg").iterdir())


def test_a_vmlinux_of_another_build_and_a_file_that_is_no_elf_are_refused_as_vmlinux(
    shared: GuestEntry, tmp_path: Path
) -> None:
    """debug-attach --vmlinux exits with 2 for either, and the guest runs on."""
    release = shared_session.read(shared.run / "session.json").build.release
    cached = kernel_symbols.of_release(release, config.environment().cache)[0].reduced
    image = Image(cached)
    other = tmp_path / "vmlinux"
    other.write_bytes(
        cached.read_bytes().replace(
            bytes.fromhex(image.build_id), bytes.fromhex(image.build_id)[::-1]
        )
    )

    done = invoke("debug-attach", f"--run={shared.run_id}", f"--vmlinux={other}", "--command=bt")
    junk = invoke(
        "debug-attach", f"--run={shared.run_id}", f"--vmlinux={__file__}", "--command=bt"
    )

    assert done.returncode == 2
    assert image.build_id in done.stderr
    assert junk.returncode == 2
    assert "no 64-bit little-endian ELF" in junk.stderr
    assert runs_on(shared)


def test_kernel_symbols_prints_the_same_file_for_the_targets_kernel_by_name() -> None:
    """kernel-symbols prints one path, with --kernel and without: the default target's vmlinux."""
    settings = config.load(PROJECT / "pyproject.toml")
    kernel = settings.targets[settings.default_target].kernel

    usual = invoke("kernel-symbols", deadline_s=FETCH_S)
    named = invoke("kernel-symbols", f"--kernel={kernel}")

    assert (usual.returncode, named.returncode) == (0, 0), usual.stderr + named.stderr
    assert named.stdout == usual.stdout


def test_attaching_to_an_unknown_run_exits_with_2_and_says_it_has_no_guest() -> None:
    """debug-attach --run=no-such-run exits with 2 and prints that this run has no guest."""
    done = invoke("debug-attach", "--run=no-such-run", "--command=bt")

    assert done.returncode == 2
    assert "run no-such-run has no guest" in done.stderr


@BOTH
def test_attaching_a_debugger_and_listing_threads_takes_less_than_5_s_of_cpu_time(
    debugger: str, shared: GuestEntry
) -> None:
    """debug-attach, debugger and the guard of QEMU's debug stub use less than 5 s of CPU time.

    CPU time does not depend on the load of the host. On an idle host it is the time to the prompt,
    except for some waiting.
    """
    command = "--command=info threads" if debugger == "gdb" else "--command=thread list"
    words = ("debug-attach", f"--run={shared.run_id}", f"--debugger={debugger}", command)
    assert invoke(*words).returncode == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert invoke(*words).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < PROMPT_S


@BOTH
def test_the_guest_runs_on_after_each_of_twenty_times_that_a_debugger_attaches_and_quits(
    debugger: str, shared: GuestEntry
) -> None:
    """After each of twenty debug-attach commands, the guest's heartbeat goes on."""
    command = "--command=info threads" if debugger == "gdb" else "--command=thread list"
    for _ in range(ROUNDS):
        done = invoke("debug-attach", f"--run={shared.run_id}", f"--debugger={debugger}", command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"(CPU#1|thread #2)", done.stdout)
        assert runs_on(shared)


@BOTH
def test_a_breakpoint_that_is_set_before_boot_stops_in_start_kernel(debugger: str) -> None:
    """With --break-at-boot, a new guest stops in start_kernel after the first `continue`."""
    with attached(debugger, "--break-at-boot", "--break=start_kernel") as terminal:
        terminal.tell("continue")
        stop = terminal.stopped()
        stack = terminal.ask("bt")
        terminal.quit()

    assert "start_kernel" in stop
    assert "secondary_startup_64" in stack


def test_a_debugger_attached_after_a_crash_shows_the_source_line_of_the_crash(
    standing: GuestEntry,
) -> None:
    """In gdb and lldb, frame 0 of a panicked guest is the faulting line; the guest stays dead."""
    with Guest.connect(standing.endpoint, deadline_s=40, alive=lambda: None) as guest:
        guest.run(
            "insmod /run/harness/osq_test.ko i_know_this_is_a_test=1; cat > /tmp/crash.pl",
            deadline_s=30,
            input=CRASH.encode(),
        )
        # The guest answers that the command has started before the command ends the guest.
        guest.popen("sleep 2; exec perl /tmp/crash.pl")
        time.sleep(7)

    guilty = place_of("test_crash.c", "osq_crash_null", "WRITE_ONCE")
    for debugger in ("gdb", "lldb"):
        with attached(debugger, f"--run={standing.run_id}") as terminal:
            stack = terminal.ask("bt")
            log = terminal.ask("lx-dmesg 4")
            goes = terminal.ask("continue")
            terminal.quit()

        assert re.search(rf"#0.*osq_crash_null.*{re.escape(guilty)}\b", stack), stack
        assert re.search(r"osq_opening_ioctl.*ioctl\.c", stack)
        assert "do_syscall_64" in stack
        assert "Kernel panic - not syncing" in log
        assert re.search(r"stopped for good|stop reason|SIGTRAP", goes)
