# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scripted Mac: the answers of its kext tools, by release.

The answers were published for kextload, kmutil and kextunload. No real Mac was compared, so if
they are wrong, these tests pass wrongly.
"""

import plistlib
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from tests.macos.fake_system import NOTHING, Answer, FakeSystem

_KMUTIL_ERROR = 'Error Domain=KMErrorDomain Code={code} "{text}" UserInfo={{{text}}}'


class LineProcess(Protocol):
    """A process that answers line by line."""

    def answers(self, line: str) -> Iterator[str]:
        """Yield the answers to a line; raise EOFError when the process has ended."""
        ...

    def end(self) -> None:
        """End the process that answers lines."""
        ...


@dataclass
class FakeMac(FakeSystem):
    """A scripted Mac with its kexts."""

    def interactive(self, _line: str, _lock: Lock) -> "LineProcess | None":
        """Return the process for a line that starts one that answers lines, else None."""
        return None

    def _identifier(self, path: str) -> str:
        data = self.files[f"{path}/Contents/Info.plist"].data
        return str(plistlib.loads(data or b"")["CFBundleIdentifier"])

    def _unsafe(self, path: str) -> bool:
        return any(f.owner != "root:wheel" or f.mode & 0o022 for f in self.below(path))

    def _may_be_unsigned(self) -> bool:
        if self.profile.number < (10, 11):
            return "kext-dev-mode=1" in self.boot_args.split()
        return bool(self.profile.csr & 1)

    def tool_kextload(self, words: list[str], _data: bytes) -> Answer:
        """Load a kext as macOS 10 does."""
        path, profile = words[-1], self.profile
        reason = ""
        if self._unsafe(path):
            reason = "authentication failure (file ownership/permissions)"
        elif not profile.signed and not self._may_be_unsigned():
            reason = "not loadable (reason unspecified)"
        elif profile.number >= (10, 13) and not profile.approved and profile.consent:
            reason = "system policy prevents loading"
        elif profile.unresolved:
            reason = "link error"
        elif profile.start_fails:
            self.kernel_log.append("Kext org.example.osq start failed (result 0x5).")
            reason = "kext (kmod) start/stop routine failed"
        if reason:
            tail = "; check the system/kernel logs for errors or try kextutil(8)."
            return "", f"{path} failed to load - (libkern/kext) {reason}{tail}\n", 71
        self.add_kext(self._identifier(path))
        return NOTHING

    def tool_kmutil(self, words: list[str], data: bytes) -> Answer:
        """Load, unload and list kexts as macOS 11 and later do."""
        if words == ["showloaded", "--list-only"]:
            out, _, status = self.tool_kextstat(words, data)
            return out, "No variant specified, falling back to release\n", status
        if words[0] == "unload":
            return self.tool_kextunload(words[1:], data)
        return self._kmutil_load(words[-1])

    def _kmutil_load(self, path: str) -> Answer:
        identifier, profile = self._identifier(path), self.profile
        approve = f"Extension with identifiers {identifier} not approved to load."
        refusals = (
            (
                self._unsafe(path) or (not profile.signed and not self._may_be_unsigned()),
                (29, "Authenticating extension failed: Bad code signature"),
            ),
            (
                not profile.approved or not profile.boot_policy,
                (27, f"{approve} Please approve using System Settings."),
            ),
            (
                profile.unresolved,
                (31, "Error occurred while building a collection: Cannot find symbol '_foo'"),
            ),
        )
        for refused, (code, text) in refusals:
            if refused:
                return "", _KMUTIL_ERROR.format(code=code, text=text) + "\n", code
        if identifier in self.started_with:
            self.add_kext(identifier)
        elif identifier not in self.loaded:
            self.collection.add(identifier)
            notice = "A system reboot is required for the operation to take effect\n"
            return notice if profile.says_reboot else "", "", 0
        return NOTHING

    def tool_kextunload(self, words: list[str], _data: bytes) -> Answer:
        """Unload a kext; the stop routine of a busy one refuses."""
        name, failed = words[-1], "Failed to unload {0} - (libkern/kext) {1}.\n"
        if name not in self.loaded:
            text = f"(kernel) Kext {name} not found for unload request.\n"
            return "", text + failed.format(name, "not found"), 3
        if self.profile.cache_locked:
            text = f"(kernel) Can't remove kext {name}; unsupported by cache.\n"
            return "", text + failed.format(name, "unsupported by cache"), 71
        if self.opened or self.profile.busy > 0:
            self.profile.busy -= 1
            text = f"(kernel) Kext {name} did not stop (return code 0x5).\n"
            text += f"(kernel) Kext {name} can't unload - module stop returned 0xdc008017.\n"
            return "", text + failed.format(name, "kext (kmod) start/stop routine failed"), 71
        del self.loaded[name]
        self.files.pop("/dev/osquery", None)
        return f"{name} unloaded and personalities removed.\n", "", 0

    def tool_kextstat(self, words: list[str], _data: bytes) -> Answer:
        """List the loaded kexts, without a heading."""
        assert words in (["-l"], ["showloaded", "--list-only"])
        rows = [
            f"  {150 + number}    0 {address} 0x5000     0x5000     {name} (1.0.0) "
            "7E1A7E1A-0000-3000-8000-000000000001 <5 4 3 1>"
            for number, (name, address) in enumerate(self.loaded.items())
        ]
        kernel = (
            "    1  142 0xffffff8000200000 0x1f0000   0x1f0000   com.apple.kpi.bsd (19.6.0) <>"
        )
        return "\n".join([kernel, *rows]) + "\n", "", 0
