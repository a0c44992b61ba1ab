"""`make demo` ends by itself, in under a minute, and shows both states of the late rows."""
import os
import re
import subprocess
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def test_demo():
    subprocess.run(["make", "-s", "build/k2"], cwd=ROOT, check=True, timeout=600)
    began = time.monotonic()
    done = subprocess.run(["make", "-s", "demo"], cwd=ROOT, timeout=240, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert time.monotonic() - began < 60
    before, after = map(int, re.search(r"(\d+) rows then, (\d+) rows now", done.stdout).groups())
    assert 0 < before < after
    assert "What to try next" in done.stdout
