# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the DRS rules of clusters: which VMs must share a host and which must not.

The bulk read includes a cluster's rules (``ClusterRow.rules``). Only rules that the caller owns are changed, all of a
cluster in one ReconfigureComputeResource_Task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import api, retrieve
from .jobs import Job
from .rows import RuleRow
from .session import Session

_KINDS = {"ClusterAffinityRuleSpec": "affinity", "ClusterAntiAffinityRuleSpec": "anti-affinity"}
SMALLEST = 2  # VMs; DRS refuses a rule of fewer


@dataclass(slots=True)
class RuleChange:
    """One rule before and after the change; None where it does not exist. ``after.key`` is ignored."""

    before: RuleRow | None
    after: RuleRow | None

    @property
    def name(self) -> str:
        rule = self.after or self.before
        return rule.name if rule else ""

    @property
    def fields(self) -> list[str]:
        """The fields in which the two rules differ."""
        if self.before is None or self.after is None:
            return []
        names = ("kind", "vms", "enabled", "mandatory")
        return [name for name in names if getattr(self.before, name) != getattr(self.after, name)]


def wanted_rule(name: str, kind: str, vms: Iterable[str]) -> RuleRow:
    """Build a mandatory rule: ``kind`` affinity or anti-affinity, ``vms`` the moids of its VMs."""
    return RuleRow(0, name, kind, frozenset(vms), enabled=True, mandatory=True)


def compare_rules(
    there: Iterable[RuleRow], wanted: Iterable[RuleRow], owned: Callable[[str], bool]
) -> list[RuleChange]:
    """List the changes that make a cluster's rules the wanted ones, by name; a rule of fewer than two VMs is not
    wanted.

    Other rules are removed where ``owned(name)`` is true and stay as they are elsewhere.
    """
    left = {rule.name: rule for rule in wanted if len(rule.vms) >= SMALLEST}
    changes = []
    for rule in there:
        if (target := left.pop(rule.name, None)) is not None:
            change = RuleChange(rule, target)
            changes += [change] if change.fields else []
        elif owned(rule.name):
            changes.append(RuleChange(rule, None))
    return changes + [RuleChange(None, rule) for rule in left.values()]


def rules_of(configuration: Any) -> list[RuleRow]:
    """Return the rules in a cluster's ``configurationEx``; those between VMs and hosts have no ``vms``."""
    return [
        RuleRow(
            int(retrieve.text(rule, "key", "0")),
            retrieve.text(rule, "name"),
            _KINDS.get(retrieve.type_of(rule), "other"),
            frozenset(vm.text or "" for vm in retrieve.children(rule, "vm")),
            retrieve.text(rule, "enabled") == "true",
            retrieve.text(rule, "mandatory") == "true",
        )
        for rule in retrieve.children(configuration, "rule")
    ]


def read_rules(session: Session, clusters: Iterable[str]) -> dict[str, list[RuleRow]]:
    """Read the current rules of clusters in one call: ``{cluster's moid: rules}``; deleted clusters are omitted."""
    rows = retrieve.from_objects(session, "ClusterComputeResource", clusters, ["configurationEx"])
    return {
        moid: rules_of(values["configurationEx"])
        for _kind, moid, values in rows
        if retrieve.is_object(values.get("configurationEx"))
    }


def change_rules(moid: str, name: str, changes: Iterable[RuleChange], **options: Any) -> Job:
    """Change a cluster's rules in one task; ``options`` are Job's fields."""
    chosen = list(changes)
    what = f"change {len(chosen)} DRS rules of cluster {name}"

    def submit(session: Session) -> Any:
        # A rule's type cannot be edited. Removals come first, so that a name is free before another rule takes it.
        removed = [c.before for c in chosen if c.before and (c.after is None or c.before.kind != c.after.kind)]
        specs = [_spec("remove", removeKey=rule.key) for rule in removed]
        for change in chosen:
            if change.after is not None:
                edit = change.before is not None and change.before not in removed
                key = change.before.key if change.before is not None and edit else None
                specs.append(_spec("edit" if edit else "add", info=_info(session, change.after, key)))
        configuration = api.load().vim.cluster.ConfigSpecEx(rulesSpec=specs)
        cluster = session.reference("ClusterComputeResource", moid)
        return session.call(what, cluster.ReconfigureComputeResource_Task, configuration, True)

    return Job(what=what, submit=submit, **{"key": moid, **options})


def _spec(operation: str, **fields: Any) -> Any:
    return api.load().vim.cluster.RuleSpec(operation=operation, **fields)


def _info(session: Session, rule: RuleRow, key: int | None) -> Any:
    cluster = api.load().vim.cluster
    kind = {"affinity": cluster.AffinityRuleSpec, "anti-affinity": cluster.AntiAffinityRuleSpec}[rule.kind]
    vms = [session.reference("VirtualMachine", vm) for vm in sorted(rule.vms)]
    info = kind(name=rule.name, enabled=rule.enabled, mandatory=rule.mandatory, vm=vms)
    if key is not None:
        info.key = key
    return info
