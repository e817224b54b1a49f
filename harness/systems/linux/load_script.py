# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the shell scripts that load and unload a module and its companions in a guest. Pure.

The guest has a plan, a file of steps: 'modprobe NAME' for a required module of the kernel, 'try
NAME' for an optional one, 'insmod NAME' for a module that was pushed. Each script is one command,
since a command takes a fifth of a second in an emulated guest.
"""

import re
import shlex
from collections.abc import Mapping

FOLDER = "/run/harness"
# Where each unloading leaves the modules' symbols in a kernel that looks for leaks (`kmemleak`).
SYMBOLS = f"{FOLDER}/symbols"
# Printed before the message of the tool that failed, to name the failed step.
REFUSED = "harness-refused "
UNKNOWN = "harness-unknown "
# Printed for a companion that was refused; loading continues without it.
_WITHOUT = "harness-without "
_REFUSED = re.compile(rf"^{REFUSED}(\w+) (\S+)$", re.MULTILINE)


def module_path(name: str) -> str:
    """Return the path in the guest to which the module's file is pushed."""
    return f"{FOLDER}/{name}.ko"


def plan_path(name: str) -> str:
    """Return the path in the guest of the file with the steps to load a module (its plan)."""
    return f"{FOLDER}/{name}.load"


def load(name: str, parameters: Mapping[str, str]) -> str:
    """Return a shell script that loads a module and its companions as the guest's plan says.

    Without a plan it loads the module alone. It prints the uptime, then the tools' output. If the
    module or a required module of the kernel fails, the script unloads the modules that it has
    loaded, and ends. If a companion NAME cannot be loaded in this kernel or on this machine, the
    script leaves a file NAME.out and continues. `parameters` are the module's own;
    'OTHER.parameter' is another module's.
    """
    cases = "".join(
        f"\t\t{shlex.quote(one)}) step {_insmod(one, parameters, name)} ;;\n"
        for one in dict.fromkeys((name, *_others(parameters)))
    )
    return _LOAD.format(
        folder=FOLDER,
        plan=plan_path(name),
        alone=shlex.quote(f"insmod {name}"),
        name=shlex.quote(name),
        cases=cases,
        refused=REFUSED,
        without=_WITHOUT,
        unknown=_tell_unknown(parameters),
    )


def unload(name: str) -> str:
    """Return a script that unloads a module and its companions, the last one first."""
    return _UNLOAD.format(
        plan=plan_path(name), name=shlex.quote(name), folder=FOLDER, symbols=SYMBOLS
    )


def refused_step(said: str) -> tuple[str, str, str] | None:
    """Return the step of the plan that failed: tool, module, and the tool's message.

    `said` is the output of the load script. The result is None if no step failed.
    """
    match = _REFUSED.search(said)
    if match is None:
        return None
    return match[1], match[2], said[: match.start()].strip()


def refused_companions(said: str) -> tuple[str, ...]:
    """Return the names of the companions without which the load script has continued.

    `said` is the output of the load script.
    """
    lines = said.splitlines()
    return tuple(line.removeprefix(_WITHOUT) for line in lines if line.startswith(_WITHOUT))


def _insmod(one: str, parameters: Mapping[str, str], main: str) -> str:
    own = {
        name.removeprefix(f"{one}."): text
        for name, text in parameters.items()
        if name.startswith(f"{one}.") or (one == main and "." not in name)
    }
    return shlex.join(["insmod", module_path(one), *(f"{key}={own[key]}" for key in own)])


def _others(parameters: Mapping[str, str]) -> list[str]:
    return [name.partition(".")[0] for name in parameters if "." in name]


def _tell_unknown(parameters: Mapping[str, str]) -> str:
    """Return a command that prints the kernel's warnings about unknown module parameters."""
    if not parameters:
        return ":"
    return f"dmesg | grep -F ': unknown parameter ' | sed 's/^/{UNKNOWN}/'"


# A step runs in the background, so that its process id is known: the stack of that process shows
# where an init hangs.
_LOAD = """
read -r since _ < /proc/uptime; echo "$since"
plan={plan}
[ -e "$plan" ] || echo {alone} > "$plan"
loaded=
step() {{
	"$@" < /dev/null 2>&1 & echo $! > {folder}/insmod.pid
	wait $!
}}
is_in() {{ grep -q "^$(echo "$1" | tr - _) " /proc/modules; }}
refuse() {{
	echo "{refused}$1 $2"
	for one in $loaded; do rmmod "$one" > /dev/null 2>&1; done
	exit 1
}}
while read -r how name <&3; do
	case $how in
	modprobe) step modprobe "$name" || refuse modprobe "$name" ;;
	try) modprobe -q "$name" < /dev/null > /dev/null 2>&1 || : ;;
	insmod)
		[ -e "{folder}/$name.in" ] && is_in "$name" && continue
		case $name in
{cases}		*) step insmod "{folder}/$name.ko" ;;
		esac || {{
			[ "$name" = {name} ] && refuse insmod "$name"
			: > "{folder}/$name.out"
			echo "{without}$name"
			continue
		}}
		: > "{folder}/$name.in"
		loaded="$name $loaded"
		;;
	esac
done 3< "$plan"
{unknown}
"""
# A companion that another one uses (xt_DELUDE by xt_CHAOS) is unloaded in a later round.
_UNLOAD = """
if [ -e /sys/kernel/debug/kmemleak ]; then
	{{ echo "unload $(cut -d ' ' -f 1 /proc/uptime)"; grep -F '[' /proc/kallsyms; }} >> {symbols}
fi
plan={plan} any= progress=1 failed=
[ -e "$plan" ] || {{ rmmod {name}; exit; }}
while [ -n "$progress" ]; do
	progress= failed=
	for name in $(sed -n 's/^insmod //p' "$plan" | tac); do
		grep -q "^$(echo "$name" | tr - _) " /proc/modules || continue
		any=1
		if words=$(rmmod "$name" 2>&1 < /dev/null); then
			rm -f "{folder}/$name.in"
			progress=1
		else
			failed=$words
		fi
	done
done
[ -z "$failed" ] || {{ echo "$failed" >&2; exit 1; }}
[ -n "$any" ] || rmmod {name}
"""
