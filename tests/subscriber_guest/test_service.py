# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the subscriber as a service on a real kernel: its tables have all that was run."""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from harness.model.settings import PushSpec
from harness.systems.ssh import Guest
from tests.subscriber_guest.conftest import DEBS, INSTALL_S, SITE, STEP_S, begin, install

READ_S = 20.0


def query(guest: Guest, sql: str) -> list[dict[str, Any]]:
    """Run an SQL query with `osq query` in the guest, and return its rows."""
    said = guest.run(["osq", "query", "--json", sql], deadline_s=STEP_S)
    rows: list[dict[str, Any]] = json.loads(said.stdout)
    return rows


def reads(guest: Guest) -> None:
    """Wait until the service has subscribed since its last start."""
    end = time.monotonic() + STEP_S
    while "reading /dev/osquery" not in said_by(guest, life_of(guest)):
        assert time.monotonic() < end, journal(guest)
        time.sleep(0.5)


def life_of(guest: Guest) -> str:
    """Return systemd's invocation id, which names one run of the service."""
    command = "systemctl show -P InvocationID osq-subscriber"
    return guest.run(command, deadline_s=STEP_S).stdout.strip()


def said_by(guest: Guest, life: str) -> str:
    """Return the log lines of one run of the service."""
    command = f"journalctl -q --no-pager -o cat _SYSTEMD_INVOCATION_ID={life}"
    return guest.run(command, deadline_s=STEP_S).stdout


def journal(guest: Guest, fields: str = "cat") -> str:
    """Return the log lines of all runs of the service."""
    command = f"journalctl -q --no-pager -o {fields} -u osq-subscriber"
    return guest.run(command, deadline_s=STEP_S).stdout


def test_a_second_after_a_command_a_query_has_its_path_arguments_folder_user_and_exit_code(
    guest: Guest,
) -> None:
    """In a guest with the packages installed, `osq query` joins the command's exec and exit."""
    reads(guest)
    token = secrets.token_hex(8)
    line = f"cd /var && sh -c 'exit 3' {token} ; sleep 1"
    guest.run(f'setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "{line}"', deadline_s=30)

    rows = query(
        guest,
        f"""SELECT a.path, a.cmdline, a.cwd, a.uid, b.exit_code FROM kprocess_events a
        LEFT JOIN kprocess_events b ON b.pid = a.pid AND b.start_ntime = a.start_ntime
            AND b.event_type = 'exit'
        WHERE a.event_type = 'exec' AND a.cmdline = 'sh -c exit 3 {token}'""",
    )

    expected = {"cmdline": f"sh -c exit 3 {token}", "cwd": "/var", "uid": 1000, "exit_code": 3}
    assert rows == [{"path": "/usr/bin/dash", **expected}]


def test_all_400_programs_started_in_quick_succession_are_stored(guest: Guest) -> None:
    """In a guest, the service stores each of them, and kosquery_stats says complete."""
    reads(guest)
    token = secrets.token_hex(8)
    guest.run(
        f"for n in $(seq 200); do /usr/bin/env true {token} $n; done; sleep 4", deadline_s=STEP_S
    )

    # Each `env` replaces itself by `true`: two programs of one process each. The loop and this
    # query are recorded, too, but their command lines have no digit after the token.
    sql = f"""SELECT count(*) AS n, count(DISTINCT cmdline) AS d FROM kprocess_events
        WHERE event_type = 'exec' AND cmdline GLOB '*true {token} [0-9]*'"""
    assert query(guest, sql) == [{"n": 400, "d": 400}]
    session = "session = (SELECT max(session) FROM kosquery_stats)"
    complete = f"SELECT DISTINCT complete FROM kosquery_stats WHERE {session}"
    assert query(guest, complete) == [{"complete": 1}]


def test_a_cursor_gets_each_row_once_over_the_extensions_socket(guest: Guest) -> None:
    """In a guest, the model of osqueryd gets a row in the first run of a cursor only."""
    reads(guest)
    token = secrets.token_hex(8)
    guest.run(f"sh -c true {token}; sleep 1", deadline_s=30)
    sql = f"SELECT cmdline, uid FROM kprocess_events WHERE cmdline = 'sh -c true {token}'"
    runs = [f"{sql} AND cursor = 'guest' AND run = {number}" for number in (1, 2)]
    said = guest.run(
        f"""rm -f /root/em*
/usr/lib/osq/osq-extension.ext --socket /root/em --timeout 60 --interval 5 2>/root/extension.log &
python3 -m tests.subscriber.osqueryd_model /root/em <<END
{runs[0]}
{runs[1]}
{sql}
END
kill %1""",
        deadline_s=STEP_S,
    )

    rows = [{"cmdline": f"sh -c true {token}", "uid": 0}]
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert answers == [{"rows": rows}, {"rows": []}, {"rows": rows}]


