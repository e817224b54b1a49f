# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.linux.setup, in a shell of this host and with scripted answers."""

from collections.abc import Sequence

import pytest

from harness.errors import TargetNotReady, UsageError
from harness.model.requirement import State
from harness.systems.linux import setup
from harness.systems.local_shell import ThisHost
from harness.systems.shell import CommandFailed, Completed


class Scripted:
    """A stand-in for a shell with scripted files; it records the commands run as root."""

    def __init__(self, *, grub: bool = True, headers: bool = False) -> None:
        self.grub = grub
        self.headers = headers
        self.files = {
            "/proc/cmdline": "quiet\n",
            "/proc/sys/kernel/random/boot_id": "one\n",
            "/sys/module/module/parameters/sig_enforce": "N\n",
        }
        self.sysctls = {
            "kernel.panic": "10",
            "kernel.panic_on_oops": "0",
            "kernel.sysrq": "438",
            "kernel.modules_disabled": "0",
        }
        self.changes: list[str] = []
        self.sudo = True
        self.release = "6.1.0"
        self.failing = ""

    def run(
        self,
        command: str | Sequence[str],
        *,
        deadline_s: float,
        input: bytes = b"",  # noqa: A002
        check: bool = True,
    ) -> Completed:
        """Return what a small Linux system answers to a command."""
        del deadline_s
        words = command.split() if isinstance(command, str) else list(command)
        out, err, status = self._answer(words, input.decode())
        done = Completed(stdout=out, stderr=err, status=status, duration_s=0.0)
        if check and status:
            raise CommandFailed(" ".join(words), done)
        return done

    def _answer(  # noqa: PLR0911
        self, words: list[str], data: str
    ) -> tuple[str, str, int]:
        if words[:2] == ["sh", "-c"]:
            if not self.sudo:
                return "", "sudo: a password is required\n", 1
            return self._root(words[4:], data)
        if words[0] == "cat":
            return self._file(words[1])
        if words[0] == "od":
            return "", "od: no such file\n", 1
        if words[0] == "uname":
            return f"Linux {self.release}\n", "", 0
        if words[:2] == ["command", "-v"]:
            return "", "", 0 if words[2] != "update-grub" or self.grub else 1
        assert words[0] == "test"
        return "", "", 0 if self.headers else 1

    def _file(self, path: str) -> tuple[str, str, int]:
        name = path.removeprefix("/proc/sys/").replace("/", ".")
        text = self.files.get(path) or self.sysctls.get(name)
        return (text, "", 0) if text is not None else ("", "no such file", 1)

    def _root(self, words: list[str], data: str) -> tuple[str, str, int]:
        if words[0] == "cat":
            return self._file(words[1])
        if words[0] == self.failing:
            return "", f"{words[0]}: no space left", 1
        self.changes.append(" ".join(words))
        if words[0] == "tee":
            self.files[words[1]] = data
        elif words[0] == "rm":
            for name in words[2:]:
                self.files.pop(name, None)
        elif words[:2] == ["sysctl", "-w"]:
            name, _, value = words[2].partition("=")
            self.sysctls[name] = value
        elif words[:2] == ["sysctl", "-p"]:
            for line in self.files[words[2]].splitlines():
                name, _, value = line.partition(" = ")
                self.sysctls[name] = value
        return "", "", 0


def test_examining_this_host_returns_its_kernel_release_and_a_lockdown_mode() -> None:
    """`examine` runs real commands on this host, and returns kernel release and lockdown mode."""
    host = setup.examine(ThisHost())
    session = setup.boot_session(ThisHost())

    assert host.release == ThisHost().run(["uname", "-r"], deadline_s=10).stdout.strip()
    assert host.lockdown in {"", "none", "integrity", "confidentiality"}
    assert len(session) == 36


def test_setup_disallow_removes_the_headers_that_setup_allow_installed_and_does_so_once() -> None:
    """On a fake target, only kernel headers that the harness itself installed are removed."""
    shell = Scripted()

    done = setup.allow(shell, signed=False)
    shell.headers = True
    again = setup.allow(shell, signed=False)
    back = setup.disallow(shell)
    nothing = setup.disallow(shell)

    assert done == ("installed linux-headers-6.1.0; --undo removes it",)
    assert again == ()
    assert back == ("removed linux-headers-6.1.0",)
    assert nothing[0].startswith("nothing to undo")
    assert "apt-get purge -y linux-headers-6.1.0" in shell.changes


