# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate signing requests as kubelets send them, and as they must not."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def subject(common: str, organization: str = "system:nodes") -> x509.Name:
    """The subject of a node's certificate."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def alternatives(dns: tuple[str, ...], addresses: tuple[str, ...]) -> x509.SubjectAlternativeName:
    """The extension with a certificate's names and addresses."""
    listed = [x509.DNSName(one) for one in dns] + [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    return x509.SubjectAlternativeName(listed)


def request(
    common: str = "system:node:w1",
    organization: str = "system:nodes",
    dns: tuple[str, ...] = ("w1",),
    addresses: tuple[str, ...] = ("10.0.0.21",),
    name: str = "csr-1",
    **spec: Any,
) -> dict[str, Any]:
    """The CertificateSigningRequest that w1 sends for its serving certificate, or one with differences."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(common, organization))
    if dns or addresses:
        builder = builder.add_extension(alternatives(dns, addresses), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {
            "signerName": "kubernetes.io/kubelet-serving", "username": "system:node:w1",
            "groups": ["system:nodes", "system:authenticated"], "usages": ["digital signature", "server auth"],
            "request": base64.b64encode(pem).decode(), **spec,
        },
    }  # fmt: skip
