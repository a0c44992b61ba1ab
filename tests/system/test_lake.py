"""Iceberg tables behind a REST catalog and in a bucket: every reader finds the rows of the store, `k2 iceberg` cares for
the tables, and an export that is killed at any request leaves neither a row twice nor one missing."""
import itertools
import json
import os
import random
import signal
import subprocess
import threading
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

import iceberg_readers as readers
from kafka_kit import K2
from test_catalog import KEYS, TORTURE, Bucket, Catalog, Proxy, Store, check, ended, read, tell  # noqa: F401 (a fixture)
from test_iceberg import COLUMNS, by_key, load_book, rows_of
from test_parquet import JSON_NAMES, MAPS, ROWS, checksum, k2, load, objects, shared, sums, told

WAREHOUSE = "s3://k2-test/warehouse"


class Lake:
    """A catalog, a bucket, and what clients of theirs have to know."""

    def __init__(self, folder, ended):  # noqa: F811
        self.bucket = Bucket(folder)
        ended.append(self.bucket.process)
        self.catalog = Catalog(folder, WAREHOUSE, {
            "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO", "CATALOG_S3_ENDPOINT": self.bucket.url,
            "CATALOG_S3_PATH__STYLE__ACCESS": "true", **KEYS})
        ended.append(self.catalog.process)
        self.environment = dict(KEYS, AWS_ENDPOINT_URL=self.bucket.url)
        self.reader = {"s3.endpoint": self.bucket.url, "s3.access-key-id": "k2access",
                       "s3.secret-access-key": "k2secret12345", "s3.region": "us-east-1"}

    def table(self, name="trades"):
        return load_catalog("k2", type="rest", uri=self.catalog.url, **self.reader).load_table(f"k2.{name}")

    def drop_tables(self):
        catalog = load_catalog("k2", type="rest", uri=self.catalog.url, **self.reader)
        for name in catalog.list_tables("k2") if catalog.namespace_exists("k2") else []:
            catalog.drop_table(name)

    def k2(self, *arguments, code=0):
        done = subprocess.run([K2, *map(str, arguments)], capture_output=True, timeout=120, env=dict(os.environ, **self.environment))
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout

    def care(self, store, action, *options, code=0):
        return json.loads(self.k2("iceberg", action, "--data", store, "--warehouse", WAREHOUSE, "--catalog", self.catalog.url,
                                  "--format", "json", *options, code=code))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    processes = []
    yield Lake(tmp_path_factory.mktemp("lake"), processes)
    for process in processes:
        process.end(signal.SIGKILL)


