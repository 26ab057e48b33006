"""Units, quota keys and names."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import names, quota, units
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.model.quota import Counter
from hypothesis import given
from hypothesis import strategies as some

GB = 1 << 30


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        (4, 4, "COUNT"),
        ("4", 4, "COUNT"),
        ("400 GB", 400 * GB, "GB"),
        ("1.5GB", 3 * GB // 2, "GB"),
        ("512mb", 512 << 20, "MB"),
        ("3 KB", 3072, "KB"),
        ("7 B", 7, "B"),
        ("8 COUNT", 8, "COUNT"),
        ("2 TB", 2048 * GB, "GB"),
        ("9007199254740993 B", 9007199254740993, "B"),
    ],
)
def test_quantities_are_whole_base_units(text: object, amount: int, unit: str) -> None:
    assert units.parse(text) == (amount, unit)


@pytest.mark.parametrize("text", [True, None, "", "GB", "4 XB", "0.5", "-3", "1e3", "0.3 B", [], "9223372036854775808"])
def test_not_a_quantity(text: object) -> None:
    with pytest.raises(PhotonError) as caught:
        units.parse(text)
    assert caught.value.code == "SpecInvalid"


@given(some.integers(0, units.MAXIMUM))
def test_amounts_survive(amount: int) -> None:
    assert units.parse(f"{amount} B") == (amount, "B")


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (400 * GB, "GB", "400 GB"),
        (3 * GB // 2, "MB", "1.5 GB"),
        (512, "B", "512 B"),
        (12, "COUNT", "12"),
        (25, "COST", "0.025"),
        (48000, "COST", "48"),
        (1536, "B", "1.5 KB"),
        (9765625 * GB, "B", "9765625 GB"),
    ],
)
def test_quantities_for_people(amount: int, unit: str, text: str) -> None:
    assert units.show(amount, unit) == text


@pytest.mark.parametrize(
    ("key", "text", "parsed"),
    [
        ("vm.count", 100, (100, "COUNT")),
        ("vm.memory", "400 GB", (400 * GB, "GB")),
        ("vm.cost", 0.025, (25, "COST")),
        ("vm.cost", "3 COUNT", (3000, "COST")),
        ("vm.flavor.core-100", 3, (3, "COUNT")),
        ("vm.potrzebie", "10 GB", (10 * GB, "GB")),
        ("ephemeral-disk.capacity", "4000 GB", (4000 * GB, "GB")),
        ("sdn.size", 256, (256, "COUNT")),
    ],
)
def test_quota_keys(key: str, text: object, parsed: tuple[int, str]) -> None:
    assert quota.parse(key, text) == parsed


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("vm.count", "4 GB"),
        ("vm.cpu", "2 KB"),
        ("vm.memory", 4),
        ("vm.memory", "4 COUNT"),
        ("vm.cost", "3 GB"),
        ("vm.cost", 0.0001),
        ("persistent-disk.capacity", 10),
        ("vm.potrzebie", "3 COST"),
        ("vm.flavor.x", 1.5),
    ],
)
def test_wrong_units(key: str, text: object) -> None:
    with pytest.raises(PhotonError) as caught:
        quota.parse(key, text)
    assert caught.value.code == "SpecInvalid"


def test_usage_may_equal_the_limit_and_not_pass_it() -> None:
    counters = {"vm.count": Counter(limit=2, usage=1)}
    quota.charge(counters, {"vm.count": (1, "COUNT")}, "project web")
    with pytest.raises(PhotonError) as caught:
        quota.charge(counters, {"vm.count": (1, "COUNT")}, "project web")
    assert caught.value.code == "QuotaError"
    assert caught.value.http_status == 400
    assert caught.value.message.startswith("Not enough quota")
    assert {k: caught.value.data[k] for k in ("key", "limit", "usage", "newUsage")} == {
        "key": "vm.count",
        "limit": 2,
        "usage": 2,
        "newUsage": 3,
    }
    assert counters["vm.count"].usage == 2


def test_keys_without_a_limit_are_counted_all_the_same() -> None:
    counters: dict[str, Counter] = {}
    quota.charge(counters, {"vm.cpu": (4, "COUNT")}, "project web")
    assert (counters["vm.cpu"].usage, counters["vm.cpu"].limit) == (4, None)


def test_all_keys_are_checked_before_any_is_charged() -> None:
    counters = {"a": Counter(limit=10), "b": Counter(limit=0)}
    with pytest.raises(PhotonError):
        quota.charge(counters, {"a": (5, "COUNT"), "b": (1, "COUNT")}, "project web")
    assert counters["a"].usage == 0


def test_usage_keeps_its_own_unit() -> None:
    counters = {"vm.memory": Counter(unit="MB", usage=512 << 20)}
    quota.charge(counters, {"vm.memory": (GB, "GB")}, "project web")
    assert (counters["vm.memory"].usage, counters["vm.memory"].unit) == (1536 << 20, "MB")


def test_what_was_charged_can_be_given_back() -> None:
    counters = {"vm.count": Counter(limit=2)}
    quota.charge(counters, {"vm.count": (2, "COUNT")}, "project web")
    quota.refund(counters, {"vm.count": (2, "COUNT")})
    assert counters["vm.count"].usage == 0


def test_who_is_beyond_a_limit_can_take_less() -> None:
    counters = {"vm.cpu": Counter(limit=10, usage=14)}
    quota.charge(counters, {"vm.cpu": (2, "COUNT")}, "project web", {"vm.cpu": (4, "COUNT"), "vm.cost": (0, "COST")})
    assert counters["vm.cpu"].usage == 12


def test_growth_beyond_a_limit_is_refused_and_changes_nothing() -> None:
    counters = {"vm.cpu": Counter(limit=10, usage=14)}
    with pytest.raises(PhotonError) as caught:
        quota.charge(counters, {"vm.cpu": (5, "COUNT")}, "project web", {"vm.cpu": (4, "COUNT")})
    assert (caught.value.data["usage"], caught.value.data["newUsage"]) == (14, 15)
    assert counters["vm.cpu"].usage == 14


def test_what_was_charged_before_is_charged_again_beyond_the_limit() -> None:
    counters = {"vm.cpu": Counter(limit=10, usage=13), "vm.cost": Counter(usage=1)}
    quota.refund(counters, {"vm.cpu": (1, "COUNT"), "vm.cost": (1, "COST")}, {"vm.cpu": (2, "COUNT")})
    assert {key: counter.usage for key, counter in counters.items()} == {"vm.cpu": 14, "vm.cost": 0}


@pytest.mark.parametrize("name", ["a", "Web-01", "a" * 63])
def test_good_names(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a_b", "a.b", "a" * 64, "a b", "a\n", None, 5, "ä"])
def test_bad_names(name: object) -> None:
    with pytest.raises(PhotonError) as caught:
        names.check(name)
    assert caught.value.code == "InvalidEntity"


def test_ranges() -> None:
    assert names.expand("esx[08:11].lab") == ["esx08.lab", "esx09.lab", "esx10.lab", "esx11.lab"]
    assert names.expand("r[1:2]n[1:2]") == ["r1n1", "r1n2", "r2n1", "r2n2"]
    assert names.expand("plain") == ["plain"]


@pytest.mark.parametrize("text", ["a[3:1]", "a[1:200000]"])
def test_bad_ranges(text: str) -> None:
    with pytest.raises(PhotonError, match="range"):
        names.expand(text)


def test_ranges_collapse_for_people() -> None:
    assert list(names.collapse(["web-01", "web-02", "web-03", "db", "web-05"])) == ["web-[01:03]", "db", "web-05"]
    assert list(names.collapse(["a9", "a10", "a11"])) == ["a[9:11]"]
    assert names.expand("a[9:11]") == ["a9", "a10", "a11"]


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (4 << 30, "GB", "4 GB"),
        (4 << 30, "MB", "4 GB"),
        ((4 << 30) + (1 << 20), "GB", "4097 MB"),
        ((4 << 30) + 1, "GB", "4294967297 B"),
        (0, "GB", "0 B"),
        (7, "COUNT", "7"),
        (1500, "COST", "1.5"),
    ],
)
def test_exact_amounts_are_never_rounded(amount: int, unit: str, text: str) -> None:
    assert units.exact(amount, unit) == text
