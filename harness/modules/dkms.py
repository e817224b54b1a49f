# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a dkms.conf as dkms does: a shell sources it, with variables for the kernel set.

The shell has an empty working directory and a deadline, and no network if the host allows
namespaces. Values that depend on the kernel (MAKE_MATCH, PATCH_MATCH, BUILD_EXCLUSIVE_*) are
computed in the same shell, since their patterns are bash's.
Source: dkms 3.0.10, read_conf() and prepare_build(); dkms(8), "DKMS.CONF".
"""

import codecs
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.modules import namespace

CONF = "dkms.conf"
_MODULE = re.compile(r"(?![.-])[^\s/]+")
_LINE_ENDS = "if its lines end as on Windows: sed -i 's/\\r$//' dkms.conf"
_DEADLINE_S = 20.0
# The time in seconds that timeout(1) itself may need to end its process group.
_GRACE_S = 5.0
# The exit status of timeout(1) when it had to kill: the signal, or a shell's status for it.
_KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
_BASH = ("bash", "--noprofile", "--norc", "-c")
_ARCH = "x86_64"
# A placeholder for questions that do not depend on a kernel, such as the package's name.
_SOME_RELEASE = "6.1.0-0-amd64"


@dataclass(frozen=True, kw_only=True)
class DkmsModule:
    """One module that a DKMS package builds: its name, and its folder below the build folder."""

    name: str
    location: str = ""


@dataclass(frozen=True, kw_only=True)
class DkmsConf:
    """The values of one dkms.conf for one kernel.

    `excluded` is the directive that excludes this kernel, "" when none does. `before` and `after`
    are commands in the build folder (PRE_BUILD, POST_BUILD); `patches` are files in the folder
    patches/ of the build folder.
    """

    package: str
    version: str
    make: str
    modules: tuple[DkmsModule, ...]
    patches: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    excluded: str = ""


def read(
    conf: Path,
    *,
    release: str = _SOME_RELEASE,
    kdir: Path = Path("/nonexistent"),
    tree: Path = Path("/nonexistent"),
) -> DkmsConf:
    """Return the values of a dkms.conf for the kernel `release`, whose headers are in `kdir`.

    `tree` is the value of $dkms_tree in the file: the build folder is NAME/VERSION/build in it.
    Raises: ConfigError for a file that fails, or that lacks a value without which dkms fails.
    """
    answers = _evaluate(conf, release, kdir, tree)
    names = tuple(
        DkmsModule(name=name, location=location.rstrip("/"))
        for name, location in zip(answers["name"], answers["location"], strict=True)
    )
    found = DkmsConf(
        package=answers["package"][0],
        version=answers["version"][0],
        make=answers["make"][0],
        modules=names,
        patches=tuple(answers.get("patch", ())),
        before=answers["before"][0],
        after=answers["after"][0],
        excluded=answers["excluded"][0],
    )
    for key, value in (("PACKAGE_NAME", found.package), ("PACKAGE_VERSION", found.version)):
        if not value.isprintable():
            raise ConfigError(conf, key, f"{value!r} has a control character", hint=_LINE_ENDS)
        if not value or "/" in value:
            raise ConfigError(conf, key, f"a name is expected, not {value!r}")
    if not names and not found.excluded:
        raise ConfigError(conf, "BUILT_MODULE_NAME", "at least one module is expected")
    for one in names:
        if not _MODULE.fullmatch(one.name) or one.name.endswith((".o", ".ko")):
            text = f"a name without .ko is expected, not {one.name!r}"
            raise ConfigError(conf, "BUILT_MODULE_NAME", text)
    return found


def _evaluate(conf: Path, release: str, kdir: Path, tree: Path) -> dict[str, list[str]]:
    """Let bash source a dkms.conf, and return the values it sets for a kernel, by key.

    A key such as "patch" has several values.
    Raises: ConfigError when bash is missing, fails or does not end in time, and for a file that
        begins with a byte order mark.
    """
    if conf.read_bytes()[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8:
        expected = "begins with a byte order mark, which bash takes for a part of the first line"
        raise ConfigError(conf, "-", expected, hint=f"sed -i '1s/^\\xef\\xbb\\xbf//' {conf}")
    # The shell may start processes that outlive it; timeout(1) ends its whole process group.
    limit = ("timeout", "--signal=KILL", f"{_DEADLINE_S:g}")
    words = ["dkms", str(conf.absolute()), release, str(kdir), str(tree), _ARCH]
    with tempfile.TemporaryDirectory(prefix="modlab-dkms-") as scratch:
        try:
            done = subprocess.run(
                [*limit, *namespace.prefix(), *_BASH, _SCRIPT, *words],
                cwd=scratch,
                check=False,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=_DEADLINE_S + _GRACE_S,
                stdin=subprocess.DEVNULL,
                env={"PATH": f"{os.defpath}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "HOME": "/"},
            )
        except FileNotFoundError as error:
            raise ConfigError(conf, "-", "bash reads it, and is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise _endless(conf) from error
    if done.returncode in _KILLED:
        raise _endless(conf)
    answers: dict[str, list[str]] = {"name": [], "location": []}
    for key, value in _pairs(done.stdout):
        answers.setdefault(key, []).append(value)
    if "end" not in answers:
        tail = "; ".join(done.stderr.splitlines()[-3:]) or "it ends the shell that reads it"
        raise ConfigError(conf, "-", f"bash cannot read it: {tail}")
    return answers


def _endless(conf: Path) -> ConfigError:
    return ConfigError(conf, "-", f"it has not ended after {_DEADLINE_S:g} s")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    fields = text.split("\0")
    yield from zip(fields[0:-1:2], fields[1:-1:2], strict=False)


# Values are pairs of NUL-terminated fields on the shell's first output; output of the file itself
# goes elsewhere. The file is sourced twice, since it may use $module before it defines it.
_SCRIPT = r"""
exec 3>&1 1>&2
conf=$1 kernelver=$2 kernel_source_dir=$3 dkms_tree=$4 arch=$5
source_tree=/usr/src kernel_config=$kernel_source_dir/.config
parallel_jobs=$(nproc)
shift 5
IFS=$'\t' read -r module module_version < <(
	. "$conf" >/dev/null 2>&1
	printf '%s\t%s\n' "$PACKAGE_NAME" "$PACKAGE_VERSION"
)
set --
bash -n "$conf" || exit 1
. "$conf"
answer() { printf '%s\0%s\0' "$1" "$2" >&3; }
answer package "$PACKAGE_NAME"
answer version "$PACKAGE_VERSION"
answer before "$PRE_BUILD"
answer after "$POST_BUILD"

