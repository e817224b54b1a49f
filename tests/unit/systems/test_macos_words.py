# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kext_words, kext_list and panic_store: output of macOS tools becomes values."""

import pytest

from harness.systems.macos import kext_list, kext_words, panic_store
from harness.systems.macos.kext_words import LoadState, UnloadState

TAIL = "; check the system/kernel logs for errors or try kextutil(8)."


@pytest.mark.parametrize(
    ("text", "status", "state"),
    [
        ("", 0, LoadState.LOADED),
        ("Kext with invalid signature (-67062) allowed", 0, LoadState.LOADED),
        (f"failed - (libkern/kext) system policy prevents loading{TAIL}", 71, "NEEDS_APPROVAL"),
        (f"failed - (libkern/kext) link error{TAIL}", 71, LoadState.REFUSED),
        (f"failed - (libkern/kext) not privileged{TAIL}", 71, LoadState.REFUSED),
        ("A system reboot is required for the operation to take effect", 0, "NEEDS_REBOOT"),
        ("A system reboot is required for the operation to take effect", 3, "NEEDS_REBOOT"),
        ("Extension with identifiers x not approved to load.", 27, LoadState.NEEDS_APPROVAL),
        ("something that nobody has seen before", 1, LoadState.REFUSED),
        ("", 1, LoadState.REFUSED),
    ],
)
def test_kext_load_output_is_parsed_to_a_load_state_and_unknown_text_to_refused(
    text: str, status: int, state: LoadState | str
) -> None:
    """Texts and exit statuses of kextload and kmutil are told apart; an unknown one is refused."""
    wanted = LoadState[state] if isinstance(state, str) else state

    assert kext_words.load_meaning(text, status).state is wanted


def test_a_refusal_quotes_the_line_with_the_reason() -> None:
    """Of kextload's or kmutil's output, only the line that says why is in the error."""
    meaning = kext_words.load_meaning("first\n x: (libkern/kext) link error; check\nlast\n", 71)

    assert meaning.reason == "x: (libkern/kext) link error; check"
    assert kext_words.load_meaning("", 5).reason == "the tool printed no message"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("(kernel) Kext x did not stop (return code 0x5).", UnloadState.BUSY),
        ("(kernel) Kext x can't unload - module stop returned 0xdc008017.", UnloadState.BUSY),
        ("(kernel) Can't unload kext x; outstanding references.", UnloadState.BUSY),
        ("(kernel) Can't unload kext x; classes have instances:", UnloadState.BUSY),
        ("(kernel) Can't remove kext x; unsupported by cache.", UnloadState.NEEDS_REBOOT),
        ("(kernel) Kext unloading is disabled (x).", UnloadState.NEEDS_REBOOT),
        ("(kernel) Kext x not found for unload request.", UnloadState.NOT_LOADED),
        ("words of a later release", UnloadState.REFUSED),
    ],
)
def test_kext_unload_output_is_parsed_to_an_unload_state_and_unknown_to_refused(
    text: str, state: UnloadState
) -> None:
    """Kextunload's texts mean busy, needs a reboot or not loaded; an unknown one, refused."""
    assert kext_words.unload_meaning(text, 71).state is state


def test_unsupported_by_cache_needs_a_reboot_even_if_the_kext_also_did_not_stop() -> None:
    """A kext that 'did not stop' and is 'unsupported by cache' needs a reboot, not another try."""
    text = "(kernel) Kext x did not stop.\n(kernel) Can't remove kext x; unsupported by cache.\n"

    assert kext_words.unload_meaning(text, 1).state is UnloadState.NEEDS_REBOOT


def test_a_kext_list_gives_address_size_references_version_and_users_of_each_kext() -> None:
    """Other lines of kmutil's list are ignored; a kext that links against another is its user."""
    text = """No variant specified, falling back to release
Index Refs Address            Size       Wired      Name (Version) UUID <Linked Against>
    1  142 0xffffff8000200000 0x1f0000   0x1f0000   com.apple.kpi.bsd (24.4.0) 1A <>
  150    1 0xffffff7f83a21000 0x5000     0x5000     org.example.osq (1.0.0) 7E1A <5 4 1>
  151    0 0                  0x1000     0x1000     org.example.other (2) 7E1B <150 1>
garbage (x) <150>
"""

    kexts = kext_list.parse(text)

    assert set(kexts) == {"com.apple.kpi.bsd", "org.example.osq", "org.example.other"}
    driver = kexts["org.example.osq"]
    assert (driver.address, driver.size_bytes, driver.references) == (
        0xFFFFFF7F83A21000,
        0x5000,
        1,
    )
    assert (driver.used_by, driver.version) == (("org.example.other",), "1.0.0")
    assert kexts["org.example.other"].address == 0


def packed(text: str) -> bytes:
    """Return characters as xnu packs them: eight into seven bytes."""
    padded = text + "\0" * (-len(text) % 8)
    out = b""
    for at in range(0, len(padded), 8):
        number = sum(ord(c) << (7 * i) for i, c in enumerate(padded[at : at + 8]))
        out += number.to_bytes(7, "little")
    return out


def shown(data: bytes) -> str:
    """Return bytes as the nvram tool prints them."""
    return "".join(chr(b) if 32 < b < 127 and b != 37 else f"%{b:02x}" for b in data)


PANIC = 'panic(cpu 0 caller 0xffffff8000a1b2c3): "osq: 100% full"@ring.c:7\nBacktrace\n'


def test_a_packed_panic_is_read_from_nvram() -> None:
    """A panic that Intel Macs keep packed in NVRAM is unpacked, including percent signs."""
    listing = f"boot-args\t-v\naapl,panic-info\t{shown(packed(PANIC))}\n"

    assert panic_store.from_nvram(listing) == PANIC


def test_panic_text_split_over_nvram_variables_is_joined_in_order_of_their_names() -> None:
    """Pieces of a panic named 000K, 000M and so on are joined in the order of their names."""
    data = packed(PANIC)
    half = len(data) // 2
    listing = (
        f"AAPL,PanicInfo000M\t{shown(data[half:])}\n"
        f"AAPL,PanicInfoLog\t%00%01\nAAPL,PanicInfo000K\t{shown(data[:half])}\n"
    )

    assert panic_store.from_nvram(listing) == PANIC


@pytest.mark.parametrize("listing", ["", "boot-args\t-v\n", "aapl,panic-info\t%00%01%02\n"])
def test_a_missing_or_malformed_nvram_panic_variable_gives_no_panic_text(listing: str) -> None:
    """An empty or malformed NVRAM variable gives no panic text."""
    assert panic_store.from_nvram(listing) == ""


def test_only_file_names_of_kernel_panics_count_as_panic_reports() -> None:
    """Names of kernel panic files count as panic reports; those of other crashes do not."""
    names = [
        "Kernel_2026-11-25-140000_mac.panic",
        "panic-full-2026-11-25-140000.0002.panic",
        "panic-full-2026-11-25-140000.0002.ips",
        "Safari-2026-11-25-140000.ips",
        "Kernel_notes.txt",
    ]

    assert panic_store.panic_files(names) == tuple(sorted(names[:3]))
