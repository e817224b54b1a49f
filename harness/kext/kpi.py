# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is known of XNU's kernel interface: which symbol is whose, and on which releases."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.host import toml_file

_FILE = Path(__file__).with_name("kpi_facts.toml")


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """One symbol: the library that has it, and the first release that is known to have it."""

    symbol: str
    library: str
    first: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The table: releases in order, symbols by name, and what is Apple's alone."""

    darwin: dict[str, int]
    symbols: dict[str, Kpi]
    refused_libraries: frozenset[str]
    refused_symbols: frozenset[str]

    @property
    def libraries(self) -> frozenset[str]:
        """Every library that a kext may name."""
        return frozenset(one.library for one in self.symbols.values())

    def release_of(self, darwin: int) -> str | None:
        """Return the macOS release of a version of Darwin."""
        return next((name for name, number in self.darwin.items() if number == darwin), None)

    def is_known_on(self, symbol: str, release: str) -> bool:
        """Tell whether a symbol is known to be there on a release."""
        return self.darwin[self.symbols[symbol].first] <= self.darwin[release]


@cache
def facts() -> Facts:
    """Return the table of this project."""
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
