# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins and certificates."""

from __future__ import annotations

import hashlib
import ssl
from base64 import b64encode

import pytest
import requests
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from lab.certificates import Authority

ONE_HOST = {
    "endpoints": [
        {"name": "e", "kind": "esxi", "hosts": [{"name": "e1"}], "datastores": [{"name": "d", "capacity": "1 GB"}]}
    ]
}


@pytest.mark.parametrize("change", [{"pwd": "wrong"}, {"user": "nobody"}, {"pwd": ""}])
def test_a_wrong_login_is_refused(either, change):
    with pytest.raises(vim.fault.InvalidLogin):
        SmartConnect(**either.endpoint.pyvmomi(**change))


def test_files_need_a_login(either):
    url = either.url("secret")
    assert either.http("PUT", url, data=b"x").status_code == 201
    for auth in (None, (either.endpoint.username, "wrong"), ("nobody", either.endpoint.password)):
        for method in ("GET", "PUT", "DELETE"):
            assert either.http(method, url, auth=auth, data=b"y").status_code == 401
    assert either.http("GET", url).content == b"x"


def test_a_soap_session_opens_the_files_until_its_logout(either):
    instance = SmartConnect(**either.endpoint.pyvmomi())
    cookie = {"Cookie": instance._stub.cookie.split(";")[0]}
    url = either.url("file")
    assert either.http("PUT", url, auth=None, headers=cookie, data=b"x").status_code == 201
    Disconnect(instance)
    assert either.http("GET", url, auth=None, headers=cookie).status_code == 401


def test_rest_refuses_a_wrong_login(vc):
    url = f"https://{vc.endpoint.address}:{vc.endpoint.port}/rest/com/vmware/cis/session"

    def ask(user, password):
        token = b64encode(f"{user}:{password}".encode()).decode()
        return requests.post(
            url, json={}, headers={"Authorization": f"Basic {token}"}, verify=vc.endpoint.ca_file, timeout=10
        )

    assert ask(vc.endpoint.username, "wrong").status_code == 401
    answer = ask(vc.endpoint.username, vc.endpoint.password)
    assert answer.status_code == 200
    assert answer.json()["value"]


def test_sessions_are_counted(either):
    before = either.lab.control.state(either.name)["sessions"]
    instance = SmartConnect(**either.endpoint.pyvmomi())
    assert either.lab.control.state(either.name)["sessions"] == before + 1
    Disconnect(instance)
    assert either.lab.control.state(either.name)["sessions"] == before


def test_the_certificate_is_the_lab_s(vc):
    endpoint = vc.endpoint
    requests.get(f"https://localhost:{endpoint.port}/about", verify=endpoint.ca_file, timeout=10).raise_for_status()
    shown = ssl.get_server_certificate((endpoint.address, endpoint.port), ca_certs=endpoint.ca_file)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest().upper()
    assert endpoint.thumbprint.replace(":", "") == digest
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://127.0.0.1:{endpoint.port}/about", timeout=10)


@pytest.mark.parametrize("case", ["expired", "foreign", "other name"])
def test_certificates_no_client_should_take(lab_factory, tmp_path, case):
    authority = Authority(tmp_path / "ca", "a foreign CA")
    certificate = authority.issue(
        expired=case == "expired", addresses=("192.0.2.1",) if case == "other name" else ("127.0.0.1",)
    )
    lab = lab_factory(ONE_HOST, certificates={"e": (certificate.file, certificate.key)})
    endpoint = lab.endpoints["e"]
    trusted = endpoint.ca_file if case == "foreign" else str(authority.file)
    wanted = {"expired": "expired", "foreign": "self.signed|unable to get local issuer", "other name": "not valid for"}[
        case
    ]
    with pytest.raises(ssl.SSLCertVerificationError, match=wanted):
        SmartConnect(**endpoint.pyvmomi(sslContext=ssl.create_default_context(cafile=trusted)))
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((endpoint.address, endpoint.port)))
    assert endpoint.thumbprint == certificate.thumbprint
    assert hashlib.sha256(shown).hexdigest().upper() == certificate.thumbprint.replace(":", "")
