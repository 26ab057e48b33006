# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply what a plan says about images: make the missing copies, delete copies and images."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ... import vsphere
from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import listed
from ..context import Applying
from ..planning import Outcome
from .copies import CopyImage, DeleteCopy, row_of
from .plan import DeleteImage, ReplicateImage
from .replicate import Replication


def apply_copies(applying: Applying) -> None:
    """Make the missing copies, image by image; failures become failures of the plan."""
    plan = applying.plan
    images = {a.id: a for a in plan.of_type(ReplicateImage) if a.task is not None and a.outcome is None}
    groups: dict[str, list[CopyImage]] = {image_id: [] for image_id in images}
    for action in plan.of_type(CopyImage):
        if action.outcome is None:
            groups.setdefault(action.copy.image, []).append(action)
    for image_id, actions in groups.items():
        Replication(applying, image_id, actions, images.get(image_id)).run()


def delete_copies(applying: Applying) -> None:
    """Delete copies, all of an endpoint together; their images' VMs are gone by then."""
    groups: dict[str, list[DeleteCopy]] = defaultdict(list)
    for action in applying.plan.of_type(DeleteCopy):
        if action.outcome is None:
            groups[applying.state.must(action.copy.datastore).scope].append(action)
    for endpoint_id, actions in groups.items():
        errors = _delete_templates(applying.state.must(endpoint_id), actions, applying)
        gone = [action for action in actions if action.id not in errors]

        def end(tx: Any, actions: list[DeleteCopy] = actions, errors: Any = errors, gone: Any = gone) -> None:
            tx.bury([action.document for action in gone])
            tx.finish_tasks({action.task.id: errors.get(action.id) for action in actions})  # type: ignore[union-attr]

        applying.context.store.run(end)
        for action in actions:
            error = errors.get(action.id)
            applying.plan.finish(action, Outcome(error is None, error, action.document if error else None))


def delete_images(applying: Applying) -> None:
    """Delete the images whose copies are gone, with the raw digests that no other image of the same file needs."""
    for action in applying.plan.of_type(DeleteImage):
        if action.outcome is None:
            _delete(action, applying)


def _delete_templates(endpoint: Document, actions: list[DeleteCopy], applying: Applying) -> dict[str, PhotonError]:
    """``{copy: error}`` of those that are still there."""
    errors: dict[str, PhotonError] = {}
    jobs = []
    try:
        for action in actions:
            row = row_of(action.copy, applying.state)
            if row is not None:
                jobs.append(vsphere.delete_template(row.moid, row.name, row.uuid, key=action.id))
        for job, outcome in vsphere.run_jobs(applying.context.session(endpoint), jobs) if jobs else ():
            if isinstance(outcome, PhotonError):
                errors.setdefault(job.key, outcome)
    except PhotonError as error:  # the endpoint itself failed
        if error.ends_run:
            raise
        errors = {action.id: error for action in actions}
    return errors


def _delete(action: DeleteImage, applying: Applying) -> None:
    image, task = action.document, action.task
    sha256 = image.body.get("sha256", "")
    shared = any(other.body.get("sha256") == sha256 for other in applying.state.of(entities.IMAGE))

    def end(tx: Any) -> PhotonError | None:
        left = tx.users([image.id])[image.id]
        error = _kept(image, left) if left else None
        if error is None:
            tx.bury([image])
            if not shared:
                tx.drop_raw_digests(sha256)
        tx.finish_tasks({task.id: error})  # type: ignore[union-attr]
        return error

    error = applying.context.store.run(end)
    applying.plan.finish(action, Outcome(error is None, error, image if error else None))


def _kept(image: Document, left: list[Document]) -> PhotonError:
    names = listed([copy.name for copy in left], 5)
    return PhotonError(
        "DependencyFailed",
        f"image {image.name} is kept: {len(left)} of its copies could not be deleted ({names}); fix what kept them, "
        "then run again",
    )
