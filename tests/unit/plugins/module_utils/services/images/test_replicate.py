# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An endpoint that does not read the shared file leaves it, so that the uploads to others go on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.images import replicate
from ansible_collections.photon.platform.plugins.module_utils.services.images.replicate import Replication


@pytest.mark.parametrize("found", [True, False])
def test_a_template_that_is_there_already_or_cannot_be_made_leaves_the_stream(monkeypatch, found: bool) -> None:
    left: list[str] = []
    stream = SimpleNamespace(reader=lambda name: object(), leave=left.append)
    work: Any = object.__new__(Replication)
    work.applying = SimpleNamespace(state=SimpleNamespace(must=lambda identity: identity))
    work._host = lambda *_arguments: SimpleNamespace(datacenter="dc")
    work._spec = lambda *_arguments: object()
    work._failed = work._done = lambda *_arguments: None

    def import_image(*_arguments: Any) -> Any:
        if not found:
            raise PhotonError("InvalidHostState", "no host")
        return SimpleNamespace()

    monkeypatch.setattr(replicate.vsphere, "import_image", import_image)
    action = SimpleNamespace(copy=SimpleNamespace(datastore="ds"))
    sources = work._upload(action, SimpleNamespace(id="vc2"), object(), stream)
    assert bool(sources) == found
    assert left == ["vc2"]
