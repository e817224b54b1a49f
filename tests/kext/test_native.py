# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the kext's sources in a process, with real threads and under sanitizers."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.kext import build
from harness.model.products import KextSpec

_HERE = Path(__file__).parent / "native"
_FLAGS = ("-std=c11", "-O1", "-g", "-pthread", "-fno-omit-frame-pointer", "-Wall", "-Wextra")
_SANITIZERS = {
    "threads": ("-fsanitize=thread",),
    "memory": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
_WRITERS = 3
_DEADLINE_S = 240


# With this switch the stress program reports a leak while another thread reports a fault.
_FAILS_DURING_A_REPORT = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int reports[2];

void __asan_on_error(void)
{
	if (write(reports[1], "", 1) == 1)
		sleep(2);
}

static void *use_after_free(void *argument)
{
	volatile char *freed = malloc(1);

	free((void *)freed);
	*freed = 1;
	return argument;
}

long __wrap_native_given(void)
{
	static char begun = 1;
	pthread_t thread;

	if (!begun)
		return 1;
	if (pipe(reports) || pthread_create(&thread, NULL, use_after_free, NULL))
		abort();
	return read(reports[0], &begun, 1);
}
"""


def compiled(
    spec: KextSpec, folder: Path, flags: tuple[str, ...], added: tuple[str, ...] = ()
) -> Path:
    """Return the stress program: the kext compiled as for a Mac, the rest as for Linux."""
    identity = ('-DKEXT_BUNDLE_ID="test"', '-DKEXT_BUNDLE_VERSION="1.0"')
    kext = (
        *("clang", *_FLAGS, *flags, "-nostdlibinc", "-U__linux__", "-DKERNEL", *identity, "-c"),
        *("-isystem", str(spec.root / spec.kpi)),
        *(f"-I{spec.root / one}" for one in spec.includes),
        *map(str, build.sources_of(spec)),
    )
    subprocess.run(kext, cwd=folder, check=True, timeout=_DEADLINE_S)
    objects = [f"{source.stem}.o" for source in build.sources_of(spec)]
    rest = [str(file) for file in sorted(_HERE.glob("*.c"))]
    line = ["clang", *_FLAGS, *flags, f"-I{spec.root / 'uapi'}", *rest, *objects, "-o", "stress"]
    subprocess.run([*line, *added], cwd=folder, check=True, timeout=_DEADLINE_S)
    return folder / "stress"


@pytest.mark.parametrize("name", _SANITIZERS)
def test_sanitizers_report_nothing_when_real_threads_use_the_kext(
    spec: KextSpec, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    """The kext's sources run as a Linux program with threads, under ASan, UBSan or TSan."""
    stress = compiled(spec, tmp_path, _SANITIZERS[name])
    seconds = "60" if request.config.getoption("--long") else "1"

    # Old TSan runtimes cannot handle the larger address randomisation of new kernels.
    done = subprocess.run(
        ["setarch", "-R", str(stress), seconds, str(_WRITERS)],
        check=False,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = re.search(r"^ok - (\d+) programs, (\d+) records", done.stdout, re.MULTILINE)
    assert found is not None
    assert int(found[2]) > 0


def test_stress_program_fails_if_closing_the_queue_does_not_wait_for_callbacks(
    spec: KextSpec, tmp_path: Path
) -> None:
    """Without the wait in gate.c, that Linux program, built with ASan, exits with an error."""
    root = tmp_path / "kernel"
    shutil.copytree(spec.root, root)
    gate = root / "os" / "macos" / "gate.c"
    wait = "\twhile (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))\n\t\tIOSleep(POLL_MS);\n"
    assert wait in gate.read_text()
    gate.write_text(gate.read_text().replace(wait, ""))
    stress = compiled(replace(spec, root=root), tmp_path, _SANITIZERS["memory"])

    done = subprocess.run(
        [str(stress), "5", str(_WRITERS)], check=False, capture_output=True, timeout=_DEADLINE_S
    )

    assert done.returncode != 0


def test_stress_program_failing_during_an_asan_report_exits_with_1_and_its_own_message(
    spec: KextSpec, tmp_path: Path
) -> None:
    """The Linux program's exit code and last line are its own, though ASan reports meanwhile.

    The fault is in another thread, and the last line is the program's own message.
    """
    added = tmp_path / "added.c"
    added.write_text(_FAILS_DURING_A_REPORT)
    link = ("-Wl,--wrap=native_given", str(added))
    stress = compiled(spec, tmp_path, _SANITIZERS["memory"], link)

    done = subprocess.run(
        [str(stress), "0", "1"], check=False, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert done.stdout.endswith("not ok - something is left: 1\n")
