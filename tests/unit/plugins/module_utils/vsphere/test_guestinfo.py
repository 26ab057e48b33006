# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest metadata: what cloud-init will read, byte for byte the same on every run."""

from __future__ import annotations

import json

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import guestinfo


def test_round_trip():
    metadata, userdata = {"local-hostname": "web-01", "instance-id": "x"}, "#cloud-config\nä: 1\n"
    keys = guestinfo.extra_config(metadata=metadata, userdata=userdata)
    assert keys["guestinfo.metadata.encoding"] == keys["guestinfo.userdata.encoding"] == "gzip+base64"
    assert json.loads(guestinfo.decode(keys["guestinfo.metadata"])) == metadata
    assert guestinfo.decode(keys["guestinfo.userdata"]) == userdata


def test_equal_input_gives_equal_bytes():
    first = guestinfo.extra_config(metadata={"a": 1, "b": 2})
    assert first == guestinfo.extra_config(metadata={"b": 2, "a": 1})


def test_nothing_to_say():
    assert guestinfo.extra_config() == {}


@pytest.mark.parametrize("encoding", ["gzip+base64", "gz+b64", "base64", "b64"])
def test_damaged_values(encoding):
    with pytest.raises(PhotonError) as caught:
        guestinfo.decode("no base64!", encoding)
    assert caught.value.code == "SpecInvalid"


def test_plain_value():
    assert guestinfo.decode("text", "") == "text"
