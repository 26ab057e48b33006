"""Who may do what, asked from a host outside of the cluster with tokens of the issuer that the cluster trusts."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import time

import pytest

from lab.kubernetes import issuer

testinfra_hosts = ["ansible://client"]
FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "issuer"


@pytest.fixture(name="server", scope="module")
def fixture_server(host):
    """The URL of the API server as clients know it; its authority's certificate is put into /root/ca.crt."""
    variables = host.backend.get_variables()
    server = f"https://{variables['lab_subnet'].replace('.0/24', '.')}{variables['endpoint_number']}:6443"
    # What kubeadm join finds the cluster by may be read by anyone.
    known = host.run(f"curl -skf {server}/api/v1/namespaces/kube-public/configmaps/cluster-info")
    assert known.rc == 0, known.stderr
    entry = json.loads(known.stdout)["data"]["kubeconfig"]
    coded = next(line.split()[1] for line in entry.splitlines() if "certificate-authority-data:" in line)
    assert host.run(f"echo {coded} | base64 -d > /root/ca.crt").rc == 0
    return server


@pytest.fixture(name="kubectl", scope="module")
def fixture_kubectl(host, server):
    """kubectl with a token: kubectl(token, words...) -> testinfra's result."""

    def run(token, *words):
        ways = f"--kubeconfig /dev/null --server {server} --certificate-authority /root/ca.crt --token {token}"
        return host.run(f"kubectl {ways} {shlex.join(words)}")

    return run


def test_a_token_of_the_issuer_names_its_user_and_groups(kubectl):
    said = kubectl(issuer.token(FOLDER, "ada", ["shop-owners", "others"]), "auth", "whoami", "-o", "json")
    assert said.rc == 0, said.stderr
    user = json.loads(said.stdout)["status"]["userInfo"]
    assert user["username"] == "lightwave:ada"
    assert set(user["groups"]) == {"lightwave:shop-owners", "lightwave:others", "system:authenticated"}


NOW = int(time.time())
REFUSED = {
    "another issuer": {"iss": "https://issuer.example"},
    "another audience": {"aud": "elsewhere"},
    "expired": {"iat": NOW - 1200, "exp": NOW - 600},
    "valid for too long": {"iat": NOW, "exp": NOW + 90000},
    "without a time of issue": {"iat": None},
    "a name of Kubernetes' own": {"sub": "system:admin"},
    "a group of Kubernetes' own": {"groups": ["system:masters"]},
    "without a subject": {"sub": None},
}


@pytest.mark.parametrize("claims", REFUSED.values(), ids=REFUSED.keys())
def test_other_tokens_are_refused(kubectl, claims):
    token = issuer.token(FOLDER, **{"subject": "ada", "groups": ["shop-owners"], **claims})
    said = kubectl(token, "auth", "whoami")
    assert said.rc != 0
    assert "Unauthorized" in said.stderr or "must be logged in" in said.stderr, said.stderr


def test_a_forged_signature_is_refused(kubectl):
    head, body, signature = issuer.token(FOLDER, "ada", ["shop-owners"]).split(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    said = kubectl(f"{head}.{body}.{signature[:middle]}{other}{signature[middle + 1 :]}", "auth", "whoami")
    assert said.rc != 0


@pytest.mark.parametrize(
    ("group", "verb", "what", "namespace", "may"),
    [
        ("shop-owners", "create", "rolebindings.rbac.authorization.k8s.io", "shop", True),
        ("shop-owners", "create", "pods", "default", False),
        ("shop-owners", "delete", "nodes", "", False),
        ("shop-developers", "create", "deployments.apps", "shop", True),
        ("shop-developers", "create", "rolebindings.rbac.authorization.k8s.io", "shop", False),
        ("shop-developers", "delete", "resourcequotas", "shop", False),
        ("auditors", "get", "pods", "shop", True),
        ("auditors", "get", "secrets", "shop", False),
        ("auditors", "delete", "pods", "shop", False),
        ("strangers", "get", "pods", "shop", False),
    ],
)
def test_groups_of_a_project_may_what_their_role_says(kubectl, group, verb, what, namespace, may):
    token = issuer.token(FOLDER, "ada", [group])
    scope = ["-n", namespace] if namespace else []
    said = kubectl(token, "auth", "can-i", verb, what, *scope)
    assert said.stdout.strip() == ("yes" if may else "no"), said.stderr


@pytest.mark.parametrize("path", ["/api", "/api/v1/namespaces", "/api/v1/nodes", "/version", "/metrics", "/openapi/v2"])
def test_nothing_is_told_without_credentials(host, server, path):
    assert host.run(f"curl -sk -o /dev/null -w '%{{http_code}}' {server}{path}").stdout == "401"


def test_health_is_told_to_balancers(host, server):
    assert host.run(f"curl -skf {server}/readyz").stdout == "ok"


@pytest.mark.parametrize("port", [10250, 10255, 10257, 10259, 2379, 2380, 2381])
def test_no_other_port_of_a_member_gives_anything_away(host, port):
    member = f"{host.backend.get_variables()['lab_subnet'].replace('.0/24', '.11')}:{port}"
    for scheme, path in (("https", "/pods"), ("https", "/metrics"), ("http", "/metrics"), ("https", "/v2/keys")):
        code = host.run(f"curl -sk --max-time 5 -o /dev/null -w '%{{http_code}}' {scheme}://{member}{path}").stdout
        assert code in ("000", "400", "401", "403", "404"), f"{scheme}://{member}{path} answered {code}"


def test_a_services_port_answers_from_outside_on_every_node(host):
    for number in (11, 21):
        node = host.backend.get_variables()["lab_subnet"].replace("0/24", str(number))
        assert host.run(f"curl -sf --max-time 10 http://{node}:30080/").stdout.startswith("hello-")


def test_kubectl_finds_kubelogin(host):
    assert "oidc-login" in host.run("kubectl plugin list").stdout.replace("_", "-")
