# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of plans and documents: each is a line that would lose data, availability or hardening in silence."""

from __future__ import annotations

from tests.support.mutants import DROP, Mutant

UNIT = "tests/unit/plugins/module_utils"
DOCUMENTS, HOST, HARDENING, PLANS, CREATE, DECLARATION = (
    f"{UNIT}/kubernetes/test_{name}.py"
    for name in ("cluster_documents", "host_documents", "hardening", "plans", "create_plan", "declaration")
)


def _document(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"kubernetes/documents/{name}.py", where, what, old, new, tests or (HARDENING, DOCUMENTS, HOST))


def _plan(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"kubernetes/plans/{name}.py", where, what, old, new, tests or (PLANS, CREATE))


def _top(name: str, where: str, what: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"kubernetes/{name}.py", where, what, old, new, tests or (DECLARATION, HARDENING))


DOCUMENT_MUTANTS = [
    # kubeadm and kubelet
    _document("kubeadm", "init", "join tokens never end", '"ttl": "1h0m0s"', '"ttl": "0s"'),
    _document("kubeadm", "kubelet", "no seccomp profile", '"seccompDefault": True', '"seccompDefault": False'),
    _document("kubeadm", "kubelet", "anonymous requests", '"anonymous": {"enabled": False}',
              '"anonymous": {"enabled": True}'),
    _document("kubeadm", "kubelet", "everything is allowed", '"mode": "Webhook"', '"mode": "AlwaysAllow"'),
    _document("kubeadm", "kubelet", "the read-only port", '"readOnlyPort": 0', '"readOnlyPort": 10255'),
    _document("kubeadm", "kubelet", "kernel defaults unprotected", '"protectKernelDefaults": True',
              '"protectKernelDefaults": False'),
    _document("kubeadm", "kubelet", "no serving certificate", '"serverTLSBootstrap": True',
              '"serverTLSBootstrap": False'),
    _document("kubeadm", "kubelet", "client certificates are not rotated", '"rotateCertificates": True',
              '"rotateCertificates": False'),
    _document("kubeadm", "kubelet", "pods end hard at a shutdown", '"shutdownGracePeriod": "60s"',
              '"shutdownGracePeriod": "0s"'),
    _document("kubeadm", "kubelet", "swap always accepted", 'if cluster["host"]["swap"] == "ignore":', "if True:"),
    _document("kubeadm", "kubelet", "more pods than addresses", "min(_PODS, networks", "max(_PODS, networks"),
    _document("kubeadm", "upgrade", "nodes keep old certificates", '"node": {"certificateRenewal": True',
              '"node": {"certificateRenewal": False'),
    _document("kubeadm", "upgrade", "nodes keep the old etcd",
              '"node": {"certificateRenewal": True, "etcdUpgrade": True',
              '"node": {"certificateRenewal": True, "etcdUpgrade": False'),
    _document("kubeadm", "api_server_arguments", "profiling", '"profiling": "false"', '"profiling": "true"'),
    _document("kubeadm", "api_server_arguments", "kubelets' certificates unverified",
              '"kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt",', ""),
    _document("kubeadm", "api_server_arguments", "keys need a restart",
              'arguments["encryption-provider-config-automatic-reload"] = "true"', DROP),
    _document("kubeadm", "api_server_arguments", "old TLS", '"tls-min-version": "VersionTLS12"',
              '"tls-min-version": "VersionTLS10"'),
    _document("kubeadm", "", "etcd's small quota", "str(8 * 1024**3)", "str(2 * 1024**3)"),
    _document("kubeadm", "", "a cipher without forward secrecy", '"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"',
              '"TLS_RSA_WITH_AES_128_GCM_SHA256"'),
    # hosts
    _document("host", "", "out of memory is a panic", '"vm.panic_on_oom": "0"', '"vm.panic_on_oom": "1"'),
    _document("host", "", "bridged traffic skips the rules", '"net.bridge.bridge-nf-call-iptables": "1"',
              '"net.bridge.bridge-nf-call-iptables": "0"'),
    _document("host", "node_document", "settings and data readable by all", '"mode": "0700"} for path',
              '"mode": "0755"} for path'),
    _document("host", "node_document", "packages are not held", '"hold": list(PROGRAMS),', '"hold": [],'),
    _document("host", "node_document", "etcd's disk is not checked", 'if control_plane:\n        disk[',
              "if not control_plane:\n        disk["),
    _document("host", "node_document", "swap is left on", '"swap": host["swap"]', '"swap": "ignore"'),
    _document("host", "_settings", "secret files readable by all", '"mode": "0600"', '"mode": "0644"'),
    _document("host", "_settings", "secrets shown in diffs", '"secret": secret', '"secret": False'),
    _document("host", "_packages", "upgrades move kubelet too early", '(installed or {}).get(program) or', ""),
    _document("host", "documents", "kubelet may stay down", '"state": "started"', '"state": "stopped"'),
    _document("approver", "document", "the approver runs everywhere", "if not control_plane:", "if False:"),
    _document("approver", "document", "the approver is not started", '{"enabled": True, "state": "started"}',
              '{"enabled": True, "state": "stopped"}'),
    _document("approver", "", "a module of the approver is missing", '"serving", ', ""),
    # networks and add-ons
    _document("network", "_daemon", "flannel takes any interface", "--iface=$(HOST_ADDRESS)", "--iface=eth0"),
    _document("network", "_daemon", "flannel restarts everywhere at once", '{"maxUnavailable": 1}',
              '{"maxUnavailable": "100%"}'),
    _document("network", "_daemon", "flannel is privileged", '"privileged": False', '"privileged": True'),
    _document("network", "_configuration", "the wrong packet filter", 'net["proxy_mode"] == "nftables"',
              'net["proxy_mode"] != "nftables"'),
    _document("addons", "coredns", "drains may take all of DNS", '"maxUnavailable": 1', '"maxUnavailable": 2'),
    _document("addons", "coredns", "replicas are not set", '"spec": {"replicas": cluster',
              '"spec": {"paused": cluster'),
    _document("addons", "_metrics_pod", "kubelets unverified by metrics",
              '"--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"',
              '"--kubelet-insecure-tls"'),
    _document("addons", "metrics_server", "metrics are gone while they change",
              '"strategy": {"rollingUpdate": {"maxUnavailable": 0}}', '"strategy": {"type": "Recreate"}'),
    _document("apiserver", "_issuer", "tokens without a time of issue", "has(claims.iat) && ", ""),
    _document("apiserver", "_issuer", "tokens may name system users", '"!user.username.startsWith(',
              '"user.username.startsWith('),
    _document("apiserver", "audit_policy", "secrets in the audit log",
              '{"level": "Metadata", "resources": secret},', ""),
    _document("apiserver", "admission", "no level is enforced", '("enforce", "audit", "warn")', '("audit", "warn")'),
    _document("containerd", "hosts", "a certificate is not verified",
              '[] if registry["verify"] else ["skip_verify = true"]', '["skip_verify = true"]'),
    _document("containerd", "hosts", "a registry beside its mirrors", 'if registry["only_mirrors"]:', "if False:"),
    _document("containerd", "absent_files", "an old proxy stays", "[] if _has_proxy(runtime) else [PROXY]", "[]"),
    _document("containerd", "configuration", "another cgroup driver than kubelet's",
              'runtime["cgroup_driver"] == "systemd"', 'runtime["cgroup_driver"] != "systemd"'),
]  # fmt: skip

