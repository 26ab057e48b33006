# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep hard groups of VMs as rules of their DRS clusters, so that DRS does not undo what placement decided.

A hard group of level host has one rule in each cluster with DRS on that runs two of its VMs or more. The platform's
rules are those whose name begins with this CloudStore's own prefix; rules of others are never changed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ... import vsphere
from ...model import entities
from ...model.authorization import Actor, permits
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Applying
from ..planning import CREATE, DELETE, KEEP, UPDATE, Action, Outcome, Plan, Planning, differing
from ..state import CurrentState

KIND = "drs rule"
_LONGEST_NAME = 80
_REASONS = {"affinity": "hard affinity", "anti-affinity": "hard anti-affinity"}
_TOO_FEW = "its group has fewer than two VMs in the cluster"
Position = tuple[str, str]  # a VM's moid and its cluster's


@dataclass(slots=True, kw_only=True)
class ChangeRules(Action):
    """Create, change or delete one rule of a cluster of ``endpoint`` (an id). It has no record in the CloudStore."""

    recorded: ClassVar[bool] = False

    endpoint: str


@dataclass(slots=True)
class Owner:
    """Whose rules a run looks after: those of one CloudStore, of all projects or (``projects``) of some paths."""

    prefix: str
    projects: frozenset[str] | None = None

    @classmethod
    def of(cls, tag: str, actor: Actor, state: CurrentState, plan: Plan) -> Owner:
        """Return all rules for a system administrator, else those of the plan's projects that the actor may change.

        Those of a partial plan are its projects' too.
        """
        prefix = f"photon-{tag}."
        return cls(prefix, None if actor.system_administrator and not plan.partial else _projects(actor, state, plan))

    def owns(self, name: str) -> bool:
        """Tell whether a rule is one that this run looks after."""
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


def plan_rules(planning: Planning) -> None:
    """Add an action for each rule that differs from what the VMs, as the plan leaves them, need."""
    state, plan = planning.state, planning.plan
    endpoints = [each for each in state.of(entities.ENDPOINT) if each.id in state.inventories]
    drs = {each.id: found for each in endpoints if (found := drs_clusters(state.inventories[each.id]))}
    if not drs:
        return
    owner = Owner.of(planning.rules_tag, planning.actor, state, plan)
    new = {action.id for action in plan.of(entities.VM, CREATE)}
    documents = [document for document in state.of(entities.VM) if document.body.get("groups")]
    for endpoint_id, clusters in drs.items():
        inventory = state.inventories[endpoint_id]
        here = [document for document in documents if document.observed.get("endpoint") == endpoint_id]
        positions = {d.id: found for d in here if (found := _planned_position(d, inventory, state, new))}
        wanted = wanted_rules(here, positions, owner)
        changes = [
            (cluster, change)
            for moid, cluster in clusters.items()
            for change in vsphere.compare_rules(cluster.rules, wanted.get(moid, ()), owner.owns)
        ]
        labels = _labels(inventory, state, plan, positions) if changes else {}
        for cluster, change in changes:
            plan.add(_action(change, owner, state.must(endpoint_id), cluster, labels))


def drs_clusters(inventory: Any) -> dict[str, Any]:
    """``{moid: ClusterRow}`` of the clusters with DRS on."""
    return {moid: row for moid, row in inventory.clusters.items() if row.cluster and row.drs}


def hard_groups(document: Document) -> list[tuple[str, str]]:
    """The hard rules of level host that a VM states, as (group, kind)."""
    groups = document.body.get("groups") or []
    return [(g["name"], g["kind"]) for g in groups if g["hard"] and g["level"] == "host"]


def wanted_rules(documents: Iterable[Document], positions: dict[str, Position], owner: Owner) -> dict[str, list[Any]]:
    """``{cluster's moid: rules}``; as in the scheduler, what one member states holds for all members of the group.

    ``positions``: where each existing VM is, by id.
    """
    rules: set[tuple[str, str]] = set()
    members: dict[str, list[Position]] = defaultdict(list)
    for document in documents:
        if document.id in positions:
            rules.update(hard_groups(document))
            for group in {group["name"] for group in document.body["groups"]}:
                members[group].append(positions[document.id])
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


