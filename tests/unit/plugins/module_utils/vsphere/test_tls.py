# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS against a real server with a self-signed certificate: verified, pinned, unverified; nothing in between."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import socketserver
import ssl
import threading

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import EndpointSpec, tls
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(days, address="127.0.0.1"):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "endpoint")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(end - datetime.timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made, key


@pytest.fixture
def serve(tmp_path):
    servers = []

    def serve(days=1, address="127.0.0.1"):
        made, key = certificate(days, address)
        pem = tmp_path / f"{len(servers)}.pem"
        pem.write_bytes(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    context.wrap_socket(self.request, server_side=True).recv(1)
                except OSError:
                    return  # the client turned the certificate down

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        der = made.public_bytes(serialization.Encoding.DER)
        return server.server_address[1], str(pem), hashlib.sha256(der).hexdigest()

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def attempt(port, **options):
    """None when the conversation starts, else the error's code and message."""
    spec = EndpointSpec("1", "vc1", "vcenter", "127.0.0.1", "u", "p", port=port, **options)
    pin = tls.normalize(spec.thumbprint)
    connection = tls.Connection(spec.address, port, context=tls.context_for(spec), thumbprint=pin)
    try:
        connection.connect()
    except OSError as error:
        failure = tls.failure(spec.where, error)
        return failure.code, failure.message
    finally:
        connection.close()
    return None


def test_known_authority(serve):
    port, pem, _thumbprint = serve()
    assert attempt(port, ca_file=pem) is None


def test_loopback_is_verified_too(serve):
    port, _pem, _thumbprint = serve()
    code, message = attempt(port)
    assert code == "EndpointCertificateError"
    assert "tls.ca_file" in message


def test_expired(serve):
    port, pem, _thumbprint = serve(days=-1)
    code, message = attempt(port, ca_file=pem)
    assert code == "EndpointCertificateError"
    assert "expired" in message


def test_other_address(serve):
    port, pem, _thumbprint = serve(address="192.0.2.1")
    assert attempt(port, ca_file=pem)[0] == "EndpointCertificateError"


def test_pin(serve):
    port, _pem, thumbprint = serve()
    assert attempt(port, thumbprint=thumbprint) is None
    assert attempt(port, thumbprint=":".join(thumbprint[at : at + 2].upper() for at in range(0, 64, 2))) is None


def test_wrong_pin_is_refused_even_where_the_authority_is_known(serve):
    port, pem, thumbprint = serve()
    code, message = attempt(port, thumbprint="0" * 64, ca_file=pem)
    assert code == "EndpointCertificateError"
    assert thumbprint in message


def test_pin_holds_when_verification_is_off(serve):
    port, _pem, _thumbprint = serve()
    assert attempt(port, verify=False, thumbprint="0" * 64)[0] == "EndpointCertificateError"


def test_unverified_only_when_asked(serve):
    port, _pem, _thumbprint = serve(days=-1)
    assert attempt(port, verify=False) is None


def test_nothing_listens():
    code, message = attempt(1, verify=False)
    assert code == "EndpointUnreachable"
    assert "127.0.0.1:1" in message


@pytest.mark.parametrize("text", ["abc", "g" * 64, "00" * 30])
def test_no_thumbprint(text):
    with pytest.raises(PhotonError) as caught:
        tls.normalize(text)
    assert caught.value.code == "SpecInvalid"


def test_unreadable_authority(tmp_path):
    spec = EndpointSpec("1", "vc1", "vcenter", "127.0.0.1", "u", "p", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(PhotonError) as caught:
        tls.context_for(spec)
    assert caught.value.code == "EndpointCertificateError"


def test_password_is_not_shown():
    assert "s3cret" not in repr(EndpointSpec("1", "vc1", "vcenter", "a", "u", "s3cret"))
