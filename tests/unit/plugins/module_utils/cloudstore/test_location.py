"""URLs of a CloudStore, and the places where a SQLite file would not last."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.location import ephemeral_reason, parse
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

MOUNTS = [
    ("/", "ext4"),
    ("/dev/shm", "tmpfs"),
    ("/mnt/nas", "nfs4"),
    ("/mnt/nas/disk", "xfs"),
    ("/over", "xfs"),
    ("/over", "overlay"),
]


@pytest.mark.parametrize(
    ("url", "dialect", "target", "shown"),
    [
        ("sqlite:////var/lib/a.db", "sqlite", "/var/lib/a.db", "sqlite:////var/lib/a.db"),
        ("sqlite:////var/lib/../a b.db", "sqlite", "/var/a b.db", "sqlite:////var/a b.db"),
        (
            "postgresql+psycopg://me:pw@h1:5432,h2:5433/db?sslmode=require",
            "postgresql",
            "postgresql://me:pw@h1:5432,h2:5433/db?sslmode=require",
            "postgresql+psycopg://me:***@h1:5432,h2:5433/db?sslmode=require",
        ),
        (
            "postgresql:///db?host=/run/pg&password=pw",
            "postgresql",
            "postgresql:///db?host=/run/pg&password=pw",
            "postgresql+psycopg:///db?host=/run/pg&password=***",
        ),
    ],
)
def test_urls(url, dialect, target, shown):
    location = parse(url)
    assert (location.dialect, location.target, location.shown) == (dialect, target, shown)


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        "cloudstore.db",
        "sqlite://",
        "sqlite:///relative.db",
        "sqlite:///:memory:",
        "sqlite:////folder/",
        "sqlite:////a.db?mode=memory",
        "sqlite://///a.db",
        "mysql://me:secret@h/db",
        "me:secret@h/db",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url):
    with pytest.raises(PhotonError) as caught:
        parse(url)
    assert caught.value.code == "CloudStoreUnavailable"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/var/lib/photon/a.db", None),
        ("/mnt/nas/disk/a.db", None),
        ("/mnt/nasty/a.db", None),
        ("/mnt/nas/a.db", "network file system (nfs4)"),
        ("/dev/shm/a.db", "tmpfs"),
        ("/over/a.db", "overlay"),
        ("/runner/project/a.db", "private copy"),
        ("/tmp/awx_1234_x7y/project/a.db", "private copy"),
    ],
)
def test_where_a_file_lasts(path, reason):
    found = ephemeral_reason(path, MOUNTS)
    assert found is None if reason is None else reason in found
