"""Memory of whole programs: rows of 10,000 instruments in the order of time, in a bounded number of bytes."""
import os
import subprocess
import sys

import pytest
from kafka_kit import K2

STARTER = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
lines = 0
while chunk := child.stdout.read(1 << 20):
    lines += chunk.count(b"\\n")
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss, lines)
sys.exit(child.returncode)
"""
INSTRUMENTS, ROWS = 10_000, 600_000
CEILING_KIB = 64 << 10


def peak_kib(*arguments):
    """The most memory that the program had, mapped files included, and how much it said. A small program starts it: the kernel
    counts what the parent had before the program took its place, and tests have much."""
    done = subprocess.run([sys.executable, "-S", "-c", STARTER, K2, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (arguments, done.stderr)
    return tuple(map(int, done.stdout.split()))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    rows, path = str(folder / "rows.csv"), str(folder / "data")
    subprocess.run([K2, "simulate", "--rows", str(ROWS), "--symbols", str(INSTRUMENTS), "--seed", "3", "--to", rows], check=True, capture_output=True, timeout=120)
    subprocess.run([K2, "load", rows, "--table", "trades", "--data", path], check=True, capture_output=True, timeout=300)
    os.remove(rows)
    return path


@pytest.mark.parametrize("sorted_first", [False, True], ids=["as loaded", "compacted"])
def test_rows_in_order_of_time(store, sorted_first):
    if sorted_first:
        subprocess.run([K2, "compact", "--data", store], check=True, capture_output=True, timeout=300)
    idle, _ = peak_kib("snapshots", "--data", store)
    assert idle <= CEILING_KIB
    for options in ((), ("--order", "desc", "--fields", "symbol,price"), ("--as-of", "3")):
        peak, lines = peak_kib("query", "--table", "trades", "--data", store, "--format", "csv", *options)
        assert lines == ROWS + 1 or options[:1] == ("--as-of",)
        print(f"{options}: {lines} lines, {peak >> 10} MiB, idle {idle >> 10} MiB")
        assert peak <= idle + CEILING_KIB, (options, peak, idle)
    peak, lines = peak_kib("candles", "--interval", "1m", "--data", store, "--format", "csv")
    assert lines > 1 and peak <= idle + CEILING_KIB
