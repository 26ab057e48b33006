# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says when Ansible ended before its module answered."""

from __future__ import annotations

import argparse
import signal

import pytest
from photon_platform import command


@pytest.fixture
def why(tmp_path, monkeypatch):
    """The message after this exit code of ansible-playbook, with this text in a file of the inventory."""

    def told(code, text="---\n"):
        (tmp_path / "host_vars").mkdir(exist_ok=True)
        (tmp_path / "host_vars" / "credentials.yml").write_text(text)
        monkeypatch.setattr(command, "_wait", lambda *_words: code)
        empty = dict.fromkeys(command._REPEATED, ())
        options = argparse.Namespace(**{**empty, "inventory": [str(tmp_path), "localhost,"]})
        for name in ("limit", "forks", "verbose", "diff", "ask_vault_pass", "vault_password"):
            setattr(options, name, None)
        with pytest.raises(command.Failure) as caught:
            command.play("site.yml", options)
        return str(caught.value)

    return told


def test_a_file_that_is_encrypted_needs_a_password(why, tmp_path):
    said = why(4, "$ANSIBLE_VAULT;1.1;AES256\n61\n")
    assert "exit code 4 before it ran site.yml; see above" in said
    assert f"{tmp_path}/host_vars/credentials.yml is encrypted" in said
    assert "--vault-password-file" in said
    assert "encrypted" not in why(4)


@pytest.mark.parametrize("code", [-signal.SIGTERM, -signal.SIGINT, 99])
def test_an_interrupt_is_no_mystery(why, code):
    assert why(code) == "interrupted before site.yml gave an answer: run again"
