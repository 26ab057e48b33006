# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for nodes tolerates a restart of the only API server."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import nodes, serving
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Refused
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

NODE = {"name": "cp1", "labels": {}, "taints": [], "addresses": []}
READY = {
    "metadata": {"name": "cp1", "labels": {}, "annotations": {nodes.TAINTS: "[]"}},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.37.2"}},
}


class Answers:
    """An API that returns these answers in order and repeats the last one."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def items(self, _path):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def apply(self, wanted, dry_run):
        assert dry_run, "nothing must be changed"
        return wanted


class Issued(Answers):
    """An API with an approved request and its certificate; the kubelet answers after a delay."""

    def __init__(self, refusals):
        super().__init__([READY])
        self.refusals = refusals

    def items(self, path):
        if "certificatesigningrequests" not in path:
            return super().items(path)
        spec = {"signerName": serving.SIGNER, "username": "system:node:cp1"}
        return [{"spec": spec, "status": {"conditions": [{"type": "Approved"}], "certificate": "LS0t"}}]

    def get(self, path):
        if path == serving.RECORD:
            return {"data": {"cp1": "[]"}}
        assert path == "/api/v1/nodes/cp1/proxy/healthz"
        self.refusals -= 1
        if self.refusals >= 0:
            raise Refused(503, "error dialing backend: remote error: tls: internal error", f"GET {path}")
        return {}


AWAY = PhotonError("ApiUnreachable", "the Kubernetes API does not answer this member: connection refused")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(nodes, "_POLL_SECONDS", 0.001)


def test_restarting_api_server_is_waited_for_mock():
    api = Answers(AWAY, Refused(403, "no role yet", "GET /api/v1/nodes"), AWAY, [READY])
    assert nodes.settle([NODE], False, False, 30, api, "1.37.2") == {"changes": [], "not_ready": []}


@pytest.mark.parametrize(("wait", "check"), [(0, False), (0.01, False), (30, True)])
def test_unreachable_api_server_is_reported_mock(wait, check):
    with pytest.raises(PhotonError, match="does not answer") as caught:
        nodes.settle([NODE], check, False, wait, Answers(AWAY))
    assert caught.value.code == "ApiUnreachable"


def test_other_refusals_are_reported_at_once_mock():
    with pytest.raises(Refused):
        nodes.settle([NODE], False, False, 30, Answers(Refused(422, "invalid", "GET /api/v1/nodes")))


def test_kubelet_without_its_new_certificate_is_waited_for_mock():
    """Wait for the kubelet itself, because the approved request may be an older one."""
    api = Issued(refusals=3)
    found = nodes.settle([{**NODE, "serving": True}], False, True, 30, api, "1.37.2")
    assert (found, api.refusals) == ({"changes": [], "not_ready": []}, -1)


def test_kubelet_that_never_loads_it_is_reported_mock():
    found = nodes.settle([{**NODE, "serving": True}], False, True, 0.01, Issued(refusals=1_000_000), "1.37.2")
    assert found["not_ready"] == ["cp1: has no serving certificate yet"]
