# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates on the controller, from a file or a variable, and check them before they reach a host."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class CertificateError(Exception):
    """A certificate cannot be used; the message starts with the option at fault."""


def bundle(item: Mapping[str, Any]) -> str:
    """Return the PEM text of an entry of haproxy_certificates in HAProxy's order: certificate, chain, key."""
    parts = [_text(item, key) for key in ("certificate", "chain", "key")]
    return "".join(part.rstrip("\n") + "\n" for part in parts if part)


def authority(item: Mapping[str, Any]) -> str:
    """Return the PEM text of an entry of haproxy_authorities."""
    return _text(item, "certificate").rstrip("\n") + "\n"


def check(item: Mapping[str, Any], now: datetime.datetime, minimum_days: int, *, with_key: bool = True) -> None:
    """Raise CertificateError unless the entry is a certificate that is valid at ``now`` and matches its key.

    Raise RuntimeError when the Python library cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as missing:
        raise RuntimeError(
            "the Python library cryptography is required to check certificates. Install it on the controller."
        ) from missing
    text = bundle(item) if with_key else authority(item)
    blocks = [(match.group(1), match.group(0).encode()) for match in _BLOCK.finditer(text)]
    certificates = [block for kind, block in blocks if kind == "CERTIFICATE"]
    keys = [block for kind, block in blocks if kind.endswith("PRIVATE KEY")]
    if not certificates:
        raise CertificateError("certificate: does not contain a PEM certificate")
    for number, block in enumerate(certificates):
        try:
            certificate = x509.load_pem_x509_certificate(block)
        except ValueError as error:
            raise CertificateError(f"certificate: is not a valid certificate ({error})") from error
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        which = "certificate" if number == 0 else f"certificate {number + 1} of the chain"
        if end <= now + datetime.timedelta(days=minimum_days):
            state = "expired" if end <= now else f"expires in less than {minimum_days} days,"
            raise CertificateError(f"certificate: the {which} {state} on {end:%Y-%m-%d %H:%M} UTC. Renew it.")
        if start > now:
            raise CertificateError(f"certificate: the {which} is not valid before {start:%Y-%m-%d %H:%M} UTC")
    if not with_key:
        return
    if not keys:
        raise CertificateError("key: does not contain a PEM private key")
    try:
        key = serialization.load_pem_private_key(keys[0], None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"key: cannot be read ({error}). HAProxy needs it without a passphrase.") from error
    leaf = x509.load_pem_x509_certificate(certificates[0])
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise CertificateError("key: does not match the certificate")


def files(certificates: Sequence[Mapping[str, Any]], authorities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return file name -> PEM text of all certificate files that the configuration refers to."""
    named = {f"{item['name']}.pem": bundle(item) for item in certificates}
    return named | {f"{item['name']}.ca": authority(item) for item in authorities}


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key) or ""
    if not value or "-----BEGIN" in value:
        return value
    try:
        with open(value, encoding="ascii") as handle:
            return handle.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateError(f"{key}: {value} cannot be read ({error})") from error
