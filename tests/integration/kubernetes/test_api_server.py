# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server with the role's files and flags: who gets in, what is encrypted, audited, refused."""

from __future__ import annotations

import base64
import json
import time

import pytest
from ansible_collections.photon.platform.plugins.filter.kubernetes_manifests import kubernetes_manifests

from lab.certificates import Authority
from lab.kubernetes import versions
from tests.support.apiserver import ApiServer, Issuer, missing, polled
from tests.support.clusters import SECRET, one

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.xdist_group("kube-apiserver"),
]
OTHER_SECRET = base64.b64encode(bytes(32)).decode()
NAMESPACE = {
    "name": "web", "project": "web", "quota": {"pods": 3}, "container_defaults": {"cpu": "500m"},
    "pod_security": "restricted", "admin": ["photon\\web-admins"], "view": ["photon\\guests"],
}  # fmt: skip


@pytest.fixture(scope="module", name="issuer")
def fixture_issuer(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("issuer"))
    issuer = Issuer(authority)
    issuer.authority = authority
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module", name="stranger")
def fixture_stranger(issuer):
    """An issuer that nobody declared."""
    stranger = Issuer(issuer.authority, "stranger")
    yield stranger
    stranger.stop()


@pytest.fixture(scope="module", name="cluster")
def fixture_cluster(issuer):
    declared = {
        "issuer": issuer.url,
        "audiences": ["kubernetes"],
        "certificate_authority": issuer.authority.file.read_text(),
    }
    return one(oidc=[declared], namespaces=[NAMESPACE])


