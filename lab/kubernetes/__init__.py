# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes for the lab: programs, images and packages that no registry offers ready-made, built once and served.

`bin/lab kubernetes build` fills ``$PHOTON_CACHE/kubernetes``; hosts with ``kubelet: true`` find what it holds at
``lab_images`` (a registry) and ``lab_packages`` (an apt repository). See docs/lab-hosts.md.
"""
