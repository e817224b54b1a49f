# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Let the host's own apt see another Debian suite, with the host's sources and keys.

The suite's package lists are in the cache; the host's lists and installed packages do not change.
"""

import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import KernelError
from harness.host import apt, cache, tool

Progress = Callable[[str], None]

_LOCK_S = 600.0
_UPDATE_S = 300.0
# A day is fresh enough: a suite's security lists change a few times a week.
_FRESH_S = 86400.0
_STAMP = "updated"


def view(suite: str, *, root: Path, progress: Progress, arch: str = "") -> tuple[str, ...]:
    """Return the apt options that show a suite; its lists are fetched first if necessary.

    It is necessary when they are older than a day, or the host's sources have changed. With
    `arch`, apt also shows that architecture's packages, as NAME:ARCH. Packages of a suite of
    backports are preferred to those of the suite that it is for.
    Raises: KernelError with apt's last lines when the lists cannot be fetched; CacheBusy; Lost
        when the host's apt has no lists, or the disk is full.
    """
    name = f"suite-{suite}-{arch}" if arch else f"suite-{suite}"
    folder = root / "apt" / name
    options = _options(folder)
    if apt.base_suite(suite) != suite:
        options += (f"-o=APT::Default-Release={suite}",)
    if arch:
        options += ("-o=APT::Architectures::=amd64", f"-o=APT::Architectures::={arch}")
    held = cache.lock(
        root / "apt" / f".{name}.lock",
        what=f"lists of {suite}",
        deadline_s=_LOCK_S,
        progress=progress,
    )
    with held:
        stamp = folder / _STAMP
        sources = "".join(f"{line}\n" for line in apt.debian_sources(suite))
        fresh = stamp.is_file() and time.time() - stamp.stat().st_mtime < _FRESH_S
        if not fresh or (folder / "sources.list").read_text() != sources:
            progress(f"fetching the lists of {suite}")
            _prepare(folder, sources)
            _update(suite, options)
            stamp.touch()
    return options


def _options(folder: Path) -> tuple[str, ...]:
    places = {
        "Dir::State": folder / "state",
        # An empty file: packages that the host has installed do not count for another suite.
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "none",
    }
    options = [f"-o={name}={place}" for name, place in places.items()]
    # When root starts apt, apt switches to the user _apt, who may not read a cache of another
    # user.
    return (*options, "-o=APT::Sandbox::User=root", "-o=Acquire::Languages=none")


def _prepare(folder: Path, sources: str) -> None:
    for name in ("state/lists/partial", "cache/archives/partial", "none"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(sources)


def _update(suite: str, options: tuple[str, ...]) -> None:
    # Without this option apt-get only warns about lists that it cannot fetch, and exits with 0.
    command = ["apt-get", *options, "-o=APT::Update::Error-Mode=any", "update"]
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    done = tool.run(command, deadline_s=_UPDATE_S, error=KernelError, check=False, within=within)
    if done.status != 0:
        raise KernelError(
            f"the lists of {suite} cannot be fetched",
            hint="the host's Debian mirror may not have this suite",
            evidence=done.lines[-10:],
        )
