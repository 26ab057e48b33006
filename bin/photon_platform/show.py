# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-show: tables of what the platform holds: tenants and projects with their quota, hosts with their load, VMs.

Exit code: 0, 1 an error, 64 wrong usage.
"""

from __future__ import annotations

from . import collection
from . import command as shared
from .collection import Failure

TABLES = ("tenants", "hosts", "vms")


@shared.command
def main() -> int:
    parser = shared.parser("photon-show", __doc__ or "")
    parser.add_argument("--live", action="store_true", help="read the endpoints too, not only the record")
    parser.add_argument("what", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)} (default: all)")
    options = parser.parse_args()
    if unknown := [name for name in options.what if name not in TABLES]:
        parser.error(f"no table is named {unknown[0]!r}: choose from {', '.join(TABLES)}")
    outcome = shared.play("show.yml", options, live=options.live)
    if outcome.get("error_code") and not options.json:
        raise Failure(f"{outcome['error_code']}: {outcome.get('msg', '')}")
    lines = collection.load("tables").tables(outcome.get("resources", []), options.what or TABLES)
    shared.show(outcome, options, lines)
    return 1 if outcome.get("error_code") else 0
