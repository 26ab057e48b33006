# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that changed after the process that reads them started, with real processes and files."""

from __future__ import annotations

import os
import pathlib
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


UID = "3c8fd1d0b4f4a5b0f0b6a8a7e60c5e1a"


@pytest.fixture(name="pod")
def fixture_pod(certificate, tmp_path, monkeypatch):
    """Run a process of the static pod that has read the current certificate, and another one of the same name."""
    os.utime(certificate, (time.time() - 60,) * 2)
    monkeypatch.setattr(commands, "PODS", str(tmp_path / "pods"))
    monkeypatch.setattr(commands, "PROCESSES", str(tmp_path / "proc"))
    for name in (f"kube-system_{POD}-cp1_{UID}", f"kube-system_{POD}-2_0a1b2c3d-0000-4000-8000-0123456789ab"):
        (tmp_path / "pods" / name).mkdir(parents=True)
    program = tmp_path / POD
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "300"]) as process, subprocess.Popen([program, "300"]) as other:
        for one, pod in ((process, UID), (other, "0a1b2c3d-0000-4000-8000-0123456789ab")):
            folder = tmp_path / "proc" / str(one.pid)
            folder.mkdir(parents=True)
            (folder / "comm").symlink_to(f"/proc/{one.pid}/comm")
            (folder / "cgroup").write_text(f"0::/kubelet.slice/kubelet-kubepods-burstable-pod{pod}.slice/cri-1.scope\n")
        while len({pathlib.Path(f"/proc/{one.pid}/comm").read_text() for one in (process, other)} - {f"{POD}\n"}):
            time.sleep(0.01)
        process.other = other
        yield process
        process.kill()
        other.kill()


def test_only_processes_of_the_static_pod_count(pod):
    assert commands.processes(POD) == {str(pod.pid)}


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
    assert pod.other.poll() is None, "another program of the same name runs on"
