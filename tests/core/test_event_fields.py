# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the fields in docs/events.md and osqtail.8 with those that the client prints."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "kernel" / "client"
EVENTS = ROOT / "docs" / "events.md"
MANUAL = CLIENT / "man" / "osqtail.8"
# The heading in events.md of each type of records.
HEADINGS = {"cred": "Credentials"}
# Prints a record of each type. Every word is 128, so that each span lies within the record.
PROGRAM = """
#include "json.h"
#include "osq.h"

int main(void)
{
	static __u32 words[1024];
	struct osq_record *record = (struct osq_record *)words;
	unsigned int i;

	for (i = 0; i < 1024; i++)
		words[i] = 128;
	for (i = 0; i < OSQ_TYPE_COUNT; i++) {
		record->type = i;
		record->len = sizeof(words);
		if (json_record(stdout, record))
			return 1;
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, frozenset[str]]:
    """Give the names of the fields that the client prints for each type of records."""
    folder = tmp_path_factory.mktemp("fields")
    (folder / "print.c").write_text(PROGRAM)
    sources = [*CLIENT.glob("json*.c"), CLIENT / "libosq.c"]
    include = (f"-I{CLIENT}", f"-I{CLIENT.parent / 'uapi'}")
    program = folder / "print"
    subprocess.run(["cc", *include, "-o", program, folder / "print.c", *sources], check=True)
    done = subprocess.run([program], check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    known = [line for line in lines if line["type"] != "unknown"]
    return {line["type"]: frozenset(keys(line)) - {"type"} for line in known}


def keys(line: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the fields of a line, and of the objects in it."""
    for name, value in line.items():
        yield name
        if isinstance(value, dict):
            yield from keys(value)


def fields_of(page: str, heading: str) -> frozenset[str]:
    """Return the names in the first column of a section's tables of fields."""
    sections = re.split(r"^## (.*)\n", page, flags=re.MULTILINE)
    texts = dict(zip(map(str.lower, sections[1::2]), sections[2::2], strict=True))
    section = texts.get(heading.lower(), "")
    tables = re.findall(r"^\| field \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return frozenset(name for cell in cells for name in re.findall(r"\w+", cell))


def faults_of_page(page: str, printed: dict[str, frozenset[str]]) -> Iterator[str]:
    """Yield each field that a section lacks, and each that the client does not print."""
    common = fields_of(page, "Every record")
    for kind, names in printed.items():
        documented = fields_of(page, HEADINGS.get(kind, kind))
        for name in sorted(names - documented - common):
            yield f"{kind}: {name} is missing"
        for name in sorted(documented - names):
            yield f"{kind}: {name} is not printed"


def faults_of_manual(page: str, printed: dict[str, frozenset[str]]) -> Iterator[str]:
    """Yield each field that the section FIELDS of osqtail.8 lacks."""
    section = page.partition(".SH FIELDS\n")[2].partition(".SH ")[0]
    paragraphs = section.split(".PP\n")
    common = " ".join(paragraphs[:2])
    for kind, names in printed.items():
        own = " ".join(one for one in paragraphs if re.search(rf"(^|\s){kind}:", one))
        known = set(re.findall(r"\w+", f"{common} {own}"))
        yield from (f"{kind}: {name} is missing" for name in sorted(names - known))


def test_events_md_has_exactly_the_fields_that_the_client_prints_for_each_type(
    printed: dict[str, frozenset[str]],
) -> None:
    """Each section of docs/events.md lists the fields of the lines of its type, and no other."""
    assert list(faults_of_page(EVENTS.read_text(), printed)) == []
    assert {"lost", "exec", "fork", "exit", "socket", "file", "module", "cred"} <= set(printed)
    assert {"ptrace", "namespace", "bpf", "kexec", "signal"} <= set(printed)


def test_the_manual_page_of_osqtail_has_every_field_that_the_client_prints(
    printed: dict[str, frozenset[str]],
) -> None:
    """The section FIELDS of osqtail.8 names each field of each type."""
    assert list(faults_of_manual(MANUAL.read_text(), printed)) == []


def test_a_field_that_a_page_lacks_or_that_is_not_printed_is_named_with_its_type(
    printed: dict[str, frozenset[str]],
) -> None:
    """A page without last_seq, or with a field that does not exist, is found different."""
    page = EVENTS.read_text()
    lacking = page.replace("| first_seq, last_seq |", "| first_seq |")
    surplus = page.replace("| first_seq, last_seq |", "| first_seq, last_seq, colour |")
    manual = MANUAL.read_text().replace("old_tid", "tid")

    assert list(faults_of_page(lacking, printed)) == ["lost: last_seq is missing"]
    assert list(faults_of_page(surplus, printed)) == ["lost: colour is not printed"]
    assert list(faults_of_manual(manual, printed)) == ["exec: old_tid is missing"]
