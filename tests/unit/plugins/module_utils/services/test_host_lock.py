# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is changed by one run at a time, and looked at while nobody changes it."""

from __future__ import annotations

import os

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import host_lock


@pytest.fixture(name="lock")
def fixture_lock(tmp_path):
    path = str(tmp_path / "lock")
    return lambda change: host_lock.held(change, path, 0)


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_a_change_is_alone(lock, first, second):
    with (
        lock(first),
        pytest.raises(PhotonError, match="wait for its end") as caught,
        lock(second),
    ):
        pytest.fail("both at once")
    assert caught.value.code == "HostBusy"
    with lock(second):
        pass


def test_many_may_look(lock):
    with lock(False), lock(False):
        pass


def test_a_run_that_ends_in_an_error_lets_go(lock):
    with pytest.raises(ValueError, match="broken"), lock(True):
        raise ValueError("broken")
    with lock(True):
        pass


def test_who_may_change_nothing_looks_without(tmp_path):
    tmp_path.chmod(0o500)
    child = os.fork()
    if child == 0:  # as nobody, where the tests run as root, who may write everywhere
        code = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            with host_lock.held(False, str(tmp_path / "lock"), 0):
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(tmp_path.iterdir()) == []
