# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption at rest on a member: what is stored how is read from etcd's own keys, whatever resource they belong to."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import encryption, storage
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Refused
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

OLD, NEW = "secretbox:k1:1", "secretbox:k2:2"
VERSION = {"uid": "u", "resourceVersion": "7"}
# etcd key -> path, as a real API server of 1.37 stores them.
STORED = {
    "secrets/default/one": "/api/v1/namespaces/default/secrets/one",
    "configmaps/default/one": "/api/v1/namespaces/default/configmaps/one",
    "minions/w1": "/api/v1/nodes/w1",
    "services/specs/default/web": "/api/v1/namespaces/default/services/web",
    "services/endpoints/default/web": "/api/v1/namespaces/default/endpoints/web",
    "deployments/shop/web": "/apis/apps/v1/namespaces/shop/deployments/web",
    "ingress/shop/web": "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web",
    "clusterroles/system:node": "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
    "apiregistration.k8s.io/apiservices/v1.apps": "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps",
    "stable.example.com/crontabs/shop/nightly": "/apis/stable.example.com/v2/namespaces/shop/crontabs/nightly",
    "ranges/serviceips": None,
    "masterleases/10.0.0.11": None,
}
RESOURCES = {
    "/api/v1": [("secrets", True), ("configmaps", True), ("nodes", False), ("services", True), ("endpoints", True)],
    "/apis/apps/v1": [("deployments", True), ("deployments/status", True)],
    "/apis/networking.k8s.io/v1": [("ingresses", True)],
    "/apis/rbac.authorization.k8s.io/v1": [("clusterroles", False)],
    "/apis/apiregistration.k8s.io/v1": [("apiservices", False)],
    "/apis/stable.example.com/v2": [("crontabs", True)],
    "/apis/stable.example.com/v1": [("crontabs", True)],
    "/apis/metrics.k8s.io/v1beta1": [("nodes", False), ("minions", False)],
}


class Server:
    """etcd and an API server that stores what is written with its key; it writes its own records after a while."""

    def __init__(self, resources=("*.*",)):
        self.resources, self.writer, self.refused = resources, "k2", {}
        self.values = {f"/registry/{key}": b"k8s:enc:secretbox:v1:k1:data" for key in STORED}
        self.pages = 0

    def call(self, _path, body):
        self.pages += 1
        start, end = b64decode(body["key"]).decode(), b64decode(body["range_end"]).decode()
        found = sorted(key for key in self.values if start <= key < end)
        part = found[:5]
        kvs = [{"key": b64encode(key.encode()).decode(), "value": b64encode(self.values[key]).decode()} for key in part]
        return {"kvs": kvs, "more": len(found) > len(part)}

    def items(self, path):
        if path.endswith("customresourcedefinitions"):
            return [{"spec": {"group": "stable.example.com", "names": {"plural": "crontabs"}}}]
        return [
            {"spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"name": "metrics-server"}}},
            {"spec": {"group": "apps", "version": "v1"}},
        ]

    def get(self, path):
        if path == "/apis":
            names = sorted({base.split("/")[2] for base in RESOURCES if base.startswith("/apis/")})
            return {"groups": [self._group(name) for name in names]}
        if path in RESOURCES:
            return {
                "resources": [
                    {"name": name, "namespaced": inside, "verbs": ["get"]} for name, inside in RESOURCES[path]
                ]
            }
        return {"metadata": VERSION, "path": path} if path in STORED.values() else None

    def _group(self, name):
        versions = [base.split("/")[3] for base in RESOURCES if base.startswith(f"/apis/{name}/")]
        return {
            "name": name,
            "preferredVersion": {"version": versions[0]},
            "versions": [{"version": version} for version in reversed(versions)],
        }

    def merge(self, path, item):
        assert item == {"metadata": VERSION}, "nothing changes, and only of the object that was read"
        if path in self.refused:
            raise Refused(self.refused[path], "no", path)
        (key,) = [key for key, place in STORED.items() if place == path]
        self.values[f"/registry/{key}"] = f"k8s:enc:secretbox:v1:{self.writer}:data".encode()

    def own_records(self, _seconds):
        """Play the API server's loop that writes its own records."""
        for key in ("ranges/serviceips", "masterleases/10.0.0.11"):
            self.values[f"/registry/{key}"] = f"k8s:enc:secretbox:v1:{self.writer}:data".encode()


@pytest.fixture(name="server")
def fixture_server(monkeypatch):
    server = Server()
    monkeypatch.setattr(encryption, "Etcd", lambda timeout: server)
    monkeypatch.setattr(encryption.Api, "of_member", lambda: server)
    monkeypatch.setattr(encryption.time, "sleep", server.own_records)
    return server


def test_keys_of_every_resource_are_mapped_to_their_objects(server):
    catalog = storage.Catalog.of(server)
    assert {key: catalog.path(f"/registry/{key}") for key in STORED} == STORED
    assert catalog.resource("/registry/minions/w1") == "nodes"
    assert catalog.resource("/registry/deployments/shop/web") == "deployments.apps"
    assert catalog.resource("/registry/stable.example.com/crontabs/shop/nightly") == "crontabs.stable.example.com"
    assert catalog.resource("/registry/ranges/serviceips") == ""


@pytest.mark.parametrize("resources", [["secrets"], ["deployments.apps"], ["*.*"], ["nodes", "services"]])
def test_what_is_encrypted_with_an_old_key_is_stale_whatever_is_declared(server, resources):
    assert len(encryption.stale(resources, NEW)) == len(STORED)
    assert encryption.stale(resources, OLD) == []
    assert server.pages > 2, "all pages are read"


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        (["secrets"], ["secrets/default/one"]),
        (["deployments.apps", "nodes"], ["deployments/shop/web", "minions/w1"]),
        (["*.stable.example.com"], ["stable.example.com/crontabs/shop/nightly"]),
        (["*."], [key for key, path in STORED.items() if path and path.startswith("/api/v1/")]),
    ],
)
def test_plain_text_of_declared_resources_is_stale(server, resources, wanted):
    server.values = dict.fromkeys(server.values, b"k8s\x00data")
    assert sorted(encryption.stale(resources, NEW)) == sorted(f"/registry/{key}" for key in wanted)
    assert encryption.stale(resources, "identity") == []


def test_every_object_is_rewritten_before_a_key_may_go(server):
    assert encryption.rewrite(["*.*"], NEW) == len([path for path in STORED.values() if path])
    assert set(server.values.values()) == {b"k8s:enc:secretbox:v1:k2:data"}


def test_an_object_that_cannot_be_rewritten_keeps_the_key(server):
    server.refused["/apis/apps/v1/namespaces/shop/deployments/web"] = 422
    with pytest.raises(PhotonError, match="/registry/deployments/shop/web cannot be encrypted again"):
        encryption.rewrite(["*.*"], NEW)
    server.refused["/apis/apps/v1/namespaces/shop/deployments/web"] = 409  # changed concurrently, by an old server
    with pytest.raises(PhotonError, match="objects are not stored encrypted with secretbox:k2 yet"):
        encryption.rewrite(["*.*"], NEW)


def test_records_that_are_no_objects_are_waited_for_and_never_forgotten(server, monkeypatch):
    monkeypatch.setattr(encryption.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(encryption, "_OWN_SECONDS", 0)
    with pytest.raises(PhotonError, match=r"2 objects are not stored .* /registry/masterleases"):
        encryption.rewrite(["*.*"], NEW)
