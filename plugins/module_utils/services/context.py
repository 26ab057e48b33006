# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run works with: the CloudStore, the sessions with its endpoints, the actor, and its options."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..cloudstore import CloudStore, open_store
from ..model import entities
from ..model.authorization import SYSTEM, Actor
from ..model.entities import Document
from ..model.errors import PhotonError
from ..vsphere import EndpointSpec, Session, connect, read_inventory
from . import credentials
from .disks.observed import read_files
from .images.fetch import Download
from .planning import Options, Plan
from .state import CurrentState

_PARALLEL_ENDPOINTS = 16


@dataclass(slots=True)
class Context:
    """Use as a context manager: every session is logged out on every way out.

    ``run`` is the lease of a run that changes things: each session checks it before a call that changes something.
    ``interruption`` tells each session when to stop. ``downloads`` are the image files that have a url, by path.
    """

    store: CloudStore
    actor: Actor = SYSTEM
    managed_by: str = "api"
    credentials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    options: Options = field(default_factory=Options)
    sessions: dict[str, Session] = field(default_factory=dict)
    run: Any = None
    interruption: Any = None
    downloads: dict[str, Download] = field(default_factory=dict)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exc: object) -> None:
        for session in self.sessions.values():
            with contextlib.suppress(PhotonError):
                session.close()
        self.sessions.clear()
        self.store.close()

    def path(self, file: str) -> str:
        return file if os.path.isabs(file) else os.path.join(self.options.base_directory, file)

    def image_file(self, file: str) -> str:
        """The path of an image's file, which is downloaded first where it has a url. Raises ImageUploadError and
        Interrupted.
        """
        if file in self.downloads:
            self.downloads[file].bring(lambda: self.interruption is not None and self.interruption.level > 0)
        return self.path(file)

    def read_endpoints(
        self, state: CurrentState, endpoints: Iterable[Document], detailed: Collection[str] = ()
    ) -> None:
        """Read each endpoint once, in parallel; one that cannot be read goes to ``state.unreachable``.

        Disks, adapters and guest keys are read of VMs that changed since they were last seen, and of those in
        ``detailed`` (ids), wherever they are by now.
        """
        wanted = list(endpoints)
        vms: dict[str, list[Document]] = {endpoint.id: [] for endpoint in wanted}
        for vm in state.of(entities.VM):
            if vm.observed.get("endpoint") in vms:
                vms[vm.observed["endpoint"]].append(vm)

        def read(endpoint: Document) -> Any:
            known = {vm.id: _change_version(vm) for vm in vms[endpoint.id]} | dict.fromkeys(detailed)
            addresses = {vm.id: vm.observed.get("address") for vm in vms[endpoint.id]}
            try:
                return read_inventory(self.session(endpoint), known=known, addresses=addresses)
            except PhotonError as error:
                return error

        with ThreadPoolExecutor(min(_PARALLEL_ENDPOINTS, len(wanted) or 1)) as pool:
            for endpoint, answer in zip(wanted, pool.map(read, wanted), strict=True):
                if isinstance(answer, PhotonError):
                    state.unreachable[endpoint.id] = answer
                else:
                    state.inventories[endpoint.id] = answer

    def read_disks(self, state: CurrentState) -> None:
        """List the files of the recorded persistent disks, on the endpoints that were read."""
        read_files(state, self)

    def session(self, endpoint: Document) -> Session:
        """The run's one session with this endpoint. Raises EndpointUnreachable and similar codes."""
        if endpoint.id not in self.sessions:
            session = connect(self._spec(endpoint))
            session.guard = self.run.check if self.run is not None else None
            session.interruption = self.interruption
            self.sessions[endpoint.id] = session
        return self.sessions[endpoint.id]

    def _spec(self, endpoint: Document) -> EndpointSpec:
        body = endpoint.body
        secret = credentials.resolve(body["credential"], self.credentials)
        tls = body["tls"]
        return EndpointSpec(
            id=endpoint.id,
            name=endpoint.name,
            type=body["type"],
            address=body["address"],
            port=body["port"],
            username=secret.username,
            password=secret.password,
            verify=tls.get("verify", True),
            ca_file=self.path(tls["ca_file"]) if tls.get("ca_file") else None,
            thumbprint=tls.get("thumbprint"),
            timeout=float(body.get("timeout") or 60),
            datacenter=body.get("datacenter"),
            folder=body.get("folder"),
        )


@dataclass(slots=True)
class Applying:
    """What the kinds' ``apply`` functions work with."""

    plan: Plan
    state: CurrentState
    context: Context

    def note(self, task: Any, operation: str, *, open_with: Mapping[str, Any] | None = None) -> None:
        """Journal that a task's step is done; ``open_with``: how far it came (done, of, unit)."""
        state = "COMPLETED" if open_with is None else "STARTED"
        for step in task.steps:
            if step.operation == operation:
                self.context.run.note(task.id, step.sequence, state, open_with)


def _change_version(vm: Document) -> str | None:
    """The change version that was last seen; None for a VM that is to be read in detail, also to get its record."""
    seen = vm.observed.get("vsphere", {})
    return seen.get("change_version") if seen.get("marked") else None


@contextlib.contextmanager
def open_context(
    url: str | None, *, mode: str, allow_ephemeral: bool = False, by: str = "", **rest: Any
) -> Iterator[Context]:
    """A context on the CloudStore at ``url`` (else PHOTON_CLOUDSTORE); with ``mode`` read nothing is changed."""
    url = url or os.environ.get("PHOTON_CLOUDSTORE")
    if not url:
        raise PhotonError(
            "CloudStoreUnavailable",
            "no CloudStore is configured: set photon_cloudstore_url or the environment variable "
            "PHOTON_CLOUDSTORE, for example sqlite:////var/lib/photon/cloudstore.db",
        )
    store = open_store(url, mode=mode, allow_ephemeral=allow_ephemeral, by=by)
    with Context(store, **rest) as context:
        yield context
