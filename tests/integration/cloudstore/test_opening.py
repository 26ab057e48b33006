"""Opening: what each mode makes or leaves alone, versions of the schema, places where a file would be lost."""

from __future__ import annotations

import hashlib
import os
import pathlib
import sqlite3
import subprocess
import sys
import uuid

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import migrations, open_store
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError


def refused(work, *args, **options):
    with pytest.raises(PhotonError) as caught:
        work(*args, **options)
    return caught.value


def everything(store):
    """Every row of every table."""

    def read(connection):
        return {
            table.name: sorted(map(tuple, connection.execute(table.select())))
            for table in tables().metadata.sorted_tables
        }

    return store.database.read(read)


def set_version(store, version):
    def work(connection, _now):
        connection.execute(
            tables().meta.update().where(tables().meta.c.key == "schema_version").values(value=str(version))
        )

    store.database.write(work)


def test_a_reader_finds_nothing_and_makes_nothing(cloudstore_url, open_again, tmp_path):
    reader = open_again("read")
    assert not reader.exists
    snapshot = reader.snapshot()
    assert (snapshot.documents, snapshot.counters(), snapshot.open_tasks) == ([], {}, [])
    assert (reader.tombstones(), reader.history("x"), snapshot.held) == ([], [], {})
    assert reader.store_id is None
    assert cloudstore_url.rpartition("/")[2] in reader.location
    assert reader.digest("secret") == reader.digest("secret")
    assert refused(reader.run, lambda tx: None).code in ("InternalError", "CloudStoreNotFound")
    assert refused(reader.begin_run).code == "CloudStoreNotFound"
    assert list(tmp_path.iterdir()) == []
    assert not open_again("read").exists
    assert refused(open_again, "upgrade").code == "CloudStoreNotFound"


def test_a_reader_changes_no_row_and_no_file(store, open_again, tmp_path):
    store.run(lambda tx: tx.insert([Document("zone", "a")]))
    before = everything(store)
    store.close()
    files = contents(tmp_path)
    reader = open_again("read")
    assert [d.name for d in reader.snapshot().documents] == ["a"]
    assert refused(reader.run, lambda tx: None).code == "InternalError"
    assert everything(reader) == before
    reader.close()
    assert contents(tmp_path) == files


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_reader_sees_what_a_writer_that_is_still_open_wrote(store, open_again):
    reader = open_again("read")
    for name in ("a", "b", "c"):
        store.run(lambda tx, name=name: tx.insert([Document("zone", name)]))
        assert name in {d.name for d in reader.snapshot().documents}


def test_a_second_opening_finds_the_same_store(store, open_again):
    assert uuid.UUID(store.store_id).version == 4
    assert open_again("read").store_id == store.store_id
    assert store.digest({"a": 1, "b": 2}) == open_again("read").digest({"b": 2, "a": 1})
    assert store.digest("x") != store.digest("y")


def test_a_newer_schema_is_refused_by_every_mode(store, open_again):
    set_version(store, migrations.VERSION + 1)
    before = everything(store)
    for mode in ("read", "write", "upgrade"):
        error = refused(open_again, mode)
        assert error.code == "SchemaTooNew"
        assert error.data == {"found": migrations.VERSION + 1, "supported": migrations.VERSION}
        assert "ansible-galaxy" in error.message
    assert everything(store) == before


def test_an_older_schema_is_refused_until_it_is_upgraded(store, open_again, monkeypatch):
    store.run(lambda tx: tx.insert([Document("zone", "a")]))

    def next_one(connection):
        connection.execute(tables().documents.update().values(state="ERROR"))

    def the_one_after(connection):
        connection.execute(tables().documents.update().values(managed_by="later"))

    now = migrations.VERSION
    monkeypatch.setattr(migrations, "VERSION", now + 2)
    monkeypatch.setattr(migrations, "UPGRADES", {now + 1: next_one, now + 2: the_one_after})
    for mode in ("read", "write"):
        error = refused(open_again, mode)
        assert (error.code, error.data) == ("SchemaTooOld", {"found": now, "supported": now + 2})
        assert "photon.platform.cloudstore" in error.message
    assert store.snapshot().documents[0].state == "READY"
    assert open_again("upgrade").schema_version == now + 2
    [document] = open_again("write").snapshot().documents
    assert (document.state, document.managed_by) == ("ERROR", "later")
    assert open_again("upgrade").schema_version == now + 2


def test_an_upgrade_that_fails_leaves_the_old_version_whole(store, open_again, monkeypatch):
    store.run(lambda tx: tx.insert([Document("zone", "a")]))
    before = everything(store)

    def broken(connection):
        connection.execute(tables().documents.delete())
        connection.exec_driver_sql("CREATE TABLE half (a integer)")
        raise PhotonError("InternalError", "no")

    now = migrations.VERSION
    monkeypatch.setattr(migrations, "VERSION", now + 1)
    monkeypatch.setattr(migrations, "UPGRADES", {now + 1: broken})
    assert refused(open_again, "upgrade").code == "InternalError"
    assert everything(store) == before


