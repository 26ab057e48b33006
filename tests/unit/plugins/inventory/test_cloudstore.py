# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin's variables: which text is trusted, and which expressions are the same for all hosts."""

from __future__ import annotations

import pytest
from ansible.template import is_trusted_as_template
from ansible_collections.photon.platform.plugins.inventory import cloudstore


def test_only_text_that_can_hold_no_template_is_trusted():
    vm = cloudstore.trusted({"name": "web-01", "tags": ["front", "{{ lookup('pipe', 'id') }}"], "vcpus": 2})
    assert vm == {"name": "web-01", "tags": ["front", "{{ lookup('pipe', 'id') }}"], "vcpus": 2}
    assert [is_trusted_as_template(text) for text in (vm["name"], *vm["tags"])] == [True, True, False]


@pytest.mark.parametrize(
    ("expression", "value"),
    [("'debian'", "debian"), ("22", 22), ("photon_vm.address", None), ("'a' ~ photon_vm.name", None), ("debian", None)],
)
def test_expressions_that_are_the_same_for_all_hosts(expression, value):
    assert cloudstore.literal(expression) == value
