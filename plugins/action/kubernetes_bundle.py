# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of module kubernetes_bundle: read the bundle and send the files that the host lacks."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes import bundle
from ..module_utils.kubernetes.plans.bundle import parts
from ..module_utils.model.errors import PhotonError

_MODULE = "photon.platform.kubernetes_bundle"
_BATCH = 256_000_000  # bytes that a host stores temporarily while it unpacks them


class ActionModule(ActionBase):
    """Run the module once, and again for each batch of files that must be sent."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and return its result."""
        result = super().run(tmp, task_vars)
        given = dict(self._task.args)
        if given.get("path"):  # relative to the folder in which Ansible was started
            given["path"] = os.path.abspath(os.path.expanduser(str(given["path"])))
        if given.get("state") != "present":
            if given.get("state") == "written":
                given |= {key: _absolute(given[key]) for key in ("packages", "images", "manifests") if given.get(key)}
            return {**result, **self._execute_module(_MODULE, given, task_vars=task_vars)}
        missing = [key for key in ("path", "version") if not given.get(key)]
        if missing:
            return {**result, "failed": True, "msg": f"state is present but {', '.join(missing)} is missing"}
        try:
            return {**result, **self._present(given, task_vars)}
        except PhotonError as error:
            return {**result, "failed": True, "msg": error.message, "error_code": error.code, "error_data": error.data}

    def _present(self, given: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        manifest = bundle.read_manifest(given["path"])
        version, role = str(given["version"]), given.get("role") or "control_plane"
        if version not in manifest["versions"]:
            raise PhotonError(
                "PackageNotFound",
                f"{given['path']} does not contain version {version}, only {', '.join(manifest['versions'])}. "
                "Add the version with playbook cluster_bundle.",
            )
        given["parts"] = parts(manifest, version, role)
        answer = self._execute_module(_MODULE, given, task_vars=task_vars)
        if answer.get("failed") or not answer.get("missing") or self._task.check_mode:
            return {**answer, "sent_bytes": 0}
        remote, first = self._make_tmp_path(), {key: answer[key] for key in ("changes", "diff")}
        given["incoming"] = remote
        sizes = {name: manifest["files"][name]["bytes"] for name in answer["missing"]}
        for names in _batches(sizes):
            self._send(given["path"], names, remote)
            answer = self._execute_module(_MODULE, given, task_vars=task_vars)
            if answer.get("failed"):
                return answer
        return {**answer, **first, "sent_bytes": sum(sizes.values())}

    def _send(self, path: str, names: list[str], remote: str) -> None:
        """Send files of the bundle to a folder on the host, one by one."""
        targets = []
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            for name in names:
                local = os.path.join(folder, os.path.basename(name))
                bundle.extract(path, name, local)
                target = self._connection._shell.join_path(remote, os.path.basename(name))
                self._transfer_file(local, target)
                os.unlink(local)
                targets.append(target)
        self._fixup_perms2([remote, *targets])


def _batches(sizes: dict[str, int]) -> list[list[str]]:
    """Group the names in order; a group exceeds the batch size only when it has a single name."""
    groups: list[list[str]] = []
    for name in sizes:
        if groups and sum(sizes[one] for one in [*groups[-1], name]) <= _BATCH:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def _absolute(paths: Any) -> list[str]:
    listed = paths if isinstance(paths, list) else str(paths).split(",")
    return [os.path.abspath(os.path.expanduser(str(path))) for path in listed]
