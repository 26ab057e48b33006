# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member's later life: the next version, and certificates that would end."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import Any

from ...model.errors import PhotonError
from . import observe
from .api import Api
from .commands import must
from .member import kubeadm, secret_file
from .observe import FOLDER, KUBELET, STATIC_PODS
from .static_pods import in_order, restart


def upgrade(configuration: str, settings: str, version: str, first: bool, timeout: float) -> list[str]:
    """kubeadm upgrade apply (``first``) or node, with the UpgradeConfiguration; packages are another's business.

    ``settings``: the text for kubeadm init. What it says of kubelets is in the cluster before the first member is
    upgraded, as a kubelet of the new version may not start without it; "" leaves what is there. What this
    member has already is not done again: kubeadm finds that itself, and goes on where it was killed.
    """
    installed = observe.program_version("kubeadm")
    if installed != version:
        raise PhotonError(
            "InvalidHostState", f"kubeadm {installed} is installed, {version} is needed before a member can be upgraded"
        )
    if first and settings:
        with secret_file("settings.yaml", settings) as path:
            must("kubeadm", "init", "phase", "upload-config", "kubelet", "--config", path)
    with secret_file("upgrade.yaml", configuration) as path:
        words = ["kubeadm", "upgrade", *(("apply", "--yes") if first else ("node",)), "--config", path]
        kubeadm(words, timeout)
    return ["control plane upgraded" if first else "member upgraded"]


def renew(days: int, configuration: str, check: bool) -> list[str]:
    """Renew this control-plane member's certificates when one has fewer than ``days`` left, and restart what uses them.

    What a run that was killed renewed, and nothing that runs has read, is read now.
    kubelet renews its own as long as it may ask; where its client certificate has ended it gets a new one by
    ``configuration``, the text for kubeadm init. Static pods restart one after the other, the API server is waited for.
    """
    there = observe.certificates()
    ending = [one for one in there if one["days_left"] < days and _is_kubeadms(one)]
    ended = [one for one in there if one["days_left"] < 0 and _is_kubelets(one)]
    # Where they have ended already, the members do not talk to each other before all have new ones.
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
    """A certificate signed here, for one that the API server no longer takes; kubelet asks for the other itself."""
    if any(not one["path"].startswith(f"{KUBELET}/pki/kubelet-server") for one in ended):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{FOLDER}/kubelet.conf")  # it holds nothing but what has ended
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
    """Is it one that kubeadm renews? Authorities live on, kubelet sees to its own."""
    path = certificate["path"]
    return not path.startswith(KUBELET) and not path.endswith(("/ca.crt", "-ca.crt", "/kubelet.conf"))
