# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Escaped and plain names, and folder paths that are compared as strings."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import folder_path, names

PAIRS = [("plain", "plain"), ("100%25", "100%"), ("a%2fb", "a/b"), ("a%5cb", "a\\b"), ("%252f", "%2f"), ("", "")]


@pytest.mark.parametrize(("escaped", "plain"), PAIRS)
def test_names_go_both_ways(escaped, plain):
    assert names.unescape(escaped) == plain
    assert names.escape(plain) == escaped


def test_escapes_are_read_in_either_case_and_others_stay():
    assert names.unescape("A%2FB%5C 50% %20") == "A/B\\ 50% %20"


def test_a_path_is_canonical_whatever_form_its_parts_have():
    path = folder_path("Kunden & Träger 100%", "a%2Fb/web")
    assert path == "Kunden & Träger 100%25/a%2fb/web"
    assert folder_path(path) == path
    assert folder_path("", path, "") == path
    assert names.folder_names(path) == ["Kunden & Träger 100%", "a/b", "web"]
    assert folder_path() == ""
