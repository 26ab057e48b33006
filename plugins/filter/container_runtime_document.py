# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter container_runtime_document: entry point to the tool kubernetes (documented in a YAML file)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.documents import runtime
from ..module_utils.model.errors import PhotonError
from ..plugin_utils.controller import read_file


def container_runtime_document(
    settings: Mapping[str, Any], engine: str, manager: str = "apt", version: str = ""
) -> dict[str, Any]:
    """Return the linux_host document of a standalone container host; AnsibleFilterError with every mistake."""
    try:
        return runtime.document(engine, settings, read_file, manager, version)
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"container_runtime_document": container_runtime_document}
