# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Unpack a kernel log from JSON of log collectors, from HTML, quoted mail, tables and margins.

In a log that passed through a tracker, a mail or a collector, the kernel's text is inside another
text. Each function takes numbered lines and returns the inner lines, each with the number of its
outer line.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.panic import headers


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line of a log with its number; `dialect` names the formats that it was unpacked from."""

    number: int
    text: str
    dialect: tuple[str, ...] = ()


# Keys under which collectors store the line: docker, journald, fluentd, Google Cloud, CloudWatch.
_TEXT_KEYS = ("log", "MESSAGE", "message", "msg", "textPayload", "line", "body")
_PANIC_STRING = re.compile(r'"(?:panicString|macOSPanicString)"\s*:\s*"')
# An escape, or the end of a JSON string; a backslash at the end of the line is a cut escape.
_ESCAPE_OR_END = re.compile(r'"|\\(?:.|$)')
# Keys of a panic file whose values come after the panic string, one value on a line.
_JSON_LINE = re.compile(r'\s*(?:"|[{}\[\],]|-?\d|true|false|null|$)')
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d+|#x[0-9a-fA-F]+);")
_TAG = re.compile(
    r"</?(?:a|b|body|br|code|div|em|font|html|i|li|ol|p|pre|samp|span|strong|table|tbody|td|tr|tt|ul)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BREAK = re.compile(r"<(?:br|p|div|tr|li)\b[^<>]*>|</(?:p|div|tr|li)>", re.IGNORECASE)
# KASAN marks the bad row of memory with a '>' of its own.
_QUOTE = re.compile(r"(?:>(?! ?[0-9a-f]{16}: ) ?)+")
_PANIC = re.compile(r"\s+panic ?\(cpu \d")
_MARKS = {"table": "|", "code": "`"}
_FEWEST_MARKED = {"table": 3, "code": 1}
# One or two lines with '>' are no quotation, because KASAN marks the bad memory row with '>'.
_FEWEST_QUOTED = 3


def unpacked(lines: Sequence[NumberedLine]) -> list[NumberedLine]:
    """Return the lines of a log, unpacked from JSON, HTML, quotations, tables and code.

    The indentation of a whole report is removed, too.
    """
    found = list(_from_json(lines))
    if any(_ENTITY.search(line.text) or _BREAK.search(line.text) for line in found):
        found = [inner for line in found for inner in _from_html(line)]
    quoted = sum(_QUOTE.match(line.text) is not None for line in found)
    if quoted >= _FEWEST_QUOTED or quoted == sum(bool(line.text.strip()) for line in found):
        found = list(map(_without_quotes, found))
    for name, mark in _MARKS.items():
        if any(line.text.startswith(mark) for line in found):
            found = list(_without_marks(found, name))
    return list(_without_margin(found))


def _from_json(lines: Sequence[NumberedLine]) -> Iterator[NumberedLine]:
    """Yield the log lines that are stored in JSON objects; of a macOS panic file the panic string.

    Lines outside of JSON are yielded unchanged.
    """
    within_file = False
    for line in lines:
        panic = _PANIC_STRING.search(line.text) if '"' in line.text else None
        if panic is not None:
            text = _json_string(_escaped(line.text, panic.end()))
            yield from (NumberedLine(line.number, one, ("ips",)) for one in text.split("\n"))
            within_file = True
            continue
        within_file = within_file and _JSON_LINE.match(line.text) is not None
        if not within_file:
            yield from _from_entry(line)


def _from_entry(line: NumberedLine) -> Iterator[NumberedLine]:
    """Yield the log lines in the JSON object of a log collector, such as journald or docker.

    A line that is no such object is yielded itself.
    """
    start, end = line.text.find("{"), line.text.rstrip(" ,\r")
    entry = _json_object(end[start:]) if start >= 0 and end.endswith("}") else None
    text, dialect = _entry_text(entry) if entry else ("", "")
    if not dialect:
        yield line
        return
    yield from (
        NumberedLine(line.number, one, (dialect,))
        for one in _encodable(text).rstrip("\n").split("\n")
    )


def _escaped(text: str, start: int) -> str:
    """Return the rest of a JSON string, still escaped, from `start` to its end quote or its cut.

    One pattern for all of the string would allocate some 130 bytes for each of its characters.
    """
    for found in _ESCAPE_OR_END.finditer(text, start):
        if found[0] in {'"', "\\"}:
            return text[start : found.start()]
    return text[start:]


def _json_string(escaped: str) -> str:
    """Return the text of a JSON string's content; if it is cut, only line ends are decoded."""
    try:
        return _encodable(str(json.loads(f'"{escaped}"', strict=False)))
    except ValueError:
        return escaped.replace("\\n", "\n")


