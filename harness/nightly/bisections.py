# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bisect those failures of a night that the module's commits may have caused.

Store the answers.
"""

from collections.abc import Callable

from harness.errors import HarnessError
from harness.model.request import KernelTestRequest
from harness.nightly.database import History
from harness.nightly.judge.findings import Bisected, Cause, Finding, Kind, Suspect
from harness.nightly.show.morning import Morning
from harness.report.live_view import LiveView
from harness.runs import bisect, rerun

Say = Callable[[str], None]


def due(morning: Morning) -> tuple[tuple[Finding, Cause], ...]:
    """Return tonight's failures whose suspect is only the module's commits, if not bisected yet.

    They are new or still there, with a test or the signature of a crash. Each finding comes with
    its cause, which names the last good and the first bad commit.
    """
    return tuple(
        (one, one.cause)
        for one in morning.judgements[-1].findings
        if one.kind in {Kind.NEW, Kind.STILL}
        and one.cause is not None
        and one.cause.suspect is Suspect.COMMITS
        and (one.signature or one.test)
        and one.key not in morning.bisected
    )


def run(
    morning: Morning, history: History, base: KernelTestRequest, view: LiveView, say: Say
) -> int:
    """Bisect each failure that `due` returns, store the answers, and return the number of answers.

    Each answer is reported by `say`. So is a bisection that ends in an error; then the next one
    begins.
    """
    found = 0
    for finding, cause in due(morning):
        try:
            answer = _bisect(finding, cause, morning, base, view)
        except HarnessError as error:
            say(f"no bisection of {finding.subject.text}: {error.message}")
            continue
        history.keep_bisection(answer)
        say(f"{finding.subject.text}: commit {answer.commit[:12]} ({answer.answer})")
        found += 1
    return found


def _bisect(
    finding: Finding, cause: Cause, morning: Morning, base: KernelTestRequest, view: LiveView
) -> Bisected:
    """Return the first bad commit of a failure of the night, found by `git bisect` over test runs.

    Each step builds the module of one commit and repeats the failed test on the target and kernel
    of the cell `cause.cell`.
    Raises: the errors of `rerun.prepare` and `bisect.walk`.
    """
    cell = next(one for one in morning.night.cells if one.cell == cause.cell)
    asked = rerun.prepare(base, cell.run, crash=0, test=finding.test, rebuild=True, view=view)
    steps: list[bisect.Step] = []
    good, bad = cause.commits
    first = bisect.walk(
        asked.request,
        sought=bisect.Sought(signature=finding.signature, test=finding.test),
        good=good,
        bad=bad,
        view=view,
        on_step=steps.append,
    )
    # The first two lines are the commit with its author, and its subject.
    author, subject = first.text.splitlines()[:2]
    return Bisected(
        key=finding.key,
        commit=first.commit,
        answer=f"{subject}, by {author.partition(' ')[2]}",
        steps=tuple(f"{step.commit} is {step.word}: {step.why}" for step in steps),
    )
