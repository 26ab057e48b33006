# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``kill -9`` during a rebuild: the CloudStore is empty or whole, and what follows needs nothing by hand."""

from __future__ import annotations

import os
import random

from tests.integration.rebuild.conftest import LostSite, site_tree

SEED = int(os.environ.get("PHOTON_SEED") or random.randrange(1 << 30))
SAMPLE = 4


def test_a_killed_rebuild_leaves_nothing_or_all(site: LostSite) -> None:
    declared = site_tree()
    kinds = sorted(d.kind for d in site.snapshot().documents)
    site.lose()
    points = site.start(declared, rebuild=True).end()["points"]
    commits = [number for number, name in enumerate(points, 1) if name.endswith("commit")]
    others = random.Random(SEED).sample([n for n in range(1, len(points)) if n not in commits], SAMPLE)
    print(f"seed {SEED}: {len(points)} points, killed at {commits[-6:]} and {others}")
    empty = whole = 0
    for point in sorted({*commits[-6:], *others}):
        site.lose()
        assert "killed at point" in site.start(declared, kill_at=point, rebuild=True).end()["said"], points[point - 1]
        found = sorted(d.kind for d in site.snapshot().documents)
        assert found in ([], kinds), points[point - 1]
        empty, whole = empty + (not found), whole + bool(found)
        if not found:
            assert site.rebuild(declared)["contradictions"] == []
        assert site.plan(declared) == {}
    assert empty
    assert whole