def _encodable(text: str) -> str:
    """Return a text with lone surrogates, which no encoding can write, as backslash escapes."""
    return text.encode(errors="backslashreplace").decode()


def _json_object(text: str) -> dict[str, object] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _entry_text(entry: dict[str, object]) -> tuple[str, str]:
    """Return the log text in a log collector's JSON object, and the format's name as a dialect.

    A text of the journal gets the kernel's time or tag, or that of another program, as its prefix.
    Both results are "" for an unknown format.
    """
    text = next((entry[key] for key in _TEXT_KEYS if key in entry), None)
    if isinstance(text, list) and all(isinstance(one, int) and 0 <= one < 256 for one in text):
        text = bytes(text).decode(errors="backslashreplace")
    if not isinstance(text, str):
        return "", ""
    if "MESSAGE" not in entry:
        return text, "json"
    kernel = "kernel" in (entry.get("_TRANSPORT"), entry.get("SYSLOG_IDENTIFIER"))
    clock = str(entry.get("_SOURCE_MONOTONIC_TIMESTAMP", ""))
    if not kernel:
        name = entry.get("SYSLOG_IDENTIFIER") or "program"
        # In this form `dialects` recognizes the line of another program.
        return f"Jan  1 00:00:00 localhost {name}: {text}", "journal-json"
    stamp = f"[{int(clock) / 1e6:12.6f}] " if clock.isdigit() and len(clock) < 19 else "kernel: "
    return "\n".join(stamp + one for one in text.split("\n")), "journal-json"


def _from_html(line: NumberedLine) -> Iterator[NumberedLine]:
    dialect = (*line.dialect, "html")
    for part in _BREAK.sub("\n", line.text).removesuffix("\n").split("\n"):
        text = html.unescape(_TAG.sub("", part)).replace("\xa0", " ")
        yield NumberedLine(line.number, text, dialect if text != line.text else line.dialect)


def _without_quotes(line: NumberedLine) -> NumberedLine:
    """Return a line without the '>' marks of a quoted mail, however deep the quotation is."""
    marks = _QUOTE.match(line.text)
    if marks is None:
        return line
    return NumberedLine(line.number, line.text[marks.end() :], (*line.dialect, "quoted"))


def _without_marks(lines: Sequence[NumberedLine], name: str) -> Iterator[NumberedLine]:
    """Yield the lines without the '|' of a table, or the '`' of code, at their beginnings.

    `name`, 'table' or 'code', says which. A '|' is removed only if at least three lines in a row
    begin with it, or if a blank or '>' follows it in each of them.
    """
    mark = _MARKS[name]
    run: list[NumberedLine] = []
    for line in lines:
        if line.text.startswith(mark):
            run.append(line)
            continue
        yield from _unmarked(run, name)
        run = []
        yield line
    yield from _unmarked(run, name)


def _unmarked(run: Sequence[NumberedLine], name: str) -> Iterator[NumberedLine]:
    mark = _MARKS[name]
    spaced = all(line.text[len(mark) :][:1] in ("", " ", ">") for line in run)
    if not run or (len(run) < _FEWEST_MARKED[name] and not spaced):
        yield from run
        return
    for line in run:
        text = line.text.removeprefix(mark)
        text = text.removeprefix(" ") if spaced else text
        text = text.removesuffix("`") if name == "code" else text
        if name == "table" and text.rstrip().endswith("|"):
            text = text.rstrip().removesuffix("|").rstrip()
        yield NumberedLine(line.number, text, (*line.dialect, name))


def _without_margin(lines: Sequence[NumberedLine]) -> Iterator[NumberedLine]:
    """Yield the lines without the indentation that a mail or page has given to a whole report.

    The margin is the indentation of the report's header, because the kernel does not indent
    headers. A line that is indented further keeps the rest of its indentation.
    """
    margin = ""
    for line in lines:
        text = line.text
        indent = text[: len(text) - len(text.lstrip(" \t"))]
        if text.strip() and not indent:
            margin = ""
        elif indent and not margin and (headers.match(text) or _PANIC.match(text)):
            margin = indent
        if not margin:
            yield line
            continue
        yield NumberedLine(line.number, text.removeprefix(margin), (*line.dialect, "indented"))
