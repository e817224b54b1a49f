# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps of ids and rights: changed by calls, by setuid programs, by sudo and su."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import kernel_calls
from .children import PROCESSES, Start, start
from .log import Log, Row, Value
from .programs import TRUE

USER, GROUPS = 1000, [4, 1000]
CREDENTIALS = "kcredential_events"
_NET_RAW = 1 << 13
_NOROOT = 1
_SETUID, _SETGID = 0o4755, 0o2755


def copied(log: Log, name: str, mode: int, owner: int) -> str:
    """Return the path of a copy of `true` with this mode and owner."""
    copy = log.work / name
    copy.write_bytes(Path(TRUE).read_bytes())
    os.chown(copy, owner, owner)
    copy.chmod(mode)
    return str(copy)


def become_user() -> None:
    """Take the ids of an ordinary user."""
    os.setgroups(GROUPS)
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)


def ids_of(side: str, name: str, value: int) -> dict[str, Value]:
    """Return the four ids of one side of a change, all with one value."""
    return {f"{side}_{kind}{name}": value for kind in ("", "e", "s", "fs")}


def a_user(log: Log) -> None:
    """Become an ordinary user by three calls: each changes something else."""
    groups = len(os.getgroups())
    pid = start(log, Start(program=TRUE, arguments=["as-user"], prepare=become_user))
    common: Row = {"action": "call", "path": os.path.realpath("/proc/self/exe")}
    changes: dict[str, dict[str, Value]] = {
        "groups": {"old_groups": groups, "now_groups": len(GROUPS)},
        "gids": {**ids_of("old", "gid", 0), **ids_of("now", "gid", USER)},
        "uids,caps": {
            **ids_of("old", "uid", 0),
            **ids_of("now", "uid", USER),
            "now_permitted": 0,
            "now_effective": 0,
        },
    }
    for changed, values in changes.items():
        log.expect(CREDENTIALS, {"pid": pid, "changed": changed}, **common, **values)


def a_setuid_program(log: Log) -> None:
    """Let a user run a program that is root's and setuid."""
    copy = copied(log, "setuid-root", _SETUID, 0)
    own: Row = {"euid": 0, "suid": 0, "fsuid": 0}
    pid = start(log, Start(program=copy, arguments=["setuid"], prepare=become_user, own=own))
    ino = Path(copy).stat().st_ino
    key: Row = {"pid": pid, "action": "exec"}
    log.expect(
        *(CREDENTIALS, key),
        path=copy,
        program_inode=ino,
        old_uid=USER,
        old_euid=USER,
        now_uid=USER,
        now_euid=0,
        now_suid=0,
        now_fsuid=0,
    )


def a_program_of_another_user(log: Log) -> None:
    """Let root run a program that is a user's and setuid."""
    copy = copied(log, "setuid-user", _SETUID, USER)
    own: Row = {"euid": USER, "suid": USER, "fsuid": USER}
    pid = start(log, Start(program=copy, arguments=["setuid-user"], own=own))
    key: Row = {"pid": pid, "action": "exec"}
    log.expect(CREDENTIALS, key, path=copy, old_euid=0, now_euid=USER, now_uid=0)


def a_setgid_program(log: Log) -> None:
    """Let a user run a program that is setgid."""
    copy = copied(log, "setgid-root", _SETGID, 0)
    own: Row = {"egid": 0, "sgid": 0, "fsgid": 0}
    pid = start(log, Start(program=copy, arguments=["setgid"], prepare=become_user, own=own))
    key: Row = {"pid": pid, "action": "exec"}
    log.expect(CREDENTIALS, key, path=copy, changed="gids", old_egid=USER, now_egid=0)


def a_setuid_program_without_new_rights(log: Log) -> None:
    """A process that has given up new rights gets none from a setuid program."""

    def prepare() -> None:
        become_user()
        kernel_calls.prctl(kernel_calls.PR_SET_NO_NEW_PRIVS, 1)

    copy = copied(log, "setuid-in-vain", _SETUID, 0)
    start(log, Start(program=copy, arguments=["in-vain"], prepare=prepare))


def file_capabilities(log: Log) -> None:
    """Let a user run a program with file capabilities."""
    copy = copied(log, "with-capabilities", 0o755, 0)
    subprocess.run(["/usr/sbin/setcap", "cap_net_raw+ep", copy], check=True)
    pid = start(log, Start(program=copy, arguments=["capable"], prepare=become_user))
    own: Row = {"changed": "caps", "now_permitted": _NET_RAW, "now_effective": _NET_RAW}
    log.expect(CREDENTIALS, {"pid": pid, "action": "exec"}, path=copy, old_permitted=0, **own)


