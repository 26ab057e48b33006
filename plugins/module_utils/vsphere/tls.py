# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS to an endpoint: verified, pinned by thumbprint, or explicitly unverified; never silently the last."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
from typing import Any

from ..model.errors import PhotonError
from .rows import EndpointSpec

_ALGORITHMS = {40: "sha1", 64: "sha256", 128: "sha512"}


class Connection(http.client.HTTPSConnection):
    """HTTPS with a pinned certificate where wanted and separate time-outs. Proxies of the environment are ignored."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext,
        thumbprint: str = "",
        connect_timeout: float = 15.0,
        read_timeout: float = 120.0,
    ) -> None:
        super().__init__(host, port, timeout=connect_timeout, context=context)
        self._thumbprint = thumbprint
        self._read_timeout = read_timeout

    def connect(self) -> None:
        super().connect()
        if self._thumbprint:
            actual = fingerprint(self.sock.getpeercert(binary_form=True), self._thumbprint)
            if not hmac.compare_digest(actual, self._thumbprint):
                self.close()
                raise ssl.SSLCertVerificationError(f"its thumbprint is {actual}, not the pinned {self._thumbprint}")
        self.sock.settimeout(self._read_timeout)


def unverified() -> ssl.SSLContext:
    """A context that checks nothing: for ``verify: false``, and under a pin, which Connection compares."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def context_for(spec: EndpointSpec) -> ssl.SSLContext:
    """The SSL context of an endpoint. Raises EndpointCertificateError when ``ca_file`` cannot be read."""
    if not spec.verify or spec.thumbprint:
        return unverified()
    try:
        return ssl.create_default_context(cafile=spec.ca_file)
    except OSError as error:
        raise PhotonError(
            "EndpointCertificateError",
            f"endpoint {spec.where}: the CA file {spec.ca_file} cannot be read ({error}): give the path of a PEM file",
            {"endpoint": spec.name},
        ) from error


def normalize(thumbprint: str | None) -> str:
    """``AB:CD...`` as bare lower-case hex. Raises SpecInvalid unless it is a SHA-1, SHA-256 or SHA-512 thumbprint."""
    if not thumbprint:
        return ""
    text = thumbprint.replace(":", "").replace(" ", "").lower()
    if len(text) not in _ALGORITHMS or any(char not in "0123456789abcdef" for char in text):
        raise PhotonError(
            "SpecInvalid",
            f"{thumbprint!r} is not a thumbprint; give the certificate's SHA-256 (or SHA-1, SHA-512) in hex",
        )
    return text


def fingerprint(certificate: bytes, like: str) -> str:
    """The thumbprint of a DER certificate with the algorithm that ``like`` was made with."""
    return hashlib.new(_ALGORITHMS[len(like)], certificate, usedforsecurity=len(like) > 40).hexdigest()


def failure(where: str, error: BaseException, data: dict[str, Any] | None = None) -> PhotonError:
    """An OSError, HTTPException or SSL error of a conversation as EndpointCertificateError or EndpointUnreachable."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "verify_message", "") or str(error)
        hint = "renew the certificate, name its authority in tls.ca_file, or pin it with tls.thumbprint"
        return PhotonError(
            "EndpointCertificateError",
            f"endpoint {where}: the certificate was refused: {reason}; {hint}",
            {"reason": reason, **(data or {})},
        )
    reason = str(error) or type(error).__name__
    return PhotonError(
        "EndpointUnreachable",
        f"endpoint {where} cannot be reached: {reason}; check address, port and network, then run again",
        {"reason": reason, **(data or {})},
    )
