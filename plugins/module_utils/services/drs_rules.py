# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard groups of VMs as rules of the DRS clusters they live in, so that DRS does not undo what placement claimed.

A group of level host that is hard has one rule in each cluster with DRS on that holds two of its VMs or more. Our rules
are those whose name begins with this CloudStore's own prefix; rules of others are never touched.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .. import vsphere
from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from .context import Context
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

KIND = "drs rule"
_LONGEST_NAME = 80
_REASONS = {"affinity": "hard affinity", "anti-affinity": "hard anti-affinity"}
_TOO_FEW = "its group has fewer than two VMs in the cluster"
Place = tuple[str, str]  # a VM's moid and its cluster's


@dataclass(slots=True)
class Owner:
    """Whose rules a run looks after: those of one CloudStore, of all projects or (``projects``) of some paths."""

    prefix: str
    projects: frozenset[str] | None = None

    @classmethod
    def of(cls, context: Context, plan: Plan) -> Owner:
        """A system administrator's run sees to all rules, anybody else's to those of the projects that it works on."""
        prefix = f"photon-{context.store.digest('DRS rules')[:8]}."
        return cls(prefix, None if context.actor.system_administrator else _projects(plan))

    def owns(self, name: str) -> bool:
        if self.projects is None:
            return name.startswith(self.prefix)
        return any(name.startswith(f"{self.prefix}{path.replace('/', '.')}.") for path in self.projects)

    def name(self, group: str, kind: str) -> str:
        """The rule of group ``acme/web/db``: ``photon-1a2b3c4d.acme.web.db.anti-affinity``; names have no dots."""
        whole = f"{self.prefix}{group.replace('/', '.')}.{kind}"
        if len(whole) <= _LONGEST_NAME:
            return whole
        return f"{whole[: _LONGEST_NAME - 9]}~{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    def label(self, name: str) -> str:
        """A rule's name for people: ``acme/web/db anti-affinity``."""
        text = name.removeprefix(self.prefix)
        group, _dot, kind = text.rpartition(".")
        return f"{group.replace('.', '/')} {kind}" if kind in _REASONS else text


def plan_rules(world: World, plan: Plan, context: Context) -> None:
    """Add an action for each rule that differs from what the VMs, as the plan leaves them, need."""
    endpoints = [each for each in world.of(entities.ENDPOINT) if each.id in world.inventories]
    drs = {each.id: found for each in endpoints if (found := drs_clusters(world.inventories[each.id]))}
    if not drs:
        return
    owner = Owner.of(context, plan)
    new = {action.id for action in plan.of(entities.VM, CREATE)}
    documents = [document for document in world.of(entities.VM) if document.body.get("groups")]
    for endpoint_id, clusters in drs.items():
        inventory = world.inventories[endpoint_id]
        here = [document for document in documents if document.body.get("endpoint") == endpoint_id]
        places = {d.id: place for d in here if (place := _planned_place(d, inventory, world, new))}
        wanted = wanted_rules(here, places, owner)
        changes = [
            (cluster, change)
            for moid, cluster in clusters.items()
            for change in vsphere.compare_rules(cluster.rules, wanted.get(moid, ()), owner.owns)
        ]
        labels = _labels(inventory, world, plan, places) if changes else {}
        for cluster, change in changes:
            plan.add(_action(change, owner, world.must(endpoint_id), cluster, labels))


def drs_clusters(inventory: Any) -> dict[str, Any]:
    """``{moid: ClusterRow}`` of the clusters with DRS on."""
    return {moid: row for moid, row in inventory.clusters.items() if row.cluster and row.drs}


def hard_groups(document: Document) -> list[tuple[str, str]]:
    """The hard rules of level host that a VM states, as (group, kind)."""
    groups = document.body.get("groups") or []
    return [(g["name"], g["kind"]) for g in groups if g["hard"] and g["level"] == "host"]