def test_osqueryd_gets_rows_from_the_extension(guest: Guest) -> None:
    """In a guest, a real osqueryd (OSQ_OSQUERYD) shows a row of the installed extension.

    OSQ_OSQUERYD names its binary. The test is skipped without it, because no package registry has
    osqueryd.
    """
    binary = os.environ.get("OSQ_OSQUERYD")
    if not binary:
        pytest.skip("not run: OSQ_OSQUERYD names no osqueryd of this guest's architecture")
    reads(guest)
    token = secrets.token_hex(8)
    spec = PushSpec(source=Path(binary), target="/root/osqueryd", mode=0o755)
    guest.push([spec], deadline_s=STEP_S)
    guest.run(f"sh -c true {token}; sleep 1", deadline_s=30)

    shell = "/root/osqueryd -S --json --extensions_require=osq --extensions_timeout=30"
    sql = f"SELECT cmdline, uid FROM kprocess_events WHERE cmdline = 'sh -c true {token}'"
    said = guest.run(
        f'{shell} --extension=/usr/lib/osq/osq-extension.ext "{sql}"', deadline_s=STEP_S
    )

    assert json.loads(said.stdout) == [{"cmdline": f"sh -c true {token}", "uid": "0"}]


def test_the_extension_reports_a_missing_osquery_package(guest: Guest) -> None:
    """In a guest without osquery's Python package, the extension says so and exits with 1."""
    said = guest.run(
        f"""mv {SITE}/osquery {SITE}/osquery.away
/usr/lib/osq/osq-extension.ext --socket /root/em 2>&1; echo code $?
mv {SITE}/osquery.away {SITE}/osquery""",
        deadline_s=STEP_S,
    ).stdout

    assert "the Python package osquery is not installed" in said
    assert "code 1" in said


FILTERS = {
    "uids": ["0-1500"],
    "pid_namespaces": ["/proc/1/ns/pid"],
    "exclude": {"paths": ["/usr/bin/env"], "cgroups": ["/sys/fs/cgroup/init.scope"]},
}


def test_programs_rejected_by_configured_uid_and_path_filters_are_counted_but_not_stored(
    guest: Guest,
) -> None:
    """In a guest, the service applies filters of /etc/osq/osq.conf; kosquery_stats counts.

    The sandboxed service sets them. Rejected programs are counted, and no record is lost. The
    namespace and the control group in FILTERS reject nothing here.
    """
    token = secrets.token_hex(8)
    begin(guest, json.dumps({"osq": {"interval_s": 1, "filters": {"exec": FILTERS}}}))
    reads(guest)
    user = "setpriv --reuid {0} --regid {0} --clear-groups sh -c 'exit 0' {1}"
    runs = " ; ".join(user.format(uid, token) for uid in (1000, 2000))
    guest.run(f"{runs} ; /usr/bin/env sh -c 'exit 0' {token} ; sleep 3", deadline_s=STEP_S)

    line = f"sh -c exit 0 {token}"
    lines = f"('{line}', '/usr/bin/env {line}')"
    sql = f"SELECT path, uid FROM kprocess_events WHERE cmdline IN {lines} ORDER BY eid"
    seen = query(guest, sql)
    session = "(SELECT max(session) FROM kosquery_stats)"
    totals = "SELECT sum(filtered) AS n, min(complete) AS whole FROM kosquery_stats"
    (kept_out,) = query(guest, f"{totals} WHERE session = {session}")
    begin(guest)

    # Recorded: sh of user 1000, and sh of root after env. Rejected: sh of user 2000, and env
    # itself.
    assert [(row["path"], row["uid"]) for row in seen] == [
        *(("/usr/bin/dash", 1000), ("/usr/bin/dash", 0))
    ]
    assert kept_out["n"] >= 2
    assert kept_out["whole"] == 1


def test_the_packages_udev_rule_restores_the_nodes_mode_and_tells_systemd_of_the_node(
    guest: Guest,
) -> None:
    """In a guest, after a udev event /dev/osquery has mode 600 and is a device unit of systemd."""
    change = "chmod 666 /dev/osquery; udevadm trigger --settle --action=add /dev/osquery"
    look = "stat -c '%a %U %G' /dev/osquery; systemctl is-active dev-osquery.device"

    said = guest.run(f"{change}; {look}", deadline_s=STEP_S).stdout

    assert said.splitlines() == ["600 root root", "active"]


