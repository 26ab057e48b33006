# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubeconfig of cluster_credentials, used as people use it: kubectl calls kubelogin, which calls the browser."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

from lab.kubernetes import cache, issuer, versions
from tests.support.login_server import LoginServer

KUBECTL = cache.programs("kubernetes", versions.NEWER) / "kubectl"
KUBELOGIN = cache.programs(versions.KUBELOGIN.name, versions.KUBELOGIN.version) / versions.KUBELOGIN.name
PROJECT = {"name": "shop", "project": "shop", "admin": ["shop-owners"], "view": ["auditors"]}


@pytest.fixture(name="server", scope="module")
def fixture_server(cluster_hosts, tmp_path_factory):
    """An issuer at the lab's gateway, which the hosts and this machine reach."""
    address = cluster_hosts.lab.subnet.replace(".0/24", ".1")
    with LoginServer(tmp_path_factory.mktemp("issuer") / "issuer", address, "ada", ["shop-owners"]) as server:
        yield server


@pytest.fixture(name="cluster_hosts", scope="module")
def fixture_cluster_hosts(make):
    return make(1, 1, create=False, version=versions.NEWER)


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(cluster_hosts, server):
    cluster_hosts.declared |= {
        "oidc": [
            {
                "issuer": server.url, "audiences": [issuer.AUDIENCE],
                "certificate_authority": str(server.folder / "ca.pem"),
            },
        ],
        "namespaces": [PROJECT],
    }  # fmt: skip
    cluster_hosts.play("cluster_create")
    return cluster_hosts


@pytest.fixture(name="person", scope="module")
def fixture_person(cluster, server, tmp_path_factory):
    """person(*words, opens=True): kubectl of somebody with the kubeconfig, kubelogin and (``opens``) a browser."""
    home = tmp_path_factory.mktemp("home")
    cluster.play("cluster_credentials", kubernetes_credentials_file=str(home / "config"))
    assert (home / "config").stat().st_mode & 0o777 == 0o600
    programs = home / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(KUBECTL)
    (programs / "kubectl-oidc_login").symlink_to(KUBELOGIN)
    browser = server.browser(home / "browser")

    def run(*words, opens=True):
        path = [str(programs), *([str(browser)] if opens else []), "/usr/bin", "/bin"]
        return subprocess.run(
            ["kubectl", "--kubeconfig", str(home / "config"), *words],
            env={"HOME": str(home), "PATH": os.pathsep.join(path), "NO_PROXY": "*"},
            executable=str(KUBECTL), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    run.home = pathlib.Path(home)
    return run


def test_a_person_logs_in_and_is_who_the_issuer_says(person, server):
    said = person("auth", "whoami", "-o", "json")
    assert said.returncode == 0, said.stderr
    user = json.loads(said.stdout)["status"]["userInfo"]
    assert user["username"] == "lightwave:ada"
    assert set(user["groups"]) == {"lightwave:shop-owners", "system:authenticated"}
    assert server.logins == 1


def test_the_login_lasts_as_long_as_its_token(person, server):
    said = person("auth", "can-i", "create", "deployments.apps", "-n", "shop", opens=False)
    assert said.stdout.strip() == "yes", said.stderr
    said = person("auth", "can-i", "create", "pods", "-n", "default", opens=False)
    assert said.stdout.strip() == "no", said.stderr
    assert server.logins == 1


def test_a_project_is_worked_in(person, cluster):
    made = person("-n", "shop", "create", "configmap", "ours", "--from-literal=word=kept")
    assert made.returncode == 0, made.stderr
    assert cluster.kubectl("-n", "shop", "get", "configmap", "ours", "-o", "jsonpath={.data.word}") == "kept"
    refused = person("get", "secrets", "-n", "kube-system")
    assert refused.returncode != 0
    assert "lightwave:ada" in refused.stderr


def test_a_token_alone_goes_by_the_same_file(person, server):
    """A program that has a token already: the file's cluster, no kubelogin."""
    token = issuer.token(server.folder, "auditor", ["auditors"])
    said = person("--token", token, "auth", "can-i", "list", "pods", "-n", "shop", opens=False)
    assert said.stdout.strip() == "yes", said.stderr


def test_the_kubeconfig_holds_no_secret(person):
    text = (person.home / "config").read_text(encoding="utf-8")
    assert "PRIVATE KEY" not in text
    assert "token:" not in text
    assert "client-key-data" not in text
