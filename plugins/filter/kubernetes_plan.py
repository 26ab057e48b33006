# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_plan: entry point to the tool kubernetes (documented in kubernetes_plan.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.encryption import Layout
from ..module_utils.kubernetes.plans import rotate, verbs
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
    names = None if only is None else [str(name) for name in only]
    try:
        return verbs.plan(verb, cluster, _plain(observed), names, settings)
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


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
