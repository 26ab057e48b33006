"""Whether the process behind a lease still lives, and digests."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import library, process
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.store import digest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError


def test_this_process_lives():
    assert not process.is_dead(process.own())


def test_an_ended_process_is_dead_even_before_it_is_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    here, _pid, _started = process.own().rsplit("/", 2)
    name = f"{here}/{child.pid}/{process._started(child.pid)}"
    assert not process.is_dead(name)
    child.kill()
    child.stdin.close()
    child.wait()
    assert process.is_dead(name)


def test_another_process_with_the_same_number_is_not_the_same():
    here, pid, started = process.own().rsplit("/", 2)
    assert process.is_dead(f"{here}/{pid}/{int(started) - 1}")


@pytest.mark.parametrize("name", ["another-boot/pid:[1]/1/2", "", "nonsense"])
def test_of_another_machine_nothing_is_known(name):
    assert not process.is_dead(name)


def test_a_digest_depends_on_key_and_value_but_not_on_order():
    assert digest(b"k", {"a": 1, "b": [2]}) == digest(b"k", {"b": [2], "a": 1})
    assert len({digest(b"k", "x"), digest(b"l", "x"), digest(b"k", "y"), digest(b"k", ["x"])}) == 4


def test_a_missing_library_is_named_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PhotonError) as caught:
        library.load("psycopg")
    assert caught.value.code == "MissingLibrary"
    assert f"{sys.executable} -m pip install 'psycopg[binary]>=3.1.18'" in caught.value.message