def test_installing_the_packages_again_restarts_the_running_service(guest: Guest) -> None:
    """In a guest, the same packages are installed again; the service has a new process.

    The old process ends its session cleanly, and the new one reads.
    """
    reads(guest)
    first = life_of(guest)
    install(guest)
    reads(guest)

    assert life_of(guest) != first
    assert "stopped: " in said_by(guest, first)
    sql = "SELECT ending FROM kosquery_stats WHERE ending != '' ORDER BY session DESC LIMIT 1"
    assert query(guest, sql) == [{"ending": "clean"}]


def test_purging_the_packages_leaves_no_file_and_no_running_service(guest: Guest) -> None:
    """In a guest, dpkg --purge leaves no file of the packages, no store and no service.

    Installing them does not enable the service.
    """
    places = "/usr/lib/python3/dist-packages/osq /usr/lib/osq /etc/osq /var/lib/osq"
    enabled = guest.run("systemctl is-enabled osq-subscriber; :", deadline_s=STEP_S).stdout
    there = guest.run(f"ls -d {places} | wc -l", deadline_s=STEP_S).stdout
    guest.run(f"dpkg --purge {' '.join(reversed(DEBS))}", deadline_s=INSTALL_S)
    left = guest.run(f"ls -d {places} 2>/dev/null | wc -l", deadline_s=STEP_S).stdout
    running = guest.run("systemctl is-active osq-subscriber; :", deadline_s=STEP_S).stdout
    install(guest)
    begin(guest)

    assert enabled.split() == ["disabled"]
    assert (there.split(), left.split()) == (["4"], ["0"])
    assert running.split() == ["inactive"]


def test_systemd_restarts_a_killed_service_and_stop_ends_it_with_status_0(guest: Guest) -> None:
    """In a guest, kosquery_stats has the session that SIGKILL ended as unclean.

    `systemctl stop` then ends the service with status 0 and a summary.
    """
    reads(guest)
    ended = "SELECT coalesce(max(session), 0) AS n FROM kosquery_stats WHERE ending != ''"
    ((before,),) = [row.values() for row in query(guest, ended)]
    first = life_of(guest)
    guest.run("systemctl kill -s KILL osq-subscriber", deadline_s=STEP_S)
    end = time.monotonic() + STEP_S
    while life_of(guest) in {first, ""}:
        assert time.monotonic() < end, journal(guest)
        time.sleep(0.5)
    reads(guest)
    second = life_of(guest)
    guest.run("systemctl stop osq-subscriber", deadline_s=STEP_S)

    state = "systemctl show -p Result -p ExecMainStatus osq-subscriber"
    assert set(guest.run(state, deadline_s=STEP_S).stdout.split()) == {
        "Result=success",
        "ExecMainStatus=0",
    }
    since = f"FROM kosquery_stats WHERE session > {before} AND ending != '' ORDER BY session"
    endings = [row["ending"] for row in query(guest, f"SELECT ending {since}")]
    assert endings == ["unclean", "clean"]
    assert "stopped: " in said_by(guest, second)
    assert "stopped: " not in said_by(guest, first)
    entries = [json.loads(line) for line in journal(guest, "json").splitlines()]
    levels = {entry["PRIORITY"] for entry in entries if "was not ended" in str(entry["MESSAGE"])}
    assert levels == {"4"}


def test_the_service_keeps_only_the_right_to_look_up_paths_once_it_reads(guest: Guest) -> None:
    """In a guest, /proc shows CAP_DAC_READ_SEARCH as the running service's only capability."""
    begin(guest)
    reads(guest)
    status = "/proc/$(systemctl show -P MainPID osq-subscriber)/status"
    lines = guest.run(f"grep -E '^Cap(Inh|Prm|Eff|Amb)' {status}", deadline_s=STEP_S).stdout
    sets = {name: int(bits, 16) for name, bits in (line.split() for line in lines.splitlines())}

    assert sets == {"CapInh:": 0, "CapPrm:": 1 << 2, "CapEff:": 1 << 2, "CapAmb:": 0}


def test_systemd_analyze_security_rates_the_exposure_of_the_service_at_most_2_3(
    guest: Guest,
) -> None:
    """The service has a sandbox that systemd rates 2.3 at most, where 10 means no sandbox.

    Hiding /home, /tmp and the modules would make it 1.8, and files there would not be recorded.
    """
    said = guest.run(
        "systemd-analyze security --no-pager osq-subscriber | tail -n 1", deadline_s=STEP_S
    ).stdout
    exposure = next(float(word) for word in said.split() if word.replace(".", "").isdigit())

    assert exposure <= 2.3
