# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approver decides by the cluster's record of declared nodes; what it refuses holds up nobody else (fake API)."""

from __future__ import annotations

import json

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import approver, nodes, serving
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Refused
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

pytest.importorskip("cryptography", reason="creates the test's requests")
from tests.support.requests_of_kubelets import request

W1 = {"w1": '["10.0.0.21"]'}


class FakeApi:
    """The parts of the API that the approver uses, with the semantics of a merge patch."""

    def __init__(self, data, *items):
        self.data, self.listed, self.conflicts = data, list(items), set()

    def items(self, path):
        assert path.endswith("/certificatesigningrequests")
        return self.listed

    def get(self, path):
        if path == serving.RECORD:
            return None if self.data is None else {"data": dict(self.data)}
        return {"metadata": {"name": path.rpartition("/")[2]}}

    def post(self, path, body):
        assert (path, self.data) == (serving.RECORD.rpartition("/")[0], None)
        assert (body["metadata"]["name"], body["metadata"]["namespace"]) == ("photon-nodes", "kube-system")
        self.data = dict(body["data"])

    def merge(self, path, body):
        assert path == serving.RECORD
        assert self.data is not None
        merged = {**self.data, **body["data"]}
        self.data = {key: value for key, value in merged.items() if value is not None}

    def put(self, path, body):
        name, last = path.split("/")[-2:]
        assert last == "approval"
        if name in self.conflicts:
            raise Refused(409, "changed", path)
        (index,) = [number for number, one in enumerate(self.listed) if one["metadata"]["name"] == name]
        self.listed[index] = body

    def delete(self, path):
        return path.startswith("/api/v1/nodes/")

    def approved(self):
        return [
            one["metadata"]["name"]
            for one in self.listed
            for condition in (one.get("status") or {}).get("conditions") or ()
            if (condition["type"], condition["status"]) == ("Approved", "True")
        ]


def test_recorded_nodes_get_their_certificate_and_a_refused_request_holds_up_nobody():
    evil = request(dns=("w1", "api.example.com"), name="csr-0")
    foreign = request(common="system:node:w9", username="system:node:w9", name="csr-2")
    client = request(name="csr-3", signerName="kubernetes.io/kube-apiserver-client-kubelet")
    api = FakeApi(W1, evil, request(), foreign, client)
    granted, refused = serving.approve_all(api)
    assert (granted, api.approved()) == (["w1"], ["csr-1"])
    assert "csr-0 of w1 is not approved: it names api.example.com" in refused[0]
    assert len(refused) == 1, "a node that is not declared may be declared later"


@pytest.mark.parametrize("data", [None, {}, {"w1": "[]"}, {"w1": '["10.0.0.22"]'}])
def test_nothing_is_approved_that_the_record_does_not_say(data):
    api = FakeApi(data, request())
    assert serving.approve_all(api)[0] == []
    assert api.approved() == []


@pytest.mark.parametrize("condition", ["Denied", "Approved", "Failed"])
def test_decided_requests_stay_as_they_are(condition):
    decided = {**request(), "status": {"conditions": [{"type": condition, "status": "True"}]}}
    api = FakeApi(W1, decided)
    assert serving.approve_all(api) == ([], [])
    assert api.listed == [decided]


def test_a_request_that_another_member_approves_at_the_same_time_is_left_alone():
    api = FakeApi(W1, request())
    api.conflicts = {"csr-1"}
    assert approver.main(api) == 0


def test_exit_code_and_journal_name_refusals(capsys):
    assert approver.main(FakeApi(W1, request())) == 0
    assert capsys.readouterr().out == "approved the serving certificate of w1\n"
    assert approver.main(FakeApi(W1, request(addresses=("10.0.0.11",)))) == 1
    assert "it names 10.0.0.11" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "result"), [("ApiUnreachable", 0), ("ApiRefused", 1)])
def test_an_api_server_that_is_down_is_not_a_failure(code, result, capsys):
    class Down(FakeApi):
        def items(self, path):
            raise PhotonError(code, "no answer")

    assert approver.main(Down(W1)) == result
    assert "no answer" in capsys.readouterr().err


def test_the_record_is_written_once_and_keeps_other_nodes():
    api, w1 = FakeApi(None), {"name": "w1", "addresses": ["10.0.0.21"]}
    assert serving.record(api, [w1], check=True)[0]["after"] == '["10.0.0.21"]'
    assert api.data is None
    serving.record(api, [w1], check=False)
    assert serving.record(api, [w1], check=False) == []
    changes = serving.record(api, [{"name": "w2", "addresses": ["10.0.0.23", "10.0.0.22"]}], check=False)
    assert [change["name"] for change in changes] == ["w2"]
    assert {name: json.loads(text) for name, text in api.data.items()} == {
        "w1": ["10.0.0.21"], "w2": ["10.0.0.22", "10.0.0.23"],
    }  # fmt: skip
    moved = serving.record(api, [{"name": "w1", "addresses": ["10.0.0.9"]}], check=False)
    assert (moved[0]["before"], api.data["w1"]) == ('["10.0.0.21"]', '["10.0.0.9"]')


def test_a_removed_node_is_forgotten():
    api = FakeApi({**W1, "w2": "[]"}, request())
    assert nodes.remove("w1", check=True, api=api)
    assert api.data == {**W1, "w2": "[]"}
    assert nodes.remove("w1", check=False, api=api)
    assert api.data == {"w2": "[]"}
    assert serving.approve_all(api)[0] == []
