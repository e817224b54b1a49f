# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of signing: keys stay private and match their certificate; bad signatures are seen.

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
    """Return a new key that signs modules."""
    return signing.own(tmp_path_factory.mktemp("keys") / "k", name="one")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Return a second new key that signs modules."""
    return signing.own(tmp_path_factory.mktemp("keys") / "k", name="other")


@pytest.fixture
def signed(tmp_path: Path, key: SigningKey) -> Path:
    """Return a module that is signed with `key`."""
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


def test_a_created_signing_key_has_mode_0600_and_a_second_call_returns_the_same_key(
    key: SigningKey,
) -> None:
    """The private key to sign modules with lies in a folder with mode 0700."""
    before = key.private.read_bytes()

    again = signing.own(key.private.parent, name="one")

    assert key.private.stat().st_mode & 0o777 == 0o600
    assert key.private.parent.stat().st_mode & 0o777 == 0o700
    assert again.private.read_bytes() == before


def test_a_key_of_which_one_file_is_missing_is_refused_and_its_other_file_is_not_changed(
    tmp_path: Path,
) -> None:
    """A module-signing key without its certificate is kept: machines may have it enrolled."""
    key = signing.own(tmp_path / "k", name="one")
    before = key.private.read_bytes()
    key.certificate.unlink()

    with pytest.raises(UsageError, match="no such file"):
        signing.own(tmp_path / "k", name="one")

    assert key.private.read_bytes() == before
    assert not key.certificate.exists()


def test_key_that_others_can_read_is_refused(tmp_path: Path, key: SigningKey) -> None:
    """A private key for modules with mode 0640 is refused; the hint has the chmod command."""
    copy = tmp_path / "key.pem"
    copy.write_bytes(key.private.read_bytes())
    copy.chmod(0o640)

    with pytest.raises(UsageError, match="0640") as caught:
        signing.key_from_files(copy, key.certificate)

    assert caught.value.hint == f"chmod 600 {copy}"


def test_a_private_key_with_the_certificate_of_another_key_is_refused(
    key: SigningKey, other: SigningKey
) -> None:
    """A private key and the certificate of another one are refused."""
    with pytest.raises(UsageError, match="is not the certificate of"):
        signing.key_from_files(key.private, other.certificate)


def test_files_that_are_no_key_or_certificate_are_refused(tmp_path: Path, key: SigningKey) -> None:
    """Module signing refuses a missing file, one that is no key and one that is no certificate."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    junk.chmod(0o600)

    with pytest.raises(UsageError, match="no such file"):
        signing.key_from_files(tmp_path / "none", key.certificate)
    with pytest.raises(UsageError, match="a private key in PEM"):
        signing.key_from_files(junk, key.certificate)
    with pytest.raises(UsageError, match="a certificate in DER") as caught:
        signing.key_from_files(key.private, junk)
    assert "-outform DER" in caught.value.hint


def test_signature_verifies_only_with_its_own_certificate(
    signed: Path, key: SigningKey, other: SigningKey
) -> None:
    """A module's signature verifies with the certificate of its key and with no other."""
    assert signing.split(signed.read_bytes())[0] == MODULE
    assert signing.is_signed_by(signed, key.certificate)
    assert not signing.is_signed_by(signed, other.certificate)


def test_changed_bit_makes_the_verification_fail(signed: Path, key: SigningKey) -> None:
    """One changed bit in the module or in the signature makes the verification fail."""
    data = signed.read_bytes()
    for place in (3, len(MODULE) + 300):
        signed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])

        assert not signing.is_signed_by(signed, key.certificate)


def test_unsigned_module_does_not_verify(tmp_path: Path, key: SigningKey) -> None:
    """A module without a signature, or with a signature size beyond the file, fails the check."""
    module = tmp_path / "m.ko"
    module.write_bytes(MODULE)

    assert signing.split(MODULE) == (MODULE, b"")
    assert not signing.is_signed_by(module, key.certificate)
    module.write_bytes(MODULE + bytes(8) + b"\0\1\0\0~Module signature appended~\n")
    assert not signing.is_signed_by(module, key.certificate)


def test_a_signing_program_that_fails_or_writes_no_signature_raises_an_error(
    tmp_path: Path, key: SigningKey
) -> None:
    """The user's program that signs modules must exit with 0 and write a signature."""
    module = tmp_path / "m.ko"
    module.write_bytes(MODULE)
    signer = tmp_path / "scripts" / "sign-file"
    signer.parent.mkdir()

    for text, words in (("echo no key >&2; exit 1", "cannot be signed"), (":", "not verify")):
        signer.write_text(f"#!/bin/sh\n{text}\n")
        signer.chmod(0o755)
        with pytest.raises(BuildError, match=words):
            signing.sign(module, key, kdir=tmp_path)
