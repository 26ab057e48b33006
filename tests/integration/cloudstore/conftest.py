"""Every test of this folder runs on both databases: a SQLite file and a PostgreSQL server of the test's own."""

from __future__ import annotations

import uuid

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

from tests.support import postgresql


@pytest.fixture(scope="session")
def postgresql_server():
    reason = postgresql.missing()
    if reason:
        pytest.skip(f"CANNOT TEST POSTGRESQL: {reason}")
    with postgresql.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def cloudstore_url(request, tmp_path):
    """The URL of a CloudStore that does not exist yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/cloudstore.db"
        return
    server = request.getfixturevalue("postgresql_server")
    name = f"test-{uuid.uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def open_again(cloudstore_url):
    """`open_again(mode="write", **options)`: one more opening of the same CloudStore; all are closed at the end."""
    stores = []

    def opened(mode="write", **options):
        stores.append(open_store(cloudstore_url, mode=mode, allow_ephemeral=True, **options))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(open_again):
    """A new CloudStore, open for writing by the user "tester"."""
    return open_again(by="tester")
