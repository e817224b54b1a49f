# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest with Python, the driver loaded, and the subscriber's package installed."""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.guest import registry
from harness.host import config
from harness.model.settings import PushSpec
from harness.systems.ssh import Guest
from tests.packages.releases import make_release, package
from tests.subscriber import building

TARGET = "debian-12-python"
START_S = 900.0
STEP_S = 120.0
INSTALL_S = 600.0
# The folder for an administrator's own packages of Debian 12's Python.
SITE = "/usr/local/lib/python3.11/dist-packages"
DEBS = ("libosq0", "osq-subscriber")
CONFIGURATION = '{"osq": {"interval_s": 2}}'
# osquery's package, the two packages that it imports, and what the model of osqueryd needs.
PACKAGES = ("osquery", "thrift", "future", "apsw")
MODEL = ("osqueryd_model.py", "osquery_tables.py")


def invoke(*words: str, deadline_s: float = 60.0) -> str:
    """Run a task of the project, and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=building.ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Return a connection to the guest, which is stopped after the tests."""
    said = invoke("kernel-test-load", "--target", TARGET, deadline_s=START_S)
    match = re.search(r"^guest (\S+) stays up", said, re.MULTILINE)
    assert match, said
    life = registry.read(config.environment().runtime / match[1])
    assert life is not None
    try:
        with Guest.connect(life.endpoint, deadline_s=60, alive=lambda: None) as connection:
            _install(connection, tmp_path_factory.mktemp("site"))
            yield connection
    finally:
        invoke("guest-stop", f"--run={life.run_id}")


def _install(guest: Guest, folder: Path) -> None:
    """Install this tree's packages in the guest, and what Debian does not have.

    An administrator would also copy osquery's Python package; a model of osqueryd comes with it.
    """
    release = make_release(folder / "release", key=None, skip_kernel=True)
    archive = folder / "site.tar"
    with tarfile.open(archive, "w") as tar:
        for name in PACKAGES:
            found = find_spec(name)
            assert found is not None
            assert found.origin is not None
            tar.add(Path(found.origin).parent, name, filter=_sources)
        for name in MODEL:
            tar.add(building.HERE / name, f"tests/subscriber/{name}")
    files = {
        archive: "/root/site.tar",
        **{package(release, name): f"/root/{name}.deb" for name in DEBS},
    }
    guest.push(
        [PushSpec(source=source, target=target, mode=0o644) for source, target in files.items()],
        deadline_s=STEP_S,
    )
    # The image's policy-rc.d forbids packages to start and stop services, so it is removed.
    guest.run(
        f"rm -f /usr/sbin/policy-rc.d; mkdir -p {SITE}; tar -C {SITE} -xf /root/site.tar",
        deadline_s=STEP_S,
    )
    install(guest)
    begin(guest)


def install(guest: Guest) -> None:
    """Install the packages that were pushed into the guest."""
    debs = " ".join(f"/root/{name}.deb" for name in DEBS)
    guest.run(f"DEBIAN_FRONTEND=noninteractive dpkg -i {debs}", deadline_s=INSTALL_S)


def begin(guest: Guest, configuration: str = CONFIGURATION) -> None:
    """Write the configuration, and restart the service, which reads it."""
    guest.run(
        f"echo '{configuration}' >/etc/osq/osq.conf; systemctl restart osq-subscriber",
        deadline_s=STEP_S,
    )


def _sources(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out compiled files and tests of a Python package."""
    return None if "__pycache__" in entry.name or "/tests" in entry.name else entry
