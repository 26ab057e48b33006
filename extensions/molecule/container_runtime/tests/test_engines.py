"""What the role promises, asked of the engines themselves."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["ansible://containers"]


@pytest.fixture(name="engine")
def fixture_engine(host):
    return host.backend.get_variables().get("container_runtime_engine", "containerd")


def test_the_engine_runs_and_comes_back_after_a_boot(host, engine):
    assert host.service(engine).is_running
    assert host.service(engine).is_enabled


def test_it_has_the_proxy(host, engine):
    environment = host.check_output(f"systemctl show {engine} --property=Environment")
    assert "HTTPS_PROXY=http://proxy.example.test:3128" in environment
    assert ".example.test" in environment


def test_containerd_reads_its_configuration(host, engine):
    if engine == "docker":
        assert not host.file("/etc/containerd/config.toml").contains("sandbox_image")
        return
    assert "SystemdCgroup = true" in host.check_output("containerd config dump")
    mirrors = host.file("/etc/containerd/certs.d/docker.io/hosts.toml").content_string
    assert '[host."https://mirror.example.test"]' in mirrors
    assert "skip_verify = true" in host.file("/etc/containerd/certs.d/registry.example.test/hosts.toml").content_string


def test_docker_says_what_it_was_told(host, engine):
    answer = host.run("curl -s --unix-socket /run/docker.sock http://localhost/info")
    assert (answer.rc == 0) == (engine == "docker")
    if engine == "docker":
        info = json.loads(answer.stdout)
        assert info["RegistryConfig"]["Mirrors"] == ["https://mirror.example.test/"]
        assert info["RegistryConfig"]["IndexConfigs"]["registry.example.test"]["Secure"] is False
        assert (info["CgroupDriver"], info["Debug"], info["LiveRestoreEnabled"]) == ("systemd", True, True)
