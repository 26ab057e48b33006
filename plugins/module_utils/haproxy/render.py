# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render haproxy.cfg from a validated declaration.

Each section begins with a comment that names its origin, so that HAProxy's messages about a line can be reported with
the key path in the declaration. The password is a placeholder that the module fills in on the host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import rules

HEADER = "# Written by the role haproxy: change the inventory, not this file."
DIRECTORY = "/etc/haproxy/certificates"
STATE_FILE = "/var/lib/haproxy/server-state"
SOCKET = "/run/haproxy/admin.sock"
HEALTH_PORT = 8405
LIST = ".crt-list"
# Options of a server whose name is followed in DNS; libc would hold up a start while no name server answers.
FOLLOW = "resolvers resolved resolve-prefer ipv4 init-addr last,none"
PASSWORD = "@STATISTICS_PASSWORD@"


OWN_SECTIONS = ("health", "statistics", "resolved")
_WORDS = 40  # HAProxy reads 64 words of a line


def configuration(items: Mapping[str, Any], vips: Mapping[str, str]) -> str:
    """Return haproxy.cfg for the services, statistics and settings (the role's variables without their prefix)."""
    settings = items["settings"]
    followed = settings["follow_names"] and any(
        _named(server) for one in items["services"] for server in one["servers"]
    )
    lines = list(_global(settings))
    if followed:
        lines += _resolvers(settings["nameservers"])
    if items["statistics"]:
        lines += _statistics(items["statistics"])
    for index, service in enumerate(items["services"]):
        lines += _frontend(service, vips, f"haproxy_services[{index}] ({service['name']})")
        lines += _backend(service, f"haproxy_services[{index}] ({service['name']})", followed)
    if settings["extra_config"]:
        lines += ["", "# haproxy_extra_config", *settings["extra_config"].splitlines()]
    return "\n".join(lines) + "\n"


def certificate_lists(items: Mapping[str, Any]) -> dict[str, str]:
    """Return file name -> text of each service's list of certificates, of which the first is the default."""
    return {
        _list_of(service): "".join(f"{name}.pem\n" for name in service["certificates"])
        for service in items["services"]
        if service["certificates"]
    }


def sections(service: Mapping[str, Any]) -> list[str]:
    """Return the names of the sections that a service becomes; the back end has the service's own name."""
    names = [service["name"], _frontend_of(service)]
    return [*names, f"{service['name']}-redirect"] if service["redirect_port"] else names


def bind_address(bind: Mapping[str, Any], vips: Mapping[str, str]) -> str:
    """Return the address of a bind entry in its canonical form, with a VIP's name resolved."""
    return vips[bind["vip"]] if bind["vip"] and bind["vip"] in vips else canonical(bind["address"])