class RuleWriter:
    """One run's work on rules. ``pending`` are the ids of the endpoints whose rules the plan says differ."""

    def __init__(self, applying: Applying) -> None:
        self.plan, self.state, self.context = applying.plan, applying.state, applying.context
        self.owner = Owner.of(self.context.store.rules_tag, self.context.actor, self.state, self.plan)
        self.pending = {action.endpoint for action in self.plan.of_type(ChangeRules)}
        self._bound = {group for vm in self.state.of(entities.VM) for group, _kind in hard_groups(vm)}
        self._written: dict[str, ChangeRules] = {}  # by name, what was done
        self._found: dict[str, list[str]] = {}  # by name, the VMs of our rules as they were when last seen
        self._errors: dict[str, PhotonError] = {}

    def binds(self, vm: Document) -> bool:
        """Tell whether a VM belongs to a rule, which must then exist before the VM is started."""
        host = self.state.get(vm.observed.get("host"))
        inventory = self.state.inventories.get(vm.observed.get("endpoint") or "")
        row = inventory.hosts.get(host.observed.get("moid")) if inventory and host else None
        return bool(row and row.drs and self._bound & {group["name"] for group in vm.body.get("groups") or []})

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
            if error.ends_run:
                raise
            planned = [action.name for action in self.plan.of_type(ChangeRules) if action.endpoint == endpoint.id]
            self._errors.update(dict.fromkeys(planned or [endpoint.name], error))

    def finish(self) -> None:
        """Write what is pending; then give each action on a rule its outcome, and add what was done beyond the plan."""
        for endpoint_id in sorted(self.pending):
            self.write(self.state.must(endpoint_id))
        planned = {action.name: action for action in self.plan.of_type(ChangeRules)}
        for name, action in planned.items():
            done, error = self._written.get(name), self._errors.get(name)
            if done is not None:
                _follow(action, done)
            elif error is None and self._found.get(name) != action.after.get("vms"):
                action.verb = KEEP  # its VMs were not created, or another run was faster
            self._finish(action, changed=done is not None or (error is None and action.verb != KEEP))
        for name, action in self._written.items():
            if name not in planned:
                self._finish(self.plan.add(action), changed=True)
        for name in self._errors.keys() - planned.keys() - self._written.keys():
            self.plan.fail(KIND, name, self._errors[name])

    def _finish(self, action: ChangeRules, changed: bool) -> None:
        document = None if action.verb == DELETE else action.document
        self.plan.finish(action, Outcome(changed, self._errors.get(action.name), document))

    # -- one endpoint ----------------------------------------------------------------------------------------------

    def _write(self, endpoint: Document) -> None:
        session, inventory = self.context.session(endpoint), self.state.inventories[endpoint.id]
        clusters = drs_clusters(inventory)
        recorded = self.context.store.snapshot(kinds=[entities.VM]).documents
        grouped = [d for d in recorded if d.observed.get("endpoint") == endpoint.id and d.body.get("groups")]
        rows: dict[str, Any] = {}
        for row in vsphere.lookup_vms(session, uuids=[d.id for d in grouped]) if grouped else ():
            rows.setdefault(row.uuid, row)
            rows[row.moid] = row
        positions = {}
        for document in grouped:
            row = rows.get(_moid(document) or "") or rows.get(document.id) or _unreadable(document, inventory)
            if (position := _position(row, inventory)) is not None:
                positions[document.id] = position
        labels = _labels(inventory, self.state, self.plan, positions)
        wanted = wanted_rules(grouped, positions, self.owner)
        jobs, actions = [], {}
        for moid, rules in vsphere.read_rules(session, clusters).items():
            cluster = clusters[moid]
            changes = vsphere.compare_rules(rules, wanted.get(moid, ()), self.owner.owns)
            self._note(rules, endpoint, cluster, labels)
            actions[moid] = [_action(change, self.owner, endpoint, cluster, labels) for change in changes]
            if changes:
                jobs.append(vsphere.change_rules(moid, cluster.name, changes))
        for job, outcome in vsphere.run_jobs(session, jobs):
            if isinstance(outcome, PhotonError) and outcome.ends_run:
                raise outcome
            for action in actions[job.key]:
                if isinstance(outcome, PhotonError):
                    self._errors[action.name] = outcome
                else:
                    self._take(action)

    def _note(self, rules: list[Any], endpoint: Document, cluster: Any, labels: dict[str, str]) -> None:
        for rule in rules:
            if self.owner.owns(rule.name):
                self._found[_name(rule.name, self.owner, endpoint, cluster)] = _names(rule.vms, labels)

    def _take(self, action: ChangeRules) -> None:
        """Two changes of a rule in one run are one to its reader."""
        before = self._written.get(action.name)
        if before is not None and action.verb == UPDATE:
            action.verb, action.before, action.reason = before.verb, before.before, before.reason
        self._written[action.name] = action


