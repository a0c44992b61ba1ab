"""Real ticks through a real broker, with everything on the way killed."""
import json
import os
import random
import struct
import subprocess
import threading
import time

import pytest

from kafka_kit import (DATA, K2, ROOT, KafkaBroker, Registry, Server, csv, k2, produce, row_count, wait_for)

MAPS = os.path.join(ROOT, "tools", "maps")
HEADER = "exchange,symbol,timestamp,sequence,price,quantity\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    subprocess.run(["make", "-s", "build/k2"], cwd=ROOT, check=True, timeout=600)
    made = KafkaBroker(tmp_path_factory.mktemp("kafka")).start()
    yield made
    made.stop()


@pytest.fixture
def topic(broker):
    """Makes topics that no other test has."""
    def make(partitions):
        name = f"t{time.monotonic_ns()}"
        broker.create_topic(name, partitions)
        return name
    return make


def real_files(pattern):
    if not os.path.isdir(DATA):
        pytest.skip("../shared/data is not there")
    return [os.path.join(DATA, each) for each in pattern]


ASX = ["asx/{}/7078.csv", "asx/{}/7181.csv", "asx/{}/3153.csv"]
LEAN = "lean/equity/usa/tick/{}/{}.zip"
REAL = {
    "asx_trades": ("trades", "asx-trades", [each.format("trades") for each in ASX]),
    "asx_quotes": ("quotes", "asx-quotes", [each.format("quotes") for each in ASX]),
    "lean_trades": ("trades", "lean-equity-trades",
                    [LEAN.format(symbol, f"{day}_trade") for symbol in ("bac", "ibm", "aig")
                     for day in ("20131007", "20131008")]),
    "lean_quotes": ("quotes", "lean-equity-quotes", [LEAN.format("ibm", "20131007_quote")]),
}


def row_lines(numbers):
    """Trades made here: all of each follows from its number."""
    return "".join(f"TEST,S{i % 11},{1_700_000_000_000_000_000 + i * 1_000_003},{i},"
                   f"{i % 1000}.{i % 89:02},{i % 17 + 1}\n" for i in numbers)


def write_rows(path, numbers):
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEADER + row_lines(numbers))
    return path


def loaded_csv(tmp_path, table, files, options=()):
    store = tmp_path / "loaded"
    k2("load", *files, "--table", table, *options, store=store, timeout=300)
    return csv(store, table)


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_the_same_as_loaded(broker, topic, tmp_path, name):
    table, layout, paths = REAL[name]
    files = real_files(paths)
    options = ("--map", os.path.join(MAPS, layout + ".map"))
    market = topic(4)
    sent = produce(broker, market, table, *files, registry=tmp_path / "schemas", options=options)
    server = Server(tmp_path / "store", broker, {market: table}, tmp_path / "schemas",
                    tmp_path / "serve.log").start()
    server.wait_settled(sent, 120)
    figures = server.ingest()
    server.stop()
    assert (figures["rows"], figures["duplicates"], figures["rejected"]) == (sent, 0, 0)
    assert csv(tmp_path / "store", table) == loaded_csv(tmp_path, table, files, options)


def test_a_registry_by_url(broker, topic, tmp_path):
    registry = Registry(tmp_path)
    try:
        market = topic(2)
        rows = write_rows(tmp_path / "rows.csv", range(2000))
        more = write_rows(tmp_path / "more.csv", range(2000, 2500))
        produce(broker, market, "trades", rows, registry=registry.url)
        server = Server(tmp_path / "store", broker, {market: "trades"}, registry.url,
                        tmp_path / "serve.log").start()
        server.wait_settled(2000)
        server.stop()
        produce(broker, market, "trades", more, registry=registry.url)
    finally:
        registry.stop()
    server.start()  # the schema is kept in the store
    server.wait_settled(500)
    server.stop()
    assert csv(tmp_path / "store", "trades") == loaded_csv(tmp_path, "trades", [rows, more])


