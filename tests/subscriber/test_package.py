# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the package: it installs as a wheel that needs nothing else of this tree."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from osq import cli
from osq.config import Config, load
from osq.ring import default_device
from tests.subscriber.building import ROOT
from tests.subscriber.host import Host, environment

DEADLINE_S = 240
PARTS = ("subscriber", "client", "uapi")
MAN = ROOT / "kernel" / "subscriber" / "man"


def test_osq_daemon_from_the_built_wheel_runs_until_it_finds_no_folder_for_its_store(
    host: Host, folder: Path
) -> None:
    """From the unpacked wheel alone, `osq daemon` starts, and exits for a missing folder.

    The wheel names both commands and contains libosq.
    """
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
    assert "osq-extension.ext = osq.extension_command:main" in entries
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


def test_log_lines_have_a_priority_number_only_for_journald(host: Host, folder: Path) -> None:
    """The daemon's lines begin with <3> under journald, and with ERROR: for a person."""
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


def test_the_packaged_configuration_equals_the_built_in_defaults() -> None:
    """packaging/system/osq.conf loads as the same settings as no file at all."""
    assert load(ROOT / "packaging" / "system" / "osq.conf") == Config(device=default_device())


def unsaid(page: str, names: set[str]) -> set[str]:
    """Return the options or keys that a manual page in roff does not contain."""
    text = page.replace("\\-", "-").replace("\\fI", "").replace("\\fB", "")
    return {name for name in names if name not in text}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a parser and of its commands, and the commands."""
    found = {one for action in parser._actions for one in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {f"osq {name}" for name in action.choices if name != "tables"}
            for name in action.choices.values():
                found |= options_of(name)
    return found - {"-h", "--help"}


def test_manual_page_osq_8_contains_every_option_of_the_osq_command_line_parser() -> None:
    """osq(8) contains every option of the parser, and the check finds a missing one."""
    options = options_of(cli._parser())
    page = (MAN / "osq.8").read_text()

    assert {"--config", "--follow", "--csv", "osq daemon"} <= options
    assert unsaid(page, options) == set()
    assert unsaid(page.replace("follow", ""), options) == {"--follow"}


def test_manual_page_osq_conf_5_contains_every_key_in_the_table_of_docs_subscriber_md() -> None:
    """osq.conf(5) contains every key in the table of docs/subscriber.md."""
    table = (ROOT / "docs" / "subscriber.md").read_text().partition("## Configuration")[2]
    key = r"^\| ((?:osq|options|events)\.[a-z_.]+|[a-z]+_[a-z]+) \|"
    keys = set(re.findall(key, table, re.MULTILINE))
    page = (MAN / "osq.conf.5").read_text()

    assert {"osq.ring_mib", "file_paths", "options.events_expiry"} <= keys
    assert unsaid(page, keys) == set()
    assert unsaid(page.replace("ring_mib", ""), keys) == {"osq.ring_mib"}


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", ["osq.8", "osq.conf.5"])
def test_each_manual_page_is_formatted_by_man_without_a_warning(page: str) -> None:
    """The pages pass man without a warning, and a page with an unknown macro does not."""
    command = ["man", "--warnings=w,mac", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"]

    def said(text: str) -> str:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stderr

    text = (MAN / page).read_text()
    assert said(text) == ""
    assert "XY" in said(text.replace(".SH", ".XY", 1))


def test_the_extension_reports_that_osquerys_package_is_missing(host: Host) -> None:
    """It exits and says how to get the package; an import error of our own is raised as it is."""
    script = """
import sys
sys.modules[sys.argv[1]] = None
from osq.extension_command import main
sys.exit(main([]))
"""
    said = {}
    for missing in ("osquery", "osq.cursors"):
        done = subprocess.run(
            [sys.executable, "-c", script, missing],
            env=environment(host.socket),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said[missing] = (done.returncode, done.stderr)

    assert said["osquery"][0] == 1
    assert "the Python package osquery is not installed" in said["osquery"][1]
    assert "pip install --target" in said["osquery"][1]
    assert "Traceback" not in said["osquery"][1]
    assert "Traceback" in said["osq.cursors"][1]
