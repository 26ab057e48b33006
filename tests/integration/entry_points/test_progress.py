# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a run on terminals and pipes, with photon-apply and with ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lab import Lab
from tests.integration.entry_points.conftest import ROOT, Site
from tests.support import terminal

APPLY = [sys.executable, str(ROOT / "bin" / "photon-apply"), "--yes"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Lab.start("small") as lab:
        made = Site(lab, tmp_path_factory.mktemp("progress"))
        made.lab = lab
        made.write(photon_wait_for_addresses=0)
        yield made


def declare(site, vms):
    tenants = site.tenants()
    tenants[0]["projects"][0]["vms"][0]["name"] = f"web-[01:{vms:02}]"
    site.write(photon_tenants=tenants)


def environment(site, **more):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PHOTON_", "LC_"))}
    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "HOME": str(site.home), "TERM": "xterm", "LANG": "C.UTF-8"}
    return {**kept, **own, **more}


def bars_of(seen):
    """The screens that have a bar of VMs."""
    return [screen for screen in seen.screens if any("vm create" in line for line in screen)]


def test_1_photon_apply_draws_bars_on_a_narrow_terminal(site):
    declare(site, 2)
    site.lab.control.delay(task={"CreateVm": 4000})
    seen = terminal.run([*APPLY, *site._inventory()], environment(site, NO_COLOR="1"), str(site.directory))
    assert seen.code == 0, seen.raw
    bars = bars_of(seen)
    assert bars, seen.raw
    assert max(len(line) for screen in bars for line in screen) < 60
    assert any("applying, " in line for screen in bars for line in screen)
    assert any("image upload" in line for line in bars[-1])
    assert "\x1b[32m" not in seen.raw
    assert not any("\u2501" in line or "applying" in line for line in seen.end), "the bars are gone in the end"
    assert any("created" in line for line in seen.end)


def test_2_a_playbook_of_ansible_shows_them_too(site):
    """Its own output stays whole; the URL is a template, and the password of the inventory is in a vault."""
    declare(site, 4)
    site.lab.control.delay(task={"CreateVm": 4000})
    site.write(photon_cloudstore_url="sqlite:///{{ inventory_dir | dirname }}/cloudstore.db")
    words = [sys.executable, "-m", "ansible", "playbook", *site._inventory(), "photon.platform.site"]
    seen = terminal.run(words, environment(site), str(site.directory), columns=100)
    assert seen.code == 0, seen.raw
    assert bars_of(seen), seen.raw
    assert any("changed: [localhost]" in line for line in seen.end)
    assert not any("\u2501" in line or "applying" in line for line in seen.end)


def test_3_a_pipe_gets_a_line_each_ten_seconds_and_the_answer_alone_on_standard_output(site):
    declare(site, 6)
    site.lab.control.delay(task={"CreateVm": 13_000})
    done = subprocess.run(
        [*APPLY, "--json", *site._inventory()],
        cwd=site.directory,
        env=environment(site),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["vm"] == {"create": 2, "keep": 4}
    lines = [line for line in done.stderr.splitlines() if line.startswith("photon: ")]
    assert lines
    assert "vm create 0/2; vm start 0/2" in lines[0]
    assert "\x1b" not in done.stderr


def test_4_nobody_reads_any_more(site):
    """As with ``photon-apply --yes 2>&1 | head -n 0``."""
    declare(site, 7)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code = subprocess.call(
            [*APPLY, *site._inventory()], cwd=site.directory, env=environment(site), stdout=writer, stderr=writer
        )
    finally:
        os.close(writer)
    assert code == 0
    site.lab.control.delay(task={"CreateVm": 0})
    assert site.result("photon.platform.plan")["counts"]["vm"] == {"keep": 7}


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1"])
def test_5_any_locale(site, locale):
    done = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "photon-plan"), *site._inventory()],
        cwd=site.directory,
        env=environment(site, LC_ALL=locale),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, b"unchanged" in done.stdout) == (0, True), done.stderr
