# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-apply: make the site as the inventory declares it.

With a PLAN that photon-plan -o wrote, the site is planned again and exactly that is done, or nothing when something
differs. Exit code: 0 done, 1 something failed, 64 wrong usage.
"""

from __future__ import annotations

import os

from . import collection
from . import command as shared


@shared.command
def main() -> int:
    parser = shared.parser("photon-apply", __doc__ or "")
    parser.add_argument("plan", metavar="PLAN", nargs="?", help="a plan that photon-plan -o wrote")
    options = parser.parse_args()
    saved = {"saved_plan": os.path.abspath(options.plan)} if options.plan else {}
    outcome = shared.play("site.yml", options, **saved)
    shared.show(outcome, options, collection.load("plan_text").outcome_lines(outcome))
    return 1 if outcome.get("error_code") else 0