@pytest.fixture(scope="module", name="api")
def fixture_api(tmp_path_factory, cluster):
    keys = [{"name": "k1", "secret": SECRET}]
    with ApiServer(tmp_path_factory.mktemp("apiserver"), cluster, keys, versions.NEWER) as api:
        objects = kubernetes_manifests(cluster)["objects"]
        # CoreDNS is kubeadm's to deploy; here is no kubeadm.
        items = [item for item in objects if item["metadata"]["name"] != "coredns"]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        applied = api.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text)
        assert applied.returncode == 0, applied.stderr
        assert applied.stdout.count("serverside-applied") == len(items), applied.stdout
        api.wait(
            lambda: bool(api.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")[1]["rules"]),
            "roles",
        )
        api.wait(lambda: api.request("GET", "/api/v1/namespaces/web/serviceaccounts/default")[0] == 200, "account")
        yield api


def who(api, token):
    """The user that the API server takes a token for, or None."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer, _headers = api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", token, review)
    assert status in (201, 401), answer
    return answer["status"]["userInfo"] if status == 201 else None


def may(api, token, verb, resource, namespace, group=""):
    attributes = {"verb": verb, "resource": resource, "namespace": namespace, "group": group}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
              "spec": {"resourceAttributes": attributes}}  # fmt: skip
    status, answer, _headers = api.request(
        "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", token, review
    )
    assert status == 201, answer
    return answer["status"]["allowed"]


def test_a_user_of_the_issuer_comes_in_with_the_prefix(api, issuer):
    user = who(api, issuer.token(groups=["photon\\web-admins"]))
    assert user["username"] == "lightwave:alice"
    assert set(user["groups"]) == {"lightwave:photon\\web-admins", "system:authenticated"}


@pytest.mark.parametrize("groups", [[], None, "photon\\guests"])
def test_groups_may_be_none_one_or_many(api, issuer, groups):
    assert who(api, issuer.token(groups=groups))["username"] == "lightwave:alice"


REFUSED = {
    "another audience": {"aud": "other"},
    "expired": {"iat": int(time.time()) - 900, "exp": int(time.time()) - 600},
    "valid for too long": {"exp": int(time.time()) + 90000},
    "no time of issue": {"iat": None},
    "a user of Kubernetes' own": {"sub": "system:admin"},
    "a group of Kubernetes' own": {"groups": ["photon\\web-admins", "system:masters"]},
    "no user": {"sub": None},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_is_refused(api, issuer, case):
    assert who(api, issuer.token(**{"groups": ["photon\\web-admins"], **REFUSED[case]})) is None


def test_an_undeclared_issuer_and_a_forged_signature_are_refused(api, issuer, stranger):
    assert who(api, stranger.token()) is None
    assert who(api, stranger.token(iss=issuer.url)) is None
    good = issuer.token()
    assert who(api, good) is not None
    head, body, signature = good.split(".")
    forged = base64.urlsafe_b64decode(body + "==").replace(b"alice", b"aliec")
    assert who(api, f"{head}.{base64.urlsafe_b64encode(forged).rstrip(b'=').decode()}.{signature}") is None


def test_a_project_s_groups_have_rights_in_their_namespace_alone(api, issuer):
    administrator = issuer.token(groups=["photon\\web-admins"])
    guest = issuer.token(sub="bob", groups=["photon\\guests"])
    nobody = issuer.token(sub="eve", groups=["photon\\others"])
    assert may(api, administrator, "create", "deployments", "web", "apps")
    assert may(api, administrator, "create", "rolebindings", "web", "rbac.authorization.k8s.io")
    assert not may(api, administrator, "create", "deployments", "default", "apps")
    assert not may(api, administrator, "delete", "resourcequotas", "web")
    assert not may(api, administrator, "list", "nodes", "")
    assert may(api, guest, "list", "pods", "web")
    assert not may(api, guest, "get", "secrets", "web")
    assert not may(api, guest, "create", "pods", "web")
    assert not may(api, nobody, "list", "pods", "web")


PATHS = {
    "/livez": 200, "/readyz": 200, "/healthz": 200,
    "/api/v1/namespaces/kube-public/configmaps/cluster-info": 403,  # kubeadm's RBAC lets it through
    "/api/v1/namespaces/kube-public/configmaps": 401, "/version": 401, "/api": 401, "/metrics": 401, "/openapi/v2": 401,
    "/livez/etcd": 401, "/apis": 401,
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_credentials_only_what_join_and_balancers_need_is_answered(api, path):
    assert api.request("GET", path, None)[0] == PATHS[path]


def test_secrets_are_encrypted_in_etcd_and_a_new_key_is_taken_without_a_restart(api):
    def secret(name):
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"word": "opensesame"}}
        assert api.request("POST", "/api/v1/namespaces/default/secrets", body=body)[0] in (201, 409)
        return api.in_etcd(f"secrets/default/{name}")

    first = secret("first")
    assert first.startswith(b"k8s:enc:secretbox:v1:k1:")
    assert b"opensesame" not in first
    api.write_settings([{"name": "k2", "secret": OTHER_SECRET}, {"name": "k1", "secret": SECRET}])
    numbers = iter(range(1000))
    stored = next(
        value
        for value in polled(lambda: secret(f"next-{next(numbers)}"), 90)
        if value.startswith(b"k8s:enc:secretbox:v1:k2:")
    )
    assert b"opensesame" not in stored
    word = api.request("GET", "/api/v1/namespaces/default/secrets/first")[1]["data"]["word"]
    assert base64.b64decode(word) == b"opensesame", "what the older key wrote is still read"


def test_the_audit_log_says_who_wrote_a_secret_and_not_what(api):
    value = base64.b64encode(b"never-in-a-log").decode()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "audited"}, "data": {"word": value}}
    assert api.request("POST", "/api/v1/namespaces/default/secrets", body=body)[0] == 201

    def lines():
        return (api.folder / "audit" / "audit.log").read_text().splitlines()

    wanted = '"verb":"create","user":{"username":"admin"'
    entry = next(
        e
        for e in (next((x for x in log if wanted in x and '"name":"audited"' in x), None) for log in polled(lines))
        if e
    )
    assert json.loads(entry)["level"] == "Metadata"
    assert not [line for line in lines() if value in line or "never-in-a-log" in line]


def pod(name, **security):
    container = {"name": "c", "image": "example.test/hello:1", **({"securityContext": security} if security else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def test_pod_security_is_the_cluster_s_and_the_namespace_s(api):
    def create(namespace, body):
        return api.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body=body)

    api.wait(lambda: api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200, "account")
    status, _answer, headers = create("default", pod("plain"))
    assert status == 201
    assert "restricted" in headers["Warning"], "beyond restricted is a warning"
    status, answer, _headers = create("default", pod("mighty", privileged=True))
    assert status == 403
    assert 'violates PodSecurity "baseline' in answer["message"]
    assert create("web", pod("plain"))[0] == 403
    strict = pod("strict", allowPrivilegeEscalation=False, runAsNonRoot=True, capabilities={"drop": ["ALL"]},
                 seccompProfile={"type": "RuntimeDefault"})  # fmt: skip
    assert create("web", strict)[0] == 201
