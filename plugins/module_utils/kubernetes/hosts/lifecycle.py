# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade a member and renew its certificates."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import Any

from ...model.errors import PhotonError
from . import observe
from .api import Api
from .commands import must
from .member import close_kubelet, kubeadm, secret_file
from .observe import FOLDER, KUBELET, STATIC_PODS
from .static_pods import in_order, restart


def upgrade(configuration: str, settings: str, version: str, first: bool, timeout: float) -> list[str]:
    """Run kubeadm upgrade apply (``first``) or node with an UpgradeConfiguration; packages are upgraded elsewhere.

    ``settings``: the text for kubeadm init. Its kubelet settings are written to the cluster before the first member is
    upgraded, as a kubelet of the new version may not start without them; "" keeps the current ones. kubeadm detects
    completed steps and resumes an interrupted upgrade.
    """
    installed = observe.program_version("kubeadm")
    if installed != version:
        raise PhotonError(
            "InvalidHostState", f"kubeadm {installed} is installed. Install kubeadm {version} before the upgrade."
        )
    if first and settings:
        with secret_file("settings.yaml", settings) as path:
            must("kubeadm", "init", "phase", "upload-config", "kubelet", "--config", path)
    with secret_file("upgrade.yaml", configuration) as path:
        words = ["kubeadm", "upgrade", *(("apply", "--yes") if first else ("node",)), "--config", path]
        kubeadm(words, timeout)
    close_kubelet()
    return ["control plane upgraded" if first else "member upgraded"]


def renew(days: int, configuration: str, check: bool) -> list[str]:
    """Renew this control-plane member's certificates when one has fewer than ``days`` left, and restart its users.

    Certificates that an interrupted run renewed without a restart are loaded now. kubelet renews its own certificate
    unless that has expired; then a new one is created with ``configuration``, the text for kubeadm init. Static pods
    restart one by one, and the API server is waited for.
    """
    there = observe.certificates()
    ending = [one for one in there if one["days_left"] < days and _is_kubeadms(one)]
    ended = [one for one in there if one["days_left"] < 0 and _is_kubelets(one)]
    # With expired certificates, members cannot reach each other until all are renewed.
    unread = observe.stale()
    dead = any(one["days_left"] < 0 for one in ending) or (bool(unread) and not _answers())
    done = [f"{one['path']} renewed" for one in [*ending, *ended]]
    done += [f"{one['pod']} restarted: {one['path']} is newer" for one in unread]
    if check or not done:
        return done
    if ending:
        must("kubeadm", "certs", "renew", "all", timeout=300)
    if ended:
        _renew_kubelet(ended, configuration)
    for name in STATIC_PODS if ending else in_order({one["pod"] for one in unread}):
        restart(name, wait=not dead)
    return done


def _answers() -> bool:
    try:
        return Api.of_member(timeout=5).ready()
    except PhotonError:
        return False


def _renew_kubelet(ended: list[dict[str, Any]], configuration: str) -> None:
    """Sign a client certificate that replaces an expired one; kubelet requests its serving certificate itself."""
    if any(not one["path"].startswith(f"{KUBELET}/pki/kubelet-server") for one in ended):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{FOLDER}/kubelet.conf")  # contains only the expired certificate
        with secret_file("renew.yaml", configuration) as path:
            must("kubeadm", "init", "phase", "kubeconfig", "kubelet", "--config", path)
        for path in glob.glob(f"{KUBELET}/pki/kubelet-client*"):
            os.unlink(path)
    for path in glob.glob(f"{KUBELET}/pki/kubelet-server*"):
        os.unlink(path)
    must("systemctl", "restart", "kubelet")


def _is_kubelets(certificate: dict[str, Any]) -> bool:
    return certificate["path"].startswith(f"{KUBELET}/pki/") or certificate["path"].endswith("/kubelet.conf")


def _is_kubeadms(certificate: dict[str, Any]) -> bool:
    """Return whether kubeadm renews the certificate; authorities are kept, kubelet renews its own."""
    path = certificate["path"]
    return not path.startswith(KUBELET) and not path.endswith(("/ca.crt", "-ca.crt", "/kubelet.conf"))
