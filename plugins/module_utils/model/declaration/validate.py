# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of whole declarations, and their normal form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import PhotonError
from . import expand, references
from .declared import Declaration, Item
from .fields import Checker, Mistake
from .known import Known
from .schema import CONNECTION, ITEMS, SITE

_NESTED = {"tenant": ("projects",), "project": ("images", "vms", "disks")}
_LISTED = {
    "endpoint": "photon_endpoints",
    "zone": "photon_zones",
    "host": "photon_hosts",
    "datastore": "photon_datastores",
    "flavor": "photon_flavors",
    "image": "photon_images",
}
_IN_PROJECT = {"tenant": "", "project": ""}
_SCOPE = {"project": {"tenant": ""}, "image": _IN_PROJECT, "vm": _IN_PROJECT, "disk": _IN_PROJECT}
_SHOWN = 50  # mistakes in the message; data has all of them


def validate(tree: Mapping[str, Any], known: Known | None = None) -> Declaration:
    """Check the variables of a site (``{"photon_tenants": [...], ...}``) and return their normal form.

    ``known`` holds the names in the CloudStore that may be referred to (default: the shipped flavors alone).
    Raises SpecInvalid with every mistake in ``data["mistakes"]``.
    """
    checker = Checker()
    values = checker.mapping(SITE, tree, "")
    declaration = Declaration(
        site=values["photon_site"] or "site",
        security_groups=values["photon_security_groups"],
        image_datastores=values["photon_image_datastores"],
        settings={
            key.removeprefix("photon_"): value
            for key, value in values.items()
            if key not in CONNECTION and key not in _NOT_SETTINGS
        },
    )
    for kind, variable in _LISTED.items():
        items = getattr(declaration, f"{kind}s")
        for item in values[variable] or []:
            items.extend(expand.items(checker, kind, item, _SCOPE.get(kind, {})))
    for tenant in values["photon_tenants"] or []:
        _flatten_tenant(checker, declaration, tenant)
    for kind in ITEMS:
        expand.duplicates(checker, kind, declaration.of(kind))
    references.check(checker, declaration, known or Known())
    _raise(checker.mistakes, "the declaration")
    declaration.warnings = references.warnings(declaration)
    return declaration


def check_items(
    kind: str, items: Iterable[Mapping[str, Any]], *, root: str = "", scope: Mapping[str, str] | None = None
) -> list[Item]:
    """Check the items of one kind as a module takes them; the same normal form as in a Declaration.

    Keys that only a new entity needs may be missing (the planner asks for them), and names are not looked up.
    ``root`` is the argument's name (default: the kind's plural), ``scope`` what all items live in
    (``{"tenant": "acme", "project": "web"}``). Raises SpecInvalid.
    """
    checker = Checker(complete=False)
    schema = _alone(kind, ITEMS[kind])
    expanded: list[Item] = []
    for index, item in enumerate(items):
        path = f"{root or kind + 's'}[{index}]"
        normal = checker.mapping(schema, item, path)
        normal["path"] = path
        expanded += expand.items(checker, kind, normal, {**_SCOPE.get(kind, {}), **(scope or {})})
    expand.duplicates(checker, kind, expanded)
    for item in expanded if kind == "project" else ():
        references.check_project_quota(checker, item)
    _raise(checker.mistakes, f"the {kind}s" if len(expanded) != 1 else f"the {kind}")
    return expanded


_NOT_SETTINGS = {
    "photon_site",
    "photon_security_groups",
    "photon_image_datastores",
    "photon_tenants",
    *_LISTED.values(),
}


def _flatten_tenant(checker: Checker, declaration: Declaration, tenant: Item) -> None:
    declaration.tenants.append(_alone("tenant", tenant))
    for project in tenant["projects"] or []:
        declaration.projects.append({"tenant": tenant["name"], **_alone("project", project)})
        scope = {"tenant": tenant["name"], "project": project["name"]}
        for plural in _NESTED["project"]:
            for item in project[plural] or []:
                getattr(declaration, plural).extend(expand.items(checker, plural.removesuffix("s"), item, scope))


def _alone(kind: str, values: Mapping[str, Any]) -> Item:
    """An item, or its schema, without the items in it."""
    return {key: value for key, value in values.items() if key not in _NESTED.get(kind, ())}


def _raise(mistakes: list[Mistake], what: str) -> None:
    if not mistakes:
        return
    lines = [f"- {m.path or 'variables'}: {m.message}" for m in mistakes[:_SHOWN]]
    if len(mistakes) > _SHOWN:
        lines.append(f"- and {len(mistakes) - _SHOWN} more")
    number = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    raise PhotonError(
        "SpecInvalid",
        f"{number} in {what}; nothing was done:\n" + "\n".join(lines),
        {"mistakes": [m.to_dict() for m in mistakes], "path": mistakes[0].path},
    )
