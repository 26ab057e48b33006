# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_create from the declared cluster and the observed state of each of its hosts (pure).

Every problem is found before anything changes. A cluster exists when one of its control-plane members answers for it;
then other hosts join, and members are repaired. Otherwise the first member is initialized.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .. import versions
from ..documents import containerd
from . import rotate, state

CREATING, READY = "CREATING", "READY"
INITIALIZE, JOIN, SETTLE = "initialize", "join", "settle"
CONTROL_PLANE, WORKER = "control_plane", "worker"
# Objects that init creates last: when all are missing, init is incomplete.
_LAST = {"cluster-info", "coredns", "kube-proxy"}
_DISTURBING = ("containerd", "kubelet")  # units whose restart a node's pods may notice
_AUTHORITIES = {f"/etc/kubernetes/pki/{name}.crt" for name in ("ca", "etcd/ca", "front-proxy-ca")}
Cluster = Mapping[str, Any]
Observation = Mapping[str, Any]


def plan(
    cluster: Cluster, observed: Mapping[str, Observation | None], only: Iterable[str] | None = None
) -> dict[str, Any]:
    """Plan a create, or resume an interrupted one.

    ``observed``: host -> result of module kubernetes_info (host, linux; optionally cluster, etcd, objects, nodes), or
    None for an unreachable host. ``only``: the hosts that this run may change.

    Return state (CREATING or READY), exists, source (the member to query and to create secrets on), prepare (hosts),
    rolling (those of them that are members whose containerd or kubelet restarts, changed one by one), ready (those of
    them whose node is Ready, and must be again before the next one), initialize (host or None), join: {control_plane,
    worker} (hosts), joiners ([{name, address, role}]), restart (hosts whose incomplete join is discarded), settle
    (hosts), lost ({host: names of kubeadm's objects}), material (members that need files of the source), restored
    (hosts with the mark of a restore, which ends with this run), serving (nodes whose kubelet lacks a serving
    certificate), nodes and objects (booleans: changes are needed), actions ([{host, action, reasons}]) and undeclared
    (nodes).
    Raise PhotonError with every reason in ``data["reasons"]``: HostUnreachable, PreflightFailed, HostOfAnotherCluster,
    InvalidHostState, UpgradeNeeded, RotationNeeded, CertificateRefused, SpecInvalid, ClusterNotFound.
    """
    found = _Observed(cluster, observed, only)
    found.check()
    return found.steps()


