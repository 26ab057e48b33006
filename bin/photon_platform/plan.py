# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-plan: show what would be done to make the site as the inventory declares it. Nothing is changed.

Exit code: 0 nothing to do, 2 changes, 1 an error or something blocked, 64 wrong usage.
"""

from __future__ import annotations

import os

from . import collection
from . import command as shared


@shared.command
def main() -> int:
    parser = shared.parser("photon-plan", __doc__ or "")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the plan, for photon-apply FILE")
    parser.add_argument("--keep", action="store_true", help="keep it in the CloudStore, for photon-apply --plan-id")
    shared.add_targets(parser)
    options = parser.parse_args()
    saved = {"save_plan": os.path.abspath(options.output)} if options.output else {}
    saved |= {"keep_plan": True} if options.keep else {}
    outcome = shared.play("plan.yml", options, plan_result="full", only=options.target, **saved)
    shared.show(outcome, options, collection.load("plan_text").plan_lines(outcome))
    if outcome.get("error_code"):
        return 1
    if options.output and not options.json:
        print(f"saved to {options.output}")
    if options.keep and not options.json:
        print(f"kept in the CloudStore for 7 days: photon-apply --plan-id {outcome['plan_id']}")
    return 2 if outcome["changed"] else 0
