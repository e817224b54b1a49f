# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Sign kernel modules: take or make a key, run the kernel's signer, verify the signature.

Only the owner of the private key can read it, and it is never copied. The signature is appended by
the kernel's scripts/sign-file. It is verified at once, because a kernel reports a bad one only as
a rejected key, and only when the module is loaded.
"""

import os
import struct
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.errors import BuildError, UsageError
from harness.host import tool

KEY, CERTIFICATE = "signing-key.pem", "signing.der"
_DEADLINE_S = 60.0
_HASH = "sha256"
# As the kernel's own signing key has by default (certs/default_x509.genkey).
_BITS = 4096
# Administrators enrol the key by hand on each machine, so it is valid for ten years. The kernel
# itself ignores the dates.
_DAYS = 3650
# The end of a signed module: struct module_signature, and after it this text.
_MAGIC = b"~Module signature appended~\n"
_TRAILER = struct.Struct(">BBBBB3xI")


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The files of a private key (PEM) and its certificate (DER)."""

    private: Path
    certificate: Path


def key_from_files(private: Path, certificate: Path) -> SigningKey:
    """Return the key in these two files, after a check that they belong together.

    Raises: UsageError when a file is missing or of another kind, when they do not belong together,
        or when other users can read the private key.
    """
    for file in (private, certificate):
        if not file.is_file():
            raise UsageError(f"{file}: no such file")
    mode = private.stat().st_mode & 0o777
    if mode & 0o077:
        raise UsageError(
            f"{private} has mode {mode:04o}: others can read the private key",
            hint=f"chmod 600 {private}",
        )
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{private}: a private key in PEM without a password is expected") from (
            error
        )
    try:
        found = x509.load_der_x509_certificate(certificate.read_bytes())
    except ValueError as error:
        raise UsageError(
            f"{certificate}: a certificate in DER is expected, as mokutil takes it",
            hint="openssl x509 -in CERTIFICATE.pem -outform DER -out CERTIFICATE.der",
        ) from error
    if found.public_key() != key.public_key():
        raise UsageError(f"{certificate} is not the certificate of {private}")
    return SigningKey(private=private, certificate=certificate)


def own(folder: Path, *, name: str) -> SigningKey:
    """Return the key in this folder; create it if there is none.

    An existing key is never replaced, because administrators enrol it by hand on each machine.
    Raises: UsageError as `key_from_files` does, when one of the two files is missing, too.
    """
    key = SigningKey(private=folder / KEY, certificate=folder / CERTIFICATE)
    if not key.private.is_file() and not key.certificate.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        text = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write_private(key.private, text)
        made = _certificate(private, name)
        key.certificate.write_bytes(made.public_bytes(serialization.Encoding.DER))
    return key_from_files(key.private, key.certificate)


def sign(module: Path, key: SigningKey, *, kdir: Path) -> None:
    """Sign an unsigned module with the sign-file program of its kernel.

    Raises: BuildError when the program fails or the signature does not verify.
    """
    signer = kdir / "scripts" / "sign-file"
    command = [str(word) for word in (signer, _HASH, key.private, key.certificate, module)]
    done = tool.run(command, deadline_s=_DEADLINE_S, error=BuildError, check=False)
    if done.status != 0:
        raise BuildError(f"{module.name} cannot be signed", evidence=done.lines)
    if not is_signed_by(module, key.certificate):
        raise BuildError(f"the signature of {module.name} does not verify")


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return a module's bytes without its signature, and the signature (PKCS #7, DER), or b"".

    Source: kernel/module/signing.c, mod_verify_sig.
    """
    if not data.endswith(_MAGIC):
        return data, b""
    end = len(data) - len(_MAGIC) - _TRAILER.size
    *_, size = _TRAILER.unpack_from(data, end)
    return data[: end - size], data[end - size : end]


def is_signed_by(module: Path, certificate: Path) -> bool:
    """Return whether a module has a valid signature by the key of this certificate (DER)."""
    content, signature = split(module.read_bytes())
    if not signature:
        return False
    with tempfile.TemporaryDirectory(prefix="harness-signature-") as name:
        folder = Path(name)
        (folder / "content").write_bytes(content)
        (folder / "signature").write_bytes(signature)
        known = x509.load_der_x509_certificate(certificate.read_bytes())
        (folder / "certificate").write_bytes(known.public_bytes(serialization.Encoding.PEM))
        # -noverify: the certificate has no issuer to check. -nointern: certificates within the
        # signature do not count, only the one of -certfile.
        command = ["openssl", "cms", "-verify", "-binary", "-noverify", "-nointern"]
        command += ["-inform", "DER", "-in", "signature", "-content", "content"]
        command += ["-certfile", "certificate", "-out", os.devnull]
        done = tool.run(command, deadline_s=_DEADLINE_S, error=BuildError, check=False, cwd=folder)
    return done.status == 0


def enrolment(certificate: Path) -> tuple[str, ...]:
    """Return the lines that tell an administrator how to make a machine trust a certificate."""
    return (
        "Modules are signed. A machine that enforces signatures (Secure Boot, or",
        "module.sig_enforce=1) must once be made to trust the certificate:",
        f"    mokutil --import {certificate}",
        "and after a reboot, in the firmware's MOK manager: Enroll MOK, with the same password.",
        f"    mokutil --test-key {certificate}",
        "prints whether it is enrolled. Without UEFI there is no MOK, only the kernel's own keys.",
    )


def _write_private(file: Path, text: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        # os.open sets the mode of a new file only.
        os.fchmod(output.fileno(), 0o600)
        output.write(text)


def _certificate(private: rsa.RSAPrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = private.public_key()
    now = datetime.now(tz=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # The clock of another machine may be behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(private, hashes.SHA256())
