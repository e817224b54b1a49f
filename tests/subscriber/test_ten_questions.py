# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that each query of docs/howto/ten-questions.md has the answer that the page shows."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from osq.output import Format, Printer
from osq.reader import Reader
from tests.subscriber.building import ROOT
from tests.subscriber.host import QUERY_S, Host
from tests.subscriber.scene import record

# The users of the page's machine.
USERS = {0: "root", 1000: "alice"}
PAGE = ROOT / "docs" / "howto" / "ten-questions.md"
QUESTION = re.compile(
    r"^## (?P<title>\d+\..*?)$.*?```sql\n(?P<sql>.*?)```\n\n```text\n(?P<answer>.*?)```",
    re.MULTILINE | re.DOTALL,
)
QUESTIONS = {
    one["title"]: (one["sql"], one["answer"]) for one in QUESTION.finditer(PAGE.read_text())
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the store of the page's story."""
    folder = tmp_path_factory.mktemp("story")
    with Host(folder) as host:
        yield record(host, folder)


def masked(text: str) -> str:
    """Return a text without its times of day, which no two runs share."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss", text)


def answer(store: Path, sql: str) -> str:
    """Return what `osq query` prints for a query."""
    out = io.StringIO()
    with Reader(store) as reader:
        printer = Printer(out, Format.TABLE, name_of=lambda uid: USERS.get(uid, ""))
        printer.print(reader.query(sql, deadline_s=QUERY_S))
    return out.getvalue()


def test_the_page_has_ten_questions_each_with_a_query_and_an_answer() -> None:
    """The page of ten questions has all ten in their form, so that the test below runs each."""
    assert [title.partition(".")[0] for title in QUESTIONS] == [str(n) for n in range(1, 11)]
    assert all(shown.count("\n") > 2 for _, shown in QUESTIONS.values())


@pytest.mark.parametrize("title", QUESTIONS)
def test_each_query_of_the_page_has_the_answer_that_the_page_shows(
    store: Path, title: str
) -> None:
    """On a store with the page's story, `osq query` prints what the page shows, times aside."""
    sql, shown = QUESTIONS[title]

    assert masked(answer(store, sql)) == masked(shown)
    assert masked(answer(store, f"SELECT * FROM ({sql}) LIMIT 0")) != masked(shown)
