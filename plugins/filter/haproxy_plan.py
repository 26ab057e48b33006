# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter haproxy_plan: entry point to the tool haproxy (documented in haproxy_plan.yml)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.haproxy import plan


def haproxy_plan(
    declaration: Mapping[str, Any], contract: Mapping[str, Any], groups: Mapping[str, Any], hostvars: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the files of all balancers; AnsibleFilterError with every mistake of the declaration."""

    def address_of(host: str) -> str:
        variables = hostvars[host]
        return str(variables.get("haproxy_address") or variables.get("ansible_host") or host)

    known = {name: list(hosts) for name, hosts in groups.items()}
    try:
        return plan.build(declaration_of(declaration, known), contract, known, address_of, _now())
    except plan.DeclarationError as error:
        raise AnsibleFilterError(str(error)) from None


def declaration_of(given: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declaration as plain data, with the platform services that have hosts before the user's own."""
    plain = _plain(given)
    ready, wanted = plain.pop("ready_made", {}), plain.pop("platform_services", [])
    overrides = plain.pop("platform_overrides", {})
    unknown = [
        f"haproxy_platform_services: unknown service {n}, must be one of {', '.join(ready)}"
        for n in wanted
        if n not in ready
    ]
    unknown += [
        f"haproxy_platform_overrides.{name}: is not listed in haproxy_platform_services"
        for name in overrides
        if name not in wanted
    ]
    if unknown:
        raise plan.DeclarationError(unknown)
    services = [ready[n] | {"name": n} | overrides.get(n, {}) for n in wanted]
    chosen = [service for service in services if groups.get(service["group"])]  # an override may have changed the group
    return plain | {"services": chosen + plain["services"]}


def _plain(value: Any) -> Any:
    """Copy templated containers, which are slow to traverse."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"haproxy_plan": haproxy_plan}
