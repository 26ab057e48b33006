# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of what the roles do on hosts: Kubernetes members, packages and files of any host, balancers."""

from __future__ import annotations

from tests.support.mutants import DROP, Mutant
from tests.support.role_mutants import UNIT

_HOSTS = f"{UNIT}/kubernetes/hosts"
MEMBER, ETCD, SERVING, SPREAD = (
    f"{_HOSTS}/test_{name}.py" for name in ("member_actions", "etcd_actions", "serving", "spread")
)
LINUX, DNF, UPDATES = (f"{UNIT}/linux/test_{name}.py" for name in ("linux", "dnf", "updates"))
HAPROXY, CERTIFICATES = (f"{UNIT}/haproxy/test_{name}.py" for name in ("plan", "certificates"))


def _host(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"kubernetes/hosts/{name}.py", where, what, old, new, tests)


def _linux(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"linux/{name}.py", where, what, old, new, tests or (LINUX, DNF, UPDATES))


def _haproxy(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"haproxy/{name}.py", where, what, old, new, tests or (HAPROXY, CERTIFICATES))


HOST_MUTANTS = [
    _host("member", "join", "etcd data are discarded", 'if state["etcd_data"] and not restart:', "if False:", MEMBER),
    _host("member", "join", "remains of a join stay", "done += reset()", DROP, MEMBER),
    _host("member", "join", "kubelet's configuration stays open", "close_kubelet()", DROP, MEMBER),
    _host("member", "reset", "a member that others need leaves etcd", '"--skip-phases=remove-etcd-member", ',
          "", MEMBER),
    _host("member", "reset", "a failed reset counts", "if result.returncode != 0:", "if False:", MEMBER),
    _host("member", "initialize", "certificates are dropped with data", 'if state["etcd_data"] is False:', "if True:",
          MEMBER),
    _host("member", "initialize", "an interrupted init cannot be completed", '!= "clean" else _of_new_disk()',
          '== "never" else _of_new_disk()', MEMBER),
    _host("member", "initialize", "each run makes another key", "if settings and not read(ENCRYPTION):",
          "if settings:", MEMBER),
    _host("member", "_drop_orphans", "halves of certificates stay", "halves += broken", DROP, MEMBER),
    _host("member", "_drop_orphans", "certificates of a lost authority stay",
          'if any(os.path.basename(path) in ("ca.key", "front-proxy-ca.key") for path in halves):',
                  "if False:", MEMBER),
    _host("member", "close_kubelet", "everybody reads kubelet's configuration", "0o600)", "0o644)", MEMBER),
    _host("member", "with_material", "members join without the keys",
          'document["controlPlane"]["certificateKey"] = material["certificate_key"]', DROP, MEMBER),
    _host("lifecycle", "upgrade", "the old kubeadm upgrades", "if installed != version:", "if False:", MEMBER),
    _host("lifecycle", "upgrade", "new kubelets get no settings", "if first and settings:", "if False:", MEMBER),
    _host("etcd", "leave", "the quorum is lost", "if refused:", "if False:", ETCD),
    _host("etcd", "leave", "check mode removes a member", "if not check:", "if True:", ETCD),
    _host("etcd", "leave", "another member of the name leaves", "if address else None", "if False else None", ETCD),
    _host("etcd", "wait_healthy", "learners count", "and len(voters) == len(known[\"members\"])", "", ETCD),
    _host("etcd", "wait_healthy", "too few members are enough", "and len(voters) >= members", "", ETCD),
    _host("etcd", "restore", "other data are overwritten", "if os.path.isdir(observe.ETCD_DATA):", "if False:", ETCD),
    _host("etcd", "restore", "watchers miss changes", '"--bump-revision", str(_BUMP), ', "", ETCD),
    _host("etcd", "restore", "keys readable by all", "else 0o600)", "else 0o644)", ETCD),
    _host("etcd", "maintain", "the leader is defragmented first", '(one["id"] == leader,',
          '(one["id"] != leader,', ETCD),
    _host("etcd", "maintain", "a full database takes changes again", "if after[\"quota\"] and after",
          "if False and after",
          ETCD),
    _host("etcd", "maintain", "the alarm stays",
          'Etcd().call("/v3/maintenance/alarm",', DROP, ETCD),
    _host("etcd", "_wasteful", "every run defragments", "unused > _WASTE_BYTES and", "", ETCD),
    _host("etcd", "end_restore", "check mode ends a restore", "if not check:", "if True:", ETCD),
    _host("serving", "refusal", "names of other hosts", 'if name != node["name"]]', "if False]", SERVING),
    _host("serving", "refusal", "addresses of other hosts", "if address not in (node", "if False not in (node",
          SERVING),
    _host("serving", "refusal", "a certificate of an administrator",
          'or asked.organizations != ("system:nodes",)', "", f"{_HOSTS}/test_members.py"),
    _host("serving", "refusal", "another node's sender", 'if "system:nodes" not in (spec.get("groups") or ()):',
          "if False:", f"{_HOSTS}/test_members.py"),
    _host("serving", "requests", "requests of other signers", 'if item["spec"].get("signerName") != SIGNER:',
          "if False:",
          SERVING),
    _host("serving", "approve_all", "refused requests are approved", 'if one.reason == ""]',
          "if one.reason is not None]",
          SERVING),
    _host("serving", "record", "check mode records", "if new and not check:", "if new:", SERVING),
    _host("serving", "forget", "removed nodes stay recorded", "api.merge(RECORD,", DROP, SERVING),
    _host("approver", "main", "refusals are not seen", "return 1 if refused else 0", "return 0", SERVING),
    _host("spread", "surplus", "single replicas move", "places.count(crowded) < 2 or not free", "not free", SPREAD),
    _host("spread", "surplus", "replicas move where none can run", "and _fits(node, tolerations)", "", SPREAD),
    _host("spread", "_evict", "a refused eviction counts", "        return False\n    deadline",
          "        return True\n    deadline", SPREAD),
    _host("rehearsal", "checked", "missing nodes are overlooked", 'if name not in found["nodes"]', "if False",
          f"{UNIT}/kubernetes/test_archive.py"),
    _host("nodes", "wanted_taints", "taints of others are removed", "and _taint_name(taint) not in ours",
          "and _taint_name(taint) in ours", f"{_HOSTS}/test_members.py"),
    _linux("packages", "Dnf.repository_files", "held packages are updated",
           "lines += [f\"excludepkgs={' '.join(held)}\"] if held else []", DROP),
    _linux("packages", "Dnf.repository_files", "signatures are not checked", '"gpgcheck=1"', '"gpgcheck=0"'),
    _linux("packages", "Dnf.install", "other repositories are asked", '"--disablerepo=*", ', ""),
    _linux("packages", "matches", "any version matches", "fnmatch.fnmatchcase(version, wanted)", "True"),
    _linux("packages", "parse_dpkg", "half installed is whole", 'unpacked == "installed"', "True"),
    _linux("plan", "unlisted", "foreign files stay in owned directories", "if not directory.exclusive:", "if True:"),
    _linux("plan", "_file_differs", "modes and owners do not count",
           "or (there.mode, there.owner, there.group) != (one.mode, one.owner, one.group)", ""),
    _linux("plan", "unit_changes", "disabled units are overlooked", "wanted.enabled != unit.enabled", "False"),
    _linux("plan", "diff", "secrets in diffs", "if not one.secret else", "if True else"),
    _linux("updates", "newest_kernel", "a new kernel needs no reboot", "_order(newest) > _order(running)", "False"),
    _linux("updates", "parse_apt", "new packages are overlooked", "for one in found if one]",
           "for one in found if one and one[2]]"),
    _haproxy("vips", "_address", "a host's address as VIP", "if text == str(ip):", "if False:"),
    _haproxy("vips", "_address", "a broadcast address as VIP", "ip == hosts.broadcast_address", "False"),
    _haproxy("vips", "priority", "all balancers have one priority", "200 - 10 * order.index(host)", "200"),
    _haproxy("vips", "_router_ids", "two VIPs share a router id", "if number not in owners", "if True"),
    _haproxy("keepalived", "_instance", "balancers do not know each other", "if name != host]", "if False]"),
    _haproxy("keepalived", "_instance", "a dead HAProxy keeps the address", '"        haproxy_healthy",', '"",'),
    _haproxy("certificates", "_check_chain", "foreign issuers", "one.verify_directly_issued_by(issuer)", DROP),
    _haproxy("certificates", "_check_key", "the key of an issuer comes first", "if not owned[0]:", "if False:"),
    _haproxy("certificates", "_check_key", "two keys", "if len(keys) != 1:", "if not keys:"),
]  # fmt: skip
