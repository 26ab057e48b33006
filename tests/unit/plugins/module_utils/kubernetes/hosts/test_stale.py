# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that changed after the process that reads them started, with real processes and files."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import commands, observe, static_pods

POD = f"pod-{os.getpid()}"[:15]  # no other process of this machine has the name


@pytest.fixture(name="certificate")
def fixture_certificate(tmp_path, monkeypatch):
    """Return a certificate that the pod reads."""
    path = tmp_path / "server.crt"
    path.write_text("first", encoding="utf-8")
    monkeypatch.setattr(observe, "STATIC_PODS", (POD,))
    monkeypatch.setattr(observe, "SETTINGS", str(tmp_path / "none"))
    monkeypatch.setattr(observe, "_READS", {POD: (str(path), str(tmp_path / "gone.crt")), "kube-apiserver": ()})
    return path


@pytest.fixture(name="pod")
def fixture_pod(certificate, tmp_path):
    """Run a process that has read the current certificate."""
    os.utime(certificate, (time.time() - 60,) * 2)
    program = tmp_path / POD
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "300"]) as process:
        while not commands.processes(POD):
            time.sleep(0.01)
        yield process
        process.kill()


def test_file_older_than_the_process_is_not_stale(pod, certificate):
    assert certificate.exists()
    assert pod.poll() is None
    assert observe.stale() == []


def test_file_changed_later_is_stale(pod, certificate):
    assert pod.poll() is None
    os.utime(certificate, (time.time() + 60,) * 2)
    assert observe.stale() == [{"pod": POD, "path": str(certificate)}]


def test_file_without_a_process_is_not_stale(certificate):
    os.utime(certificate, (time.time() + 60,) * 2)
    assert observe.stale() == []


def test_pod_that_cannot_be_removed_is_killed(pod):
    static_pods.restart(POD, wait=False)
    assert pod.wait(timeout=30) < 0
