# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that each command of osq in the pages and in the manual page runs as it is written."""

import json
import select
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from osq import cli
from osq.retention import Limits
from osq.store import Store
from tests.subscriber.building import ROOT
from tests.subscriber.filler import fill
from tests.subscriber.host import environment
from tests.unit.project.documented import documented

# A command that follows has half a second for each new row until it prints one.
FOLLOW_TRIES = 200
NEW_ROW_S = 0.5


def test_osq_version_prints_the_version_of_the_release(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`osq --version` shows the number of pyproject.toml, which a bug report has to name."""
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    with pytest.raises(SystemExit) as ended:
        cli.main(("--version",))

    assert (ended.value.code, capsys.readouterr().out) == (0, f"osq {number}\n")


def documented_commands() -> list[tuple[str, ...]]:
    """Return the words of every `osq query` with a query of its own.

    Running text names the command without one, or with SQL in its place.
    """
    found = {one.words for one in documented({"osq"}) if one.program == "osq"}
    return sorted(words for words in found if words[0] == "query" and " " in words[-1])


ONCE = [one for one in documented_commands() if "--follow" not in one]
FOLLOWING = [one for one in documented_commands() if "--follow" in one]


def test_queries_with_and_without_follow_are_found_in_the_documentation() -> None:
    """The pages have `osq query` commands of both kinds, so that the tests below run something."""
    assert len(ONCE) > 2
    assert FOLLOWING


@pytest.mark.parametrize("words", ONCE)
def test_each_documented_osq_query_answers(
    folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each `osq query` of the documentation, on a filled store, prints rows and exits with 0."""
    path = folder / "events.db"
    with Store(path, Limits()) as one:
        one.begin()
        fill(one, 1, 10)

    code = cli.main((words[0], "--store", str(path), *words[1:]))

    assert code == 0
    assert capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("words", FOLLOWING)
def test_each_documented_osq_query_that_follows_prints_a_new_row(
    folder: Path, words: tuple[str, ...]
) -> None:
    """A documented `osq query --follow` prints the rows that are stored while it runs."""
    path = folder / "events.db"
    line = [sys.executable, "-m", "osq", "query", "--store", str(path), *words[1:]]
    with Store(path, Limits()) as one:
        one.begin()
        fill(one, 1, 1)
        with subprocess.Popen(
            line, env=environment(folder / "none"), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for number in range(2, FOLLOW_TRIES):
                fill(one, number, 1)
                if select.select([process.stdout], [], [], NEW_ROW_S)[0]:
                    break
            process.terminate()
            row = json.loads(process.stdout.readline())

    assert row["seq_num"] >= 2
    assert process.returncode == 0


def test_osq_tables_prints_the_text_of_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    """`osq tables` prints the generated part of docs/subscriber-tables.md."""
    code = cli.main(("tables",))

    page = (ROOT / "docs" / "subscriber-tables.md").read_text()
    printed = capsys.readouterr().out
    assert code == 0
    assert page.strip().endswith(printed.strip())
    assert printed.startswith("## kprocess_events")
