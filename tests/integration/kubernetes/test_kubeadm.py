# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm itself reads what is rendered for it: the newer version, which `make test` builds.

The older version's checks are in tests/kubernetes/test_kubeadm_older.py.
"""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.filter.kubernetes_configuration import kubernetes_configuration

from lab.kubernetes.versions import NEWER
from tests.support.clusters import one
from tests.support.kubeadm import DECLARATIONS, VERBS, check_configuration, check_sandbox_image, kubeadm


@DECLARATIONS
@VERBS
def test_kubeadm_accepts_every_configuration(tmp_path, declared, host, verb):
    check_configuration(tmp_path, NEWER, declared, host, verb)


def test_kubeadm_reports_an_unknown_key(tmp_path):
    path = tmp_path / "configuration.yaml"
    text = kubernetes_configuration(one(), "c1", "init").replace('"certSANs"', '"certSAN"')
    path.write_text(text)
    assert "certSAN" in kubeadm(NEWER, "config", "validate", "--config", str(path), check=False)


def test_the_sandbox_image_is_kubeadm_s_own():
    check_sandbox_image(NEWER)
