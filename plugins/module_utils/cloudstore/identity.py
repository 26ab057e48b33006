# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CloudStore takes the place of a lost one: its identity, in a transaction that finds it empty."""

from __future__ import annotations

from .base import Base
from .errors import Conflict
from .library import load
from .tables import tables

_KEPT = ("meta", "runs", "raw_digests")


class Identity(Base):
    """The part of Transaction that a rebuild needs in addition to documents and allocations."""

    def take_identity(self, store_id: str, rules_tag: str) -> None:
        """Take the identity of another CloudStore. Two that do so at once wait for each other."""
        meta = tables().meta
        self.connection.execute(meta.update().where(meta.c.key == "store_id").values(value=store_id))
        self.connection.execute(meta.delete().where(meta.c.key == "rules_tag"))
        self.connection.execute(meta.insert().values(key="rules_tag", value=rules_tag))

    def refuse_content(self) -> None:
        """Raise Conflict (CloudStoreNotEmpty) where there is a document."""
        documents = tables().documents
        number = self.connection.execute(load().select(load().func.count()).select_from(documents)).scalar_one()
        if number:
            raise Conflict(
                "CloudStoreNotEmpty",
                f"the CloudStore has {number} documents by now, so it is not rebuilt: another run was faster; "
                "see what it holds (photon-show)",
                {"documents": number},
            )

    def erase(self) -> None:
        """Delete everything but the identity, the runs, and digests of content, which stay true."""
        for name, table in tables().metadata.tables.items():
            if name not in _KEPT:
                self.connection.execute(table.delete())