make_command=
[[ ${MAKE_MATCH[0]} ]] || make_command=${MAKE[0]}
for index in "${!MAKE[@]}"; do
	[[ ${MAKE_MATCH[index]} && $kernelver =~ ${MAKE_MATCH[index]} ]] && make_command=${MAKE[index]}
done
build=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build
answer make "${make_command:-make -C $kernel_source_dir M=$build}"

for index in "${!PATCH[@]}"; do
	[[ ${PATCH[index]} ]] || continue
	[[ ! ${PATCH_MATCH[index]} || $kernelver =~ ${PATCH_MATCH[index]} ]] &&
		answer patch "${PATCH[index]}"
done

size=0
for count in ${#BUILT_MODULE_NAME[@]} ${#BUILT_MODULE_LOCATION[@]} ${#DEST_MODULE_LOCATION[@]}; do
	((count > size)) && size=$count
done
for ((index = 0; index < size; index++)); do
	name=${BUILT_MODULE_NAME[index]}
	[[ ! $name && $size = 1 ]] && name=$PACKAGE_NAME
	answer name "$name"
	answer location "${BUILT_MODULE_LOCATION[index]}"
done

older() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) = "$1" ]]; }
excluded=
[[ $BUILD_EXCLUSIVE_KERNEL && ! $kernelver =~ $BUILD_EXCLUSIVE_KERNEL ]] &&
	excluded="BUILD_EXCLUSIVE_KERNEL=$BUILD_EXCLUSIVE_KERNEL"
[[ $BUILD_EXCLUSIVE_KERNEL_MIN ]] && older "$kernelver" "$BUILD_EXCLUSIVE_KERNEL_MIN" &&
	excluded="BUILD_EXCLUSIVE_KERNEL_MIN=$BUILD_EXCLUSIVE_KERNEL_MIN"
[[ $BUILD_EXCLUSIVE_KERNEL_MAX ]] && older "$BUILD_EXCLUSIVE_KERNEL_MAX" "$kernelver" &&
	excluded="BUILD_EXCLUSIVE_KERNEL_MAX=$BUILD_EXCLUSIVE_KERNEL_MAX"
[[ $BUILD_EXCLUSIVE_ARCH && ! $arch =~ $BUILD_EXCLUSIVE_ARCH ]] &&
	excluded="BUILD_EXCLUSIVE_ARCH=$BUILD_EXCLUSIVE_ARCH"
if [[ -e $kernel_source_dir/.config ]]; then
	for option in $BUILD_EXCLUSIVE_CONFIG; do
		grep -q -E "^${option#!}=[ym]" "$kernel_source_dir/.config" && has=1 || has=
		case $option in !*) [[ $has ]] ;; *) [[ ! $has ]] ;; esac &&
			excluded="BUILD_EXCLUSIVE_CONFIG: $option"
	done
fi
answer excluded "$excluded"
answer end ""
"""
