# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The sections of the page: completeness, escalations, processes, connections, files."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osq.columns import SqlValue
from osq.report import capabilities, chart
from osq.report.facts import Answer, Facts, Row
from osq.report.markup import Html, joined, tag, verbatim
from osq.report.tree import Process, processes_of
from osq.report.window import Window, clock, span, stamp
from osq.users import name_of

_NS_PER_S = 1e9
# A browser still draws a tree of this depth. Deeper processes are left out, and the page says how
# many they are.
_DEEPEST = 60
# A small tree is open; a larger one down to a depth.
_SMALL_ROWS, _OPEN_DEPTH = 1_000, 4
_UNSET = 0xFFFFFFFF


def user(uid: SqlValue) -> str:
    """Return a uid as text, with the user's name on the machine that makes the report.

    None is "not known"; an unset login uid is "nobody logged in".
    """
    if uid is None:
        return "not known"
    number = int(uid)
    if number == _UNSET:
        return "nobody logged in"
    name = name_of(number)
    return f"{name} ({number})" if name else str(number)


def section(name: str, title: str, answers: Sequence[Answer], *content: object) -> Html:
    """Return a section of the page: heading, content, and the SQL of the answers that it shows.

    name: its id, for links. A note says so when an answer was cut.
    """
    cut = tag(
        "p",
        f"Not everything is shown: {title.lower()} beyond the first {len(answers[0].rows):,} rows"
        " are left out. A shorter window has them all.",
        class_="note",
    )
    queries = tag(
        "details",
        tag("summary", "The query"),
        *(tag("pre", verbatim(answer.sql + ";"), tabindex="0") for answer in answers),
        class_="query",
    )
    body = joined(*content, cut if any(one.is_cut for one in answers) else "", queries)
    return tag("section", tag("h2", title), body, id=name, aria_label=title)


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]], nothing: str
) -> Html:
    """Return an HTML table that can be scrolled by keyboard.

    nothing: the sentence that is returned when there is no row.
    """
    if not rows:
        return tag("p", nothing, class_="nothing")
    head = tag("tr", *(tag("th", one, scope="col") for one in heads))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="frame", tabindex="0", role="region", aria_label=caption)


def completeness(facts: Facts) -> Html:
    """Return the section "Completeness": verdict, chart, gaps, and notes of kosquery_stats."""
    rows, window = facts.intervals.rows, facts.window
    gaps = chart.gaps_of(rows, window)
    cells = [
        (
            f"{stamp(gap.begin_s)} to {clock(gap.end_s)}",
            span(gap.end_s - gap.begin_s),
            "not known" if gap.missing is None else f"{gap.missing:,}",
            gap.why,
        )
        for gap in gaps
    ]
    notes = [
        tag("p", f"{stamp(int(row['time'] or 0))}: {row['note']}") for row in rows if row["note"]
    ]
    key = tag(
        "p",
        *(tag("span", word, class_=f"key {kind}") for kind, word in _KEY),
        class_="keys",
        aria_hidden="true",
    )
    return section(
        "completeness",
        "Completeness",
        [facts.intervals],
        tag("p", chart.verdict(rows, gaps), class_="bad" if gaps else "good"),
        tag(
            "div",
            chart.chart(rows, window),
            class_="canvas",
            tabindex="0",
            role="region",
            aria_label="Chart",
        ),
        key,
        table("Gaps", ("When", "How long", "Events missing", "Why"), cells, "There is no gap."),
        *notes,
    )


_KEY = (("stored", "stored"), ("missing", "missing"), ("away", "nobody recorded"))


def escalations(facts: Facts) -> Html:
    """Return the section "Escalations": processes that gained root's uid or capabilities."""
    cells = [
        (
            clock(int(row["time"] or 0)),
            _process_link(row),
            row["path"] or "not known",
            f"{user(row['old_euid'])} → {user(row['now_euid'])}",
            user(row["auid"]),
            _way(row),
            capabilities.names(int(row["gained"] or 0)) or "none",
        )
        for row in facts.escalations.rows
    ]
    heads = ("Time", "Process", "Program", "Effective user", "Logged in as", "How", "Capabilities")
    return section(
        "escalations",
        "Escalations",
        [facts.escalations],
        table("Processes that gained rights", heads, cells, "No process gained rights."),
    )


