# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is done on the emulated KVM host, step by step, and how each step is judged. Pure.

A step is a command in the guest that is the host (L1). It has an exit code and texts to expect in
its output. The first step that fails ends the test, because the later ones build on it.
"""

import re
from dataclasses import dataclass

BROUGHT = "/mnt/share"
PROJECT = "/root/project"
# Deadlines of guests under KVM grow by this on the emulated host. The factor was not measured yet.
KVM_FACTOR = 8.0
_MODLAB = "HARNESS_CACHE=/root/cache /root/modlab/bin/modlab"
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
            "python3 -m venv /root/modlab && "
            f"/root/modlab/bin/pip install --quiet --no-index --no-deps {BROUGHT}/*.whl && "
            f"echo {BROUGHT}/python > {_SITE}/brought.pth"
        ),
        deadline_s=600.0,
    ),
    Step(
        name="apt knows what the first host knows",
        command=(
            "rm -rf /etc/apt/sources.list* && "
            f"cp -r {BROUGHT}/apt/etc/. /etc/apt && "
            f"mkdir -p /var/lib/apt/lists && cp -r {BROUGHT}/apt/lists/. /var/lib/apt/lists"
        ),
        deadline_s=120.0,
    ),
    Step(
        name="the project can be written",
        command=f"cp -r {BROUGHT}/project {PROJECT}",
        deadline_s=60.0,
    ),
    Step(
        name="the harness finds KVM",
        command=f"{_MODLAB} doctor",
        deadline_s=300.0,
        expected=(r"accelerator: kvm",),
    ),
    Step(
        name="a first run boots its guest under KVM",
        command=_run("kernel-test"),
        deadline_s=900.0,
        expected=(
            r"took debian-12-\w+ \(\d+ MiB\) from the shared cache",
            r"took 6\.1\.\S+ \(\d+ MiB\) from the shared cache",
            _UNDER_KVM,
            r"^verdict: passed",
        ),
    ),
    Step(
        name="a second run restores the guest",
        command=_run("kernel-test"),
        deadline_s=600.0,
        expected=(r"guest restored", _UNDER_KVM, r"^verdict: passed"),
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
