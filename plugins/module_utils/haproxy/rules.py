# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for single values of a declaration: ranges of numbers, and texts that are safe on a line of haproxy.cfg.

A rule takes a value and returns what is wrong with it, or "".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Rule = Callable[[Any], str]

NAME_LENGTH = 63


def rule(key: str, kind: str) -> Rule:
    """Return the rule of an option, named ``service.health.fall`` for example; ``kind`` is its type."""
    found = _RULES.get(key) or _RULES.get(key.rpartition(".")[0] + ".*")
    return found or (_word if kind == "str" else _anything)


def name(value: str) -> str:
    """Check a name of a service, server, VIP, certificate or authority."""
    if len(value) > NAME_LENGTH:
        return f"must have at most {NAME_LENGTH} characters, got {len(value)}"
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", value):
        return f"must consist of letters, digits, '.', '-' and '_' and begin with a letter or digit, got {value!r}"
    return ""


def host(value: str) -> str:
    """Check an IP address or a host name."""
    if address(value) and not re.fullmatch(r"(?!-)[a-zA-Z0-9._-]{1,253}", value):
        return f"must be an IP address or a host name, got {value!r}"
    return ""


def address(value: str) -> str:
    """Check an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"must be an IP address, got {value!r}"
    return ""


def _listen(value: str) -> str:
    return "" if value == "*" else address(value).replace("an IP", "* or an IP")


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return str(error)
    return ""


def _number(low: float, high: float) -> Rule:
    return lambda value: "" if low <= value <= high else f"must be within {low}..{high}, got {value}"


def _text(pattern: str, wanted: str) -> Rule:
    compiled = re.compile(pattern)
    return lambda value: "" if compiled.fullmatch(value) else f"must be {wanted}, got {value!r}"


def _line(value: str) -> str:
    return "must not contain a line break" if re.search(r"[\r\n\0]", value) else ""


def _pem(value: str) -> str:
    return "" if "-----BEGIN" in value else _line(value)


def _user(value: str) -> str:
    return "must not contain ':', with which nobody could log in" if ":" in value else _line(value)


def _anything(_value: Any) -> str:
    return ""


# HAProxy splits lines at blanks; '#' begins a comment, and quotes and backslashes change how a line is read.
_SAFE = r"""[^\s#"'\\\x00-\x1f\x7f]+"""
_word = _text(_SAFE, "one word without blanks, '#', quotes and backslashes")
_words = _text(rf"{_SAFE}( {_SAFE})*", "words without '#', quotes and backslashes")
_duration = _text(r"[1-9]\d{0,9}(us|ms|s|m|h|d)?", "a duration such as 500ms, 5s or 10m")
_port = _number(1, 65535)
_count = _number(1, 2**31 - 1)
_path = _text(r"""/[!$-&(-\[\]-~]*""", "a path such as /health without blanks, '#', quotes and backslashes")
_host_header = _text(r"[a-zA-Z0-9._-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?", "a host name, with or without a port")

# By the option's key path in argument_specs.yml; a star stands for all options of a structure.
_RULES: dict[str, Rule] = {
    "haproxy.tls_ciphers": _text(r"[A-Za-z0-9+:@!=_-]+", "cipher suites in OpenSSL's notation"),
    "haproxy.log_targets": _words,
    "haproxy.nameservers": host,
    "haproxy.max_connections": _count,
    "haproxy.drain_seconds": _number(1, 2_000_000),
    "haproxy.certificate_days": _number(0, 3650),
    "haproxy.extra_global": _anything,
    "haproxy.extra_config": _anything,
    "haproxy.keepalived_extra_global": _anything,
    "haproxy.keepalived_extra_config": _anything,
    "haproxy.template": _line,
    "haproxy.keepalived_template": _line,
    "haproxy.platform_authority": _line,
    "service.name": name,
    "service.port": _port,
    "service.redirect_port": _port,
    "service.bind.address": _listen,
    "service.bind.port": _port,
    "service.servers.name": name,
    "service.servers.address": host,
    "service.servers.port": _port,
    "service.servers.weight": _number(0, 256),
    "service.servers.max_connections": _count,
    "service.tls.server_name": host,
    "service.stickiness.cookie": _text(r"[A-Za-z0-9_.-]+", "a cookie's name"),
    "service.stickiness.expire": _duration,
    "service.health.path": _path,
    "service.health.host": _host_header,
    "service.health.status": _text(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*", "statuses such as 200 or 200-399"),
    "service.health.port": _port,
    "service.health.interval": _duration,
    "service.health.fall": _number(1, 1000),
    "service.health.rise": _number(1, 1000),
    "service.retries": _number(0, 1000),
    "service.retry_on": _text(r"[a-z0-9-]+( [a-z0-9-]+)*", "HAProxy's words for retry-on"),
    "service.timeouts.*": _duration,
    "service.max_connections": _count,
    "service.limits.*": _count,
    "service.allowed_networks": _network,
    "service.hsts": _number(0, 2**31 - 1),
    "service.extra_frontend": _line,
    "service.extra_backend": _line,
    "vip.name": name,
    "vip.address": _anything,
    "vip.router_id": _number(1, 255),
    "vip.interface": _text(r"[^\s/#\"']{1,15}", "the name of a network interface"),
    "vip.advertisement": _number(0.01, 40),
    "vip.extra": _line,
    "certificate.name": name,
    "certificate.certificate": _pem,
    "certificate.key": _pem,
    "certificate.chain": _pem,
    "authority.name": name,
    "authority.certificate": _pem,
    "statistics.address": _listen,
    "statistics.port": _port,
    "statistics.user": _user,
    "statistics.password": _line,
}