class _Observed:
    def __init__(
        self, cluster: Cluster, observed: Mapping[str, Observation | None], only: Iterable[str] | None
    ) -> None:
        self.cluster = cluster
        names = [member["name"] for member in cluster["members"]]
        touched = set(names if only is None else only)
        self.members = [member for member in cluster["members"] if member["name"] in touched]
        self.observed = observed
        self.reasons: list[tuple[str, str, str]] = []
        self.established = [
            name
            for name in cluster["control_plane"]
            if _established(observed.get(name) or {}, self._others_hold_data())
        ]
        self.source = self.established[0] if self.established else None
        self.actions: dict[str, list[str]] = {}
        self.kinds: dict[str, str] = {}

    def check(self) -> None:
        """Refuse to start, reporting every reason."""
        for member in self.members:
            answer = self.observed.get(member["name"])
            if answer is None:
                self._refuse("HostUnreachable", member["name"], "is unreachable. Check the host and its network.")
                continue
            self._check_host(member, answer)
        self._check_identity()
        self._check_versions()
        self._check_requests()
        for name, reason in rotate.needed(self.cluster, self.observed):
            self._refuse("RotationNeeded", name, reason)
        if not self.reasons:
            self._check_quorum()
        if self.reasons:
            codes = list(dict.fromkeys(code for code, _host, _reason in self.reasons))
            lines = "\n".join(f"- {host}: {reason}" for _code, host, reason in self.reasons)
            raise PhotonError(
                codes[0],
                f"cluster {self.cluster['name']}: nothing was changed:\n{lines}",
                {"reasons": [{"code": c, "host": h, "reason": r} for c, h, r in self.reasons]},
            )

    def steps(self) -> dict[str, Any]:
        for member in self.members:
            self._decide(member)
        lost = self._lost()
        first = next((name for name, kind in self.kinds.items() if kind == INITIALIZE), None)
        joining = [member for member in self.members if self.kinds.get(member["name"]) == JOIN]
        prepare = [m["name"] for m in self.members if self._linux(m["name"]).get("changed")]
        settle = [m["name"] for m in self.members if self.kinds.get(m["name"]) == SETTLE]
        source = self.source or first
        look = (self.observed.get(source) or {}) if source and not first else {}
        nodes, objects = self._nodes(look, bool(first or joining)), self._objects(look)
        serving = [m["name"] for m in self.members if not self._host(m["name"]).get("serving_certificate")]
        restored = [m["name"] for m in self.members if self._host(m["name"]).get("restored_from")]
        rolling = [name for name in prepare if self._restarts(name)]
        look_nodes = self._there(self.source).get("nodes") or ()
        actions = [
            {"host": name, "action": self.kinds[name], "reasons": reasons} for name, reasons in self.actions.items()
        ]
        actions += [{"host": name, "action": "prepare", "reasons": self._changes(name)} for name in prepare]
        return {
            "state": CREATING if (prepare or self.kinds or nodes or objects or serving or restored) else READY,
            "restored": restored,
            "exists": bool(self.source),
            "source": source,
            "prepare": prepare,
            "rolling": rolling,
            "ready": [node["name"] for node in look_nodes if node["ready"] and node["name"] in rolling],
            "initialize": first,
            "join": {
                role: [member["name"] for member in joining if member["role"] == role]
                for role in (CONTROL_PLANE, WORKER)
            },
            "joiners": [{key: member[key] for key in ("name", "address", "role")} for member in joining],
            "restart": [m["name"] for m in joining if self._host(m["name"]).get("state") != "clean"],
            "settle": settle,
            "lost": lost,
            "material": [name for name in settle if self._lacks_keys(name)],
            "nodes": nodes or bool(serving),
            "objects": objects,
            "serving": serving,
            "actions": actions,
            "undeclared": self._undeclared(),
        }

    def _check_host(self, member: Mapping[str, Any], answer: Observation) -> None:
        name, host, linux = member["name"], answer.get("host") or {}, answer.get("linux") or {}
        if linux.get("error"):
            self._refuse(linux.get("error_code") or "PreflightFailed", name, linux["error"])
        there = host.get("addresses") or ()
        if there and member["address"] not in there:
            self._refuse(
                "SpecInvalid",
                name,
                f"has no interface with its kubernetes_address {member['address']}: it has {', '.join(there)}.",
            )
        mismatch = containerd.mismatch(self.cluster["runtime"]["containerd"], answer.get("containerd") or "")
        if mismatch:
            self._refuse("SpecInvalid", name, f"{mismatch} That is runtime.containerd of the cluster.")
        if host.get("state") == "clean":
            return
        if host.get("role") and host["role"] != member["role"]:
            is_, wanted = host["role"].replace("_", "-"), member["role"].replace("_", "-")
            self._refuse(
                "InvalidHostState",
                name,
                f"is a {is_} member but declared as {wanted}. Remove it from the cluster first.",
            )
        other = host.get("cluster_name")
        if other and other != self.cluster["name"]:
            self._refuse(
                "HostOfAnotherCluster", name, f"belongs to cluster {other}. Remove it from that cluster first."
            )

    def _check_identity(self) -> None:
        """Refuse members that do not belong to the control plane's cluster."""
        identities = {
            member["name"]: self._host(member["name"]).get("cluster_id")
            for member in self.cluster["members"]
            if self._host(member["name"]).get("state") not in (None, "clean")
        }
        own = [identities[name] for name in [*self.established, *self.cluster["control_plane"]] if identities.get(name)]
        for name, identity in identities.items():
            if identity and own and identity != own[0]:
                self._refuse(
                    "HostOfAnotherCluster",
                    name,
                    "trusts another cluster's authority than the control plane. Reset it first.",
                )
            elif identity and not own and name not in self.cluster["control_plane"]:
                self._refuse(
                    "HostOfAnotherCluster",
                    name,
                    "is a worker of a cluster without a declared control-plane member. Declare one, or reset the host.",
                )

    def _check_versions(self) -> None:
        wanted = self.cluster["version"]
        hint = f"but {wanted} is declared. Run cluster_upgrade: create never upgrades."
        there = self._there(self.source)
        declared = there.get("declared_version")
        if declared and declared != wanted:
            self._refuse("UpgradeNeeded", self.source or "", f"the cluster runs {declared}, {hint}")
            return
        running = {node["name"]: node["version"] for node in there.get("nodes") or ()}
        for member in self.members:
            host = self._host(member["name"])
            if host.get("state") != "member":
                continue
            version = running.get(member["name"]) or host.get("kubelet_version")
            if version and version != wanted:
                self._refuse("UpgradeNeeded", member["name"], f"runs {version}, {hint}")
            elif host.get("error") and host.get("kubeadm_version") == wanted:
                self._refuse("SpecInvalid", member["name"], host["error"])
        self._check_skew(running)

    def _check_skew(self, running: Mapping[str, str]) -> None:
        """Refuse members that are too new for API servers that are not upgraded yet."""
        servers = {name: self._there(name).get("version") for name in self.established}
        kubelets = {name: version for name, version in running.items() if name not in self.cluster["control_plane"]}
        kubelets |= {name: self.cluster["version"] for name in self._names() if name in self.cluster["workers"]}
        for mistake in versions.check_skew(filter(None, servers.values()), kubelets):
            self._refuse("UpgradeNeeded", self.source or "", f"{mistake}. Complete cluster_upgrade first.")

    def _check_requests(self) -> None:
        """Refuse certificate requests whose names are not their node's; an administrator has to review them."""
        nodes = (self.observed.get(self.source or "") or {}).get("nodes") or {}
        if nodes.get("error_code") == "CertificateRefused":
            self._refuse("CertificateRefused", self.source or "", nodes["error"])

    def _check_quorum(self) -> None:
        """Refuse to initialize when no member answers and others hold data, which may be the only copy."""
        if self.established:
            return
        cluster = self.cluster
        first = self._host(cluster["first"]) if cluster["first"] in self._names() else {}
        others = [
            name for name in cluster["control_plane"] if name != cluster["first"] and self._host(name).get("etcd_data")
        ]
        for name in others:
            if first.get("etcd_data") and self._repairs(name):
                continue
            self._refuse(
                "InvalidHostState",
                name,
                "holds cluster data, but no control-plane member answers. Run cluster_repair or cluster_restore.",
            )
        if self.only_workers():
            self._refuse(
                "ClusterNotFound",
                cluster["first"] or "",
                "no control-plane member answers. Create the control plane first.",
            )

    def only_workers(self) -> bool:
        return bool(self.members) and all(member["role"] == WORKER for member in self.members)

    def _decide(self, member: Mapping[str, Any]) -> None:
        name, host = member["name"], self._host(member["name"])
        state = host.get("state")
        if not self.established and name == self.cluster["first"] and not self._others_hold_data():
            words = {"clean": "the cluster does not exist yet"}
            self._add(name, INITIALIZE, [words.get(state or "", "its init is incomplete, or its API is down")])
            return
        if state == "clean":
            self._add(name, JOIN, ["is not a member yet"])
        elif member["role"] == CONTROL_PLANE and self.established and not self._votes(member):
            self._add(name, JOIN, ["its join is incomplete: it is not a voting member of etcd"])
        elif member["role"] == CONTROL_PLANE and self.established and _AUTHORITIES & set(host.get("missing") or ()):
            self._add(name, JOIN, ["the cluster's authorities are lost"])
        elif state == "partial" and not (member["role"] == CONTROL_PLANE and self._votes(member)):
            self._add(name, JOIN, ["its join is incomplete"])
        else:
            reasons = self._repairs(name)
            if reasons:
                self._add(name, SETTLE, reasons)

    def _repairs(self, name: str) -> list[str]:
        host = self._host(name)
        reasons = [f"{path} is missing" for path in host.get("missing") or ()]
        reasons += [
            f"{one['path']} differs in {one['lines']} lines" for one in host.get("drift") or () if not one["missing"]
        ]
        reasons += [f"{one['path']} is missing" for one in host.get("drift") or () if one["missing"]]
        reasons += [] if host.get("kubelet_active") else ["kubelet is not running"]
        reasons += [f"{one['pod']} has not read {one['path']}" for one in host.get("stale") or ()]
        reasons += ["the keys of encryption at rest are missing"] if self._lacks_keys(name) else []
        reasons += ["its node is not registered"] if self._unregistered(name) else []
        # Changed files may be inputs of kubeadm or of a static pod.
        reasons += ["its files change"] if self._linux(name).get("changed") else []
        return list(dict.fromkeys(reasons))

    def _votes(self, member: Mapping[str, Any]) -> bool:
        """Return whether the source reports the member as a started voter; peers are matched by address."""
        for one in ((self.observed.get(self.source or "") or {}).get("etcd") or {}).get("members") or ():
            if any(url.rpartition(":")[0].endswith(f"//{member['address']}") for url in one["peer_urls"]):
                return one["started"] and not one["learner"]
        return False

    def _unregistered(self, name: str) -> bool:
        there = self._there(self.source)
        return bool(there.get("reachable")) and name not in [node["name"] for node in there["nodes"]]

    def _lacks_keys(self, name: str) -> bool:
        role = next(member["role"] for member in self.cluster["members"] if member["name"] == name)
        wanted = role == CONTROL_PLANE and self.cluster["encryption"]["provider"] != "none"
        return wanted and not self.cluster["encryption"]["keys"] and not self._layout(name)

    def _layout(self, name: str) -> Mapping[str, Any] | None:
        return (self._host(name).get("encryption") or {}).get("layout")

    def _lost(self) -> dict[str, list[str]]:
        """Return lost objects per host: the source re-creates kubeadm's objects, a kubelet registers its own node."""
        lost: dict[str, list[str]] = {
            name: ["node"] for name, kind in self.kinds.items() if kind == SETTLE and self._unregistered(name)
        }
        there = self._there(self.source)
        missing = state.missing(self.cluster, there)
        if self.source and missing and self.source in self._names():
            self._add(self.source, SETTLE, [f"{name} is missing in the API" for name in missing])
            lost.setdefault(self.source, []).extend(missing)
        return lost

    def _nodes(self, look: Observation, changing: bool) -> bool:
        nodes = look.get("nodes")
        return changing or nodes is None or bool(nodes.get("error") or nodes["changes"] or nodes["not_ready"])

    def _objects(self, look: Observation) -> bool:
        objects = look.get("objects")
        late = [one for one in (look.get("cluster") or {}).get("addons") or () if one["available"] < one["wanted"]]
        return objects is None or bool(objects.get("error") or objects["changes"] or late)

    def _restarts(self, name: str) -> bool:
        """Return whether a member's containerd or kubelet restarts when the host is prepared."""
        return self._host(name).get("state") not in (None, "clean") and any(
            one["kind"] == "package" or (one["kind"] in ("restart", "unit") and one["name"] in _DISTURBING)
            for one in self._linux(name).get("changes") or ()
        )

    def _changes(self, name: str) -> list[str]:
        return [f"{one['kind']} {one['name']}" for one in self._linux(name).get("changes") or ()][:10]

    def _undeclared(self) -> list[str]:
        there = self._there(self.source)
        declared = {member["name"] for member in self.cluster["members"]}
        return sorted(node["name"] for node in there.get("nodes") or () if node["name"] not in declared)

    def _others_hold_data(self) -> bool:
        first = self.cluster["first"]
        return any(self._host(name).get("etcd_data") for name in self.cluster["control_plane"] if name != first)

    def _add(self, name: str, kind: str, reasons: Sequence[str]) -> None:
        self.kinds.setdefault(name, kind)
        known = self.actions.setdefault(name, [])
        known += [reason for reason in reasons if reason not in known]

    def _refuse(self, code: str, host: str, reason: str) -> None:
        self.reasons.append((code, host, reason))

    def _names(self) -> list[str]:
        return [member["name"] for member in self.members]

    def _there(self, name: str | None) -> Observation:
        return (self.observed.get(name or "") or {}).get("cluster") or {}

    def _host(self, name: str | None) -> Observation:
        return (self.observed.get(name or "") or {}).get("host") or {}

    def _linux(self, name: str) -> Observation:
        return (self.observed.get(name) or {}).get("linux") or {}


def _established(answer: Observation, others: bool) -> bool:
    """Return whether this member answers for an initialized cluster; data on other members proves it."""
    host, there = answer.get("host") or {}, answer.get("cluster") or {}
    if not host.get("etcd_data") or not there.get("reachable") or not there.get("nodes"):
        return False
    return others or not set(there.get("missing") or ()) >= _LAST
