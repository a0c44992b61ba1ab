"""Every command of the README works as written, in the order in which it stands there."""
import os
import re
import signal
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        found = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.M | re.S)
    return [block for block in found if not re.search(r"^(git clone|make (demo|test))\b", block, re.M)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that looks like the checkout, so that what the commands write lands beside it."""
    home = tmp_path_factory.mktemp("checkout")
    for name in os.listdir(ROOT):
        if name not in ("k2-data", ".git"):
            os.symlink(os.path.join(ROOT, name), home / name)
    return home


def test_the_readme_shows_commands():
    assert len(blocks()) >= 5


def test_every_block_works(checkout):
    """One shell for all blocks, for later ones use what earlier ones made."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("K2_")}
    script = "set -eu\n" + "\n".join(
        f"echo '## block {number}' >&2\n{block}" for number, block in enumerate(blocks(), 1))
    shell = subprocess.Popen(["bash", "-c", script], cwd=checkout, env=environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = shell.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        out, err = shell.communicate()
    finally:  # a server that a failed block left behind
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert shell.returncode == 0, out[-2000:] + err[-4000:]
