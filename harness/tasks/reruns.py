# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Crashes over many runs: list them, run one again, find the commit that brought it."""

from harness.tasks.common import TaskContext, help_for, task


@task(short_flags=True)
def panic_list(context: TaskContext) -> int:
    """List the crashes of all runs, the same ones as one: how often, first, last, whose fault."""
    from harness.report import history

    folder = context.runs
    rows = history.rows(history.grouped(tuple(history.runs(folder))))
    print("\n".join(rows) if rows else f"no crash in {folder}")
    return 0


@task(
    positional=["run"],
    short_flags=True,
    options_help={
        "run": "which run: its name, the end of it, or its folder",
        "crash": "only the test of this crash of the run",
        "rebuild": "build the module from the tree instead of taking the run's own",
        **help_for("keep", "accel"),
    },
)
def replay(
    context: TaskContext,
    run: str,
    crash: int = 0,
    rebuild: bool = False,
    keep: bool = False,
    accel: str | None = None,
) -> int:
    """Run again what an earlier run ran: target, kernel, tests, and its very module."""
    from harness.report import run_report
    from harness.runs import kernel_test
    from harness.runs import rerun as reruns
    from harness.tasks.requests import request_from

    base = request_from(context, {"keep": keep, "accel": accel})
    with context.view() as view:
        again = reruns.prepare(base, run, crash=crash, rebuild=rebuild, view=view)
        for line in again.differences:
            view.note(f"not as then: {line}")
        found = kernel_test.run(again.request, view)
    print("\n".join(run_report.summary_lines(found)))
    return found.verdict.exit_code


@task(
    short_flags=True,
    options_help={
        "signature": "of the crash, or the beginning of it (task panic-list)",
        "good": "a commit that does not have the crash",
        "bad": "a commit that has it (default: HEAD)",
    },
)
def bisect(context: TaskContext, signature: str, good: str, bad: str = "HEAD") -> int:
    """Find the commit of the module that brought a crash, one run a step.

    Each commit's module is built and tested by today's harness and tests; the tree stays as it is.
    """
    from harness.report import history
    from harness.runs import bisect as commits
    from harness.runs import rerun as reruns
    from harness.tasks.requests import request_from

    seen = history.find(context.runs, signature)
    base = request_from(context, {})
    with context.view() as view:
        asked = reruns.prepare(
            base, seen.last_run.run_id, crash=seen.last.number, rebuild=True, view=view
        )
        answer = commits.walk(
            asked.request,
            signature=seen.signature,
            good=good,
            bad=bad,
            view=view,
            on_step=lambda step: view.note(f"{step.commit} is {step.word}: {step.why}"),
        )
    print(answer)
    return 0
