"""`make demo` ends by itself, in under a minute, and shows both states of the late rows."""
import os
import re
import subprocess
import sys
import time

import iceberg_readers as readers

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
    # What it says that DuckDB and PyIceberg read it with; DuckDB's extension comes from the test's environment.
    query = re.search(r"LOAD iceberg; (SELECT .*?;)", done.stdout).group(1)
    (count, quantity), = readers.duck([query])[0]
    line = re.search(r'python3 -c "(.*)"', done.stdout).group(1)
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=60)
    assert int(found.stdout) == int(count) == after, found.stderr
    assert float(quantity) > 0