def test_setup_disallow_also_removes_the_headers_of_a_kernel_before_an_upgrade() -> None:
    """On a fake target, the headers of both kernels are removed, each named once."""
    shell = Scripted()

    setup.allow(shell, signed=False)
    setup.allow(shell, signed=False)
    shell.release = "6.1.1"
    setup.allow(shell, signed=False)

    assert setup.disallow(shell) == ("removed linux-headers-6.1.0, linux-headers-6.1.1",)


def test_an_undo_of_the_debug_setup_whose_update_grub_fails_can_be_repeated() -> None:
    """On a fake target, a failed undo keeps the record of changes, and the second one ends it."""
    shell = Scripted()
    setup.configure_for_debug(shell, link="")
    shell.failing = "update-grub"

    with pytest.raises(CommandFailed):
        setup.unconfigure(shell)
    shell.failing = ""

    assert "nokaslr: gone after a restart" in setup.unconfigure(shell)
    assert shell.changes[-2] == "update-grub"
    assert setup.unconfigure(shell)[0].startswith("nothing to undo")


def test_debug_setup_sets_panic_sysctls_at_once_but_not_nokaslr_and_undo_restores_them() -> None:
    """On a fake Linux target, nokaslr is reported as not in force after the set-up."""
    shell = Scripted()
    before = dict(shell.sysctls)

    setup.configure_for_debug(shell, link="")
    setup.configure_for_debug(shell, link="")
    missing = setup.not_in_force(shell, link="")
    during = dict(shell.sysctls)
    setup.unconfigure(shell)

    assert missing == ("nokaslr",)
    assert (during["kernel.panic"], during["kernel.panic_on_oops"]) == ("0", "1")
    assert shell.sysctls == before
    assert "/etc/default/grub.d/90-harness-debug.cfg" not in shell.files
    assert shell.changes.count("update-grub") == 3


def test_without_grub_the_instructions_list_kernel_command_line_options_to_add() -> None:
    """On a Linux target without grub, the user adds the words for debugging by hand."""
    shell = Scripted(grub=False)

    instructions = setup.configure_for_debug(shell, link="ttyS0,115200")

    assert setup.not_in_force(shell, link="") == ()
    assert any('cmdline = "nokaslr"' in line for line in instructions)
    assert any("kgdboc" in line and "ttyS0,115200" in line for line in instructions)
    assert not any("update-grub" in line for line in shell.changes)


def test_kernel_lockdown_and_signature_enforcement_are_unmet_requirements() -> None:
    """On a fake Linux target, the files that say so lead to one unmet requirement each."""
    shell = Scripted(headers=True)
    assert all(one.state is State.MET for one in setup.requirements(shell, signed=False))
    shell.files["/sys/kernel/security/lockdown"] = "none [integrity] confidentiality\n"
    shell.files["/sys/module/module/parameters/sig_enforce"] = "Y\n"

    unmet = [
        one.what for one in setup.requirements(shell, signed=False) if one.state is State.UNMET
    ]
    assert len(unmet) == 2
    assert "lockdown" in unmet[0]
    assert "sig_enforce" in unmet[1]


def test_configuring_debugging_without_passwordless_sudo_raises_target_not_ready() -> None:
    """Debugging cannot be set up without sudo: the harness enters no password on the target."""
    shell = Scripted()
    shell.sudo = False

    with pytest.raises(TargetNotReady, match="sudo without a password"):
        setup.configure_for_debug(shell, link="")


def test_undo_with_an_unreadable_record_of_changes_is_an_error_and_changes_nothing() -> None:
    """The harness's own file on the target says what to undo; if damaged, nothing is undone."""
    shell = Scripted()
    shell.files["/var/lib/harness-debug.json"] = "{"

    with pytest.raises(UsageError, match="cannot be read"):
        setup.unconfigure(shell)

    assert shell.changes == []


def test_the_local_shell_returns_output_errors_and_status_of_a_command() -> None:
    """A real command on this host gets its input; one that fails raises unless check is off."""
    shell = ThisHost()

    done = shell.run("cat; echo err >&2; exit 3", deadline_s=10, input=b"in", check=False)

    assert (done.stdout, done.stderr, done.status) == ("in", "err\n", 3)
    with pytest.raises(CommandFailed):
        shell.run(["false"], deadline_s=10)
    assert shell.run(["no-such-command"], deadline_s=10, check=False).status == 127
