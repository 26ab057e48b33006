# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a cluster with an outdated package that require a reboot, and an application that is used meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .kubernetes_lab import NODE_PORT, WORKLOAD, Cluster, until
from .kubernetes_load import Failure, ServiceLoad

PACKAGE = "photon-probe"
# A package in two versions in a repository of the host's own; POSTINST is what the newer one does when it is installed.
_OUTDATE = """
mkdir -p /srv/probe && cd /srv/probe
for version in 1 2; do
  mkdir -p build/DEBIAN
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: lab <lab@example.test>\\nDescription: probe\\n' \
    PACKAGE $version > build/DEBIAN/control
  printf '#!/bin/sh\\n[ %s = 1 ] && exit 0\\nPOSTINST\\n' $version > build/DEBIAN/postinst
  chmod 755 build/DEBIAN/postinst
  dpkg-deb --build --root-owner-group build PACKAGE_$version.deb >/dev/null
done
dpkg --install PACKAGE_1.deb >/dev/null
dpkg-scanpackages --multiversion . > Packages 2>/dev/null || python3 - <<'END' > Packages
import glob, hashlib, os, subprocess
for path in sorted(glob.glob('*.deb')):
    data = open(path, 'rb').read()
    print(subprocess.run(['dpkg-deb', '-f', path], capture_output=True, text=True).stdout.strip())
    print(f'Filename: ./{path}\\nSize: {len(data)}\\nSHA256: {hashlib.sha256(data).hexdigest()}\\n')
END
echo 'deb [trusted=yes] file:/srv/probe ./' > /etc/apt/sources.list.d/probe.list
"""


def outdate(cluster: Cluster, hosts: Sequence[str], postinst: str = "touch /run/reboot-required") -> None:
    """Give hosts a package with an update, whose installation runs ``postinst``."""
    script = _OUTDATE.replace("PACKAGE", PACKAGE).replace("POSTINST", postinst)
    for host in hosts:
        cluster.on(host, script)


def version(cluster: Cluster, host: str) -> str:
    """The installed version of that package, with its state when it is not whole."""
    shown = cluster.on(host, f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {PACKAGE}").split()
    return shown[0] if shown[1:] == ["installed"] else " ".join(shown)


def boots(cluster: Cluster, hosts: Sequence[str]) -> dict[str, str]:
    """Host -> the id of its present boot."""
    return {host: cluster.on(host, "cat /proc/sys/kernel/random/boot_id").strip() for host in hosts}


def publish(cluster: Cluster) -> None:
    """Two replicas of an application behind the balancers, at port 80 of the endpoint."""
    cluster.services = [
        {
            "name": "hello", "mode": "http", "bind": [{"vip": "api", "port": 80}], "group": "prod_workers",
            "port": NODE_PORT, "health": {"type": "http", "path": "/"},
        }
    ]  # fmt: skip
    cluster.play("load_balancer", haproxy_group="prod_balancers")
    cluster.apply(WORKLOAD)
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=180s")
    until(lambda: _answers(cluster), 60)


def load(cluster: Cluster) -> ServiceLoad:
    """Requests to the application by way of the balancers."""
    return ServiceLoad([cluster.endpoint], 80)


def update_under_load(cluster: Cluster, **variables: Any) -> tuple[int, list[Failure], float]:
    """Run hosts_update while the application is used: requests, those that failed, and the seconds that it took."""
    begun = time.monotonic()
    with load(cluster) as service:
        time.sleep(2)
        cluster.play("hosts_update", **variables)
        time.sleep(2)
    return service.sent, service.failures, time.monotonic() - begun


def _answers(cluster: Cluster) -> bool:
    with load(cluster) as service:
        time.sleep(1)
    return service.sent > 3 and not service.failures