def canonical(address: str) -> str:
    """Return one spelling per address, ``*`` for all of IPv4; a name stays as it is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return "*" if ip.version == 4 and ip.is_unspecified else str(ip)


def _global(settings: Mapping[str, Any]) -> Iterator[str]:
    yield HEADER
    yield "global"
    for target in settings["log_targets"]:
        yield f"    log {target}"
    yield from (f"    {line}" for line in (
        "chroot /var/lib/haproxy",
        "user haproxy",
        "group haproxy",
        f"stats socket {SOCKET} mode 660 level admin expose-fd listeners",
        "stats timeout 30s",
        f"server-state-file {STATE_FILE}",
        f"maxconn {settings['max_connections']}",
        f"hard-stop-after {settings['drain_seconds']}s",
        f"crt-base {DIRECTORY}",
        f"ca-base {DIRECTORY}",
        "tune.ssl.default-dh-param 2048",
        f"ssl-default-bind-options ssl-min-ver {settings['tls_minimum']} no-tls-tickets",
        f"ssl-default-bind-ciphers {settings['tls_ciphers']}",
        f"ssl-default-server-options ssl-min-ver {settings['tls_minimum']}",
        f"ssl-default-server-ciphers {settings['tls_ciphers']}",
    ))  # fmt: skip
    if settings["extra_global"]:
        yield "    # haproxy_extra_global"
        yield from (f"    {line}" for line in settings["extra_global"])
    yield from (
        "",
        "defaults",
        "    log global",
        "    option dontlognull",
        "    load-server-state-from-file global",
        "    timeout connect 5s",
        "    timeout client 1m",
        "    timeout server 1m",
        "    default-server init-addr libc,last,none",
        "",
        "# health endpoint for keepalived",
        "frontend health",
        f"    bind 127.0.0.1:{HEALTH_PORT}",
        "    mode http",
        "    option dontlog-normal",
        "    monitor-uri /health",
    )


def _resolvers(nameservers: Sequence[str]) -> Iterator[str]:
    yield from ("", "# haproxy_nameservers", "resolvers resolved")
    for number, address in enumerate(nameservers, 1):
        yield f"    nameserver dns{number} {_host(address)}:53"
    if not nameservers:
        yield "    parse-resolv-conf"
    yield from (
        "    accepted_payload_size 4096",
        "    timeout resolve 1s",
        "    timeout retry 1s",
        "    hold valid 5s",
        # While no name server answers, servers keep their last addresses.
        "    hold other 20d",
        "    hold refused 20d",
        "    hold timeout 20d",
    )


def _statistics(statistics: Mapping[str, Any]) -> Iterator[str]:
    secured = f" ssl crt {statistics['certificate']}.pem" if statistics["certificate"] else ""
    yield from (
        "",
        "# haproxy_statistics",
        "userlist statistics",
        f"    user {_quoted(statistics['user'])} insecure-password {PASSWORD}",
        "frontend statistics",
        f"    bind {_listener(canonical(statistics['address']), statistics['port'])}{secured}",
        "    mode http",
        "    option dontlog-normal",
        "    http-request auth realm statistics unless { http_auth(statistics) }",
        "    http-request use-service prometheus-exporter if { path /metrics }",
        "    stats enable",
        "    stats uri /",
        "    stats show-legends",
    )


def _frontend(service: Mapping[str, Any], vips: Mapping[str, str], path: str) -> Iterator[str]:
    name, http = service["name"], service["mode"] == "http"
    yield from ("", f"# {path}", f"frontend {_frontend_of(service)}")
    for bind in service["bind"]:
        proxy = " accept-proxy" if bind["accept_proxy"] else ""
        yield f"    bind {_listen(bind, bind['port'], vips)}{proxy}{_bind_tls(service)}"
    yield f"    mode {service['mode']}"
    yield f"    option {'httplog' if http else 'tcplog'}"
    yield f"    timeout client {service['timeouts']['client']}"
    if http:
        # On a reload, close idle connections with their next response; closing them at once would race with a request.
        yield "    option idle-close-on-response"
        yield f"    timeout http-request {service['timeouts']['http_request']}"
        yield f"    timeout http-keep-alive {service['timeouts']['http_keep_alive']}"
    if service["max_connections"]:
        yield f"    maxconn {service['max_connections']}"
    # With the PROXY protocol, the client's address is known only after its header has been read.
    stage = "session" if any(bind["accept_proxy"] for bind in service["bind"]) else "connection"
    if service["allowed_networks"]:
        networks = service["allowed_networks"]
        for start in range(0, len(networks), _WORDS):
            yield f"    acl allowed_networks src {' '.join(networks[start : start + _WORDS])}"
        yield f"    tcp-request {stage} reject unless allowed_networks"
    yield from _limits(service["limits"] or {}, stage)
    if http and service["forwarded_headers"]:
        yield "    option forwardfor"
        yield f"    http-request set-header X-Forwarded-Proto {'https' if service['certificates'] else 'http'}"
    if service["hsts"]:
        yield f'    http-response set-header Strict-Transport-Security "max-age={service["hsts"]}"'
    if service["extra_frontend"]:
        yield f"    # {path}.extra_frontend"
        yield from (f"    {line}" for line in service["extra_frontend"])
    yield f"    default_backend {name}"
    if service["redirect_port"]:
        yield from ("", f"# {path}.redirect_port", f"frontend {name}-redirect")
        addresses = {bind_address(bind, vips): bind for bind in service["bind"]}
        for bind in addresses.values():
            yield f"    bind {_listen(bind, service['redirect_port'], vips)}"
        port = service["bind"][0]["port"]
        target = "scheme https" if port == 443 else f"prefix https://%[req.hdr(host),field(1,:)]:{port}"
        yield from ("    mode http", "    timeout http-request 10s", f"    http-request redirect {target} code 301")


def _listen(bind: Mapping[str, Any], port: int, vips: Mapping[str, str]) -> str:
    return _listener(bind_address(bind, vips), port)


def _listener(address: str, port: int) -> str:
    """Return the words of a bind line; every balancer binds a VIP, including those that do not hold it."""
    words = f"{_host(address)}:{port}"
    words += " v6only" if address == "::" else ""
    return words if address in ("*", "::") else f"{words} transparent"


def _bind_tls(service: Mapping[str, Any]) -> str:
    if not service["certificates"]:
        return ""
    words = f" ssl crt-list {DIRECTORY}/{_list_of(service)}"
    if service["mode"] == "http":
        words += " alpn h2,http/1.1" if service["http2"] else " alpn http/1.1"
    if service["strict_sni"]:
        words += " strict-sni"
    if service["client_authority"]:
        words += f" ca-file {service['client_authority']}.ca verify {service['client_certificate']}"
    return words


def _limits(limits: Mapping[str, Any], stage: str) -> Iterator[str]:
    rules = [
        ("connections", "conn_cur", f"tcp-request {stage} reject if {{ sc0_conn_cur gt %d }}"),
        ("connection_rate", "conn_rate(10s)", f"tcp-request {stage} reject if {{ sc0_conn_rate gt %d }}"),
        ("request_rate", "http_req_rate(10s)", "http-request deny deny_status 429 if { sc0_http_req_rate gt %d }"),
    ]
    wanted = [(store, rule % limits[key]) for key, store, rule in rules if limits.get(key)]
    if wanted:
        yield f"    stick-table type ipv6 size 100k expire 30s store {','.join(store for store, _rule in wanted)}"
        yield f"    tcp-request {stage} track-sc0 src"
        yield from (f"    {rule}" for _store, rule in wanted)


def _backend(service: Mapping[str, Any], path: str, followed: bool) -> Iterator[str]:
    http, timeouts = service["mode"] == "http", service["timeouts"]
    yield from ("", f"# {path}", f"backend {service['name']}", f"    mode {service['mode']}")
    yield f"    balance {service['balance']}"
    yield f"    retries {service['retries']}"
    if service["redispatch"]:
        yield "    option redispatch 1"
    if service["retry_on"]:
        yield f"    retry-on {service['retry_on']}"
    for key in ("connect", "server", "queue", "check", "tunnel"):
        yield f"    timeout {key} {timeouts[key]}"
    sticky = service["stickiness"] or {}
    if sticky.get("type") == "cookie":
        secure = " secure" if service["certificates"] else ""
        yield f"    cookie {sticky['cookie']} insert indirect nocache httponly{secure}"
    elif sticky.get("type") == "prefix":
        yield f"    cookie {sticky['cookie']} prefix nocache"
    elif sticky.get("type") == "source":
        yield f"    stick-table type ipv6 size 100k expire {sticky['expire']}"
        yield "    stick on src"
    yield from _check_lines(service["health"])
    if service["extra_backend"]:
        yield f"    # {path}.extra_backend"
        yield from (f"    {line}" for line in service["extra_backend"])
        yield f"    # {path}.servers"
    common = _server_options(service)
    named = sticky.get("type") in ("cookie", "prefix")
    for server in service["servers"]:
        words = [
            f"    server {server['name']} {_host(server['address'])}:{server['port']}",
            f"weight {server['weight']}",
        ]
        words += ["backup"] * bool(server["backup"]) + [f"cookie {server['name']}"] * named
        words += [f"maxconn {server['max_connections']}"] * bool(server["max_connections"])
        words += [FOLLOW] * (followed and _named(server))
        yield " ".join([*words, common])
    if http and not service["servers"]:
        yield "    http-request return status 503"


def _check_lines(health: Mapping[str, Any]) -> Iterator[str]:
    kind = health["type"]
    if kind in ("http", "kubernetes"):
        path = "/readyz" if kind == "kubernetes" and health["path"] == "/" else health["path"]
        yield "    option httpchk"
        yield f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {health['host'] or 'health'}"
        yield f"    http-check expect status {health['status']}"
    elif kind == "ldap":
        yield "    option ldap-check"


def _server_options(service: Mapping[str, Any]) -> str:
    health, upstream = service["health"], service["tls"]
    words = [f"check inter {health['interval']} fastinter 200ms fall {health['fall']} rise {health['rise']}"]
    if health["port"]:
        words.append(f"port {health['port']}")
    if health["type"] == "kubernetes":
        # While its etcd restarts an API server keeps connections open without answering; kubelets must reconnect.
        words.append("on-marked-down shutdown-sessions")
    if health["observe"]:
        # Two failed connections of real traffic mark the server down before its next check is due.
        words.append("observe layer4 error-limit 2 on-error sudden-death")
    trust = "verify none"
    if upstream and upstream["verify"]:
        trust = f"ca-file {upstream['authority']}.ca verify required"
        trust += f" verifyhost {upstream['server_name']}" if upstream["server_name"] else ""
    checked = health["tls"] if health["tls"] is not None else bool(upstream) or health["type"] in ("ssl", "kubernetes")
    if upstream:
        words.append("ssl")
        words += [f"sni str({upstream['server_name']})"] if upstream["server_name"] else []
    if checked:
        words.append("check-ssl")
    if upstream or checked:
        words.append(trust)
    if service["send_proxy"]:
        words.append("send-proxy-v2" + ("" if health["port"] else " check-send-proxy"))
    return " ".join(words)


def _named(server: Mapping[str, Any]) -> bool:
    return bool(rules.address(server["address"]))


def _frontend_of(service: Mapping[str, Any]) -> str:
    return f"{service['name']}-frontend"


def _list_of(service: Mapping[str, Any]) -> str:
    return f"{service['name']}{LIST}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def origin(config: Sequence[str], number: int) -> str | None:
    """Return the key path in the declaration that produced line ``number`` (from 1) of the configuration."""
    for line in reversed(config[: max(number, 0)]):
        if line.strip().startswith("# haproxy_"):
            return line.strip()[2:]
    return None
