# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.linux.refusals: a kernel's refusal of a module becomes a cause and a cure."""

import pytest

from harness.systems.linux import refusals
from harness.systems.linux.refusals import Refusal

MAGIC = "m: version magic '6.1.0-9 SMP ' should be '6.12.0-1 SMP '"


@pytest.mark.parametrize(
    ("words", "line", "says"),
    [
        ("", MAGIC, "built for 6.1.0-9 SMP, the guest runs 6.12.0-1 SMP"),
        ("", "m: Unknown symbol foo (err -2)", "nothing in this kernel exports foo"),
        ("", "m: disagrees about version of symbol foo", "foo has another version"),
        ("File exists", "", "the kernel has a m already (loaded)"),
        ("File exists", "m: exports duplicate symbol f (owned by n)", "f is exported by n"),
        ("", "m: `abc' invalid for parameter `count'", "count does not take 'abc'"),
        ("", "pci: Direct firmware load for a/b.fw failed with error -2", '"a/b.fw" = "PATH"'),
        ("", "m 1: firmware: failed to load a/b.fw (-2)", '"a/b.fw" = "PATH"'),
        ("No such device", "", "its init found no device"),
        ("Operation not permitted", "", "modules_disabled"),
        ("", "Loading of unsigned module is rejected", "module.sig_enforce=1"),
        ("", "Lockdown: insmod: unsigned module loading is restricted", "signed with a key"),
    ],
)
def test_the_hint_for_a_refused_module_names_the_cause_or_the_remedy_for_each_reason(
    words: str, line: str, says: str
) -> None:
    """From insmod's words and the kernel's lines comes a hint, such as a missing signature."""
    assert says in refusals.hint(Refusal(module="m", words=words, log=("noise", line)))


def test_a_module_with_the_name_of_a_built_in_module_gets_a_hint_that_says_so() -> None:
    """The hint for a name in use by a built-in module says that this module is built in."""
    found = refusals.hint(Refusal(module="m", words="File exists", built_in=True))

    assert "already (built in)" in found


def test_a_kernel_taint_line_with_only_an_errno_gives_no_hint_about_a_refusal() -> None:
    """'module verification failed' is only a taint, and not why insmod failed."""
    line = "m: module verification failed: signature and/or required key missing - tainting kernel"

    assert refusals.hint(Refusal(module="m", words="Invalid argument", log=(line,))) == ""


def test_module_parameters_that_the_kernel_log_calls_ignored_are_returned_once() -> None:
    """Unknown parameters in a kernel log are returned by name, each once."""
    line = "[  1.0] m: unknown parameter 'a' ignored"

    assert refusals.unknown_parameters((line, line, "other")) == ("a",)


@pytest.mark.parametrize("parameters", [(), ("format", "path")])
def test_the_hint_for_a_module_that_refuses_its_values_names_its_parameters_if_it_has_any(
    parameters: tuple[str, ...],
) -> None:
    """A module that needs a parameter, and got none, returns EINVAL without a line in the log."""
    refusal = Refusal(module="lime", words="Invalid parameters", parameters=parameters)

    found = refusals.hint(refusal)

    assert ("it has format, path (parameters = { format = ... }" in found) == bool(parameters)
    assert bool(found) == bool(parameters)


def test_the_hint_for_unknown_symbols_names_a_companion_that_was_refused_before() -> None:
    """The refused companion is the likely owner of the symbols, not another module."""
    line = "tp_smapi: Unknown symbol thinkpad_ec_lock (err -2)"
    refusal = Refusal(module="tp_smapi", words="", log=(line,), companions=("thinkpad_ec",))

    assert refusals.hint(refusal).startswith("the kernel refused thinkpad_ec before")
