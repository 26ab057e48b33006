# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action play_scope: fail a run that would do nothing (documented in modules/play_scope.yml)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.model.errors import PhotonError
from ..plugin_utils.controller import failure, plain


class ActionModule(ActionBase):
    """Compare --limit and --tags with what a playbook has; nothing runs on a host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the hosts that take part, or a failure that says why there are none."""
        result = super().run(tmp, task_vars)
        given, variables = plain(self._task.args), task_vars or {}
        groups = {name: list(hosts) for name, hosts in variables["groups"].items()}
        limit = str(variables.get("ansible_limit") or "")
        try:
            check_tags(given.get("tags") or [], variables["ansible_run_tags"], variables["ansible_skip_tags"])
            check_limit(limit, bool(given.get("whole")), bool(given.get("controller")))
            wanted = given.get("hosts") or []
            hosts = scope(wanted, groups, variables["ansible_play_hosts_all"], limit) if wanted else []
        except PhotonError as error:
            return {**result, **failure(error)}
        return {**result, "hosts": hosts}


def check_tags(known: Sequence[str], chosen: Collection[str], skipped: Collection[str]) -> None:
    """Raise PhotonError InvalidOperation when --tags or --skip-tags leave none of the playbook's tags."""
    unknown = sorted(set(chosen) - {*known, "all", "always", "tagged", "untagged"})
    has = f"This playbook has {', '.join(known)}." if known else "This playbook has no tags."
    if unknown:
        raise PhotonError("InvalidOperation", f"--tags {','.join(unknown)} selects nothing. {has}")
    named = set(chosen) & set(known)
    if named and named <= set(skipped):
        both = ",".join(sorted(named))
        raise PhotonError("InvalidOperation", f"--tags {both} without --skip-tags {both} selects nothing. {has}")
    if {"all", "tagged"} & set(skipped) or (known and set(known) <= set(skipped)):
        raise PhotonError("InvalidOperation", f"--skip-tags {','.join(sorted(skipped))} leaves nothing to do. {has}")


def check_limit(limit: str, whole: bool, controller: bool) -> None:
    """Raise PhotonError InvalidOperation when a limit leaves out what the playbook needs: all hosts, or localhost."""
    if whole and limit:
        raise PhotonError(
            "InvalidOperation",
            f"--limit {limit} is not possible: this playbook needs all its hosts. Nothing was done. "
            "Run it without a limit.",
        )
    if controller and limit and "localhost" not in re.split(r"[,:]", limit):
        raise PhotonError(
            "InvalidOperation",
            f"--limit {limit} leaves out localhost, where this playbook begins. Nothing was done. Name it too: "
            f"--limit localhost,{limit}",
        )


def scope(
    wanted: Sequence[str], groups: Mapping[str, Sequence[str]], playing: Collection[str], limit: str
) -> list[str]:
    """Return the hosts of groups (or single hosts) that take part in the run; PhotonError HostNotFound without any."""
    hosts = list(
        dict.fromkeys(host for name in wanted for host in groups.get(name, [name] if name in groups["all"] else []))
    )
    names = " and ".join(wanted)
    if not hosts:
        raise PhotonError("HostNotFound", f"the inventory has no hosts in {names}. Add them, or name other hosts.")
    chosen = [host for host in hosts if host in set(playing)]
    if not chosen:
        raise PhotonError(
            "HostNotFound", f"--limit {limit} leaves no host of {names} ({', '.join(hosts)}). Limit to one of them."
        )
    return chosen
