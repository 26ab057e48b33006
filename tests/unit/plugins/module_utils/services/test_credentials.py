# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials by reference."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import credentials

ENVIRONMENT = {"PHOTON_CREDENTIAL_VC_1_USERNAME": "env", "PHOTON_CREDENTIAL_VC_1_PASSWORD": "one"}


def test_given_ones_come_first() -> None:
    found = credentials.resolve("vc-1", {"vc-1": {"username": "given", "password": "two"}}, ENVIRONMENT)
    assert (found.username, found.password) == ("given", "two")


def test_the_environment_is_next() -> None:
    found = credentials.resolve("vc-1", {"other": {}}, ENVIRONMENT)
    assert (found.username, found.password) == ("env", "one")


@pytest.mark.parametrize("given", [{}, {"vc-2": {"username": "u"}}, {"vc-2": {"password": "p", "username": ""}}])
def test_missing_ones_are_named(given: dict) -> None:
    with pytest.raises(PhotonError, match="vc-2") as caught:
        credentials.resolve("vc-2", given, ENVIRONMENT)
    assert caught.value.code == "InvalidLoginCredentials"


def test_secrets_are_not_shown() -> None:
    assert "one" not in repr(credentials.resolve("vc-1", {}, ENVIRONMENT))


@pytest.mark.parametrize("entry", ["s3cret-word", ["s3cret-word"]])
def test_an_entry_of_another_form_is_named_without_its_value(entry: object) -> None:
    with pytest.raises(PhotonError, match=r"photon_credentials\.vc-2 must be a mapping") as caught:
        credentials.resolve("vc-2", {"vc-2": entry}, ENVIRONMENT)  # type: ignore[dict-item]
    assert caught.value.code == "SpecInvalid"
    assert "s3cret-word" not in caught.value.message
