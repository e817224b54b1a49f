# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The client's library is used from C++, and built by other compilers and for other machines."""

import shutil
import subprocess
from pathlib import Path

from tests.builds.edited_headers import DRIVER

PROGRAM = """
#include "libosq.h"
int main() { osq_client client{}; return osq_client_open(&client, nullptr, 8192) ? 0 : 1; }
"""


def made(*arguments: str, client: Path = DRIVER / "client") -> subprocess.CompletedProcess[str]:
    """Return the result of make in the folder of the client."""
    return subprocess.run(
        ["make", "-s", "-C", client, *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def test_a_program_in_cpp_is_compiled_and_linked_with_the_library(tmp_path: Path) -> None:
    """A C++ program that includes libosq.h compiles, and links with libosq.a, built in C."""
    (tmp_path / "program.cc").write_text(PROGRAM)
    includes = [f"-I{DRIVER / name}" for name in ("uapi", "client")]
    options = ["-std=c++11", "-Wall", "-Wextra", "-Werror", *includes, "-o", "program"]

    library = made(f"O={tmp_path}", "SHARED=1", f"{tmp_path}/libosq.a")
    linked = subprocess.run(
        ["g++", *options, "program.cc", "libosq.a"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert library.returncode == 0, library.stdout
    assert linked.returncode == 0, linked.stderr


def copy_with_a_warning(to: Path) -> Path:
    """Return a copy of the client with something of which a compiler warns."""
    for name in ("client", "uapi"):
        shutil.copytree(DRIVER / name, to / name)
    file = to / "client" / "libosq.c"
    file.write_text(f"{file.read_text()}\nstatic int unused_by_everybody;\n")
    return to / "client"


def test_a_warning_stops_only_our_own_builds_of_the_client(tmp_path: Path) -> None:
    """A warning in libosq.c stops our make with WERROR=y; without that it is only printed."""
    client = copy_with_a_warning(tmp_path)
    library = f"{tmp_path}/out/libosq.a"

    ours = made(f"O={tmp_path}/out", "SHARED=1", "WERROR=y", library, client=client)
    theirs = made(f"O={tmp_path}/out", "SHARED=1", library, client=client)

    assert ours.returncode != 0
    assert theirs.returncode == 0, theirs.stdout
    assert "unused_by_everybody" in theirs.stdout


def test_the_library_refuses_to_be_built_for_a_big_endian_machine(tmp_path: Path) -> None:
    """There the compilation of libosq.c stops: it reads records in the driver's byte order."""
    order = "-Wno-builtin-macro-redefined -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"

    done = made(f"O={tmp_path}", "SHARED=1", f"CFLAGS={order}", f"{tmp_path}/libosq.a")

    assert done.returncode != 0
    assert "records are little-endian" in done.stdout
