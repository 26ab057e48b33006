# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-verify: compare what the CloudStore holds with itself and with vSphere. Nothing is changed without --repair.

Exit code: 0 everything agrees, 2 findings are left, 1 an error, 64 wrong usage. Endpoints that cannot be read are
named, not compared.
"""

from __future__ import annotations

import sys

from . import collection
from . import command as shared


@shared.command
def main() -> int:
    parser = shared.parser("photon-verify", __doc__ or "")
    parser.add_argument("--repair", action="store_true", help="repair what needs no decision; vSphere stays as it is")
    options = parser.parse_args()
    outcome = shared.play("verify.yml", options, repair=options.repair, verify_result="full")
    lines = collection.load("verify_text").verify_lines(outcome)
    if outcome.get("error_code") and not options.json:
        print("\n".join(lines), file=sys.stderr)
    else:
        shared.show(outcome, options, lines)
    if outcome.get("error_code"):
        return 1
    return 2 if outcome["left"] else 0
