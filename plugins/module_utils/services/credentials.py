# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials by reference: an endpoint names one, the secret comes with the run and is never stored."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    username: str
    password: str


def environment_prefix(name: str) -> str:
    """``vc-1`` -> ``PHOTON_CREDENTIAL_VC_1``; ``_USERNAME`` and ``_PASSWORD`` follow."""
    return "PHOTON_CREDENTIAL_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def resolve(
    name: str, given: Mapping[str, Mapping[str, Any]] | None = None, environment: Mapping[str, str] | None = None
) -> Credential:
    """Return the credential of that name: from those of the run (vaulted variables), else from the environment.

    An AWX credential type injects the same two environment variables. Raises InvalidLoginCredentials naming every
    place that was searched, and SpecInvalid for an entry of another form, without its value.
    """
    environment = os.environ if environment is None else environment
    entry = (given or {}).get(name)
    if entry is not None:
        if not isinstance(entry, Mapping):
            raise PhotonError(
                "SpecInvalid",
                f"photon_credentials.{name} must be a mapping: write {name}: {{username: ..., password: ...}}",
                {"credential": name},
            )
        missing = [key for key in ("username", "password") if not entry.get(key)]
        if missing:
            raise PhotonError("InvalidLoginCredentials", f"photon_credentials.{name} lacks {' and '.join(missing)}")
        return Credential(str(entry["username"]), str(entry["password"]))
    prefix = environment_prefix(name)
    username, password = environment.get(f"{prefix}_USERNAME"), environment.get(f"{prefix}_PASSWORD")
    if username and password:
        return Credential(username, password)
    raise PhotonError(
        "InvalidLoginCredentials",
        f"no credential is named {name!r}: set photon_credentials.{name} (username, password; keep it in a vault), or "
        f"the environment variables {prefix}_USERNAME and {prefix}_PASSWORD, as an AWX credential does",
        {"credential": name},
    )
