# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product in a process of its own that can be killed: ``python child.py job.json``.

The job: ``{tree, request, kill_at, pause_at, rebuild, answer}``; with ``rebuild`` the CloudStore is rebuilt.
What the run came to goes to the file ``answer``: its outcome or its error, the points it met, and the commits that
SQLite itself saw.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.rebuild import rebuild
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_site

from tests.chaos.interposer import Interposer, is_heartbeat


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    options = Options(**job["request"].pop("options"))
    request = Request(**job["request"], options=options)
    interposer = Interposer(job["kill_at"], tuple(job["pause_at"]) if job["pause_at"] else None)
    commits = count_commits()
    answer: dict[str, Any] = {"outcome": None, "error": None}
    with interposer.installed():
        try:
            work = rebuild if job.get("rebuild") else run_site
            answer["outcome"] = work(job["tree"], request)
        except PhotonError as error:
            answer["error"] = error.to_dict()
    answer.update(points=interposer.names, commits=len(commits))
    with open(job["answer"], "w", encoding="utf-8") as file:
        json.dump(answer, file, default=str)


def count_commits() -> list[str]:
    """What SQLite itself sees of commits, from now on, to compare the interposer with."""
    seen: list[str] = []
    real = sqlite3.connect

    def connect(*args: Any, **more: Any) -> sqlite3.Connection:
        connection = real(*args, **more)
        connection.set_trace_callback(note)
        return connection

    def note(text: str) -> None:
        if text.strip().upper() == "COMMIT" and not is_heartbeat():
            seen.append(text)

    sqlite3.connect = connect
    return seen


if __name__ == "__main__":
    main(sys.argv[1])
