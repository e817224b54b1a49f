# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Try the documented workflow on somebody's Mac, and report which of its steps worked there.

A claim is confirmed only when its step has passed on that very Mac; a step that was not reached is
reported as such. The report names the person who signs it, the Mac, the build, and a checksum of
the loaded binary.
"""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.model import requirement
from harness.model.environment import Environment
from harness.model.request import Selection
from harness.model.settings import Settings, System, Verdict
from harness.report import live_view
from harness.runs import on_target
from harness.runs.on_target import RemoteTest
from harness.systems.macos import bundle, setup
from harness.systems.macos.system import MacSystem
from harness.targets import target_file, workflow
from harness.targets.workflow import Loading

Say = Callable[[str], None]
_CONNECT_S = 30.0


class Outcome(Enum):
    """Whether a Mac has confirmed a claim, contradicted it, or the step was not reached."""

    SHOWN = "shown"
    FAILED = "FAILED"
    NOT_REACHED = "not verified on hardware"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim about the workflow, such as "the kext unloads", and what the Mac has shown of it."""

    what: str
    outcome: Outcome = Outcome.NOT_REACHED
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The Mac and the kext to try, the person who signs the report (`name`), the report's file."""

    loading: Loading
    settings: Settings
    environment: Environment
    name: str
    report: Path


# The claims in the order in which they are tried. After a failure the later ones are not reached.
DEPS = "kernel-deps reads this release's settings"
LOAD = "kernel-test-load: copied as root:wheel, loaded, the device is there"
TESTS = "kernel-test: the tests for macOS pass"
UNLOAD = "kernel-test-unload: unloaded, nothing left in the kernel's list"
RELOAD = "loaded and unloaded again on the same boot"
CLAIMS = (DEPS, LOAD, TESTS, UNLOAD, RELOAD)


def run(asked: Verification, say: Say) -> tuple[Claim, ...]:
    """Try the steps of the workflow on a Mac, write the report, and return the claims' outcomes.

    Raises: UsageError when the target is no Mac, or no name is given; GuestLost, Lost when the Mac
        cannot be reached.
    """
    target = asked.loading.target
    if target.system is not System.MACOS:
        raise UsageError(f"{target.name} does not run macOS")
    if not asked.name:
        raise UsageError("a person has to sign the report", hint="--name 'First Last'")
    with target_file.connect(target, deadline_s=_CONNECT_S) as guest:
        mac = setup.examine(guest)
    steps: dict[str, Callable[[], str]] = {
        DEPS: lambda: _deps(asked),
        LOAD: lambda: _load(asked, say),
        TESTS: lambda: _tests(asked),
        UNLOAD: lambda: _unload(asked),
        RELOAD: lambda: _reload(asked, say),
    }
    claims = tuple(_judged(steps, say))
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    asked.report.write_text(text(asked, mac, claims))
    return claims


def all_shown(claims: Sequence[Claim]) -> bool:
    """Return whether the Mac confirmed every claim."""
    return all(claim.outcome is Outcome.SHOWN for claim in claims)


def text(asked: Verification, mac: MacSystem, claims: Sequence[Claim]) -> str:
    """Return the report as Markdown."""
    file = asked.loading.file
    info = bundle.info_of(file)
    binary = (file / "Contents" / "MacOS" / info.executable).read_bytes()
    kind = "a guest" if mac.virtual else "a physical Mac"
    rows = "\n".join(f"| {one.what} | {one.outcome.value} | {one.remark} |" for one in claims)
    return f"""# Verified on a Mac

| | |
|---|---|
| signed off by | {asked.name} |
| when | {datetime.now(UTC).isoformat("T", "seconds")} |
| system | macOS {mac.release} ({mac.build}), {mac.arch}, {kind} |
| System Integrity Protection allows | {mac.csr:#x} |
| kext | {info.identifier} {info.version} |
| SHA-256 of its binary | {hashlib.sha256(binary).hexdigest()} |
| run from | {platform.system()} {platform.machine()} |

| claim | outcome | remark |
|---|---|---|
{rows}

What is not in this table has not been verified by it: KDP, panics, signing, other releases.
"""


def _judged(steps: dict[str, Callable[[], str]], say: Say) -> list[Claim]:
    claims = [Claim(what=what) for what in CLAIMS]
    for number, claim in enumerate(claims):
        say(f"{claim.what} ...")
        try:
            remark = steps[claim.what]()
        except HarnessError as error:
            remark = f"{error.message}. {error.hint}".strip()
            claims[number] = replace(claim, outcome=Outcome.FAILED, remark=remark)
            say(f"  FAILED: {remark}")
            return claims
        claims[number] = replace(claim, outcome=Outcome.SHOWN, remark=remark)
        say(f"  shown{': ' + remark if remark else ''}")
    return claims


def _deps(asked: Verification) -> str:
    found = workflow.requirements(asked.loading.target)
    missing = [one for one in found if one.state is requirement.State.UNMET]
    if missing:
        raise UsageError(missing[0].what, hint=missing[0].cure)
    return f"{len(found)} settings"


def _load(asked: Verification, say: Say) -> str:
    loaded = workflow.load(asked.loading, say)
    return f"{loaded.name} at {loaded.sections.get('__TEXT', 0):#x}"


def _tests(asked: Verification) -> str:
    wanted = [one for one in asked.settings.tests if one.system is System.MACOS and not one.group]
    test = RemoteTest(
        loading=asked.loading,
        settings=asked.settings,
        environment=asked.environment,
        suites=tuple(wanted),
        selection=Selection(),
    )
    with live_view.PlainView() as view:
        found = on_target.run(test, view)
    if found.verdict is not Verdict.PASSED:
        raise UsageError(f"{found.verdict.value}: {found.reason}", hint=f"files: {found.folder}")
    return found.reason


def _unload(asked: Verification) -> str:
    """Load the kext again after the tests, and unload it; return "", as there is no remark."""
    workflow.load(asked.loading, lambda _line: None)
    workflow.unload(asked.loading.target, asked.loading.spec)
    return ""


def _reload(asked: Verification, say: Say) -> str:
    workflow.load(asked.loading, say)
    workflow.unload(asked.loading.target, asked.loading.spec)
    return ""
