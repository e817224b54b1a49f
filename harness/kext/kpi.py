# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel symbols that kexts may use: the KPI library and the first known macOS of each."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.host import toml_file

_FILE = Path(__file__).with_name("kpi_facts.toml")


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """A kernel symbol for kexts: its KPI library, and the first macOS known to export it."""

    symbol: str
    library: str
    first: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The content of kpi_facts.toml: which kernel symbols kexts may use, and on which macOS.

    `darwin` has the major version of Darwin for each release of macOS, oldest first.
    `refused_libraries` and `refused_symbols` are reserved for Apple's own kexts.
    """

    darwin: dict[str, int]
    symbols: dict[str, Kpi]
    refused_libraries: frozenset[str]
    refused_symbols: frozenset[str]

    @property
    def libraries(self) -> frozenset[str]:
        """The KPI libraries that the table has symbols of, such as com.apple.kpi.bsd."""
        return frozenset(one.library for one in self.symbols.values())

    def release_of(self, darwin: int) -> str | None:
        """Return the macOS release with this major version of Darwin, None if it is unknown."""
        return next((name for name, number in self.darwin.items() if number == darwin), None)

    def is_known_on(self, symbol: str, release: str) -> bool:
        """Return whether a release of macOS is known to export a kernel symbol.

        Raises: KeyError for a symbol or a release that the table does not have.
        """
        return self.darwin[self.symbols[symbol].first] <= self.darwin[release]


@cache
def facts() -> Facts:
    """Return the table of kernel symbols in kpi_facts.toml."""
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