def _way(row: Row) -> str:
    if row["in_new_user_ns"]:
        return "new user namespace: rights only inside it"
    how = {"exec": "a setuid program or file capabilities", "call": "a system call"}
    back = "; its saved uid was 0 already" if row["old_suid"] == 0 else ""
    return how.get(str(row["action"]), "not known: a program or a call") + back


def _anchor(pid: SqlValue, start: SqlValue) -> str:
    return f"p{pid}-{start}"


def _process_link(row: Row) -> Html:
    return tag("a", row["pid"], href=f"#{_anchor(row['pid'], row['start_ntime'])}")


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """What each line of the process tree needs to know of the whole tree.

    risen: the keys of processes that gained rights; open_depth: down to which level the tree is
    unfolded at first.
    """

    risen: frozenset[tuple[SqlValue, SqlValue]]
    open_depth: int


def processes(facts: Facts) -> Html:
    """Return the section "Processes": the tree of which process started which program."""
    roots = processes_of(facts)
    risen = frozenset((row["pid"], row["start_ntime"]) for row in facts.escalations.rows)
    is_small = len(facts.processes.rows) <= _SMALL_ROWS
    drawing = _Drawing(risen=risen, open_depth=_DEEPEST if is_small else _OPEN_DEPTH)
    tree = tag("ul", *(_branch(one, drawing, 0) for one in roots), class_="tree")
    return section(
        "processes",
        "Processes",
        [facts.processes, facts.before],
        tag(
            "p",
            "A process stands below the one that started it. Processes that ran no program of"
            " their own, and started none that did, are counted and not listed.",
        ),
        tree if roots else tag("p", "No program was started.", class_="nothing"),
    )


def _branch(one: Process, drawing: _Drawing, depth: int) -> Html:
    """Return the list element of a process, with those of its descendants in it.

    depth: its level, 0 for a process at the top. Below a bound on the depth, descendants are only
    counted.
    """
    badge = tag("span", "gained rights", class_="badge") if one.key in drawing.risen else ""
    line = joined(_line(one), badge)
    kept = [child for child in one.children if child.is_kept]
    own = {"id": _anchor(*one.key), "tabindex": "-1"}
    if not kept:
        return tag("li", line, **own)
    if depth >= _DEEPEST:
        rest = f"{len(kept)} more below it are left out: the tree is {_DEEPEST} processes deep."
        return tag("li", line, " ", tag("span", rest, class_="faint"), **own)
    below = tag("ul", *(_branch(child, drawing, depth + 1) for child in kept))
    opened = "" if depth < drawing.open_depth else None
    return tag("li", tag("details", tag("summary", line), below, open=opened), **own)


def _line(one: Process) -> Html:
    """Return the line on a process: time, programs, pid, user, and how it ended.

    For a process without an exec in the window, the program is the one that it was forked with, or
    the one that it ran before the window.
    """
    known = one.programs[0] if one.programs else one.known
    facts = [f"pid {one.key[0]}"]
    if known is not None:
        facts.append(user(known["uid"]))
    if one.silent:
        facts.append(f"{one.silent} more without a program")
    return joined(
        tag("time", "before" if one.first_s is None else clock(one.first_s)),
        " ",
        _programs(one),
        " ",
        tag("span", ", ".join(facts), class_="faint"),
        _ending(one),
    )


def _programs(one: Process) -> Html:
    if one.programs:
        then = [joined(" then ", _program(row)) for row in one.programs[1:]]
        return joined(_program(one.programs[0]), *then)
    if one.known is None:
        return tag("em", "a program that is not in the store")
    why = " (no program of its own)" if one.is_child else " (began before the window)"
    return joined(_program(one.known), tag("span", why, class_="faint"))


def _program(row: Row) -> Html:
    path = str(row["path"] or "")
    return joined(
        tag("b", path.rpartition("/")[2], title=path), " ", tag("code", row["cmdline"] or path)
    )