PLAN_MUTANTS = [
    _plan("quorum", "needed", "half is a majority", "voters // 2 + 1", "(voters + 1) // 2"),
    _plan("quorum", "refusal", "a majority is not needed after", "sum(staying.values()) < needed(len(staying))",
          "False"),
    _plan("quorum", "voters_of", "learners vote", 'if not one["learner"]', "if True"),
    _plan("create", "_Observed._check_host", "a host of another cluster",
          'if other and other != self.cluster["name"]:', "if False:"),
    _plan("create", "_Observed._check_identity", "another authority", "identity and own and identity != own[0]",
          "False"),
    _plan("create", "_Observed._check_quorum", "data of others are overwritten",
          'if first.get("etcd_data") and self._repairs(name):', "if True:"),
    _plan("create", "_Observed._restarts", "all members restart at once", 'one["kind"] == "package" or', "False and"),
    _plan("create", "_Observed._restarts", "new hosts wait for each other", 'not in (None, "clean") and any(',
          "!= 0 and any("),
    _plan("create", "_Observed.steps", "nodes are not waited for", 'if node["ready"] and node["name"] in rolling',
          "if False"),
    _plan("create", "_Observed._check_versions", "another version is taken", "if declared and declared != wanted:",
          "if False:"),
    _plan("create", "_Observed._check_requests", "foreign names in a certificate",
          'if nodes.get("error_code") == "CertificateRefused":', "if False:"),
    _plan("upgrade", "_Members._check_member", "a node that is not Ready",
          'if not node["ready"] and not self.begun(name):', "if False:"),
    _plan("upgrade", "_Members._check_etcd", "an alarm of etcd", 'for alarm in (voter or {}).get("alarms") or ()',
          "for alarm in ()"),
    _plan("upgrade", "_Members.helper", "a member drains itself", "if one != name and self._api(one)",
          "if self._api(one)"),
    _plan("upgrade", "_Members.kept_empty", "a node is let in that an administrator closed",
          'bool(node.get("unschedulable")) and', "False and"),
    _plan("update", "plan", "an unhealthy cluster is updated", 'if health["state"] != READY:', "if False:"),
    _plan("update", "plan", "an unreachable balancer is overlooked", "if updates.get(name) is None]", "if False]"),
    _plan("update", "plan", "an interrupted host comes last", "chosen = [*begun, *(",
          "chosen = [*(one for one in begun if False), *("),
    _plan("update", "plan", "a member reboots as a balancer", "if name not in members]", "if True]"),
    _plan("update", "_helper", "a member drains itself", "if one != name and (", "if ("),
    _plan("update", "_reasons", "reboots although asked not to", "if reboot != NEVER else []", "if True else []"),
    _plan("rotate", "step", "a key is removed while objects need it", "    if stale:", "    if False:"),
    _plan("rotate", "step", "one writes with a key that others cannot read", "    if lacking:", "    if False:"),
    _plan("rotate", "_check_names", "another secret under the same name", "if same:", "if False:"),
    _plan("rotate", "_difference", "another provider goes unnoticed",
          'if not layout.keys or not layout.keys[0].startswith(f"{provider}:"):', "if False:"),
    _plan("rotate", "wanted", "an interrupted rotation makes another key", "(due and not under_way)", "due"),
    _top("declaration", "_finished", "one replica of DNS", "min(max(2, len(cluster[CONTROL_PLANE])), 3)", "1"),
    _top("declaration", "_check_across", "the balancer takes the API server's port",
         'if shared and cluster["endpoint"]["port"] == _API_PORT:', "if False:"),
    _top("declaration", "_check_across", "a host has two roles", 'if kind == "balancers" and host in shared:',
         'if kind == "balancers":'),
    _top("declaration", "secrets_of", "the keys of another cluster", 'if cluster.get("name") == name:', "if True:"),
    _top("archive", "verify", "a changed part is accepted", "if _digest_of(archive, name) != wanted:", "if False:",
         f"{UNIT}/kubernetes/test_archive.py"),
    _top("archive", "check_snapshot", "a damaged snapshot is accepted", "or total.digest() != tail", "",
         f"{UNIT}/kubernetes/test_archive.py"),
    _top("archive", "superseded", "the newest backups are removed", "return found[:-keep]", "return found[keep:]",
         f"{UNIT}/kubernetes/test_archive.py"),
    _top("versions", "check_skew", "a kubelet newer than its API server", "kubelet.minor > servers[0].minor", "False",
         f"{UNIT}/kubernetes/test_versions_and_networks.py", PLANS, CREATE),
    _top("versions", "check_step", "a minor is skipped", "target.minor - version.minor > 1", "False",
         f"{UNIT}/kubernetes/test_versions_and_networks.py", PLANS),
    _top("versions", "check_step", "a downgrade", "if version > target:", "if False:",
         f"{UNIT}/kubernetes/test_versions_and_networks.py", PLANS),
]  # fmt: skip
