# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes are waited for also while the only API server starts anew."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import nodes
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Refused
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

NODE = {"name": "cp1", "labels": {}, "taints": [], "addresses": []}
READY = {
    "metadata": {"name": "cp1", "labels": {}, "annotations": {nodes.TAINTS: "[]"}},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.37.2"}},
}


class Answers:
    """An API that answers with these, one after the other, the last for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def items(self, _path):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def apply(self, wanted, dry_run):
        assert dry_run, "nothing is to be changed"
        return wanted


class Issued(Answers):
    """Its request is approved and has a certificate; the kubelet answers the API server after some time."""

    def __init__(self, refusals):
        super().__init__([READY])
        self.refusals = refusals

    def items(self, path):
        if "certificatesigningrequests" not in path:
            return super().items(path)
        spec = {"signerName": nodes.SERVING_SIGNER, "username": "system:node:cp1"}
        return [{"spec": spec, "status": {"conditions": [{"type": "Approved"}], "certificate": "LS0t"}}]

    def get(self, path):
        assert path == "/api/v1/nodes/cp1/proxy/healthz"
        self.refusals -= 1
        if self.refusals >= 0:
            raise Refused(503, "error dialing backend: remote error: tls: internal error", f"GET {path}")
        return {}


AWAY = PhotonError("ApiUnreachable", "the Kubernetes API does not answer this member: connection refused")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(nodes, "_POLL_SECONDS", 0.001)


def test_an_api_server_that_starts_anew_is_waited_for_mock():
    api = Answers(AWAY, Refused(403, "no role yet", "GET /api/v1/nodes"), AWAY, [READY])
    assert nodes.settle([NODE], False, False, 30, api, "1.37.2") == {"changes": [], "not_ready": []}


@pytest.mark.parametrize(("wait", "check"), [(0, False), (0.01, False), (30, True)])
def test_one_that_stays_away_is_told_mock(wait, check):
    with pytest.raises(PhotonError, match="does not answer") as caught:
        nodes.settle([NODE], check, False, wait, Answers(AWAY))
    assert caught.value.code == "ApiUnreachable"


def test_a_refusal_of_another_kind_is_told_at_once_mock():
    with pytest.raises(Refused):
        nodes.settle([NODE], False, False, 30, Answers(Refused(422, "invalid", "GET /api/v1/nodes")))


def test_a_kubelet_that_has_not_read_its_certificate_is_waited_for_mock():
    """The request that is approved may be the one before: only the kubelet knows whether it has what it needs."""
    api = Issued(refusals=3)
    found = nodes.settle([{**NODE, "serving": True}], False, True, 30, api, "1.37.2")
    assert (found, api.refusals) == ({"changes": [], "not_ready": []}, -1)


def test_one_that_never_reads_it_is_told_mock():
    found = nodes.settle([{**NODE, "serving": True}], False, True, 0.01, Issued(refusals=1_000_000), "1.37.2")
    assert found["not_ready"] == ["cp1: has no serving certificate yet"]
