# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pytest plugin for tests.support.mutants: report which tests failed and how, and stop when one noticed the mutant.

PHOTON_MUTANT is the changed file (empty for an unmutated run), PHOTON_MUTANT_REPORT the file to write.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

_passed: list[str] = []
_failed: list[dict[str, Any]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed and call.excinfo is not None:
        product = call.when != "teardown" and _is_product_error(call.excinfo.value)
        error = f"{call.excinfo.typename}: {call.excinfo.value}".split("\n", 1)[0]
        _failed.append({"test": item.nodeid, "product": product, "error": error})
        if product and os.environ["PHOTON_MUTANT"]:
            item.session.shouldstop = "a test noticed the mutant"
    elif report.passed and report.when == "call":
        _passed.append(item.nodeid)
    return report


def pytest_sessionfinish() -> None:
    changed = os.environ["PHOTON_MUTANT"]
    files = {os.path.realpath(f) for module in list(sys.modules.values()) if (f := getattr(module, "__file__", None))}
    found = {"passed": _passed, "failed": _failed, "imported": changed in files}
    Path(os.environ["PHOTON_MUTANT_REPORT"]).write_text(json.dumps(found))


def _is_product_error(error: BaseException) -> bool:
    """A failed assertion, an expected error that did not come, or an error that the product raises on purpose."""
    names = {each.__name__ for each in type(error).__mro__}
    return isinstance(error, AssertionError | pytest.fail.Exception) or "PhotonError" in names
