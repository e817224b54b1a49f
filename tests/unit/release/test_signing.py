# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""signing: keys are private and belong to their certificate; a signature is good or it is not.

The kernel's signer is not needed here: openssl makes the same signature, and the trailer is
written by the kernel's description of it. tests/packages uses the real one.
"""

import struct
import subprocess
from pathlib import Path

import pytest

from harness.errors import BuildError, UsageError
from harness.release import signing
from harness.release.signing import SigningKey

MODULE = b"\x7fELF a module"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Give a key of our own."""
    return signing.own(tmp_path_factory.mktemp("keys") / "k", name="one")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Give another one."""
    return signing.own(tmp_path_factory.mktemp("keys") / "k", name="other")


@pytest.fixture
def signed(tmp_path: Path, key: SigningKey) -> Path:
    """Give a module with a signature."""
    module = tmp_path / "m.ko"
    module.write_bytes(MODULE)
    pem = tmp_path / "certificate.pem"
    convert = ["openssl", "x509", "-inform", "DER", "-in", str(key.certificate)]
    subprocess.run([*convert, "-out", str(pem)], check=True)
    sign = ["openssl", "cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", "sha256"]
    sign += ["-signer", str(pem), "-inkey", str(key.private), "-outform", "DER"]
    signature = subprocess.run([*sign, "-in", module], check=True, capture_output=True).stdout
    trailer = struct.pack(">BBB", 0, 0, 2) + bytes(5) + struct.pack(">I", len(signature))
    module.write_bytes(MODULE + signature + trailer + b"~Module signature appended~\n")
    return module


def test_a_made_key_is_its_owners_alone(key: SigningKey) -> None:
    """Mode 0600 in a folder of 0700, and it is not made a second time."""
    before = key.private.read_bytes()

    again = signing.own(key.private.parent, name="one")

    assert key.private.stat().st_mode & 0o777 == 0o600
    assert key.private.parent.stat().st_mode & 0o777 == 0o700
    assert again.private.read_bytes() == before


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, key: SigningKey) -> None:
    """The error says what mends it."""
    copy = tmp_path / "key.pem"
    copy.write_bytes(key.private.read_bytes())
    copy.chmod(0o640)

    with pytest.raises(UsageError, match="0640") as caught:
        signing.key_from_files(copy, key.certificate)

    assert caught.value.hint == f"chmod 600 {copy}"


def test_two_that_do_not_belong_together_are_refused(key: SigningKey, other: SigningKey) -> None:
    """A module signed so would be refused by every kernel, and late."""
    with pytest.raises(UsageError, match="is not the certificate of"):
        signing.key_from_files(key.private, other.certificate)


def test_files_of_another_kind_are_refused(tmp_path: Path, key: SigningKey) -> None:
    """No file, no key, no certificate: each its own words."""
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish")
    rubbish.chmod(0o600)

    with pytest.raises(UsageError, match="no such file"):
        signing.key_from_files(tmp_path / "none", key.certificate)
    with pytest.raises(UsageError, match="a private key in PEM"):
        signing.key_from_files(rubbish, key.certificate)
    with pytest.raises(UsageError, match="a certificate in DER") as caught:
        signing.key_from_files(key.private, rubbish)
    assert "-outform DER" in caught.value.hint


def test_a_good_signature_is_seen(signed: Path, key: SigningKey, other: SigningKey) -> None:
    """By its own certificate, and by no other."""
    assert signing.split(signed.read_bytes())[0] == MODULE
    assert signing.is_signed_by(signed, key.certificate)
    assert not signing.is_signed_by(signed, other.certificate)


def test_one_changed_bit_breaks_it(signed: Path, key: SigningKey) -> None:
    """In the module as in the signature."""
    data = signed.read_bytes()
    for place in (3, len(MODULE) + 300):
        signed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])

        assert not signing.is_signed_by(signed, key.certificate)


def test_an_unsigned_module_is_unsigned(tmp_path: Path, key: SigningKey) -> None:
    """Nothing appended, nothing to verify; a size beyond the file is no signature either."""
    module = tmp_path / "m.ko"
    module.write_bytes(MODULE)

    assert signing.split(MODULE) == (MODULE, b"")
    assert not signing.is_signed_by(module, key.certificate)
    module.write_bytes(MODULE + bytes(8) + b"\0\1\0\0~Module signature appended~\n")
    assert not signing.is_signed_by(module, key.certificate)


def test_a_signer_that_fails_is_heard(tmp_path: Path, key: SigningKey) -> None:
    """One that ends with an error, and one that says it has signed and has not."""
    module = tmp_path / "m.ko"
    module.write_bytes(MODULE)
    signer = tmp_path / "scripts" / "sign-file"
    signer.parent.mkdir()

    for text, words in (("echo no key >&2; exit 1", "cannot be signed"), (":", "not verify")):
        signer.write_text(f"#!/bin/sh\n{text}\n")
        signer.chmod(0o755)
        with pytest.raises(BuildError, match=words):
            signing.sign(module, key, kdir=tmp_path)
