# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on a small data centre, and an administrator on each of its endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_items
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Vm

from lab import Lab
from tests.chaos.scene import Scene
from tests.support.administrator import Administrator


class Site(Scene):
    """A scene with an administrator per endpoint, and short ways to look at records and at vSphere."""

    def __init__(self, lab: Lab, directory: Path, url: str = "") -> None:
        super().__init__(lab, directory, url)
        self.admin = {name: Administrator(lab, name) for name in lab.endpoints}

    def close(self) -> None:
        for each in self.admin.values():
            each.close()

    def record(self, name: str) -> Vm:
        [document] = [d for d in self.snapshot().documents if d.kind == "vm" and d.name == name]
        return Vm.of(document)

    def named(self, kind: str, name: str) -> Any:
        [document] = [d for d in self.snapshot().documents if d.kind == kind and d.name == name]
        return document

    def host_of(self, name: str) -> str | None:
        """The name of the host in a VM's record."""
        place = self.record(name).place
        known = {d.id: d.name for d in self.snapshot().documents}
        return known.get(place.host) if place and place.host else None

    def endpoint_of(self, name: str) -> str:
        place = self.record(name).place
        assert place is not None
        return {d.id: d.name for d in self.snapshot().documents}[place.endpoint]

    def admin_of(self, name: str) -> Administrator:
        return self.admin[self.endpoint_of(name)]

    def rows(self, uuid: str | None = None) -> list[dict[str, Any]]:
        """The VMs of all endpoints as the lab knows them, without templates and images' copies.

        Without addresses: a guest reports its own some time after its start.
        """
        rows = [row for state in self.lab.control.state().values() for row in state["vms"]]
        rows = [row for row in rows if "photon.template" not in row["extra_config"]]
        chosen = [row for row in rows if uuid in (None, row["instance_uuid"])]
        return [{key: value for key, value in row.items() if key != "address"} for row in chosen]

    def good(self, declared: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A run in which nothing fails."""
        outcome = self.run(declared, **more)
        assert outcome["failures"] == [], outcome["failures"]
        return outcome

    def vm(self, **item: Any) -> dict[str, Any]:
        """One call of the module vm, for a VM of acme/web; ``act_as`` is the user it acts as."""
        act_as = item.pop("act_as", None)
        options = Options(base_directory=str(self.directory), default_port_group="VM Network")
        request = Request(**{**self._request(), "whole": False}, site="chaos", act_as=act_as, options=options)
        return run_items("vm", [item], request, scope={"tenant": "acme", "project": "web"})

    def settled(self, declared: dict[str, Any]) -> None:
        """The next run changes nothing, fails nothing, and everything agrees."""
        self.good(declared)
        idle = self.good(declared)
        assert not idle["changed"], idle["changes"]
        found = self.disagreements()
        assert found == [], found


def codes(outcome: dict[str, Any]) -> dict[str, str]:
    """``{name: error code}`` of what failed."""
    return {failure["name"]: failure["error_code"] for failure in outcome["failures"]}


def message(outcome: dict[str, Any]) -> str:
    return outcome["failures"][0]["message"]
