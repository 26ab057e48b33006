# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pyvmomi: absent, present, and which API version is spoken."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import EndpointSpec, api, connect


def test_without_pyvmomi(monkeypatch):
    monkeypatch.setattr(api, "_loaded", None)
    monkeypatch.setitem(sys.modules, "pyVmomi", None)
    with pytest.raises(PhotonError) as caught:
        connect(EndpointSpec("1", "vc1", "vcenter", "127.0.0.1", "u", "p", port=1))
    assert caught.value.code == "MissingLibrary"
    assert f"{sys.executable} -m pip install 'pyvmomi>=8.0.3'" in caught.value.message


def test_the_package_alone_does_not_import_pyvmomi():
    code = (
        "import sys; sys.path.insert(0, 'collections'); "
        "import ansible_collections.photon.platform.plugins.module_utils.vsphere; print('pyVmomi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_newest_common_version():
    assert api.newest_common(["6.5", "8.0.3.0", "7.0.3.2", "99.0"]) == api.load().support.versionMap["vim25/8.0.3.0"]
    assert api.newest_common(["6.7.1", "6.7"]) == api.load().support.versionMap["vim25/6.7.1"]
    assert api.newest_common(["99.0"]) is None
