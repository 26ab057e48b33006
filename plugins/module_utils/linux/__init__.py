# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile a Linux host's packages, files, units and kernel settings with a document.

Runs on the host and needs only its Python (3.9 or newer); ``document`` and ``plan`` are pure.
"""
