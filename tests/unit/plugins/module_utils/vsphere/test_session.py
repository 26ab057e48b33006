# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one call is guarded, without a server: what is repeated, what is not, and how often."""

from __future__ import annotations

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import EndpointSpec, Session, api, session


class Calls:
    """A call that fails with these errors first, then answers."""

    def __init__(self, *errors):
        self.errors, self.made = list(errors), 0

    def __call__(self):
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def unconnected(monkeypatch):
    monkeypatch.setattr(session, "_BUSY_WAITS", (0.0, 0.0))
    return Session(EndpointSpec("1", "vc1", "vcenter", "127.0.0.1", "u", "p", port=1))


def busy():
    return api.load().vim.fault.TaskInProgress()


def test_busy_is_repeated(unconnected):
    calls = Calls(busy(), http.client.HTTPException("503 Service Unavailable"))
    assert unconnected.call("create VM a", calls) == "answer"
    assert calls.made == 3


def test_busy_for_too_long(unconnected):
    calls = Calls(busy(), busy(), busy(), busy())
    with pytest.raises(PhotonError) as caught:
        unconnected.call("create VM a", calls)
    assert (caught.value.code, calls.made) == ("ConcurrentTask", 3)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"),
        http.client.RemoteDisconnected("gone"),
        TimeoutError("late"),
        http.client.HTTPException("502 Bad Gateway"),
    ],
)
def test_a_dropped_write_is_unknown(unconnected, error):
    calls = Calls(error)
    with pytest.raises(PhotonError) as caught:
        unconnected.call("create VM a", calls)
    assert (caught.value.code, caught.value.data["unknown"], calls.made) == ("EndpointUnreachable", True, 1)


def test_a_dropped_read_is_repeated_once(unconnected):
    assert unconnected.call("read", Calls(ConnectionResetError()), read=True) == "answer"
    calls = Calls(ConnectionResetError(), ConnectionResetError())
    with pytest.raises(PhotonError) as caught:
        unconnected.call("read", calls, read=True)
    assert (caught.value.data["unknown"], calls.made) == (False, 2)


def test_nothing_is_sent_to_an_endpoint_that_does_not_answer(unconnected):
    calls = Calls(TimeoutError())
    with pytest.raises(PhotonError, match="no answer within 120 s"):
        unconnected.call("read", calls, read=True)
    with pytest.raises(PhotonError, match="create VM a: not started, because vc1") as caught:
        unconnected.call("create VM a", calls)
    assert (caught.value.data["unknown"], calls.made) == (False, 1)


def test_the_guard_comes_before_every_write(unconnected):
    seen = []
    unconnected.guard = lambda: seen.append(calls.made)
    calls = Calls(busy())
    unconnected.call("read", Calls(), read=True)
    unconnected.call("create VM a", calls)
    assert seen == [0, 1]  # before the repeated call too


def test_a_guard_that_raises_stops_the_call(unconnected):
    def lost():
        raise PhotonError("LeaseLost", "another controller took over")

    unconnected.guard, calls = lost, Calls()
    with pytest.raises(PhotonError, match="took over"):
        unconnected.call("create VM a", calls)
    assert (unconnected.stopped, calls.made) == (True, 0)


def test_no_login_without_a_session(unconnected):
    calls = Calls(api.load().vim.fault.NotAuthenticated())
    with pytest.raises(PhotonError) as caught:
        unconnected.call("read", calls)
    assert (caught.value.code, calls.made) == ("InvalidLoginCredentials", 1)


def test_threads_that_meet_the_end_of_a_session_log_in_once(unconnected, monkeypatch):
    logins, together = [], threading.Barrier(4)
    monkeypatch.setattr(unconnected, "_logged_in", True)
    monkeypatch.setattr(unconnected, "login", lambda: logins.append(1))

    def call():
        calls = Calls(api.load().vim.fault.NotAuthenticated())

        def ended():
            if not calls.made:
                together.wait(60)
            return calls()

        return unconnected.call("read", ended, read=True)

    with ThreadPoolExecutor(4) as threads:
        answers = [thread.result() for thread in [threads.submit(call) for _thread in range(4)]]
    assert (answers, logins) == (["answer"] * 4, [1])
