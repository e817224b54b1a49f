# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of test_kinds.guest_folder: the tests of each form of a folder, and what is copied."""

from pathlib import Path

import pytest

from harness.errors import TestsBroken
from harness.model.listed import ListedSuite
from harness.model.settings import TestSpec
from harness.test_kinds import guest_folder

# The two rules of the kernel's lib.mk that are called; its own text is not copied here.
LIB_MK = """
OUTPUT ?= $(CURDIR)
install: $(addprefix $(OUTPUT)/,$(TEST_GEN_PROGS))
\tcp $^ $(TEST_PROGS) $(INSTALL_PATH)/
emit_tests:
\t@for one in $(TEST_GEN_PROGS) $(TEST_PROGS); do echo "$(COLLECTION):$$one"; done
$(OUTPUT)/%: %.c
\t$(CC) -o $@ $<
"""


def program(file: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    """Write a file that may be executed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def listed(folder: Path, **options: object) -> ListedSuite:
    """Return the suite of a folder of selftests."""
    spec = TestSpec(name="selftests", kselftest=folder, **options)  # type: ignore[arg-type]
    return guest_folder.listed(spec, build=folder.parent / "build")


def test_each_program_of_a_plain_folder_is_a_test(tmp_path: Path) -> None:
    """Of a suite's folder, executable files are tests; the others are only copied to the guest."""
    folder = tmp_path / "selftests"
    program(folder / "b.sh")
    program(folder / "a test.sh")
    program(folder / "settings", "timeout=3\n", 0o644)

    suite = listed(folder)

    assert suite.names == ("a_test.sh", "b.sh")
    assert suite.tests[0].command == "cd /var/tmp/harness-tests/selftests/. && ./'a test.sh'"
    assert {(one.target, one.mode) for one in guest_folder.files(suite)} == {
        ("/var/tmp/harness-tests/selftests/a test.sh", 0o755),
        ("/var/tmp/harness-tests/selftests/b.sh", 0o755),
        ("/var/tmp/harness-tests/selftests/settings", 0o644),
    }


def test_installed_selftests_are_the_entries_of_kselftest_list_that_match_a_given_pattern(
    tmp_path: Path,
) -> None:
    """Each kernel selftest of kselftest-list.txt starts in its collection's folder."""
    folder = tmp_path / "kselftest"
    program(folder / "net" / "one.sh")
    program(folder / "run_kselftest.sh")
    (folder / "kselftest-list.txt").write_text("net:one.sh\ntimers:two\n")

    suite = listed(folder, only=("net:*",))

    assert suite.names == ("net:one.sh",)
    assert suite.tests[0].command == "cd /var/tmp/harness-tests/selftests/net && ./one.sh"


def test_a_folder_with_a_lib_mk_makefile_is_built_elsewhere_and_its_programs_are_tests(
    tmp_path: Path,
) -> None:
    """A folder with such a Makefile is built outside of the source, and its programs are tests."""
    folder = tmp_path / "greeter"
    program(folder / "shell.sh")
    program(folder / "compiled.c", "int main(void) { return 4; }\n", 0o644)
    (tmp_path / "lib.mk").write_text(LIB_MK)
    (folder / "Makefile").write_text(
        "TEST_PROGS := shell.sh\nTEST_GEN_PROGS := compiled\ninclude ../lib.mk\n"
    )

    suite = listed(folder)

    assert suite.names == ("compiled", "shell.sh")
    targets = [one.target for one in guest_folder.files(suite)]
    assert targets == [f"/var/tmp/harness-tests/selftests/{name}" for name in suite.names]
    assert sorted(file.name for file in folder.iterdir()) == ["Makefile", "compiled.c", "shell.sh"]


def test_a_compiler_error_in_a_selftest_raises_tests_broken_with_the_compilers_message(
    tmp_path: Path,
) -> None:
    """A compiler's error ends in TestsBroken with the compiler's words."""
    folder = tmp_path / "greeter"
    program(folder / "compiled.c", "this is not C\n", 0o644)
    (tmp_path / "lib.mk").write_text(LIB_MK)
    (folder / "Makefile").write_text("TEST_GEN_PROGS := compiled\ninclude ../lib.mk\n")

    with pytest.raises(TestsBroken) as caught:
        listed(folder)

    assert any("compiled.c:1" in line for line in caught.value.evidence)


def test_the_tests_of_blktests_are_its_numbered_files(tmp_path: Path) -> None:
    """Of a blktests checkout, git's files and old results are not copied to the guest."""
    folder = tmp_path / "blktests"
    program(folder / "check")
    for name in ("tests/loop/001", "tests/block/002", "tests/block/rc", "tests/block/002.out"):
        program(folder / name)
    program(folder / ".git" / "HEAD")
    program(folder / "results" / "nodev" / "loop" / "001")

    spec = TestSpec(name="blk", blktests=folder, only=("*/00[12]",))
    suite = guest_folder.listed(spec, build=tmp_path)

    assert suite.names == ("block/002", "loop/001")
    assert suite.tests[1].command == "cd /var/tmp/harness-tests/blk/. && ./check loop/001"
    assert len(guest_folder.files(suite)) == 5


def test_a_test_folder_without_an_executable_program_is_an_error(tmp_path: Path) -> None:
    """The error for a suite's folder in which no file may be executed names the folder."""
    (tmp_path / "README").write_text("nothing\n")

    with pytest.raises(TestsBroken, match=f"no program that may be executed in {tmp_path}"):
        listed(tmp_path)
