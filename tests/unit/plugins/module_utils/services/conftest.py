# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

from tests.support.tenancy import Platform


@pytest.fixture
def platform(tmp_path) -> Iterator[Platform]:
    with open_store(f"sqlite:///{tmp_path}/cloud.db", mode="write", allow_ephemeral=True, by="tests") as store:
        yield Platform(store)