def test_a_database_of_something_else_is_left_alone(cloudstore_url, open_again, request):
    if cloudstore_url.startswith("sqlite"):
        with sqlite3.connect(cloudstore_url.removeprefix("sqlite:///")) as connection:
            connection.execute("CREATE TABLE books (title text)")
        connection.close()
    else:
        server = request.getfixturevalue("postgresql_server")
        server.execute("CREATE TABLE books (title text)", cloudstore_url.rpartition("/")[2])
    for mode in ("read", "write"):
        error = refused(open_again, mode)
        assert error.code == "CloudStoreUnavailable"
        assert "books" in error.message


def test_the_first_writers_all_get_the_same_store(cloudstore_url, pytestconfig):
    code = (
        "import sys; from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store; "
        "sys.stdin.read(); print(open_store(sys.argv[1], mode='write', allow_ephemeral=True).digest('x'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "collections")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, cloudstore_url],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        process.stdin.close()
    answers = {process.stdout.read().strip() for process in processes}
    for process in processes:
        process.stdout.close()
        assert process.wait() == 0
    assert len(answers) == 1
    assert answers != {""}


def test_a_file_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "new"
    with open_store(f"sqlite:///{folder}/store.db", mode="write", allow_ephemeral=True) as store:
        store.run(lambda tx: tx.insert([Document("zone", "a")]))
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_where_it_would_be_lost_is_refused(tmp_path):
    path = tmp_path / "awx_7_abcdef" / "store.db"
    for mode in ("read", "write", "upgrade"):
        assert refused(open_store, f"sqlite:///{path}", mode=mode).code == "EphemeralCloudStore"
    assert list(tmp_path.iterdir()) == []
    assert not open_store(f"sqlite:///{path}", allow_ephemeral=True).exists


def test_a_file_that_is_not_a_database_is_reported_in_one_line(tmp_path):
    path = tmp_path / "store.db"
    path.write_text("this is no database, but it is long enough to be read as if it were one" * 20)
    for mode in ("read", "write"):
        error = refused(open_store, f"sqlite:///{path}", mode=mode, allow_ephemeral=True)
        assert error.code == "CloudStoreUnavailable"
        assert "not a database" in error.message
        assert "\n" not in error.message
    assert (
        refused(open_store, f"sqlite:///{tmp_path}/a/b/c.db", mode="write", allow_ephemeral=True).code
        == "CloudStoreUnavailable"
    )
    assert (
        refused(open_store, f"sqlite:///{tmp_path}", mode="write", allow_ephemeral=True).code == "CloudStoreUnavailable"
    )


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_removed_or_replaced_in_use_is_lost(tmp_path, replace):
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}", mode="write", allow_ephemeral=True) as store:
        run = store.begin_run()
        store.run(lambda tx: tx.insert([Document("zone", "a")]))
        path.unlink()
        if replace:
            open_store(f"sqlite:///{path}", mode="write", allow_ephemeral=True).close()
        for work in (lambda: store.run(lambda tx: tx.insert([Document("zone", "b")])), run.renew, run.check, run.end):
            error = refused(work)
            assert (error.code, error.data) == ("CloudStoreLost", {"file": str(path)})
            assert "restore a backup" in error.message
            assert "photon_cloudstore_new: true" in error.message
    assert path.exists() == replace  # no connection created an empty file
    if replace:
        with open_store(f"sqlite:///{path}", allow_ephemeral=True) as other:
            assert other.snapshot().documents == []


def test_a_file_that_is_lost_during_a_transaction_is_noticed_at_its_end(tmp_path):
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}", mode="write", allow_ephemeral=True) as store:
        error = refused(store.run, lambda tx: (tx.insert([Document("zone", "a")]), path.unlink()))
        assert error.code == "CloudStoreLost"


def test_the_heartbeat_notices_a_lost_file(tmp_path):
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}", mode="write", allow_ephemeral=True) as store:
        run = store.begin_run(ttl=1.5)
        path.unlink()
        run._thread.join(60)
        assert refused(run.check).code == "CloudStoreLost"
    assert not path.exists()


def test_a_server_that_is_not_there(monkeypatch):
    from ansible_collections.photon.platform.plugins.module_utils.cloudstore import database

    monkeypatch.setattr(database, "PATIENCE_FOR_SERVER", 0.2)
    error = refused(open_store, "postgresql+psycopg://me:secret@127.0.0.1:1/photon")
    assert error.code == "CloudStoreUnavailable"
    assert "secret" not in error.message


def test_opening_is_what_imports_the_libraries():
    root = pathlib.Path(__file__).resolve().parents[3]
    code = (
        "import sys; import ansible_collections.photon.platform.plugins.module_utils.cloudstore; "
        "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'psycopg')))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root / "collections")}, check=False
        ).returncode
        == 0
    )
