# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX's objects in memory: created, changed, deleted and looked for as its API does, each value checked."""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from . import rules
from .errors import Refused, missing
from .resources import NOTIFICATIONS, RESOURCES, SECRET_PARAMETERS, UNIONS, Field

Row = dict[str, Any]
ENCRYPTED = "$encrypted$"
_LOOKUPS = ("exact", "iexact", "contains", "icontains", "startswith", "endswith", "in", "isnull", "gt", "lt")


class Objects:
    """All collections by name; ``lock`` is held by each request, and by jobs that note something."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, Row]] = {name: {} for name in RESOURCES}
        self.links: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Row] = {}
        self.lock = threading.RLock()
        self._ids = itertools.count(1)

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, collection: str, number: Any) -> Row:
        """Raises Refused (404)."""
        for name in UNIONS.get(collection, (collection,)):
            if number in self.rows[name]:
                return self.rows[name][number]
        raise missing()

    def where(self, collection: str, **values: Any) -> list[Row]:
        return [row for row in self.rows[collection].values() if all(row[key] == each for key, each in values.items())]

    def collection_of(self, row: Row) -> str:
        return next(name for name, resource in RESOURCES.items() if resource.type == row["type"])

    def linked(self, row: Row, association: str) -> list[Row]:
        collection = self.collection_of(row)
        target = RESOURCES[collection].associations[association]
        return [self.rows[target][number] for number in self.links.get((collection, row["id"], association), [])]

    def search(self, collection: str, query: Mapping[str, str]) -> list[Row]:
        """The rows that a list view shows. Raises Refused for a filter that is not known."""
        names = UNIONS.get(collection, (collection,))
        rows = [row for name in names for row in self.rows[name].values()]
        if collection not in UNIONS:
            known = {"id", "type", *RESOURCES[collection].fields}
        else:
            known = {"id", "type", *set.intersection(*({*RESOURCES[name].fields} for name in names)), "organization"}
        either: list[tuple[str, str]] = []
        for key, value in query.items():
            if key in ("page", "page_size", "order_by"):
                continue
            if key.startswith("or__"):
                either.append((key[4:], value))
            else:
                rows = [row for row in rows if self._matches(row, key, value, known)]
        if either:
            rows = [row for row in rows if any(self._matches(row, key, value, known) for key, value in either)]
        order = query.get("order_by", "id")
        return sorted(rows, key=lambda row: str(row.get(order.lstrip("-"), "")), reverse=order.startswith("-")) if (
            order.lstrip("-") != "id"
        ) else sorted(rows, key=lambda row: row["id"], reverse=order.startswith("-"))  # fmt: skip

    def _matches(self, row: Row, key: str, value: str, known: set[str]) -> bool:
        negate = key.startswith("not__")
        name, *rest = key.removeprefix("not__").split("__")
        if name not in known:
            raise Refused({"detail": f"{type(row).__name__} has no field named '{name}'"})
        found: Any = row.get(name)
        if rest and rest[0] not in _LOOKUPS:  # a field of what is referred to
            target = RESOURCES[self.collection_of(row)].fields[name].to
            found = next((self.rows[t][found].get(rest[0]) for t in target if found in self.rows[t]), None)
            rest = rest[1:]
        how = rest[0] if rest else "exact"
        text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        wanted = (
            value.lower()
            if isinstance(found, bool) or (how.startswith("i") and how != "in" and how != "isnull")
            else value
        )
        if how.startswith("i") and how not in ("in", "isnull"):
            text, how = text.lower(), how[1:]
        answer = {
            "exact": lambda: text == wanted,
            "contains": lambda: wanted in text,
            "startswith": lambda: text.startswith(wanted),
            "endswith": lambda: text.endswith(wanted),
            "in": lambda: text in wanted.split(","),
            "isnull": lambda: (found is None) == (wanted.lower() in ("true", "1")),
            "gt": lambda: float(text or 0) > float(wanted),
            "lt": lambda: float(text or 0) < float(wanted),
        }[how]()
        return answer != negate

    # -- changing --------------------------------------------------------------------------------------------------

    def create(self, collection: str, data: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Row:
        """Add an object. Raises Refused with AWX's error per field."""
        resource = RESOURCES[collection]
        given = dict(data)
        if collection == "workflow_job_template_nodes":
            given.setdefault("identifier", str(uuid.uuid4()))
        given = self._checked(collection, given)
        absent = {
            n: ["This field is required."] for n, f in resource.fields.items() if f.required and given.get(n) is None
        }
        if absent:
            raise Refused(absent)
        row = {
            "type": resource.type,
            **{name: copy.deepcopy(f.default) for name, f in resource.fields.items()},
            **given,
        }
        row |= fixed or {}
        self._finish(collection, row, {})
        row |= {"id": next(self._ids), "created": now(), "modified": now()}
        self.rows[collection][row["id"]] = row
        return row

    def change(self, collection: str, row: Row, data: Mapping[str, Any]) -> Row:
        given = self._checked(collection, data)
        if row.get("managed"):
            raise Refused({"detail": "Modifications not allowed for managed objects"}, 403)
        changed = {**row, **given}
        self._finish(collection, changed, row)
        row.update(changed, modified=now())
        return row

    def delete(self, collection: str, row: Row) -> None:
        """Delete an object with what belongs to it; other references to it end."""
        number = row["id"]
        if row.get("managed"):
            raise Refused({"detail": "Deletion not allowed for managed objects"}, 403)
        if collection == "credential_types" and self.where("credentials", credential_type=number):
            raise Refused({"detail": "Credential types that are in use cannot be deleted."}, 403)
        del self.rows[collection][number]
        if (
            collection == "workflow_job_template_nodes"
            and row["unified_job_template"] in self.rows["workflow_approval_templates"]
        ):
            del self.rows["workflow_approval_templates"][row["unified_job_template"]]
        self.surveys.pop((collection, number), None)
        for key in [key for key in self.links if key[:2] == (collection, number)]:
            del self.links[key]
        for (owner, _number, association), numbers in self.links.items():
            if RESOURCES[owner].associations[association] == collection and number in numbers:
                numbers.remove(number)
        for name, resource in RESOURCES.items():
            for field_name, field in resource.fields.items():
                if collection not in field.to:
                    continue
                for other in [r for r in self.rows[name].values() if r[field_name] == number]:
                    if field.cascade:
                        if other["id"] in self.rows[name]:
                            self.delete(name, other)
                    else:
                        other[field_name] = None

    def link(self, row: Row, association: str, data: Mapping[str, Any]) -> None:
        """Associate or disassociate. Raises Refused."""
        collection = self.collection_of(row)
        unknown = set(data) - {"id", "disassociate"}
        if unknown or not isinstance(data.get("id"), int):
            raise Refused({"detail": f"an association needs an id, and knows no {', '.join(unknown) or 'other key'}"})
        target = self.get(RESOURCES[collection].associations[association], data["id"])
        numbers = self.links.setdefault((collection, row["id"], association), [])
        if data.get("disassociate"):
            if target["id"] in numbers:
                numbers.remove(target["id"])
            return
        if association == "credentials":
            rules.check_credential(target, self.linked(row, association))
        if association.endswith("_nodes"):
            rules.check_node(self, row, target)
        if target["id"] not in numbers:
            numbers.append(target["id"])

    # -- checks ----------------------------------------------------------------------------------------------------

    def _checked(self, collection: str, data: Mapping[str, Any]) -> Row:
        """The values of a request, checked one by one; those that the server sets are left out."""
        resource = RESOURCES[collection]
        errors: dict[str, list[str]] = {}
        given: Row = {}
        for name, value in data.items():
            if name in ("type", "id", "url", "related", "summary_fields", "created", "modified"):
                continue
            field = resource.fields.get(name)
            if field is None:
                errors[name] = [f"{resource.type} has no such field; AWX would ignore it"]
            elif not field.fixed:
                try:
                    given[name] = self._value(field, value)
                except ValueError as error:
                    errors[name] = [str(error)]
        if errors:
            raise Refused(errors)
        return given

    def _value(self, field: Field, value: Any) -> Any:
        if value is None or (value == "" and field.type is not str):
            if field.required:
                raise ValueError("This field may not be null.")
            return field.default
        if field.text_of_object:
            _mapping(value)
            return value
        if field.type is int and field.to and isinstance(value, str) and value.isdigit():
            value = int(value)
        if not isinstance(value, field.type) or (field.type is int and isinstance(value, bool)):
            raise ValueError(f"a {field.type.__name__} is needed, not {value!r}")
        if field.required and value == "":
            raise ValueError("This field may not be blank.")
        if field.choices and value not in field.choices:
            raise ValueError(f'"{value}" is not a valid choice.')
        if field.to and not any(value in self.rows[name] for name in field.to):
            raise ValueError(f'Invalid pk "{value}" - object does not exist.')
        return value

    def _finish(self, collection: str, row: Row, before: Row) -> None:
        """Check what concerns several fields, and set what follows from others."""
        rules.check(self, collection, row, before)
        unique = RESOURCES[collection].unique
        for other in self.rows[collection].values():
            if unique and other["id"] != row.get("id") and all(other[key] == row[key] for key in unique):
                raise Refused(
                    {"__all__": [f"{RESOURCES[collection].type} with this {' and '.join(unique)} already exists."]}
                )

    # -- what clients see ------------------------------------------------------------------------------------------

    def hidden(self, row: Row) -> Row:
        """A copy with secrets masked."""
        shown = copy.deepcopy(row)
        if row["type"] == "credential":
            for name in rules.secret_inputs(self.rows["credential_types"][row["credential_type"]]):
                if shown["inputs"].get(name):
                    shown["inputs"][name] = ENCRYPTED
        if row["type"] == "notification_template":
            for name in set(SECRET_PARAMETERS) & set(NOTIFICATIONS[row["notification_type"]]):
                if shown["notification_configuration"].get(name):
                    shown["notification_configuration"][name] = ENCRYPTED
        return shown

    def nodes(self, workflow: int) -> Iterator[Row]:
        return (
            row for row in self.rows["workflow_job_template_nodes"].values() if row["workflow_job_template"] == workflow
        )


def _mapping(value: Any) -> dict[str, Any]:
    """The mapping that a text of JSON or YAML holds. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("Value is not a string of YAML or JSON.")
    try:
        found = json.loads(value) if value.lstrip().startswith("{") else yaml.safe_load(value)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"Cannot parse as JSON or YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError("Input type is not a dictionary")
    return found


def now() -> str:
    """The time as AWX writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


mapping_of = _mapping
