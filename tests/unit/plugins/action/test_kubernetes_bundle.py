# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a bundle are sent in batches, so that a host temporarily stores only one of them."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.action.kubernetes_bundle import _BATCH, _absolute, _batches


def test_batches_keep_the_order_and_the_limit():
    sizes = {"a": _BATCH // 2, "b": _BATCH // 2, "c": 1, "large": 2 * _BATCH, "d": 1, "e": 1}
    assert _batches(sizes) == [["a", "b"], ["c"], ["large"], ["d", "e"]]
    assert _batches({}) == []


def test_paths_are_relative_to_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert _absolute(["a", "/b", "~/c"]) == [f"{tmp_path}/a", "/b", "/home/somebody/c"]
    assert _absolute("a,/b") == [f"{tmp_path}/a", "/b"]
