# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""refusals: what a kernel logs when it refuses a module becomes a cause and a cure."""

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
def test_a_refusal_has_a_cause(words: str, line: str, says: str) -> None:
    """Each of the kernel's reasons is told with what helps."""
    assert says in refusals.hint(Refusal(module="m", words=words, log=("noise", line)))


def test_a_built_in_name_is_told_so() -> None:
    """What is built in cannot be unloaded to make room."""
    found = refusals.hint(Refusal(module="m", words="File exists", built_in=True))

    assert "already (built in)" in found


def test_another_line_is_no_refusal() -> None:
    """A tainting line is no refusal, and an errno alone proves nothing."""
    line = "m: module verification failed: signature and/or required key missing - tainting kernel"

    assert refusals.hint(Refusal(module="m", words="Invalid argument", log=(line,))) == ""


def test_ignored_parameters_are_found() -> None:
    """By their names, each once."""
    line = "[  1.0] m: unknown parameter 'a' ignored"

    assert refusals.unknown_parameters((line, line, "other")) == ("a",)
