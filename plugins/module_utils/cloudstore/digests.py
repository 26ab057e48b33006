# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of the raw disks that image files unpack to, by the file's SHA-256: they belong to content, not to images."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Base
from .bulk import Delete, Fetch, Insert

_ADD = Insert("raw_digests", ("sha256", "chunk", "digest"))
_OF = Fetch("raw_digests", "sha256")
_DROP = Delete("raw_digests", "sha256")


class Digests(Base):
    """The part of Transaction that keeps raw digests (see vsphere/rawdigest.py)."""

    def add_raw_digests(self, sha256: str, digests: Sequence[str]) -> None:
        """Record the digest of each chunk of a file's raw disk; those that are there stay."""
        rows = [{"sha256": sha256, "chunk": number, "digest": digest} for number, digest in enumerate(digests)]
        _ADD.execute(self.connection, rows)

    def raw_digests(self, sha256: str) -> list[str]:
        """The digest of each chunk, in order; empty where none was recorded."""
        return [row.digest for row in _OF.rows(self.connection, [sha256])]

    def drop_raw_digests(self, sha256: str) -> None:
        """Forget a file's digests."""
        _DROP.execute(self.connection, [sha256])
