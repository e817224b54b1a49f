# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The value from which every report of a night is written: the nights and their judgements."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.nightly.judge.findings import Bisected, Finding, Judgement, Kind
from harness.nightly.judge.nights import CellOnce, Night

# A flaky test or a slow one is shown for so many nights after it was last seen.
_SHOWN_NIGHTS = 30


@dataclass(frozen=True, kw_only=True)
class Morning:
    """What a report of one night shows: the project's nights and judgements, oldest first.

    The last night is the one that is reported. `bisected` has the answers of the bisections by the
    keys of their findings. `made_at` is the time of the report, UTC, ISO 8601. `address` is where
    the page can be read, "" if nowhere.
    """

    project: str
    made_at: str
    nights: tuple[Night, ...]
    judgements: tuple[Judgement, ...]
    bisected: Mapping[str, Bisected] = field(default_factory=dict)
    address: str = ""

    @property
    def night(self) -> Night:
        """The night that is reported."""
        return self.nights[-1]

    @property
    def news(self) -> tuple[Finding, ...]:
        """The findings of this night that the nights shortly before have not reported."""
        return self.judgements[-1].news

    @property
    def known(self) -> tuple[Finding, ...]:
        """The findings of earlier nights that last until this night, each in its latest state.

        Flaky tests and slowdowns last as long as one of the latest 30 nights has them.
        """
        tonight = self.judgements[-1].findings
        latest = {one.group: one for one in tonight if not one.is_news}
        lasting = {Kind.FLAKY, Kind.SLOWER, Kind.DRIFT}
        done = {one.group for one in tonight}
        for judgement in reversed(self.judgements[-_SHOWN_NIGHTS:-1]):
            for one in judgement.findings:
                if one.kind in lasting and one.group not in done:
                    latest.setdefault(one.group, one)
        order = [Kind.STILL, *Kind]
        return tuple(sorted(latest.values(), key=lambda one: (order.index(one.kind), one.subject)))

    def cells_of(self, finding: Finding) -> tuple[CellOnce, ...]:
        """Return the cells of a finding, with their results of the night that is reported."""
        return tuple(cell for cell in self.night.cells if cell.cell in finding.cells)
