# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List tests for the harness in a pytest process that runs none of them.

The process writes the names of the tests, or why they cannot be listed, to a file. This module
also defines the name of a test, which reports, KTAP and the kernel's log use.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.model.crash import Expectation
from harness.model.listed import plain_name


def name_of_item(config: pytest.Config, nodeid: str) -> str:
    """Return a test's name as KTAP and the kernel log show it: file, '::', function.

    The file is relative to the folder in which pytest was started, without .py. Of a file outside
    of this folder only the name is used.
    """
    path, _, rest = nodeid.partition("::")
    file = (config.rootpath / path).resolve().with_suffix("")
    start = config.invocation_params.dir.resolve()
    place = file.relative_to(start).as_posix() if file.is_relative_to(start) else file.name
    return plain_name(f"{place}::{rest}")


class _Named(pytest.Item):
    """A test that pytest does not run, such as a case of kselftest; only its name is known.

    It is among pytest's tests so that an expression of -k can select it by the name.
    """

    def runtest(self) -> None:
        """Do nothing, because the harness runs this test itself."""


class Listing:
    """A pytest plugin that writes a JSON file with the tests that pytest's options select.

    The file also has the test files that cannot be imported, and pytest's message about a wrong
    -k.
    """

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._config = config
        self._file = file
        self._broken: list[dict[str, str]] = []
        self._usage = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Iterator[None]:
        """Add the names in the file of --harness-names to the tests, before pytest applies -k.

        If -k is no valid expression, pytest's message is kept for the JSON file.
        """
        names = self._config.getoption("--harness-names")
        known = Path(names).read_text().splitlines() if names is not None else []
        # pytest's own hook, which runs at the yield, applies -k to these names, too.
        items += [_Named.from_parent(session, name=name) for name in known]
        try:
            return (yield)
        except pytest.UsageError as error:
            self._usage = str(error)
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the error of a test file that cannot be imported, for the JSON file."""
        if report.failed:
            self._broken.append({"file": report.nodeid, "text": report.longreprtext})

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the JSON file; pytest calls this also after an error in a test file or in -k."""
        tests = [_announced(item) for item in session.items]
        found = {"tests": tests, "usage": self._usage, "broken": self._broken}
        self._file.write_text(json.dumps(found))


def _announced(item: pytest.Item) -> dict[str, Any]:
    recordable = item.get_closest_marker("recordable")
    crashes = item.get_closest_marker("crashes")
    return {
        "name": item.name if isinstance(item, _Named) else name_of_item(item.config, item.nodeid),
        "recordable": {"command": "", **(recordable.kwargs if recordable else {})},
        "expects": asdict(Expectation(**crashes.kwargs)) if crashes else None,
    }
