# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call etcd's JSON gateway with the certificate that kubeadm created, without etcdctl or a container.

Paths and fields are those of etcd's API v3 (rpc.proto); 64-bit numbers are encoded as text.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError

_PKI = "/etc/kubernetes/pki"
_LOCAL = "https://127.0.0.1:2379"
_ALARM = re.compile(r"memberID:(?P<member>\d+)\s+alarm:(?P<alarm>\w+)")
CORRUPT = "CORRUPT"  # the member's data differs from the others', so it must not serve clients
Member = dict[str, Any]


class Etcd:
    """The etcd of this member. PhotonError EtcdUnreachable when it does not answer or rejects a call."""

    def __init__(self, url: str = _LOCAL, timeout: float = 10) -> None:
        self._url, self._timeout = url, timeout

    def members(self) -> list[Member]:
        """Return [{id (text), name, peer_urls, client_urls, learner, started}]; an unstarted member has no name."""
        answer = self.call("/v3/cluster/member/list", {})
        return read_members(answer)

    def remove(self, identity: str) -> None:
        """Remove a member."""
        self.call("/v3/cluster/member/remove", {"ID": identity})

    def promote(self, identity: str) -> None:
        """Promote a learner to a voter."""
        self.call("/v3/cluster/member/promote", {"ID": identity})

    def status(self) -> dict[str, Any]:
        """Return the status of the called member.

        {id, leader, revision, version, size, in_use and quota (bytes; quota 0 before etcd 3.6), learner, raft_index,
        errors, alarms}; ``alarms`` are those of this member, such as NOSPACE. etcd reports alarms of all members among
        its errors, but a member with an alarm answers.
        """
        answer = self.call("/v3/maintenance/status", {})
        header = answer.get("header") or {}
        return {
            "id": header.get("member_id", "0"),
            "leader": answer.get("leader", "0"),
            "revision": int(header.get("revision", 0)),
            "version": answer.get("version", ""),
            "size": int(answer.get("dbSize", 0)),
            "in_use": int(answer.get("dbSizeInUse", 0)),
            "quota": int(answer.get("dbSizeQuota", 0)),
            "learner": bool(answer.get("isLearner")),
            "raft_index": int(answer.get("raftIndex", 0)),
            "errors": [one for one in answer.get("errors") or () if not _ALARM.match(one)],
            "alarms": sorted(
                {
                    found["alarm"]
                    for found in map(_ALARM.match, answer.get("errors") or ())
                    if found and found["member"] == header.get("member_id")
                }
            ),
        }

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a POST request to the gateway."""
        parts = urllib.parse.urlsplit(self._url)
        try:
            context = ssl.create_default_context(cafile=f"{_PKI}/etcd/ca.crt")
            context.load_cert_chain(f"{_PKI}/apiserver-etcd-client.crt", f"{_PKI}/apiserver-etcd-client.key")
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=self._timeout, context=context
            )
            try:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read() or b"{}")
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise PhotonError("EtcdUnreachable", f"etcd at {self._url} does not answer: {error}") from error
        if response.status >= 400:
            raise PhotonError(
                "EtcdUnreachable", f"etcd at {self._url} rejected {path}: {answer.get('message') or answer}"
            )
        return answer


def observed() -> dict[str, Any]:
    """Return {members, quorum (voters that must answer), healthy_voters, error} of this host's etcd.

    ``members`` have also healthy (it answers and its data is intact), alarms, size, in_use and quota (bytes).
    """
    try:
        members = Etcd().members()
    except PhotonError as error:
        return {"members": [], "quorum": 0, "healthy_voters": 0, "error": error.message}
    for member in members:
        member.update(_health(member["client_urls"][0] if member["client_urls"] else ""))
    voters = [member for member in members if not member["learner"]]
    return {
        "members": members,
        "quorum": len(voters) // 2 + 1,
        "healthy_voters": sum(member["healthy"] for member in voters),
        "error": "",
    }


def read_members(answer: Mapping[str, Any]) -> list[Member]:
    """Convert the gateway's list of members (pure)."""
    return [
        {
            "id": str(one.get("ID", "0")),
            "name": one.get("name", ""),
            "peer_urls": list(one.get("peerURLs") or ()),
            "client_urls": list(one.get("clientURLs") or ()),
            "learner": bool(one.get("isLearner")),
            "started": bool(one.get("name")),
        }
        for one in answer.get("members") or ()
    ]


def of_address(members: Sequence[Member], address: str) -> Member | None:
    """Return the member with this peer address (pure)."""
    for member in members:
        if any(urllib.parse.urlsplit(url).hostname == address for url in member["peer_urls"]):
            return member
    return None


def removal_refused(members: Sequence[Member], leaving: Member) -> str:
    """Return why a member cannot be removed now, "" when it can (pure). ``members`` have ``healthy``.

    A learner has no vote. The remaining voters that answer must be a majority.
    """
    if leaving["learner"]:
        return ""
    staying = [member for member in members if not member["learner"] and member["id"] != leaving["id"]]
    healthy = sum(bool(member["healthy"]) for member in staying)
    needed_now = (len(staying) + 1) // 2 + 1  # the removal itself needs a majority
    answering = healthy + bool(leaving["healthy"])
    if answering < needed_now:
        return f"etcd has no quorum: {answering} of {len(staying) + 1} members answer"
    if healthy < len(staying) // 2 + 1:
        return (
            f"without {leaving['name'] or leaving['id']} etcd would lose its quorum: {healthy} of {len(staying)} answer"
        )
    return ""


def _health(url: str) -> dict[str, Any]:
    try:
        status = Etcd(url, timeout=3).status() if url else None
    except PhotonError:
        status = None
    if status is None:
        return {"healthy": False, "alarms": [], "size": 0, "in_use": 0, "quota": 0}
    healthy = not status["errors"] and CORRUPT not in status["alarms"]
    return {"healthy": healthy, **{key: status[key] for key in ("alarms", "size", "in_use", "quota")}}
