# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member's later life: the next version, and certificates that would end."""

from __future__ import annotations

from typing import Any

from ...model.errors import PhotonError
from . import observe
from .commands import must
from .member import kubeadm, secret_file
from .observe import STATIC_PODS
from .static_pods import restart


def upgrade(configuration: str, version: str, first: bool, timeout: float) -> list[str]:
    """kubeadm upgrade apply (``first``) or node, with the UpgradeConfiguration; packages are another's business.

    What this member has already is not done again: kubeadm finds that itself, and goes on where it was killed.
    """
    installed = observe.program_version("kubeadm")
    if installed != version:
        raise PhotonError(
            "InvalidHostState", f"kubeadm {installed} is installed, {version} is needed before a member can be upgraded"
        )
    with secret_file("upgrade.yaml", configuration) as path:
        words = ["kubeadm", "upgrade", *(("apply", "--yes") if first else ("node",)), "--config", path]
        kubeadm(words, timeout)
    return ["control plane upgraded" if first else "member upgraded"]


def renew(days: int, check: bool) -> list[str]:
    """Renew this control-plane member's certificates when one has fewer than ``days`` left, and restart what uses them.

    kubelet renews its own. Static pods restart one after the other, the API server is waited for.
    """
    ending = [one for one in observe.certificates() if one["days_left"] < days and _is_kubeadms(one)]
    if not ending:
        return []
    done = [f"{one['path']} renewed" for one in ending]
    if check:
        return done
    must("kubeadm", "certs", "renew", "all", timeout=300)
    for name in STATIC_PODS:
        restart(name)
    return done


def _is_kubeadms(certificate: dict[str, Any]) -> bool:
    """Is it one that kubeadm renews? Authorities live on, kubelet sees to its own."""
    path = certificate["path"]
    return not path.startswith("/var/lib/kubelet") and not path.endswith(("/ca.crt", "-ca.crt", "/kubelet.conf"))
