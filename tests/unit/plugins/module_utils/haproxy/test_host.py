# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a balancer adds to the files that it is sent: names and interfaces that only the host knows."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.haproxy import host, keepalived, render
from ansible_collections.photon.platform.plugins.module_utils.linux import files
from ansible_collections.photon.platform.plugins.module_utils.linux.document import read_documents
from ansible_collections.photon.platform.plugins.module_utils.linux.host import Visit
from ansible_collections.photon.platform.plugins.module_utils.linux.plan import Change


@pytest.fixture(name="balancer")
def fixture_balancer(monkeypatch):
    """Return a balancer that has read a host on which everything is as the given changes say."""

    def make(haproxy="global\n", changes=(), loaded=None, certificates=()):
        monkeypatch.setattr(host, "_read_hosts", lambda: "127.0.0.1 localhost\n10.0.0.9 late.example late # x\n")
        monkeypatch.setattr(Visit, "read", lambda _self: None)
        monkeypatch.setattr(Visit, "changes", lambda _self, _before: list(changes))
        monkeypatch.setattr(host, "_is_ours", lambda _path: True)
        balancer = host.Balancer(haproxy, "", dict(certificates), "it's")
        monkeypatch.setattr(host, "_loaded", lambda: balancer._digests() if loaded is None else loaded)
        return balancer

    return make


def test_header_is_added_to_the_file_of_a_template(balancer):
    assert balancer("global\n").haproxy == f"{render.HEADER}\nglobal\n"
    assert balancer(f"{render.HEADER}\nglobal\n").haproxy == f"{render.HEADER}\nglobal\n"


def test_password_is_quoted(balancer):
    assert "insecure-password 'it'\\''s'\n" in balancer(f"user x insecure-password {render.PASSWORD}\n").haproxy


def test_names_in_etc_hosts_are_not_followed_in_dns(balancer):
    lines = [
        f"    server {name} {name}:80 weight 1 {render.FOLLOW} check" for name in ("late.example", "other.example")
    ]
    assert balancer("\n".join(["backend x", *lines])).haproxy.splitlines()[2:] == [
        "    # late.example is 10.0.0.9 in /etc/hosts",
        "    server late.example late.example:80 weight 1 check",
        lines[1],
    ]


def test_interfaces_are_those_of_the_addresses(monkeypatch):
    links = [
        {"ifname": "eth0", "addr_info": [{"local": "10.0.0.1"}, {"local": "2001:db8::1"}]},
        {"ifname": "eth1", "addr_info": [{"local": "192.0.2.1"}]},
    ]
    listed = subprocess.CompletedProcess([], 0, json.dumps(links), "")
    monkeypatch.setattr(host, "run", lambda *_words: listed)
    text = "\n".join(f"interface {keepalived.INTERFACE}{one}@" for one in ("10.0.0.1", "192.0.2.1", "2001:db8::1"))
    assert host._with_interfaces(text).splitlines() == ["interface eth0", "interface eth1", "interface eth0"]
    with pytest.raises(host.HostError, match=r"no interface of this host has 10\.0\.0\.7"):
        host._with_interfaces(f"{keepalived.INTERFACE}10.0.0.7@")


def test_nothing_is_restarted(balancer):
    stale = Change("restart", "haproxy", "its unit file changed", "restarted")
    assert balancer(changes=[stale]).changes() == [Change("unit", "haproxy", stale.before, "unit file read")]


def test_configuration_that_was_not_loaded_is_a_change(balancer):
    assert balancer().changes() == []
    assert balancer(loaded={}).changes() == [Change("configuration", "haproxy", "not loaded", "loaded")]


def test_document_owns_the_certificates_and_keeps_them_private(balancer):
    document = read_documents([balancer(certificates={"web.pem": "x"})._document()])
    assert [(one.path, one.mode, one.exclusive) for one in document.directories] == [(render.DIRECTORY, 0o700, True)]
    modes = {one.path: (one.mode, one.secret) for one in document.files}
    assert modes[host.CONFIG] == (0o600, True)
    assert modes[f"{render.DIRECTORY}/web.pem"] == (0o600, True)
    assert document.units["haproxy"][:2] == (True, "started")
    assert document.units["keepalived"][:2] == (False, "stopped")  # of ours, and there are no VIPs any more
    assert host.KEEPALIVED in document.absent_files


def test_keepalived_of_others_is_not_managed(balancer, monkeypatch):
    made = balancer()
    monkeypatch.setattr(host, "_is_ours", lambda _path: False)
    document = read_documents([made._document()])
    assert "keepalived" not in document.units
    assert document.absent_files == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "[ALERT] (1) : config : parsing [x/haproxy.cfg:3] : unknown keyword",
            "haproxy_extra_global: config : parsing",
        ),
        ("[ALERT] (1) : Fatal errors found in configuration.", None),
        (f"[ALERT] (1) : Can't open global server state file '{render.STATE_FILE}'", None),
    ],
)
def test_messages_name_the_place_in_the_declaration(balancer, said, expected):
    made = balancer(f"{render.HEADER}\n    # haproxy_extra_global\n    bogus\n")
    found = made._messages(said, "[ALERT]")
    assert [line.startswith(expected) for line in found] == ([True] if expected else [])


def test_file_is_restored_as_it_was(tmp_path):
    path = str(tmp_path / "x")
    files.restore(path, files.ABSENT)
    (tmp_path / "x").write_text("new")
    files.restore(path, files.ABSENT)
    assert not (tmp_path / "x").exists()
