# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Remove the prefixes that printk, syslog, dmesg and others put before a kernel's log line.

Several programs handle a line, and each adds its own prefix: printk its time and caller, dmesg a
date, syslog date, host and tag, a serial program the time of day, a log collector its own. `peel`
removes all of them, and returns what they say. Some prefixes show that the kernel wrote the line
(printk's time, the tag 'kernel:'); others only give the time of its arrival. A dialect is the name
of such a prefix.

Sources: Documentation/core-api/printk-basics.rst, Documentation/ABI/testing/dev-kmsg,
    journalctl(1) --output, dmesg(1) --time-format, RFC 3164 and RFC 5424, logcat's threadtime.
"""

import re
from dataclasses import dataclass

# printk's prefix: <6>, [   12.345678], [ T1234] or [    C0]; each part except the time is
# optional.
STAMP = re.compile(
    r"\[ *(?P<at>\d{1,12}\.\d{6}) ?\](?: ?\[ *(?P<context>[TC]\d+) ?\])? ?(?:<\d> ?)?"
)
# The mark that is put before a kernel line without a time of its own.
UNTIMED = "[kernel] "
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
# Only time zones are accepted here, because 'BUG' may be in the same place.
_ZONE = r"(?:Z|UTC|GMT|[A-Z]{0,3}[DS]T|[CEMW]ES?T|MSK|IST|HKT|[+-]\d\d:?\d\d)\b"
_ISO = r"\d{4}[-/]\d\d[-/]\d\d[T ,_]{1,2}" + _CLOCK + r"(?: ?" + _ZONE + r")?"
_KERNEL_TAG = r"(?:kernel|klogd|vmunix)(?:\[\d+\])?: ?"
_PRIORITY = r"(?:kern|user|daemon|syslog)\.\w{3,8} +"


@dataclass(frozen=True)
class _Layer:
    """The pattern of one log prefix, such as syslog's, and its name as a dialect.

    `kernel` is true if only lines of the kernel have this prefix.
    """

    dialect: str
    pattern: str
    kernel: bool = False


# Prefixes that may come before the one that shows who wrote the line. The first match is used.
_OUTER = (
    _Layer("printk", r"(?:<\d{1,3}>)?" + STAMP.pattern, kernel=True),
    _Layer("dmesg --delta", r"\[ *[+<] *\d+[.,]\d+>?\] ", kernel=True),
    _Layer("dmesg --ctime", r"\[[^\[\]]{3,32}" + _CLOCK + r" \d{4}\] ", kernel=True),
    _Layer("dmesg --iso", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d ", kernel=True),
    _Layer("dmesg --reltime", r"\[[^\W\d]{3}\d\d \d\d:\d\d\] ", kernel=True),
    _Layer("dmesg --decode", r"kern *: *\w{3,7} *: ", kernel=True),
    _Layer(
        "kmsg", r"(?:\d+\.\d+[^,;\s]*,)?\d{1,4},\d+,(?P<us>\d{1,18}),[^;\s]{1,80};", kernel=True
    ),
    _Layer(
        "logcat",
        r"\d\d-\d\d " + _CLOCK + r" +(?:\w+ +)?\d+ +\d+ [VDIWEF] kernel *: ?|"
        r"[VDIWEF]/kernel *\( *\d+\): ?",
        kernel=True,
    ),
    _Layer(
        "android", r" *(?P<seconds>\d+\.\d{6}): +<\d> \(\d\d-\d\d " + _CLOCK + r"\) ", kernel=True
    ),
    _Layer("syslog", r" ?" + _KERNEL_TAG, kernel=True),
    _Layer("syslog", _PRIORITY),
    _Layer(
        "macos-log",
        _ISO + r" 0x[0-9a-f]+ +\w+ +0x[0-9a-f]+ +\d+ +\d+ +kernel: ?(?:\(\S+\) )?",
        kernel=True,
    ),
    _Layer("kubernetes", _ISO + r" (?:stdout|stderr) [FP] "),
    _Layer("dated", r"(?:[^\W\d]{2,3} )?" + _ISO + r"(?: \d\d[OE])?[>|:+]*(?: [-|>](?= ))? ?"),
    _Layer("dated", r"[\[(](?:[^\W\d]{2,3} )?" + _ISO + r"[\])][:>]? ?"),
    _Layer("timed", r"[\[(]?" + _CLOCK + r"[\])>:|]*(?: [|>-])? "),
    _Layer(
        "syslog",
        r"(?:[^\s\[\]<>:]{1,10},? +){1,2}\d{1,2}\.?,? (?:\d{4},? )?"
        + _CLOCK
        + r"(?: \d{4})?(?: "
        + _ZONE
        + r")? |"
        r"\d{1,2}\.? [^\W\d]{2,10}\.? (?:\d{4} )?" + _CLOCK + " ",
    ),
    _Layer("syslog", r"\d{9,10}\.\d{3,9} "),
    _Layer("elided", r"\[(?:\.{2,3}|…)\] "),
    _Layer("printk", r"<\d{1,3}>(?:1 )?"),
    _Layer("compose", r"[\w.-]{1,40} +\| "),
    _Layer("printk", r"\[ *(?P<caller>[TC]\d+)\] ?"),
)
# Host and tag, which may follow a date.
_TAG = re.compile(r"(?:[\w.:-]{1,64} )?(?:" + _PRIORITY + r")?" + _KERNEL_TAG)
_OTHER_TAG = re.compile(r"[\w.-]{1,64} (?:[\w./@-]{1,48}\[\d+\]|[a-z][\w./@-]{1,48}): ")
# Prefixes that may follow printk's time: the journal's tag, and those that vendors add.
_INNER = re.compile(
    r"(?P<tag>(?:[\w.-]{1,64} )?" + _KERNEL_TAG + r")|"
    r"(?P<stamp>(?:<\d{1,3}>)?" + STAMP.pattern + r")|"
    r"(?P<vendor> ?(?:-?\(\d+\)\[\d+:[^\]]{1,24}\]|c\d+ +\d+ \([^()]{1,24}\)|"
    r"\[\d+: *[^:\[\]]{1,24}: *\d+\]|c\d{1,2}(?= )|\[pid:\d+,cpu\d+,[^\]]{1,32}\]) ?)|"
    r"(?P<level><\d>)"
)
_FIRST = re.compile(
    "|".join(f"(?P<l{number}>{layer.pattern})" for number, layer in enumerate(_OUTER))
)
# No log has more prefixes; the bound keeps a hostile line from costing time.
_MOST_LAYERS = 8


@dataclass(frozen=True, slots=True)
class Peeled:
    """A log line without its prefixes, and what the prefixes say of it.

    `kernel` is whether a prefix shows that the kernel wrote the line, `other` whether one shows
    another program. `stamp` is printk's time as printed, "" without one, `at` the same in seconds;
    `context` is the thread or CPU that printed. `dialect` names the prefixes, outermost first.
    """

    text: str
    kernel: bool = False
    other: bool = False
    stamp: str = ""
    at: float | None = None
    context: str = ""
    dialect: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The line in the form that `lines.parse` reads, marked if the kernel wrote it.

        A kernel line is one of which a prefix shows that the kernel wrote it. It has the form of
        `as_kernels`, another one is the bare text.
        """
        return self.as_kernels if self.kernel else self.text

    @property
    def as_kernels(self) -> str:
        """The line in the form in which `lines.parse` takes it for the kernel's, whoever wrote it.

        It begins with printk's time, or, when the line has none, with '[kernel]' and the thread or
        CPU that printed.
        """
        if self.stamp:
            return self.stamp + self.text
        return UNTIMED + (f"[{self.context}] " if self.context else "") + self.text


def peel(line: str) -> Peeled:
    """Return a log line without its prefixes, and what the prefixes say of it.

    A line of another program keeps its prefixes.
    """
    plain = STAMP.match(line) if line.startswith("[") else None
    if plain is not None:
        return _stamped(line, plain)
    if line.startswith(UNTIMED):
        return Peeled(line.removeprefix(UNTIMED), kernel=True)
    rest, context, dialect = line, "", []
    for _ in range(_MOST_LAYERS):
        match = _FIRST.match(rest)
        if match is None or match.end() == 0:
            break
        layer = _OUTER[int(match.lastgroup[1:])] if match.lastgroup else None
        assert layer is not None  # noqa: S101 -- each alternative is a group of its own
        rest = rest[match.end() :]
        if layer.dialect not in dialect:
            dialect.append(layer.dialect)
        context = match["caller"] or context
        if layer.kernel:
            return _of_kernel(rest, match, context, dialect)
        tag = _TAG.match(rest) if layer.dialect in {"syslog", "dated"} else None
        if tag is not None:
            return _inner(rest[tag.end() :], "", None, context, ["syslog", *dialect[1:]])
        if layer.dialect in {"syslog", "dated"} and _is_others(rest, layer.dialect):
            return _within(line) or Peeled(line, other=True, dialect=tuple(dialect))
    found = _within(rest)
    return found or Peeled(rest, context=context, dialect=tuple(dialect))


# A text with which an inner prefix begins, or that it contains; most lines have none of these.
_MAYBE_INNER = re.compile(r" ?[(\[c<-]|.{0,64}\b(?:kernel|klogd|vmunix)\b")
_PRINTK = ("printk",)


def _stamped(line: str, stamp: re.Match[str]) -> Peeled:
    """Split a line that begins with printk's time; `stamp` is the match of that time."""
    rest, context, at = line[stamp.end() :], stamp["context"] or "", float(stamp["at"])
    if _MAYBE_INNER.match(rest):
        return _inner(rest, stamp[0].rstrip() + " ", at, context, ["printk"])
    return Peeled(rest, True, False, stamp[0], at, context, _PRINTK)  # noqa: FBT003 -- the hot path


def _is_others(rest: str, dialect: str) -> bool:
    """Return whether the text after a date names a program other than the kernel as its writer.

    Except in the dialect 'syslog', the name counts only if a process id follows it.
    """
    tag = _OTHER_TAG.match(rest)
    return tag is not None and (dialect == "syslog" or "[" in tag[0])


def _within(line: str) -> Peeled | None:
    """Return the kernel line that begins in the middle of another program's unfinished line.

    None means that the line contains no printk time.
    """
    match = STAMP.search(line) if "[" in line else None
    if match is None:
        return None
    stamp, at = match[0].rstrip() + " ", float(match["at"])
    return _inner(line[match.end() :], stamp, at, match["context"] or "", ["printk"])


def _of_kernel(rest: str, match: re.Match[str], context: str, dialect: list[str]) -> Peeled:
    """Return the kernel line `rest` that follows a prefix which only kernel lines have.

    `match` is the prefix. `context` and `dialect` are those of the prefixes before it.
    """
    if match["us"]:
        seconds = int(match["us"]) / 1e6
        return _inner(rest, f"[{seconds:12.6f}] ", seconds, context, dialect)
    if match["seconds"]:
        seconds = float(match["seconds"])
        return _inner(rest, f"[{seconds:12.6f}] ", seconds, context, dialect)
    if match["at"]:
        stamp = f"[{float(match['at']):12.6f}]"
        caller = match["context"] or ""
        stamp += f"[{caller:>6}] " if caller else " "
        return _inner(rest, stamp, float(match["at"]), caller, dialect)
    return _inner(rest, "", None, context, dialect)


def _inner(rest: str, stamp: str, at: float | None, context: str, dialect: list[str]) -> Peeled:
    """Remove further prefixes after one of the kernel, and return the line with what all say.

    `stamp` and `at` are the kernel's time, `context` and `dialect` are those of the prefixes that
    were removed before.
    """
    for _ in range(_MOST_LAYERS):
        match = _INNER.match(rest)
        if match is None:
            break
        rest = rest[match.end() :]
        if match["stamp"]:
            at, context = float(match["at"]), match["context"] or context
            stamp = f"[{at:12.6f}]" + (f"[{context:>6}] " if context else " ")
            dialect = dialect if "printk" in dialect else [*dialect, "printk"]
        elif match["vendor"]:
            dialect = dialect if "android" in dialect else [*dialect, "android"]
        elif match["tag"] and "syslog" not in dialect:
            dialect = [*dialect, "syslog"]
    return Peeled(rest, kernel=True, stamp=stamp, at=at, context=context, dialect=tuple(dialect))
