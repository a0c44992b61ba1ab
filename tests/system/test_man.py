"""The manual pages: they format without a warning, and name every command, function and status there is."""
import os
import re
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("page", ["tools/k2.1", "engine/libk2.3"])
def test_pages_format_without_a_warning(page):
    done = subprocess.run(["groff", "-mandoc", "-ww", "-Tutf8", page], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    printed = re.sub(rb"\x1b\[[0-9;]*m|.\x08", b"", done.stdout)
    assert all(name in printed for name in (b"NAME", b"SYNOPSIS", b"DESCRIPTION", b"SEE ALSO"))
    assert max(map(len, text_of(page).splitlines())) <= 100


def test_every_command_is_in_k2_1():
    told = subprocess.run([f"{ROOT}/build/k2", "--help"], capture_output=True, text=True, timeout=60).stdout
    commands = re.findall(r"^  ([a-z]+) ", told[told.index("commands:"):], re.M)
    assert len(commands) > 15
    page = re.findall(r"^\.It Cm ([a-z]+)$", text_of("tools/k2.1"), re.M)
    assert sorted(page) == sorted(commands), "tools/k2.1 lists other commands than k2 --help"


def test_every_function_and_status_is_in_libk2_3():
    page = text_of("engine/libk2.3")
    exported = set(re.findall(r"^    (k2_\w+);", text_of("engine/k2.map"), re.M))
    assert set(re.findall(r"\bk2_[a-z]+_\w+|k2_version", " ".join(re.findall(r"^\.It Fn (.*)$", page, re.M)))) == exported, \
        "engine/libk2.3 lists other functions than engine/k2.map"
    statuses = set(re.findall(r"^    (K2_[A-Z_]+)(?: = 0)?,", text_of("format/base/status.h"), re.M))
    assert statuses == set(re.findall(r"^\.It Dv (K2_[A-Z_]+)$", page, re.M))


def test_they_are_installed(tmp_path):
    done = subprocess.run(["make", "-s", "install", f"PREFIX={tmp_path}"], cwd=ROOT, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr
    for page in ("man1/k2.1", "man3/libk2.3"):
        assert os.path.getsize(f"{tmp_path}/share/man/{page}") > 1000
