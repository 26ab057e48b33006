# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that lookups and the inventory plugin share."""

from __future__ import annotations


class ModuleDocFragment:
    """``store`` for every plugin that reads the CloudStore, ``store.live`` for those that can read endpoints too."""

    DOCUMENTATION = r"""
options:
  cloudstore_url:
    description: "URL of the CloudStore: C(sqlite:////absolute/path.db) or C(postgresql+psycopg://user@host/database)."
    type: str
    vars:
      - name: photon_cloudstore_url
    env:
      - name: PHOTON_CLOUDSTORE
  cloudstore_allow_ephemeral:
    description: Accept a database file that may be lost with a container or a job.
    type: bool
    default: false
    vars:
      - name: photon_cloudstore_allow_ephemeral
  act_as:
    description: "Show what this user may see: a mapping with C(user) and C(groups). Without it, what the system
      administrator sees."
    type: dict
    vars:
      - name: photon_act_as
requirements:
  - SQLAlchemy >= 2.0
  - psycopg >= 3.1 (for PostgreSQL)
"""

    LIVE = r"""
options:
  live:
    description: Read the endpoints too, for use and states as they are now; otherwise what the last run recorded.
    type: bool
    default: false
  credentials:
    description:
      - "Credentials for O(live), by the name that endpoints give: mappings with C(username) and C(password)."
      - A name that is missing here is looked for in the environment, as E(PHOTON_CREDENTIAL_NAME_USERNAME) and
        E(PHOTON_CREDENTIAL_NAME_PASSWORD).
    type: dict
    vars:
      - name: photon_credentials
  base_directory:
    description: Where relative names of certificate files start. The default is the current folder.
    type: path
"""