# -- helpers -------------------------------------------------------------------------------------------------------


def _follow(planned: ChangeRules, done: ChangeRules) -> None:
    """Show what became of a planned change. vSphere itself removes a deleted VM from its rules: the plan has them as
    they were before that."""
    if planned.verb != done.verb:
        planned.reason = done.reason
    planned.verb, planned.changes = done.verb, planned.changes or done.changes
    planned.before = {**done.before, **planned.before} if done.verb != CREATE else {}
    planned.after = {**planned.after, **done.after} if done.verb != DELETE else {}


def _projects(actor: Actor, state: CurrentState, plan: Plan) -> frozenset[str]:
    """The paths of the projects whose VMs a plan is about and whose VMs the actor may change."""
    named = {action.name.rpartition("/")[0] for action in plan.of(entities.VM)}
    paths = {state.path_of(project): project for project in state.of(entities.PROJECT)}
    return frozenset(
        path for path in named & paths.keys() if permits(actor, "update", entities.VM, *state.chain(paths[path]))
    )


def _planned_position(document: Document, inventory: Any, state: CurrentState, new: Collection[str]) -> Position | None:
    """Where the plan leaves a VM; one that is to be created has its id for a moid."""
    if document.id in new:
        host = state.get(document.observed.get("host"))
        row = inventory.hosts.get(host.observed.get("moid")) if host else None
        return (document.id, row.cluster_moid) if row else None
    return _position(inventory.vm(document.id, _moid(document)), inventory)


def _position(row: Any, inventory: Any) -> Position | None:
    host = inventory.hosts.get(row.host or "") if row is not None else None
    return (row.moid, host.cluster_moid) if host else None


def _moid(document: Document) -> str | None:
    return (document.observed.get("vsphere") or {}).get("moid")


def _unreadable(document: Document, inventory: Any) -> Any:
    """A VM whose configuration cannot be read has no uuid to be found by, and stays in its rules nevertheless."""
    row = inventory.vm(document.id, _moid(document))
    return row if row is not None and not row.uuid else None


def _labels(inventory: Any, state: CurrentState, plan: Plan, positions: dict[str, Position]) -> dict[str, str]:
    """``{moid: path}`` of our VMs, those to be deleted too; the name in vSphere of others."""
    labels = {moid: row.name for moid, row in inventory.vms.items()}
    gone = {action.id: action.name for action in plan.of(entities.VM, DELETE)}
    labels.update({moid: gone[row.uuid] for moid, row in inventory.vms.items() if row.uuid in gone})
    labels.update({place[0]: state.path_of(vm) for i, place in positions.items() if (vm := state.get(i))})
    return labels


def _names(vms: Iterable[str], labels: dict[str, str]) -> list[str]:
    return sorted(labels.get(vm, vm) for vm in vms)


def _name(rule: str, owner: Owner, endpoint: Document, cluster: Any) -> str:
    return f"{endpoint.name}/{cluster.name}/{owner.label(rule)}"


def _action(change: Any, owner: Owner, endpoint: Document, cluster: Any, labels: dict[str, str]) -> ChangeRules:
    name = _name(change.name, owner, endpoint, cluster)
    common: dict[str, Any] = {
        "kind": KIND,
        "name": name,
        "document": Document(KIND, name, id=f"{cluster.moid}/{change.name}"),
        "endpoint": endpoint.id,
    }
    if change.before is None:
        after = {"vms": _names(change.after.vms, labels), "mandatory": True}
        return ChangeRules(verb=CREATE, reason=_REASONS[change.after.kind], after=after, **common)
    if change.after is None:
        before = {"vms": _names(change.before.vms, labels)}
        return ChangeRules(verb=DELETE, reason=_TOO_FEW, before=before, **common)
    before, after = (
        {field: _names(rule.vms, labels) if field == "vms" else getattr(rule, field) for field in change.fields}
        for rule in (change.before, change.after)
    )
    reason = differing(change.fields)
    return ChangeRules(verb=UPDATE, reason=reason, before=before, after=after, changes=[*change.fields], **common)
