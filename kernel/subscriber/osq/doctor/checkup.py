# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""All checks of `osq doctor`, one after the other."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from osq import config
from osq.doctor import beside, driver, place
from osq.doctor.findings import Finding, Level, missing, ok
from osq.doctor.machine import Machine
from osq.errors import ConfigError
from osq.output import shown

_SUBJECT_WIDTH = 8


def checkup(machine: Machine, file: Path | None) -> Iterator[Finding]:
    """Yield what each check of `osq doctor` has found about this machine.

    file: the configuration to check, None for the usual one. When it is wrong, the checks that
    need it are left out.
    """
    default = machine.at(config.DEFAULT_CONFIG)
    chosen = file or (default if default.exists() else None)
    yield from driver.driver(machine)
    try:
        settings = config.load(chosen)
    except ConfigError as error:
        yield missing("config", error.message, "correct it: the daemon does not start with it")
        return
    where = "the defaults are used: there is no file" if chosen is None else f"{chosen} is right"
    yield ok("config", where)
    yield from driver.device(machine, settings.device)
    yield from place.store(machine, settings)
    yield from place.disk(machine, settings)
    yield from place.watches(machine, settings)
    yield from place.clock(machine)
    yield from beside.audit(machine)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the lines that `osq doctor` prints; advice on a finding is on a line after it."""
    for one in findings:
        head = f"{one.level.value:7}  {one.subject:{_SUBJECT_WIDTH}}"
        yield f"{head} {shown(one.message)}"
        if one.advice:
            yield f"{'':{len(head)}} -> {shown(one.advice)}"


def is_missing(findings: Iterable[Finding]) -> bool:
    """Return whether a finding is MISSING, so that events are not recorded, or may be lost."""
    return any(one.level is Level.MISSING for one in findings)
