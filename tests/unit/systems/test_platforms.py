# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.platforms: both systems' modules have the same functions and parameters."""

import inspect
from types import ModuleType

import pytest

from harness.systems.linux import kmod
from harness.systems.linux import setup as linux_setup
from harness.systems.macos import kextload
from harness.systems.macos import setup as macos_setup
from harness.systems.platforms import Platform, Setup


def functions(module: ModuleType) -> dict[str, list[tuple[object, ...]]]:
    """Return the public functions that a module defines, with name and kind of each parameter."""
    return {
        name: [
            (one.name, one.kind, one.default)
            for one in inspect.signature(member).parameters.values()
        ]
        for name, member in vars(module).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and member.__module__ == module.__name__
    }


def promised(protocol: type) -> set[str]:
    """Return the names of the functions that a protocol declares."""
    return {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("linux", "macos", "protocol"),
    [
        (kmod, kextload, Platform),
        (linux_setup, macos_setup, Setup),
    ],
)
def test_both_platforms_have_the_same_functions(
    linux: ModuleType, macos: ModuleType, protocol: type
) -> None:
    """Linux and macOS modules have equal functions: those of their protocol and `examine`."""
    one, other = functions(linux), functions(macos)

    assert one == other
    assert set(one) - {"examine"} == promised(protocol)


def test_modules_with_another_function_name_or_parameter_compare_as_unequal() -> None:
    """The comparison of two modules notices a different name and a different parameter."""
    assert functions(kmod) != functions(linux_setup)
    changed = functions(kmod)
    changed["load"] = changed["load"][:-1]
    assert changed != functions(kextload)
