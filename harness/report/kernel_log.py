# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Cut a console into the kernel log of each test, by the marks that the tests leave in it.

Pure. Lines before the first mark and between tests belong to the test before them, under its own
name with `after-` in front: a fault there was caused by something that already ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.panic.markers import MarkerKind, parse_marker


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """The console lines from one mark to the next; `name` is a test, `after-TEST` or `start`."""

    name: str
    lines: tuple[str, ...]


def split(lines: Iterable[str]) -> Iterator[LogPart]:
    """Yield the parts of a console in order; parts without a line are left out."""
    name = "start"
    part: list[str] = []
    for line in lines:
        marker = parse_marker(line)
        begins = marker is not None and marker.kind is MarkerKind.TEST_BEGIN
        if begins and marker is not None:
            yield from _part(name, part)
            name, part = marker.name, []
        part.append(line)
        if marker is not None and marker.kind is MarkerKind.TEST_END:
            yield from _part(name, part)
            name, part = f"after-{marker.name}", []
    yield from _part(name, part)


def _part(name: str, lines: list[str]) -> Iterator[LogPart]:
    if lines:
        yield LogPart(name=name, lines=tuple(lines))
