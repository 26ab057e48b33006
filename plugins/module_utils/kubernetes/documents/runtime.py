# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a standalone container host with containerd or Docker from the variables of role container_runtime."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from ...model.declaration.fields import Checker
from .. import checks_runtime
from ..declaration import mistakes_error
from ..schema import RUNTIME, complete, plain
from . import containerd

DAEMON = "/etc/docker/daemon.json"
DOCKER_CERTIFICATES = "/etc/docker/certs.d"
DOCKER_PROXY = "/etc/systemd/system/docker.service.d/proxy.conf"
_ENGINES = {
    "containerd": {"apt": "containerd", "dnf": "containerd.io"},
    "docker": {"apt": "docker.io", "dnf": "docker-ce"},
}


def document(
    engine: str, settings: Mapping[str, Any], read_file: Callable[[str], str], manager: str = "apt", version: str = ""
) -> dict[str, Any]:
    """Return the document of module linux_host for ``engine`` (containerd or docker).

    ``settings`` has the keys of a cluster's ``runtime`` and also ``docker`` (keys of daemon.json), ``packages``
    (additional packages) and ``repositories``; ``version`` is that of the host's containerd, "" for unknown. Raise
    SpecInvalid with every mistake, each with its key path below ``container_runtime``.
    """
    given = plain(settings)
    docker, repositories = given.pop("docker", None) or {}, given.pop("repositories", None) or []
    more = dict.fromkeys(given.pop("packages", None) or [], "present")
    checker = Checker()
    runtime = checker.mapping(RUNTIME, complete(RUNTIME, given), "container_runtime")
    if engine not in _ENGINES:
        checker.add("container_runtime_engine", f"must be one of {', '.join(_ENGINES)}, got {engine!r}")
    if not checker.mistakes:
        checks_runtime.runtime_settings(checker, runtime, "container_runtime", read_file)
        if engine == "docker":
            _check_docker(checker, runtime)
        elif reason := containerd.mismatch(runtime["containerd"], version):
            checker.add("container_runtime_containerd", f"the host {reason}")
    if checker.mistakes:
        raise mistakes_error(checker, "the variables of role container_runtime")
    runtime["cni_bin_dir"] = runtime["cni_bin_dir"] or ("/usr/lib/cni" if manager == "apt" else "/opt/cni/bin")
    runtime["sandbox_image"] = runtime["sandbox_image"] or "registry.k8s.io/pause:3.10.2"
    if engine == "containerd":
        files, absent, directories = (
            containerd.files(runtime),
            containerd.absent_files(runtime),
            containerd.directories(),
        )
    else:
        files = _docker_files(runtime, docker)
        absent = [] if any(one["path"] == DOCKER_PROXY for one in files) else [DOCKER_PROXY]
        directories = [{"path": DOCKER_CERTIFICATES, "mode": "0755", "exclusive": True}]
    return {
        "name": "container-runtime",
        "repositories": repositories,
        "packages": {**more, runtime["package"] or _ENGINES[engine][manager]: runtime["package_version"]},
        "directories": directories,
        "files": files,
        "absent_files": absent,
        "units": {engine: {"enabled": True, "state": "started"}},
    }


def daemon(runtime: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Render daemon.json, which supports mirrors of Docker Hub only; ``given`` takes precedence."""
    registries = runtime["registries"]
    own: dict[str, Any] = {
        "exec-opts": [f"native.cgroupdriver={runtime['cgroup_driver']}"],
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-file": "5", "max-size": "50m"},
        "no-new-privileges": True,
    }
    mirrors = [
        url for registry in registries if registry["host"] in ("docker.io", "_default") for url in registry["mirrors"]
    ]
    insecure = [
        place
        for registry in registries
        for place in _places(registry)
        if not registry["verify"] or f"http://{place}" in registry["mirrors"]
    ]
    if mirrors:
        own["registry-mirrors"] = mirrors
    if insecure:
        own["insecure-registries"] = insecure
    return {**own, **given}


def _check_docker(checker: Checker, runtime: Mapping[str, Any]) -> None:
    """Report what Docker cannot do."""
    for registry in runtime["registries"]:
        path = registry["path"]
        if registry["mirrors"] and registry["host"] not in ("docker.io", "_default"):
            checker.add(f"{path}.mirrors", "Docker supports mirrors of docker.io only. Use containerd for others.")
        if registry["only_mirrors"]:
            checker.add(f"{path}.only_mirrors", "Docker always falls back to docker.io. Use containerd.")
        if not registry["mirrors"] and registry["host"] in ("docker.io", "_default"):
            checker.add(f"{path}.mirrors", "is required: its authority and verify are those of the mirrors")


def _places(registry: Mapping[str, Any]) -> list[str]:
    """Return host:port of the servers that a registry's authority and verify apply to: its mirrors, or itself."""
    return [urllib.parse.urlsplit(url).netloc for url in registry["mirrors"]] or [registry["host"]]


def _docker_files(runtime: Mapping[str, Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = json.dumps(daemon(runtime, given), indent=2, sort_keys=True) + "\n"
    files = [{"path": DAEMON, "content": content, "mode": "0644", "restarts": ["docker"]}]
    for registry in runtime["registries"]:
        if registry["ca"]:
            files += [
                {
                    "path": f"{DOCKER_CERTIFICATES}/{place}/ca.crt",
                    "content": registry["ca"].strip() + "\n",
                    "mode": "0644",
                    "restarts": [],
                }
                for place in _places(registry)
            ]
    proxy = runtime["proxy"] or {}
    if proxy.get("http") or proxy.get("https"):
        text = containerd.proxy_drop_in(proxy, ())
        files.append({"path": DOCKER_PROXY, "content": text, "mode": "0644", "restarts": ["docker"]})
    return files