@pytest.fixture(scope="class")
def market(lake, tmp_path_factory):
    """Trades, quotes and a book, hard values among them, exported in two steps."""
    home = tmp_path_factory.mktemp("market")
    store = f"{home}/store"
    (home / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{home}/rows.csv"])
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/7181.csv"), "--exchange", "ASX", "--symbol", "DVN", "--map", f"{MAPS}/asx-{table}.map")
    export = ["export", "--data", store, "--warehouse", WAREHOUSE, "--catalog", lake.catalog.url, "--format", "json"]
    lake.k2(*export)
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/3153.csv"), "--exchange", "ASX", "--symbol", "MWR", "--map", f"{MAPS}/asx-{table}.map")
    load_book(store, home)
    exported = {item["table"]: item for item in json.loads(lake.k2(*export))}
    assert set(exported) == {"trades", "quotes", "book"}
    yield store, exported
    lake.drop_tables()


def duck(lake, queries):
    host = lake.bucket.url.removeprefix("http://")
    return readers.duck([
        f"CREATE SECRET s (TYPE s3, KEY_ID 'k2access', SECRET 'k2secret12345', REGION 'us-east-1', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)",
        f"ATTACH 'warehouse' AS ice (TYPE iceberg, ENDPOINT '{lake.catalog.url}', AUTHORIZATION_TYPE 'none', ACCESS_DELEGATION_MODE 'none')",
        *queries])


ENDS = "SELECT symbol, timestamp_ns, sequence FROM ice.k2.{} ORDER BY timestamp_ns {}, exchange {}, symbol {}, epoch {}, sequence {} LIMIT 1"


@pytest.fixture
def fresh(lake):
    """The lake without tables."""
    lake.drop_tables()
    yield lake
    lake.drop_tables()


class TestReaders:
    @pytest.mark.parametrize("name", ["trades", "quotes", "book"])
    def test_every_reader_finds_the_same(self, lake, market, name):
        store, exported = market
        rows, numbers, location = told(store, name), COLUMNS[name], exported[name]["metadata"]
        price, wanted = numbers[1], sums(rows, numbers)
        prices = sorted(Decimal(r[price]) for r in rows if r[price] is not None)
        low = prices[len(prices) // 3].quantize(Decimal("1e-8"))
        middle = rows[len(rows) // 2]["timestamp"]
        filters = [
            (f"{price} >= {low}", f"{price} >= {low}", lambda pl: pl.col(price) >= low, lambda r: r[price] is not None and Decimal(r[price]) >= low),
            ("symbol = 'DVN'", "symbol == 'DVN'", lambda pl: pl.col("symbol") == "DVN", lambda r: r["symbol"] == "DVN"),
            (f"timestamp_ns < {middle}", f"timestamp_ns < {middle}", lambda pl: pl.col("timestamp_ns") < middle, lambda r: r["timestamp"] < middle),
        ]
        table = lake.table(name)
        found = by_key(objects(rows_of(table.scan().to_arrow()), *JSON_NAMES))
        assert found[0] == rows[0] and found[-1] == rows[-1] and checksum(found) == checksum(rows)
        aggregates = f"SELECT {readers.aggregates(numbers)} FROM ice.k2.{name}"
        first, last, mixed, whole, *filtered = duck(lake, [
            ENDS.format(name, *["ASC"] * 5), ENDS.format(name, *["DESC"] * 5), f"SELECT {readers.mix(price)} FROM ice.k2.{name}",
            aggregates, *[f"{aggregates} WHERE {each[0]}" for each in filters]])
        assert [first[0], last[0]] == [[r["symbol"], str(r["timestamp"]), str(r["sequence"])] for r in (rows[0], rows[-1])]
        assert int(Decimal(mixed[0][0])) == readers.mix_of(rows, price)
        assert readers.numbers_of(whole[0]) == wanted
        storage = {"aws_endpoint_url": lake.bucket.url, "aws_access_key_id": "k2access", "aws_secret_access_key": "k2secret12345",
                   "aws_region": "us-east-1", "aws_allow_http": "true"}
        assert readers.polars(table, numbers, storage_options=storage) == wanted
        for (_, ice, polar, test), duck_row in zip(filters, filtered):
            some = [r for r in rows if test(r)]
            assert readers.numbers_of(duck_row[0]) == sums(some, numbers), ice
            assert readers.polars(table, numbers, polar, storage_options=storage) == sums(some, numbers), ice
            assert checksum(objects(rows_of(table.scan(row_filter=ice).to_arrow()), *JSON_NAMES)) == checksum(some), ice
        bird = readers.icebird(f"{WAREHOUSE}/k2/{name}", os.path.basename(location), price, lake.bucket.url)
        if bird is None:
            print("skipped: icebird is not there")
        else:
            assert (bird["rows"], bird["nulls"]) == (len(rows), sum(r[price] is None for r in rows))
            assert abs(bird["sum"] - float(wanted[numbers.index(price) * 4 + 4])) < 1e-6 * abs(bird["sum"])
            assert int(bird["ns"]) == sum(r["timestamp"] for r in rows)


def test_care_of_tables(fresh, tmp_path):
    """As on a local catalog: small files become few, old snapshots and strays go, differences are told."""
    lake = fresh
    store = Store(tmp_path)
    data = f"{tmp_path}/store"
    for _ in range(6):
        store.load(40)
        assert store.export(WAREHOUSE, lake.catalog.url, lake.environment) is not None, store.errors
    (status,) = lake.care(data, "status")
    assert (status["rows"], status["files"], status["iceberg_snapshots"]) == (240, 12, 6)  # two days
    assert status["snapshot"] == status["newest_snapshot"]
    (sound,) = lake.care(data, "verify")
    assert sound["ok"] and sound["rows"] == sound["store_rows"] == 240 and sound["difference"] is None
    (compacted,) = lake.care(data, "compact")
    assert (compacted["files_before"], compacted["files_after"], compacted["rows"]) == (12, 2, 240)
    (expired,) = lake.care(data, "expire", "--older-than", "0s", "--keep", "1")
    assert (expired["snapshots_removed"], expired["iceberg_snapshots"]) == (7, 1)  # each day was a commit
    table = lake.table()
    with table.io.new_output(f"{WAREHOUSE}/k2/trades/data/stray.parquet").create() as stray:
        stray.write(b"left behind")
    assert lake.care(data, "orphans")[0]["files_removed"] == 0  # it may belong to a commit that is under way
    assert lake.care(data, "orphans", "--older-than", "0s", "--dry-run")[0]["files_found"] >= 1
    assert lake.care(data, "orphans", "--older-than", "0s")[0]["files_removed"] >= 1
    assert lake.care(data, "orphans", "--older-than", "0s")[0]["files_removed"] == 0
    assert lake.care(data, "verify")[0]["checksum"] == sound["checksum"]
    check(read(lake.catalog.url, lake.reader)[1], store)
    arrow = table.refresh().scan().to_arrow()
    table.overwrite(arrow.slice(1))
    (differs,) = lake.care(data, "verify", code=6)
    assert not differs["ok"] and differs["difference"].startswith("rows: 239 in the table, 240")
    # What can not be done is said, with the code that the contract names.
    lake.k2("iceberg", "status", "--data", data, "--warehouse", WAREHOUSE, "--catalog", lake.catalog.url, "--table", "quotes", code=3)
    lake.k2("iceberg", "polish", "--data", data, "--warehouse", WAREHOUSE, code=2)
    lake.k2("iceberg", "status", "--data", data, code=2)
    lake.k2("iceberg", "status", "--data", data, "--warehouse", WAREHOUSE, "--catalog", "http://127.0.0.1:9", code=5)
    lake.k2("iceberg", "status", "--data", f"{data}x", "--warehouse", WAREHOUSE, "--catalog", lake.catalog.url, code=3)


class Killer:
    """Stands before both servers; kills the export at its n-th request, before or after the server has done it."""

    def __init__(self, lake):
        self.lock = threading.Lock()
        self.left = self.child = self.after = None
        self.proxies = [Proxy(lake.catalog.url, self.choose), Proxy(lake.bucket.url, self.choose)]
        for proxy in self.proxies:
            proxy.after = self.answered
        self.catalog, self.bucket = (proxy.url for proxy in self.proxies)

    def choose(self, *_):
        with self.lock:
            if self.left is None:
                return None
            self.left -= 1
            if self.left != 0:
                return None
            if self.after:
                return "reset after"
            self.child.kill()
            return "reset before"

    def answered(self):
        if self.child is not None and self.left is not None and self.left <= 0:
            self.child.kill()

    def close(self):
        for proxy in self.proxies:
            proxy.close()


def missing_objects(table):
    """Every file that a snapshot of the table names is there."""
    gone = []
    for snapshot in table.snapshots():
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io):
                if not table.io.new_input(entry.data_file.file_path).exists():
                    gone.append(entry.data_file.file_path)
    return gone


def test_kills_at_every_request(fresh, tmp_path):
    """Exports, compactions and expiries, request after request, before it is done and after: then work goes on, and all
    rows are there once."""
    lake = fresh
    store, killer = Store(tmp_path), Killer(lake)
    chance = random.Random(int(os.environ.get("K2_TEST_SEED", "3")))
    environment = dict(KEYS, AWS_ENDPOINT_URL=killer.bucket)
    place = ["--data", f"{tmp_path}/store", "--table", "trades", "--warehouse", WAREHOUSE, "--catalog", killer.catalog]
    works = {"export": ["export"], "compact": ["iceberg", "compact"], "expire": ["iceberg", "expire", "--older-than", "0s", "--keep", "2"]}
    kills, rounds = dict.fromkeys(works, 0), 1000 if TORTURE else 50

    def settle():
        assert store.export(WAREHOUSE, lake.catalog.url, lake.environment) is not None, store.errors

    def shoot(work, step, after):
        """Whether the program died at its request number `step`."""
        store.load(chance.randint(1, 5))
        if work != "export":
            settle() # gives it something to do
        child = subprocess.Popen([K2, *works[work], *place], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 env=dict(os.environ, **environment))
        killer.child, killer.after, killer.left = child, after, step
        error = child.communicate(timeout=60)[1]
        killer.left = None
        died = child.returncode == -signal.SIGKILL
        assert died or child.returncode == 0, error
        kills[work] += died
        return died

    for work in itertools.cycle(works):
        step, lived = 0, False
        while not lived and sum(kills.values()) < rounds:
            step += 1
            died = [shoot(work, step, after) for after in (False, True)]
            lived = not any(died) # past the last request
            settle()
            for upkeep in ("compact", "expire") if step % 10 == 0 or work != "export" else (): # what is to do stays bounded
                lake.k2(*works[upkeep], *place[:-1], lake.catalog.url)
        check(read(lake.catalog.url, lake.reader)[1], store)
        assert missing_objects(lake.table()) == []
        tell(f"REST and S3: {sum(kills.values())} kills, {kills}, {store.rows} rows")
        if sum(kills.values()) >= rounds:
            break
    killer.close()
    assert missing_objects(lake.table()) == []
    print(f"{sum(kills.values())} kills: {kills}")
    # What killed exports left is found, and nothing else is taken.
    lake.care(f"{tmp_path}/store", "orphans", "--older-than", "0s")
    assert missing_objects(lake.table()) == []
    check(read(lake.catalog.url, lake.reader)[1], store)
    assert lake.care(f"{tmp_path}/store", "verify")[0]["ok"]


def test_other_writers_beside(fresh, tmp_path):
    """PyIceberg appends, deletes, rewrites and expires; K2 exports beside it and compacts what is its own."""
    lake = fresh
    store = Store(tmp_path)
    data = f"{tmp_path}/store"

    def export(count):
        store.load(count)
        assert store.export(WAREHOUSE, lake.catalog.url, lake.environment) is not None, store.errors

    def rows():
        return lake.table().scan().to_arrow()
    export(100)
    export(50)
    table = lake.table()
    foreign = table.scan(limit=3).to_arrow()
    at = foreign.schema.get_field_index("exchange")
    table.append(foreign.set_column(at, foreign.schema.field(at), pa.array(["OTHER"] * 3)))
    export(50)
    assert rows().num_rows == 203
    table = lake.table()
    table.delete("exchange == 'OTHER'")
    export(10)
    check(rows(), store)
    table = lake.table()
    table.overwrite(table.scan().to_arrow())  # all its data files are PyArrow's now
    export(10)
    check(rows(), store)
    assert lake.care(data, "verify")[0]["ok"]
    table = lake.table()
    current = table.metadata.current_snapshot_id
    table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != current]).commit()
    export(10)
    assert lake.care(data, "compact")[0]["ok"]
    lake.care(data, "expire", "--older-than", "0s", "--keep", "1")
    export(5)
    check(rows(), store)
    assert lake.care(data, "verify")[0]["ok"] and missing_objects(lake.table()) == []
