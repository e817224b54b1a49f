# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the manual pages with the options of --help and with the functions of libosq.h."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "kernel" / "client"
OUT = ROOT / "build" / "client"
_OPTION = re.compile(r"^ *-(\w), --([\w-]+)(?: ([A-Z_]+))?", re.MULTILINE)
_MAN_OPTION = re.compile(
    r"^\.BR -(\w) \", \" --([\w-]+)(?: \" \" \\fI([A-Z_]+)\\fR)?$", re.MULTILINE
)
_FUNCTION = re.compile(r"\b(osq_client_\w+)\(")


def page(name: str) -> str:
    """Return a manual page's source, with hyphens as they are printed."""
    return (CLIENT / "man" / name).read_text().replace("\\-", "-")


def options(text: str, pattern: re.Pattern[str]) -> list[tuple[str, str, str]]:
    """Return letter, name and argument of each option, in order."""
    return [(found[1], found[2], found[3] or "") for found in pattern.finditer(text)]


@pytest.mark.parametrize("program", ["osqtail", "osqstat"])
def test_manual_page_lists_exactly_the_options_that_help_prints(program: str) -> None:
    """osqtail.8 and osqstat.8 have exactly the options of each --help, in the same order."""
    subprocess.run(["make", "-s", "-C", CLIENT, f"O={OUT}"], check=True)
    done = subprocess.run([OUT / program, "--help"], check=True, capture_output=True, text=True)

    listed = options(done.stdout, _OPTION)

    assert len(listed) >= 3
    assert options(page(f"{program}.8"), _MAN_OPTION) == listed


@pytest.mark.parametrize("program", ["osqtail", "osqstat"])
def test_option_version_prints_the_programs_name_and_the_version_of_the_release(
    program: str,
) -> None:
    """`osqtail --version` shows the number of pyproject.toml, which a bug report has to name."""
    subprocess.run(["make", "-s", "-C", CLIENT, f"O={OUT}"], check=True)
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    for option in ("--version", "-V"):
        done = subprocess.run([OUT / program, option], check=True, capture_output=True, text=True)
        assert done.stdout == f"{program} {number}\n"


def test_manual_page_lists_exactly_the_functions_of_libosq_h() -> None:
    """The synopsis of libosq.3 has exactly the functions that libosq.h declares."""
    declared = set(_FUNCTION.findall((CLIENT / "libosq.h").read_text()))
    synopsis = page("libosq.3").partition(".SH DESCRIPTION")[0]

    assert len(declared) > 5
    assert set(_FUNCTION.findall(synopsis)) == declared


def test_options_read_from_a_manual_page_differ_if_one_is_left_out_or_has_another_argument() -> (
    None
):
    """An osqtail.8 without --env, or with another argument of an option, is found different."""
    whole = options(page("osqtail.8"), _MAN_OPTION)

    lacking = page("osqtail.8").replace(', " --env', ', " env')
    other = page("osqtail.8").replace("\\fIPATTERN\\fR", "\\fIPATH\\fR")

    assert options(lacking, _MAN_OPTION) != whole
    assert options(other, _MAN_OPTION) != whole
