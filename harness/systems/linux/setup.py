# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Prepare a Linux system for modules and debuggers, and read the crash logs that it saved.

`systems.macos.setup` does the same for a Mac. Every change is recorded on the target first, so
that it can be undone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from harness import hints
from harness.errors import GuestLost, TargetNotReady, UsageError
from harness.model.requirement import CrashLog, Requirement
from harness.systems.linux import rules
from harness.systems.linux.rules import LinuxSystem
from harness.systems.shell import CommandFailed, Completed, Shell, words_of

_STEP_S = 30.0
_INSTALL_S = 600.0
_NOTES = "/var/lib/harness-{purpose}.json"
_SYSCTL_FILE = "/etc/sysctl.d/90-harness-debug.conf"
_GRUB_FILE = "/etc/default/grub.d/90-harness-debug.cfg"
_GRUB_LINE = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nokaslr"\n'
# With these settings a kernel that is debugged stops at its first fault and does not restart.
_SYSCTLS = {"kernel.panic": "0", "kernel.panic_on_oops": "1", "kernel.sysrq": "1"}
_STORES = ("/var/lib/systemd/pstore", "/sys/fs/pstore")
# A small system allows root over SSH without sudo; every other user needs sudo.
_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n "$@"; fi'


@dataclass(frozen=True, kw_only=True)
class _Notes:
    """What was changed on a target, saved there so that it can be undone.

    It has the packages that were installed, and the sysctls with their values before.
    """

    packages: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)


def examine(shell: Shell) -> LinuxSystem:
    """Return the settings of the system that affect the loading of modules.

    Raises: UsageError when the system is not Linux; GuestLost.
    """
    kind, _, release = words_of(shell, ["uname", "-sr"], deadline_s=_STEP_S).strip().partition(" ")
    if kind != "Linux":
        raise UsageError(f"the target runs {kind or 'something unknown'}, not Linux")
    enforce = _file(shell, "/sys/module/module/parameters/sig_enforce")
    tools = shell.run("command -v make && command -v gcc", deadline_s=_STEP_S, check=False)
    headers = ["test", "-e", f"/lib/modules/{release}/build/Makefile"]
    boot = words_of(shell, ["od", "-An", "-tu1", rules.SECURE_BOOT], deadline_s=_STEP_S)
    return LinuxSystem(
        release=release,
        lockdown=rules.parse_lockdown(_file(shell, "/sys/kernel/security/lockdown")),
        secure_boot=rules.parse_secure_boot(boot),
        enforces_signatures=enforce.strip() == "Y",
        modules_disabled=_sysctl(shell, "kernel.modules_disabled") == "1",
        headers=shell.run(headers, deadline_s=_STEP_S, check=False).status == 0,
        compiler=tools.status == 0,
    )


def requirements(shell: Shell, *, signed: bool) -> tuple[Requirement, ...]:
    """Return what this system has to have or allow before a module loads, and what is met."""
    return rules.requirements(examine(shell), signed=signed)


def allow(shell: Shell, *, signed: bool) -> tuple[str, ...]:
    """Install the running kernel's headers, with which modules are built; return what was done.

    It is () when they are there already. Only a person can remove signature enforcement and
    lockdown.
    Raises: CommandFailed when apt cannot install them; TargetNotReady when sudo asks for a
        password, here and in every function below that changes the system.
    """
    del signed
    found = examine(shell)
    if found.headers:
        return ()
    package = f"linux-headers-{found.release}"
    # Those of an older kernel may have been installed by an earlier call.
    noted = _read_notes(shell, "deps") or _Notes()
    packages = list(dict.fromkeys((*noted.packages, package)))
    _note(shell, "deps", _Notes(packages=packages))
    _root(shell, ["apt-get", "install", "-y", "--no-install-recommends", package])
    return (f"installed {package}; --undo removes it",)


def disallow(shell: Shell) -> tuple[str, ...]:
    """Remove the packages that `allow` installed.

    Return one line that names them, or says that nothing was changed on this system.
    """
    noted = _read_notes(shell, "deps")
    if noted is None:
        return ("nothing to undo: nothing was changed here",)
    _root(shell, ["apt-get", "purge", "-y", *noted.packages])
    _forget(shell, "deps")
    return (f"removed {', '.join(noted.packages)}",)


def configure_for_debug(shell: Shell, *, link: str) -> tuple[str, ...]:
    """Make an oops end in a panic without a restart; with GRUB, turn KASLR off at the next boot.

    Return a line for each setting, and a line about the debugger stub. `link` is the serial line
    on which KGDB listens ('ttyS0,115200'); '' when a hypervisor's stub is used.
    Raises: CommandFailed when a setting or the boot loader cannot be changed.
    """
    # A second call would record the settings of the first one as those to restore.
    if _read_notes(shell, "debug") is None:
        before = {name: _sysctl(shell, name) for name in _SYSCTLS}
        _note(shell, "debug", _Notes(sysctls=before))
    text = "".join(f"{name} = {value}\n" for name, value in _SYSCTLS.items())
    _write(shell, _SYSCTL_FILE, text)
    _root(shell, ["sysctl", "-p", _SYSCTL_FILE])
    done = [f"{name} = {value}, now and after a restart" for name, value in _SYSCTLS.items()]
    return (*done, *_boot_loader(shell, write=True), *_stub(link))


