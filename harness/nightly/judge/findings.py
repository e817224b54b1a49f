# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that the judge of a night returns: the finding, its subject, numbers and cause."""

import hashlib
from dataclasses import dataclass
from enum import Enum

from harness.nightly.judge.noise import Change


class Kind(Enum):
    """The kinds of findings, in the order in which `Judgement.findings` lists them."""

    NEW = "new failure"
    LOST = "lost"
    SLOWER = "slower"
    DRIFT = "slow drift"
    WARNING = "new warning"
    FLAKY = "flaky"
    FIXED = "fixed"
    STILL = "still failing"


class Area(Enum):
    """The kinds of things that a finding can be about, such as a test, a stage or a worker."""

    TEST = "test"
    STAGE = "stage"
    CRASH = "crash between tests"
    CELL = "cell"
    WORKER = "worker"
    WARNING = "warning"
    BOOT = "boot"


@dataclass(frozen=True, kw_only=True, order=True)
class Subject:
    """What a finding is about: one test, stage, crash, cell, worker, warning, or the guest's boot.

    A test's name is SUITE::NAME.
    """

    area: str
    name: str

    @classmethod
    def of(cls, area: Area, name: str) -> "Subject":
        """Return the subject of this kind and name, such as the test SUITE::NAME."""
        return cls(area=area.value, name=name)

    @property
    def text(self) -> str:
        """The subject as the headline of a night's report names it, such as "stage build"."""
        if self.area == Area.TEST.value:
            return self.name
        if self.area == Area.BOOT.value:
            return "the boot of the guest"
        return f"{self.area} {self.name}" if self.name else self.area


class Suspect(Enum):
    """What changed between the last run that passed and the first that failed, if known."""

    COMMITS = "the module's commits"
    KERNELS = "the kernel's package"
    BOTH = "the module's commits or the kernel's package"
    NOTHING = "nothing that the history records"
    FIRST = "unknown: there is no earlier good result"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What to bisect after a new failure, and the evidence for this choice.

    `commits` and `versions` are each a pair of the last good and the first bad one, () where that
    did not change. `cell` is a failing cell with that range: the bisection runs in it.
    """

    suspect: Suspect
    cell: str
    evidence: tuple[str, ...]
    commits: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bisected:
    """The answer of a bisection: the first bad commit.

    `key` is `Finding.key` of the failure. `answer` is the commit's author and subject. `steps` has
    one line for each run that was made; there is none when the range has only one commit.
    """

    key: str
    commit: str
    answer: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often a flaky test failed in its first runs, in the cells in which it ever failed.

    When these cells have few runs, all cells with the test are counted. `reruns` are the
    repetitions in fresh guests.
    """

    bad: int
    runs: int
    cells: int
    reruns_passed: int = 0
    reruns: int = 0

    @property
    def percent(self) -> float:
        """The share of the first runs in which the flaky test failed, in percent."""
        return 100.0 * self.bad / self.runs if self.runs else 0.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of judging a night, such as a new failure or a slower test, with all its cells.

    `since` is the night in which it began. `is_news` is false for what the nights shortly before
    reported. `rate` belongs to a flaky test, `change` to a duration, `cause` to a failure. `test`
    is the name of a failed test as its run has it, `signature` that of a crash, "" for others.
    """

    kind: Kind
    subject: Subject
    cells: tuple[str, ...]
    since: str
    is_news: bool
    reason: str = ""
    test: str = ""
    signature: str = ""
    cause: Cause | None = None
    rate: Rate | None = None
    change: Change | None = None

    @property
    def key(self) -> str:
        """The finding's id: a hash of its `group` and `since`, the same wherever both are."""
        return hashlib.sha256(f"{self.group}\0{self.since}".encode()).hexdigest()[:12]

    @property
    def group(self) -> str:
        """The text that equal findings of different nights share: kind, and crash or subject."""
        kind = "failure" if self.kind in {Kind.NEW, Kind.STILL, Kind.FIXED} else self.kind.value
        return "\0".join((kind, self.signature or f"{self.subject.area}\0{self.subject.name}"))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All findings of one night, in the order of `Kind`."""

    night: str
    findings: tuple[Finding, ...]

    @property
    def news(self) -> tuple[Finding, ...]:
        """The findings that the nights shortly before have not reported."""
        return tuple(one for one in self.findings if one.is_news)
