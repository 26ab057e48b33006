# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real clusters, one at a time: `make test-kubernetes-full`. Figures go into .build/kubernetes-full.json."""

from __future__ import annotations

import faulthandler
import json
import os
import pathlib

import pytest

from lab.kubernetes import build, versions
from tests.support.kubernetes_lab import Cluster

NEW, OLD = versions.NEWER, versions.OLDER
ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ROOT / ".build" / "kubernetes-full.json"
ONLY = os.environ.get("PHOTON_KUBERNETES_VERSIONS", "").split()  # versions that suffice for the chosen files
_PATIENCE = 90 * 60  # seconds for one test


@pytest.fixture(scope="session", autouse=True)
def _able():
    if os.geteuid() != 0:
        pytest.skip("hosts of the driver nspawn need root")
    missing = [name for version in ONLY or (OLD, NEW) for name in build.missing(version)]
    if missing:
        pytest.skip(f"make kubernetes-cache builds {', '.join(missing)} first")


@pytest.fixture(autouse=True)
def _patient():
    """These take longer than what ends any other test that hangs."""
    faulthandler.dump_traceback_later(_PATIENCE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(name="figures", scope="session")
def fixture_figures():
    """figures(name=value ...) are added to the file of this checkout's last run."""

    def note(**values):
        known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(known | values, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    return note


@pytest.fixture(name="make", scope="module")
def fixture_make(tmp_path_factory):
    """make(control_plane, workers, **declared): a cluster that is READY, destroyed when the module is over."""
    made = []

    def make(control_plane=1, workers=1, create=True, **declared):
        folder = tmp_path_factory.mktemp("cluster")
        cluster = Cluster(f"full-{os.getpid()}-{len(made)}", folder, control_plane, workers, **declared)
        made.append(cluster)
        cluster.__enter__()
        if create:
            if cluster.groups["prod_balancers"]:
                cluster.play("load_balancer", haproxy_group="prod_balancers")
            cluster.play("cluster_create")
        return cluster

    yield make
    for cluster in made:
        cluster.__exit__(None, None, None)
