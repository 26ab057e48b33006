# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static pods: restarted through their manifests, and waited for by the processes that they are."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from ...model.errors import PhotonError
from .api import ADMIN, Api
from .commands import processes
from .observe import MANIFESTS, STATIC_PODS

_AWAY = "/etc/kubernetes/tmp/photon-restart"
_NOTICE_SECONDS, _GONE_SECONDS, _BACK_SECONDS = 40, 90, 180


def restart(name: str, wait: bool = True) -> None:
    """Let kubelet make a static pod anew and wait for it: its manifest goes away and comes back.

    Without ``wait`` its process is ended, for kubelet to start again, and nothing is waited for.
    """
    before = processes(name)
    if not wait:
        _end(before)
        return
    path, away = f"{MANIFESTS}/{name}.yaml", f"{_AWAY}-{name}.yaml"
    if os.path.exists(path):
        os.makedirs(os.path.dirname(away), mode=0o700, exist_ok=True)
        os.replace(path, away)
        try:
            _wait(lambda: not processes(name) & before, _GONE_SECONDS)
        finally:
            os.replace(away, path)
    elif os.path.exists(away):  # a run that was killed in between
        os.replace(away, path)
    _end(processes(name) & before)
    if not _wait(lambda: bool(processes(name) - before), _BACK_SECONDS):
        raise PhotonError(
            "MemberChangeFailed", f"{name} did not start again within {_BACK_SECONDS} s: see /var/log/pods on this host"
        )
    if name in ("etcd", "kube-apiserver"):
        answers(f"after {name} was restarted")


def in_order(names: Iterable[str]) -> list[str]:
    """Static pods in the order in which they need each other."""
    return sorted(names, key=STATIC_PODS.index)


def restarted(names: Iterable[str], before: Mapping[str, set[str]]) -> None:
    """Wait until changed static pods run anew and this member's API server answers; ``before``: their processes then.

    A change that means nothing to the pod lets it run on: that is not waited for for long.
    """
    deadline = time.monotonic() + _NOTICE_SECONDS
    for name in names:
        while time.monotonic() < deadline and not processes(name) - before[name]:
            time.sleep(0.5)
    if os.path.exists(ADMIN):
        answers("after its files were mended")


def answers(when: str) -> None:
    """Wait for this member's API server; MemberChangeFailed when it does not come back."""
    if not Api.of_member(timeout=5).ready(wait=_BACK_SECONDS):
        raise PhotonError(
            "MemberChangeFailed",
            f"this member's API server did not come back {when}, within {_BACK_SECONDS} s: see /var/log/pods on it",
        )


def _end(running: Iterable[str]) -> None:
    """Processes, for kubelet to start them again: one that has not reached the API so far takes no pod away."""
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGTERM)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.5)
    return True
