# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on the small data centre (a vCenter and an ESXi host), run here or in a process that is killed or paused."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Snapshot, open_store
from ansible_collections.photon.platform.plugins.module_utils.services import upkeep
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_site

from lab import Lab
from tests.chaos import audit
from tests.support import diskimages

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 8  # longer than an upload takes on a busy machine
SITE = r"""
photon_site: chaos
photon_zones: [{name: a}, {name: b}]
photon_hosts:
  - {name: "esx[01:03].lab", endpoint: vc1, zone: a}
  - {name: esx09.lab, endpoint: esx9, zone: b}
photon_image_datastores: [shared1, local-esx01, datastore1]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_tenants:
  - name: acme
    quota: {vm.count: 100, vm.cpu: 400, vm.memory: 400 GB, ephemeral-disk.capacity: 4000 GB}
    projects:
      - name: web
        quota_percent: 50
        vms:
          - {name: "web-[01:20]", flavor: core-100, image: debian, boot_disk_flavor: core-100, spread_over: zone,
             state: started}
"""


def tree(vms: int = 20, **vm: Any) -> dict[str, Any]:
    """The declaration with this many VMs, ``vm`` laid over their item; none at all with 0."""
    declared = copy.deepcopy(yaml.safe_load(SITE))
    project = declared["photon_tenants"][0]["projects"][0]
    project["vms"][0].update({"name": f"web-[01:{vms:02}]"}, **vm)
    if not vms:
        project["vms"] = []
    return declared


def small(drs: bool = False) -> dict[str, Any]:
    """The topology "small", whose import leases end soon after their importer died; with DRS on where asked."""
    topology = yaml.safe_load((ROOT / "lab" / "topologies" / "small.yml").read_text())
    for endpoint in topology["endpoints"]:
        endpoint["lease_seconds"] = LEASE_SECONDS
        for cluster in endpoint.get("clusters", []):
            cluster["drs"] = drs
    return topology


class Scene:
    """One lab, one CloudStore, one folder; ``lease_seconds`` of every run unless told otherwise."""

    def __init__(self, lab: Lab, directory: Path, url: str = "") -> None:
        self.lab, self.directory = lab, directory
        directory.mkdir(parents=True, exist_ok=True)
        self.url = url or f"sqlite:///{directory}/cloudstore.db"
        if not (directory / "debian.ova").exists():
            diskimages.ova(directory / "debian.ova")
        self.endpoints = [
            {
                "name": endpoint.name,
                "kind": endpoint.kind,
                "address": endpoint.address,
                "port": endpoint.port,
                "credential": endpoint.name,
                "tls": {"ca_file": str(endpoint.ca_file)},
            }
            for endpoint in lab.endpoints.values()
        ]
        self.credentials = {
            name: {"username": endpoint.username, "password": endpoint.password}
            for name, endpoint in lab.endpoints.items()
        }

    def run(self, declared: dict[str, Any], lease_seconds: float = 30.0, **more: Any) -> dict[str, Any]:
        """One whole run in this process; its outcome (see services/report.py)."""
        options = Options(**self._options(lease_seconds))
        return run_site(self._tree(declared), Request(**{**self._request(), **more}, options=options))

    def start(
        self,
        declared: dict[str, Any],
        kill_at: int = 0,
        pause_at: tuple[str, int] | None = None,
        lease_seconds: float = 30.0,
        rebuild: bool = False,
    ) -> Child:
        """One whole run, or a rebuild, in a process of its own."""
        answer = self.directory / "answer.json"
        answer.unlink(missing_ok=True)
        job = {
            "tree": self._tree(declared),
            "request": {**self._request(), "options": self._options(lease_seconds)},
            "kill_at": kill_at,
            "pause_at": pause_at,
            "rebuild": rebuild,
            "answer": str(answer),
        }
        (self.directory / "job.json").write_text(json.dumps(job))
        return Child(self.directory / "job.json", answer)

    def snapshot(self) -> Snapshot:
        with open_store(self.url, allow_ephemeral=True) as store:
            return store.snapshot()

    def disagreements(self) -> list[str]:
        """What the product's verify and audit.py find. An import lease that lost its importer ends by itself."""
        until = time.monotonic() + 10 * LEASE_SECONDS
        while audit.open_leases(state := self.lab.control.state()) and time.monotonic() < until:
            time.sleep(0.2)
        answer = self.verify(check=True)
        found = [f"verify: {finding}" for finding in answer["findings"]] + answer["warnings"]
        return found + audit.disagreements(self.snapshot(), state)

    def verify(self, *, check: bool = False, **more: Any) -> dict[str, Any]:
        """The result of the product's verify, with every finding."""
        options = Options(base_directory=str(self.directory))
        return upkeep.verify(Request(**{**self._request(), **more}, options=options, check=check, result="full"))

    def sessions(self) -> int:
        """Sessions that are open on all endpoints."""
        return sum(state["sessions"] for state in self.lab.control.state().values())

    def _tree(self, declared: dict[str, Any]) -> dict[str, Any]:
        return {"photon_endpoints": self.endpoints, **declared}

    def _request(self) -> dict[str, Any]:
        return {"cloudstore_url": self.url, "allow_ephemeral": True, "credentials": self.credentials, "whole": True}

    def _options(self, lease_seconds: float) -> dict[str, Any]:
        return {"base_directory": str(self.directory), "lease_seconds": lease_seconds}


class Child:
    """A run in a process of its own."""

    def __init__(self, job: Path, answer: Path) -> None:
        self._answer = answer
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.child", str(job)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}{os.pathsep}{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def paused(self) -> bool:
        """Wait until it has stopped itself; False when it ended instead."""
        _pid, status = os.waitpid(self.process.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return True
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return False

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> dict[str, Any]:
        """Wait for it: its answer, ``{}`` where it was killed, with ``said``, what it wrote."""
        said, _nothing = self.process.communicate(timeout=300)
        if self.process.returncode == -signal.SIGKILL:
            return {"said": said.strip()}
        if self.process.returncode or not self._answer.exists():
            raise AssertionError(f"the controller ended with {self.process.returncode}:\n{said}")
        return {**json.loads(self._answer.read_text()), "said": said}

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
