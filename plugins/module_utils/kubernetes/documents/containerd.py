# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render containerd's configuration: version 2 for containerd 1.x, 3 for containerd 2; registries in certs.d."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

CONFIGURATION = "/etc/containerd/config.toml"
CERTIFICATES = "/etc/containerd/certs.d"
PROXY = "/etc/systemd/system/containerd.service.d/proxy.conf"
UNIT = "containerd"
_ADDRESSES = {"docker.io": "registry-1.docker.io"}  # registries that serve images under another name
File = dict[str, Any]


def directories() -> list[dict[str, Any]]:
    """Return the directory of the registries, which has no others than the declared ones."""
    return [{"path": CERTIFICATES, "mode": "0755", "exclusive": True}]


def absent_files(runtime: Mapping[str, Any]) -> list[str]:
    """Return the files that a runtime without a proxy must not have."""
    return [] if _has_proxy(runtime) else [PROXY]


def mismatch(declared: str, version: str) -> str:
    """Return why the configuration for ``declared`` does not fit containerd ``version`` ("" for unknown).

    Version 2 of the configuration, that of 1.7, is also what containerd 1.6 reads (Debian 12 has it).
    """
    major, minor = [*version.split("."), "", ""][:2]
    fits = {"1.7": (major, minor) in (("1", "6"), ("1", "7")), "2.0": (major, minor) == ("2", "0")}
    if not version or fits.get(declared, major == "2" and minor != "0"):
        return ""
    own = {("1", "6"): "1.7", ("1", "7"): "1.7", ("2", "0"): "2.0"}.get((major, minor), "2" if major == "2" else "")
    hint = f"Declare containerd: '{own}'." if own else "Install containerd 1.6 or newer."
    return f"has containerd {version} but its configuration is declared for {declared}. {hint}"


def files(runtime: Mapping[str, Any], no_proxy: Iterable[str] = ()) -> list[File]:
    """Return the files of a ``runtime`` (docs/kubernetes.md); ``no_proxy`` extends the proxy's own exceptions.

    containerd reads certs.d at every pull, the other files only at start.
    """
    result = [_file(CONFIGURATION, runtime["configuration"] or configuration(runtime), [UNIT])]
    for registry in runtime["registries"]:
        folder = f"{CERTIFICATES}/{registry['host']}"
        result.append(_file(f"{folder}/hosts.toml", hosts(registry, folder), []))
        if registry["ca"]:
            result.append(_file(f"{folder}/ca.crt", registry["ca"].strip() + "\n", []))
    if _has_proxy(runtime):
        result.append(_file(PROXY, proxy_drop_in(runtime["proxy"], no_proxy), [UNIT]))
    return result


def _has_proxy(runtime: Mapping[str, Any]) -> bool:
    proxy = runtime["proxy"] or {}
    return bool(proxy.get("http") or proxy.get("https"))


def configuration(runtime: Mapping[str, Any]) -> str:
    """Render config.toml for the version of containerd in ``runtime``."""
    systemd = _value(runtime["cgroup_driver"] == "systemd")
    restrict = _value(runtime["restrict_oom_score_adj"])
    directory, image, registries = map(_value, (runtime["cni_bin_dir"], runtime["sandbox_image"], CERTIFICATES))
    if runtime["containerd"] == "1.7":
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        lines = [
            "version = 2",
            f"[{cri}]",
            f"  sandbox_image = {image}",
            f"  restrict_oom_score_adj = {restrict}",
            f"[{cri}.registry]",
            f"  config_path = {registries}",
            f"[{cri}.cni]",
            f"  bin_dir = {directory}",
            '  conf_dir = "/etc/cni/net.d"',
            f"[{cri}.containerd]",
            '  default_runtime_name = "runc"',
            f"[{cri}.containerd.runtimes.runc]",
            '  runtime_type = "io.containerd.runc.v2"',
            f"[{cri}.containerd.runtimes.runc.options]",
            f"  SystemdCgroup = {systemd}",
        ]
    else:
        images, cri = 'plugins."io.containerd.cri.v1.images"', 'plugins."io.containerd.cri.v1.runtime"'
        lines = [
            "version = 3",
            f"[{images}.pinned_images]",
            f"  sandbox = {image}",
            f"[{images}.registry]",
            f"  config_path = {registries}",
            f"[{cri}]",
            f"  restrict_oom_score_adj = {restrict}",
            f"[{cri}.cni]",
            f"  bin_dir = {directory}" if runtime["containerd"] == "2.0" else f"  bin_dirs = [{directory}]",
            '  conf_dir = "/etc/cni/net.d"',
            f"[{cri}.containerd]",
            '  default_runtime_name = "runc"',
            f"[{cri}.containerd.runtimes.runc]",
            '  runtime_type = "io.containerd.runc.v2"',
            f"[{cri}.containerd.runtimes.runc.options]",
            f"  SystemdCgroup = {systemd}",
        ]
    if runtime["imports"]:
        lines.insert(1, f"imports = [{', '.join(map(_value, runtime['imports']))}]")
    extra = ["# runtime.extra", *runtime["extra"].splitlines()] if runtime["extra"] else []
    return "\n".join([*lines, *extra]) + "\n"


def hosts(registry: Mapping[str, Any], folder: str) -> str:
    """Render hosts.toml of one registry: its mirrors in order, then the registry unless ``only_mirrors``."""
    asked = [*registry["mirrors"]]
    trust = [f"ca = {_value(folder + '/ca.crt')}"] if registry["ca"] else []
    trust += [] if registry["verify"] else ["skip_verify = true"]
    offers = f"capabilities = [{', '.join(map(_value, registry['capabilities']))}]"
    lines = []
    if registry["only_mirrors"]:  # the server is the last resort, and a file without hosts is ignored
        lines = [f"server = {_value(asked[-1])}", offers, *trust]
    elif registry["host"] != "_default":
        own = "https://" + _ADDRESSES.get(registry["host"], registry["host"])
        lines = [f"server = {_value(own)}"]
        if trust and not asked:
            asked.append(own)
    for url in asked:
        lines += ["", f"[host.{_value(url)}]", *(f"  {line}" for line in (offers, *trust))]
    return "\n".join(lines).lstrip("\n") + "\n"


def proxy_drop_in(proxy: Mapping[str, Any], no_proxy: Iterable[str]) -> str:
    """Render the systemd drop-in with containerd's proxy."""
    lines = ["[Service]"]
    for key, name in (("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY")):
        if proxy.get(key):
            lines.append(f'Environment="{name}={_systemd(proxy[key])}"')
    around = dict.fromkeys(["localhost", "127.0.0.1", *no_proxy, *proxy.get("no_proxy", ())])
    lines.append(f'Environment="NO_PROXY={_systemd(",".join(around))}"')
    return "\n".join(lines) + "\n"


def _file(path: str, content: str, restarts: list[str]) -> File:
    return {"path": path, "content": content, "mode": "0644", "restarts": restarts}


def _value(value: Any) -> str:
    """Format a TOML value; strings and booleans have the syntax of JSON."""
    return json.dumps(value)


def _systemd(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
