# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every kind of suite runs in a guest; mistakes in the tests end a run before its guest starts."""

from pathlib import Path

from tests.system.whole_run import Project

SUITES = """
[[tool.harness.tests]]
name = "host"
pytest = "tests/host"

[[tool.harness.tests]]
name = "smoke"
command = "grep -q '^greeter ' /proc/modules"
judge = "exit-code"

[[tool.harness.tests]]
name = "selftests"
kselftest = "tests/selftests"

[[tool.harness.tests]]
name = "block"
blktests = "tests/blktests"
"""
HOST = """
def test_it_is_loaded(driver): assert driver.is_loaded()

def test_a_command(guest): guest.run("cat /no/such/file", deadline_s=60)
"""
SELFTESTS = {
    "cases.sh": "echo KTAP version 1; echo 1..2; echo ok 1 a; echo seen; echo not ok 2 b; exit 1",
    "good.sh": "test -c /dev/greeter",
    "skips.sh": "echo '1..0 # SKIP no such device'; exit 4",
}
# It prints what `check` of blktests prints.
CHECK = """#!/bin/sh
case $1 in
*/001) echo "$1 (stress the loop)          [passed]"; echo "    runtime  ...  0.1s" ;;
*/002) echo "$1 (needs a device)           [not run]"; echo "    no TEST_DEVS" ;;
*) echo "$1 (differs)                      [failed]"; echo "    +bad output"; exit 1 ;;
esac
"""


def script(file: Path, text: str) -> None:
    """Write a file that may be executed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def with_every_kind(project: Project) -> None:
    """Give the project one suite of every kind besides its command that prints KTAP."""
    tests = project.root / "tests"
    script(tests / "host" / "test_host.py", HOST)
    for name, text in SELFTESTS.items():
        script(tests / "selftests" / name, f"#!/bin/sh\n{text}\n")
    script(tests / "blktests" / "check", CHECK)
    for name in ("001", "002", "003"):
        script(tests / "blktests" / "tests" / "loop" / name, "#!/bin/sh\n")
    file = project.root / "pyproject.toml"
    file.write_text(file.read_text() + SUITES)


def test_a_run_with_every_kind_of_suite_reports_each_tests_verdict(project: Project) -> None:
    """One kernel-test runs KTAP, pytest, a command, kselftest and blktests in a real guest."""
    with_every_kind(project)

    run = project.run(deadline_s=900)

    assert run.code == 1, run.output
    results = {result["name"]: result for result in run.report["results"]}
    assert {name: result["verdict"] for name, result in results.items()} == {
        "module_is_listed": "passed",
        "device_is_private": "passed",
        "test_host::test_it_is_loaded": "passed",
        "test_host::test_a_command": "failed",
        "smoke": "passed",
        "cases.sh/a": "passed",
        "cases.sh/b": "failed",
        "good.sh": "passed",
        "skips.sh": "skipped",
        "loop/001": "passed",
        "loop/002": "skipped",
        "loop/003": "failed",
    }
    command = results["test_host::test_a_command"]["diagnostics"]
    assert any("No such file" in line for line in command)
    assert any('guest.run("cat /no/such/file"' in line for line in command)
    assert "seen" in results["cases.sh/b"]["diagnostics"]
    assert "    +bad output" in results["loop/003"]["diagnostics"]
    assert "2 of 2)" in run.output


def test_a_command_after_two_dashes_runs_in_a_guest_and_its_nonzero_exit_fails_the_run(
    project: Project,
) -> None:
    """`kernel-test -- COMMAND` runs with the module loaded; status 3 makes its exit code 1."""
    run = project.run("--", "grep greeter /proc/modules; echo words >&2; exit 3")

    assert run.code == 1, run.output
    assert "   words\n" in run.output
    assert "greeter 16384" in run.output
    assert run.report["reason"] == "command failed"


def test_an_invalid_k_expression_an_unknown_test_name_or_a_failing_import_starts_no_guest(
    project: Project,
) -> None:
    """kernel-test boots no guest, and exits with 2; for the failing import it exits with 1."""
    with_every_kind(project)

    for options, code, said in (
        (("-k", "smoke and"), 2, "-k 'smoke and': "),
        (("-k", "no_such_test"), 2, "selects no test"),
        (("no_such_test",), 2, "no test no_such_test"),
    ):
        run = project.run(*options)
        assert run.code == code, run.output
        assert said in run.output
        assert not run.folder.exists()
    script(project.root / "tests" / "host" / "test_more.py", "import no_such_module\n")

    run = project.run()

    assert run.code == 1, run.output
    assert run.report["reason"].endswith("No module named 'no_such_module'")
    assert "== guest" not in run.output
