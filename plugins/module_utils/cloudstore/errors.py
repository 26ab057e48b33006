# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify failures: plan again (Conflict), repeat the transaction (TryAgain), or report to the user."""

from __future__ import annotations

import re
import sqlite3

from ..model.errors import PhotonError

# serialization failure, deadlock, lock not available, idle in transaction, server going down or starting up, too many
# connections
_TRY_AGAIN = frozenset(("40001", "40P01", "55P03", "25P03", "57P01", "57P02", "57P03", "53300", "25006"))
_CONNECTION = ("08",)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


# What a database says, and what helps. None of it changes by waiting, except for a server that is not up yet.
_REFUSED = "start PostgreSQL, or correct the host and port in photon_cloudstore_url"
_HINTS = (
    ("no password supplied", "give the password in ~/.pgpass or in the environment variable PGPASSWORD"),
    ("authentication failed", "correct the user in photon_cloudstore_url, or the password in ~/.pgpass or PGPASSWORD"),
    (r'role ".*" does not exist', "correct the user in photon_cloudstore_url, or create it: createuser NAME"),
    (r'database ".*" does not exist', "correct photon_cloudstore_url, or create the database: createdb NAME"),
    ("no pg_hba.conf entry", "let this machine and user in: see pg_hba.conf of the server"),
    (
        "Name or service not known|could not translate host name|resolve host",
        "correct the host in photon_cloudstore_url",
    ),
    (
        "not a database|malformed",
        "it is damaged, or another kind of file: restore the latest backup (docs/cloudstore.md)",
    ),
    ("disk is full|No space left", "free space on its file system, then run again"),
    ("readonly database|unable to open|Permission denied", "check that this user may read and write it and its folder"),
)


class Conflict(PhotonError):
    """Another writer changed what this transaction was made from: plan the whole run again.

    The code is StaleVersion, NameTaken, ConcurrentTask, QuotaError or InsufficientCapacity; ``data["ids"]`` names the
    documents, consumers or providers concerned.
    """


class TryAgain(Exception):
    """Another transaction changed what this one had just read: the same transaction succeeds when it is repeated."""


def is_transient(error: Exception) -> bool:
    """Whether the same transaction can succeed a moment later (``error``: SQLAlchemy's DBAPIError)."""
    cause = getattr(error, "orig", None)
    if _hint(str(cause)):
        return False
    if isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _BUSY
    state = getattr(cause, "sqlstate", None)
    if state is None:  # libpq's own errors have none: the connection failed or was cut
        return type(cause).__name__ in ("OperationalError", "InterfaceError", "AdminShutdown")
    return state in _TRY_AGAIN or state.startswith(_CONNECTION)


def is_deadlock(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) == "40P01"


def is_duplicate(error: Exception) -> bool:
    """Whether another transaction inserted the same key first."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.IntegrityError):
        return cause.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
    return getattr(cause, "sqlstate", None) == "23505"


def unavailable(
    shown: str, error: object, hint: str = "check that it runs and that this user may open it"
) -> PhotonError:
    """Make CloudStoreUnavailable with the database's own message in one line; what it says decides the next step."""
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    if "onnection refused" in words:
        hint = _REFUSED
    return PhotonError(
        "CloudStoreUnavailable", f"the CloudStore {shown} cannot be used ({words}): {_hint(words) or hint}"
    )


def _hint(words: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, words)), None)
