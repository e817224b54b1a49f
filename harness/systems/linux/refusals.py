# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find out why a kernel refused a module, and how to remedy that. Pure: texts in, a hint out.

Sources: kernel/module/main.c (simplify_symbols, check_modinfo, parse_args), kernel/params.c,
kernel/module/signing.c (module_sig_check), security/security.c (lockdown reasons),
drivers/base/firmware_loader/main.c, kmod's tools/insmod.c and tools/modprobe.c.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import hints

_SIGNATURE = re.compile(
    r"Loading of (unsigned module|module with [\w ]+) is rejected|"
    r"Lockdown: .*: unsigned module loading is restricted"
)
_UNKNOWN_PARAMETER = re.compile(r"\b(\S+): unknown parameter '([^']*)' ignored")
_BAD_PARAMETER = re.compile(r"[`'](\S*?)' (?:invalid|too large) for parameter `(\S+?)'")
_SYMBOL = re.compile(r"\b\S+: Unknown symbol (\S+) \(err (-?\d+)\)")
_SYMBOL_VERSION = re.compile(r"\b\S+: disagrees about version of symbol (\S+)")
_DUPLICATE = re.compile(r"exports duplicate symbol (\S+) \(owned by (\S+)\)")
_VERMAGIC = re.compile(r"version magic '([^']*)' should be '([^']*)'")
_FIRMWARE = re.compile(
    r"Direct firmware load for (\S+) failed|firmware: failed to load (\S+)|"
    r"failed to load firmware:? (\S+)",
    re.IGNORECASE,
)
_MODPROBE = re.compile(r"Module (\S+) not found in directory /lib/modules/(\S+)")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What is known of a module that did not load: the tool's message, the kernel's lines.

    `words` is the message of insmod or modprobe. `owners` are the kernel's own modules by the
    symbols that they export; `built_in` is whether the kernel contains the module already, so that
    it cannot be unloaded. `parameters` are the names of those that the module has, and
    `companions` the modules built with it that the kernel has refused before.
    """

    module: str
    words: str
    log: tuple[str, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    built_in: bool = False
    parameters: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()


def hint(refusal: Refusal) -> str:
    """Return the cause of a refusal and what to do about it, "" when it is unknown."""
    return next(filter(None, (rule(refusal) for rule in _RULES)), "")


def unknown_parameters(log: Sequence[str]) -> tuple[str, ...]:
    """Return parameters that a module was given but does not have; the kernel ignored them."""
    found = (_UNKNOWN_PARAMETER.search(line) for line in log)
    return tuple(dict.fromkeys(match[2] for match in found if match))


def unknown_symbols(log: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols that the module needs and that nothing in the guest exports.

    `log` has the kernel's lines about them.
    """
    found = (_SYMBOL.search(line) for line in log)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def _signature(refusal: Refusal) -> str:
    found = _first(_SIGNATURE, refusal.log)
    if found is None:
        return ""
    return (
        f"this kernel loads only modules signed with a key that it trusts ({found.group()}): "
        "leave module.sig_enforce=1 out of the target's cmdline, or sign with a key that it knows "
        f"({hints.command('packages', '--key', 'KEY', '--certificate', 'CERTIFICATE')}; "
        "docs/packages.md, 'Signatures')"
    )


def _vermagic(refusal: Refusal) -> str:
    found = _first(_VERMAGIC, refusal.log)
    if found is None:
        return ""
    return (
        f"it was built for {found[1].strip()}, the guest runs {found[2].strip()}: build it for "
        "that kernel (KDIR may name the headers of another one)"
    )


def _symbols(refusal: Refusal) -> str:
    missing = unknown_symbols(refusal.log)
    if missing and refusal.companions:
        return (
            f"the kernel refused {', '.join(refusal.companions)} before, which is built with it "
            f"and may export {missing[0]}; the kernel's messages are above"
        )
    if missing:
        return "; ".join(_one_symbol(name, refusal) for name in missing[:5])
    found = _first(_SYMBOL_VERSION, refusal.log)
    if found is None:
        return ""
    return (
        f"{found[1]} has another version in the running kernel: rebuild the module, and what it "
        "depends on, against one kernel"
    )


def _one_symbol(name: str, refusal: Refusal) -> str:
    owner = refusal.owners.get(name)
    if owner:
        return f'{name} is in {owner}: needs = ["{owner}"] in [tool.harness.module] loads it first'
    return (
        f"nothing in this kernel exports {name} to this module: another module of yours may "
        "(modules = [...]), the kernel may lack the option for it, or MODULE_LICENSE is not GPL"
    )


def _name_taken(refusal: Refusal) -> str:
    if "File exists" not in refusal.words:
        return ""
    duplicate = _first(_DUPLICATE, refusal.log)
    if duplicate is not None:
        return (
            f"{duplicate[1]} is exported by {duplicate[2]} already: only one of the two can be "
            "loaded"
        )
    how = "built in" if refusal.built_in else "loaded"
    return (
        f"the kernel has a {refusal.module} already ({how}): rename this one, or take a kernel "
        "without it; lsmod in the guest lists what is loaded"
    )


def _parameter(refusal: Refusal) -> str:
    found = _first(_BAD_PARAMETER, refusal.log)
    if found is None:
        return ""
    return f"parameter {found[2]} does not take {found[1]!r}; modinfo -p says what it is"


def _firmware(refusal: Refusal) -> str:
    found = _first(_FIRMWARE, refusal.log)
    if found is None:
        return ""
    name = next(filter(None, found.groups()))
    return (
        f"the guest does not have the firmware {name}: "
        f'firmware = {{ "{name}" = "PATH" }} in [tool.harness.module] brings it'
    )


def _no_such_module(refusal: Refusal) -> str:
    found = _first(_MODPROBE, (refusal.words, *refusal.log))
    if found is None:
        return ""
    return (
        f"the kernel {found[2]} has no module {found[1]}: take one that has (a cloud kernel has "
        "few drivers, linux-image-amd64 has most), or drop it from needs"
    )


def _unset_parameter(refusal: Refusal) -> str:
    """Return a hint for a module whose init function returned EINVAL, "" for any other refusal.

    insmod reports EINVAL as 'Invalid parameters'.
    """
    if "Invalid parameters" not in refusal.words or not refusal.parameters:
        return ""
    return (
        "its init refused what it was given (EINVAL), and it may need a parameter: it has "
        f"{', '.join(refusal.parameters)} (parameters = {{ {refusal.parameters[0]} = ... }} in "
        "[tool.harness.module] sets one)"
    )


def _errno(refusal: Refusal) -> str:
    return next((text for words, text in _ERRNOS.items() if words in refusal.words), "")


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next(filter(None, map(pattern.search, lines)), None)


_ERRNOS = {
    "No such device": "its init found no device (ENODEV): the guest does not have the "
    "module's hardware",
    "Operation not permitted": "the kernel allows no more modules (kernel.modules_disabled=1), "
    "or lockdown forbids it",
    "Invalid module format": "the file is no module for this kernel; the kernel's message is "
    "above",
    "Cannot allocate memory": "memory_mib of the target may be too small",
}
_RULES: tuple[Callable[[Refusal], str], ...] = (
    _signature,
    _vermagic,
    _symbols,
    _name_taken,
    _parameter,
    _firmware,
    _no_such_module,
    _unset_parameter,
    _errno,
)
