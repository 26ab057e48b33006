"""The picture of a terminal: what is on the screen in the end, as SVG that fetches nothing."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ET

CAPTURE = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "capture"


def capture(tmp_path, *arguments, code=0):
    output = tmp_path / "picture.svg"
    done = subprocess.run(
        [sys.executable, CAPTURE, "--output", output, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return output.read_text(encoding="utf-8"), done.stdout


def words(picture):
    return "\n".join(
        "".join(node.itertext()) for node in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    )


def test_a_command_runs_on_a_terminal_and_keeps_its_colours(tmp_path):
    command = "test -t 1 && printf '\\033[31mred\\033[0m plain\\n'"
    picture, printed = capture(tmp_path, "--title", "a title", "--", "sh", "-c", command)
    assert {"a\u00a0title", "red", "\u00a0plain"} <= set(words(picture).split("\n"))
    assert "red" in printed


def test_a_line_that_is_overwritten_is_gone(tmp_path):
    picture, _printed = capture(tmp_path, "--", "printf", "10 %%\\r100 %%\\ndone\\n")
    assert "100" in words(picture)
    assert "10\u00a0%" not in words(picture).split("\n")


def test_only_the_end_is_kept(tmp_path):
    picture, _printed = capture(tmp_path, "--title", "end", "--tail", "2", "--", "printf", "one\\ntwo\\nthree\\n")
    assert "two" in words(picture)
    assert "three" in words(picture)
    assert "one" not in words(picture)


def test_nothing_is_fetched(tmp_path):
    picture, _printed = capture(tmp_path, "--", "echo", "x")
    assert "@font-face" not in picture
    assert "url(http" not in picture


def test_the_exit_code_is_the_commands(tmp_path):
    capture(tmp_path, "--", "sh", "-c", "exit 7", code=7)
