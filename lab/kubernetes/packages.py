# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages with the names, versions, units and paths of the project's own, and a signed repository of them."""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..hosts.paths import locked, run
from . import cache

_UNIT = """[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
# kubeadm writes the files named here; the drop-in is the project's agreement with it.
_DROP_IN = """[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""
_AFTER = '#!/bin/sh\nset -e\nif [ "$1" = configure ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi\n'
_KEY_USER = "Lab packages <lab@photon.test>"


@dataclass(frozen=True)
class Package:
    """A package: programs by path inside it, other files as text, what it depends on."""

    name: str
    version: str
    programs: Mapping[str, Path]
    depends: str = ""
    files: Mapping[str, str] | None = None
    directories: tuple[str, ...] = ()
    reloads: bool = False

    @property
    def path(self) -> Path:
        """Where the built package lies."""
        return repository() / f"{self.name}_{self.version}_{architecture()}.deb"

    def recipe(self) -> str:
        """What tells this package from an older one of its name and version."""
        sources = [(inside, str(p), p.stat().st_mtime_ns, p.stat().st_size) for inside, p in self.programs.items()]
        return repr((self.name, self.version, self.depends, self.files, self.directories, self.reloads, sources))

    def make(self) -> bool:
        """Build the package where it is missing; was it?"""
        if cache.is_made(self.path, self.recipe()):
            return False
        with (
            cache.making(self.path, self.recipe(), f"package {self.name} {self.version}") as part,
            tempfile.TemporaryDirectory(dir=cache.folder()) as folder,
        ):
            root = Path(folder) / "root"
            self._lay_out(root)
            run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(part)])
        return True

    def _lay_out(self, root: Path) -> None:
        control = {
            "Package": self.name, "Version": self.version, "Architecture": architecture(), "Depends": self.depends,
            "Maintainer": "Photon Platform contributors <lab@photon.test>",
            "Description": f"{self.name}, built for the lab",
        }  # fmt: skip
        text = "".join(f"{key}: {value}\n" for key, value in control.items() if value)
        for path, content in {"DEBIAN/control": text, **(self.files or {})}.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        for directory in self.directories:
            (root / directory).mkdir(parents=True)
        if self.reloads:
            (root / "DEBIAN/postinst").write_text(_AFTER)
            (root / "DEBIAN/postinst").chmod(0o755)
        for inside, program in self.programs.items():
            target = root / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(program, target)  # the cache is one file system
            target.chmod(0o755)
        root.chmod(0o755)


def of_kubernetes(version: str, revision: str, programs: Mapping[str, Path]) -> list[Package]:
    """kubelet, kubeadm and kubectl of one version."""
    full = f"{version}-{revision}"
    return [
        Package(
            "kubelet", full, {"usr/bin/kubelet": programs["kubelet"]},
            "iptables | nftables, iproute2, mount, util-linux",
            {"usr/lib/systemd/system/kubelet.service": _UNIT}, ("etc/kubernetes/manifests",), True,
        ),
        Package(
            "kubeadm", full, {"usr/bin/kubeadm": programs["kubeadm"]}, "kubelet, kubectl",
            {"usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": _DROP_IN}, (), True,
        ),
        Package("kubectl", full, {"usr/bin/kubectl": programs["kubectl"]}),
    ]  # fmt: skip


def of_kubelogin(version: str, revision: str, program: Path) -> Package:
    """kubelogin, which kubectl finds as `kubectl oidc-login`."""
    return Package("kubelogin", f"{version}-{revision}", {"usr/bin/kubectl-oidc_login": program})


def repository() -> Path:
    """The folder of the repository."""
    path = cache.folder() / "packages"
    path.mkdir(exist_ok=True)
    return path


def publish() -> None:
    """Write the index of all packages there are, and sign it: `deb [signed-by=KEY] URL ./` reads it."""
    entries = []
    for deb in sorted(repository().glob("*.deb")):
        control = run(["dpkg-deb", "--field", str(deb)]).stdout.strip()
        with deb.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        entries.append(f"{control}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    index = "\n".join(entries)
    now = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    release = (
        f"Origin: Photon Platform lab\nSuite: lab\nDate: {now}\nArchitectures: {architecture()}\nSHA256:\n"
        f" {hashlib.sha256(index.encode()).hexdigest()} {len(index.encode())} Packages\n"
    )
    _replace("Packages", index)
    _replace("Release", release)
    _replace("InRelease", _signed(release))


def architecture() -> str:
    """This machine's architecture as Debian calls it."""
    return run(["dpkg", "--print-architecture"]).stdout.strip()


def _replace(name: str, text: str) -> None:
    part = repository() / f".{name}.part"
    part.write_text(text)
    part.rename(repository() / name)


def _signed(text: str) -> str:
    """The text with a signature by the cache's own key, which is made the first time."""
    home = cache.folder() / "gnupg"
    # gpg's agent wants a short path for its socket: the key lives in the cache, the work is done in a short folder.
    with locked("kubernetes-key"), tempfile.TemporaryDirectory(prefix="lab-") as short:
        gpg = ["gpg", "--homedir", short, "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"]
        try:
            if (home / "secret.asc").exists():
                run([*gpg, "--import", str(home / "secret.asc")])
            else:
                run([*gpg, "--passphrase", "", "--quick-generate-key", _KEY_USER, "rsa3072", "sign", "never"])
                home.mkdir(mode=0o700, exist_ok=True)
                secret = run([*gpg, "--passphrase", "", "--armor", "--export-secret-keys"]).stdout
                (home / "secret.asc").touch(mode=0o600)
                (home / "secret.asc").write_text(secret)
            _replace("key.asc", run([*gpg, "--armor", "--export"]).stdout)
            return run([*gpg, "--passphrase", "", "--clearsign", "--output", "-"], input=text).stdout
        finally:
            if shutil.which("gpgconf"):
                run(["gpgconf", "--homedir", short, "--kill", "all"], check=False)
