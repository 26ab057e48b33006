# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_upgrade from the declared version and the observed state of each host (pure).

One minor at a time; control-plane members one by one, each API server before its kubelet; then workers in batches.
Members whose upgrade was interrupted come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .. import versions
from . import quorum, rotate
from .state import source_of

CONTROL_PLANE = "control_plane"
Cluster = Mapping[str, Any]
Observed = Mapping[str, "Mapping[str, Any] | None"]


def plan(cluster: Cluster, observed: Observed, at_once: int = 1) -> dict[str, Any]:
    """Plan an upgrade to the declared version, or resume an interrupted one; ``at_once``: workers per batch.

    ``observed``: host -> result of module kubernetes_info (host, cluster, etcd), None for an unreachable host.

    Return needed (bool), source, from (running versions), apply (the host of ``kubeadm upgrade apply``, "" when the
    cluster configuration is upgraded already), control_plane (hosts in order), batches (lists of workers), helper
    ({host: the member that drains it}), keep ({host: {kubelet, kubectl: installed version}}), begun (hosts), cordoned
    (hosts that an administrator cordoned and that stay cordoned) and actions. Raise PhotonError with every reason:
    HostUnreachable, InvalidHostState, PreflightFailed, ClusterNotReady, QuorumAtRisk, EtcdUnhealthy, SpecInvalid,
    RotationNeeded.
    """
    source = source_of(cluster, observed)
    if source is None:
        raise PhotonError(
            "ClusterNotFound",
            f"no control-plane member of {cluster['name']} answers. Nothing was changed. Run cluster_repair.",
        )
    found = _Members(cluster, observed, source)
    found.check()
    pending = [name for name in found.names if not found.done(name)]
    begun = [name for name in pending if found.begun(name)]
    ordered = [*begun, *(name for name in pending if name not in begun)]
    control_plane = [name for name in ordered if name in cluster["control_plane"]]
    workers = [name for name in ordered if name in cluster["workers"]]
    apply = found.declared != cluster["version"]
    if apply and not control_plane:  # all members are upgraded, but not kubeadm's own record
        control_plane = [source]
    return {
        "needed": bool(control_plane or workers),
        "source": source,
        "from": sorted({version for version in found.running.values() if version}),
        "apply": control_plane[0] if apply and control_plane else "",
        "control_plane": control_plane,
        "workers": workers,
        "batches": [workers[start : start + at_once] for start in range(0, len(workers), max(1, at_once))],
        "helper": {name: found.helper(name, control_plane) for name in [*control_plane, *workers]},
        "keep": {name: found.keep(name) for name in pending},
        "begun": begun,
        "cordoned": [name for name in pending if found.kept_empty(name)],
        "actions": [
            {
                "host": name,
                "action": "upgrade",
                "reasons": [f"runs {found.running.get(name)}, {cluster['version']} is declared"],
            }
            for name in [*control_plane, *workers]
        ],
    }


