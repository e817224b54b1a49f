# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Render a night's report as one HTML page that needs no network, no script and no other file."""

from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from harness.model.settings import Verdict
from harness.nightly.show import views, words
from harness.nightly.show.morning import Morning


def render(morning: Morning) -> str:
    """Return the HTML page; texts of a run are escaped, because a guest may print anything."""
    files = resources.files(__package__)
    environment = Environment(
        autoescape=True,
        loader=DictLoader({"page": (files / "page.html").read_text(encoding="utf-8")}),
        # A misspelt name in the template is an error, not a gap in the page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plural"] = words.plural
    style = (files / "page.css").read_text(encoding="utf-8")
    verdicts = [cell.verdict for cell in morning.night.cells]
    return environment.get_template(
        "page"
    ).render(
        morning=morning,
        night=morning.night,
        # The style sheet is a file of this package.
        style=Markup(style),  # noqa: S704
        counts={one.value: verdicts.count(one) for one in Verdict if verdicts.count(one)},
        commits=sorted({cell.commit[:12] for cell in morning.night.cells if cell.commit}),
        news=[views.card(one, morning) for one in morning.news],
        known=[views.card(one, morning) for one in morning.known],
        matrix=views.matrix(morning),
        trends=views.trends(morning),
        tests=views.tests(morning),
        events=_events(morning),
        headline=words.summary(morning),
    )


def _events(morning: Morning) -> list[tuple[str, list[str]]]:
    """Return the earlier nights with news, each with a line for each new finding, latest first."""
    return [
        (one.night, [words.event(found) for found in one.news])
        # The last judgement is of this night, whose findings the page shows as news.
        for one in reversed(morning.judgements[:-1])
        if one.news
    ]
