"""Who may do what, as a matrix: role x verb x own, sibling and foreign entity."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import authorization as rules
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError


def group(name: str, inherited: bool = False) -> dict:
    return {"name": name, "inherited": inherited}


def tree() -> dict[str, list[Document]]:
    """The chains of two tenants: acme with the projects web and db, umbrella with lab; groups as they are pushed."""
    top = r"photon\ESXCloudAdmins"
    deployment = Document(entities.DEPLOYMENT, "deployment", id="deployment", body={"security_groups": [top]})
    chains = {"platform": [deployment]}
    for tenant, projects in (("acme", ("web", "db")), ("umbrella", ("lab",))):
        above = [group(top, True), group(rf"photon\{tenant}-admins")]
        owner = Document(entities.TENANT, tenant, body={"security_groups": above})
        chains[tenant] = [deployment, owner]
        for project in projects:
            groups = [group(g["name"], True) for g in above] + [group(rf"photon\{project}-users")]
            chains[project] = [
                deployment,
                owner,
                Document(entities.PROJECT, project, owner.id, body={"security_groups": groups}),
            ]
    return chains


CHAINS = tree()
ROLES = {
    "system administrator": Actor("root", system_administrator=True),
    "deployment group": Actor("ann@photon", frozenset({r"photon\ESXCloudAdmins"})),
    "tenant administrator": Actor("bob@photon", frozenset({r"photon\acme-admins"})),
    "project user": Actor("cat@photon", frozenset({r"photon\web-users"})),
    "guest": Actor("dan@photon"),
}
# The roles that may, of (system administrator, deployment group, tenant administrator, project user, guest).
ADMIN, TENANT, PROJECT, ALL = "SD", "SDT", "SDTP", "SDTPG"
LETTERS = dict(zip("SDTPG", ROLES, strict=True))
# kind, verb -> who may on: own (acme/web), sibling (acme/db), foreign (umbrella/lab)
BELOW_PLATFORM = {
    (entities.TENANT, "list"): (ALL, ALL, ALL),
    (entities.TENANT, "read"): (TENANT, TENANT, ADMIN),
    (entities.TENANT, "create"): (ADMIN, ADMIN, ADMIN),
    (entities.TENANT, "delete"): (ADMIN, ADMIN, ADMIN),
    (entities.TENANT, "set_quota"): (ADMIN, ADMIN, ADMIN),
    (entities.TENANT, "set_security_groups"): (ADMIN, ADMIN, ADMIN),
    (entities.PROJECT, "list"): (TENANT, TENANT, ADMIN),
    (entities.PROJECT, "create"): (TENANT, TENANT, ADMIN),
    (entities.PROJECT, "delete"): (TENANT, TENANT, ADMIN),
    (entities.PROJECT, "set_quota"): (TENANT, TENANT, ADMIN),
    (entities.PROJECT, "set_security_groups"): (TENANT, TENANT, ADMIN),
    (entities.PROJECT, "read"): (PROJECT, TENANT, ADMIN),
    (entities.PROJECT, "update"): (PROJECT, TENANT, ADMIN),
    (entities.DISK, "list"): (PROJECT, TENANT, ADMIN),
    (entities.DISK, "read"): (PROJECT, TENANT, ADMIN),
    (entities.DISK, "create"): (PROJECT, TENANT, ADMIN),
    (entities.DISK, "update"): (PROJECT, TENANT, ADMIN),
    (entities.DISK, "delete"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "list"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "read"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "create"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "update"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "start"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "stop"): (PROJECT, TENANT, ADMIN),
    (entities.VM, "delete"): (PROJECT, TENANT, ADMIN),
    (entities.IMAGE, "read"): (ALL, ALL, ALL),
    (entities.IMAGE, "list"): (ALL, ALL, ALL),
    (entities.IMAGE, "create"): (PROJECT, TENANT, ADMIN),
    (entities.IMAGE, "delete"): (PROJECT, TENANT, ADMIN),
    (entities.IMAGE_COPY, "read"): (ALL, ALL, ALL),
    (entities.IMAGE_COPY, "list"): (ALL, ALL, ALL),
    (entities.IMAGE_COPY, "create"): (PROJECT, TENANT, ADMIN),
}
OF_THE_PLATFORM = {
    (entities.DEPLOYMENT, "info"): ALL,
    (entities.DEPLOYMENT, "read"): ADMIN,
    (entities.DEPLOYMENT, "set_security_groups"): ADMIN,
    (entities.FLAVOR, "list"): ALL,
    (entities.FLAVOR, "read"): ALL,
    (entities.FLAVOR, "create"): ADMIN,
    (entities.FLAVOR, "update"): ADMIN,
    (entities.FLAVOR, "delete"): ADMIN,
    (entities.IMAGE, "list"): ALL,
    (entities.IMAGE, "read"): ALL,
    (entities.IMAGE, "create"): ADMIN,
    (entities.IMAGE, "delete"): ADMIN,
    (entities.IMAGE_COPY, "list"): ALL,
    (entities.IMAGE_COPY, "read"): ALL,
    (entities.IMAGE_COPY, "delete"): ADMIN,
    ("task", "list"): ALL,
    ("task", "read"): ALL,
    **{
        (kind, verb): ADMIN
        for kind in (entities.ENDPOINT, entities.ZONE, entities.HOST, entities.DATASTORE)
        for verb in ("list", "read", "create", "update", "delete")
    },
}
MATRIX = [
    (kind, verb, where, may)
    for (kind, verb), row in BELOW_PLATFORM.items()
    for where, may in zip(("web", "db", "lab"), row, strict=True)
]
MATRIX += [(kind, verb, "platform", may) for (kind, verb), may in OF_THE_PLATFORM.items()]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("kind", "verb", "where", "may"), MATRIX)
def test_matrix(role: str, kind: str, verb: str, where: str, may: str) -> None:
    chain = CHAINS[where]
    if kind == entities.TENANT:
        chain = chain[:2]
    allowed = role in {LETTERS[letter] for letter in may}
    if allowed:
        rules.authorize(ROLES[role], verb, kind, *chain)
        return
    with pytest.raises(PhotonError) as caught:
        rules.authorize(ROLES[role], verb, kind, *chain)
    assert caught.value.code == "AccessForbidden"
    assert caught.value.http_status == 403
    assert "the system administrator" in caught.value.message
    assert ROLES[role].user in caught.value.message


def test_every_rule_is_in_the_matrix() -> None:
    tested = {(kind, verb) for kind, verb, _where, _may in MATRIX}
    kinds = {kind for kind, _verb in tested}
    assert {key for key in rules.RULES if key[1] != "*"} <= tested
    assert {kind for kind, _verb in rules.RULES} == kinds


def test_refusal_names_who_may() -> None:
    with pytest.raises(PhotonError, match="only the tenant's administrators and the system administrator may"):
        rules.authorize(ROLES["project user"], "create", entities.PROJECT, *CHAINS["web"][:2])


def test_user_name_counts_as_group() -> None:
    rules.authorize(Actor("web-users@photon"), "create", entities.VM, *CHAINS["web"])
    assert rules.group_of("eve@photon") == r"photon\eve"
    assert rules.group_of("eve") is None
    assert rules.group_of("@photon") is None


def test_groups_do_not_tell_cases_apart() -> None:
    rules.authorize(Actor("x@y", frozenset({r"PHOTON\Web-Users"})), "create", entities.VM, *CHAINS["web"])


def test_project_group_does_not_reach_its_tenant() -> None:
    with pytest.raises(PhotonError, match=r"may not read tenant"):
        rules.authorize(ROLES["project user"], "read", entities.TENANT, *CHAINS["web"])


def test_default_administrators() -> None:
    assert rules.default_administrators("photon.local") == r"photon.local\ESXCloudAdmins"


@pytest.mark.parametrize("text", ["acme", r"a\b\c", "\\b", "a\\", "", None, 7, "a/b", " \\b"])
def test_security_group_format(text: object) -> None:
    with pytest.raises(PhotonError) as caught:
        rules.check_group(text)
    assert caught.value.code == "InvalidSecurityGroupFormat"


def test_groups_come_down_and_are_kept_once() -> None:
    groups, already = rules.set_groups([r"d\own", r"D\Above"], [r"d\above"])
    assert groups == [group(r"d\above", True), group(r"d\own")]
    assert already == [r"D\Above"]


def test_setting_groups_replaces_own_ones_alone() -> None:
    first, _ = rules.set_groups([r"d\old"], [r"d\above"])
    body = {"security_groups": first}
    assert rules.group_names(body, own_only=True) == [r"d\old"]
    second, _ = rules.set_groups([r"d\new"], [r"d\above"])
    assert [g["name"] for g in second] == [r"d\above", r"d\new"]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("system administrator", ["web", "db", "lab"]),
        ("deployment group", ["web", "db", "lab"]),
        ("tenant administrator", ["web", "db"]),
        ("project user", ["web"]),
        ("guest", []),
    ],
)
def test_lists_show_what_may_be_read(role: str, names: list[str]) -> None:
    chains = [CHAINS["web"], CHAINS["db"], CHAINS["lab"]]
    assert [chain[-1].name for chain in rules.visible(ROLES[role], entities.PROJECT, chains)] == names


def test_tenant_list_is_filtered() -> None:
    chains = [CHAINS["acme"], CHAINS["umbrella"]]
    seen = rules.visible(ROLES["tenant administrator"], entities.TENANT, chains)
    assert [chain[-1].name for chain in seen] == ["acme"]
