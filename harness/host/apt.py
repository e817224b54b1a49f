# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Ask the host's own apt for its Debian sources, its options and its packages.

The harness names no package registry: packages come from the sources with which the host's apt is
set up. Nothing here needs root.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import hints
from harness.errors import KernelError, Lost
from harness.host import tool, whole_file

_FIELDS = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
_OPTIONS = re.compile(
    r"^Acquire::(http|https|ftp|Check-|ForceIPv|Retries|AllowInsecure)", re.IGNORECASE
)
# Options that leave only dependencies without which a package cannot work.
_NO_WISHES = tuple(
    f"--no-{relation}"
    for relation in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)
_ANSWER_S = 120.0
# Long enough for the debug package of a kernel, which has about 280 MB.
_DOWNLOAD_S = 3600.0
_UNREACHABLE = re.compile(
    r"failure resolving|Could not (?:resolve|connect)|Unable to connect|Connection failed|"
    r"unreachable|timed out"
)
_BACKPORTS = "-backports"
_SUITE_HEAD = re.compile(r"^[a-z]+")


def cached_answer(root: Path, name: str, ask: Callable[[], list[str]]) -> list[str]:
    """Return the result of `ask`, or its stored result while the host's apt lists are the same.

    `name` is the name by which the result is stored in the folder `root`. One question to apt
    takes up to a second, and a run has a dozen of them.
    """
    file = root / "apt" / f"{name}.json"
    state = _state()
    try:
        stored = json.loads(file.read_text())
        if stored["state"] == state:
            return [str(item) for item in stored["answer"]]
    # A missing or damaged file is no answer, so apt is asked.
    except (OSError, ValueError, KeyError):
        pass
    answer = ask()
    file.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write(file, json.dumps({"state": state, "answer": answer}))
    return answer


def _state() -> list[int]:
    """Return the times at which the host's package lists and sources last changed.

    A stored answer of apt is valid while they are the same.
    """
    places = ("/var/lib/apt/lists", "/etc/apt", "/etc/apt/sources.list.d", "/etc/apt/sources.list")
    return [Path(place).stat().st_mtime_ns if Path(place).exists() else 0 for place in places]


def debian_sources(suite: str) -> list[str]:
    """Return the host's Debian sources as lines of sources.list for the given suite.

    Third parties' sources are left out, so that an image contains only the distribution. A suite
    of backports is added to the suite that it is for.
    Raises: Lost when apt has no lists, with the command that fetches them.
    """
    text = _output("apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages")
    base = base_suite(suite)
    found: dict[tuple[str, str], set[str]] = {}
    for line in text.splitlines():
        origin, uri, release, component = line.split("|")
        if origin != "Debian":
            continue
        # Only the head changes: bookworm-security becomes trixie-security.
        wanted = _SUITE_HEAD.sub(base, release, count=1)
        names = {wanted, suite} if wanted == base else {wanted}
        for name in names:
            found.setdefault((uri, name), set()).add(component)
    if not found:
        raise Lost(
            "apt has no fetched lists of a Debian source",
            hint=f"run `apt-get update` as root, or {hints.command('setup')}",
        )
    return sorted(f"deb {uri} {name} {' '.join(sorted(of))}" for (uri, name), of in found.items())


def base_suite(suite: str) -> str:
    """Return the suite that a suite of backports is for, and any other suite itself."""
    return suite.removesuffix(_BACKPORTS)


def own_suite() -> str:
    """Return the suite of the host's own Debian, for example bookworm; "" on another system."""
    file = Path("/etc/os-release")
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    values = dict(line.partition("=")[::2] for line in lines)
    return values.get("VERSION_CODENAME", "").strip('"') if values.get("ID") == "debian" else ""


def options() -> tuple[str, ...]:
    """Return the host's apt options for fetching packages, such as proxies and certificates.

    Each has the form NAME="VALUE".
    """
    lines = _output("apt-config", "dump").splitlines()
    return tuple(line.rstrip(";").replace(' "', '="', 1) for line in lines if _OPTIONS.match(line))


def depends(package: str, *view: str) -> tuple[str, ...]:
    """Return the names of the packages on which a package depends directly.

    Of the alternatives of a dependency, only the last is returned. Here and below, `view` are
    options for apt that show another suite; `apt_suite` makes them.
    Raises: KernelError when apt does not know the package.
    """
    text = _output("apt-cache", *view, "depends", *_NO_WISHES, package)
    if not text.strip():
        raise KernelError(
            f"apt knows no package {package}",
            hint="apt-cache search --names-only '^linux-image-' lists the kernels that apt has",
        )
    return tuple(
        line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("  Depends")
    )


def dependency_closure(packages: Sequence[str], *view: str) -> set[str]:
    """Return the given packages and everything on which they depend, also indirectly.

    All alternatives of a dependency are included; virtual package names are not.
    """
    command = ["apt-cache", *view, "depends", "--recurse", *_NO_WISHES, *packages]
    lines = _output(*command).splitlines()
    # Indented lines are relations, and names in angle brackets are virtual packages.
    return {line for line in lines if line and not line.startswith((" ", "<"))}


def versions(packages: Sequence[str], *view: str) -> dict[str, str]:
    """Return the candidate version of each of the given packages that apt knows, by its name.

    Packages that apt could not install, because no version is a candidate, are left out.
    """
    candidates: dict[str, str] = {}
    package = ""
    for line in _output("apt-cache", *view, "policy", *packages).splitlines():
        if line and not line.startswith(" "):
            package = line.rstrip(":")
        elif line.strip().startswith("Candidate:"):
            candidates[package] = line.split(":", 1)[1].strip()
    return {name: text for name, text in candidates.items() if text != "(none)"}


def names(prefix: str, *view: str) -> tuple[str, ...]:
    """Return the names of all packages that apt knows whose name begins with a prefix."""
    return tuple(sorted(_output("apt-cache", *view, "pkgnames", prefix).split()))


def download_mib(packages: Sequence[str], *view: str) -> int:
    """Return the size of the files that `download` would fetch, in MiB."""
    text = _output("apt-get", *view, "--print-uris", "download", *packages)
    # A line is: 'URI' NAME SIZE HASH
    fields = (line.split() for line in text.splitlines() if line.startswith("'"))
    return sum(int(one[2]) for one in fields if len(one) > 2) // 2**20


def download(packages: Sequence[str], folder: Path, *view: str) -> tuple[Path, ...]:
    """Fetch packages into a folder, verified by apt; return the paths of all packages in it.

    A package is given as NAME or NAME=VERSION.
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
            hint=_download_hint(done.lines),
            evidence=done.lines[-10:],
        )
    return files


def _download_hint(lines: Sequence[str]) -> str:
    """Return advice for the error of a failed download, from the lines that apt printed."""
    if any(_UNREACHABLE.search(line) for line in lines):
        return "the package mirror cannot be reached: check the network, and apt's proxy settings"
    return f"run `apt-get update` as root, or {hints.command('setup')}"


def _output(*command: str) -> str:
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    return tool.run(command, deadline_s=_ANSWER_S, error=Lost, check=False, within=within).text
