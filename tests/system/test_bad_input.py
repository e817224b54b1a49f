# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bad input ends in its own exit code and one clear error, never in a traceback."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.whole_run import Project, Run

PARAMETERS = 'source = "src"\nparameters.mode = "{}"'


def refused(run: Run, code: int, *says: str) -> None:
    """Check a run's exit code and error text, and that it printed no traceback."""
    assert run.code == code, run.output
    assert "Traceback" not in run.output
    for text in says:
        assert text in run.output, run.output


def test_a_run_whose_module_does_not_compile_exits_with_1_and_prints_the_compilers_error(
    project: Project,
) -> None:
    """kernel-test of the example module, with a syntax error in greeter.c, prints its error."""
    project.replace("src/greeter.c", 'pr_info("greeter: hello\\n");', "this is not C;")

    refused(project.run(), 1, "greeter.c:", "error:")


def test_when_the_modules_init_fails_the_run_exits_with_1_and_explains_the_errno_in_words(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """In a real guest init returns EADDRINUSE; the error says "Address already in use"."""
    project.replace("pyproject.toml", 'source = "src"', PARAMETERS.format("refuse"))

    refused(project.run(), 1, "greeter", "Address already in use")
    assert nothing_left() == set()


def test_an_unknown_module_parameter_fails_the_run_with_an_error_that_lists_the_known_ones(
    project: Project,
) -> None:
    """A parameter in pyproject.toml that the module lacks ends kernel-test with exit code 1."""
    project.replace("pyproject.toml", 'source = "src"', 'source = "src"\nparameters.nothing = "1"')

    refused(project.run(), 1, "greeter has no parameter nothing", "its parameters are: mode")


def test_a_run_whose_kernel_lacks_a_module_that_its_module_needs_exits_with_1_and_names_it(
    project: Project,
) -> None:
    """`needs` in pyproject.toml names a module that the guest's kernel does not have."""
    project.replace("pyproject.toml", 'source = "src"', 'source = "src"\nneeds = ["nothing"]')

    refused(project.run(), 1, "nothing, which it needs, is missing", "has no module nothing")


def test_a_run_whose_module_init_exceeds_the_load_deadline_exits_with_3(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """In a real guest the example module's init hangs longer than timeouts.load_s allows.

    Nothing is left running.
    """
    project.replace("pyproject.toml", 'source = "src"', PARAMETERS.format("hang"))
    project.replace(
        "pyproject.toml", "[tool.harness.module]", "timeouts.load_s = 2.0\n\n[tool.harness.module]"
    )

    refused(project.run(), 3, "greeter")
    assert nothing_left() == set()


def test_a_run_whose_module_init_oopses_exits_with_3_and_its_console_log_names_the_init(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """In a real guest the example's init oopses; console.log of the run has greeter_init."""
    project.replace("pyproject.toml", 'source = "src"', PARAMETERS.format("oops"))

    run = project.run()

    refused(run, 3)
    assert "greeter_init" in (run.folder / "console.log").read_text(errors="replace")
    assert nothing_left() == set()


def test_after_a_panic_the_run_exits_with_3_and_the_test_that_was_running_is_reported_as_crashed(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """In a real guest the example's test command panics the kernel; console.log is kept."""
    project.replace(
        "tests/greeter.sh",
        'if [ "$(stat',
        'echo "# harness: start device_is_private"\n'
        "sleep 1; echo c > /proc/sysrq-trigger; sleep 5\n"
        'if [ "$(stat',
    )

    run = project.run()

    refused(run, 3, "device_is_private", "sysrq triggered crash")
    verdicts = {result["name"]: result["verdict"] for result in run.report["results"]}
    assert verdicts == {"module_is_listed": "passed", "device_is_private": "crashed"}
    assert "crashed" in run.report["witnesses"]["libvirt"]
    assert "Kernel panic" in (run.folder / "console.log").read_text(errors="replace")
    assert nothing_left() == set()


@pytest.mark.long
def test_a_guest_whose_heartbeat_stops_in_a_lockup_is_reported_as_a_hang(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """All CPUs of a real guest spin with interrupts off: no heartbeat reaches the console."""
    project.replace("pyproject.toml", 'source = "src"', PARAMETERS.format("lockup"))
    project.replace(
        "pyproject.toml",
        "[tool.harness.module]",
        "timeouts.silence_s = 2.0\n\n[tool.harness.module]",
    )
    project.replace("tests/greeter.sh", 'if [ "$(stat', ': < /dev/greeter\nif [ "$(stat')

    run = project.run()

    refused(run, 3, "hangs", "heartbeat")
    (found,) = run.report["crashes"]
    assert found["cause"] == "hang"
    assert nothing_left() == set()


def test_a_run_whose_suite_announces_no_test_exits_with_4(project: Project) -> None:
    """The example's KTAP command prints nothing in a real guest: an error, not a pass."""
    project.replace("tests/greeter.sh", "echo", ": echo")

    refused(project.run(), 4, "no test")


def test_a_run_whose_kernel_does_not_find_its_root_label_exits_with_3_or_4_and_prints_the_label(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """A real guest with root=LABEL=nowhere never answers; the console's end is in the error."""
    project.replace(
        "pyproject.toml",
        'kernel = "debian-12-cloud"\n',
        'kernel = "debian-12-cloud"\ncmdline = "root=LABEL=nowhere"\n',
    )
    project.replace(
        "pyproject.toml", "[tool.harness.module]", "timeouts.boot_s = 8.0\n\n[tool.harness.module]"
    )

    run = project.run()

    assert run.code in {3, 4}, run.output
    assert "nowhere" in run.output
    assert nothing_left() == set()


def test_a_run_whose_uri_option_names_a_missing_socket_exits_with_4_and_prints_its_path(
    project: Project,
) -> None:
    """kernel-test --uri cannot reach a libvirt at /nonexistent/libvirt-sock, and says so."""
    run = project.run("--uri=qemu+unix:///system?socket=/nonexistent/libvirt-sock")

    refused(run, 4, "/nonexistent/libvirt-sock")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--target=nothing", "known names are: debian-12"),
        ("--kernel=nothing", "known names are: 5.10, "),
        ("--accel=warp", "kvm or tcg"),
        ("--share=/nonexistent", "no such folder"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(project: Project, option: str, says: str) -> None:
    """kernel-test exits with 2 for an unknown target, kernel, accel or folder, and says why."""
    refused(project.run(option), 2, says)


@pytest.fixture
def tiny_cache(tmp_path: Path) -> Iterator[Path]:
    """Give a cache folder on a file system of 64 MiB."""
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_run_whose_image_does_not_fit_on_the_disk_exits_with_4_and_leaves_no_partial_file(
    project: Project, tiny_cache: Path
) -> None:
    """With a cache on 64 MiB, kernel-test names the cache folder, and removes what it began."""
    run = project.run(HARNESS_CACHE=str(tiny_cache))

    refused(run, 4, str(tiny_cache))
    assert not [path for path in tiny_cache.rglob("*.tmp") if path.exists()]


@pytest.fixture
def mounted(project: Project) -> Iterator[Callable[..., None]]:
    """Give a function that mounts something over a folder of the project, until the test ends."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    places: list[Path] = []

    def mount(place: Path, *options: str) -> None:
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", *options, place], check=True)
        places.append(place)

    assert project.root.is_dir()
    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "-l", place], check=True)


def test_a_run_in_a_read_only_project_is_refused_with_a_remedy(
    project: Project, mounted: Callable[..., None]
) -> None:
    """kernel-test of a project mounted read-only exits with 2 and says "copy the project"."""
    mounted(project.root, "--bind", str(project.root))
    subprocess.run(["mount", "-o", "remount,bind,ro", project.root], check=True)

    run = project.run()

    refused(run, 2, f"{project.root}/build cannot be written to", "Read-only file system")
    assert "copy the project" in run.output


def test_a_full_disk_under_the_build_folder_ends_the_run_with_4_and_an_error_naming_the_folder(
    project: Project, mounted: Callable[..., None], nothing_left: Callable[[], set[str]]
) -> None:
    """The console's log fills a build/ of 48 KiB while a real guest boots; no guest stays.

    Nothing is left running.
    """
    mounted(project.root / "build", "-t", "tmpfs", "-o", "size=48k", "none")

    run = project.run()

    refused(run, 4, "the disk is full", f"{project.root}/build")
    assert nothing_left() == set()
