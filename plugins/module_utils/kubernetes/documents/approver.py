# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approver of kubelets' serving certificates on each control-plane member: its code, and a systemd timer.

The same code approves requests during a run (hosts/nodes.py), so that both decide alike. It needs the host's Python
alone, and no container image.
"""

from __future__ import annotations

import pathlib
from typing import Any

FOLDER = "/usr/local/lib/photon-serving-approver"
SERVICE, TIMER = "photon-serving-approver.service", "photon-serving-approver.timer"
_UNITS = "/etc/systemd/system"
_SOURCES = (
    "model/errors.py",
    *(f"kubernetes/hosts/{name}.py" for name in ("api", "approver", "commands", "serving", "x509")),
)
_SERVICE = f"""[Unit]
Description=Approve serving certificates of declared Kubernetes nodes
ConditionPathExists=/etc/kubernetes/admin.conf

[Service]
Type=oneshot
Environment=PYTHONPATH={FOLDER}
ExecStart=/usr/bin/python3 -B -m photon.kubernetes.hosts.approver
NoNewPrivileges=yes
ProtectSystem=full
"""
_TIMER = """[Unit]
Description=Approve serving certificates of declared Kubernetes nodes every minute

[Timer]
OnActiveSec=10
OnUnitInactiveSec=60
RandomizedDelaySec=5

[Install]
WantedBy=timers.target
"""


def document(control_plane: bool) -> dict[str, Any]:
    """Return the part of a host's document: the approver on control-plane members, its absence on workers."""
    if not control_plane:
        sources = [f"{FOLDER}/photon/{name}" for name in _SOURCES]
        return {
            "absent_files": [*(f"{_UNITS}/{name}" for name in (SERVICE, TIMER)), *sources],
            "units": {TIMER: {"enabled": False, "state": "stopped"}},
        }
    root = pathlib.Path(__file__).parents[2]
    files = {f"{FOLDER}/photon/{name}": (root / name).read_text("utf-8") for name in _SOURCES}
    parents = {str(parent) for path in files for parent in pathlib.PurePath(path).parents}
    return {
        "directories": [
            {"path": path, "mode": "0755", "exclusive": path == FOLDER}
            for path in sorted(parents)
            if path.startswith(FOLDER)
        ],
        "files": [
            *({"path": path, "content": text, "mode": "0644"} for path, text in files.items()),
            {"path": f"{_UNITS}/{SERVICE}", "content": _SERVICE, "mode": "0644"},
            {"path": f"{_UNITS}/{TIMER}", "content": _TIMER, "mode": "0644", "restarts": [TIMER]},
        ],
        "units": {SERVICE: {}, TIMER: {"enabled": True, "state": "started"}},
    }
