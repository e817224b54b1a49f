# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of what GitHub and GitLab run: it comes from the plan, and their schemas accept it.

The schema of GitLab is the published one, which check-jsonschema has in itself.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.nightly import night, plan_file
from harness.nightly.database import open_history
from harness.nightly.engines import gitlab
from harness.nightly.plan_file import PlanFile
from harness.tasks.collection import shared_tasks
from tests.command_line import ended
from tests.unit.nightly.projects import settings
from tests.unit.nightly.test_night import FULL, HOST

ROOT = Path(__file__).resolve().parents[4]
WORKFLOW = ROOT / ".github" / "workflows" / "nightly.yml"
PAGE = ROOT / "docs" / "howto" / "spread-a-night.md"


@pytest.fixture
def plan(tmp_path: Path) -> PlanFile:
    """Give a plan of 17 cells, one of which does not fit into the budget."""
    config = settings(tmp_path)
    with open_history(tmp_path / "h.db") as history:
        chosen = night.planned(config, history, FULL, HOST)
    out = replace(chosen[-1], left_out="the budget")
    begun = night.new(config, "full")
    return plan_file.of_night(config, begun, (*chosen[:-1], out), budget_s=9.0)


def objections(text: str, folder: Path) -> str:
    """Return what the published schema of GitLab has against a pipeline."""
    file = folder / "pipeline.yml"
    file.write_text(text)
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        (program, "--builtin-schema=vendor.gitlab-ci", "--data-transform=gitlab-ci", file),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in {0, 1}, done.stderr
    return "" if done.returncode == 0 else done.stdout


def blocks(page: Path) -> list[str]:
    """Return the YAML blocks of a page."""
    return [part.partition("```")[0] for part in page.read_text().split("```yaml\n")[1:]]


def test_the_pipeline_of_gitlab_has_a_job_for_each_cell_and_its_schema_accepts_it(
    plan: PlanFile, tmp_path: Path
) -> None:
    """A cell is one combination of target, kernel and tests; the last job merges the results."""
    found = gitlab.pipeline(plan, ("kvm",))

    jobs = set(found) - {"stages", "plan", "merge"}
    assert jobs == {one.id for one in plan.running}
    assert len(jobs) == 16
    assert found["stages"][-1] == found["merge"]["stage"] == "merge"
    assert objections(json.dumps(found), tmp_path) == ""


def test_the_schema_of_gitlab_refuses_a_pipeline_with_a_wrong_value(
    plan: PlanFile, tmp_path: Path
) -> None:
    """GitLab's schema, which other tests here use, objects to 'sometimes' for the key 'when'."""
    found = gitlab.pipeline(plan, ("kvm",))
    found["merge"]["artifacts"]["when"] = "sometimes"

    assert "sometimes" in objections(json.dumps(found), tmp_path)


def test_the_parent_pipeline_of_the_page_is_accepted_and_names_what_the_child_needs(
    plan: PlanFile, tmp_path: Path
) -> None:
    """The .gitlab-ci.yml on the docs page hands plan.json to the pipeline that the plan makes."""
    (text,) = blocks(PAGE)
    parent: dict[str, Any] = YAML(typ="safe").load(text)
    (asked,) = gitlab.pipeline(plan, ("kvm",))["plan"]["needs"]

    assert objections(text, tmp_path) == ""
    assert "plan.json" in parent[asked["job"]]["artifacts"]["paths"]
    assert asked["pipeline"] == "$PARENT_PIPELINE_ID"
    assert parent["night"]["variables"]["PARENT_PIPELINE_ID"] == "$CI_PIPELINE_ID"


def test_nightly_gitlab_prints_the_pipeline_of_a_plan(
    plan: PlanFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The task prints JSON, which GitLab reads as YAML; --tag chooses the runners of all jobs."""
    file = tmp_path / "plan.json"
    file.write_text(plan_file.text(plan))

    assert ended("nightly-gitlab", f"--plan={file}", "--tag=kvm", "--tag=large") == 0

    found = json.loads(capsys.readouterr().out)
    tags = [job["tags"] for name, job in found.items() if name != "stages"]
    assert tags == [["kvm", "large"]] * 18


def test_the_matrix_of_the_workflow_is_every_cell_of_the_plan(
    plan: PlanFile, tmp_path: Path
) -> None:
    """The script in the GitHub workflow turns the night's plan.json into a matrix of jobs."""
    workflow: dict[str, Any] = YAML(typ="safe").load(WORKFLOW.read_text())
    jobs = workflow["jobs"]
    step = next(one for one in jobs["plan"]["steps"] if one.get("id") == "plan")
    (tmp_path / "plan.json").write_text(plan_file.text(plan))
    output = tmp_path / "output"

    # The first line makes the plan.
    script = step["run"].partition("\n")[2]
    environment = {"GITHUB_OUTPUT": str(output), "PATH": "/usr/bin:/bin"}
    subprocess.run(("sh", "-ec", script), check=True, cwd=tmp_path, env=environment)

    cells = json.loads(output.read_text().removeprefix("cells="))
    assert cells == [one.id for one in plan.running]
    assert (
        jobs["cell"]["strategy"]["matrix"]["cell"] == "${{ fromJSON(needs.plan.outputs.cells) }}"
    )
    assert jobs["plan"]["outputs"]["cells"] == "${{ steps.plan.outputs.cells }}"
    assert jobs["merge"]["needs"] == ["plan", "cell"]


def test_every_command_of_the_workflow_is_a_task_with_such_options() -> None:
    """The GitHub workflow of the night calls only tasks and options that exist."""
    workflow: dict[str, Any] = YAML(typ="safe").load(WORKFLOW.read_text())
    tasks = shared_tasks()
    known = {tasks.transform(task.name): task for task in tasks.tasks.values()}
    lines = [
        shlex.split(line)
        for job in ("plan", "cell", "merge")
        for step in workflow["jobs"][job]["steps"]
        for line in step.get("run", "").splitlines()
        if line.startswith("./dev")
    ]

    assert [words[2] for words in lines] == ["nightly", "nightly-cell", "nightly-merge"]
    for _, _, task, *words in lines:
        options = {flag for one in known[task].get_arguments() for flag in one.names}
        used = {word.removeprefix("--").partition("=")[0] for word in words if word[:2] == "--"}
        assert {name.replace("-", "_") for name in used} <= {
            name.replace("-", "_") for name in options
        }


def test_the_file_of_a_result_is_where_the_workflow_collects_it() -> None:
    """The GitHub workflow uploads the folder into which nightly-cell writes by default."""
    workflow: dict[str, Any] = YAML(typ="safe").load(WORKFLOW.read_text())
    uploads = [
        step["with"]["path"]
        for step in workflow["jobs"]["cell"]["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact")
    ]

    task = shared_tasks()["nightly-cell"]
    (to,) = (one for one in task.get_arguments() if "to" in one.names)
    assert uploads == [to.default, "build/runs"]
