# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_plan: a door to the tool kubernetes (documented in kubernetes_plan.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.plans import create, delete, repair, resize, rotate, state, upgrade
from ..module_utils.model.errors import PhotonError


def kubernetes_plan(
    cluster: Mapping[str, Any],
    observed: Mapping[str, Mapping[str, Any]],
    only: Sequence[str] | None = None,
    verb: str = "create",
    **settings: Any,
) -> dict[str, Any]:
    """What is to do for the cluster to be as declared; AnsibleFilterError with all that forbids to begin."""
    reached = {str(host): None if _silent(answer) else _plain(answer) for host, answer in observed.items()}
    names = None if only is None else [str(name) for name in only]
    try:
        if verb == "create":
            return create.plan(cluster, reached, names)
        if verb == "resize":
            source = state.source_of(cluster, reached)
            if source is None:
                raise PhotonError(
                    "ClusterNotFound", f"no control-plane member of {cluster['name']} answers: run cluster_repair"
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
    raise AnsibleFilterError(f"{verb!r} is none of create, delete, resize, upgrade, repair, state")


def kubernetes_key_step(files: Mapping[str, Sequence[str]], wanted: Sequence[str], stale: int) -> dict[str, Any]:
    """The next step on the way to other keys of encryption at rest."""
    return rotate.step([str(name) for name in wanted], _plain(files), int(stale))


def kubernetes_keys_wanted(
    files: Mapping[str, Sequence[str]], declared: Sequence[str], due: bool, stale: int
) -> dict[str, Any]:
    """The keys of encryption at rest that there should be."""
    return rotate.wanted(_plain(files), [str(name) for name in declared], bool(due), int(stale))


def _silent(answer: Any) -> bool:
    return not isinstance(answer, Mapping) or bool(answer.get("unreachable")) or "host" not in answer


def _plain(value: Any) -> Any:
    """Templated containers are slow to walk: copy them once."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name -> function."""
        return {
            "kubernetes_plan": kubernetes_plan,
            "kubernetes_key_step": kubernetes_key_step,
            "kubernetes_keys_wanted": kubernetes_keys_wanted,
        }
