# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real etcd whose database is full: seen as that, and serving again after its maintenance."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import etcd, etcd_client
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from lab.kubernetes import cache
from tests.support.apiserver import free_port

QUOTA = 16 * 1024 * 1024
PROGRAMS = sorted(cache.folder().glob("programs/etcd-*/etcd"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAMS, reason="the lab's etcd is not built: make kubernetes-cache"),
    pytest.mark.xdist_group("kube-apiserver"),
]


@pytest.fixture(name="server")
def fixture_server(tmp_path, monkeypatch):
    """Start etcd without TLS; return its URL."""
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    words = [
        PROGRAMS[-1], f"--data-dir={tmp_path}/data", f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}", f"--quota-backend-bytes={QUOTA}", "--unsafe-no-fsync",
    ]  # fmt: skip

    def call(self, path, body):
        return exchange(url, path, body)

    monkeypatch.setattr(etcd_client.Etcd, "call", call)
    with open(tmp_path / "log", "wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not etcd_client.observed()["healthy_voters"]:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def exchange(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except (OSError, urllib.error.HTTPError) as error:
        text = error.read().decode() if isinstance(error, urllib.error.HTTPError) else str(error)
        raise PhotonError("EtcdUnreachable", text) from error


class Full(Exception):
    """etcd refuses to write."""


def put(url, key):
    value = base64.b64encode(bytes(500_000)).decode()
    try:
        exchange(url, "/v3/kv/put", {"key": base64.b64encode(key).decode(), "value": value})
    except PhotonError as error:
        if "database space exceeded" in error.message:
            raise Full from error
        raise


def fill(url, keys):
    """Write until etcd refuses."""
    turn = 0
    with contextlib.suppress(Full):
        while turn < 200:
            put(url, b"key%d" % (turn % keys))
            turn += 1
    assert turn < 200, "etcd took everything"


def test_a_full_database_is_an_alarm_and_maintenance_ends_it(server):
    assert etcd.maintain(False) == []
    fill(server, keys=3)
    (member,) = etcd_client.observed()["members"]
    assert (member["healthy"], member["alarms"], member["quota"]) == (True, ["NOSPACE"], QUOTA)
    assert etcd.maintain(True) == [f"{member['name']} would be defragmented"]
    actions = etcd.maintain(False)
    assert [action.partition(": ")[0] for action in actions] == [f"{member['name']} defragmented", member["name"]]
    (member,) = etcd_client.observed()["members"]
    assert (member["alarms"], member["size"] < QUOTA / 2) == ([], True)
    put(server, b"again")
    assert etcd.maintain(False) == []


def test_a_database_that_stays_full_keeps_the_alarm(server, monkeypatch):
    monkeypatch.setattr(etcd, "_ROOM", 0.5)
    fill(server, keys=400)
    with pytest.raises(PhotonError, match=r"still uses \d+ of \d+ bytes .* quota-backend-bytes") as error:
        etcd.maintain(False)
    assert error.value.code == "EtcdUnhealthy"
    assert etcd_client.observed()["members"][0]["alarms"] == ["NOSPACE"]
