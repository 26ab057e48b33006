# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe endpoints, zones, hosts and datastores in names instead of ids."""

from __future__ import annotations

from typing import Any

from ...model import entities, states
from ...model.entities import Document
from ..fleet_view import View
from .capacity import limits_of
from .record import DatastoreFacts, HostFacts


def endpoint(document: Document, view: View) -> dict[str, Any]:
    keys = ("type", "address", "port", "credential", "tls", "datacenter", "folder", "timeout")
    hosts = [h for h in view.state.of(entities.HOST) if h.body["endpoint"] == document.id]
    return {**{key: document.body.get(key) for key in keys}, "hosts": len(hosts)}


def zone(document: Document, view: View) -> dict[str, Any]:
    hosts = [h.name for h in view.state.of(entities.HOST) if h.body.get("zone") == document.id]
    return {"dedicated_tenants": document.body.get("dedicated_tenants") or [], "hosts": sorted(hosts)}


def host(document: Document, view: View) -> dict[str, Any]:
    row, facts = view.hosts[document.id], HostFacts.of(document)
    vcpus, memory = limits_of(document)
    return {
        **{key: document.body.get(key) for key in ("address", "rack", "usage_tags", "tags", "metadata")},
        "cluster": facts.cluster,
        "drs": facts.drs,
        "port_groups": list(facts.port_groups),
        "endpoint": row["endpoint"],
        "zone": row["zone"],
        "datastores": sorted(map(view.state.name_of, row["datastores"])),
        "vcpus": row["vcpus"],
        "memory": row["memory"],
        "capacity": {"vcpus": vcpus, "memory": memory},
        "used": {"vcpus": row["used_vcpus"], "memory": row["used_memory"]},
        "free": {"vcpus": row["free_vcpus"], "memory": row["free_memory"]},
        "score": row["score"],
        "parts": row["parts"],
        "images": row["images"],
        "vms": view.vms_on[document.id],
    }


def datastore(document: Document, view: View) -> dict[str, Any]:
    row = view.datastores[document.id]
    copies = (c for c in view.state.of(entities.IMAGE_COPY) if c.body["datastore"] == document.id)
    images = [view.state.must(c.scope) for c in copies if c.state == states.READY]
    return {
        "endpoint": view.state.name_of(document.scope),
        "type": DatastoreFacts.of(document).type,
        "tags": document.body["tags"],
        "usable_for_vms": document.body["usable_for_vms"],
        "capacity": row["capacity"],
        "used": row["used"],
        "free": row["free"],
        "images": sorted(view.state.path_of(image) for image in images),
    }
