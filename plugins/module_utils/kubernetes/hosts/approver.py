# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approve serving certificates of declared nodes on a control-plane member, started by a systemd timer.

Kubelets request a new certificate before theirs expires, whether or not a playbook runs. Exit code 1 and the reasons
when a request is refused, so that the failed unit is seen; 0 while the API does not answer, as other members do.
"""

from __future__ import annotations

import sys

from ...model.errors import PhotonError
from . import serving
from .api import Api


def main(api: Api | None = None) -> int:
    """Run once and return the exit code."""
    try:
        granted, refused = serving.approve_all(api or Api.of_member())
    except PhotonError as error:
        print(error.message, file=sys.stderr)
        return 0 if error.code == "ApiUnreachable" else 1
    for name in granted:
        print(f"approved the serving certificate of {name}")
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
