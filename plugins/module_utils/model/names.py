# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of entities, and ranges such as ``web-[01:20]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .errors import PhotonError

PATTERN = re.compile(r"^[a-zA-Z][a-zA-Z0-9-]{0,62}$")  # the original's rule for every Named entity
_RANGE = re.compile(r"\[(?P<first>\d+):(?P<last>\d+)\]")
LARGEST_RANGE = 100_000


def check(name: object, what: str = "name") -> str:
    """Return ``name`` or raise InvalidEntity: a letter, then letters, digits and dashes, 63 at most."""
    if isinstance(name, (bool, int, float)):
        example = "'no', not no" if isinstance(name, bool) else f"'{name}', not {name}"
        raise PhotonError("InvalidEntity", f"{name!r} is not text in YAML: put the {what} in quotes ({example})")
    if not isinstance(name, str) or not PATTERN.fullmatch(name):
        raise PhotonError(
            "InvalidEntity",
            f"{name!r} is not a valid {what}: it must start with a letter and have up to 63 letters, digits and dashes",
        )
    return name


def check_address(address: str, port_key: str = "port") -> str:
    """Return ``address`` or raise InvalidEntity: the bare host name or IP address of an endpoint.

    ``port_key`` is what the message calls the setting that takes the port.
    """
    host, _, port = address.partition(":")
    if "/" in address or (port.isdigit() and host and host[0] != "["):
        bare = re.sub(r"^[a-zA-Z]+://", "", address).partition("/")[0]
        bare, _, port = bare.partition(":") if bare.count(":") == 1 else (bare, "", "")
        advice = f"{bare} and {port_key} {port}" if port else bare
        raise PhotonError(
            "InvalidEntity", f"{address!r} is not a host name or an IP address: write {advice or 'the host name'}"
        )
    return address


def expand(text: str) -> list[str]:
    """``"esx[01:04].lab"`` -> ``["esx01.lab", ... "esx04.lab"]``; several ranges multiply; no range: ``[text]``.

    Leading zeros of the first bound give the width. Raises SpecInvalid for an empty or oversized range.
    """
    match = _RANGE.search(text)
    if not match:
        return [text]
    first, last = int(match["first"]), int(match["last"])
    if last < first:
        raise PhotonError("SpecInvalid", f"the range {match[0]} in {text!r} is empty: write the lower bound first")
    if last - first >= LARGEST_RANGE:
        raise PhotonError("SpecInvalid", f"the range {match[0]} in {text!r} has more than {LARGEST_RANGE} members")
    width = len(match["first"])
    head, tails = text[: match.start()], expand(text[match.end() :])
    return [f"{head}{number:0{width}d}{tail}" for number in range(first, last + 1) for tail in tails]


def collapse(names: Iterable[str]) -> Iterator[str]:
    """The short form for people: neighbours with one running number become a range (``web-[01:20]``)."""
    run: tuple[str, str, str, int] | None = None
    for name in names:
        match = re.search(r"(\d+)(\D*)$", name)
        if match is not None and run is not None:
            head, tail, first, last = run  # pylint: disable=unpacking-non-sequence
            number = int(match[1])
            same = (name[: match.start()], match[2]) == (head, tail)
            if same and number == last + 1 and match[1] == f"{number:0{len(first)}d}":
                run = (head, tail, first, number)
                continue
        if run:
            yield _show(run)
        run = (name[: match.start()], match[2], match[1], int(match[1])) if match else None
        if not match:
            yield name
    if run:
        yield _show(run)


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many more there are: ``a, b and 3 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _show(run: tuple[str, str, str, int]) -> str:
    head, tail, first, last = run
    if int(first) == last:
        return f"{head}{first}{tail}"
    return f"{head}[{first}:{last:0{len(first)}d}]{tail}"
