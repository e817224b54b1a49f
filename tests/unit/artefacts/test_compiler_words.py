# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""compiler_words: of a long log, the cause stays, under the developer's own file names."""

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
def test_the_cause_is_not_cut_away(cause: str) -> None:
    """It comes first, and warnings before it do not take its place."""
    warnings = ["/copy/y.c:1:1: warning: unused"] * 60
    lines = [*warnings, *NOISE, cause, *["at the end"] * 3, *NOISE, MAKE]

    assert compiler_words.telling(lines)[0] == cause


def test_without_an_error_the_warnings_or_the_end_are_shown() -> None:
    """Make's own words on who failed are no cause."""
    assert compiler_words.telling([*NOISE, "x: warning: odd", MAKE])[0] == "x: warning: odd"
    assert compiler_words.telling([*NOISE, MAKE], most=2) == [NOISE[-1], MAKE]


def test_the_copy_is_called_as_the_developer_calls_it() -> None:
    """src/x.c:75, not a folder below build/."""
    names = {Path("/copy"): compiler_words.shown_name(Path("/p/src"), Path("/p"))}

    assert compiler_words.shown(["/copy/x.c:75: error: e"], names) == ["src/x.c:75: error: e"]
    assert compiler_words.shown_name(Path("/p"), Path("/p")) == ""
    assert compiler_words.shown_name(Path("/q"), Path("/p")) == "/q"
