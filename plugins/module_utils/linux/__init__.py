# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Linux host's packages, files, units and kernel settings: read as they are, compared with a document, mended.

Runs on the host with its own Python (3.9 or newer) and nothing else; ``document`` and ``plan`` are pure.
"""
