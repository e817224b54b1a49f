# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A cell of a night that costs a second, or as many as its flavour says: takes_s=N.

A configuration has it as the wrapper of its cells. It leaves the report that kernel-test leaves.
The file LIMIT in its project, if there is one, says how many such reports there may be; a cell
that finds as many waits. Tests start it; it is no test itself.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from harness.model.provenance import Provenance
from harness.model.settings import Accel, RunReport, TestResult, Verdict
from harness.report import run_report

LIMIT = "limit"
_TAKES_S = 1.0
_LOOKS_EVERY_S = 0.1


def main(arguments: list[str]) -> None:
    """Wait, then write the report of a run that passed; `arguments` are those of kernel-test."""
    given = dict(word.removeprefix("--").partition("=")[::2] for word in arguments)
    folder = Path("build", "runs", given["run-id"]).absolute()
    folder.mkdir(parents=True)
    takes_s = float(given.get("append", "").partition("takes_s=")[2] or _TAKES_S)
    time.sleep(takes_s)
    while _is_full(folder.parent):
        time.sleep(_LOOKS_EVERY_S)
    run_report.write(
        RunReport(
            run_id=given["run-id"],
            target=given["target"],
            verdict=Verdict.PASSED,
            reason="1 tests passed",
            accel=Accel.TCG,
            deadline_factor=1.0,
            started_at=datetime.now(UTC).isoformat("T", "seconds"),
            duration_s=takes_s,
            folder=folder,
            results=(TestResult(name="test_it", suite="inside", verdict=Verdict.PASSED),),
            provenance=Provenance(kernel=given["kernel"]),
        )
    )


def _is_full(runs: Path) -> bool:
    """Return whether there are as many reports as the file LIMIT allows."""
    limit = Path(LIMIT)
    return limit.is_file() and len(list(runs.glob("*/report.json"))) >= int(limit.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
