# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A person runs kernel-test in real guests while the night does: both verdicts stand."""

import os
import subprocess
import sys
import time

import pytest

from harness.host import config
from harness.model.settings import Verdict
from harness.nightly.database import history_file, open_history
from tests.system.whole_run import RUNTIME, Project

_NIGHT = """
[tool.harness.nightly.full]
targets = ["debian-12"]
"""
_DEADLINE_S = 900.0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_run_of_a_person_during_the_night_and_the_night_both_keep_their_verdicts(
    project: Project,
) -> None:
    """The person's run fails on purpose, and the cell that runs beside it passes."""
    file = project.root / "pyproject.toml"
    file.write_text(f"{file.read_text()}\n{_NIGHT}")
    project.allow_slow_boot()
    log = project.root / "night.log"
    with log.open("w") as output:
        night = subprocess.Popen(
            [sys.executable, "-m", "harness.tasks", "nightly"],
            cwd=project.root,
            env={**os.environ, "XDG_RUNTIME_DIR": str(RUNTIME)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + _DEADLINE_S
        while ": started" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)

        mine = project.run("--", "false", deadline_s=_DEADLINE_S)

        assert night.wait(_DEADLINE_S) == 0, log.read_text()
    finally:
        night.kill()
        night.wait()
    assert (mine.code, mine.report["verdict"]) == (1, "failed"), mine.output
    with open_history(history_file(config.load(file))) as history:
        (last,) = history.nights(last=1)
        verdicts = [one.verdict for one in history.results(last.id)]
    assert verdicts == [Verdict.PASSED]
