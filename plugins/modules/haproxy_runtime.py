# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module haproxy_runtime: manage a balancer's servers at run time (entry point to module_utils/haproxy/runtime.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_runtime
short_description: Drain a server, return it to rotation, or read a balancer's status
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description: Runs on the balancer and uses HAProxy's runtime API. A drained server stays drained across reloads.
attributes:
  check_mode:
    support: full
    description: Reports whether the server would be changed.
  diff_mode:
    support: none
    description: The state is a single word.
options:
  action:
    description: The action to perform.
    type: str
    choices: [drain, ready, status]
    required: true
  service:
    description: The service's name, required for C(drain) and C(ready).
    type: str
  server:
    description: The server's name, required for C(drain) and C(ready).
    type: str
  timeout:
    description: Seconds to wait for the server's sessions to end, or for its health check to succeed.
    type: int
    default: 60
"""
EXAMPLES = r"""
- name: Take web1 out of rotation
  photon.platform.haproxy_runtime:
    action: drain
    service: web
    server: web1
"""
RETURN = r"""
status:
  description: The server's status, or for C(action=status) the services, certificates and addresses.
  returned: success
  type: raw
error_code:
  description: The reason of the failure, such as C(BalancerRefused).
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.haproxy import runtime
from ..module_utils.linux import commands
from ..module_utils.model.errors import PhotonError

_COLUMNS = ("pxname", "svname", "status", "weight", "scur", "stot", "addr", "check_status")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "action": {"choices": ["drain", "ready", "status"], "required": True},
            "service": {},
            "server": {},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("action", "drain", ("service", "server")), ("action", "ready", ("service", "server"))],
        supports_check_mode=True,
    )
    try:
        commands.need_root()
        module.exit_json(**(_status(module) if module.params["action"] == "status" else _move(module)))
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data)
    except OSError as error:
        module.fail_json(msg=str(error), error_code="BalancerRefused")


def _move(module: AnsibleModule) -> dict:
    action, service, name = (module.params[key] for key in ("action", "service", "server"))
    if module.check_mode:
        changed = runtime.drained(service, name) == (action == "ready")
        return {"changed": changed, "status": runtime.server(service, name)["status"]}
    if action == "drain":
        changed, left = runtime.drain(service, name, module.params["timeout"])
        if left and module.params["timeout"]:
            raise runtime.RuntimeApiError(
                f"{service}/{name} is drained but still has {left} sessions. Raise the timeout and run again."
            )
    else:
        changed, status = runtime.ready(service, name, module.params["timeout"])
        if not status.startswith(("UP", "no check")):
            raise runtime.RuntimeApiError(f"{service}/{name} is enabled, but its health check reports {status}")
    return {"changed": changed, "status": runtime.server(service, name)["status"]}


def _status(module: AnsibleModule) -> dict:
    code, addresses, errors = module.run_command(["ip", "-brief", "address"])
    if code:
        module.fail_json(msg=f"ip address failed: {errors}")
    words = {word.split("/")[0] for line in addresses.splitlines() for word in line.split()[2:]}
    status = {
        "information": {key: runtime.information().get(key, "") for key in ("Version", "Uptime", "CurrConns")},
        "servers": [{key: row.get(key, "") for key in _COLUMNS} for row in runtime.statistics()],
        "certificates": runtime.certificates(),
        "addresses": sorted(words),
    }
    return {"changed": False, "status": status}


if __name__ == "__main__":
    main()
