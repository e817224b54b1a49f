# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List the tests of a pytest folder without a guest, by pytest itself.

The same process evaluates an expression of -k, also over names that are no pytest tests.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import NoTests, TestsBroken, UsageError
from harness.host import tool
from harness.model.crash import Expectation
from harness.model.listed import ListedTest

_COLLECT_S = 180.0
# pytest begins the lines of an exception with this.
_CAUSE = "E   "


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which tests pytest has to list: those that match `expression`, or all when it is "".

    `long` asks for the long forms. `names` are names of other tests, which the expression selects
    from, too.
    """

    expression: str = ""
    long: bool = False
    names: tuple[str, ...] = field(default=())


def collect(folder: Path, question: Question) -> tuple[ListedTest, ...]:
    """Return the tests of a folder, or of one file, that the expression selects.

    Raises: TestsBroken for a test file that cannot be imported; UsageError for an expression that
        pytest does not understand; NoTests when pytest does not answer.
    """
    where = folder if folder.is_dir() else folder.parent
    found = _asked([str(folder)], where, question)
    return tuple(_test(one) for one in found["tests"])


def select(names: Sequence[str], expression: str) -> frozenset[str]:
    """Return those of the names that an expression of pytest's -k selects.

    Raises: UsageError for an expression that pytest does not understand.
    """
    # In a folder of the project, pytest would list the tests there as well.
    with tempfile.TemporaryDirectory(prefix="modlab-names-") as empty:
        question = Question(expression=expression, names=tuple(names))
        found = _asked([], Path(empty), question)
    return frozenset(one["name"] for one in found["tests"])


def _asked(words: Sequence[str], where: Path, question: Question) -> dict[str, Any]:
    """Run pytest in the folder `where` to list tests, and return what it has listed.

    `words` are arguments such as files. The result is the JSON that `pytest_listing` writes.
    Raises: UsageError for a wrong expression; TestsBroken for a test file that cannot be imported;
        NoTests when pytest does not answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="modlab-tests-") as place:
        file, names = Path(place) / "tests.json", Path(place) / "names"
        names.write_text("".join(f"{name}\n" for name in question.names))
        options = ["--collect-only", "-q", "-p", "no:cacheprovider", "--color=no"]
        options += [f"--harness-list={file}", f"--harness-names={names}"]
        options += ["-k", question.expression] if question.expression else []
        options += ["--long"] if question.long else []
        done = tool.run(
            [sys.executable, "-m", "pytest", *words, "-p", "harness", *options],
            deadline_s=_COLLECT_S,
            error=NoTests,
            check=False,
            cwd=where,
        )
        if done.status is None:
            raise NoTests(f"pytest did not list the tests within {_COLLECT_S:.0f} s")
        # The plugin writes the file also for a broken test file. Without it, pytest itself did not
        # start, for example because of a conftest.py.
        if not file.is_file():
            raise _broken(where.name, done.lines)
        found: dict[str, Any] = json.loads(file.read_text())
    if found["usage"]:
        raise UsageError(
            f"-k {question.expression!r}: {found['usage'].strip()}",
            hint="a pytest expression is expected: a part of a name, 'one or other', 'not slow'",
        )
    for one in found["broken"]:
        raise _broken(one["file"], one["text"].splitlines())
    return found


def _broken(file: str, lines: Sequence[str]) -> TestsBroken:
    causes = [line.removeprefix(_CAUSE).strip() for line in lines if line.startswith(_CAUSE)]
    cause = causes[-1] if causes else next((line for line in reversed(lines) if line), "")
    return TestsBroken(
        f"{file} cannot be imported: {cause}",
        hint="pytest's own words are above; nothing was started",
        evidence=lines[-30:],
    )


def _test(one: dict[str, Any]) -> ListedTest:
    recordable = one["recordable"]
    return ListedTest(
        name=one["name"],
        record_command=recordable["command"],
        variant=recordable.get("variant", ""),
        expected=Expectation(**one["expects"]) if one["expects"] else None,
    )
