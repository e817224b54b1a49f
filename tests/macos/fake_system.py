# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scripted macOS without kexts: its settings, its files and its restarts.

An unknown command ends with 127 and is recorded, so that the test fails. A command that needs root
is refused without sudo.
"""

import io
import shlex
import tarfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

Answer = tuple[str, str, int]
NOTHING: Answer = ("", "", 0)
REPORTS = "/Library/Logs/DiagnosticReports"
_ROOT_TOOLS = {"kextload", "kextunload", "kmutil", "chown", "tar", "shutdown", "dmesg", "rm"}


class Died(Exception):
    """Raised by a command that makes the system panic."""


@dataclass(kw_only=True)
class Profile:
    """A release and its settings, which tests vary."""

    version: str
    build: str
    arch: str = "x86_64"
    virtual: bool = False
    csr: int = 0
    consent: bool = True
    approved: bool = True
    boot_policy: bool = True
    nvram_locked: bool = False
    signed: bool = True
    unresolved: bool = False
    start_fails: bool = False
    says_reboot: bool = True
    busy: int = 0
    cache_locked: bool = False
    panics_on: str = ""
    never_back: bool = False
    slow_to_go: bool = False
    filters_boot_args: bool = False

    @property
    def number(self) -> tuple[int, int]:
        """The major and minor number of the release."""
        parts = [*self.version.split("."), "0"]
        return int(parts[0]), int(parts[1])


@dataclass
class File:
    """A file of the scripted Mac; `data` is None for a folder."""

    data: bytes | None
    mode: int = 0o644
    owner: str = "root:wheel"


@dataclass
class FakeSystem:
    """The state of the system, and every command that was run on it, in order."""

    profile: Profile
    files: dict[str, File] = field(default_factory=dict)
    nvram: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)
    collection: set[str] = field(default_factory=set)
    started_with: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    kernel_log: list[str] = field(default_factory=list)
    message_buffer_bytes: int = 128 * 1024
    log: list[str] = field(default_factory=list)
    session: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    boot_args: str = ""
    panic_text: str = ""
    dies_at_start: str = ""

    def run(self, command: str, data: bytes = b"") -> Answer:
        """Run a shell line; return its output, errors and status. Parts are joined by &&."""
        self.commands.append(command)
        out = err = ""
        for part in command.split(" && "):
            words = shlex.split(part)
            output, complaint, status = self._part(words, data)
            out, err = out + output, err + complaint
            if status != 0:
                return out, err, status
        return out, err, 0

    def _part(self, words: list[str], data: bytes) -> Answer:
        root = words[:2] == ["sudo", "-n"]
        words = words[2:] if root else words
        tool: Callable[..., Answer] | None = getattr(self, f"tool_{words[0]}", None)
        if tool is None or (words[0] == "csrutil" and self.profile.number < (10, 11)):
            if tool is None:
                self.unknown.append(" ".join(words))
            return "", f"sh: {words[0]}: command not found\n", 127
        if words[0] in _ROOT_TOOLS and not root:
            return "", f"{words[0]}: Operation not permitted\n", 1
        if self.profile.panics_on and self.profile.panics_on in " ".join(words):
            self.profile.panics_on = ""
            self.files[f"{REPORTS}/Kernel_2026-11-25-140000_mac.panic"] = File(
                self.panic_text.encode()
            )
            raise Died
        return tool(words[1:], data)

    def restart(self) -> None:
        """Begin another boot session, in which pending boot arguments and kexts take effect."""
        self.session = str(uuid.uuid4()).upper()
        self.loaded = {}
        self.opened = set()
        self.files = {n: f for n, f in self.files.items() if not n.startswith("/var/run/")}
        self.boot_args = "" if self.profile.filters_boot_args else self.nvram.get("boot-args", "")
        if self.dies_at_start:
            self.files[f"{REPORTS}/Kernel_start.panic"] = File(self.dies_at_start.encode())
        self.started_with = set(self.collection)
        for identifier in self.collection:
            self.add_kext(identifier)

    def add_kext(self, identifier: str) -> None:
        """Add a kext to the loaded ones and create its device."""
        self.loaded[identifier] = "0xffffff7f83a21000"
        self.files["/dev/osquery"] = File(b"", mode=0o600)

    # --- settings of the system ------------------------------------------------------------------

    def tool_sw_vers(self, words: list[str], _data: bytes) -> Answer:
        """Print the release or the build of macOS, as sw_vers does."""
        values = {"-productVersion": self.profile.version, "-buildVersion": self.profile.build}
        return values[words[0]] + "\n", "", 0

    def tool_uname(self, _words: list[str], _data: bytes) -> Answer:
        """Print the processor's name, as uname does."""
        return self.profile.arch + "\n", "", 0

    def tool_csrutil(self, _words: list[str], _data: bytes) -> Answer:
        """Print the state of System Integrity Protection, as 10.11 and later do."""
        head = "System Integrity Protection status: "
        csr = self.profile.csr & ~0x200
        if csr == 0:
            return head + "enabled.\n", "", 0
        if csr & 0x77 == 0x77:
            return head + "disabled.\n", "", 0
        word = "enabled" if self.profile.number < (11, 0) else "unknown"
        names = {
            "Apple Internal": 0x10,
            "Kext Signing": 0x1,
            "Filesystem Protections": 0x2,
            "Debugging Restrictions": 0x4,
            "DTrace Restrictions": 0x20,
            "NVRAM Protections": 0x40,
        }
        lines = [
            f"\t{name}: {'disabled' if bool(csr & flag) != (flag == 0x10) else 'enabled'}"
            for name, flag in names.items()
        ]
        text = "\n".join([f"{head}{word} (Custom Configuration).", "", "Configuration:", *lines])
        return text + "\n\nThis is an unsupported configuration.\n", "", 0

    def tool_spctl(self, words: list[str], _data: bytes) -> Answer:
        """Print whether kexts need the user's consent, as 10.13 and later do."""
        if self.profile.number < (10, 13):
            return "", f"spctl: unknown command {words[0]}\n", 64
        word = "ENABLED" if self.profile.consent else "DISABLED"
        return f"Kernel Extension User Consent: {word}\n", "", 0

    def tool_system_profiler(self, _words: list[str], _data: bytes) -> Answer:
        """Print the boot policy of Apple silicon."""
        word = "Yes" if self.profile.boot_policy else "No"
        mode = "Reduced Security" if self.profile.boot_policy else "Full Security"
        lines = ("Controller:", "", "      Boot Policy:", f"        Secure Boot: {mode}")
        last = f"        Allow All Kernel Extensions: {word}"
        return "\n".join([*lines, last]) + "\n", "", 0

    def tool_sysctl(self, words: list[str], _data: bytes) -> Answer:
        """Print the requested values; an unknown name is an error."""
        known = {"kern.bootsessionuuid": self.session, "kern.bootargs": self.boot_args}
        if self.profile.number >= (11, 0):
            known["kern.hv_vmm_present"] = "1" if self.profile.virtual else "0"
        if self.profile.arch == "x86_64":
            known["machdep.cpu.features"] = "FPU VME" + (" VMM" if self.profile.virtual else "")
        names = words[1:]
        out = "".join(f"{known[name]}\n" for name in names if name in known)
        missing = [name for name in names if name not in known]
        err = "".join(f"sysctl: unknown oid '{name}'\n" for name in missing)
        return out, err, 1 if missing else 0

    def tool_nvram(self, words: list[str], _data: bytes) -> Answer:
        """Print, set and delete variables of the NVRAM."""
        if words == ["-p"]:
            return "".join(f"{key}\t{value}\n" for key, value in self.nvram.items()), "", 0
        name, equals, value = words[-1].partition("=")
        if words[0] != "-d" and not equals:
            if name not in self.nvram:
                text = (
                    f"nvram: Error getting variable - '{name}': (iokit/common) data was not found"
                )
                return "", text + "\n", 1
            return f"{name}\t{self.nvram[name]}\n", "", 0
        if self.profile.nvram_locked:
            return (
                "",
                f"nvram: Error setting variable - '{name}': (iokit/common) not permitted\n",
                1,
            )
        if words[0] == "-d":
            self.nvram.pop(name, None)
        else:
            self.nvram[name] = value
        return NOTHING

    # --- files -----------------------------------------------------------------------------------

    def tool_tee(self, words: list[str], data: bytes) -> Answer:
        """Write the input to a file of the scripted Mac, as tee does."""
        self.files[words[0]] = File(data)
        return data.decode(), "", 0

    def tool_cat(self, words: list[str], _data: bytes) -> Answer:
        """Print a file of the scripted Mac, as cat does."""
        found = self.files.get(words[0])
        if found is None or found.data is None:
            return "", f"cat: {words[0]}: No such file or directory\n", 1
        return found.data.decode("latin-1"), "", 0

    def tool_rm(self, words: list[str], _data: bytes) -> Answer:
        """Remove a file, or a folder with everything below it."""
        path = words[-1]
        self.files = {
            name: file
            for name, file in self.files.items()
            if name != path and not name.startswith(f"{path}/")
        }
        return NOTHING

    def tool_ls(self, words: list[str], _data: bytes) -> Answer:
        """List the names in a folder."""
        folder = words[-1] + "/"
        inner = {n.removeprefix(folder).split("/")[0] for n in self.files if n.startswith(folder)}
        if not inner:
            return "", f"ls: {words[-1]}: No such file or directory\n", 1
        return "".join(f"{name}\n" for name in sorted(inner)), "", 0

    def tool_tar(self, words: list[str], data: bytes) -> Answer:
        """Unpack an archive; as in BSD tar without -p, the files belong to the caller."""
        folder = words[words.index("-C") + 1]
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar.getmembers():
                stream = tar.extractfile(member)
                content = stream.read() if stream else None
                self.files[f"{folder}/{member.name}"] = File(content, 0o777, "root:staff")
        return NOTHING

    def below(self, path: str) -> list[File]:
        """Return a file, or a folder and everything below it."""
        return [f for name, f in self.files.items() if name == path or name.startswith(f"{path}/")]

    def tool_chown(self, words: list[str], _data: bytes) -> Answer:
        """Set the owner of a folder and of everything below it."""
        for file in self.below(words[-1]):
            file.owner = words[-2]
        return NOTHING

    def tool_chmod(self, words: list[str], _data: bytes) -> Answer:
        """Set the modes of a folder to 755 and of its files to 644, the only form in use."""
        assert words[-2] == "u=rwX,go=rX"
        for file in self.below(words[-1]):
            file.mode = 0o755 if file.data is None else 0o644
        return NOTHING

    def tool_test(self, words: list[str], _data: bytes) -> Answer:
        """Return status 0 if a file exists."""
        return "", "", 0 if words[-1] in self.files else 1

    def tool_stat(self, words: list[str], _data: bytes) -> Answer:
        """Print mode and owner of a file, as `stat -f '%Lp %Su %Sg'` does."""
        file = self.files[words[-1]]
        return f"{file.mode:o} {file.owner.replace(':', ' ')}\n", "", 0

    def tool_true(self, _words: list[str], _data: bytes) -> Answer:
        """Do nothing, and succeed."""
        return NOTHING

    def tool_sync(self, _words: list[str], _data: bytes) -> Answer:
        """Do nothing, since no file is cached."""
        return NOTHING

    def tool_logger(self, words: list[str], _data: bytes) -> Answer:
        """Append a line to the system's log."""
        self.log.append(words[-1])
        return NOTHING

    def tool_dmesg(self, _words: list[str], _data: bytes) -> Answer:
        """Print the kernel's message buffer, in which new messages overwrite the oldest."""
        text = "".join(f"{line}\n" for line in self.kernel_log)
        return text[-self.message_buffer_bytes :], "", 0

    def tool_lsof(self, words: list[str], _data: bytes) -> Answer:
        """Print the process that has the device open."""
        return ("p412\ncosqueryd\n", "", 0) if words[-1] in self.opened else ("", "", 1)
