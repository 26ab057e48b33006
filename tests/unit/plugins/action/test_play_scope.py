# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action play_scope: which runs would do nothing."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.action import play_scope
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

GROUPS = {"all": ["lb1", "lb2", "w1"], "balancers": ["lb1", "lb2"], "empty": []}
TAGS = ["packages", "config"]


@pytest.mark.parametrize(
    ("wanted", "playing", "expected"),
    [
        (["balancers"], ["lb1", "lb2", "w1"], ["lb1", "lb2"]),
        (["balancers"], ["w1", "lb2"], ["lb2"]),
        (["balancers", "empty", "none"], ["lb1"], ["lb1"]),
        (["w1"], ["w1"], ["w1"]),
    ],
)
def test_hosts_that_take_part(wanted, playing, expected):
    assert play_scope.scope(wanted, GROUPS, playing, "") == expected


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["balancers"], "--limit w1 leaves no host of balancers (lb1, lb2). Limit to one of them."),
        (["empty", "none"], "the inventory has no hosts in empty and none. Add them, or name other hosts."),
    ],
)
def test_no_host_is_a_failure(wanted, said):
    with pytest.raises(PhotonError) as caught:
        play_scope.scope(wanted, GROUPS, ["w1"], "w1")
    assert (caught.value.code, caught.value.message) == ("HostNotFound", said)


@pytest.mark.parametrize(
    ("known", "chosen", "skipped"),
    [
        (TAGS, ["all"], []),
        (TAGS, ["config"], []),
        (TAGS, ["always", "config"], ["packages"]),
        ([], ["all"], ["anything"]),
    ],
)
def test_tags_with_something_to_do(known, chosen, skipped):
    play_scope.check_tags(known, chosen, skipped)


@pytest.mark.parametrize(
    ("known", "chosen", "skipped", "said"),
    [
        (TAGS, ["config", "x"], [], "--tags x selects nothing. This playbook has packages, config."),
        ([], ["x"], [], "--tags x selects nothing. This playbook has no tags."),
        (TAGS, ["all"], ["config", "packages"], "--skip-tags config,packages leaves nothing to do."),
        ([], ["all"], ["all"], "--skip-tags all leaves nothing to do. This playbook has no tags."),
        (TAGS, ["config"], ["config"], "--tags config without --skip-tags config selects nothing."),
    ],
)
def test_tags_with_nothing_to_do_are_a_failure(known, chosen, skipped, said):
    with pytest.raises(PhotonError) as caught:
        play_scope.check_tags(known, chosen, skipped)
    assert caught.value.code == "InvalidOperation"
    assert caught.value.message.startswith(said)
