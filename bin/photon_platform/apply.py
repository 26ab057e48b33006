# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-apply: make the site as the inventory declares it, after it showed the plan and you said yes.

With a PLAN that photon-plan -o wrote, or the id of one that photon-plan --keep kept in the CloudStore, the site is
planned again and exactly that is done, or nothing when something differs; so it is with the plan that was shown, unless
parts of it are blocked. Without a terminal, give PLAN, --plan-id or --yes.
Exit code: 0 done, 1 something failed or you did not say yes, 64 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import collection
from . import command as shared


@shared.command
def main() -> int:
    parser = shared.parser("photon-apply", __doc__ or "")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("plan", metavar="PLAN", nargs="?", help="a plan that photon-plan -o wrote")
    parser.add_argument("--plan-id", metavar="ID", help="a plan that photon-plan --keep kept in the CloudStore")
    shared.add_targets(parser)
    options = parser.parse_args()
    if options.plan and options.plan_id:
        parser.error("PLAN and --plan-id exclude each other")
    if (options.plan or options.plan_id) and options.target:
        parser.error("a PLAN has its targets: give --target to photon-plan")
    if options.plan:
        return apply(options, saved_plan=os.path.abspath(options.plan))
    if options.plan_id:
        return apply(options, plan_id=options.plan_id)
    if options.yes:
        return apply(options, only=options.target)
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        parser.error("there is no terminal to ask on: give --yes, or a PLAN that photon-plan -o wrote")
    with tempfile.TemporaryDirectory(prefix="photon-plan-") as folder:
        file = Path(folder) / "plan.json"
        outcome = shared.play("plan.yml", options, plan_result="full", save_plan=str(file), only=options.target)
        print("\n".join(collection.load("plan_text").plan_lines(outcome)))
        if "counts" not in outcome:
            return 1
        if outcome["changed"] and not agreed():
            print("nothing was done")
            return 1
        exactly = outcome["changed"] and file.exists()
        return apply(options, **({"saved_plan": str(file)} if exactly else {"only": options.target}))


def agreed() -> bool:
    """Ask; only the whole word counts."""
    try:
        return input("\nApply this plan? Only 'yes' applies it: ").strip() == "yes"
    except EOFError:
        return False


def apply(options: argparse.Namespace, **variables: Any) -> int:
    outcome = shared.play("site.yml", options, **variables)
    shared.show(outcome, options, collection.load("plan_text").outcome_lines(outcome))
    return 1 if outcome.get("error_code") else 0
