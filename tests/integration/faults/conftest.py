# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One site on a small data centre per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from tests.chaos.scene import small
from tests.support.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Lab.start(small()) as lab:
        made = Site(lab, tmp_path)
        yield made
        made.close()


@pytest.fixture
def drs_site(tmp_path: Path) -> Iterator[Site]:
    """As ``site``, with DRS on in the cluster."""
    with Lab.start(small(drs=True)) as lab:
        made = Site(lab, tmp_path)
        yield made
        made.close()


@pytest.fixture
def two_vcenters(tmp_path: Path) -> Iterator[Site]:
    """The same with a second vCenter of one host, which the declaration must name (``SECOND``)."""
    topology = small()
    topology["endpoints"][1] = {
        "name": "vc2",
        "kind": "vcenter",
        "datacenter": "dc2",
        "clusters": [{"name": "cluster2", "hosts": [{"name": "esx21.lab", "cores": 16, "memory": "64 GB"}]}],
        "datastores": [{"name": "shared2", "capacity": "1 TB"}],
        "port_groups": [{"name": "VM Network"}],
    }
    with Lab.start(topology) as lab:
        made = Site(lab, tmp_path)
        yield made
        made.close()