class Trickle:
    """`k2 produce -` that is given rows for as long as the test wants, kept in `path` too."""

    def __init__(self, broker, market, registry, path):
        self.count, self.path, self.ending = 0, path, threading.Event()
        self.child = subprocess.Popen(
            [K2, "produce", "-", "--kafka", broker.address, "--topic", market, "--table", "trades",
             "--schema-registry", str(registry)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self):
        with open(self.path, "wb") as file:
            file.write(HEADER.encode())
            self.child.stdin.write(HEADER.encode())
            while not self.ending.is_set():
                rows = row_lines(range(self.count, self.count + 1000)).encode()
                file.write(rows)
                self.child.stdin.write(rows)
                self.child.stdin.flush()
                self.count += 1000
                time.sleep(0.05)
        self.child.stdin.close()

    def end(self):
        self.ending.set()
        self.thread.join()
        assert self.child.wait(120) == 0
        return self.count


def test_killed_fifty_times(broker, topic, tmp_path):
    seed = int(os.environ.get("K2_TEST_SEED", "1"))
    chance = random.Random(seed)
    market = topic(3)
    store, rows = tmp_path / "store", tmp_path / "rows.csv"
    trickle = Trickle(broker, market, tmp_path / "schemas", rows)
    server = Server(store, broker, {market: "trades"}, tmp_path / "schemas", tmp_path / "serve.log")
    grew, before = 0, 0
    for turn in range(50):
        server.start()
        time.sleep(0.05 + chance.random() * 0.5)
        server.kill()
        now = row_count(store, "trades")
        grew += now > before
        before = now
    count = trickle.end()
    print(f"seed {seed}: {count} rows, {grew} of 50 lives stored some")
    assert grew >= 20
    server.start()
    wait_for("all rows", 120, lambda: row_count(store, "trades") >= count)
    wait_for("no lag", 30, lambda: server.ingest()["lag"] == 0)
    server.stop()
    assert csv(store, "trades") == loaded_csv(tmp_path, "trades", [rows])
    counters = json.loads(k2("stats", "--format", "json", store=store).stdout)["tables"]["trades"]
    assert counters["rows"] == count and counters.get("duplicates", 0) == 0
    k2("check", store=store)


def test_the_broker_dies_and_comes_back(tmp_path, tmp_path_factory):
    broker = KafkaBroker(tmp_path_factory.mktemp("dying")).start()
    try:
        broker.create_topic("market", 2)
        first = write_rows(tmp_path / "first.csv", range(5000))
        second = write_rows(tmp_path / "second.csv", range(5000, 9000))
        produce(broker, "market", "trades", first, registry=tmp_path / "schemas")
        server = Server(tmp_path / "store", broker, {"market": "trades"}, tmp_path / "schemas",
                        tmp_path / "serve.log").start()
        server.wait_settled(5000)
        broker.kill()
        wait_for("a state that says so", 30, lambda: server.ingest()["state"] == "waiting")
        assert server.health() and row_count(tmp_path / "store", "trades") == 5000
        broker.start()
        produce(broker, "market", "trades", second, registry=tmp_path / "schemas")
        server.wait_settled(9000)
        wait_for("running", 30, lambda: server.ingest()["state"] == "running")
        server.stop()
        assert csv(tmp_path / "store", "trades") == loaded_csv(tmp_path, "trades", [first, second])
    finally:
        broker.stop()


def test_dead_letters_say_where_they_came_from(broker, topic, tmp_path):
    market = topic(1)
    rows = write_rows(tmp_path / "rows.csv", range(10))
    produce(broker, market, "trades", rows, registry=tmp_path / "schemas")
    bad = [b"no frame", struct.pack(">bi", 0, 1) + b"\x00\xff", b""]
    broker.send(market, bad)
    server = Server(tmp_path / "store", broker, {market: "trades"}, tmp_path / "schemas",
                    tmp_path / "serve.log").start()
    server.wait_settled(13)
    server.stop()
    letters = json.loads(k2("dlq", "list", "--format", "json", store=tmp_path / "store").stdout)
    assert sorted((each["source"], each["position"], each["reason"]) for each in letters) == [
        (f"{market}/0", 10, "bad_frame"), (f"{market}/0", 11, "bad_avro"), (f"{market}/0", 12, "bad_frame")]
    assert all(each["table"] == "trades" for each in letters)
    assert row_count(tmp_path / "store", "trades") == 10


def test_an_unknown_schema_holds_its_partition_alone(broker, topic, tmp_path):
    market = topic(2)
    known = tmp_path / "schemas"
    produce(broker, market, "trades", write_rows(tmp_path / "rows.csv", range(100)), registry=known)
    with open(known / "1.avsc", encoding="utf-8") as file:
        schema = json.load(file)
    body = bytes([2, ord("X"), 2, ord("S"), 2, 0, 2, 0, 0, 0, 2, 1, 2, 1, 0, 2, ord("U"), 0, 0, 0, 0, 0])
    broker.send(market, [struct.pack(">bi", 0, 7) + body], partition=1)
    broker.send(market, [struct.pack(">bi", 0, 1) + body], partition=0)
    server = Server(tmp_path / "store", broker, {market: "trades"}, known, tmp_path / "serve.log").start()
    wait_for("a held partition", 20, lambda: server.ingest()["partitions"]["held"] == 1)
    assert "schema 7" in server.ingest()["reason"]
    schema["doc"] = "The same under another id."
    with open(known / "7.avsc", "w", encoding="utf-8") as file:
        json.dump(schema, file)
    server.wait_settled(102)
    assert server.ingest()["partitions"]["held"] == 0
    server.stop()
    assert row_count(tmp_path / "store", "trades") == 101  # one came with both schemas


def test_a_topic_made_anew_is_refused(broker, topic, tmp_path):
    market = topic(1)
    produce(broker, market, "trades", write_rows(tmp_path / "rows.csv", range(50)),
            registry=tmp_path / "schemas")
    server = Server(tmp_path / "store", broker, {market: "trades"}, tmp_path / "schemas",
                    tmp_path / "serve.log").start()
    server.wait_settled(50)
    server.stop()
    broker.delete_topic(market)
    broker.create_topic(market, 1)
    produce(broker, market, "trades", write_rows(tmp_path / "other.csv", range(1000, 1100)),
            registry=tmp_path / "schemas")
    server.start()
    wait_for("a stopped partition", 30, lambda: server.ingest()["partitions"]["stopped"] == 1)
    assert "made anew" in server.ingest()["reason"]
    assert server.health()
    server.stop()
    assert row_count(tmp_path / "store", "trades") == 50


def test_partitions_added_later_are_read(broker, topic, tmp_path):
    from confluent_kafka.admin import NewPartitions
    market = topic(1)
    produce(broker, market, "trades", write_rows(tmp_path / "rows.csv", range(20)),
            registry=tmp_path / "schemas")
    server = Server(tmp_path / "store", broker, {market: "trades"}, tmp_path / "schemas",
                    tmp_path / "serve.log").start()
    server.wait_settled(20)
    admin = broker.admin()
    admin.create_partitions([NewPartitions(market, 3)])[market].result(20)
    produce(broker, market, "trades", write_rows(tmp_path / "more.csv", range(20, 220)),
            registry=tmp_path / "schemas")
    server.wait_settled(220, 60)
    assert server.ingest()["partitions"]["all"] == 3
    server.stop()


def test_an_absent_broker_is_told():
    done = k2("produce", "/dev/null", "--kafka", "127.0.0.1:1", "--topic", "t", "--table", "trades",
              check=False)
    assert done.returncode in (2, 5) and done.stdout == b""
