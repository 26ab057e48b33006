# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module linux_host: manage a host's packages, files and units (entry point to module_utils/linux/host.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: linux_host
short_description: Manage a Linux host's packages, files, units and kernel settings from a document
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the host. One visit reads the host's current state, compares it with the document and applies changes in
    a safe order - repositories, packages, files, kernel modules, sysctls, swap, units.
  - Preconditions (disk, memory, ports) are checked before the first change.
  - A unit is restarted when a file that lists it in C(restarts) is newer than the unit's start, so an interrupted run
    is completed by the next one. No state is kept on the host.
attributes:
  check_mode:
    support: full
    description: Returns the same list of changes.
  diff_mode:
    support: full
    description: Secret files are masked.
options:
  document:
    description:
      - The desired state of the host.
      - C(name) names the host's own files for kernel modules and sysctls.
      - C(repositories) is a list of C(name), C(url), C(suite) (default C(./), a flat repository), C(components), and
        C(key) (an armored public key) or C(trusted).
      - C(only_repositories) installs packages from these repositories only.
      - C(packages) maps names to C(present), C(absent), a version or a pattern such as C(1.37.2-*).
      - C(hold) is a list of packages that an upgrade of the whole host must not change.
      - C(directories) is a list of C(path), C(mode), C(owner), C(group), C(exclusive) (remove everything below it that
        the document does not list) and C(restarts) (units that read all files of the directory at start).
      - C(files) is a list of C(path), C(content), C(mode), C(owner), C(group), C(restarts) (units that read it at
        start) and C(secret).
      - C(absent_files) is a list of paths to remove; a directory is removed with its contents.
      - C(kernel_modules) is a list of names, or of C(name) and C(optional).
      - C(sysctls) maps names to values.
      - C(units) maps names to C(enabled), C(state) (C(started) or C(stopped)) and C(restart_after) (paths whose
        replacement requires a restart).
      - C(swap) is C(off) or C(ignore).
      - C(preflight) holds C(disk) (path to bytes), C(memory) (bytes), C(ports) (port to the processes that may use it)
        and C(when) (C(changes), the default, or C(always)).
    type: dict
  documents:
    description: Several documents for one visit. They must not contradict each other.
    type: list
    elements: dict
"""
EXAMPLES = r"""
- name: Prepare the host
  photon.platform.linux_host:
    document:
      name: containers
      packages: {containerd: present}
      files:
        - {path: /etc/containerd/config.toml, content: "version = 2\n", restarts: [containerd]}
      kernel_modules: [overlay]
      sysctls: {net.ipv4.ip_forward: 1}
      units:
        containerd: {enabled: true, state: started}
      preflight:
        disk: {/var/lib/containerd: 2000000000}
"""
RETURN = r"""
changes:
  description: The changes that were applied, or in check mode would be applied.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - One of C(repository), C(package), C(hold), C(directory), C(file), C(kernel_module), C(sysctl), C(swap),
          C(unit) or C(restart).
      type: str
    name: {description: "The name of the package, file, unit ...", type: str}
    before: {description: The value before the change., type: raw}
    after: {description: The value after the change., type: raw}
packages:
  description: The document's packages and their installed versions.
  returned: success
  type: dict
error_code:
  description:
    - The reason of the failure, such as C(RootRequired), C(PreflightFailed), C(PackageNotFound),
      C(PackageInstallFailed), C(DiskFull) or C(UnitFailed).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.linux import commands, host
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import host_lock


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            # The whole document is kept out of the system log; in the result only secret files are masked.
            "document": {"type": "dict", "no_log": True},
            "documents": {"type": "list", "elements": "dict", "no_log": True},
        },
        required_one_of=[("document", "documents")],
        mutually_exclusive=[("document", "documents")],
        supports_check_mode=True,
    )
    documents = module.params["documents"] or [module.params["document"]]
    module.no_log_values = host.secrets(documents)
    invocation = {"module_args": {"documents": f"{len(documents)} documents"}}
    try:
        commands.need_root()
        with host_lock.held(change=not module.check_mode):
            answer = host.visit(documents, module.check_mode)
    except PhotonError as error:
        module.fail_json(
            msg=error.message, error_code=error.code, error_data=error.data, changed=False, invocation=invocation
        )
    for warning in answer.pop("warnings"):
        module.warn(warning)
    module.exit_json(**answer, invocation=invocation)


if __name__ == "__main__":
    main()