def wanted_rules(documents: Iterable[Document], places: dict[str, Place], owner: Owner) -> dict[str, list[Any]]:
    """``{cluster's moid: rules}``; as in the scheduler, what one member states holds for all members of the group.

    ``places``: where each VM is that is there, by id.
    """
    rules: set[tuple[str, str]] = set()
    members: dict[str, list[Place]] = defaultdict(list)
    for document in documents:
        if document.id in places:
            rules.update(hard_groups(document))
            for group in {group["name"] for group in document.body["groups"]}:
                members[group].append(places[document.id])
    found: dict[str, list[Any]] = defaultdict(list)
    for group, kind in sorted(rules):
        if owner.projects is not None and group.rpartition("/")[0] not in owner.projects:
            continue
        by_cluster: dict[str, list[str]] = defaultdict(list)
        for vm, cluster in members[group]:
            by_cluster[cluster].append(vm)
        for cluster, vms in by_cluster.items():
            found[cluster].append(vsphere.wanted_rule(owner.name(group, kind), kind, vms))
    return found


class Keeper:
    """One run's work on rules. ``pending`` are the endpoints whose rules the plan says differ."""

    def __init__(self, plan: Plan, world: World, context: Context, run: Any) -> None:
        self.plan, self.world, self.context, self.run = plan, world, context, run
        self.owner = Owner.of(context, plan)
        self.pending = {action.data["endpoint"] for action in plan.of(KIND)}
        self._bound = {group for vm in world.of(entities.VM) for group, _kind in hard_groups(vm)}
        self._written: dict[str, Action] = {}  # by name, what was done
        self._found: dict[str, list[str]] = {}  # by name, the VMs of our rules as they were when last seen
        self._errors: dict[str, PhotonError] = {}

    def binds(self, action: Action) -> bool:
        """Whether a VM belongs to a rule: then the rule is to be there before the VM is started."""
        body = action.document.body
        host, inventory = self.world.get(body.get("host")), self.world.inventories.get(body.get("endpoint") or "")
        row = inventory.hosts.get(host.body["moid"]) if inventory and host else None
        return bool(row and row.drs and self._bound & {group["name"] for group in body.get("groups") or []})

    def write(self, endpoint: Document, last: bool = True) -> None:
        """Make the rules of an endpoint's clusters fit its VMs as the CloudStore and vSphere now know them.

        ``last``: nothing that this run still does can change them. A failure is kept for ``finish``.
        """
        if last:
            self.pending.discard(endpoint.id)
        for name in [name for name in self._errors if name.partition("/")[0] == endpoint.name]:
            del self._errors[name]  # of an earlier attempt in this run
        try:
            self._write(endpoint)
        except PhotonError as error:
            if error.code == "LeaseLost":
                raise
            planned = [action.name for action in self.plan.of(KIND) if action.data["endpoint"] == endpoint.id]
            self._errors.update(dict.fromkeys(planned or [endpoint.name], error))

    def finish(self) -> None:
        """Write what is pending; then the plan says what was done to rules and what failed."""
        for endpoint_id in sorted(self.pending):
            self.write(self.world.must(endpoint_id))
        planned = {action.name: action for action in self.plan.of(KIND)}
        for name, action in planned.items():
            done = self._written.get(name)
            if done is not None:
                _follow(action, done)
            elif name not in self._errors and self._found.get(name) != action.after.get("vms"):
                action.verb = KEEP  # the VMs that it was for never came to be, or somebody was faster
        for name, action in self._written.items():
            if name not in planned:
                self.plan.add(action)
        for name, error in self._errors.items():
            self.plan.fail(KIND, name, error)

    # -- one endpoint ----------------------------------------------------------------------------------------------

    def _write(self, endpoint: Document) -> None:
        session, inventory = self.context.session(endpoint), self.world.inventories[endpoint.id]
        clusters = drs_clusters(inventory)
        recorded = self.context.store.snapshot(kinds=[entities.VM]).documents
        grouped = [d for d in recorded if d.body.get("endpoint") == endpoint.id and d.body.get("groups")]
        rows = {row.uuid: row for row in vsphere.lookup_vms(session, uuids=[d.id for d in grouped])} if grouped else {}
        places = {d.id: place for d in grouped if (place := _place(rows.get(d.id) or _torn(d, inventory), inventory))}
        labels = _labels(inventory, self.world, self.plan, places)
        wanted = wanted_rules(grouped, places, self.owner)
        there = vsphere.read_rules(session, clusters)
        jobs = []
        for moid, rules in there.items():
            cluster = clusters[moid]
            changes = vsphere.compare_rules(rules, wanted.get(moid, ()), self.owner.owns)
            self._note(rules, endpoint, cluster, labels)
            actions = [_action(change, self.owner, endpoint, cluster, labels) for change in changes]
            if changes:
                jobs.append(vsphere.change_rules(moid, cluster.name, changes, data={"actions": actions}))
        for job, outcome in vsphere.run_jobs(session, jobs, before_batch=self.run.renew):
            for action in job.data["actions"]:
                if isinstance(outcome, PhotonError):
                    self._errors[action.name] = outcome
                else:
                    self._take(action)

    def _note(self, rules: list[Any], endpoint: Document, cluster: Any, labels: dict[str, str]) -> None:
        for rule in rules:
            if self.owner.owns(rule.name):
                self._found[_name(rule.name, self.owner, endpoint, cluster)] = _names(rule.vms, labels)

    def _take(self, action: Action) -> None:
        """Two changes of a rule in one run are one to its reader."""
        before = self._written.get(action.name)
        if before is not None and action.verb == UPDATE:
            action.verb, action.before, action.reason = before.verb, before.before, before.reason
        self._written[action.name] = action


