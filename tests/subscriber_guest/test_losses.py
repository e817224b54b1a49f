# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the service against silent losses: hidden paths, a missing driver, a taken device."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.systems.linux import load_script
from harness.systems.ssh import Guest
from tests.subscriber_guest.conftest import STEP_S, begin
from tests.subscriber_guest.test_service import journal, life_of, query, reads, said_by

PLACES = ("/home", "/root", "/tmp", "/var/tmp", "/usr/lib/modules")
UNIT = "osq-subscriber"
HELD, RELEASE = "/run/osq-held", "/run/osq-release"
HOLD = f"""import time
from pathlib import Path
from osq.ring import Ring
with Ring(Path("/dev/osquery"), ring_bytes=1 << 20):
    Path("{HELD}").touch()
    while not Path("{RELEASE}").exists():
        time.sleep(0.2)
"""
# By this unit of systemd the service loads the driver.
LOADER = "modprobe@osq.service"


def until(guest: Guest, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + STEP_S
    while not condition():
        assert time.monotonic() < end, journal(guest)
        time.sleep(0.5)


def watching(guest: Guest, *patterns: str) -> None:
    """Restart the service with patterns of files to watch."""
    begin(guest, json.dumps({"file_paths": {"some": patterns}, "osq": {"interval_s": 1}}))
    reads(guest)


def shown(guest: Guest, name: str) -> str:
    """Return a property of the unit."""
    return guest.run(f"systemctl show -P {name} {UNIT}", deadline_s=STEP_S).stdout.strip()


@contextmanager
def drop_in(guest: Guest, text: str) -> Iterator[None]:
    """Add lines to the unit's section [Service] while the block runs."""
    folder = f"/etc/systemd/system/{UNIT}.service.d"
    guest.run(
        f"mkdir -p {folder} && printf '[Service]\\n{text}\\n' >{folder}/test.conf"
        " && systemctl daemon-reload",
        deadline_s=STEP_S,
    )
    try:
        yield
    finally:
        guest.run(f"rm -r {folder}; systemctl daemon-reload", deadline_s=STEP_S)


def test_files_below_home_root_and_tmp_are_recorded_and_the_modules_folder_is_watched(
    guest: Guest,
) -> None:
    """In a guest, the sandbox of osq-subscriber.service hides none of these folders from it."""
    token = secrets.token_hex(8)
    guest.run("install -d -m 0700 -o 1000 /home/somebody", deadline_s=STEP_S)
    watching(guest, "/home/somebody/%%", *(f"{one}/%%" for one in PLACES))
    # The harness mounts the modules read-only, so no file is created there.
    names = [f"{one}/{token}" for one in (*PLACES[:-1], "/home/somebody")]
    guest.run(f"touch {' '.join(names)} && rm {' '.join(names)}; sleep 3", deadline_s=STEP_S)

    rows = query(
        guest,
        f"""SELECT DISTINCT path FROM kfile_events
        WHERE operation = 'create' AND path LIKE '%/{token}' ORDER BY path""",
    )
    session = "session = (SELECT max(session) FROM kosquery_stats)"
    stats = query(
        guest,
        f"SELECT max(unwatched) AS n, min(complete) AS c FROM kosquery_stats WHERE {session}",
    )
    begin(guest)

    assert [row["path"] for row in rows] == sorted(names)
    assert stats == [{"n": 0, "c": 1}]


def test_a_watched_path_that_the_sandbox_hides_is_an_error_and_not_complete(guest: Guest) -> None:
    """In a guest, the service with ProtectHome=yes logs /home as hidden; no row is complete."""
    with drop_in(guest, "ProtectHome=yes"):
        watching(guest, "/home/%%", "/etc/%%")
        time.sleep(3)
        log = said_by(guest, life_of(guest))
        session = "session = (SELECT max(session) FROM kosquery_stats)"
        stats = query(
            guest, f"SELECT DISTINCT unwatched, complete FROM kosquery_stats WHERE {session}"
        )
        notes = query(guest, "SELECT note FROM kosquery_stats WHERE note LIKE '%file_paths%'")
    begin(guest)

    assert "file_paths: /home: hidden from this process" in log
    assert "file_paths: /etc" not in log
    assert stats == [{"unwatched": 1, "complete": 0}]
    assert "file_paths: /home: hidden" in notes[-1]["note"]


def test_a_file_system_that_is_mounted_later_is_watched_and_the_change_is_not_complete(
    guest: Guest,
) -> None:
    """In a guest, a tmpfs mounted below /srv/%% is watched in 2 s; that interval is marked."""
    token = secrets.token_hex(8)
    guest.run("mkdir -p /srv/later", deadline_s=STEP_S)
    watching(guest, "/srv/%%")
    guest.run("mount -t tmpfs none /srv/later; sleep 2", deadline_s=STEP_S)
    guest.run(f"touch /srv/later/{token}; sleep 3; umount /srv/later; sleep 2", deadline_s=STEP_S)

    rows = query(guest, f"SELECT path FROM kfile_events WHERE path LIKE '%/{token}'")
    noted = query(
        guest,
        """SELECT DISTINCT complete FROM kosquery_stats
        WHERE note LIKE '%file systems were mounted or unmounted%'""",
    )
    begin(guest)

    assert {row["path"] for row in rows} == {f"/srv/later/{token}"}
    assert noted == [{"complete": 0}]


def test_without_a_driver_the_service_fails_and_starts_when_the_device_appears(
    guest: Guest,
) -> None:
    """In a guest, osq-subscriber.service exits with 3; insmod and udev start it again."""
    reads(guest)
    module = load_script.module_path("osq")
    guest.run(
        f"systemctl mask --runtime {LOADER}; systemctl enable {UNIT};"
        f"systemctl stop {UNIT} && rmmod osq",
        deadline_s=STEP_S,
    )
    try:
        guest.run(f"systemctl start {UNIT}", deadline_s=STEP_S, check=False)
        until(guest, lambda: shown(guest, "ActiveState") == "failed")
        status = shown(guest, "ExecMainStatus")
        log = journal(guest)
        guest.run(f"insmod {module}; udevadm settle", deadline_s=STEP_S)
        until(guest, lambda: shown(guest, "ActiveState") == "active")
        reads(guest)
    finally:
        guest.run(
            f"systemctl disable {UNIT}; systemctl unmask --runtime {LOADER}", deadline_s=STEP_S
        )

    assert status == "3"
    assert "is the module loaded?" in log


def test_a_device_that_is_taken_for_15_seconds_does_not_end_the_service(guest: Guest) -> None:
    """In a guest, osq-subscriber.service stays active, waits for the device, and then reads."""
    reads(guest)
    guest.run(f"systemctl stop {UNIT}", deadline_s=STEP_S)
    guest.run(
        f"rm -f {HELD} {RELEASE}; timeout 300 python3 -c '{HOLD}' >/dev/null 2>&1 & exit 0",
        deadline_s=STEP_S,
    )
    until(guest, lambda: guest.run(f"test -e {HELD}", deadline_s=STEP_S, check=False).status == 0)
    begin(guest)
    until(guest, lambda: "waiting until it is free" in said_by(guest, life_of(guest)))
    guest.run("sleep 15", deadline_s=STEP_S)
    waits = shown(guest, "ActiveState")
    guest.run(f"touch {RELEASE}", deadline_s=STEP_S)
    reads(guest)

    assert waits == "active"
    assert shown(guest, "NRestarts") == "0"
