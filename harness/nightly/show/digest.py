# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write a night's report as Markdown for mail and GitHub, as a chat message and as annotations.

Pure. Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import re

from harness.model.settings import Verdict
from harness.nightly.judge.findings import Finding, Kind
from harness.nightly.show import views, words
from harness.nightly.show.morning import Morning

_CHAT_LINES = 8
# GitHub shows so many annotations of each level for one step, and drops the others.
_MOST_ANNOTATIONS = 10
_LEVELS = {Kind.NEW: "error", Kind.FIXED: "notice", Kind.FLAKY: "warning"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_PLACE = re.compile(r"(?P<file>[^:\s]+):(?P<line>\d+)$")


def markdown(morning: Morning) -> str:
    """Return a night's report as Markdown: new and known findings, verdicts for each kernel.

    At its end are the cells that were left to the next night, if there are any.
    """
    parts = [f"## {_escaped(morning.project)}, night {_escaped(morning.night.name)}"]
    parts.append(f"**{words.summary(morning)}**")
    if morning.address:
        parts.append(f"[The whole report]({morning.address})")
    if morning.news:
        parts += ["### What changed", *(_section(one, morning) for one in morning.news)]
    if morning.known:
        lines = [f"- {_line(one, morning)}" for one in morning.known]
        parts += ["### Known from earlier nights", "\n".join(lines)]
    parts += ["### Kernels", _table(morning)]
    if morning.night.left_over:
        names = [f"- {_escaped(name)}" for name in morning.night.left_over]
        parts += ["### Left to the next night", "\n".join(names)]
    return "\n\n".join(parts) + "\n"


def _section(finding: Finding, morning: Morning) -> str:
    card = views.card(finding, morning)
    lines = [f"- {_line(finding, morning)}"]
    lines += [f"  {_escaped(line)}" for line in card.lines]
    if card.evidence is not None and card.evidence.place:
        lines.append(f"  At {_escaped(card.evidence.place)}.")
    lines += [f"  To {command.purpose}: `{command.line}`" for command in card.commands]
    # Two spaces at the end of a line keep the break within the item.
    return "  \n".join(lines)


def _line(finding: Finding, morning: Morning) -> str:
    title = _escaped(words.headline(finding))
    return f"**{finding.kind.value}**: {title} ({_escaped(words.where(finding, morning))})"


def _table(morning: Morning) -> str:
    kinds = (Verdict.PASSED, Verdict.FAILED, Verdict.CRASHED, Verdict.LOST)
    lines = [f"| kernel | {' | '.join(kind.value for kind in kinds)} |", "|---|---|---|---|---|"]
    for kernel in dict.fromkeys(cell.kernel for cell in morning.night.cells):
        found = [cell.verdict for cell in morning.night.cells if cell.kernel == kernel]
        counts = " | ".join(str(found.count(kind)) for kind in kinds)
        lines.append(f"| {_escaped(kernel)} | {counts} |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return a text escaped for Markdown, and with each @ as an entity, so it notifies nobody."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("@", "&#64;")


def chat(morning: Morning) -> str:
    """Return a night's report as plain lines for a chat: summary, new findings, page address.

    At most 8 findings are listed, and the others are counted.
    """
    lines = [f"{morning.project}, night {morning.night.name}: {words.summary(morning)}"]
    lines += [
        f"- {one.kind.value}: {words.headline(one)}, {words.where(one, morning)}"
        for one in morning.news[:_CHAT_LINES]
    ]
    more = len(morning.news) - _CHAT_LINES
    if more > 0:
        lines.append(f"- and {more} more")
    return "\n".join([*lines, *([morning.address] if morning.address else [])]) + "\n"


def annotations(morning: Morning) -> str:
    """Return the new findings of a night as workflow commands of GitHub, the failures first.

    There are at most 10 of each level (error, warning, notice), because GitHub drops the others.
    """
    counts: dict[str, int] = {}
    lines = []
    for finding in morning.news:
        level = _LEVELS.get(finding.kind, "warning")
        counts[level] = counts.get(level, 0) + 1
        if counts[level] <= _MOST_ANNOTATIONS:
            lines.append(_annotation(finding, morning, level))
    return "".join(f"{line}\n" for line in lines)


def _annotation(finding: Finding, morning: Morning, level: str) -> str:
    card = views.card(finding, morning)
    place = _PLACE.match(card.evidence.place) if card.evidence is not None else None
    properties = {**(place.groupdict() if place else {}), "title": card.title}
    named = ",".join(f"{name}={_property(text)}" for name, text in properties.items())
    message = "\n".join((f"{card.kind}, {card.where}", *card.lines))
    return f"::{level} {named}::{_data(message)}"


def _data(text: str) -> str:
    # The percent sign comes first, so that those of the other escapes stay.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
