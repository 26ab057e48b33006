# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-show: tables of what the platform holds: tenants, projects and their quota, hosts and their load, VMs, disks.

Exit code: 0, 1 an error, 64 wrong usage.
"""

from __future__ import annotations

from . import collection
from . import command as shared
from .collection import Failure

TABLES = ("tenants", "hosts", "vms", "disks")
COLUMNS = ("project", "host", "zone", "state", "flavor", "datastore", "vms", "vcpus", "memory")


@shared.command
def main() -> int:
    parser = shared.parser("photon-show", __doc__ or "")
    parser.add_argument("--live", action="store_true", help="read the endpoints too, not only the record")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=GLOB",
        help="only what matches, such as tenant=acme, host=esx0*, state=STARTED or tags=web; may be repeated",
    )
    parser.add_argument("--sort", choices=COLUMNS, metavar="COLUMN", help=f"of hosts and VMs: {', '.join(COLUMNS)}")
    parser.add_argument("what", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)} (default: all)")
    options = parser.parse_args()
    if unknown := [name for name in options.what if name not in TABLES]:
        parser.error(f"no table is named {unknown[0]!r}: choose from {', '.join(TABLES)}")
    if wrong := [text for text in options.filter if "=" not in text]:
        parser.error(f"--filter takes FIELD=GLOB, not {wrong[0]!r}")
    outcome = shared.play("show.yml", options, live=options.live)
    if outcome.get("error_code") and not options.json:
        raise Failure(f"{outcome['error_code']}: {outcome.get('msg', '')}")
    tables = collection.load("tables")
    try:
        filters = dict(text.split("=", 1) for text in options.filter)
        outcome["resources"] = tables.select(outcome.get("resources", []), filters)
    except collection.load("model.errors").PhotonError as error:
        raise Failure(error.message) from error
    shared.show(outcome, options, tables.tables(outcome["resources"], options.what or TABLES, options.sort))
    return 1 if outcome.get("error_code") else 0
