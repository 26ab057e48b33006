# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

from tests.support import diskimages
from tests.support.datacenter import Datacenter
from tests.support.tenancy import Platform


@pytest.fixture
def platform(tmp_path) -> Iterator[Platform]:
    with open_store(f"sqlite:///{tmp_path}/cloud.db", mode="write", allow_ephemeral=True, by="tests") as store:
        yield Platform(store)


@pytest.fixture
def datacenter(tmp_path) -> Iterator[Datacenter]:
    """A vCenter with two hosts, one shared and one local datastore, and an image file beside."""
    with open_store(f"sqlite:///{tmp_path}/cloud.db", mode="write", allow_ephemeral=True, by="tests") as store:
        place = Datacenter(store, tmp_path)
        place.endpoint("vc1")
        place.datastore("vc1", "shared")
        place.datastore("vc1", "local", "LOCAL_VMFS", 100 << 30)
        place.host("vc1", "esx01", ["shared", "local"])
        place.host("vc1", "esx02", ["shared"])
        diskimages.ova(tmp_path / "debian.ova")
        yield place
