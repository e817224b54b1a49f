# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find values of the configuration that have the right type but cannot work. Pure.

`machines.wrong_key` checks the values of a target's machine.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from harness.model.machines import ImageChange, out_of_range
from harness.model.settings import ModuleSpec, Settings

# A name is part of a path and of a command line.
_NAME = re.compile(r"(?![.-])[^\s/\0]+")
# A package, a suite or a compiler is a word that no program takes for an option.
_WORD = re.compile(r"(?!-)[^\s\0]+")
_MODES = (0, 0o7777)
_COUNTS = (0, 2**31)
# A longer time would overflow when it is multiplied and waited for.
_MOST_S = 1e7

Problems = Iterator[tuple[str, str]]


def wrong_value(settings: Settings) -> tuple[str, str] | None:
    """Return the first key whose value cannot work, and what is expected of it, or None."""
    found = (*_limits(settings), *_names(settings), *_of_module(settings.module))
    return next((problem for problem in found if problem[1]), None)


def _limits(settings: Settings) -> Problems:
    for key, value in asdict(settings.timeouts).items():
        yield f"timeouts.{key}", _positive(value)
    for key, count in asdict(settings.vmcores).items():
        yield f"vmcores.{key}", _outside(count, _COUNTS)
    for test in settings.tests:
        yield f"tests ({test.name}).deadline_s", _positive(test.deadline_s)
    for name, target in settings.targets.items():
        if isinstance(target.image, ImageChange) and target.image.size_mib is not None:
            size_mib = out_of_range("size_mib", target.image.size_mib)
            yield f"targets.{name}.image.size_mib", size_mib
    if settings.packages is not None:
        yield "packages.abi_test_bit", _no_bit(settings.packages.abi_test_bit)
    shared = settings.shared_cache
    relative = shared is not None and not shared.is_absolute()
    yield "shared_cache", f"{shared} is no absolute path of a folder" if relative else ""
    for pattern in settings.allow_kernel_lines:
        yield "allow_kernel_lines", _no_expression(pattern)


def _names(settings: Settings) -> Problems:
    tables: dict[str, Iterable[str]] = {
        "targets": settings.targets,
        "kernels": settings.kernels,
        "builds": settings.builds,
        "module.variants": settings.module.variants,
    }
    for key, table in tables.items():
        yield from _matching(key, table, _NAME)
    names = [test.name for test in settings.tests]
    yield from _matching("tests (name)", (name.replace(" ", "_") for name in names), _NAME)
    for name, count in Counter(names).items():
        yield "tests (name)", f"{count} suites are called {name!r}" if count > 1 else ""
    for name, kernel in settings.kernels.items():
        words = {
            "package": kernel.package,
            "source": kernel.source,
            "suite": kernel.suite,
            "cc": kernel.cc,
        }
        for key, word in words.items():
            yield from _matching(f"kernels.{name}.{key}", [word] if word else [], _WORD)
    for name, build in settings.builds.items():
        yield from _matching(f"builds.{name}.headers", [build.headers], _WORD)
        for key, word in {"suite": build.suite, "cc": build.cc}.items():
            yield from _matching(f"builds.{name}.{key}", [word] if word else [], _WORD)
    for name, target in settings.targets.items():
        if isinstance(target.image, ImageChange):
            packages = target.image.packages
            yield from _matching(f"targets.{name}.image.packages", packages, _WORD)


def _of_module(module: ModuleSpec) -> Problems:
    yield from _matching("module.name", [module.name], _NAME)
    for key, variant in module.variants.items():
        yield from _matching(f"module.variants.{key}.name", [variant.name], _NAME)
    yield "module.build_deadline_s", _positive(module.build_deadline_s)
    yield from _matching("module.build_needs", module.build_needs, _WORD)
    for command in module.companions:
        yield "module.companions", "" if command and command[0] else "a command has no words"
    for push in module.push:
        key = f"module.push ({push.target})"
        absolute = push.target.startswith("/") and not push.target.endswith("/")
        yield f"{key}.target", "" if absolute else "the absolute path of a file is expected"
        yield f"{key}.mode", _outside(push.mode, _MODES)


def _matching(key: str, words: Iterable[str], pattern: re.Pattern[str]) -> Problems:
    for word in words:
        yield key, "" if pattern.fullmatch(word) else f"{word!r} is no name"


def _positive(seconds: float) -> str:
    good = 0 < seconds <= _MOST_S
    return "" if good else f"{seconds:g} is no positive number up to {_MOST_S:,.0f}"


def _no_bit(value: int) -> str:
    single = value >= 0 and value & (value - 1) == 0
    return "" if single else f"{value} is neither 0 nor a power of two"


def _outside(value: int, limits: tuple[int, int]) -> str:
    least, most = limits
    return "" if least <= value <= most else f"{value} is not from {least} to {most}"


def _no_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{pattern!r} is no regular expression: {error}"
    return ""
