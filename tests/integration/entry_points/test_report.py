# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's report, loaded in a real browser: what a reader reads, on a desk and on a phone."""

from __future__ import annotations

import html
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium")
# Tells, from inside the browser, how wide the page wants to be in a window of some width.
FRAME = """<!doctype html><title>waiting</title>
<iframe id="page" src="report.html" width="{width}" height="900"></iframe>
<script>addEventListener("load", () => {{ const root = document.getElementById("page").contentDocument.documentElement;
document.title = "wide " + root.scrollWidth + " of " + root.clientWidth; }});</script>"""


@pytest.fixture(scope="module")
def page(applied, tmp_path_factory):
    """The report of a site with two more VMs planned, one of which its quota refuses."""
    folder = tmp_path_factory.mktemp("report")
    before = applied.tenants()
    tenants = applied.tenants()
    tenants[0]["projects"][0]["vms"].append(
        {"name": "extra-[1:12]", "flavor": "core-200", "image": "debian", "boot_disk_flavor": "core-100"}
    )
    applied.write(photon_tenants=tenants)
    try:
        done = applied.playbook("photon.platform.report", "-e", f"report_path={folder}/report.html")
    finally:
        applied.write(photon_tenants=before)
    assert (folder / "report.html").exists(), done.stdout + done.stderr
    return folder / "report.html"


def dom(path, tmp_path):
    """The page as the browser has it after it was loaded."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the report's page was not looked at")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               "--allow-file-access-from-files", "--virtual-time-budget=5000", f"--user-data-dir={tmp_path}/profile",
               "--dump-dom", path.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_reader_finds_hosts_quotas_stranded_capacity_and_the_plan(page, tmp_path):
    text = html.unescape(
        re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", dom(page, tmp_path), flags=re.DOTALL))
    )
    text = re.sub(r"\s+", " ", text)
    for words in (
        *("4 hosts", "4 VMs now", "Zone a", "Zone b", "esx01.lab", "After the plan", "Project acme/web"),
        *(
            "vm.count 4 of 10 in use (40%)",
            "vm.count 4 of 20 in use (20%), 10 given to projects",
            "UTC",
            "Stranded capacity",
            "None: each host",
            "create vm acme/web/extra-",
        ),
    ):
        assert words in text, text
    planned = int(re.search(r"(\d+) VMs after the plan", text)[1])
    assert planned == 10  # the quota of ten VMs lets six of the twelve new ones in
    assert "Blocked vm acme/web/extra-[7:12] QuotaError" in text


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(page, tmp_path, width):
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(FRAME.format(width=width))
    wide, window = map(int, re.search(r"<title>wide (\d+) of (\d+)</title>", dom(frame, tmp_path)).groups())
    assert window > width * 0.9
    assert wide <= window


def test_the_page_needs_nothing_from_outside(page):
    text = page.read_text()
    assert not re.search(r"""(?:src|href)=["']|url\(|@import|<script""", text)
