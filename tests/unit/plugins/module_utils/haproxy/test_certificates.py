# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of a declaration: PEM text or files, keys that belong to them, chains in order."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.photon.platform.plugins.module_utils.haproxy import certificates, contract, rules
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


class Party:
    """A key and a certificate of it, issued by another party or by itself."""

    def __init__(self, name, issuer=None):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = issuer or self
        builder = x509.CertificateBuilder().subject_name(self.subject).issuer_name(issuer.subject)
        builder = builder.public_key(self.private.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=1))
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=30))
        signed = builder.sign(issuer.private, hashes.SHA256())
        self.pem = signed.public_bytes(serialization.Encoding.PEM).decode()
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.key = self.private.private_bytes(*form).decode()


@pytest.fixture(scope="module", name="parties")
def fixture_parties():
    root = Party("root")
    middle = Party("middle", root)
    other = Party("other")
    return {"root": root, "middle": middle, "leaf": Party("leaf", middle), "other": other}


def item(parties, names, keys=("leaf",)):
    return {
        "name": "web",
        "certificate": "".join(parties[name].pem for name in names),
        "key": "".join(parties[name].key for name in keys),
    }


def said(given, **options):
    with pytest.raises(certificates.CertificateError) as caught:
        certificates.check(given, NOW, 0, **options)
    return str(caught.value)


@pytest.mark.parametrize("names", [["leaf"], ["leaf", "middle"], ["leaf", "middle", "root"]])
def test_chain_in_order_is_accepted(parties, names):
    certificates.check(item(parties, names), NOW, 0)


@pytest.mark.parametrize(
    ("names", "keys", "expected"),
    [
        (
            ["leaf", "other"],
            ["leaf"],
            "chain: certificate 2 of the chain (CN=other) did not issue certificate 1 (CN=leaf)",
        ),
        (["leaf", "root"], ["leaf"], "chain: certificate 2 of the chain (CN=root) did not issue certificate 1"),
        (["leaf", "root", "middle"], ["leaf"], "chain: certificate 2 of the chain (CN=root) did not issue"),
        (["leaf", "leaf"], ["leaf"], "chain: certificate 2 of the chain repeats an earlier one"),
        (["leaf", "middle", "leaf"], ["leaf"], "chain: certificate 3 of the chain repeats an earlier one"),
        (["middle", "leaf"], ["leaf"], "certificate: certificate 2 belongs to the key and must be the first"),
        (["leaf", "middle"], ["leaf", "other"], "key: contains 2 private keys, one is needed"),
        (["leaf"], ["other"], "key: does not match the certificate"),
        (["leaf"], [], "key: does not contain a PEM private key"),
    ],
)
def test_wrong_chain_or_key_is_refused(parties, names, keys, expected):
    assert said(item(parties, names, keys)).startswith(expected)


def test_same_subject_with_another_key_is_no_issuer(parties):
    imposter = Party("middle")
    assert "did not issue" in said(item(parties | {"middle": imposter}, ["leaf", "middle"]))


def test_comments_in_any_language_are_dropped(parties, tmp_path):
    path = tmp_path / "web.pem"
    path.write_bytes("# Müller\nBag Attributes\n".encode("latin-1") + parties["leaf"].pem.encode())
    given = item(parties, []) | {"certificate": str(path)}
    certificates.check(given, NOW, 0)
    assert certificates.bundle(given) == parties["leaf"].pem + parties["leaf"].key


def test_files_keep_authorities_apart_from_certificates(parties):
    made = certificates.files(
        [item(parties, ["leaf"]) | {"name": "ca-corp"}], [{"name": "corp", "certificate": parties["root"].pem}]
    )
    assert made == {"ca-corp.pem": parties["leaf"].pem + parties["leaf"].key, "corp.ca": parties["root"].pem}


def test_authority_needs_no_chain(parties):
    both = {"name": "a", "certificate": parties["root"].pem + parties["other"].pem}
    certificates.check(both, NOW, 0, with_key=False)
    assert said({"name": "a", "certificate": "-----BEGIN nothing"}, with_key=False).startswith("certificate: does not")


def test_pem_text_passes_the_contract(parties):
    options = {name: {"type": "str"} for name in ("name", "certificate", "key", "chain")}
    found = []
    given = item(parties, ["leaf"]) | {"chain": parties["middle"].pem}
    assert contract.check(options, given, "haproxy_certificates[0]", "certificate", found) == given
    assert found == []
    contract.check(options, given | {"key": "/a\nb"}, "haproxy_certificates[0]", "certificate", found)
    assert found == ["haproxy_certificates[0].key: must not contain a line break"]


def test_texts_without_a_rule_of_their_own_are_one_word():
    check = rules.rule("service.something.new", "str")
    assert check("word") == ""
    for wrong in ("two words", "a#b", "a'b", 'a"b', "a\\b", "a\tb", "a\nb", "a\x00b", ""):
        assert check(wrong), wrong
