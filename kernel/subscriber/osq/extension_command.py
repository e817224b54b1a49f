# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The start of the extension, which reports when osquery's Python package is not installed."""

import sys
from collections.abc import Sequence

# osquery's package and the packages that it needs.
_NEEDED = frozenset({"osquery", "thrift", "future"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the extension; return its exit code, 1 when osquery's Python package is missing."""
    try:
        from osq import extension  # noqa: PLC0415 - what is missing is reported here
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _NEEDED:
            raise
        place = f"/usr/local/lib/python3.{sys.version_info.minor}/dist-packages"
        sys.stderr.write(
            f"osq-extension.ext: the Python package osquery is not installed: {error}\n"
            f"  -> pip install --target {place} osquery\n"
            "  -> `osq query` answers the same without it\n"
        )
        return 1
    return extension.main(arguments)
