# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates on the controller, from a file or a variable, and check them before they reach a host."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class CertificateError(Exception):
    """A certificate cannot be used; the message starts with the option at fault."""


def bundle(item: Mapping[str, Any]) -> str:
    """Return the PEM text of an entry of haproxy_certificates in HAProxy's order: certificate, chain, key."""
    return _pem(block for key in ("certificate", "chain", "key") for block in _blocks(item, key))


def authority(item: Mapping[str, Any]) -> str:
    """Return the PEM text of an entry of haproxy_authorities."""
    return _pem(block for block in _blocks(item, "certificate") if block[0] == "CERTIFICATE")


def check(item: Mapping[str, Any], now: datetime.datetime, minimum_days: int, *, with_key: bool = True) -> None:
    """Raise CertificateError unless the entry is a certificate that is valid at ``now``, with its key and chain.

    Raise RuntimeError when the Python library cryptography is not installed.
    """
    try:
        from cryptography import x509
    except ImportError as missing:
        raise RuntimeError(
            "the Python library cryptography is required to check certificates. Install it on the controller."
        ) from missing
    blocks = [block for key in ("certificate", "chain", "key") for block in _blocks(item, key)]
    certificates = []
    for kind, text in blocks:
        if kind == "CERTIFICATE":
            try:
                certificates.append(x509.load_pem_x509_certificate(text.encode()))
            except ValueError as error:
                raise CertificateError(f"certificate: is not a valid certificate ({error})") from error
    if not certificates:
        raise CertificateError("certificate: does not contain a PEM certificate")
    if with_key:
        _check_key([text for kind, text in blocks if kind.endswith("PRIVATE KEY")], certificates)
        _check_chain(certificates)
    for number, certificate in enumerate(certificates):
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        which = "certificate" if number == 0 else f"certificate {number + 1} of the chain"
        if end <= now + datetime.timedelta(days=minimum_days):
            state = "expired" if end <= now else f"expires in less than {minimum_days} days,"
            raise CertificateError(f"certificate: the {which} {state} on {end:%Y-%m-%d %H:%M} UTC. Renew it.")
        if start > now:
            raise CertificateError(f"certificate: the {which} is not valid before {start:%Y-%m-%d %H:%M} UTC")


def _check_key(keys: Sequence[str], certificates: Sequence[Any]) -> None:
    from cryptography.hazmat.primitives import serialization

    if len(keys) != 1:
        raise CertificateError(
            f"key: contains {len(keys)} private keys, one is needed"
            if keys
            else "key: does not contain a PEM private key"
        )
    try:
        key = serialization.load_pem_private_key(keys[0].encode(), None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"key: cannot be read ({error}). HAProxy needs it without a passphrase.") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    owned = [one.public_key().public_bytes(*form) == key.public_key().public_bytes(*form) for one in certificates]
    if not any(owned):
        raise CertificateError("key: does not match the certificate")
    if not owned[0]:
        raise CertificateError(
            f"certificate: certificate {owned.index(True) + 1} belongs to the key and must be the first, "
            "followed by its issuers in order"
        )


def _check_chain(certificates: Sequence[Any]) -> None:
    """Raise CertificateError unless each certificate is followed by the one that issued it."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    for number, (one, issuer) in enumerate(itertools.pairwise(certificates), 2):
        if issuer in certificates[: number - 1]:
            raise CertificateError(f"chain: certificate {number} of the chain repeats an earlier one. Remove it.")
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError) as error:
            raise CertificateError(
                f"chain: certificate {number} of the chain ({issuer.subject.rfc4514_string()}) did not issue "
                f"certificate {number - 1} ({one.subject.rfc4514_string()}), "
                f"whose issuer is {one.issuer.rfc4514_string()}"
            ) from error


def files(certificates: Sequence[Mapping[str, Any]], authorities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return file name -> PEM text of all certificate files that the configuration refers to."""
    named = {f"{item['name']}.pem": bundle(item) for item in certificates}
    return named | {f"{item['name']}.ca": authority(item) for item in authorities}


def _pem(blocks: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{text}\n" for _kind, text in blocks)


def _blocks(item: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """Return kind and text of the PEM blocks of an option, which holds them or names a file; comments are dropped."""
    value = item.get(key) or ""
    if value and "-----BEGIN" not in value:
        try:
            with open(os.path.expanduser(value), encoding="utf-8", errors="replace") as handle:
                value = handle.read()
        except OSError as error:
            raise CertificateError(f"{key}: {value} cannot be read ({error})") from error
    return [(match[1], match[0].replace("\r", "")) for match in _BLOCK.finditer(value)]
