# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: one table of the original's rules.

Three kinds of users: the system administrator, the tenant's administrators and the project's users. The last two are
members of the security groups (``domain\\group``) on a tenant or project; groups flow down from the deployment to the
tenants to the projects, and the deployment's groups have the system administrator's rights.

One deliberate difference from the original, where every user could do everything with images: every user reads images;
those of all are created and deleted by the system administrator, a project's also by the project's users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import entities
from .entities import Document
from .errors import PhotonError

EVERY_USER, PROJECT_USERS, TENANT_ADMINISTRATORS, SYSTEM_ADMINISTRATOR = (
    "every user",
    "the project's users",
    "the tenant's administrators",
    "the system administrator",
)
_OWNER = "owner"  # the project's users for what lives in a project, else the system administrator

# (kind, verb) -> who; the verb "*" stands for every verb that has no row of its own.
RULES: dict[tuple[str, str], str] = {
    (entities.DEPLOYMENT, "info"): EVERY_USER,
    (entities.DEPLOYMENT, "*"): SYSTEM_ADMINISTRATOR,
    (entities.ENDPOINT, "*"): SYSTEM_ADMINISTRATOR,
    (entities.ZONE, "*"): SYSTEM_ADMINISTRATOR,
    (entities.HOST, "*"): SYSTEM_ADMINISTRATOR,
    (entities.DATASTORE, "*"): SYSTEM_ADMINISTRATOR,
    (entities.FLAVOR, "list"): EVERY_USER,
    (entities.FLAVOR, "read"): EVERY_USER,
    (entities.FLAVOR, "*"): SYSTEM_ADMINISTRATOR,
    (entities.IMAGE, "list"): EVERY_USER,
    (entities.IMAGE, "read"): EVERY_USER,
    (entities.IMAGE, "*"): _OWNER,
    (entities.IMAGE_COPY, "list"): EVERY_USER,
    (entities.IMAGE_COPY, "read"): EVERY_USER,
    (entities.IMAGE_COPY, "*"): _OWNER,
    ("task", "list"): EVERY_USER,
    ("task", "read"): EVERY_USER,
    (entities.TENANT, "list"): EVERY_USER,  # filtered: see visible()
    (entities.TENANT, "read"): TENANT_ADMINISTRATORS,
    (entities.TENANT, "*"): SYSTEM_ADMINISTRATOR,
    (entities.PROJECT, "list"): TENANT_ADMINISTRATORS,
    (entities.PROJECT, "create"): TENANT_ADMINISTRATORS,
    (entities.PROJECT, "delete"): TENANT_ADMINISTRATORS,
    (entities.PROJECT, "set_quota"): TENANT_ADMINISTRATORS,
    (entities.PROJECT, "set_security_groups"): TENANT_ADMINISTRATORS,
    (entities.PROJECT, "*"): PROJECT_USERS,
    (entities.VM, "*"): PROJECT_USERS,
    (entities.DISK, "*"): PROJECT_USERS,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks. ``groups`` are security groups; the name ``u@domain`` counts as the group ``domain\\u``."""

    user: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)
    system_administrator: bool = False

    @property
    def all_groups(self) -> frozenset[str]:
        """The groups in lower case (the directory does not tell cases apart), the user's own one included."""
        own = group_of(self.user)
        return frozenset(group.lower() for group in self.groups) | ({own.lower()} if own else frozenset())


SYSTEM = Actor("system", system_administrator=True)


def group_of(user: str) -> str | None:
    """``u@domain`` -> ``domain\\u``; None for a name without a domain."""
    name, at, domain = user.rpartition("@")
    return f"{domain}\\{name}" if at and name and domain else None


def default_administrators(domain: str) -> str:
    """Return the security group that administers a new platform."""
    return f"{domain}\\ESXCloudAdmins"


def check_group(group: object) -> str:
    """Return the group or raise InvalidSecurityGroupFormat: ``domain\\group``, exactly two parts."""
    parts = group.split("\\") if isinstance(group, str) else []
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise PhotonError(
            "InvalidSecurityGroupFormat",
            f"{group!r} is not a security group: use domain\\group, for example 'photon\\acme-admins' in single quotes",
        )
    return str(group)


def authorize(actor: Actor, verb: str, kind: str, *chain: Document) -> None:
    """Raise AccessForbidden, naming who may, unless the actor may do ``verb`` to an entity of ``kind``.

    ``chain``: the documents that the entity lives in, and the entity itself where it has security groups, in any
    order: (deployment, tenant) to create a project, (deployment, tenant, project) for a project, VM or its image.
    """
    who = RULES.get((kind, verb)) or RULES[(kind, "*")]
    if who == _OWNER:
        who = PROJECT_USERS if any(d.kind == entities.PROJECT for d in chain) else SYSTEM_ADMINISTRATOR
    if actor.system_administrator or who == EVERY_USER or _groups(chain, who) & actor.all_groups:
        return
    who_may = [SYSTEM_ADMINISTRATOR] if who == SYSTEM_ADMINISTRATOR else [who, SYSTEM_ADMINISTRATOR]
    entity = "/".join(d.name for d in chain if d.kind != entities.DEPLOYMENT)
    raise PhotonError(
        "AccessForbidden",
        f"{actor.user or 'this user'} may not {verb.replace('_', ' ')} {kind}"
        f"{f' {entity}' if entity else ''}: only {' and '.join(who_may)} may",
        {"user": actor.user, "verb": verb, "kind": kind, "allowed": who_may},
    )


def permits(actor: Actor, verb: str, kind: str, *chain: Document) -> bool:
    """Whether ``authorize`` allows it: for actions that a run finds by itself and leaves to one that may."""
    try:
        authorize(actor, verb, kind, *chain)
    except PhotonError:
        return False
    return True


def visible(actor: Actor, kind: str, rows: Iterable[Sequence[Document]]) -> list[Sequence[Document]]:
    """Return the chains (see authorize; the entity itself last) that the actor may read: what a list shows."""
    return [chain for chain in rows if permits(actor, "read", kind, *chain)]


def set_groups(wanted: Iterable[str], inherited: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """``([{name, inherited}], already)``: the groups of an entity from its own and its parent's.

    ``already`` are wanted groups that come down anyway; they are kept once, as inherited (the original's warning
    SecurityGroupsAlreadyInherited). Raises InvalidSecurityGroupFormat.
    """
    from_above = list(dict.fromkeys(inherited))
    lower = {group.lower() for group in from_above}
    own = list(dict.fromkeys(check_group(group) for group in wanted))
    groups = [{"name": group, "inherited": True} for group in from_above]
    groups += [{"name": group, "inherited": False} for group in own if group.lower() not in lower]
    return groups, [group for group in own if group.lower() in lower]


def group_names(body: Mapping[str, Any], own_only: bool = False) -> list[str]:
    """The names of a document's security groups; the deployment's are plain names."""
    groups = body.get("security_groups") or []
    return [
        g if isinstance(g, str) else g["name"]
        for g in groups
        if isinstance(g, str) or not (own_only and g["inherited"])
    ]


def _groups(chain: Iterable[Document], who: str) -> frozenset[str]:
    kinds = {entities.DEPLOYMENT}
    if who in (TENANT_ADMINISTRATORS, PROJECT_USERS):
        kinds.add(entities.TENANT)
    if who == PROJECT_USERS:
        kinds.add(entities.PROJECT)
    return frozenset(name.lower() for d in chain if d.kind in kinds for name in group_names(d.body))
