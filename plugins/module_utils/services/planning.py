# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: typed actions that say what would be done to each resource, and why.

Planners are pure: they read and write the in-memory CurrentState and add actions or failures; nothing is touched.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

from ..cloudstore import Claim, Step, Task
from ..model import entities, states
from ..model.authorization import Actor
from ..model.declaration import Declaration, full_name
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from .state import CurrentState

CREATE, UPDATE, DELETE, KEEP = "create", "update", "delete", "keep"
Limits = dict[str, tuple[int, str]]  # {quota key: (amount in base units, unit)}


@dataclass(slots=True)
class Outcome:
    """The result of applying one action. ``changed``: something was changed, also when a later step failed.

    ``document`` is the record as it is afterwards; None where there is none any more.
    """

    changed: bool
    error: PhotonError | None = None
    document: Document | None = None


@dataclass(slots=True, kw_only=True)
class Action:
    """What happens to one resource; kinds add their own fields in subclasses.

    ``name`` is the path people use (``acme/web/web-01``). ``document`` is the record that the write transaction
    inserts (CREATE) or updates (UPDATE) before any external call; for a DELETE the record as it was, for a KEEP as it
    is. ``before`` and ``after`` hold the fields that differ, as a diff shows them (secrets masked); ``changes``
    names them. ``path`` is the key path in the declaration. ``needs`` are the ids of the other documents that the
    decision was made from: the write transaction checks their versions. ``task`` journals external work, ``claim``
    is everything that the resource holds from then on, ``limits`` the new quota limits of a tenant or project.
    Actions on what has no record in the CloudStore have ``recorded`` False.
    """

    recorded: ClassVar[bool] = True

    verb: str
    kind: str
    name: str
    document: Document
    reason: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    path: str = ""
    needs: tuple[str, ...] = ()
    task: Task | None = None
    claim: Claim | None = None
    limits: Limits | None = None
    outcome: Outcome | None = None

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def failed(self) -> bool:
        return self.outcome is not None and self.outcome.error is not None

    @property
    def changed(self) -> bool:
        """Whether its application changed something, also when a later step of it failed."""
        return self.outcome is not None and self.outcome.changed

    def details(self) -> dict[str, Any]:
        """Fields that a plan shows of it in addition to before and after."""
        return {}

    def signature(self, state: CurrentState) -> dict[str, Any]:
        """Decisions that before and after do not show; a saved plan holds only while they stay the same."""
        return {}


