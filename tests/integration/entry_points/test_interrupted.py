# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C on photon-apply: it ends by itself, says what is done and what is open, and leaves no process behind."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

from tests.integration.entry_points.conftest import ROOT, Site


def processes_of(folder):
    """The processes whose command line or environment names this folder."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text:
            found.append(entry.name)
    return found


def test_an_interrupted_apply_reports_and_leaves_nothing_running(lab_factory, tmp_path):
    lab = lab_factory("small")
    site = Site(lab, tmp_path)
    tenants = site.tenants()
    site.write(photon_tenants=[])
    assert site.command("photon-apply", "--yes").returncode == 0
    site.write(photon_tenants=tenants)
    lab.control.calls(reset=True)
    lab.control.delay(task={"CreateVm": 3000})
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PHOTON_"))}
    apply = subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / "photon-apply"), "--yes", *site._inventory()],
        cwd=tmp_path,
        env={**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "HOME": str(site.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 240
    while not sum(calls.get("CreateVM_Task", 0) for calls in lab.control.calls().values()):
        assert time.monotonic() < until
        assert apply.poll() is None
        time.sleep(0.1)
    apply.send_signal(signal.SIGINT)
    out, err = apply.communicate(timeout=240)
    assert apply.returncode == 1, err
    assert "waiting for what is under way" in err
    assert "Traceback" not in out + err
    assert "not begun, as the run was interrupted; run again" in out
    assert "6 created, " in out, "the tenant, the project and what was under way"
    assert processes_of(tmp_path) == []
    lab.control.delay(task={"CreateVm": 0})
    assert site.command("photon-apply", "--yes").returncode == 0
