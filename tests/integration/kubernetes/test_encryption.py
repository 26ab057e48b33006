# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation of encryption keys against a real kube-apiserver and etcd: no object is lost, whatever its resource."""

from __future__ import annotations

import base64
import json
import urllib.request

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.encryption import label
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import encryption
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Api, Refused
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.storage import Catalog

from lab.kubernetes import versions
from tests.support.apiserver import ApiServer, missing, polled
from tests.support.clusters import SECRET, one

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.xdist_group("kube-apiserver"),
]
OLD = {"name": "k1", "secret": SECRET}
NEW = {"name": "k2", "secret": base64.b64encode(bytes(32)).decode()}
WRITER = label("secretbox", **NEW)
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "crontabs.stable.example.com"},
    "spec": {
        "group": "stable.example.com", "scope": "Namespaced",
        "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
    },
}  # fmt: skip
POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "example.test/c:1"}]}}
OBJECTS = {
    "/api/v1/namespaces/default/secrets": {"kind": "Secret", "stringData": {"a": "b"}},
    "/api/v1/namespaces/default/services": {"kind": "Service", "spec": {"ports": [{"port": 80}]}},
    "/api/v1/nodes": {"kind": "Node"},
    "/apis/apps/v1/namespaces/default/deployments": {
        "kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": POD}},
    "/apis/apps/v1/namespaces/default/controllerrevisions": {  # its data is immutable, to the byte
        "kind": "ControllerRevision", "revision": 1, "data": {"z": 1, "a": "x", "m": {"y": [1, 2], "b": None}}},
    "/apis/networking.k8s.io/v1/namespaces/default/ingresses": {
        "kind": "Ingress", "spec": {"defaultBackend": {"service": {"name": "one", "port": {"number": 80}}}}},
    "/apis/stable.example.com/v1/namespaces/default/crontabs": {"kind": "CronTab", "spec": {"cron": "* * * * *"}},
}  # fmt: skip


class Gateway:
    """etcd's JSON gateway without TLS."""

    def __init__(self, server):
        self._url = f"http://127.0.0.1:{server.etcd_port}"

    def call(self, path, body):
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())


class Administrator(Api):
    """The API with the test's token."""

    def __init__(self, server):
        self._server = server

    def _call(self, method, path, body=None, kind="application/json", missing=False):
        status, answer, _headers = self._server.request(method, path, body=body, kind=kind)
        if status == 404 and missing:
            return None
        if status >= 400:
            raise Refused(status, answer.get("message", ""), path)
        return answer


@pytest.fixture(scope="module", name="server")
def fixture_server(tmp_path_factory):
    cluster = one(encryption={"resources": ["*.*"], "keys": [OLD]})
    with ApiServer(tmp_path_factory.mktemp("apiserver"), cluster, [OLD], versions.NEWER) as server:
        api = Administrator(server)
        api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
        server.wait(lambda: server.request("GET", "/apis/stable.example.com/v1")[0] == 200, "custom resources")
        server.wait(lambda: server.request("GET", "/api/v1/namespaces/default")[0] == 200, "namespace")
        for path, item in OBJECTS.items():
            version = path[1:].partition("/namespaces")[0].removesuffix("/nodes").partition("/")[2]
            api.post(path, {"apiVersion": version, "metadata": {"name": "one"}, **item})
        yield server


@pytest.fixture(autouse=True)
def _member(server, monkeypatch):
    monkeypatch.setattr(encryption, "Etcd", lambda timeout: Gateway(server))
    monkeypatch.setattr(encryption.Api, "of_member", lambda: Administrator(server))


def test_nothing_needs_the_old_key_after_a_rotation_whatever_is_stored(server):
    before = [key for key, value in encryption._stored() if value.startswith(b"k8s:enc:secretbox:v1:k1:")]
    for part in ("minions/one", "services/specs/default/one", "deployments/default/one", "ingress/default/one"):
        assert f"/registry/{part}" in before
    assert "/registry/stable.example.com/crontabs/default/one" in before
    server.write_settings([NEW, OLD])
    api = Administrator(server)
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "new-"}}
    for _turn in polled(lambda: api.post("/api/v1/namespaces/default/secrets", body), 90):
        if any(value.startswith(b"k8s:enc:secretbox:v1:k2:") for _key, value in encryption._stored()):
            break
    kept = {key for key in before if key.endswith("default/one") or key == "/registry/minions/one"}
    assert kept <= set(encryption.stale(["*.*"], WRITER))
    assert all(map(Catalog.of(api).path, before))
    encryption.rewrite(["*.*"], WRITER)
    assert encryption.stale(["*.*"], WRITER) == []
    server.write_settings([NEW])  # the old key is gone
    server.restart()
    for path in OBJECTS:
        assert api.get(f"{path}/one")["metadata"]["name"] == "one"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "two"}, "spec": {"ports": [{"port": 80}]}}
    assert api.post("/api/v1/namespaces/default/services", service)["spec"]["clusterIP"]
