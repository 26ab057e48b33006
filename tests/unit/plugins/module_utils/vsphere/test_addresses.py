# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a guest's addresses becomes the VM's."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import addresses


@pytest.mark.parametrize(
    ("adapters", "primary", "chosen"),
    [
        (
            [(4001, ["10.0.1.5"]), (4000, ["10.0.0.5"])],
            "10.0.1.5",
            "10.0.0.5",
        ),  # the first adapter, not the first reported
        ([(4000, ["fe80::1", "2001:db8::5", "10.0.0.5"])], "", "10.0.0.5"),
        ([(4000, ["fe80::1", "2001:db8::5"])], "", "2001:db8::5"),
        ([(4000, ["169.254.3.4"]), (4001, ["10.0.1.5"])], "169.254.3.4", "10.0.1.5"),
        ([(4000, ["172.18.0.1"]), (4001, ["10.0.1.5"])], "", "10.0.1.5"),
        ([(4000, ["172.20.0.9", "2001:db8::5"])], "", "172.20.0.9"),  # a network like any other when it is the only one
        ([(4000, ["172.32.0.9"]), (4001, ["10.0.1.5"])], "", "172.32.0.9"),
        ([(-1, ["10.244.0.1"]), (4000, ["10.0.0.5"])], "10.244.0.1", "10.0.0.5"),
        ([(-1, ["172.17.0.1"])], "172.17.0.1", None),
        ([], "10.0.0.5", "10.0.0.5"),
        ([(4000, [])], "2001:db8::5", "2001:db8::5"),
        ([], "127.0.0.1", None),
        ([], "::1", None),
        ([], "fe80::1", None),
        ([], "0.0.0.0", None),
        ([], "", None),
        ([(4000, ["no address", "224.0.0.1", "10.0.0.5"])], "", "10.0.0.5"),
    ],
)
def test_choice(adapters, primary, chosen):
    assert addresses.choose_address(adapters, primary) == chosen
