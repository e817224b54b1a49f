# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is done on the emulated KVM host, step by step, and how each step is judged. Pure.

A step is a command in the guest that is the host (L1). It has an exit code and texts to expect in
its output. The first step that fails ends the test, because the later ones build on it.
"""

import re
from dataclasses import dataclass

BROUGHT = "/mnt/share"
PROJECT = "/root/project"
# Deadlines of guests under KVM grow by this on the emulated host. The first boot, of which boot_s
# says 90 s, took 500 s on a machine with three such emulators for its two processors.
KVM_FACTOR = 8.0
_MODLAB = "HARNESS_CACHE=/root/cache /root/modlab/bin/modlab"
_PIP = "--quiet --no-index --no-deps --no-compile"
_SITE = "/root/modlab/lib/python3.11/site-packages"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command on the emulated host, its exit code, and what its output must match."""

    name: str
    command: str
    deadline_s: float
    exit_code: int = 0
    expected: tuple[str, ...] = ()


def _run(words: str) -> str:
    return f"cd {PROJECT} && {_MODLAB} {words} 2>&1"


# The emulated host's shell replaces the time at which the run begins, the guest's the others.
_CLOCK = (
    '"late=\\$((\\$(date +%s) - $(date +%s))); echo clock: \\$late s after the start; '
    'test \\$late -ge 0 && test \\$late -lt 900"'
)
_UNDER_KVM = rf"kvm, deadlines x {KVM_FACTOR:g}"

STEPS = (
    Step(
        name="KVM works",
        command="modprobe kvm_amd && test -w /dev/kvm",
        deadline_s=60.0,
    ),
    Step(
        name="the wheel is installed",
        command=(
            "python3 -m venv --without-pip /root/modlab && "
            f"echo {BROUGHT}/python > {_SITE}/brought.pth && "
            f"/root/modlab/bin/python -m pip install {_PIP} {BROUGHT}/*.whl"
        ),
        deadline_s=600.0,
    ),
    Step(
        name="apt knows what the first host knows",
        command=(
            f"rm -rf /etc/apt /var/lib/apt/lists && tar -x -p -C / -f {BROUGHT}/apt.tar && "
            f"mkdir /root/cache && cp -r {BROUGHT}/answers /root/cache/apt"
        ),
        deadline_s=120.0,
    ),
    Step(
        name="the project can be written",
        command=f"cp -r {BROUGHT}/project {PROJECT}",
        deadline_s=60.0,
    ),
    Step(
        name="a first run boots its guest under KVM",
        command=_run("kernel-test"),
        deadline_s=3000.0,
        expected=(
            r"took debian-12-\w+ \(\d+ MiB\) from the shared cache",
            r"took 6\.1\.\S+ \(\d+ MiB\) from the shared cache",
            _UNDER_KVM,
            r"^verdict: passed",
        ),
    ),
    Step(
        name="a second run restores the guest, whose clock is the host's",
        command=_run(f"kernel-test -- {_CLOCK}"),
        deadline_s=900.0,
        expected=(r"guest restored", _UNDER_KVM, r"clock: \d+ s after", r"^verdict: passed"),
    ),
    Step(
        name="a crash is explained, with a dump",
        command=_run("kernel-test -- 'echo c > /proc/sysrq-trigger'")
        + f"; code=$?; ls {PROJECT}/build/runs/*/crashes/*/vmcore* || exit 99; exit $code",
        deadline_s=900.0,
        exit_code=3,
        expected=(_UNDER_KVM, r"^verdict: crashed", r"sysrq_handle_crash"),
    ),
    Step(
        name="a lost run says that it was to run under KVM",
        command=_run("kernel-test --config lost.toml --fresh"),
        deadline_s=600.0,
        exit_code=4,
        expected=(r"kvm, deadlines x", r"^verdict: lost"),
    ),
)


def fault(step: Step, exit_code: int, output: str) -> str:
    """Return what is wrong with the end of a step, or ""."""
    if exit_code != step.exit_code:
        return f"{step.name}: exit code {exit_code}, {step.exit_code} is expected"
    missing = [one for one in step.expected if re.search(one, output, re.MULTILINE) is None]
    return f"{step.name}: the output has nothing like {missing[0]!r}" if missing else ""
