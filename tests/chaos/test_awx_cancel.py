# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job in an execution environment's layout is cancelled: its lease ends, nothing stays behind, the next run finishes.

Ten moments with PHOTON_CHAOS=all (``make chaos``), else one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables

from lab import Lab
from tests.chaos.scene import ROOT, Scene, small, tree

ansible_runner = pytest.importorskip("ansible_runner", reason="scripts/venv awx installs it")
MOMENTS = range(10) if os.environ.get("PHOTON_CHAOS") == "all" else (4,)
WAYS = ("AWX", "SIGTERM", "SIGINT", "SIGKILL")
VMS = 6


class Job:
    """One job of ansible-runner, as AWX starts it."""

    def __init__(self, scene: Scene, declared: dict[str, Any]) -> None:
        self.folder = scene.directory / "runner"
        for name in ("project", "inventory"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "project" / "site.yml").write_text("- import_playbook: photon.platform.site\n")
        variables = {**scene._tree(declared), "photon_cloudstore_allow_ephemeral": True}
        variables |= {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"all": {"hosts": {"localhost": variables}}}
        (self.folder / "inventory" / "hosts.json").write_text(json.dumps(hosts))
        environment = {"PHOTON_CLOUDSTORE": scene.url, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
        environment["PATH"] = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        for name, login in scene.credentials.items():
            for key, value in login.items():
                environment[f"PHOTON_CREDENTIAL_{name.upper()}_{key.upper()}"] = value
        self.cancelled = False
        self.thread, self.runner = ansible_runner.run_async(
            private_data_dir=str(self.folder),
            playbook="site.yml",
            envvars=environment,
            extravars={"base_directory": str(scene.directory)},
            cancel_callback=lambda: self.cancelled,
            settings={"pexpect_timeout": 0.1},
            quiet=True,
        )

    def process(self) -> int | None:
        """ansible-playbook itself, which leads its group."""
        for number in self.processes():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
                if any(word.endswith(b"ansible-playbook") for word in words) and os.getpgid(number) == number:
                    return number
        return None

    def processes(self) -> list[int]:
        """Every process with this job's environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in (entry / "environ").read_bytes():
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [int(entry.name)] if state != "Z" else []
        return found

    def cancel(self, way: str) -> None:
        if way == "AWX":  # the runner kills the group
            self.cancelled = True
            return
        number = self.process()
        if number is None:
            return
        if way == "SIGKILL":
            os.kill(number, signal.SIGKILL)
        else:
            os.killpg(number, getattr(signal, way))


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def calls(lab: Lab) -> int:
    return sum(sum(methods.values()) for methods in lab.control.calls().values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> int:
    """How many calls a run makes."""
    with Lab.start(small()) as lab:
        scene = Scene(lab, tmp_path_factory.mktemp("whole"))
        lab.control.calls(reset=True)
        assert scene.run(tree(VMS))["failures"] == []
        return calls(lab)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_job(tmp_path: Path, whole: int, moment: int) -> None:
    way = WAYS[moment % len(WAYS)]
    with Lab.start(small()) as lab:
        scene = Scene(lab, tmp_path)
        lab.control.delay(task={"CreateVm": 300, "PowerOnVM": 300})
        lab.control.calls(reset=True)
        job = Job(scene, tree(VMS))
        until(lambda: (job.process() is not None and calls(lab) >= moment * whole // 10) or not job.thread.is_alive())
        assert job.thread.is_alive(), job.runner.stdout.read()
        job.cancel(way)
        job.thread.join(60)
        assert job.runner.status in ("canceled", "failed"), way
        until(lambda: not job.processes(), 60)
        assert open_leases(scene) == [], f"{way}: the run ended its lease itself"
        lab.control.delay(task={"CreateVm": 0, "PowerOnVM": 0})
        assert scene.run(tree(VMS))["failures"] == []
        idle = scene.run(tree(VMS))
        assert not idle["changed"], idle["changes"]
        assert scene.disagreements() == []


def open_leases(scene: Scene) -> list[str]:
    """The runs that never ended, expired or not."""
    if not (scene.directory / "cloudstore.db").exists():
        return []
    runs = tables().runs
    with open_store(scene.url, allow_ephemeral=True) as store:
        if not store.exists:
            return []
        query = runs.select().where(runs.c.ended_at.is_(None))
        return store.database.read(lambda connection: [row.holder for row in connection.execute(query)])
