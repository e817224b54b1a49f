# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The command `osq`: parse the arguments, call the library, return an exit code."""

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from osq import VERSION, column_map, config, daemon, logs
from osq.doctor.checkup import checkup, is_missing, lines
from osq.doctor.machine import Machine
from osq.errors import OsqError, UsageError
from osq.following import follow
from osq.output import Format, Printer
from osq.reader import Reader
from osq.report.facts import facts_of
from osq.report.page import page, write
from osq.report.window import window_of
from osq.stopping import stopping_on_signals
from osq.tables import TABLES

LOG = logging.getLogger(__name__)
_EXAMPLE = """examples:
  osq query "SELECT time, uid, cmdline FROM kprocess_events WHERE event_type = 'exec'
             AND time > strftime('%s', 'now') - 60"
  osq query --json --follow "SELECT * FROM kprocess_events WHERE path = '/usr/bin/sudo'"
  osq query "SELECT * FROM kosquery_stats WHERE NOT complete"
"""
_FIRST_STEPS = """first steps:
  systemctl enable --now osq-subscriber     record from now on
  osq doctor                                what this machine lacks
  osq query "SELECT path, cmdline FROM kprocess_events WHERE event_type = 'exec'
             ORDER BY eid DESC LIMIT 5"     the programs that were just started
  osq report --since 1h report.html         the last hour, for a browser
"""
_REPORT_EXAMPLE = """examples:
  osq report --since 2h report.html
  osq report --since '2026-11-30 13:00' --until '2026-11-30 14:00' - > report.html
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="osq",
        description="Record kernel events and query them as SQL tables.",
        epilog=_FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, help="JSON file with osquery's keys (default: /etc/osq/osq.conf)"
    )
    parser.add_argument("--version", action="version", version=f"osq {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("daemon", help="store the device's events until stopped")
    run.add_argument("--verbose", action="store_true", help="log more")
    query = commands.add_parser(
        "query",
        help="query the stored events",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    query.add_argument("sql", help="one SELECT statement")
    query.add_argument("--store", type=Path, help="store file (default: the configuration's)")
    query.add_argument(
        "--deadline", type=float, default=60.0, help="limit in seconds (default: 60)"
    )
    query.add_argument("--follow", action="store_true", help="repeat the query over new rows")
    forms = query.add_mutually_exclusive_group()
    for form in (Format.JSON, Format.CSV):
        forms.add_argument(
            f"--{form.value}",
            dest="form",
            action="store_const",
            const=form,
            help=f"print {form.value}",
        )
    _add_report(commands)
    _add_doctor(commands)
    commands.add_parser("tables", help="print all tables and columns as Markdown")
    return parser


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser(
        "doctor",
        help="say what this machine lacks, and what to do about it",
        description="Check the driver, the device and who reads it, the store, the disk, the"
        " watched paths, the clock, and audit beside it. Each line says what to do next. The exit"
        " code is 1 if something is missing without which events are not recorded.",
    )


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser(
        "report",
        help="write what happened in a window of time as one HTML file",
        description="Write what happened in a window of time as one HTML file: completeness,"
        " escalations, processes, connections, file changes. Times are local.",
        epilog=_REPORT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("file", help="the file to write; - for the standard output")
    report.add_argument(
        "--since", default="1h", help="begin: a span before now, or a time (default: 1h)"
    )
    report.add_argument("--until", help="end, as --since (default: now)")
    report.add_argument("--store", type=Path, help="store file (default: the configuration's)")


def _daemon(options: argparse.Namespace) -> int:
    # systemd sets this variable for a service whose standard error goes to the journal
    # (systemd.exec(5)).
    logs.log_to_stderr(for_journal="JOURNAL_STREAM" in os.environ, verbose=options.verbose)
    with stopping_on_signals() as stop:
        daemon.serve(config.load(options.config), stop)
    return 0


def _query(options: argparse.Namespace) -> int:
    store = options.store or config.load(options.config).store
    printer = Printer(sys.stdout, options.form or Format.TABLE, lines=options.follow)
    if options.follow:
        with stopping_on_signals() as stop:
            for answer in follow(store, options.sql, stop=stop, deadline_s=options.deadline):
                printer.print(answer)
    else:
        with Reader(store) as reader:
            printer.print(reader.query(options.sql, deadline_s=options.deadline))
    printer.close()
    return 0


def _report(options: argparse.Namespace) -> int:
    now_s = int(time.time())
    window = window_of(options.since, options.until, now_s)
    with Reader(options.store or config.load(options.config).store) as reader:
        facts = facts_of(reader, window)
    text = page(facts, host=socket.gethostname(), made_s=now_s)
    if options.file == "-":
        sys.stdout.write(text)
    else:
        write(text, Path(options.file))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise UsageError(
            "only root can see which process reads the device, and read the store",
            hint="sudo osq doctor",
        )
    findings = list(checkup(Machine.this(), options.config))
    sys.stdout.writelines(f"{line}\n" for line in lines(findings))
    return int(is_missing(findings))


def _tables(_options: argparse.Namespace) -> int:
    sys.stdout.writelines(f"{line}\n" for line in column_map.markdown(TABLES))
    return 0


def _say(error: OsqError, *, to_log: bool) -> None:
    if to_log:
        LOG.error("%s", " -> ".join(filter(None, (error.message, error.hint))))
        return
    sys.stderr.write(f"osq: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  -> {error.hint}\n")


_COMMANDS = {
    "daemon": _daemon,
    "query": _query,
    "report": _report,
    "doctor": _doctor,
    "tables": _tables,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 1 failure, 2 wrong request."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except OsqError as error:
        _say(error, to_log=options.command == "daemon")
        return error.exit_code
    except BrokenPipeError:
        # The reader of the pipe has left. Python's final flush would otherwise fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
