# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is shipped contains nothing of the test build: asked of the binaries themselves."""

import subprocess
from pathlib import Path

from harness.handoff import Handoff

# Symbols, strings and parameters that only the test build has.
MARKS = ("osq_test", "osq_crash", "i_know_this_is_a_test", "test_produce", "asked for a panic")


def marks_in(module: Path) -> set[str]:
    """Return which marks of the test build a module's bytes contain, symbol table included."""
    data = module.read_bytes()
    names = subprocess.run(["nm", module], check=True, capture_output=True).stdout
    return {mark for mark in MARKS if mark.encode() in data + names}


def test_the_release_has_no_trace_of_the_test_build(harness_handoff: Handoff) -> None:
    """Neither code nor strings nor parameters; and the search does find them where they are."""
    assert marks_in(harness_handoff.variants["test"].stripped) == set(MARKS)
    assert marks_in(harness_handoff.build.stripped) == set()
    assert harness_handoff.build.name != harness_handoff.variants["test"].name
