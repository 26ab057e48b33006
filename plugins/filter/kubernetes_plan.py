# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_plan: entry point to the tool kubernetes (documented in kubernetes_plan.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.encryption import Layout
from ..module_utils.kubernetes.plans import create, delete, repair, resize, rotate, state, upgrade
from ..module_utils.model.errors import PhotonError

_Layouts = Mapping[str, Mapping[str, Sequence[str]]]


def kubernetes_plan(
    cluster: Mapping[str, Any],
    observed: Mapping[str, Mapping[str, Any]],
    only: Sequence[str] | None = None,
    verb: str = "create",
    **settings: Any,
) -> dict[str, Any]:
    """Plan the steps to the declared cluster; AnsibleFilterError lists every obstacle."""
    reached = {str(host): None if _silent(answer) else _plain(answer) for host, answer in observed.items()}
    names = None if only is None else [str(name) for name in only]
    try:
        if verb == "create":
            return create.plan(cluster, reached, names)
        if verb == "resize":
            source = state.source_of(cluster, reached)
            if source is None:
                raise PhotonError(
                    "ClusterNotFound", f"no control-plane member of {cluster['name']} answers. Run cluster_repair."
                )
            return resize.plan(cluster, source, reached[source] or {}, names or ())
        if verb == "upgrade":
            return upgrade.plan(cluster, reached, int(settings.get("at_once", 1)))
        if verb == "repair":
            return repair.plan(cluster, reached, bool(settings.get("again", False)))
        if verb == "delete":
            return delete.plan(cluster, reached)
        if verb == "state":
            return state.state(cluster, reached)
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None
    raise AnsibleFilterError(f"must be one of create, delete, resize, upgrade, repair, state, got {verb!r}")


def kubernetes_key_step(files: _Layouts, wanted: Mapping[str, Sequence[str]], stale: int) -> dict[str, Any]:
    """Return the next step of a change of encryption at rest."""
    try:
        return rotate.step(Layout.of(wanted), _layouts(files), int(stale))
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


def kubernetes_desired_keys(files: _Layouts, encryption: Mapping[str, Any], due: bool, stale: int) -> dict[str, Any]:
    """Return the desired layout of encryption at rest, and whether a key must be generated."""
    layout, new = rotate.wanted(_layouts(files), _plain(encryption), bool(due), int(stale))
    return {"layout": layout.to_dict(), "new": new}


def _layouts(files: _Layouts) -> dict[str, Layout]:
    return {str(host): Layout.of(layout) for host, layout in files.items()}


def _silent(answer: Any) -> bool:
    return not isinstance(answer, Mapping) or bool(answer.get("unreachable")) or "host" not in answer


def _plain(value: Any) -> Any:
    """Copy templated containers, which are slow to traverse."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {
            "kubernetes_plan": kubernetes_plan,
            "kubernetes_key_step": kubernetes_key_step,
            "kubernetes_desired_keys": kubernetes_desired_keys,
        }
