# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart static pods through their manifests and wait for their processes."""

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
    """Restart a static pod by removing and restoring its manifest, and wait for it.

    Without ``wait``, kill its process for kubelet to restart, and return at once.
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
    elif os.path.exists(away):  # left by an interrupted run
        os.replace(away, path)
    _end(processes(name) & before)
    if not _wait(lambda: bool(processes(name) - before), _BACK_SECONDS):
        raise PhotonError(
            "MemberChangeFailed", f"{name} did not restart within {_BACK_SECONDS} s. Check /var/log/pods on this host."
        )
    if name in ("etcd", "kube-apiserver"):
        answers(f"after {name} was restarted")


def in_order(names: Iterable[str]) -> list[str]:
    """Sort static pods by their dependencies."""
    return sorted(names, key=STATIC_PODS.index)


def restarted(names: Iterable[str], before: Mapping[str, set[str]]) -> None:
    """Wait until changed static pods have restarted and this member's API server answers; ``before``: old processes.

    A change that does not affect the pod does not restart it, so the wait is short.
    """
    deadline = time.monotonic() + _NOTICE_SECONDS
    for name in names:
        while time.monotonic() < deadline and not processes(name) - before[name]:
            time.sleep(0.5)
    if os.path.exists(ADMIN):
        answers("after its files were restored")


def answers(when: str) -> None:
    """Wait for this member's API server; MemberChangeFailed when it does not answer in time."""
    if not Api.of_member(timeout=5).ready(wait=_BACK_SECONDS):
        raise PhotonError(
            "MemberChangeFailed",
            f"this member's API server does not answer {when}, within {_BACK_SECONDS} s. Check /var/log/pods on it.",
        )


def _end(running: Iterable[str]) -> None:
    """Kill processes for kubelet to restart; a kubelet that has not reached the API ignores removed manifests."""
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
