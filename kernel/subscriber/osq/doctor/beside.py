# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The check of whether audit records on this machine, too. Some of osqueryd's tables need it."""

from collections.abc import Iterator

from osq.doctor.findings import Finding, note, ok
from osq.doctor.machine import Machine

_DARK = "user_events, selinux_events, apparmor_events and seccomp_events"


def audit(machine: Machine) -> Iterator[Finding]:
    """Yield whether an audit daemon runs, and which of osqueryd's tables need it."""
    readers = [one for one in machine.processes() if one.name in {"auditd", "go-audit", "laurel"}]
    if readers:
        yield note(
            "audit",
            f"{readers[0].name}, pid {readers[0].pid}, records as well; both may run",
            "to switch it off: systemctl disable --now auditd; auditctl -e 0. osqueryd's tables"
            f" {_DARK} then stay empty, because they are made from audit",
        )
    else:
        yield ok("audit", f"no audit daemon records beside it; osqueryd's {_DARK} need one")
