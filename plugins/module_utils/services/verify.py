# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify and repair: documents, allocations, exclusive keys, capacity, tasks and endpoints compared object by object.

Everything that the CloudStore derives is computed again from its documents, facts are taken from the endpoints. Nothing
in vSphere is changed, and no document is deleted unless an interrupted run deleted its resource. What only a person
can decide is reported with the next step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..cloudstore import Conflict, Snapshot
from ..model import entities
from ..model.authorization import authorize
from . import recovery, registry, site, verify_records
from .context import Context
from .findings import Finding
from .state import CurrentState

ATTEMPTS = 3  # times that a repair is tried before it gives up against others' changes
SHOWN = 50  # findings in a summary


@dataclass(slots=True)
class Verified:
    """``left``: what differs, and with a repair differs afterwards. ``compared`` and ``unread``: names of endpoints."""

    left: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def outcome(self, *, check: bool, limit: int | None = SHOWN) -> dict[str, Any]:
        """Return the result as modules return it; at most ``limit`` findings, those that need a person first."""
        left = sorted(self.left, key=lambda f: (f.repairable, f.kind, f.name))
        repaired = sorted(self.repaired, key=lambda f: (f.kind, f.name))
        ordered = [*left, *repaired]
        rows = [{**f.to_dict(), "repaired": n >= len(left)} for n, f in enumerate(ordered)]
        changes = [f for f in left if f.repairable] if check else repaired
        return {
            "changed": bool(changes),
            "counts": dict(sorted(Counter(f.what for f in ordered).items())),
            "found": len(ordered),
            "repairable": sum(f.repairable for f in self.left),
            "repaired": len(self.repaired),
            "left": len(self.left),
            "findings": rows[:limit],
            "endpoints": {"compared": self.compared, "not_compared": self.unread},
            "warnings": self.warnings,
            "diff": {
                "before": "".join(f"{f.kind} {f.name}: {f.found}\n" for f in changes[:limit]),
                "after": "".join(f"{f.kind} {f.name}: {f.expected}\n" for f in changes[:limit]),
            },
        }


def verify(context: Context, *, repair: bool = False) -> Verified:
    """Compare everything, and with ``repair`` remove the differences that need no decision.

    Raises AccessForbidden, and Conflict when others changed the same documents during each attempt. Endpoints that
    cannot be read are warnings: their part is not compared.
    """
    found = _look(context)
    if not repair or not any(finding.repairable for finding in found.left):
        return found
    findings = {finding.key: finding for finding in found.left}
    settled: list[str] = []
    if any(finding.what == verify_records.INTERRUPTED for finding in found.left):
        settled = recovery.recover(context)
        found = _look(context)
        findings |= {finding.key: finding for finding in found.left}
    _repair(context, [finding for finding in found.left if finding.repairable])
    after = _look(context)
    left = {finding.key for finding in after.left}
    after.repaired = [finding for key, finding in findings.items() if finding.repairable and key not in left]
    after.warnings = [*settled, *after.warnings]
    return after


def compare(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    """Yield all that differs between a snapshot with its allocations and the endpoints read into ``state``."""
    yield from verify_records.compare(snapshot, state)
    for kind in registry.KINDS.values():
        for finding in list(kind.verify(state)) if kind.verify is not None else ():
            if finding.observed is not None:
                state.put(finding.observed)  # VMs are compared with the facts of their hosts as they are now
            yield finding


def _look(context: Context) -> Verified:
    snapshot = context.store.snapshot(allocations=True)
    run_id = context.run.id if context.run is not None else ""
    state = CurrentState.of_snapshot(snapshot, run_id)
    deployment = state.get(entities.DEPLOYMENT)
    authorize(context.actor, "verify", entities.DEPLOYMENT, *([deployment] if deployment is not None else []))
    context.read_endpoints(state, state.of(entities.ENDPOINT))
    context.read_disks(state)
    site.check_identities(state)
    answer = Verified(compared=sorted(state.must(i).name for i in state.inventories))
    for endpoint_id, error in sorted(state.unreachable.items(), key=lambda item: state.must(item[0]).name):
        if error.code != "DuplicateHost":
            answer.unread.append(state.must(endpoint_id).name)
            answer.warnings.append(
                f"endpoint {answer.unread[-1]} could not be read, so only its records were compared: {error.message}"
            )
    if not answer.compared and state.of(entities.ENDPOINT):
        answer.warnings.append("no endpoint could be read: the CloudStore alone was verified")
    others = snapshot.live_runs - {run_id}
    if others:
        answer.warnings.append(
            f"{len(others)} other {'run works' if len(others) == 1 else 'runs work'} on this CloudStore: what they "
            "change now may appear as a finding; verify again when they have ended"
        )
    answer.left = list(compare(snapshot, state))
    for kind in registry.KINDS.values():
        if kind.verify_unknown is not None:
            answer.left += kind.verify_unknown(state, context)
    return answer


def _repair(context: Context, findings: list[Finding]) -> None:
    """Remove the differences in one transaction; tried again when others change the same documents."""
    for attempt in range(1, ATTEMPTS + 1):
        state = CurrentState.of_snapshot(context.store.snapshot())
        try:
            context.store.run(lambda tx, state=state: _write(tx, findings, state))
            return
        except Conflict:
            if attempt == ATTEMPTS:
                raise


def _write(tx: Any, findings: Iterable[Finding], state: CurrentState) -> None:
    """Providers and capacity before claims, which refer to them; facts before claims, which are computed from them."""
    findings = list(findings)
    fresh = {f.observed.id: f.observed for f in findings if f.observed is not None and state.get(f.observed.id)}
    consumers = {consumer for f in findings for consumer in f.consumers if state.get(consumer) is not None}
    tx.check_versions({i: state.versions[i] for i in sorted({*consumers, *fresh})})
    tx.observe(
        {i: d.observed for i, d in fresh.items()},
        {i: d.state for i, d in fresh.items() if d.kind in (entities.VM, entities.DISK)},
    )
    tx.forget(sorted({i for f in findings for i in f.orphans if state.get(i) is None}))
    tx.add_providers({f.provider.id: f.provider.kind for f in findings if f.provider is not None})
    tx.set_inventories([f.capacity for f in findings if f.capacity is not None and state.get(f.capacity.provider)])
    for document in tx.get({*consumers, *fresh}).values():
        state.put(document)
    documents = [state.must(i) for i in sorted({*consumers, *fresh})]
    tx.claim([claim for d in documents if (claim := registry.claim_of(d, state)) is not None], check=False)
