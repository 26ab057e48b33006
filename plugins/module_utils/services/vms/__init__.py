# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs: planned from three typed values (desired, recorded, observed), applied, recovered, compared with vSphere."""

from __future__ import annotations

from .apply import apply_vms
from .claims import claim_of
from .describe import describe
from .plan import plan_delete, plan_vms
from .recover import recover
from .rules import plan_rules
from .verify import verify

__all__ = ["apply_vms", "claim_of", "describe", "plan_delete", "plan_rules", "plan_vms", "recover", "verify"]