class _Members:
    def __init__(self, cluster: Cluster, observed: Observed, source: str) -> None:
        self.cluster, self.observed = cluster, observed
        self.target = cluster["version"]
        self.names = [member["name"] for member in cluster["members"]]
        look = observed[source] or {}
        self.there: Mapping[str, Any] = look["cluster"]
        self.etcd: Sequence[Mapping[str, Any]] = (look.get("etcd") or {}).get("members") or ()
        self.nodes = {node["name"]: node for node in self.there["nodes"]}
        self.declared = self.there.get("declared_version")
        self.running = {name: self.nodes[name]["version"] for name in self.names if name in self.nodes}

    def check(self) -> None:
        """Refuse to start or resume the upgrade, reporting every reason."""
        found: list[tuple[str, str]] = []
        for name in self.names:
            found += self._check_member(name)
        found += [("SpecInvalid", reason) for reason in self._check_versions()]
        found += self._check_etcd()
        found += [("RotationNeeded", f"{name} {reason}") for name, reason in rotate.needed(self.cluster, self.observed)]
        if found:
            lines = "\n".join(f"- {reason}" for _code, reason in found)
            raise PhotonError(
                found[0][0],
                f"cluster {self.cluster['name']} cannot be upgraded to {self.target}. Nothing was changed:\n{lines}",
                {"reasons": [{"code": code, "reason": reason} for code, reason in found]},
            )

    def done(self, name: str) -> bool:
        host = self._host(name)
        return (
            self.running.get(name) == self.target
            and host.get("kubelet_version") == self.target
            and host.get("kubeadm_version") == self.target
            and (name not in self.cluster["control_plane"] or self._api(name) == self.target)
            and self.nodes[name]["ready"]
            and not self.nodes[name].get("cordoned")
        )

    def begun(self, name: str) -> bool:
        """Return whether an upgrade of this member has started; its kubeadm changes first."""
        host, node = self._host(name), self.nodes.get(name) or {}
        return host.get("kubeadm_version") == self.target or bool(node.get("cordoned"))

    def keep(self, name: str) -> dict[str, str]:
        host = self._host(name)
        version = host.get("kubelet_version") or self.running.get(name) or self.target
        return {"kubelet": version, "kubectl": version}

    def kept_empty(self, name: str) -> bool:
        node = self.nodes.get(name) or {}
        return bool(node.get("unschedulable")) and not node.get("cordoned")

    def helper(self, name: str, control_plane: Sequence[str]) -> str:
        """Return the member that drains the host; the host's own API server stops during the upgrade."""
        others = [one for one in self.cluster["control_plane"] if one != name and self._api(one)]
        settled = [one for one in others if one not in control_plane]
        return (settled or others or [name])[0]

    def _check_member(self, name: str) -> list[tuple[str, str]]:
        answer, node = self.observed.get(name), self.nodes.get(name)
        if answer is None:
            return [("HostUnreachable", f"{name} is unreachable. Check the host and its network.")]
        state = (answer.get("host") or {}).get("state")
        if node is None or state == "clean":
            return [
                (
                    "InvalidHostState",
                    f"{name} is not a member. Run cluster_create or cluster_resize with version {self.declared} first.",
                )
            ]
        linux = answer.get("linux") or {}
        if linux.get("error"):
            return [(linux.get("error_code") or "PreflightFailed", f"{name}: {linux['error']}")]
        if not node["ready"] and not self.begun(name):
            return [("ClusterNotReady", f"{name} is not Ready ({node['reason']}). Run cluster_repair first.")]
        return []

    def _check_versions(self) -> list[str]:
        running = {name: version for name, version in self.running.items() if version}
        running |= {
            f"the API server of {name}": self._api(name) or ""
            for name in self.cluster["control_plane"]
            if self._api(name)
        }
        # A control-plane member's kubelet uses its own API server, which is always upgraded first.
        skew = versions.check_skew(
            filter(None, map(self._api, self.cluster["control_plane"])),
            {name: version for name, version in running.items() if name in self.cluster["workers"]},
        )
        return versions.check_step(running, self.target) or [f"{one}. Fix this manually first." for one in skew]

    def _check_etcd(self) -> list[tuple[str, str]]:
        reasons = []
        for name in self.cluster["control_plane"]:
            member = next(one for one in self.cluster["members"] if one["name"] == name)
            voter = quorum.member_of(self.etcd, member)
            if voter is None or voter["learner"]:
                reasons.append(("QuorumAtRisk", f"{name} is not a voting member of etcd. Run cluster_repair first."))
            elif not voter["healthy"] and not self.begun(name):
                reasons.append(("QuorumAtRisk", f"etcd on {name} does not answer. Run cluster_repair first."))
            reasons += [
                ("EtcdUnhealthy", f"etcd on {name} has the alarm {alarm}. Run cluster_maintain first.")
                for alarm in (voter or {}).get("alarms") or ()
            ]
        down = [one for one in self.etcd if not one["learner"] and not one["healthy"]]
        if len(down) > 1:
            reasons.append(("QuorumAtRisk", f"{len(down)} members of etcd do not answer. Run cluster_repair first."))
        return reasons

    def _host(self, name: str) -> Mapping[str, Any]:
        return (self.observed.get(name) or {}).get("host") or {}

    def _api(self, name: str) -> str | None:
        """Return the version of a member's own API server."""
        return ((self.observed.get(name) or {}).get("cluster") or {}).get("version")