# -- helpers -------------------------------------------------------------------------------------------------------


def _follow(planned: Action, done: Action) -> None:
    """What a planned change came to. vSphere itself takes a deleted VM out of its rules: the plan knows them as they
    were before that."""
    if planned.verb != done.verb:
        planned.reason = done.reason
    planned.verb, planned.changes = done.verb, planned.changes or done.changes
    planned.before = {**done.before, **planned.before} if done.verb != CREATE else {}
    planned.after = {**planned.after, **done.after} if done.verb != DELETE else {}


def _projects(plan: Plan) -> frozenset[str]:
    """The paths of the projects whose VMs a plan is about."""
    return frozenset(action.name.rpartition("/")[0] for action in plan.of(entities.VM))


def _planned_place(document: Document, inventory: Any, world: World, new: Collection[str]) -> Place | None:
    """Where the plan leaves a VM; one to be made has its id for a moid."""
    if document.id in new:
        host = world.get(document.body.get("host"))
        row = inventory.hosts.get(host.body["moid"]) if host else None
        return (document.id, row.cluster_moid) if row else None
    return _place(inventory.vm(document.id, document.body.get("vsphere", {}).get("moid")), inventory)


def _place(row: Any, inventory: Any) -> Place | None:
    host = inventory.hosts.get(row.host or "") if row is not None else None
    return (row.moid, host.cluster_moid) if host else None


def _torn(document: Document, inventory: Any) -> Any:
    """A VM whose configuration is out of reach has no uuid to be found by, and stays in its rules all the same."""
    row = inventory.vm(document.id, document.body.get("vsphere", {}).get("moid"))
    return row if row is not None and not row.uuid else None


def _labels(inventory: Any, world: World, plan: Plan, places: dict[str, Place]) -> dict[str, str]:
    """``{moid: path}`` of our VMs, those to be deleted too; the name in vSphere of others."""
    labels = {moid: row.name for moid, row in inventory.vms.items()}
    gone = {action.id: action.name for action in plan.of(entities.VM, DELETE)}
    labels.update({moid: gone[row.uuid] for moid, row in inventory.vms.items() if row.uuid in gone})
    labels.update({place[0]: world.path_of(vm) for i, place in places.items() if (vm := world.get(i))})
    return labels


def _names(vms: Iterable[str], labels: dict[str, str]) -> list[str]:
    return sorted(labels.get(vm, vm) for vm in vms)


def _name(rule: str, owner: Owner, endpoint: Document, cluster: Any) -> str:
    return f"{endpoint.name}/{cluster.name}/{owner.label(rule)}"


def _action(change: Any, owner: Owner, endpoint: Document, cluster: Any, labels: dict[str, str]) -> Action:
    name = _name(change.name, owner, endpoint, cluster)
    data = {"endpoint": endpoint.id}
    document = Document(KIND, name, id=f"{cluster.moid}/{change.name}")
    if change.before is None:
        after = {"vms": _names(change.after.vms, labels), "mandatory": True}
        return Action(CREATE, KIND, name, document, _REASONS[change.after.kind], after=after, data=data)
    if change.after is None:
        return Action(DELETE, KIND, name, document, _TOO_FEW, {"vms": _names(change.before.vms, labels)}, data=data)
    before, after = (
        {field: _names(rule.vms, labels) if field == "vms" else getattr(rule, field) for field in change.fields}
        for rule in (change.before, change.after)
    )
    reason = f"{', '.join(change.fields)} differ"
    return Action(UPDATE, KIND, name, document, reason, before, after, [*change.fields], data)
