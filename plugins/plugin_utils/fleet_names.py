# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and human sizes at the edge of the scheduler's filters: the scheduler itself works on ids and bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.model import units
from ..module_utils.model.errors import PhotonError
from ..module_utils.scheduler import plain

_SIZES = ("memory", "used_memory", "reserved_memory", "consumed_memory", "capacity", "used", "free")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TABLES = ("hosts", "datastores", "vms")


class Names:
    """The names of a fleet's hosts, datastores and VMs. A name that several have stands for none of them."""

    def __init__(self, fleet: Any) -> None:
        self.fleet: Any = _in_bytes(plain(fleet))
        self._name_of: dict[str, str] = {}
        self._ids: dict[str, dict[str, str]] = {}
        for table in _TABLES:
            rows = self.fleet.get(table) if isinstance(self.fleet, Mapping) else None
            named = [row for row in rows or () if isinstance(row, Mapping) and row.get("name") and row.get("id")]
            times = Counter(row["name"] for row in named)
            unique = {row["id"]: row["name"] for row in named if times[row["name"]] == 1}
            self._name_of |= unique
            self._ids[table] = {name: entity_id for entity_id, name in unique.items()}

    def ids(self, table: str, names: Any) -> Any:
        """Return the ids of these names; ids stay ids."""
        known = self._ids[table]
        return [known.get(name, name) for name in plain(list(names))] if isinstance(names, (list, tuple)) else names

    def requests(self, requests: Any) -> Any:
        """Return requests in bytes whose host and datastores are ids."""
        found = _in_bytes(plain(requests))
        for item in found if isinstance(found, list) else ():
            if isinstance(item, dict):
                self._resolve(item, "host", "hosts")
                self._resolve(item, "datastore", "datastores")
                for disk in item["disks"] if isinstance(item.get("disks"), list) else ():
                    if isinstance(disk, dict):
                        self._resolve(disk, "datastore", "datastores")
        return found

    def shown(self, answer: Any) -> Any:
        """Return an answer with names in place of ids, in texts too."""
        if not self._name_of:
            return answer
        if isinstance(answer, dict):
            return {self.shown(key): self.shown(value) for key, value in answer.items()}
        if isinstance(answer, (list, tuple)):
            return [self.shown(member) for member in answer]
        if not isinstance(answer, str):
            return answer
        name = self._name_of.get(answer)
        return name or _UUID.sub(lambda match: self._name_of.get(match[0], match[0]), answer)

    def _resolve(self, item: dict[str, Any], key: str, table: str) -> None:
        if isinstance(item.get(key), str):
            item[key] = self._ids[table].get(item[key], item[key])


def answer(name: str, fleet: Any, ids: Any, work: Callable[[Names], Any]) -> Any:
    """Call the scheduler for a filter; ids are returned only where asked for. Raises AnsibleFilterError."""
    try:
        names = Names(fleet)
        result = work(names)
    except PhotonError as error:
        raise AnsibleFilterError(f"{name}: {error.code}: {error.message}") from error
    return result if ids else names.shown(result)


def in_bytes(rows: Any) -> Any:
    """Return hosts or datastores with sizes such as ``64 GB`` in bytes. Raises SpecInvalid."""
    return _in_bytes(plain(rows))


def _in_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_bytes(member) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        key: units.parse(member)[0] if key in _SIZES and isinstance(member, str) else _nested(key, member)
        for key, member in value.items()
    }


def _nested(key: Any, value: Any) -> Any:
    """Only lists of items have sizes in them: hosts, datastores, VMs and disks."""
    return _in_bytes(value) if key in (*_TABLES, "disks") else value
