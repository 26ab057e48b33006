# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: a file on the controller becomes a template on each image datastore, whose disk is the parent of boot disks.

An image is READY once one copy is there; a copy that is missing (a new image datastore, a failed upload) is made by
the next run. A template's instanceUuid follows from image and datastore, so a run that died leaves nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model import entities
from ..model.authorization import Actor, authorize
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from .fleet import image_datastores_of
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

_NAMESPACE = uuid.UUID("0b1d63f4-6a3a-5d3e-9c40-6f6e2f0c5a11")


def plan_images(
    items: Iterable[dict[str, Any]], files: Mapping[str, Any], world: World, plan: Plan, actor: Actor, managed_by: str
) -> None:
    """``files``: ``{path: facts of the file, or the PhotonError of reading it}`` (see files_to_read).

    An item: ``{name, file, replication, tenant, project, state, path}``; tenant and project only for a project's image.
    """
    targets = image_datastores_of(world)
    for item in items:
        try:
            _plan_image(item, files, targets, world, plan, actor, managed_by)
        except PhotonError as error:
            if not item.get("project"):
                world.failed[entities.IMAGE, "", item["name"]] = error
            plan.fail(entities.IMAGE, item["name"], error, item.get("path", ""))


def files_to_read(items: Iterable[dict[str, Any]], stat: Any, world: World) -> list[str]:
    """The declared files whose content must be looked at: new images, and files whose size or time changed.

    ``stat(path)`` -> ``[size, mtime_ns]`` or None.
    """
    paths = []
    for item in items:
        if item.get("state") == "absent" or not item.get("file"):
            continue
        current = _find(item, world)
        if current is None or current.body.get("stat") != stat(item["file"]):
            paths.append(item["file"])
    return paths


def users_of(image: Document, world: World) -> list[Document]:
    """The VMs whose boot disk is a child of the image."""
    return [vm for vm in world.of(entities.VM) if vm.body["image"] == image.id]


def template_uuid(image_id: str, datastore_id: str) -> str:
    """The instanceUuid of an image's template on a datastore."""
    return str(uuid.uuid5(_NAMESPACE, f"{image_id}/{datastore_id}"))


def plan_delete(current: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = "") -> None:
    """An image in use becomes PENDING_DELETE and goes with its last VM."""
    authorize(actor, "delete", entities.IMAGE, *world.chain(current)[:-1])
    label, users = world.path_of(current), users_of(current, world)
    if users:
        if current.state != "PENDING_DELETE":
            document = world.put(replace(current, state="PENDING_DELETE"))
            plan.add(
                Action(
                    UPDATE,
                    entities.IMAGE,
                    label,
                    document,
                    f"{reason}; {len(users)} VMs still use it",
                    path=path,
                    before={"state": current.state},
                    after={"state": "PENDING_DELETE"},
                    changes=["state"],
                )
            )
        return
    world.drop(current.id)
    plan.add(Action(DELETE, entities.IMAGE, label, current, reason, path=path))


def _plan_image(
    item: dict[str, Any],
    files: Mapping[str, Any],
    targets: list[Document],
    world: World,
    plan: Plan,
    actor: Actor,
    managed_by: str,
) -> None:
    scope, current, path = _scope(item, world), _find(item, world), item.get("path", "")
    if item.get("state") == "absent":
        if current is not None:
            plan_delete(current, world, plan, actor, "declared absent", path)
        return
    fresh = current or Document(
        entities.IMAGE,
        item["name"],
        scope,
        managed_by=managed_by,
        name_key=name_key(entities.IMAGE, scope, item["name"]),
        body={"copies": {}},
    )
    authorize(actor, "update" if current else "create", entities.IMAGE, *world.chain(fresh)[:-1])
    if fresh.state not in ("READY", "ERROR", "CREATING"):
        raise PhotonError(
            "InvalidImageState", f"image {item['name']} is {fresh.state}: its VMs must go before it can be made anew"
        )
    body = {**fresh.body, **_content(item, fresh, files)}
    reachable = [d for d in targets if d.body["endpoint"] not in world.unreachable]
    missing = [d for d in reachable if d.id not in body["copies"]]
    if not targets:
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"image {item['name']} has no datastore to go to: declare hosts with "
            "datastores, or photon_image_datastores",
        )
    body["copies"] = {**body["copies"], **{d.id: {} for d in missing}}
    document = world.put(replace(fresh, state="READY", body=body))
    changes = [
        *(["copies"] if missing else []),
        *(["replication"] if current and current.body["replication"] != body["replication"] else []),
    ]
    verb = CREATE if current is None else UPDATE if changes or fresh.state != "READY" else KEEP
    plan.add(
        Action(
            verb,
            entities.IMAGE,
            world.path_of(document),
            document,
            path=path,
            changes=changes,
            reason="declared" if current is None else "copies are missing" if missing else ", ".join(changes),
            before={}
            if current is None
            else {"copies": sorted(_names(set(body["copies"]) - {d.id for d in missing}, world))},
            after={"replication": body["replication"], "copies": sorted(_names(body["copies"], world))}
            if verb != KEEP
            else {},
            data={
                "targets": [d.id for d in missing],
                "file": item.get("file"),
                "observed_only": bool(current) and verb == KEEP and body.get("stat") != fresh.body.get("stat"),
            },
        )
    )


def _content(item: dict[str, Any], fresh: Document, files: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says; an image's content never changes, so another content needs another name."""
    path, replication = item.get("file"), item.get("replication") or fresh.body.get("replication")
    if replication is None:
        raise PhotonError(
            "InvalidImageReplicationType",
            f"image {item['name']} does not exist yet: give replication EAGER or ON_DEMAND",
        )
    if not path and "sha256" not in fresh.body:
        raise PhotonError("ImageUploadError", f"image {item['name']} does not exist yet: give its file")
    if path not in files:  # neither new nor touched since it was read
        return {"replication": replication}
    facts = files[path]
    if isinstance(facts, PhotonError):
        raise PhotonError(facts.code, f"image {item['name']}: {facts.message}", facts.data)
    if fresh.body.get("sha256") not in (None, facts["sha256"]):
        raise PhotonError(
            "UpdateNotSupported",
            f"image {item['name']}: {path} has another content than the image was made "
            "from; declare it under a new name, and the old one absent",
        )
    return {"replication": replication, "file": path.rpartition("/")[2], **facts}


def _scope(item: dict[str, Any], world: World) -> str:
    if not item.get("project"):
        return ""
    tenant = world.require(entities.TENANT, "", item["tenant"])
    return world.require(entities.PROJECT, tenant.id, item["project"]).id


def _find(item: dict[str, Any], world: World) -> Document | None:
    scope = ""
    if item.get("project"):
        tenant = world.find(entities.TENANT, "", item["tenant"])
        project = world.find(entities.PROJECT, tenant.id, item["project"]) if tenant else None
        if project is None:
            return None
        scope = project.id
    return world.find(entities.IMAGE, scope, item["name"])


def _names(datastore_ids: Iterable[str], world: World) -> list[str]:
    return [world.path_of(document) if (document := world.get(i)) else i for i in datastore_ids]
