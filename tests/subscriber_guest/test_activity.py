# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A test of everything at once: many kinds of activity, with a log of their own, on a real kernel.

tests/subscriber/test_activity.py runs the steps on a host, and tests the comparison itself.
"""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from harness.model.settings import PushSpec
from harness.systems.ssh import Guest
from tests.subscriber_guest.activity import comparison, log
from tests.subscriber_guest.conftest import STEP_S, begin
from tests.subscriber_guest.test_service import query, reads

ACTIVITY = Path(__file__).parent / "activity"
WORK, LOG = "/srv/osq-activity", "/root/activity.log"
ACTIVITY_S = 1200.0
CONFIGURATION = {
    "file_paths": {"activity": [f"{WORK}/files/%%"]},
    "osq": {
        "interval_s": 2,
        "records": [
            "exec",
            "fork",
            "exit",
            "socket",
            "file",
            "module",
            "cred",
            "ptrace",
            "namespace",
            "signal",
        ],
    },
}


def test_every_field_of_every_row_equals_the_activitys_own_log(
    guest: Guest, tmp_path: Path
) -> None:
    """In a guest, over 60 kinds of calls log what they do; every column of their rows agrees."""
    archive, written = tmp_path / "activity.tar", tmp_path / "log"
    with tarfile.open(archive, "w") as tar:
        tar.add(
            ACTIVITY, "activity", filter=lambda one: None if "__pycache__" in one.name else one
        )
    guest.push(
        [PushSpec(source=archive, target="/root/activity.tar", mode=0o600)], deadline_s=STEP_S
    )
    guest.run(
        f"rm -rf {WORK} {LOG}; mkdir -p {WORK}/files; tar -C /root -xf /root/activity.tar",
        deadline_s=STEP_S,
    )
    begin(guest, json.dumps(CONFIGURATION))
    reads(guest)

    done = guest.run(
        f"cd /root && python3 -m activity {LOG} {WORK}; sleep 5",
        deadline_s=ACTIVITY_S,
    )
    written.write_text(guest.run(f"cat {LOG}", deadline_s=STEP_S).stdout)
    expected = list(log.read(written))

    def ask(sql: str) -> Sequence[tuple[int, str]]:
        return [(row["number"], row["found"]) for row in query(guest, sql)]

    found = comparison.differences(expected, ask)
    session = "session = (SELECT max(session) FROM kosquery_stats)"
    complete = query(guest, f"SELECT min(complete) AS c FROM kosquery_stats WHERE {session}")
    begin(guest)

    assert int(done.stdout.split()[-2]) > 60
    assert len({one.step for one in expected}) > 60
    assert found == []
    assert complete == [{"c": 1}]
