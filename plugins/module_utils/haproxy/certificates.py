# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on the controller: read from a file or a variable, checked before any host sees them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class CertificateError(Exception):
    """What is wrong with a certificate; the message starts with the key that holds it."""


def bundle(item: Mapping[str, Any]) -> str:
    """The PEM text HAProxy wants for an entry of haproxy_certificates: certificate, chain, then key."""
    parts = [_text(item, key) for key in ("certificate", "chain", "key")]
    return "".join(part.rstrip("\n") + "\n" for part in parts if part)


def authority(item: Mapping[str, Any]) -> str:
    """The PEM text of an entry of haproxy_authorities."""
    return _text(item, "certificate").rstrip("\n") + "\n"


def check(item: Mapping[str, Any], now: datetime.datetime, minimum_days: int, *, with_key: bool = True) -> None:
    """CertificateError when the entry is no certificate, is out of date at ``now``, or its key does not belong to it.

    RuntimeError when the library cryptography is not there.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as missing:
        raise RuntimeError("the controller's Python needs the library cryptography to check certificates") from missing
    text = bundle(item) if with_key else authority(item)
    blocks = [(match.group(1), match.group(0).encode()) for match in _BLOCK.finditer(text)]
    certificates = [block for kind, block in blocks if kind == "CERTIFICATE"]
    keys = [block for kind, block in blocks if kind.endswith("PRIVATE KEY")]
    if not certificates:
        raise CertificateError("certificate: holds no PEM certificate")
    for number, block in enumerate(certificates):
        try:
            certificate = x509.load_pem_x509_certificate(block)
        except ValueError as error:
            raise CertificateError(f"certificate: is not a certificate ({error})") from error
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        which = "certificate" if number == 0 else f"certificate {number + 1} of the chain"
        if end <= now + datetime.timedelta(days=minimum_days):
            state = "expired" if end <= now else f"has less than {minimum_days} days left: it ends"
            raise CertificateError(f"certificate: the {which} {state} on {end:%Y-%m-%d %H:%M} UTC; renew it")
        if start > now:
            raise CertificateError(f"certificate: the {which} is valid only from {start:%Y-%m-%d %H:%M} UTC")
    if not with_key:
        return
    if not keys:
        raise CertificateError("key: holds no PEM private key")
    try:
        key = serialization.load_pem_private_key(keys[0], None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"key: cannot be read ({error}); HAProxy wants it without a pass phrase") from error
    leaf = x509.load_pem_x509_certificate(certificates[0])
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise CertificateError("key: does not belong to the certificate")


def files(certificates: Sequence[Mapping[str, Any]], authorities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """File name -> PEM text of everything that lies beside the configuration."""
    named = {f"{item['name']}.pem": bundle(item) for item in certificates}
    return named | {f"ca-{item['name']}.pem": authority(item) for item in authorities}


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key) or ""
    if not value or "-----BEGIN" in value:
        return value
    try:
        with open(value, encoding="ascii") as handle:
            return handle.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateError(f"{key}: {value} cannot be read ({error})") from error
