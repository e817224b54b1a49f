# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A headless Chromium that opens a file, for tests of what a browser makes of it."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

NAME = "chromium"
needed = pytest.mark.skipif(
    shutil.which(NAME) is None, reason="chromium is not installed; ./dev check installs it"
)
_DEADLINE_S = 180.0
# Writes what it has measured into an attribute of the body, which --dump-dom prints.
_AUDIT = """
const seen = [], failures = [];
function rgb(text) { return text.match(/[\\d.]+/g).map(Number); }
function ground(node) {
  for (let one = node; one; one = one.parentElement) {
    const colour = rgb(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
}
function luminance(colour) {
  const [r, g, b] = colour.map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}
document.querySelectorAll("details").forEach(one => { one.open = true; });
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  if (!node.data.trim() || parent.closest("script, desc, title")) continue;
  const style = getComputedStyle(parent);
  const ink = rgb(parent.closest("svg") ? style.fill : style.color);
  const found = contrast(ink, ground(parent));
  seen.push(found);
  if (found < 4.5) failures.push(`${found.toFixed(2)}: ${node.data.trim().slice(0, 40)}`);
}
const stuck = [...document.querySelectorAll("*")].filter(one =>
  one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX === "auto"
  && one.tabIndex < 0).map(one => one.outerHTML.slice(0, 60));
const root = document.documentElement;
document.body.dataset.audit = JSON.stringify({
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  least: Math.min(...seen), texts: seen.length, failures, stuck,
  too_wide: root.scrollWidth > root.clientWidth,
  without_name: [...document.querySelectorAll("[role=region], section, nav, svg")]
    .filter(one => !one.ariaLabel && !one.getAttribute("aria-labelledby")).length,
});
"""


def dom(file: Path, *, dark: bool = False, width: int = 1280) -> str:
    """Return the document that Chromium has made of a file, as HTML."""
    with tempfile.TemporaryDirectory(prefix="osq-chromium-") as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        # 0 is dark, and 1 is light.
        options += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        options += [f"--window-size={width},900", "--dump-dom", file.as_uri()]
        done = subprocess.run(
            [NAME, *options],
            check=True,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
        )
    return done.stdout


def audit(page: str, folder: Path, *, dark: bool, width: int) -> dict[str, Any]:
    """Return what a browser measures in a page: contrasts, width, names.

    The page's own policy allows no script, so the measuring one is added to a copy without it.
    """
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert measured != page
    copy = folder / "audited.html"
    copy.write_text(measured.replace("</body>", f"<script>{_AUDIT}</script></body>"))
    found = re.search(r'data-audit="([^"]*)"', dom(copy, dark=dark, width=width))
    assert found, "the script has not run"
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result
