# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run works with: the CloudStore, the sessions with its endpoints, who asks, and how careful to be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
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
from .world import World

_PARALLEL_ENDPOINTS = 16


@dataclass(slots=True)
class Options:
    """Behaviour of a run; the defaults are the declaration's. ``base_directory`` is where relative files start."""

    policy: str = "spread"
    quality: str = "normal"
    seed: int = 0
    atomic: bool = False
    prune: str = "report"
    max_deletes: int = 10
    default_port_group: str | None = None
    base_directory: str = "."
    lease_seconds: float = 30.0


@dataclass(slots=True)
class Context:
    """Use as a context manager: every session is logged out on every way out."""

    store: CloudStore
    actor: Actor = SYSTEM
    managed_by: str = "api"
    credentials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    options: Options = field(default_factory=Options)
    sessions: dict[str, Session] = field(default_factory=dict)

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

    def read_endpoints(self, world: World, endpoints: Iterable[Document]) -> None:
        """One bulk read of each endpoint, side by side; what cannot be read goes to ``world.unreachable``."""
        wanted = list(endpoints)
        known: dict[str, dict[str, str | None]] = {endpoint.id: {} for endpoint in wanted}
        for vm in world.of(entities.VM):
            if vm.body.get("endpoint") in known:
                known[vm.body["endpoint"]][vm.id] = vm.body.get("vsphere", {}).get("change_version")
        with ThreadPoolExecutor(min(_PARALLEL_ENDPOINTS, len(wanted) or 1)) as pool:
            for endpoint, answer in zip(wanted, pool.map(lambda e: self._read(e, known[e.id]), wanted), strict=True):
                if isinstance(answer, PhotonError):
                    world.unreachable[endpoint.id] = answer
                else:
                    world.inventories[endpoint.id] = answer

    def session(self, endpoint: Document) -> Session:
        """The run's one session with this endpoint. Raises EndpointUnreachable and its like."""
        if endpoint.id not in self.sessions:
            self.sessions[endpoint.id] = connect(self._spec(endpoint))
        return self.sessions[endpoint.id]

    def _read(self, endpoint: Document, known: dict[str, str | None]) -> Any:
        try:
            return read_inventory(self.session(endpoint), known=known)
        except PhotonError as error:
            return error

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


@contextlib.contextmanager
def open_context(
    url: str | None, *, mode: str, allow_ephemeral: bool = False, by: str = "", **rest: Any
) -> Iterator[Context]:
    """A context on the CloudStore at ``url`` (else PHOTON_CLOUDSTORE); ``mode`` read changes nothing."""
    url = url or os.environ.get("PHOTON_CLOUDSTORE")
    if not url:
        raise PhotonError(
            "CloudStoreUnavailable",
            "no CloudStore: set photon_cloudstore_url or the environment variable "
            "PHOTON_CLOUDSTORE, for example sqlite:////var/lib/photon/cloudstore.db",
        )
    store = open_store(url, mode=mode, allow_ephemeral=allow_ephemeral, by=by)
    with Context(store, **rest) as context:
        yield context
