# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scripted Mac behind SSH for each test, and a kext bundle to load there."""

import plistlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.host import config
from harness.kext import build
from harness.model.settings import ModuleSpec, System
from harness.systems.ssh import Guest
from harness.targets import target_file
from harness.targets.target_file import Kind, RemoteSpec
from harness.targets.workflow import Loading
from tests.macos.emulated_mac import EmulatedMac
from tests.macos.fake_system import Profile
from tests.macos.mac_server import MacServer, serving

ROOT = Path(__file__).resolve().parents[2]
IDENTIFIER = "org.example.osq"
SPEC = ModuleSpec(name="osq", source=Path("/src"), devices=("/dev/osquery",))
PROFILES = {
    "10.10": Profile(version="10.10.5", build="14F2511"),
    "10.15": Profile(version="10.15.7", build="19H2026"),
    "11": Profile(version="11.7.10", build="20G1427"),
    "13": Profile(version="13.7.2", build="22H313"),
    "15": Profile(version="15.4", build="24E248"),
    "15-arm": Profile(version="15.4", build="24E248", arch="arm64"),
}


# Commands that change nothing; nvram changes nothing when it gets no value.
_QUIET = (
    *("cat", "sw_vers", "dmesg", "kextstat", "kmutil showloaded", "test", "sysctl", "ls", "uname"),
    *("csrutil", "spctl", "logger", "lsof", "system_profiler", "stat"),
)
_READS = {"nvram boot-args", "nvram -p", "nvram csr-active-config"}


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The key pairs of the scripted Mac and of the harness."""

    host: Path
    host_line: str
    client: Path
    client_blob: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One scripted Mac: its state, its server, and its description as a target."""

    mac: EmulatedMac
    server: MacServer
    target: RemoteSpec
    loading: Loading
    printed: list[str]

    def say(self, text: str) -> None:
        """Record a line that the harness would print for the user."""
        self.printed.append(text)

    @property
    def changes(self) -> list[str]:
        """The commands that changed something, in order, without sudo."""
        words = [line.removeprefix("sudo -n ") for line in self.mac.commands]
        return [line for line in words if not line.startswith(_QUIET) and line not in _READS]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Create the keys, once for all tests."""
    folder = tmp_path_factory.mktemp("keys")

    def make(name: str) -> str:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]
        subprocess.run([*command, str(folder / name)], check=True)
        return " ".join((folder / f"{name}.pub").read_text().split()[:2])

    host_line, client_line = make("host"), make("client")
    return Keys(
        host=folder / "host",
        host_line=host_line,
        client=folder / "client",
        client_blob=client_line.split()[1],
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Create a bundle as kernel-build leaves it, with modes as under the umask 002."""
    folder = tmp_path / "osq.kext"
    (folder / "Contents" / "MacOS").mkdir(parents=True)
    information = {
        "CFBundleIdentifier": IDENTIFIER,
        "CFBundleVersion": "1.0.0",
        "CFBundleExecutable": "osq",
    }
    (folder / "Contents" / "Info.plist").write_bytes(plistlib.dumps(information))
    binary = folder / "Contents" / "MacOS" / "osq"
    binary.write_bytes(b"\xcf\xfa\xed\xfe")
    binary.chmod(0o664)
    return folder


@pytest.fixture(scope="session")
def kext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project's own kext, once for all tests."""
    missing = ", ".join(build.missing_tools())
    if missing:
        pytest.skip(f"not installed: {missing}")
    spec = config.load(ROOT / "pyproject.toml").kext
    assert spec is not None
    return build.build(spec, tmp_path_factory.mktemp("kext") / "out").bundle


@pytest.fixture
def make_case(keys: Keys, bundle: Path) -> Iterator[Callable[[Profile], Case]]:
    """Return a function that starts a scripted Mac, which fails the test at an unknown command."""
    with ExitStack() as stack:

        def make(profile: Profile) -> Case:
            mac = EmulatedMac(profile=profile)
            server = stack.enter_context(serving(mac, keys.host, keys.client_blob))
            target = RemoteSpec(
                name="mac",
                type=Kind.SSH,
                system=System.MACOS,
                host="127.0.0.1",
                port=server.port,
                user="tester",
                key_file=keys.client,
                host_key=keys.host_line,
                signed=profile.signed,
                restart_s=15.0,
            )
            loading = Loading(target=target, spec=SPEC, file=bundle)
            return Case(mac=mac, server=server, target=target, loading=loading, printed=[])

        yield make


@pytest.fixture
def connected() -> Iterator[Callable[[Case], Guest]]:
    """Return a function that connects to a scripted Mac."""
    with ExitStack() as stack:
        yield lambda case: stack.enter_context(target_file.connect(case.target, deadline_s=10))


@pytest.fixture
def named(
    make_case: Callable[[Profile], Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Profile], Case]:
    """Return a function that starts a scripted Mac as the user's target 'mine'."""
    folder = tmp_path / "targets"
    folder.mkdir()
    monkeypatch.setenv("HARNESS_TARGETS", str(folder))
    monkeypatch.chdir(Path(__file__).parent)

    def make(profile: Profile) -> Case:
        case = make_case(profile)
        spec = case.target
        text = f"""type = "ssh"
system = "macos"
host = "127.0.0.1"
port = {spec.port}
user = "tester"
key_file = "{spec.key_file}"
host_key = "{spec.host_key}"
signed = {str(profile.signed).lower()}
restart_s = 10.0
"""
        (folder / "mine.toml").write_text(text)
        return case

    return make
