# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_plan: a door to the tool kubernetes (documented in kubernetes_plan.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.plans import create
from ..module_utils.model.errors import PhotonError


def kubernetes_plan(
    cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]], only: Sequence[str] | None = None
) -> dict[str, Any]:
    """What is to do for the cluster to be as declared; AnsibleFilterError with all that forbids to begin."""
    reached = {str(host): None if _silent(answer) else _plain(answer) for host, answer in observed.items()}
    try:
        return create.plan(cluster, reached, None if only is None else [str(name) for name in only])
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


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
        return {"kubernetes_plan": kubernetes_plan}