def _ending(one: Process) -> Html:
    end = one.end
    if end is None:
        return joined("")
    began = int(one.key[1] or 0)
    lasted = f" after {span((int(end['ntime'] or 0) - began) / _NS_PER_S)}" if began else ""
    if end["signal"]:
        return tag("span", f"killed by signal {end['signal']}{lasted}", class_="badge")
    if end["exit_code"]:
        return tag("span", f"exit code {end['exit_code']}{lasted}", class_="badge plain")
    return tag("span", f"ended{lasted}", class_="faint end")


def connections(facts: Facts) -> Html:
    """Return the section "Connections": connects, accepts and listeners by program and peer."""
    cells = [
        (
            clock(int(row["first"] or 0)),
            row["path"] or "not known",
            user(row["uid"]),
            row["action"],
            _peer(row),
            _times(row),
            row["failed"] or "",
        )
        for row in facts.connections.rows
    ]
    heads = ("First", "Program", "User", "Action", "Peer or address", "Times", "Failed")
    return section(
        "connections",
        "Connections",
        [facts.connections],
        table("Connections", heads, cells, "No connection was recorded."),
    )


def _peer(row: Row) -> str:
    if row["action"] == "listen" and not row["socket"]:
        return _endpoint(row["address"] or "*", row["port"])
    if row["socket"]:
        return str(row["socket"])
    to_port = f" on port {row['port']}" if row["port"] else ""
    return (
        f"{_endpoint(row['remote_address'], row['remote_port'])}{to_port}"
        if (row["remote_address"])
        else f"address family {_family(row['family'])}"
    )


def _family(number: SqlValue) -> str:
    try:
        return socket.AddressFamily(int(number or 0)).name
    except ValueError:
        return str(number)


def _endpoint(address: SqlValue, port: SqlValue) -> str:
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def _times(row: Row) -> str:
    if row["times"] == 1:
        return "1"
    return f"{row['times']}, until {clock(int(row['last'] or 0))}"


def files(facts: Facts) -> Html:
    """Return the section "File changes": which program changed which watched file, how often."""
    cells = [
        (
            clock(int(row["first"] or 0)),
            row["operation"],
            joined(
                tag("code", row["path"]),
                joined(" → ", tag("code", row["dest_path"])) if row["dest_path"] else "",
            ),
            row["executable"] or "not known",
            user(row["uid"]),
            row["category"] or "",
            _times(row),
        )
        for row in facts.files.rows
    ]
    heads = ("First", "Change", "File", "Program", "User", "Category", "Times")
    return section(
        "files",
        "File changes",
        [facts.files],
        table("Changes of watched files", heads, cells, "No watched file was changed."),
    )


SECTIONS: tuple[tuple[str, str, Callable[[Facts], Html]], ...] = (
    ("completeness", "Completeness", completeness),
    ("escalations", "Escalations", escalations),
    ("processes", "Processes", processes),
    ("connections", "Connections", connections),
    ("files", "File changes", files),
)


def figures(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the figures at the top of the page.

    Shape: (name of the section that it links to, number as text, what is counted).
    """
    gaps = chart.gaps_of(facts.intervals.rows, facts.window)
    programs = sum(row["event_type"] == "exec" for row in facts.processes.rows)
    peers = sum(row["action"] == "connect" for row in facts.connections.rows)

    def figure(
        name: str, answer: Answer, number: int, one: str, more: str
    ) -> tuple[str, str, str]:
        count = f"{number:,}{'+' if answer.is_cut else ''}"
        return name, count, one if count == "1" else more

    whole = ("completeness", "complete", "nothing is missing")
    return [
        figure("completeness", facts.intervals, len(gaps), "gap", "gaps") if gaps else whole,
        figure(
            *("escalations", facts.escalations, len(facts.escalations.rows)),
            *("escalation", "escalations"),
        ),
        figure(*("processes", facts.processes, programs), "program started", "programs started"),
        figure(
            *("connections", facts.connections, peers), "peer connected to", "peers connected to"
        ),
        figure(*("files", facts.files, len(facts.files.rows)), "file change", "file changes"),
    ]


def between(window: Window) -> str:
    """Return the window as text: its begin and end in local time."""
    return f"{stamp(window.begin_s)} to {stamp(window.end_s)}"
