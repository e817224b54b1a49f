# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of osqueryd's queries on a large store: right rows in bounded memory; --long: a million.

Each query prints its time, and the most memory that the extension has had until then.
"""

import time
from pathlib import Path

import pytest

from osq.retention import Limits
from osq.store import Store
from tests.subscriber.events import an_exec
from tests.subscriber.filler import PROCESSES, Filler
from tests.subscriber.host import ask
from tests.subscriber.served import Served
from tests.subscriber.test_osqueryd_queries import RUN

LARGE, MILLION = 50_000, 1_000_000
BATCH = 5000
NEEDLE = "printf\0needle\0"
# The greatest answer of the queries of a large store: the count of a million rows.
LARGE_MIB, USUAL_MIB = 128, 32
MOST_PEAK_MIB = 512


@pytest.fixture(scope="module")
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """Give a store with a needle in its middle, and the number of its rows; --long: a million."""
    least = MILLION if request.config.getoption("--long") else LARGE
    path = tmp_path_factory.mktemp("large") / "large.db"
    with Store(path, Limits(max_bytes=1 << 40)) as store:
        store.begin()
        filler = Filler(store=store)
        while filler.seq <= least:
            filler.add_processes(BATCH // 3)
            if least // 2 - BATCH < filler.seq <= least // 2:
                filler.add([an_exec(seq=filler.seq, argv=NEEDLE.encode(), uid=77)])
    return path, filler.seq - 1


ONE, PATHS = range(1, 2), range(3, 4)
# The queries of a large store, and how many rows their answers may have: what happened in the
# last ten seconds depends on where in a second the store ends.
OF_A_LARGE_STORE = {
    "SELECT eid, cmdline FROM kprocess_events WHERE cmdline = 'printf needle'": ONE,
    "SELECT eid, cmdline FROM kprocess_events WHERE uid = 77": ONE,
    "SELECT eid, cmdline FROM kprocess_events WHERE cmdline LIKE '%NEEDLE'": ONE,
    "SELECT count(*) FROM kprocess_events": ONE,
    "SELECT path, count(*) FROM kprocess_events WHERE seq_num < 20000 GROUP BY path": PATHS,
    """SELECT a.pid, a.cmdline, b.exit_code
    FROM kprocess_events a JOIN kprocess_events b USING (pid, start_ntime)
    WHERE a.event_type = 'exec' AND +b.event_type = 'exit' AND a.seq_num < 900""": range(
        PROCESSES, PROCESSES + 1
    ),
    "SELECT eid, pid FROM kprocess_events WHERE time > NEWEST - 10": range(900, 1003),
}


def test_queries_of_a_large_store_find_their_rows_in_bounded_memory(
    folder: Path, large: tuple[Path, int]
) -> None:
    """On 50,000 rows or more, each query gets the right rows in less than 512 MiB of memory.

    So it finds a row in the middle. The extension's memory depends on that bound, and not on the
    number of rows in the store.
    """
    store, _ = large
    # osqueryd would fetch each row to find it.
    newest = str(ask(store, "SELECT max(time) FROM kprocess_events")[0][0])
    with Served(folder, store, mib=LARGE_MIB) as served:
        for text, rows in OF_A_LARGE_STORE.items():
            sql = text.replace("NEWEST", newest)
            begun = time.monotonic()
            assert served.agrees(sql) in rows
            took_s = time.monotonic() - begun
            print(f"{took_s:.2f} s, {served.peak_mib} MiB: {' '.join(sql.split())}")  # noqa: T201

        assert served.peak_mib < MOST_PEAK_MIB


def test_a_cursor_gets_a_large_store_in_parts_each_in_bounded_memory(
    folder: Path, large: tuple[Path, int]
) -> None:
    """All rows come, each once and in order, in answers of the usual bound."""
    store, rows = large
    sql = f"SELECT seq_num FROM kprocess_events WHERE cursor = 'large' AND {RUN}"
    found: list[int] = []
    with Served(folder, store, mib=USUAL_MIB) as served:
        begun = time.monotonic()
        while part := served.rows(sql):
            found += (int(number or 0) for (number,) in part)
        took_s = time.monotonic() - begun
        print(f"{took_s:.2f} s, {served.peak_mib} MiB: {len(found)} rows by a cursor")  # noqa: T201

        assert found == list(range(1, rows + 1))
        assert served.peak_mib < MOST_PEAK_MIB
