# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Facts about XNU's kernel interface: each symbol's library and first known release."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.host import toml_file

_FILE = Path(__file__).with_name("kpi_facts.toml")


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """One symbol of XNU's kernel interface: its library, and its first known release."""

    symbol: str
    library: str
    first: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The table of facts on XNU's symbols: releases in order, symbols, reserved symbols."""

    darwin: dict[str, int]
    symbols: dict[str, Kpi]
    refused_libraries: frozenset[str]
    refused_symbols: frozenset[str]

    @property
    def libraries(self) -> frozenset[str]:
        """All libraries of kernel symbols that a kext's Info.plist may name."""
        return frozenset(one.library for one in self.symbols.values())

    def release_of(self, darwin: int) -> str | None:
        """Return the macOS release for a version of Darwin, or None for an unknown version."""
        return next((name for name, number in self.darwin.items() if number == darwin), None)

    def is_known_on(self, symbol: str, release: str) -> bool:
        """Return whether a release is known to have a symbol."""
        return self.darwin[self.symbols[symbol].first] <= self.darwin[release]


@cache
def facts() -> Facts:
    """Return the facts about XNU's symbols that kpi_facts.toml lists."""
    table = toml_file.read(_FILE)
    oldest = next(iter(table["releases"]))
    lists = {oldest: table["both"], **table["later"]}
    symbols = {
        name: Kpi(symbol=name, library=library, first=release)
        for release, libraries in lists.items()
        for library, names in libraries.items()
        for name in names
    }
    return Facts(
        darwin=table["releases"],
        symbols=symbols,
        refused_libraries=frozenset(table["refused"]["libraries"]),
        refused_symbols=frozenset(table["refused"]["symbols"]),
    )
