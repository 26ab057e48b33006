"""The items of single-kind modules, the schema as data, and what comes of trees at random."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.model import declaration as declared
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import check_items, validate
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.support import declaration_tables
from tests.support.declarations import SITE

# -- the items of a single-kind module ------------------------------------------------------------------------------


def test_module_items_leave_out_what_stays() -> None:
    item = check_items("vm", [{"name": "web-[1:2]", "state": "stopped"}], scope={"tenant": "acme", "project": "web"})[1]
    assert (item["name"], item["tenant"], item["path"]) == ("web-2", "acme", "vms[0]")
    assert (item["flavor"], item["tags"]) == (None, None)


def test_module_items_may_be_filled_up() -> None:
    host = check_items("host", [{"name": "h", "state": "maintenance"}])[0]
    assert host["usage_tags"] is None
    assert declared.with_initial("host", host)["usage_tags"] == ["CLOUD"]


def test_module_arguments_that_are_none_are_not_given() -> None:
    assert check_items("zone", [{"name": "a", "dedicated_tenants": None, "state": None}])[0]["state"] == "present"


@pytest.mark.parametrize(
    ("kind", "item", "path", "code"),
    [
        ("vm", {"name": "9"}, "vms[0].name", "InvalidEntity"),
        ("vm", {"nam": "a"}, "vms[0].nam", "SpecInvalid"),
        ("flavor", {"name": "a", "kind": "vm", "cost": {"vm.cpu": 1}}, "flavors[0].cost", "InvalidFlavorSpecification"),
        ("project", {"name": "a", "quota": {}, "quota_percent": 3}, "projects[0].quota_percent", "SpecInvalid"),
        ("project", {"name": "a", "vms": []}, "projects[0].vms", "SpecInvalid"),
        ("tenant", {"name": "a", "projects": []}, "tenants[0].projects", "SpecInvalid"),
    ],
)
def test_module_items_with_mistakes(kind: str, item: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(PhotonError) as caught:
        check_items(kind, [item])
    assert code in {row["code"] for row in caught.value.data["mistakes"] if row["path"] == path}


def test_module_items_with_the_name_of_their_argument() -> None:
    with pytest.raises(PhotonError, match=r"requests\[1\]\.name"):
        check_items("vm", [{"name": "a"}, {"name": "a"}], root="requests")


# -- the tables as data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", declared.ITEMS)
def test_the_tables_make_argument_specs(kind: str) -> None:
    spec = declared.argument_spec(declared.ITEMS[kind])
    table = declared.ITEMS[kind]
    assert set(spec) == set(table)
    for key, row in spec.items():
        assert row["type"] in {"str", "bool", "int", "float", "dict", "list"}, key
        assert ("elements" in row) == (row["type"] == "list")
        assert table[key].description


def test_every_choice_can_be_chosen() -> None:
    def walk(schema: dict[str, Any]) -> None:
        for key, spec in schema.items():
            if spec.default is not None and spec.choices:
                assert spec.default in spec.choices, key
            if spec.options:
                walk(spec.options)

    walk(declared.SITE)


@pytest.mark.parametrize("name", declaration_tables.TABLES)
def test_the_page_has_the_table(name: str) -> None:
    text = declaration_tables.PAGE.read_text(encoding="utf-8")
    assert declaration_tables.table(name) in text, "run python -m tests.support.declaration_tables"


def test_the_pages_example_is_valid() -> None:
    text = declaration_tables.PAGE.read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    assert len(validate(yaml.safe_load(example)).vms) == 20


# -- whatever is written ----------------------------------------------------------------------------------------------

KEYS = sorted({key for schema in (declared.SITE, *declared.ITEMS.values()) for key in schema})
JUNK = some.sampled_from(
    [
        None,
        0,
        -1,
        3.5,
        True,
        "",
        "x",
        "web-[1:2]",
        "4 GB",
        [],
        {},
        [None],
        [[]],
        [{}],
        ["a", "a"],
        {"a": 1},
        {1: 2},
        "a\\b",
        "absent",
        10**30,
        float("nan"),
        float("inf"),
        "[1:2]",
        b"x",
        {"vm.cpu": 1, "vm.memory": "1 GB"},
    ]
)


def places(node: Any) -> Iterator[Any]:
    """Every mapping and list of a tree."""
    if isinstance(node, (dict, list)):
        yield node
        for child in node.values() if isinstance(node, dict) else node:
            yield from places(child)


@settings(max_examples=300, deadline=None)
@given(data=some.data())
def test_nothing_but_mistakes_comes_of_a_bad_tree(data: some.DataObject) -> None:
    tree = yaml.safe_load(SITE)
    for _ in range(data.draw(some.integers(1, 4))):
        node = data.draw(some.sampled_from([place for place in places(tree) if place]))
        known = sorted(node) if isinstance(node, dict) and not any(isinstance(key, int) for key in node) else []
        key = data.draw(some.sampled_from(known + KEYS)) if isinstance(node, dict) else 0
        node[key] = copy.deepcopy(data.draw(JUNK))
    refused: PhotonError | None = None
    try:
        validate(tree)
    except PhotonError as error:  # anything else fails the test
        refused = error
    assert refused is None or (refused.code == "SpecInvalid" and refused.data["mistakes"])
