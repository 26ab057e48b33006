# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of a vCenter, by name: read once per session through the policy service (PBM) at ``/pbm``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError
from . import api
from .session import Session

_VERSION = "pbm/6.7"


@dataclass(frozen=True, slots=True)
class Policies:
    """The storage policies of an endpoint and the service that answers questions about them."""

    session: Session
    content: Any
    ids: dict[str, str]

    def id_of(self, name: str) -> str:
        """Return the id of the policy with that name. Raises NoConstraintMatchingDatastore."""
        if name not in self.ids:
            raise PhotonError(
                "NoConstraintMatchingDatastore",
                f"endpoint {self.session.spec.name} has no storage policy {name!r}; "
                f"it has {', '.join(sorted(self.ids)) or 'none'}",
                {"storage_policy": name},
            )
        return self.ids[name]

    def datastores(self, name: str) -> set[str]:
        """Return the moids of the datastores that satisfy a policy."""
        pbm = api.load().pbm
        profile = pbm.profile.ProfileId(uniqueId=self.id_of(name))
        hubs = self._ask(
            f"datastores of policy {name}", self.content.placementSolver.PbmQueryMatchingHub, None, profile
        )
        return {hub.hubId for hub in hubs or [] if hub.hubType == "Datastore"}

    def of_disks(self, disks: Iterable[str]) -> dict[str, str]:
        """Return the ids of the policies of disks, named ``moid:device key`` or by a first-class disk's id; one call.

        Disks without a policy, and disks that are gone, are omitted.
        """
        pbm = api.load().pbm
        entities = [
            pbm.ServerObjectRef(objectType="virtualDiskId" if ":" in disk else "virtualDiskUUID", key=disk)
            for disk in disks
        ]
        if not entities:
            return {}
        results = self._ask("policies of disks", self.content.profileManager.PbmQueryAssociatedProfiles, entities)
        return {result.object.key: result.profileId[0].uniqueId for result in results or [] if result.profileId}

    def _ask(self, what: str, function: Any, *args: Any) -> Any:
        return _call(self.session, what, function, *args)


def read_policies(session: Session) -> Policies:
    """Read the storage policies of a vCenter, at the first call of a session. Raises UpdateNotSupported on ESXi."""
    if not session.is_vcenter:
        raise PhotonError(
            "UpdateNotSupported",
            f"endpoint {session.spec.name} is an ESXi host, which has no storage policies; remove storage_policy from "
            "the flavor, or place its disks on a vCenter",
        )
    if session.policies is None:
        session.policies = _read(session)
    return session.policies


def _read(session: Session) -> Policies:
    pbm, what = api.load().pbm, f"storage policies of {session.spec.where}"
    stub = api.load().soap.SoapStubAdapter(
        host=session.spec.address,
        port=session.spec.port,
        path="/pbm",
        version=api.load().support.versionMap[_VERSION],
        poolSize=0,
    )
    stub.scheme = session.connection
    content = _call(session, what, pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent)
    manager, kind = content.profileManager, pbm.profile.ResourceType(resourceType="STORAGE")
    found = _call(session, what, manager.PbmQueryProfile, kind, "REQUIREMENT")
    profiles = _call(session, what, manager.PbmRetrieveContent, found) if found else []
    return Policies(session, content, {each.name: each.profileId.uniqueId for each in profiles})


def _call(session: Session, what: str, function: Any, *args: Any) -> Any:
    session.count()
    with _cookie(session):
        return session.call(what, function, *args, read=True)


@contextlib.contextmanager
def _cookie(session: Session) -> Iterator[None]:
    """Show the session to the policy service, in the header that it wants, and to nothing else of this thread."""
    context = api.load().support.GetRequestContext()
    context["vcSessionCookie"] = session.cookie.partition("=")[2].strip('"')
    try:
        yield
    finally:
        context.pop("vcSessionCookie", None)
