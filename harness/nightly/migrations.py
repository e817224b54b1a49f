# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The SQL that brings a nightly history file from each version of its schema to the next.

A step is never changed after a release, because files exist that were made by it. A change of the
schema is a new step at the end, and the same change in `tables`; a test compares the two.
"""

_FIRST = (
    """CREATE TABLE nights (
        id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT NOT NULL,
        "commit" TEXT NOT NULL, tree_changed BOOLEAN NOT NULL, form TEXT NOT NULL,
        imported BOOLEAN NOT NULL, host TEXT NOT NULL)""",
    """CREATE TABLE cells (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, kernel TEXT NOT NULL,
        flavour TEXT NOT NULL, arch TEXT NOT NULL, image TEXT NOT NULL, tests TEXT NOT NULL,
        module TEXT NOT NULL)""",
    """CREATE TABLE planned (
        night TEXT NOT NULL REFERENCES nights (id), cell TEXT NOT NULL REFERENCES cells (id),
        position INTEGER NOT NULL, expected_s FLOAT NOT NULL, left_out TEXT NOT NULL,
        command TEXT NOT NULL, PRIMARY KEY (night, cell))""",
    """CREATE TABLE starts (
        run_id TEXT PRIMARY KEY, night TEXT NOT NULL REFERENCES nights (id),
        cell TEXT NOT NULL REFERENCES cells (id), attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, started_at TEXT NOT NULL,
        UNIQUE (night, cell, attempt, number))""",
    """CREATE TABLE results (
        id INTEGER PRIMARY KEY, night TEXT NOT NULL REFERENCES nights (id),
        cell TEXT NOT NULL REFERENCES cells (id), attempt INTEGER NOT NULL,
        run_id TEXT NOT NULL UNIQUE, verdict TEXT NOT NULL, reason TEXT NOT NULL,
        started_at TEXT NOT NULL, duration_s FLOAT NOT NULL, starts INTEGER NOT NULL,
        "commit" TEXT NOT NULL, tree_changed BOOLEAN NOT NULL, kernel_release TEXT NOT NULL,
        kernel_version TEXT NOT NULL, accel TEXT NOT NULL, folder TEXT NOT NULL,
        log TEXT NOT NULL, command TEXT NOT NULL, hint TEXT NOT NULL, evidence TEXT NOT NULL,
        UNIQUE (night, cell, attempt))""",
    "CREATE INDEX results_of_cell ON results (cell, started_at)",
    """CREATE TABLE tests (
        id INTEGER PRIMARY KEY, suite TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (suite, name))""",
    """CREATE TABLE test_results (
        result INTEGER NOT NULL REFERENCES results (id), position INTEGER NOT NULL,
        test INTEGER NOT NULL REFERENCES tests (id), verdict TEXT NOT NULL,
        duration_s FLOAT NOT NULL, reason TEXT NOT NULL, diagnostics TEXT NOT NULL,
        PRIMARY KEY (result, position)) WITHOUT ROWID""",
    "CREATE INDEX results_of_test ON test_results (test)",
    """CREATE TABLE crashes (
        result INTEGER NOT NULL REFERENCES results (id), number INTEGER NOT NULL,
        signature TEXT NOT NULL, title TEXT NOT NULL, test TEXT NOT NULL, details TEXT NOT NULL,
        PRIMARY KEY (result, number))""",
    "CREATE INDEX crashes_of_signature ON crashes (signature)",
    """CREATE TABLE warnings (
        result INTEGER NOT NULL REFERENCES results (id), position INTEGER NOT NULL,
        title TEXT NOT NULL, details TEXT NOT NULL, PRIMARY KEY (result, position))""",
    """CREATE TABLE measures (
        result INTEGER NOT NULL REFERENCES results (id), name TEXT NOT NULL,
        value FLOAT NOT NULL, PRIMARY KEY (result, name))""",
)
_BISECTIONS = (
    """CREATE TABLE bisections (
        "key" TEXT PRIMARY KEY, "commit" TEXT NOT NULL, answer TEXT NOT NULL,
        steps TEXT NOT NULL)""",
)
_WORKERS = (
    "ALTER TABLE results ADD COLUMN worker TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE results ADD COLUMN lost_tries TEXT NOT NULL DEFAULT '[]'",
)
# Step N brings a file from version N to version N + 1; an empty file has version 0.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _BISECTIONS, _WORKERS)
