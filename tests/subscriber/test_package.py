# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The package as it is installed: a wheel that needs nothing of this tree."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.subscriber.building import ROOT
from tests.subscriber.host import Host, environment

DEADLINE_S = 240
PARTS = ("subscriber", "client", "uapi")


def test_a_wheel_is_built_and_works_by_itself(host: Host, folder: Path) -> None:
    """Its commands start from the wheel alone, and its libosq reads a ring."""
    for part in PARTS:
        shutil.copytree(ROOT / "kernel" / part, folder / part)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "-w", str(folder), str(folder / "subscriber")], check=True, timeout=DEADLINE_S
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
        names = {Path(name).name for name in archive.namelist()}
        entries = archive.read(
            next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        ).decode()

    assert {"_libosq.abi3.so", "cli.py", "extension.py"} <= names
    assert "osq = osq.cli:main" in entries
    assert "osq-extension.ext = osq.extension:main" in entries
    config = folder / "osq.conf"
    keys = {"device": str(host.socket), "store": str(folder / "none" / "events.db")}
    config.write_text(json.dumps({"osq": keys}))
    done = subprocess.run(
        [sys.executable, "-m", "osq", "--config", str(config), "daemon"],
        env={**environment(host.socket), "PYTHONPATH": str(folder / "site")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "is its folder there?" in done.stderr


def test_journald_gets_priorities(host: Host, folder: Path) -> None:
    """As systemd takes them off the line; a person gets the level's name."""
    config = folder / "osq.conf"
    config.write_text(json.dumps({"osq": {"device": str(host.socket), "store": "/nowhere/x"}}))
    command = [sys.executable, "-m", "osq", "--config", str(config), "daemon"]
    outputs = {}
    for name, extra in (("journal", {"JOURNAL_STREAM": "1:2"}), ("person", {})):
        base = {k: v for k, v in environment(host.socket).items() if k != "JOURNAL_STREAM"}
        done = subprocess.run(
            command,
            env={**base, **extra},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        outputs[name] = done.stderr

    assert outputs["journal"].startswith("<3>/nowhere/x.lock: No such file")
    assert outputs["person"].startswith("ERROR: /nowhere/x.lock: No such file")
