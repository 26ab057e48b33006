# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/packages on a real Debian machine with systemd: programs are installed, no service of theirs stays behind."""

from __future__ import annotations

import os
import pathlib

import pytest

from lab.hosts import HostSpec, Lab
from lab.hosts.base import unavailable

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]
SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "scripts"
# What is large and serves nothing is taken for installed.
DPKG_QUERY = """#!/bin/sh
case "$*" in
  *chromium*|*qemu-utils*|*systemd-container*|*mmdebstrap*) printf installed;;
  *) exec /usr/bin/dpkg-query "$@";;
esac
"""
SERVICES = "systemctl is-enabled apt-cacher-ng postgresql; systemctl is-active apt-cacher-ng postgresql"
LISTENING = "ss -Hltn | awk '{print $4}' | grep -c -e ':3142$' -e ':5432$'; true"


@pytest.fixture(name="host")
def fixture_host():
    lab = Lab(f"packages-{os.getpid()}", "nspawn", os.getpid())
    lab.create([HostSpec("fresh")])

    def shell(script, check=True, **options):
        return lab.run("fresh", ["sh", "-c", script], check=check, **options).stdout.strip()

    shell("mkdir -p /srv/scripts")
    for name in ("packages", "venv"):
        shell(f"cat > /srv/scripts/{name}; chmod +x /srv/scripts/{name}", input=(SCRIPTS / name).read_text())
    shell("cat > /usr/local/bin/dpkg-query; chmod +x /usr/local/bin/dpkg-query", input=DPKG_QUERY)
    yield shell
    lab.destroy()


def test_no_service_runs_or_starts_at_boot(host):
    host("cd /srv && scripts/packages test roles")
    assert host("ls /usr/sbin/apt-cacher-ng /usr/lib/postgresql/*/bin/postgres | wc -l") == "2"
    assert host(SERVICES, check=False).split() == ["disabled", "disabled", "inactive", "inactive"]
    assert host(LISTENING) == "0"
    assert host("ls /usr/sbin/policy-rc.d", check=False) == ""
    # A service that an administrator enabled is left alone by the next run.
    host("systemctl enable -q --now postgresql")
    host("apt-get -qq remove -y apt-cacher-ng >/dev/null && cd /srv && scripts/packages test roles")
    assert host("systemctl is-enabled postgresql; systemctl is-active postgresql").split() == ["enabled", "active"]
