# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/kubernetes.md matches the schema, and its example is a valid cluster."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import declaration
from ansible_collections.photon.platform.plugins.module_utils.model import clusters

from tests.support import cluster_tables
from tests.support.clusters import FILES, SECRET

TEXT = cluster_tables.PAGE.read_text(encoding="utf-8")
PRODUCTION = cluster_tables.PAGE.parents[1] / "inventories" / "production"


def read_file(name):
    """Return a key, a certificate or a manifest by its file name."""
    return FILES["key.asc"] if name.endswith(".asc") else FILES["ca.pem"]


@pytest.mark.parametrize("name", cluster_tables.TABLES)
def test_page_has_the_table(name):
    assert f"<!-- table: {name} -->\n{cluster_tables.table(name)}" in TEXT, "run python -m tests.support.cluster_tables"


def test_example_is_a_valid_cluster():
    inventory, declared = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
    hostvars = {name: values or {} for group in inventory.values() for name, values in group["hosts"].items()}
    groups = {name: list(group["hosts"]) for name, group in inventory.items()}
    declared["photon_clusters"][0]["encryption"]["keys"][0]["secret"] = SECRET  # the page uses a variable of a vault
    found = declaration.read_clusters(declared["photon_clusters"], groups, hostvars, read_file)
    assert [member["name"] for member in found[0]["members"]] == ["cp1", "cp2", "cp3", "w1", "w2"]


def test_page_has_every_state():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*) \|$", TEXT, re.MULTILINE))
    assert rows == clusters.STATES


def test_commented_example_inventory_is_a_valid_cluster():
    lines = (PRODUCTION / "group_vars" / "all" / "clusters.yml").read_text().split("# ---\n")[1].splitlines()
    declared = yaml.safe_load("\n".join(line.removeprefix("# ").removeprefix("#") for line in lines))
    clusters_ = declared["photon_clusters"]
    for cluster in clusters_:
        for key in cluster.get("encryption", {}).get("keys", []):
            key["secret"] = SECRET
    groups, hostvars = {}, {}
    for number, cluster in enumerate(clusters_):
        hosts = [f"c{number}-{place}" for place in range(3)]
        groups[cluster["name"].replace("-", "_") + "_control_plane"] = hosts
        hostvars |= {host: {"kubernetes_address": f"10.0.{number}.{20 + place}"} for place, host in enumerate(hosts)}
    assert declaration.read_clusters(clusters_, groups, hostvars, read_file)
