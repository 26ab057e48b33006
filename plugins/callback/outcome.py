# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: outcome
type: stdout
short_description: Prints what the platform's modules returned, as one JSON document
version_added: 0.1.0
description:
  - Prints nothing while the play runs and one JSON document at its end, for programs that read a plan or the outcome
    of an application; bin/photon-plan and bin/photon-apply do.
  - Where the environment variable E(PHOTON_OUTCOME) names a file, the document is written there.
  - C(results) holds the result of each task with a module of the collection, C(failures) the messages of everything
    else that failed.
author:
  - Photon Platform contributors (@photon-platform)
"""

EXAMPLES = r"""
- name: In the shell
  # ANSIBLE_STDOUT_CALLBACK=photon.platform.outcome ansible-playbook -i inventories/mine playbooks/plan.yml
"""

import json
import os
import re
import sys

from ansible.plugins.callback import CallbackBase

OURS = "photon.platform."
_CHAIN = re.compile(r"^.*The lookup plugin 'photon\.platform\.\w+' failed: ", re.DOTALL)  # Ansible's own steps before


class CallbackModule(CallbackBase):
    """Collects, then prints."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "photon.platform.outcome"

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.results: list[dict] = []
        self.failures: list[str] = []

    def v2_runner_on_ok(self, result: object) -> None:
        self._take(result)

    def v2_runner_on_failed(self, result: object, ignore_errors: bool = False) -> None:
        if not self._take(result, failed=True) and not ignore_errors:
            message = _CHAIN.sub("", str(result.result.get("msg") or "failed"))
            self.failures.append(f"{result.task.get_name()}: {message}")

    def v2_runner_on_unreachable(self, result: object) -> None:
        self.failures.append(f"{result.host.get_name()} is unreachable: {result.result.get('msg') or ''}")

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self.failures.append("no host matched: the plays run on localhost, which --limit or the inventory leaves out")

    def v2_playbook_on_stats(self, stats: object) -> None:
        document = json.dumps({"results": self.results, "failures": self.failures}, default=str)
        if path := os.environ.get("PHOTON_OUTCOME"):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(document)
        else:
            sys.stdout.write(f"{document}\n")

    def _take(self, result: object, failed: bool = False) -> bool:
        """Keep the result of a module of ours that got as far as an answer."""
        answer = result.result
        if not str(result.task.resolved_action).startswith(OURS) or (failed and "error_code" not in answer):
            return False
        hidden = {"invocation", *(key for key in answer if key.startswith("_"))}
        self.results.append({key: value for key, value in answer.items() if key not in hidden})
        return True
