# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Warnings stop our own builds, and nobody else's."""

from tests.builds.edited_headers import EditedHeaders

UNUSED = "\nstatic int unused_by_everybody;\n"


def add_a_warning(headers: EditedHeaders) -> None:
    """Add to a file of the driver what a compiler warns of."""
    file = headers.driver / "os" / "linux" / "main.c"
    file.write_text(file.read_text() + UNUSED)


def test_a_warning_stops_no_build_for_a_kernel_that_makes_warnings_errors(
    headers: EditedHeaders,
) -> None:
    """With -Werror from a CONFIG_WERROR=y kernel, a driver with a warning is still built."""
    add_a_warning(headers)

    done = headers.make("main.o", KCPPFLAGS="-Werror")

    assert done.returncode == 0, done.stdout
    assert "unused_by_everybody" in done.stdout


def test_a_warning_stops_a_build_with_osq_werror(headers: EditedHeaders) -> None:
    """With OSQ_WERROR=y, as in our own builds, a warning in the driver's main.c is an error."""
    add_a_warning(headers)

    done = headers.make("main.o", OSQ_WERROR="y")

    assert done.returncode != 0
    assert "unused_by_everybody" in done.stdout
