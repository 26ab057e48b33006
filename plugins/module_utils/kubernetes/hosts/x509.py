# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the parts of certificates (RFC 5280) and signing requests (RFC 2986) that a member needs, from DER.

Hosts have no library for this, and not always the program openssl.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import hashlib
import ipaddress
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\s*([A-Za-z0-9+/=\s]+?)-----END \1-----")
_COMMON_NAME, _ORGANIZATION = bytes((0x55, 0x04, 0x03)), bytes((0x55, 0x04, 0x0A))
_ALTERNATIVE_NAMES = bytes((0x55, 0x1D, 0x11))
_EXTENSION_REQUEST = bytes((0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x0E))
_UTC_TIME, _EXPLICIT_0, _EXPLICIT_3 = 0x17, 0xA0, 0xA3
_DNS, _ADDRESS = 0x82, 0x87


class CertificateError(ValueError):
    """The text does not contain a valid certificate or request."""


class Names(NamedTuple):
    """Subject alternative names by type."""

    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    others: int = 0


class Certificate(NamedTuple):
    """A certificate. ``key_hash``: sha256:HEX of its public key, as in caCertHashes; ``not_after``: epoch seconds."""

    common_name: str
    organizations: tuple[str, ...]
    not_after: int
    key_hash: str
    names: Names


class Request(NamedTuple):
    """A certificate signing request."""

    common_name: str
    organizations: tuple[str, ...]
    names: Names


def read(pem: str) -> Certificate:
    """Parse the first certificate of a PEM text; CertificateError when there is none."""
    try:
        body = _children(_first(pem, ("CERTIFICATE",)))[0]
        fields = [item for item in _items(body[1]) if item[0] != _EXPLICIT_0]  # the version is optional
        _serial, _signature, _issuer, validity, subject, key, *rest = fields
        extensions = next((_value(item[1]) for item in rest if item[0] == _EXPLICIT_3), b"")
        name, organizations = _subject(subject[1])
        digest = hashlib.sha256(key[2]).hexdigest()
        return Certificate(
            name, organizations, _time(_items_list(validity[1])[1]), f"sha256:{digest}", _alternative_names(extensions)
        )
    except (IndexError, ValueError) as error:
        raise CertificateError(f"not a valid certificate: {error}") from error


def read_request(pem: str) -> Request:
    """Parse the certificate signing request of a PEM text; CertificateError when there is none."""
    try:
        body = _children(_first(pem, ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")))[0]
        fields = _items_list(body[1])
        name, organizations = _subject(fields[1][1])
        names = Names()
        for attribute in _items(fields[3][1]) if len(fields) > 3 else ():
            oid, values = _items_list(attribute[1])
            if oid[1] == _EXTENSION_REQUEST:
                names = _alternative_names(_value(values[1]))
        return Request(name, organizations, names)
    except (IndexError, ValueError) as error:
        raise CertificateError(f"not a valid certificate signing request: {error}") from error


def _first(pem: str, kinds: tuple[str, ...]) -> bytes:
    for kind, text in _PEM.findall(pem):
        if kind in kinds:
            try:
                return base64.b64decode("".join(text.split()), validate=True)
            except binascii.Error as error:
                raise ValueError(str(error)) from error
    raise ValueError(f"no {kinds[0].lower()} in the text")


def _items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the sibling elements in ``data``: tag, content, complete encoding."""
    at = 0
    while at < len(data):
        start, tag, length = at, data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("truncated data")
        yield tag, data[at : at + length], data[start : at + length]
        at += length


def _items_list(data: bytes) -> list[tuple[int, bytes, bytes]]:
    return list(_items(data))


def _value(data: bytes) -> bytes:
    """Return the content of the first element in ``data``."""
    return next(_items(data))[1]


def _children(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return the child elements of the single element in ``data``."""
    return _items_list(_value(data))


def _subject(data: bytes) -> tuple[str, tuple[str, ...]]:
    name, organizations = "", []
    for one_set in _items(data):
        for pair in _items(one_set[1]):
            kind, value = _items_list(pair[1])
            text = value[1].decode("utf-8", "replace")
            if kind[1] == _COMMON_NAME:
                name = text
            elif kind[1] == _ORGANIZATION:
                organizations.append(text)
    return name, tuple(organizations)


def _time(item: tuple[int, bytes, bytes]) -> int:
    text = item[1].decode("ascii").rstrip("Z")
    if item[0] == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%S"))


def _alternative_names(extensions: bytes) -> Names:
    dns, addresses, others = [], [], 0
    for extension in _items(extensions):
        parts = _items_list(extension[1])
        if parts[0][1] != _ALTERNATIVE_NAMES:
            continue
        for tag, content, _whole in _items(_value(parts[-1][1])):
            if tag == _DNS:
                dns.append(content.decode("ascii"))
            elif tag == _ADDRESS:
                addresses.append(str(ipaddress.ip_address(content)))
            else:
                others += 1
    return Names(tuple(dns), tuple(addresses), others)
