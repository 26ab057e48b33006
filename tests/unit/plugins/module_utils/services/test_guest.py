# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest data of a VM: what is written, and what counts as changed."""

from __future__ import annotations

import base64
import gzip

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services import guest

DATA = {"metadata": {"user_data": "#cloud-config\n", "environment": {"tier": "web"}}}
WANTED = guest.keys(DATA, "web-1", "id-1")


def encoded(text: str, level: int) -> dict[str, str]:
    value = base64.b64encode(gzip.compress(text.encode(), level)).decode()
    return {"guestinfo.userdata": value, "guestinfo.userdata.encoding": "gzip+base64"}


def test_what_is_there_already_is_not_written() -> None:
    assert guest.changed_keys(WANTED, {**WANTED, "guestinfo.ip": "10.0.0.1"}) == {}


def test_the_same_text_compressed_otherwise_is_not_written() -> None:
    text = "a" * 5000 + "b" * 5000
    one, other = encoded(text, 0), encoded(text, 9)
    assert one != other
    assert guest.changed_keys(one, other) == {}
    assert guest.changed_keys(one, encoded(text + "c", 9)) == one


@pytest.mark.parametrize("there", ["", "no base64", base64.b64encode(b"no gzip").decode()])
def test_a_value_that_cannot_be_read_is_replaced(there: str) -> None:
    wanted = encoded("text", 9)
    assert guest.changed_keys(wanted, {**wanted, "guestinfo.userdata": there}) == wanted


def test_a_key_that_is_not_declared_any_more_is_removed() -> None:
    old = "guestinfo.environment.old"
    assert guest.changed_keys(WANTED, {**WANTED, old: "1", "guestinfo.other": "stays"}) == {old: ""}
    assert guest.changed_keys(WANTED, {**WANTED, old: ""}) == {}
