# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting: verified TLS, logins, connections that drop, sessions that end."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import connect, inventory, read_inventory


def failure(spec):
    with pytest.raises(PhotonError) as caught, connect(spec):
        pass
    return caught.value


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_five_calls_and_no_session_left(bench, name):
    with connect(bench.spec(name)) as session:
        read_inventory(session)
    assert session.calls == 5
    assert sum(bench.calls(name).values()) == 5
    assert bench.sessions(name) == 0


def test_wrong_password(bench):
    error = failure(bench.spec("vc", password="wrong"))
    assert error.code == "InvalidLoginCredentials"
    assert bench.spec("vc").username in error.message
    assert "wrong" not in str(error.to_dict())
    assert bench.sessions("vc") == 0


def test_untrusted_certificate_on_loopback(bench):
    assert failure(bench.spec("vc", ca_file=None)).code == "EndpointCertificateError"


def test_certificate_for_another_name(bench):
    error = failure(bench.spec("vc", address="127.0.0.2"))
    assert error.code in ("EndpointCertificateError", "EndpointUnreachable")


def test_expired_certificate(bench):
    error = failure(bench.spec("expired"))
    assert error.code == "EndpointCertificateError"
    assert "expired" in error.message


def test_thumbprint_instead_of_authority(bench):
    with connect(bench.spec("expired", ca_file=None, thumbprint=bench.thumbprint("expired"))) as session:
        assert session.is_vcenter


def test_wrong_thumbprint(bench):
    error = failure(bench.spec("vc", thumbprint="0" * 40))
    assert error.code == "EndpointCertificateError"
    assert "0" * 40 in error.message


def test_unverified_only_when_asked(bench):
    with connect(bench.spec("expired", ca_file=None, verify=False)) as session:
        assert session.is_vcenter


def test_nothing_listens(bench):
    error = failure(bench.spec("vc", port=1))
    assert error.code == "EndpointUnreachable"
    assert "127.0.0.1:1" in error.message
    assert not error.data.get("unknown")


def test_proxies_of_the_environment_are_not_used(bench, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with connect(bench.spec("vc")) as session:
        assert session.calls == 2


def test_server_that_does_not_answer(bench):
    bench.delay("vc", call={"RetrievePropertiesEx": 2000})
    with connect(bench.spec("vc", timeout=0.3)) as session, pytest.raises(PhotonError) as caught:
        read_inventory(session)
    assert caught.value.code == "EndpointUnreachable"


@pytest.mark.parametrize("where", ["drop_before", "drop_after"])
def test_a_read_is_repeated_once(bench, where):
    rule = bench.rule("vc", "RetrievePropertiesEx", where, count=1)
    with connect(bench.spec("vc")) as session:
        assert read_inventory(session).hosts
    assert bench.hits(rule) == 1


def test_a_read_is_repeated_no_more_than_once(bench):
    rule = bench.rule("vc", "RetrievePropertiesEx", "drop_before")
    with connect(bench.spec("vc")) as session, pytest.raises(PhotonError) as caught:
        read_inventory(session)
    assert caught.value.code == "EndpointUnreachable"
    assert bench.hits(rule) == 2


def test_logout_after_an_exception(bench):
    def fail():
        with connect(bench.spec("vc")) as session:
            read_inventory(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert bench.sessions("vc") == 0


def test_a_session_that_ended_is_renewed_once(bench):
    with connect(bench.spec("vc")) as session:
        read_inventory(session)
        bench.end_session(session)
        assert read_inventory(session).hosts
        assert bench.calls("vc")["Login"] == 3  # this session, the one that ended it, and once more
    assert bench.sessions("vc") == 0


def test_a_view_that_went_with_its_session(bench):
    with connect(bench.spec("vc")) as session:
        read_inventory(session)
        session.view = session.reference("ContainerView", "session[gone]view-1")
        assert read_inventory(session).hosts


def test_server_that_no_longer_speaks_the_old_version(bench):
    rule = bench.rule("vc", "RetrieveServiceContent", "call", fault="InvalidRequest", count=1)
    with connect(bench.spec("vc")) as session:
        assert bench.hits(rule) == 1
        assert session.stub.versionId == '"urn:vim25/8.0.3.0"'
        assert read_inventory(session).hosts


def test_server_that_refuses_every_version(bench):
    bench.rule("vc", "RetrieveServiceContent", "call", fault="InvalidRequest")
    assert failure(bench.spec("vc")).data["fault"] == "InvalidRequest"


def test_missing_datacenter(bench):
    with connect(bench.spec("vc", datacenter="nowhere")) as session, pytest.raises(PhotonError) as caught:
        read_inventory(session)
    assert caught.value.code == "NotFound"
    assert "dc1" in caught.value.message


def test_missing_right(bench):
    bench.rule("vc", "CreateContainerView", "call", fault="NoPermission")
    with connect(bench.spec("vc")) as session, pytest.raises(PhotonError) as caught:
        read_inventory(session)
    assert caught.value.code == "AccessForbidden"


def test_busy_endpoint_is_asked_again(bench):
    rule = bench.rule("vc", "CreateContainerView", "status", code=503, count=1)
    with connect(bench.spec("vc")) as session:
        assert read_inventory(session).hosts
    assert bench.hits(rule) == 1


def test_pages_are_followed(bench, make_vms, monkeypatch):
    make_vms("vc", 7)
    with connect(bench.spec("vc")) as session:
        from ansible_collections.photon.platform.plugins.module_utils.vsphere import api

        options = api.load().vmodl.query.PropertyCollector.RetrieveOptions
        monkeypatch.setattr(api.load().vmodl.query.PropertyCollector, "RetrieveOptions", lambda: options(maxObjects=3))
        assert len(read_inventory(session).vms) == 7
        assert len(inventory.lookup_vms(session, names=["vm-3", "vm-6"])) == 2
    assert bench.calls("vc")["ContinueRetrievePropertiesEx"] >= 4