@dataclass(slots=True)
class Failure:
    """One item that cannot be done, or could not; the others go on."""

    kind: str
    name: str
    error: PhotonError
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """``{kind, name, error_code, message, path, data}`` as results report it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "error_code": self.error.code,
            "message": self.error.message,
            "path": self.path,
            "data": self.error.data,
        }


def differing(names: Iterable[str]) -> str:
    """``quota differs``, ``tags differ``, ``flavor, vcpus differ``, or nothing."""
    listed = list(names)
    one = len(listed) == 1 and not listed[0].endswith("s")
    return f"{', '.join(listed)} differ{'s' if one else ''}" if listed else ""


A = TypeVar("A", bound=Action)


@dataclass(slots=True)
class Plan:
    """Actions in the order in which they can be applied, the items that cannot be, and warnings.

    ``observed``: ``{document id: observed facts}`` that differ from the record without any change being wanted, and
    ``observed_states`` the power states of VMs among them; they are recorded as far as possible. ``waits``: seconds
    within which VMs have to report their addresses, by id. ``partial``: it is about the projects of its VMs alone.
    """

    actions: list[Action] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    observed: dict[str, dict[str, Any]] = field(default_factory=dict)
    observed_states: dict[str, str] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)
    partial: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.changes())

    def add(self, action: A) -> A:
        self.actions.append(action)
        return action

    def fail(self, kind: str, name: str, error: PhotonError, path: str = "") -> None:
        self.failures.append(Failure(kind, name, error, path or error.data.get("path", "")))

    @contextlib.contextmanager
    def failing(self, kind: str, name: str, path: str = "") -> Iterator[None]:
        """Make a PhotonError that is raised inside the failure of this item; the others go on."""
        try:
            yield
        except PhotonError as error:
            self.fail(kind, name, error, path)

    def finish(self, action: Action, outcome: Outcome) -> None:
        """Note what became of an action; its error becomes a failure of the plan."""
        action.outcome = outcome
        if outcome.error is not None:
            self.fail(action.kind, action.name, outcome.error, action.path)

    def of(self, kind: str, *verbs: str) -> list[Action]:
        return [a for a in self.actions if a.kind == kind and (not verbs or a.verb in verbs)]

    def of_type(self, cls: type[A]) -> list[A]:
        """The actions of one class, in order."""
        return [a for a in self.actions if isinstance(a, cls)]

    def changes(self, *, applied: bool = False) -> list[Action]:
        """The actions that change something; once ``applied``, those that did."""
        return [a for a in self.actions if a.verb != KEEP and (a.changed or (a.outcome is None and not applied))]

    def counts(self, *, applied: bool = False) -> dict[str, dict[str, int]]:
        """``{kind: {verb: number}}`` of changes and kept resources, without kinds that have none."""
        kept = [a for a in self.actions if a.verb == KEEP and not a.failed]
        pairs = Counter((a.kind, a.verb) for a in (*self.changes(applied=applied), *kept))
        table: dict[str, dict[str, int]] = {}
        for (kind, verb), number in pairs.items():
            table.setdefault(kind, {})[verb] = number
        return table


@dataclass(slots=True)
class Options:
    """Behaviour of a run; the defaults are the declaration's. ``base_directory`` is where relative files start.

    ``wait_for_addresses``, ``wait_for_runs`` and ``lease_seconds`` are seconds.
    """

    policy: str = "spread"
    quality: str = "normal"
    seed: int = 0
    atomic: bool = False
    prune: str = "report"
    max_deletes: int = 10
    max_recreates: int = 10
    wait_for_addresses: float = 30.0
    wait_for_runs: float = 600.0
    default_port_group: str | None = None
    disk_backing: str = "auto"
    base_directory: str = "."
    lease_seconds: float = 30.0
    cloudstore_new: bool = False


@dataclass(slots=True)
class Demand:
    """A persistent disk (``disk``: its id) whose datastore a VM's host must mount.

    A new one has no ``datastore`` yet: it gets one with the VM's place, with room for ``capacity`` bytes and these
    ``tags``.
    """

    disk: str
    capacity: int = 0
    tags: tuple[str, ...] = ()
    datastore: str | None = None


@dataclass(slots=True)
class Planning:
    """Everything a planner works with.

    ``whole``: the declaration is all of its site, so a key that is left out is taken off. ``digest(value)`` is the
    CloudStore's keyed digest, ``store_id`` and ``rules_tag`` its identity; ``pinned`` maps a VM's path to
    ``{host_name, datastore_name}`` of a saved plan;
    ``files`` the facts of image files by name, or the PhotonError of reading one; ``deleted`` the ids of what was
    deleted within the last 24 hours; ``marks`` the VMs that carry our mark and are in no record, by photon.id;
    ``left_files`` the configuration files of missing VMs that still exist, by VM. With ``targets`` the declaration is
    that of the targets and what they need, and ``everything`` all of it.

    Of persistent disks, known before VMs are placed: ``disks`` are the declared ones as they are wanted, ``demands``
    those of new VMs by the VM's path, ``staying`` the names of those that stay attached, by VM.

    ``taken``: exclusive keys that this plan gives to VMs, with their new holders. ``copies``: the actions that make
    copies of images, by copy.
    """

    declaration: Declaration
    state: CurrentState
    plan: Plan
    actor: Actor
    managed_by: str
    options: Options
    digest: Callable[[Any], str]
    store_id: str | None = ""
    rules_tag: str = ""
    whole: bool = False
    pinned: Mapping[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()
    marks: Mapping[str, list[tuple[str, Any]]] = field(default_factory=dict)
    left_files: Mapping[str, str] = field(default_factory=dict)
    disks: list[Any] = field(default_factory=list)
    demands: dict[str, list[Demand]] = field(default_factory=dict)
    staying: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    copies: dict[str, Any] = field(default_factory=dict)
    targets: Any = None
    everything: Declaration | None = None

    def undeclared(self, kind: str) -> list[Document]:
        """The documents of this site, of the targets where there are any, that the declaration does not name."""
        declared = {full_name(kind, item) for item in (self.everything or self.declaration).of(kind)}
        ours = [(self.state.path_of(d), d) for d in self.state.of(kind) if d.managed_by == self.managed_by]
        covered = self.targets.cover if self.targets is not None else lambda _kind, _name: True
        return [d for name, d in ours if name not in declared and covered(kind, name)]

    def new(self, kind: str, name: str, scope: str = "", **fields: Any) -> Document:
        """A document that this declaration would create."""
        key = name_key(kind, scope, name)
        return Document(kind, name, scope, **{"managed_by": self.managed_by, "name_key": key, **fields})

    def deployment(self) -> Document:
        """The one document of the whole platform, or a new one. It belongs to no site."""
        kind = entities.DEPLOYMENT
        return self.state.get(kind) or self.new(kind, kind, id=kind, managed_by="api")

    @contextlib.contextmanager
    def creating(self, kind: str, item: Mapping[str, Any], scope: str = "") -> Iterator[None]:
        """As Plan.failing for a declared item, and what refers to it fails with the same reason."""
        label = f"{scope}/{item['name']}" if kind == entities.FLAVOR else item["name"]
        with self.plan.failing(kind, label, item.get("path", "")):
            try:
                yield
            except PhotonError as error:
                self.state.failed[kind, scope, item["name"]] = error
                raise


class Difference(NamedTuple):
    """The fields that differ between two views of a resource."""

    before: dict[str, Any]
    after: dict[str, Any]
    changes: list[str]

    @property
    def reason(self) -> str:
        return differing(self.changes)


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Difference:
    """The one place that builds before, after and changes: ``before`` None is a resource that does not exist yet."""
    changes = [key for key in after if before is None or before.get(key) != after[key]]
    old = {} if before is None else {key: before.get(key) for key in changes}
    return Difference(old, {key: after[key] for key in changes}, changes)


def record_action(
    planning: Planning,
    current: Document | None,
    document: Document,
    view: Callable[[Document], Mapping[str, Any]],
    *,
    path: str = "",
    reason: str = "",
    cls: type[A] = Action,  # type: ignore[assignment]
    **fields: Any,
) -> A:
    """Add the action that makes ``document`` of ``current``: CREATE, UPDATE or KEEP by what their views show."""
    planning.state.put(document)
    difference = compare(view(current) if current else None, view(document))
    verb = CREATE if current is None else UPDATE if difference.changes else KEEP
    return planning.plan.add(
        cls(
            verb=verb,
            kind=document.kind,
            name=planning.state.path_of(document),
            document=document,
            reason=reason or ("declared" if verb == CREATE else difference.reason),
            before=difference.before,
            after=difference.after,
            changes=difference.changes if verb == UPDATE else [],
            path=path,
            **fields,
        )
    )


def delete_action(
    planning: Planning,
    document: Document,
    reason: str,
    path: str = "",
    cls: type[A] = Action,  # type: ignore[assignment]
    **fields: Any,
) -> A:
    """Add the action that deletes a document, which the state has no more from then on."""
    name = planning.state.path_of(document)
    planning.state.drop(document.id)
    planning.plan.observed.pop(document.id, None)
    return planning.plan.add(
        cls(verb=DELETE, kind=document.kind, name=name, document=document, reason=reason, path=path, **fields)
    )


def task_of(kind: str, operation: str, entity_id: str, steps: Iterable[str]) -> Task:
    """The journal entry of external work in these steps."""
    queued = [Step(number, name) for number, name in enumerate(steps)]
    return Task(operation, kind, entity_id, queued, state="STARTED")


def retire(planning: Planning, document: Document, users: str, reason: str, path: str = "") -> Action:
    """Add the deletion of a document; while it has ``users`` (how a reason names them) it becomes PENDING_DELETE."""
    if not users:
        return delete_action(planning, document, reason, path)
    pending = replace(document, state=states.PENDING_DELETE)
    return record_action(
        planning, document, pending, lambda d: {"state": d.state}, path=path, reason=f"{reason}; {users}"
    )
