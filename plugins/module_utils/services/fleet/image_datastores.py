# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datastores that keep images: those of photon_image_datastores and those declared with ``image: true``."""

from __future__ import annotations

from ...model import entities, states
from ...model.authorization import authorize
from ...model.entities import Document
from ...model.errors import PhotonError
from ..planning import Planning, record_action
from ..state import CurrentState
from .names import find_renamed, not_found
from .plan import cloud_hosts
from .record import DatastoreFacts, HostFacts, effective_state


def image_datastores_of(state: CurrentState) -> list[Document]:
    """Return the datastores that hold images: the declared ones, else the fewest that serve every CLOUD host."""
    stores = [d for d in state.of(entities.DATASTORE) if effective_state(d) == states.READY]
    deployment = state.get(entities.DEPLOYMENT)
    names = (deployment.body.get("image_datastores") or []) if deployment else []
    if names or any(d.body.get("image") for d in state.of(entities.DATASTORE)):
        return [d for d in stores if d.name in names or d.body.get("image")]
    serves = {d.id: {h.id for h in cloud_hosts(state) if d.id in HostFacts.of(h).datastores} for d in stores}
    chosen: list[Document] = []
    waiting = set().union(*serves.values()) if serves else set()
    while waiting:
        best = max(stores, key=lambda d: (len(serves[d.id] & waiting), DatastoreFacts.of(d).capacity, d.name))
        chosen.append(best)
        waiting -= serves[best.id]
    return chosen


def plan_image_datastores(planning: Planning) -> None:
    """Plan the list of image datastores; it must contain the old one (InvalidImageDatastoreSet)."""
    names = planning.declaration.image_datastores
    if names is None:
        return
    try:
        _plan(sorted(names), planning)
    except PhotonError as error:
        planning.plan.fail(entities.DEPLOYMENT, "image_datastores", error, "photon_image_datastores")


def _plan(names: list[str], planning: Planning) -> None:
    state = planning.state
    current = state.get(entities.DEPLOYMENT)
    stores = state.of(entities.DATASTORE)
    for name in names:
        known = any(store.name == name for store in stores)
        if not known and (not state.unreachable or find_renamed(name, stores)):
            raise not_found(name, stores)
    old = (current.body.get("image_datastores") or []) if current else []
    flagged = {store.name for store in stores if store.body.get("image")}
    missing = sorted(set(old) - set(names) - flagged)
    if missing:
        raise PhotonError(
            "InvalidImageDatastoreSet",
            f"photon_image_datastores lacks {', '.join(missing)}: the new list must contain every datastore "
            "of the old one",
        )
    if current is not None and sorted(old) == names:
        return
    fresh = planning.deployment()
    authorize(planning.actor, "update" if current else "create", entities.DEPLOYMENT, *state.chain(fresh))
    record_action(
        planning,
        current,
        fresh.with_body(image_datastores=names),
        lambda d: {"image_datastores": d.body.get("image_datastores")},
        path="photon_image_datastores",
    )