def a_bounding_set(log: Log) -> None:
    """Take a capability out of the bounding set; the exec takes it out of the others."""

    def prepare() -> None:
        kernel_calls.prctl(kernel_calls.PR_CAPBSET_DROP, 13)

    pid = start(log, Start(program=TRUE, arguments=["bounded"], prepare=prepare))
    lost: Row = {f"old_bounding & ~now_bounding = {_NET_RAW}": 1, "changed": "caps"}
    log.expect_all(CREDENTIALS, {"pid": pid, "action": "call"}, lost)
    lost = {f"old_permitted & ~now_permitted = {_NET_RAW}": 1, "changed": "caps"}
    log.expect_all(CREDENTIALS, {"pid": pid, "action": "exec"}, lost)


def secure_bits(log: Log) -> None:
    """Tell the kernel that root is nobody special."""

    def prepare() -> None:
        kernel_calls.prctl(kernel_calls.PR_SET_SECUREBITS, _NOROOT)

    pid = start(log, Start(program=TRUE, arguments=["secure"], prepare=prepare))
    key: Row = {"pid": pid, "action": "call", "changed": "securebits"}
    log.expect(CREDENTIALS, key, old_securebits=0, now_securebits=_NOROOT)


def an_effective_uid_and_back(log: Log) -> None:
    """Change the effective uid, and take root back."""

    def prepare() -> None:
        os.seteuid(USER)
        os.seteuid(0)

    pid = start(log, Start(program=TRUE, arguments=["and-back"], prepare=prepare))
    for old, now in ((0, USER), (USER, 0)):
        key: Row = {"pid": pid, "old_euid": old}
        own: Row = {"now_euid": now, "now_suid": 0, "now_fsuid": now, "action": "call"}
        log.expect(CREDENTIALS, key, changed="uids,caps", **own)


def an_id_for_files(log: Log) -> None:
    """Change the uid for files alone."""

    def prepare() -> None:
        kernel_calls.setfsuid(USER)
        kernel_calls.setfsuid(0)

    pid = start(log, Start(program=TRUE, arguments=["for-files"], prepare=prepare))
    for old, now in ((0, USER), (USER, 0)):
        key: Row = {"pid": pid, "old_fsuid": old}
        log.expect(CREDENTIALS, key, now_fsuid=now, now_euid=0, action="call")


def a_login(log: Log) -> None:
    """Set the login uid, which all later programs have."""

    def prepare() -> None:
        Path("/proc/self/loginuid").write_text(str(USER))

    start(log, Start(program=TRUE, arguments=["logged-in"], prepare=prepare))


def _through(log: Log, program: str, *arguments: str, user: int) -> None:
    """Let root run printf as a user by a program that changes users.

    WORDS among the arguments stands for that command, and LINE in an argument for its text.
    """
    token = f"{log.step}-{os.getpid()}"
    line = f"/usr/bin/printf {token}"
    words: list[bytes | str] = [Path(program).name]
    for one in arguments:
        words += line.split() if one == "WORDS" else [one.replace("LINE", line)]
    # Some of these programs make a process for the command, and others become it.
    own = " ".join(map(str, words))
    start(log, Start(program=program, arguments=words), cmdline=own)
    ids = dict.fromkeys(("uid", "euid", "suid", "fsuid"), user)
    key: Row = {"event_type": "exec", "cmdline": line}
    path = os.path.realpath("/usr/bin/printf")
    log.expect(PROCESSES, key, path=path, filename="/usr/bin/printf", flags=0, **ids)


def sudo(log: Log) -> None:
    """Run a program by sudo as root."""
    _through(log, "/usr/bin/sudo", "-n", "WORDS", user=0)


def sudo_as_a_user(log: Log) -> None:
    """Run a program by sudo as a user."""
    _through(log, "/usr/bin/sudo", "-n", "-u", f"#{USER}", "WORDS", user=USER)


def su(log: Log) -> None:
    """Run a program by su as a user."""
    name = next(
        line for line in Path("/etc/passwd").read_text().splitlines() if f":{USER}:" in line
    )
    _through(log, "/usr/bin/su", name.partition(":")[0], "-c", "exec LINE", user=USER)


def setpriv(log: Log) -> None:
    """Run a program by setpriv as a user."""
    ids = ("--reuid", str(USER), "--regid", str(USER), "--clear-groups")
    _through(log, "/usr/bin/setpriv", *ids, "WORDS", user=USER)


STEPS: tuple[Callable[[Log], None], ...] = (
    *(a_user, a_setuid_program, a_program_of_another_user, a_setgid_program),
    *(a_setuid_program_without_new_rights, file_capabilities, a_bounding_set, secure_bits),
    *(an_effective_uid_and_back, an_id_for_files, a_login, sudo, sudo_as_a_user, su, setpriv),
)
