# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm itself reads what is rendered for it: the older version, which `make test` does not build."""

from __future__ import annotations

from lab.kubernetes.versions import OLDER
from tests.support.kubeadm import DECLARATIONS, VERBS, check_configuration, check_sandbox_image


@DECLARATIONS
@VERBS
def test_kubeadm_accepts_every_configuration(tmp_path, declared, host, verb):
    check_configuration(tmp_path, OLDER, declared, host, verb)


def test_the_sandbox_image_is_kubeadm_s_own():
    check_sandbox_image(OLDER)
