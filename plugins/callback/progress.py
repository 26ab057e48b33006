# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: Shows how far a run came while it works
version_added: 0.1.0
description:
  - On a terminal it draws a bar per kind and step, such as the creation of VMs, and uploads with their rate. On pipes
    and in AWX it writes a line to standard error every 10 seconds. C(photon-apply) uses it.
  - It says which run is waited for, and whose it is, while another one works on the same resources.
  - It reads the journal of the CloudStore and nothing else, and ends with the run. The CloudStore is the one of the
    task's option C(cloudstore_url), else C(photon_cloudstore_url), else the environment variable
    E(PHOTON_CLOUDSTORE).
  - Colors are left out where E(NO_COLOR) is set.
requirements:
  - enable it, with C(callbacks_enabled = photon.platform.progress) in C(ansible.cfg) or the environment variable
    E(ANSIBLE_CALLBACKS_ENABLED)
author:
  - Photon Platform contributors (@photon-platform)
"""

EXAMPLES = r"""
- name: In the shell
  # ANSIBLE_CALLBACKS_ENABLED=photon.platform.progress ansible-playbook -i inventories/mine photon.platform.site
"""

import os

from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ..plugin_utils.watch import Watcher, output_for

OURS = "photon.platform."
# The modules whose runs have a journal.
RUNNING = frozenset(
    OURS + name for name in ("platform", "tenant", "project", "flavor", "zone", "host", "image", "vm", "disk")
)
URL = "photon_cloudstore_url"


class CallbackModule(CallbackBase):
    """One watcher at a time: it sees the runs of all modules that Ansible waits for."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "photon.platform.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._play: object = None
        self._waited_for: set[tuple[str, str]] = set()
        self._watcher: Watcher | None = None

    def v2_playbook_on_play_start(self, play: object) -> None:
        self._play = play

    def v2_runner_on_start(self, host: object, task: object) -> None:
        if task.resolved_action not in RUNNING or task.check_mode is True:
            return
        self._waited_for.add((host.get_name(), task._uuid))
        if self._watcher is None and (url := self._url(host, task)):
            output = output_for(dict(os.environ), lambda text: self._display.display(text, stderr=True))
            self._watcher = Watcher(url, output)
            self._watcher.start()

    def v2_runner_on_ok(self, result: object) -> None:
        self._ended(result)

    def v2_runner_on_failed(self, result: object, ignore_errors: bool = False) -> None:
        self._ended(result)

    def v2_runner_on_skipped(self, result: object) -> None:
        self._ended(result)

    def v2_runner_on_unreachable(self, result: object) -> None:
        self._ended(result)

    def v2_playbook_on_stats(self, stats: object) -> None:
        self._waited_for.clear()
        self._stop()

    def _ended(self, result: object) -> None:
        self._waited_for.discard((result.host.get_name(), result.task._uuid))
        if not self._waited_for:
            self._stop()

    def _stop(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def _url(self, host: object, task: object) -> str | None:
        """The URL of the CloudStore that the task uses; None where it is not known here."""
        variables = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        raw = task.args.get("cloudstore_url") or variables.get(URL) or os.environ.get("PHOTON_CLOUDSTORE")
        try:
            return str(Templar(loader=self._play.get_loader(), variables=variables).template(raw)) if raw else None
        except AnsibleError:  # the task itself reports it
            return None
