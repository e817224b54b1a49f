# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest with Python, the driver loaded, and the subscriber installed as a service."""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness import config, lives
from harness.guest import Guest
from harness.model import Endpoint, PushSpec
from tests.subscriber import building

TARGET = "debian-12-python"
START_S = 900.0
STEP_S = 120.0
SITE = "/usr/lib/python3/dist-packages"
PACKAGES = ("osquery", "thrift", "future")


def invoke(*words: str, deadline_s: float = 60.0) -> str:
    """Return what a command of the project printed."""
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
    """Give a connection to the guest; it is stopped at the end."""
    said = invoke("kernel-test-load", "--target", TARGET, deadline_s=START_S)
    match = re.search(r"^guest (\S+) stays up", said, re.MULTILINE)
    assert match, said
    life = lives.read(config.environment().runtime / match[1])
    assert life is not None
    endpoint = Endpoint(
        host="127.0.0.1",
        port=life.port,
        user="root",
        key_file=life.key_file,
        host_key=life.host_key,
    )
    try:
        with Guest.connect(endpoint, deadline_s=60, alive=lambda: None) as connection:
            _install(connection, tmp_path_factory.mktemp("site"))
            yield connection
    finally:
        invoke("guest-stop", f"--run={life.run_id}")


def _install(guest: Guest, folder: Path) -> None:
    """Put the packages, the command, its configuration and its unit where a package would."""
    building.build()
    archive = folder / "site.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(building.ROOT / "kernel" / "subscriber" / "osq", "osq", filter=_sources)
        (library,) = building.OUT.glob("_libosq.*.so")
        tar.add(library, library.name)
        for name in PACKAGES:
            found = find_spec(name)
            assert found is not None
            assert found.origin is not None
            tar.add(Path(found.origin).parent, name, filter=_sources)
    unit = "osq-subscriber.service"
    files = {
        archive: "/root/site.tar",
        building.HERE / "osquery_manager.py": "/root/osquery_manager.py",
        building.ROOT / "kernel/subscriber/systemd" / unit: f"/etc/systemd/system/{unit}",
    }
    guest.push(
        [PushSpec(source=source, target=target, mode=0o644) for source, target in files.items()],
        deadline_s=STEP_S,
    )
    guest.run(
        f"""set -e
tar -C {SITE} -xf /root/site.tar
printf '#!/bin/sh\\nexec /usr/bin/python3 -m osq "$@"\\n' >/usr/bin/osq
chmod 755 /usr/bin/osq
mkdir -p /etc/osq
echo '{{"osq": {{"interval_s": 2}}}}' >/etc/osq/osq.conf
systemctl daemon-reload
systemctl start osq-subscriber""",
        deadline_s=STEP_S,
    )


def _sources(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what Python makes again, and what only this machine has."""
    return None if "__pycache__" in entry.name or "/tests" in entry.name else entry
