# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """``common`` for every module, ``common.changing`` for those that plan and apply, ``common.placing`` for VMs."""

    DOCUMENTATION = r"""
options:
  cloudstore_url:
    description:
      - "URL of the CloudStore: C(sqlite:////absolute/path.db) or C(postgresql+psycopg://user@host/database)."
      - Without it the environment variable E(PHOTON_CLOUDSTORE) is used.
    type: str
  cloudstore_allow_ephemeral:
    description: Accept a database file that may be lost with a container or a job.
    type: bool
    default: false
  credentials:
    description:
      - "Credentials by the name that endpoints give: mappings with C(username) and C(password). Keep them in a vault."
      - A name that is missing here is looked for in the environment, as E(PHOTON_CREDENTIAL_NAME_USERNAME) and
        E(PHOTON_CREDENTIAL_NAME_PASSWORD), which is how an AWX credential gives it.
    type: dict
  act_as:
    description: Act as this user instead of the system administrator.
    type: dict
    suboptions:
      user:
        description: The user, as C(user@domain).
        type: str
        required: true
      groups:
        description: Security groups of the user, each as C(domain\group).
        type: list
        elements: str
        default: []
  base_directory:
    description: Where relative names of image and certificate files start. The default is the current folder.
    type: path
requirements:
  - SQLAlchemy >= 2.0
  - psycopg >= 3.1 (for PostgreSQL)
  - pyvmomi >= 8.0.3
author:
  - Photon Platform contributors (@photon-platform)
"""

    CHANGING = r"""
options:
  result:
    description:
      - V(summary) returns counts, what changed and what failed.
      - V(full) adds each item with its id, state and, for VMs, host, datastore and address; in check mode the whole
        plan.
    type: str
    choices: [summary, full]
    default: summary
  diff_limit:
    description: The largest number of items in a diff and of lines in RV(ignore:changes); 50 by default.
    type: int
attributes:
  check_mode:
    description: Plans as usual, reads the CloudStore and the endpoints, and changes nothing anywhere.
    support: full
  diff_mode:
    description: Returns the fields that differ, before and after, of at most O(diff_limit) items; secrets are left out.
    support: full
"""

    OWNING = r"""
options:
  site:
    description:
      - The site that new items belong to, as C(photon_site) in inventory variables. What belongs to a site and is not
        declared there is reported, and with C(photon_prune) set to V(delete) removed, when the whole site is applied.
      - Without it new items belong to no site.
    type: str
  wait_for_runs:
    description:
      - Seconds to wait for another run that works on the same resources. When it still does they fail with
        C(ConcurrentTask). V(0) does not wait. Check mode never waits.
    type: int
    default: 600
"""

    TARGETED = r"""
options:
  only:
    description:
      - Plan and apply these tenants (C(acme)), projects (C(acme/web)), VMs, disks and images of projects
        (C(acme/web/db-1)) alone, with what they need. Globs (C(acme/*/web-*)) and ranges (C(acme/web/web-[01:20])) may
        be used; an empty list is everything.
      - A target that matches nothing is an error. Nothing else is pruned.
    type: list
    elements: str
    default: []
"""

    PLACING = r"""
options:
  policy:
    description: Spread new VMs over the hosts, pack them onto few, or sample hosts as Photon Controller did.
    type: str
    choices: [spread, pack, photon]
    default: spread
  quality:
    description:
      - V(optimal) places more VMs on fewer hosts. It takes longer and needs the Python package highspy.
    type: str
    choices: [normal, optimal]
    default: normal
  seed:
    description: Chooses among equally good hosts; the same input and seed give the same placement.
    type: int
    default: 0
  atomic:
    description: Create no VM unless all can be created.
    type: bool
    default: false
  default_port_group:
    description: Port group of new VMs that name none.
    type: str
  max_recreates:
    description: The largest number of VMs missing in vSphere that one run creates again.
    type: int
    default: 10
  wait_for_addresses:
    description: Seconds to wait until the guests of VMs that were started report an address; 0 does not wait.
    type: int
    default: 30
  cloudstore_new:
    description: Start with an empty CloudStore although vSphere has VMs of this platform.
    type: bool
    default: false
"""

    BACKING = r"""
options:
  disk_backing:
    description:
      - What new disks are made of. V(auto) makes first-class disks where the endpoint has them with metadata (a vCenter
        with API 7.0.2 or later), and managed VMDKs elsewhere. V(fcd) fails where it has none.
      - A disk keeps what it was made of.
    type: str
    choices: [auto, fcd, vmdk]
    default: auto
"""

    READING = r"""
attributes:
  check_mode:
    description: It changes nothing in either mode.
    support: full
  diff_mode:
    description: There is never a difference.
    support: none
"""
