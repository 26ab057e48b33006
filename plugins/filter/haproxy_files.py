# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter haproxy_files: entry point to the tool haproxy (documented in haproxy_files.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.haproxy import certificates


def haproxy_files(items: Sequence[Mapping[str, Any]], authorities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return file name -> PEM text of certificates with their keys, and of authorities."""
    try:
        return certificates.files(items, authorities)
    except certificates.CertificateError as error:
        raise AnsibleFilterError(f"haproxy_certificates: {error}") from None


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"haproxy_files": haproxy_files}
