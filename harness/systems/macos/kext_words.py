# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Interpret the output of kextload, kmutil and kextunload. Pure.

Their exit codes distinguish little, so their text decides, and after it the kernel's own list.
Sources: xnu's libkern/c++/OSKext.cpp for the '(kernel)' lines and libkern/OSKextLib.h for the
OSReturn texts; published reports of the tools' output for the rest. Not verified on hardware.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from harness import hints


class LoadState(Enum):
    """How an attempt to load a kext ended."""

    LOADED = "loaded"
    NEEDS_APPROVAL = "needs approval"
    NEEDS_REBOOT = "needs reboot"
    REFUSED = "refused"


class UnloadState(Enum):
    """How an attempt to unload a kext ended."""

    UNLOADED = "unloaded"
    BUSY = "busy"
    NOT_LOADED = "not loaded"
    NEEDS_REBOOT = "needs reboot"
    REFUSED = "refused"


State = TypeVar("State", LoadState, UnloadState)


@dataclass(frozen=True, kw_only=True)
class Said(Generic[State]):
    """What the output of a load or unload tool means.

    `reason` is the line that decided it, and `hint` says what the user can do next.
    """

    state: State
    reason: str
    hint: str = ""


_APPROVE = (
    "approve it in System Settings, Privacy & Security (before macOS 13: System Preferences, "
    "Security & Privacy, within 30 minutes), then run this again"
)
_SIGN = (
    "sign it (packages --identity), or let unsigned kexts load: "
    f"{hints.command('kernel-deps', '--target', 'NAME')} says how this release does that"
)
_REBOOT = "restart the target: --reboot does it and continues"

# In this order: the first pattern that matches decides.
_LOAD = (
    (r"system policy prevents loading", LoadState.NEEDS_APPROVAL, _APPROVE),
    (r"not approved to load", LoadState.NEEDS_APPROVAL, _APPROVE),
    (r"reboot is required|requires? a (?:reboot|restart)", LoadState.NEEDS_REBOOT, _REBOOT),
    (
        r"code sign|signature is invalid|invalid signature|extension failed|reason unspecified",
        LoadState.REFUSED,
        _SIGN,
    ),
    (
        r"link error|Cannot find symbol|dependenc(?:y|ies)|could not be resolved|undefined symbol",
        LoadState.REFUSED,
        f"{hints.command('kext-check', 'BUNDLE')} says which symbol no kernel interface has",
    ),
    (
        r"start/stop routine failed|start failed|module start returned",
        LoadState.REFUSED,
        "the kext's own start refused; the kernel's log above says why",
    ),
    (
        r"not privileged|must be superuser|Permission denied|not permitted",
        LoadState.REFUSED,
        "the user needs sudo without a password",
    ),
    (
        r"ownership/permissions|wrong owner",
        LoadState.REFUSED,
        "every file has to belong to root:wheel and be writable by root alone",
    ),
)
_BUSY_HINT = "something has the device open, or a callback is in flight: it is tried again"
_UNLOAD = (
    (
        r"unsupported by cache",
        UnloadState.NEEDS_REBOOT,
        "this kernel cannot unload kexts of a collection: remove the bundle, restart the target",
    ),
    (
        r"Kext unloading is disabled",
        UnloadState.NEEDS_REBOOT,
        "this kernel cannot unload kexts: remove the bundle and restart the target",
    ),
    (
        r"not found for unload|is not loaded|No kexts? matched|not found",
        UnloadState.NOT_LOADED,
        "",
    ),
    (r"module stop returned|did not stop|start/stop routine failed", UnloadState.BUSY, _BUSY_HINT),
    (
        r"outstanding references|in use or retained|ha(?:s|ve) instances",
        UnloadState.BUSY,
        _BUSY_HINT,
    ),
    (
        r"not privileged|must be superuser|not permitted",
        UnloadState.REFUSED,
        "the user needs sudo without a password",
    ),
)


def load_meaning(text: str, status: int) -> Said[LoadState]:
    """Return what the output of a load tool with this exit status means.

    A tool that succeeds gives NEEDS_REBOOT if its output asks for that, else LOADED, which the
    kernel's list has to confirm. When a tool fails, output that no rule matches is a refusal.
    """
    found = _first(text, _LOAD)
    if found is not None and (status != 0 or found.state is LoadState.NEEDS_REBOOT):
        return found
    if status == 0:
        return Said(state=LoadState.LOADED, reason="")
    return Said(
        state=LoadState.REFUSED, reason=_last_line(text), hint="the tool's message is above"
    )


def unload_meaning(text: str, status: int) -> Said[UnloadState]:
    """Return what the output of an unload tool with this exit status means.

    A tool that succeeds gives UNLOADED. When a tool fails, output that no rule matches is a
    refusal.
    """
    if status == 0:
        return Said(state=UnloadState.UNLOADED, reason="")
    unknown = Said(state=UnloadState.REFUSED, reason=_last_line(text))
    return _first(text, _UNLOAD) or unknown


def _first(text: str, rules: Sequence[tuple[str, State, str]]) -> Said[State] | None:
    for pattern, state, hint in rules:
        found = re.search(pattern, text, re.IGNORECASE)
        if found is not None:
            return Said(state=state, reason=_line_of(text, found.start()), hint=hint)
    return None


def _line_of(text: str, position: int) -> str:
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return text[begin : end if end >= 0 else len(text)].strip()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "the tool printed no message"
