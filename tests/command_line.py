# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the real command line of `modlab` in the process of the test."""

from collections.abc import Iterator

import pytest

from harness.tasks.collection import installed_tasks
from harness.tasks.common import HarnessTask
from harness.tasks.program import run


def ended(*words: str) -> int:
    """Run a command line, and return the exit code in which it ends."""
    with pytest.raises(SystemExit) as caught:
        run(installed_tasks(), ["modlab", *words])
    return int(caught.value.code or 0)


def code_of(task: HarnessTask, **options: str | bool) -> int:
    """Run a task by its name with these options, and return its exit code."""
    return ended(str(task.name).replace("_", "-"), *_words(options))


def _words(options: dict[str, str | bool]) -> Iterator[str]:
    """Yield each option as it is written on the command line."""
    for name, value in options.items():
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif value is not False:
            yield f"{flag}={value}"