def unconfigure(shell: Shell) -> tuple[str, ...]:
    """Undo the changes of `configure_for_debug`; return a line for each setting.

    If nothing was changed on this system, return one line that says so.
    """
    noted = _read_notes(shell, "debug")
    if noted is None:
        return ("nothing to undo: nothing was changed here",)
    _root(shell, ["rm", "-f", _SYSCTL_FILE, _GRUB_FILE])
    done = []
    for name, value in noted.sysctls.items():
        _root(shell, ["sysctl", "-w", f"{name}={value}"])
        done.append(f"{name} = {value}")
    done += _boot_loader(shell, write=False)
    # Last, so that a second call goes on if a command has failed.
    _forget(shell, "debug")
    return tuple(done)


def not_in_force(shell: Shell, *, link: str) -> tuple[str, ...]:
    """Return the debug settings that are missing in the running kernel; () when all are in force.

    They are words of its command line, and sysctls as 'NAME = VALUE'. The word nokaslr is expected
    only if `configure_for_debug` has set it for GRUB. `link` is not used on Linux.
    """
    del link
    wanted = ["nokaslr"] if _file(shell, _GRUB_FILE) else []
    line = _file(shell, "/proc/cmdline").split()
    missing = [word for word in wanted if word not in line]
    missing += [
        f"{name} = {value}" for name, value in _SYSCTLS.items() if _sysctl(shell, name) != value
    ]
    return tuple(missing)


def boot_session(shell: Shell) -> str:
    """Return an id that is another one after each boot, from /proc/sys/kernel/random/boot_id."""
    return _file(shell, "/proc/sys/kernel/random/boot_id").strip()


def restart(shell: Shell) -> None:
    """Restart the system. The connection breaks meanwhile, which is not an error."""
    try:
        _root(shell, ["systemctl", "reboot"])
    except GuestLost:
        return


def panic_reports(shell: Shell) -> tuple[str, ...]:
    """Return the paths on the target of the crash logs that the system has saved (by pstore)."""
    # pstore has files of other kinds, too, such as pmsg and ftrace.
    said = _root(shell, ["find", *_STORES, "-type", "f", "-name", "dmesg*"], check=False).stdout
    return tuple(sorted(said.splitlines()))


def crash_logs(shell: Shell, *, known: Sequence[str] = ()) -> tuple[CrashLog, ...]:
    """Return name and text of each saved crash log whose name is not in `known`."""
    return tuple(
        CrashLog(name=name, text=_root(shell, ["cat", name]).stdout)
        for name in panic_reports(shell)
        if name not in known
    )


def _boot_loader(shell: Shell, *, write: bool) -> tuple[str, ...]:
    if shell.run("command -v update-grub", deadline_s=_STEP_S, check=False).status != 0:
        return (
            'nokaslr: no GRUB here; for a guest of the harness: cmdline = "nokaslr" in its target',
        )
    if write:
        _root(shell, ["mkdir", "-p", _GRUB_FILE.rpartition("/")[0]])
        _write(shell, _GRUB_FILE, _GRUB_LINE)
    _root(shell, ["update-grub"])
    return ("nokaslr: after a restart" if write else "nokaslr: gone after a restart",)


def _stub(link: str) -> tuple[str, ...]:
    if not link:
        return (f"stub: {hints.command('kernel-debug')} opens the hypervisor's when it is needed",)
    return (
        f"stub: echo {link} > /sys/module/kgdboc/parameters/kgdboc; echo g > /proc/sysrq-trigger",
    )


def _root(
    shell: Shell, words: Sequence[str], *, data: bytes = b"", check: bool = True
) -> Completed:
    limit = _INSTALL_S if words[0] in {"apt-get", "update-grub"} else _STEP_S
    line = ["sh", "-c", _AS_ROOT, "sh", *words]
    done = shell.run(line, deadline_s=limit, input=data, check=False)
    if "sudo: a password is required" in done.stderr:
        raise TargetNotReady("the user on the target needs sudo without a password")
    if check and done.status != 0:
        raise CommandFailed(" ".join(words), done)
    return done


def _file(shell: Shell, path: str) -> str:
    """Return the text of a file that every user may read, "" when it does not exist."""
    return shell.run(["cat", path], deadline_s=_STEP_S, check=False).stdout


def _sysctl(shell: Shell, name: str) -> str:
    return _file(shell, f"/proc/sys/{name.replace('.', '/')}").strip()


def _write(shell: Shell, path: str, text: str) -> None:
    _root(shell, ["tee", path], data=text.encode())


def _note(shell: Shell, purpose: str, what: _Notes) -> None:
    _write(shell, _NOTES.format(purpose=purpose), json.dumps(asdict(what)))


def _read_notes(shell: Shell, purpose: str) -> _Notes | None:
    """Return what was changed on the target before for this purpose, None without a record.

    `purpose` is "deps" for `allow`, "debug" for `configure_for_debug`.
    Raises: UsageError when the record cannot be read, because the changes cannot be undone then.
    """
    file = _NOTES.format(purpose=purpose)
    text = _file(shell, file)
    if not text:
        return None
    try:
        return _Notes(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file} on the target cannot be read", evidence=(text,)) from error


def _forget(shell: Shell, purpose: str) -> None:
    _root(shell, ["rm", "-f", _NOTES.format(purpose=purpose)])
