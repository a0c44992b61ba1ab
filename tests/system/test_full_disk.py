"""A disk that is full is a state: nothing is lost, reading goes on, and what waited goes in when there is room again."""
import json
import os
import subprocess
import urllib.request

import pytest
from kafka_kit import K2, KafkaBroker, Server, k2, produce, row_count, wait_for

HEADER = "exchange,symbol,timestamp,sequence,price,quantity\n"
MIB = 1 << 20


@pytest.fixture
def disk(tmp_path):
    """A small file system."""
    path = str(tmp_path / "disk")
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={16 * MIB}", "none", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small file system: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(disk):
    """Takes all the room that is left; gives the file to remove."""
    path = os.path.join(disk, "ballast")
    with open(path, "ab", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return path


def write_rows(path, numbers):
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEADER + "".join(f"TEST,S{i % 7},{1_700_000_000_000_000_000 + i * 1_000_003},{i},{i * 7919 % 100000}.{i % 89:02},{i % 17 + 1}\n" for i in numbers))
    return str(path)


def test_a_load_that_meets_a_full_disk_goes_on_where_it_was(disk, tmp_path):
    store, count = os.path.join(disk, "data"), 400_000
    rows = write_rows(tmp_path / "rows.csv", range(count))
    begun = write_rows(tmp_path / "begun.csv", range(1000))
    k2("load", begun, "--table", "trades", store=store)
    ballast = fill(disk)
    done = subprocess.run([K2, "load", rows, "--table", "trades", "--data", store, "--progress", "json"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 5, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("k2: "), done.stderr
    acknowledged = max((json.loads(line)["committed_rows"] for line in done.stderr.splitlines() if line.startswith("{")), default=0)
    there = row_count(store, "trades")
    assert there >= max(acknowledged, 1000) and there < count
    assert len(k2("query", "--table", "trades", "--format", "csv", store=store).stdout.splitlines()) == there + 1
    for command in (["tag", "now"], ["compact"], ["policy", "--table", "trades", "--history", "1d"]):  # done, or 5; never half
        done = subprocess.run([K2, *command, "--data", store], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 5), (command, done.stderr)
    os.remove(ballast)
    done = json.loads(k2("load", rows, "--table", "trades", "--format", "json", store=store).stdout)
    assert (done["rows_read"], done["rows_stored"], done["rows_duplicate"]) == (count, count - there, there)
    assert row_count(store, "trades") == count
    k2("check", "--deep", store=store)


def metric(server, name):
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith(name)]
    return {line[0]: float(line[1]) for line in lines}


def test_a_server_waits_for_room_and_goes_on(disk, tmp_path):
    broker = KafkaBroker(tmp_path / "kafka").start()
    server = None
    try:
        store, log = os.path.join(disk, "data"), tmp_path / "log"
        broker.create_topic("ticks", 2)
        registry = tmp_path / "schemas"
        first = produce(broker, "ticks", "trades", write_rows(tmp_path / "a.csv", range(5000)), registry=registry)
        server = Server(store, broker, {"ticks": "trades"}, registry, log).start()
        server.wait_settled(first)
        ballast = fill(disk)
        more = produce(broker, "ticks", "trades", write_rows(tmp_path / "b.csv", range(5000, 25000)), registry=registry)
        wait_for("a full disk", 60, lambda: server.ingest()["state"] == "full")
        health = server.health()
        assert "space" in json.dumps(health).lower()
        there = row_count(store, "trades")
        with urllib.request.urlopen(f"{server.url}/v1/trades?limit=3", timeout=10) as answer:
            assert json.load(answer)["pagination"]["has_more"] is True
        assert metric(server, "k2_")
        assert first <= there < first + more
        os.remove(ballast)
        server.wait_settled(first + more, 90)
        assert server.ingest()["state"] == "running"
        server.stop()
        server = None
        assert row_count(store, "trades") == first + more
        k2("check", "--deep", store=store)
    finally:
        if server is not None:
            server.kill()
        broker.stop()
