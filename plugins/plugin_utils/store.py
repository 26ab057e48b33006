# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The call of a service that only reads, from plugins in Ansible's own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ansible.errors import AnsibleError

from ..module_utils.model.errors import PhotonError
from ..module_utils.services import run
from ..module_utils.services.context import Context, Options
from .controller import plain

Answer = TypeVar("Answer")


def ask(options: Mapping[str, Any], work: Callable[[Context], Answer]) -> Answer:
    """Call a service that only reads, with a plugin's options (see the fragment ``store``). Raises AnsibleError."""
    values = plain(dict(options))
    request = run.Request(
        cloudstore_url=values.get("cloudstore_url"),
        allow_ephemeral=bool(values.get("cloudstore_allow_ephemeral")),
        act_as=values.get("act_as"),
        credentials=values.get("credentials") or {},
        options=Options(base_directory=values.get("base_directory") or os.getcwd()),
    )
    try:
        with run.reading(request) as context:
            return work(context)
    except PhotonError as error:
        raise AnsibleError(str(error)) from None  # Ansible would print the whole chain of causes
