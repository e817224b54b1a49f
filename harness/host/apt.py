# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the host's own apt knows: its Debian sources, its options, its packages.

No registry is named anywhere in this project: where packages come from, the host says. Nothing
here needs root.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import KernelError, Lost
from harness.host import tool, whole_file

_FIELDS = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
_OPTIONS = re.compile(
    r"^Acquire::(http|https|ftp|Check-|ForceIPv|Retries|AllowInsecure)", re.IGNORECASE
)
# Of all relations only what a package cannot do without.
_NO_WISHES = tuple(
    f"--no-{relation}"
    for relation in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)
_ANSWER_S = 120.0
# A kernel's debug package has some 280 MB.
_DOWNLOAD_S = 3600.0
_SUITE_HEAD = re.compile(r"^[a-z]+")


def cached_answer(root: Path, name: str, ask: Callable[[], list[str]]) -> list[str]:
    """Return what `ask` returns, asked again only when the host's apt has changed.

    One question costs apt up to a second, and a run asks a dozen.
    """
    file = root / "apt" / f"{name}.json"
    state = _state()
    try:
        known = json.loads(file.read_text())
        if known["state"] == state:
            return [str(item) for item in known["answer"]]
    except (OSError, ValueError, KeyError):
        pass
    answer = ask()
    file.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write(file, json.dumps({"state": state, "answer": answer}))
    return answer


def _state() -> list[int]:
    """Return when the host's lists and sources last changed."""
    places = ("/var/lib/apt/lists", "/etc/apt", "/etc/apt/sources.list.d", "/etc/apt/sources.list")
    return [Path(place).stat().st_mtime_ns if Path(place).exists() else 0 for place in places]


def debian_sources(suite: str) -> list[str]:
    """Return the host's Debian sources as lines of sources.list, for another suite of it.

    Third parties' sources are left out: an image is the distribution and nothing else.
    Raises: Lost when apt has no lists, with the command that fetches them.
    """
    text = _output("apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages")
    found: dict[tuple[str, str], set[str]] = {}
    for line in text.splitlines():
        origin, uri, release, component = line.split("|")
        if origin == "Debian":
            wanted = _SUITE_HEAD.sub(suite, release, count=1)
            found.setdefault((uri, wanted), set()).add(component)
    if not found:
        raise Lost(
            "apt knows no Debian source with fetched lists",
            hint="run `apt-get update` as root, or ./dev, which does",
        )
    return sorted(f"deb {uri} {name} {' '.join(sorted(of))}" for (uri, name), of in found.items())


def options() -> tuple[str, ...]:
    """Return the host's settings of how packages are fetched (proxies, certificates, dates)."""
    lines = _output("apt-config", "dump").splitlines()
    return tuple(line.rstrip(";").replace(' "', '="', 1) for line in lines if _OPTIONS.match(line))


def depends(package: str, *view: str) -> tuple[str, ...]:
    """Return what a package depends on, as names; itself alone when it depends on nothing.

    Here and below, `view` are options of apt's that show another suite: see apt_suite.
    Raises: KernelError when apt does not know the package.
    """
    text = _output("apt-cache", *view, "depends", *_NO_WISHES, package)
    if not text.strip():
        raise KernelError(
            f"apt knows no package {package}",
            hint="apt-cache search --names-only '^linux-image-' lists the kernels to be had",
        )
    return tuple(
        line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("  Depends")
    )


def dependency_closure(packages: Sequence[str], *view: str) -> set[str]:
    """Return all that some packages depend on, over however many, themselves included.

    Of alternatives all are there, and no name that packages only provide.
    """
    command = ["apt-cache", *view, "depends", "--recurse", *_NO_WISHES, *packages]
    lines = _output(*command).splitlines()
    return {line for line in lines if line and not line.startswith((" ", "<"))}


def versions(packages: Sequence[str], *view: str) -> dict[str, str]:
    """Return the candidate version of each package that apt knows."""
    found: dict[str, str] = {}
    package = ""
    for line in _output("apt-cache", *view, "policy", *packages).splitlines():
        if line and not line.startswith(" "):
            package = line.rstrip(":")
        elif line.strip().startswith("Candidate:"):
            found[package] = line.split(":", 1)[1].strip()
    return {name: text for name, text in found.items() if text != "(none)"}


def names(prefix: str, *view: str) -> tuple[str, ...]:
    """Return the names of all packages that begin so."""
    return tuple(sorted(_output("apt-cache", *view, "pkgnames", prefix).split()))


def download(packages: Sequence[str], folder: Path, *view: str) -> tuple[Path, ...]:
    """Fetch packages into a folder, verified by apt, and return the files.

    Raises: KernelError with apt's last lines.
    """
    done = tool.run(
        ["apt-get", *view, "download", *packages],
        deadline_s=_DOWNLOAD_S,
        error=KernelError,
        check=False,
        cwd=folder,
        within=tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT),
    )
    files = tuple(sorted(folder.glob("*.deb")))
    if done.status != 0 or len(files) < len(packages):
        raise KernelError(
            f"apt-get could not download {' '.join(packages)}",
            hint="`apt-get update` as root renews the lists; ./dev does it",
            evidence=done.lines[-10:],
        )
    return files


def _output(*command: str) -> str:
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    return tool.run(command, deadline_s=_ANSWER_S, error=Lost, check=False, within=within).text
