# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube-bench judges a cluster by the CIS benchmark: what fails is in docs/kubernetes.md, with its reason."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from lab.kubernetes import build, versions
from tests.support.kubernetes_lab import ROOT

FOLDER = "/opt/kube-bench"
TARGETS = {"cp1": "master,controlplane,etcd,policies", "w1": "node"}


def exceptions():
    """The points that the documentation lists as reported, with their reason."""
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    table = page.partition("What kube-bench 0.10.4")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    assert all(len(row.split("|")[2].split()) > 4 for row in rows), "a point without a reason"
    return {number for row in rows for number in re.findall(r"\d+\.\d+\.\d+", row.split("|")[1])}


@pytest.fixture(name="results", scope="module")
def fixture_results(make):
    """Host -> number of a point -> PASS, FAIL, WARN or INFO."""
    cluster = make(1, 1, version=versions.NEWER)
    program, settings = build.kube_bench()
    found = {}
    for host, targets in TARGETS.items():
        cluster.on(host, f"mkdir -p {FOLDER}")
        for words, path in ((["tar", "x", "-C", FOLDER], settings), (["cp", "/dev/stdin", f"{FOLDER}/run"], program)):
            with path.open("rb") as source:
                subprocess.run(cluster.lab.command(host, words), stdin=source, check=True)
        words = f"run --benchmark {versions.CIS_BENCHMARK} --config-dir cfg --targets {targets} --json"
        # It reads command lines from ps, which cuts them to COLUMNS.
        script = f"cd {FOLDER}; chmod 700 run; COLUMNS=9999 KUBECONFIG=/etc/kubernetes/admin.conf ./run {words}"
        controls = json.loads(cluster.on(host, script))["Controls"]
        points = [one for control in controls for group in control["tests"] for one in group["results"]]
        found[host] = {one["test_number"]: one["status"] for one in points}
    return found


def test_nothing_fails_that_is_not_documented(results, figures):
    failed = {number for points in results.values() for number, status in points.items() if status == "FAIL"}
    counts = {
        status.lower(): sum(list(points.values()).count(status) for points in results.values())
        for status in ("PASS", "FAIL", "WARN")
    }
    print(f"kube-bench: {counts}, failed: {sorted(failed)}")
    figures(cis_failed=len(failed - exceptions()), cis_passed=counts["pass"], cis_warned=counts["warn"])
    assert failed <= exceptions()
    assert len(results["cp1"]) > 100
    assert len(results["w1"]) > 20


def test_the_documented_exceptions_are_still_reported(results):
    failed = {number for points in results.values() for number, status in points.items() if status == "FAIL"}
    assert exceptions() <= failed
