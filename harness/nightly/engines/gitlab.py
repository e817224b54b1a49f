# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""GitLab's child pipeline that runs the cells of a night's plan and merges their results.

Source: GitLab's documentation, "CI/CD YAML syntax reference" and "Downstream pipelines".
"""

from typing import Any

from harness import hints
from harness.nightly.plan_file import PlanFile

_PLAN = "plan.json"
# A cell has its own deadline; the job's also covers repetitions and the wait for room.
_DEADLINES = 3
# A runner that is lost is no result of the cell.
_RETRY = {"max": 1, "when": ["runner_system_failure", "stuck_or_timeout_failure"]}


def pipeline(plan: PlanFile, tags: tuple[str, ...]) -> dict[str, Any]:
    """Return the child pipeline as a dictionary for YAML; its jobs need a runner with these tags.

    The parent pipeline has a job `plan` with the artefact plan.json, and gives its own id as
    PARENT_PIPELINE_ID. A job gets the artefacts of all earlier stages; `needs` would be limited to
    50 jobs.
    """
    minutes = max(1, round(plan.deadline_s * _DEADLINES / 60))
    everywhere = {"tags": list(tags)}
    fetch = {
        **everywhere,
        "stage": "plan",
        "needs": [{"pipeline": "$PARENT_PIPELINE_ID", "job": "plan"}],
        "script": [f"test -s {_PLAN}"],
        "artifacts": {"paths": [_PLAN]},
    }
    cells = {
        one.id: {
            **everywhere,
            "stage": "cells",
            "timeout": f"{minutes} minutes",
            "retry": _RETRY,
            "script": [
                f'{hints.command("nightly-cell", one.id)} --worker "$CI_RUNNER_DESCRIPTION"'
            ],
            "artifacts": {"when": "always", "paths": ["results/"]},
        }
        for one in plan.running
    }
    merge = {
        **everywhere,
        "stage": "merge",
        # A cell that failed or is missing belongs into the report.
        "when": "always",
        # Artefacts belong to one pipeline. The cache has the history of the nights before.
        "cache": {"key": "nightly-history", "paths": ["build/nightly/history.db"]},
        "script": [hints.command("nightly-merge")],
        "artifacts": {
            "when": "always",
            "paths": ["build/nightly/"],
            "reports": {"junit": "build/nightly/*/nightly.xml"},
        },
    }
    return {"stages": ["plan", "cells", "merge"], "plan": fetch, **cells, "merge": merge}
