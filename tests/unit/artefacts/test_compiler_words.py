# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.compiler_words: a long build log is shortened to its causes."""

from pathlib import Path

import pytest

from harness.artefacts import compiler_words

NOISE = [f"  CC [M]  /copy/f{number}.o" for number in range(100)]
MAKE = "make[1]: *** [Makefile:1: x.o] Error 127"


@pytest.mark.parametrize(
    "cause",
    [
        "/bin/sh: 1: x86_64-linux-gnu-gcc-14: not found",
        "/bin/sh: 1: asn1c: not found",
        "make: asn1c: No such file or directory",
        "make[2]: *** No rule to make target 'x.c', needed by 'x.o'.  Stop.",
        "/copy/x.c:75:5: error: implicit declaration of function 'f'",
        'ERROR: modpost: "f" [/copy/x.ko] undefined!',
        "configure: error: no acceptable C compiler",
        "! Error: Can not find iptables version",
    ],
)
def test_the_shortened_log_begins_with_the_first_error(cause: str) -> None:
    """A failed build's log, shortened, begins with the first error of shell, make or compiler."""
    warnings = ["/copy/y.c:1:1: warning: unused"] * 60
    lines = [*warnings, *NOISE, cause, *["at the end"] * 3, *NOISE, MAKE]

    assert compiler_words.telling(lines)[0] == cause


def test_a_log_without_an_error_is_shortened_to_its_warnings_or_last_lines() -> None:
    """Of a failed build's log, the warnings are shown if it has no error, else its last lines."""
    assert compiler_words.telling([*NOISE, "x: warning: odd", MAKE])[0] == "x: warning: odd"
    assert compiler_words.telling([*NOISE, MAKE], most=2) == [NOISE[-1], MAKE]


def test_compiler_messages_have_the_path_of_the_source_and_not_of_its_copy() -> None:
    """The build's messages name the developer's src/x.c:75, not the copy in build/."""
    names = {Path("/copy"): compiler_words.shown_name(Path("/p/src"), Path("/p"))}

    assert compiler_words.shown(["/copy/x.c:75: error: e"], names) == ["src/x.c:75: error: e"]
    assert compiler_words.shown_name(Path("/p"), Path("/p")) == ""
    assert compiler_words.shown_name(Path("/q"), Path("/p")) == "/q"
