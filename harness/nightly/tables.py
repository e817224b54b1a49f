# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The SQLAlchemy tables of the nightly history; `migrations` creates them in a file."""

from sqlalchemy import Boolean, Column, Float, Integer, MetaData, Table, Text

METADATA = MetaData()

NIGHTS = Table(
    "nights",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("commit", Text),
    Column("tree_changed", Boolean),
    Column("form", Text),
    Column("imported", Boolean),
    Column("host", Text),
)
CELLS = Table(
    "cells",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text),
    Column("target", Text),
    Column("kernel", Text),
    Column("flavour", Text),
    Column("arch", Text),
    Column("image", Text),
    Column("tests", Text),
    Column("module", Text),
)
PLANNED = Table(
    "planned",
    METADATA,
    Column("night", Text, primary_key=True),
    Column("cell", Text, primary_key=True),
    Column("position", Integer),
    Column("expected_s", Float),
    Column("left_out", Text),
    Column("command", Text),
)
STARTS = Table(
    "starts",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("night", Text),
    Column("cell", Text),
    Column("attempt", Integer),
    Column("number", Integer),
    Column("started_at", Text),
)
RESULTS = Table(
    "results",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("night", Text),
    Column("cell", Text),
    Column("attempt", Integer),
    Column("run_id", Text),
    Column("verdict", Text),
    Column("reason", Text),
    Column("started_at", Text),
    Column("duration_s", Float),
    Column("starts", Integer),
    Column("commit", Text),
    Column("tree_changed", Boolean),
    Column("kernel_release", Text),
    Column("kernel_version", Text),
    Column("accel", Text),
    Column("folder", Text),
    Column("log", Text),
    Column("command", Text),
    Column("hint", Text),
    Column("evidence", Text),
    Column("worker", Text),
    Column("lost_tries", Text),
)
TESTS = Table(
    "tests",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("suite", Text),
    Column("name", Text),
)
TEST_RESULTS = Table(
    "test_results",
    METADATA,
    Column("result", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("test", Integer),
    Column("verdict", Text),
    Column("duration_s", Float),
    Column("reason", Text),
    Column("diagnostics", Text),
)
CRASHES = Table(
    "crashes",
    METADATA,
    Column("result", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("signature", Text),
    Column("title", Text),
    Column("test", Text),
    Column("details", Text),
)
WARNINGS = Table(
    "warnings",
    METADATA,
    Column("result", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("title", Text),
    Column("details", Text),
)
MEASURES = Table(
    "measures",
    METADATA,
    Column("result", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Float),
)
BISECTIONS = Table(
    "bisections",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("commit", Text),
    Column("answer", Text),
    Column("steps", Text),
)
