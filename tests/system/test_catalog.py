"""Exports to Iceberg's own REST catalog, with files in a folder and in a bucket: the same rows once,
whatever the servers and other writers do, and wherever K2 is killed."""
import collections
import glob
import http.client
import http.server
import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.compute
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException

from kafka_kit import JAVA, K2, ROOT, Process, fetch, free_ports, missing, wait_for

TORTURE = os.environ.get("K2_TEST_TIER") == "torture"
KEYS = {"AWS_ACCESS_KEY_ID": "k2access", "AWS_SECRET_ACCESS_KEY": "k2secret12345",
        "AWS_REGION": "us-east-1"}


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Catalog:
    """The REST catalog over a SQLite file, with tables in `warehouse`."""

    def __init__(self, folder, warehouse, settings=None):
        home = fetch("catalog")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ, "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
            "CATALOG_JDBC_SCHEMA__VERSION": "V1", "CATALOG_REST_PORT": str(port),
            "CATALOG_URI": f"jdbc:sqlite:file:{folder}/catalog.db", "CATALOG_WAREHOUSE": warehouse,
            **(settings or {})}
        self.process = Process(
            ["java", "-Xmx1g" if TORTURE else "-Xmx384m", *JAVA, "-cp", f"{home}:{home}/*",
             "org.apache.iceberg.rest.CatalogServer"], f"{folder}/catalog.log", env=environment)
        wait_for("the catalog", 60, lambda: answers(f"{self.url}/v1/config"))


class Bucket:
    """A server that speaks S3, with one bucket."""

    def __init__(self, folder):
        home = fetch("s3")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process([f"{home}/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)],
                               f"{folder}/s3.log")
        wait_for("the bucket's server", 60, lambda: answers(self.url))
        request = urllib.request.Request(f"{self.url}/k2-test", method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass


class Proxy:
    """Stands before a server and lets requests fail the way that `choose(method, path)` says."""

    def __init__(self, target, choose):
        port = int(target.rsplit(":", 1)[1])
        self.faults = 0
        self.statuses = collections.Counter()
        self.after = lambda: None # called when a server has done what it was asked
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = choose(self.command, self.path)
                proxy.faults += fault is not None
                if fault == "reset before":
                    self.connection.close()
                    self.close_connection = True
                    return
                if fault in (500, 503):
                    self.answer(fault, b"<html><body>an error page</body></html>", "text/html")
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {name: value for name, value in self.headers.items()
                           if name.lower() not in ("connection",)}
                begun = time.monotonic()
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
                proxy.statuses[answer.status] += 1
                if time.monotonic() - begun > 10:
                    print(f"slow: {self.command} {self.path} took {time.monotonic() - begun:.0f} s")
                proxy.after()
                if fault == "reset after":
                    self.connection.close()
                    self.close_connection = True
                elif fault == "500 after":
                    self.answer(500, b"<html>gone wrong</html>", "text/html")
                else:
                    self.answer(answer.status, data, answer.getheader("Content-Type"),
                                {name: value for name, value in answer.getheaders()
                                 if name.lower() in ("etag", "last-modified", "content-range")
                                 or name.lower().startswith("x-amz-")})
                upstream.close()

            def answer(self, status, data, kind, more=None):
                self.send_response(status)
                self.send_header("Content-Type", kind or "application/octet-stream")
                for name, value in (more or {}).items():
                    self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD" and status not in (204, 304):
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = forward

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None # a client that was killed
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Store:
    """A store whose rows are told apart by their sequence."""

    def __init__(self, folder, exchange="X"):
        self.folder = folder
        self.exchange = exchange
        self.rows = 0
        self.kills = 0

    def load(self, count):
        path = f"{self.folder}/rows.csv"
        with open(path, "w") as file:
            file.write("exchange,symbol,timestamp,sequence,price,quantity\n")
            for sequence in range(self.rows + 1, self.rows + count + 1):
                hour, second = sequence % 40, sequence % 60
                file.write(f"{self.exchange},S{sequence % 7},2024-03-{1 + hour // 24:02}T{hour % 24:02}:00:{second:02}.{sequence:09}Z,"
                           f"{sequence},{sequence}.12345678,-{sequence}.5\n")
        subprocess.run([K2, "load", path, "--table", "trades", "--data", f"{self.folder}/store"],
                       check=True, capture_output=True, timeout=60)
        self.rows += count

    def export(self, warehouse, url, environment=None, kill_after=None):
        """The answer of `k2 export`, or None where it did not end with 0."""
        child = subprocess.Popen(
            [K2, "export", "--data", f"{self.folder}/store", "--table", "trades", "--warehouse",
             warehouse, "--catalog", url, "--format", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **(environment or {})))
        if kill_after is not None:
            time.sleep(kill_after)
            child.send_signal(signal.SIGKILL)
        output, self.errors = child.communicate(timeout=300)
        self.kills += child.returncode == -signal.SIGKILL
        assert child.returncode in (0, 1, 5, -signal.SIGKILL), self.errors
        return json.loads(output)[0] if child.returncode == 0 else None


@pytest.fixture
def ended():
    """What is in the list is ended with the test."""
    processes = []
    yield processes
    for process in processes:
        process.end(signal.SIGKILL)


def read(url, more=None):
    table = load_catalog("k2", type="rest", uri=url, **(more or {})).load_table("k2.trades")
    return table, table.scan().to_arrow()


def check(rows, store):
    """Every row of the store is there once, with its values."""
    mine = rows.filter(pa.compute.equal(rows["exchange"], store.exchange))
    sequences = sorted(mine["sequence"].to_pylist())
    assert sequences == list(range(1, store.rows + 1))
    for row in mine.slice(0, 50).to_pylist():
        assert str(row["price"]) == f"{row['sequence']}.12345678"
        assert str(row["quantity"]) == f"-{row['sequence']}.50000000"
        assert row["timestamp_ns"] % 1000000000 == row["sequence"]


def test_objects_on_a_server(tmp_path, ended):
    """tests/query/test_s3_store.c against a server that others made."""
    bucket = Bucket(tmp_path)
    ended.append(bucket.process)
    programs = glob.glob(f"{ROOT}/build/obj/release-*/tests/query/test_s3_store")
    if not programs:
        missing("the unit tests are not built: make tests")
    done = subprocess.run([programs[0]], env=dict(os.environ, K2_TEST_S3_ENDPOINT=bucket.url),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "SKIPPED" not in done.stdout, done.stdout + done.stderr


def test_a_rest_catalog_and_a_folder(tmp_path, ended):
    warehouse = f"{tmp_path}/warehouse"
    os.mkdir(warehouse)
    catalog = Catalog(tmp_path, f"file://{warehouse}")
    ended.append(catalog.process)
    store = Store(tmp_path)
    for count in (500, 1, 200):
        store.load(count)
        assert store.export(warehouse, catalog.url)["rows_added"] == count
    again = store.export(warehouse, catalog.url)
    assert again["rows_added"] == 0 and again["files_added"] == 0
    table, rows = read(catalog.url)
    check(rows, store)
    assert len(table.snapshots()) == 3


def test_a_rest_catalog_and_a_bucket(tmp_path, ended):
    bucket = Bucket(tmp_path)
    ended.append(bucket.process)
    catalog = Catalog(tmp_path, "s3://k2-test/warehouse", {
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO", "CATALOG_S3_ENDPOINT": bucket.url,
        "CATALOG_S3_PATH__STYLE__ACCESS": "true", **KEYS})
    ended.append(catalog.process)
    store = Store(tmp_path)
    reader = {"s3.endpoint": bucket.url, "s3.access-key-id": "k2access",
              "s3.secret-access-key": "k2secret12345", "s3.region": "us-east-1"}
    environment = dict(KEYS, AWS_ENDPOINT_URL=bucket.url)
    for count in (300, 40):
        store.load(count)
        done = store.export("s3://k2-test/warehouse", catalog.url, environment)
        assert done["rows_added"] == count, store.errors
        assert done["metadata"].startswith("s3://k2-test/warehouse/k2/trades/metadata/")
    check(read(catalog.url, reader)[1], store)
    # A bucket whose server fails now and then, on the way of every kind of request.
    chance = random.Random(5)
    proxy = Proxy(bucket.url, lambda method, path: chance.choice(
        ["reset before", "reset after", 500, 503, "500 after"]) if chance.random() < 0.3 else None)
    environment["AWS_ENDPOINT_URL"] = proxy.url
    for _ in range(3):
        store.load(10)
        wait_for("an export through faults", 60,
                 lambda: store.export("s3://k2-test/warehouse", catalog.url, environment))
    proxy.close()
    assert proxy.faults > 0
    check(read(catalog.url, reader)[1], store)


def tell(text):
    """Progress of a long test, past what pytest keeps until the end."""
    if TORTURE:
        with open(os.environ.get("K2_TEST_PROGRESS", "/dev/stderr"), "a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def test_a_service_that_fails_and_kills_on_the_way(tmp_path, ended):
    """At any moment of an export; half of the catalog's commits fail, before they are done or after."""
    seed = int(os.environ.get("K2_TEST_SEED", "7"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    warehouse = f"{tmp_path}/warehouse"
    os.mkdir(warehouse)
    catalog = Catalog(tmp_path, f"file://{warehouse}")
    ended.append(catalog.process)

    def choose(method, path):
        rate = 0.5 if method == "POST" else 0.1
        return chance.choice(["reset before", "reset after", 500, 503, "500 after"]) \
            if chance.random() < rate else None

    def care(action, *options):
        done = subprocess.run([K2, "iceberg", action, "--data", f"{tmp_path}/store", "--warehouse", warehouse, "--catalog",
                               catalog.url, *options], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr

    proxy = Proxy(catalog.url, choose)
    store = Store(tmp_path)
    kills, turn, span = 1000 if TORTURE else 50, 0, 0.15
    while store.kills < kills:
        turn += 1
        if turn % 50 == 0: # as `k2 serve` does, or the catalog chews on metadata that grows and grows
            care("compact")
            care("expire", "--older-than", "0s", "--keep", "5")
            assert store.export(warehouse, catalog.url) is not None, store.errors
            check(read(catalog.url)[1], store)
            tell(f"REST and folder: {store.kills} kills, {proxy.faults} faults, {store.rows} rows")
        store.load(chance.randint(1, 30))
        store.export(warehouse, proxy.url, kill_after=chance.random() * span)
        begun = time.monotonic()
        store.export(warehouse, proxy.url)
        span = min(time.monotonic() - begun, 0.5) # any moment of an export, however fast the machine is
    proxy.close()
    assert proxy.faults > 10
    assert store.export(warehouse, catalog.url) is not None, store.errors
    table, rows = read(catalog.url)
    check(rows, store)
    for snapshot in table.snapshots(): # every file that the table names is there
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io):
                assert os.path.exists(entry.data_file.file_path.removeprefix("file://").removeprefix("file:"))
    care("orphans", "--older-than", "0s")
    care("verify")
    check(read(catalog.url)[1], store)
    tell(f"REST and folder: {store.kills} kills, {proxy.faults} faults, {store.rows} rows, all there once")
    print(f"{store.kills} kills in {turn} exports that were shot at, {proxy.faults} faults of the catalog")


def test_eight_stores_beside_each_other(tmp_path, ended):
    """Shards of one topic: stores that know nothing of each other export into one table, from its creation on."""
    warehouse = f"{tmp_path}/warehouse"
    os.mkdir(warehouse)
    catalog = Catalog(tmp_path, f"file://{warehouse}")
    ended.append(catalog.process)
    chance = random.Random(int(os.environ.get("K2_TEST_SEED", "9")))
    proxy = Proxy(catalog.url, lambda method, path: chance.choice(["reset before", "reset after", 500, 503, "500 after"])
                  if TORTURE and method == "POST" and chance.random() < 0.1 else None)
    stores, failures, tries, compacted = [], [], [], []
    for number in range(8):
        os.mkdir(f"{tmp_path}/{number}")
        stores.append(Store(f"{tmp_path}/{number}", f"X{number}"))

    def export(store):
        """As a schedule does: one that gave up, as others were faster, is run again."""
        for attempt in range(1, 9):
            if store.export(warehouse, proxy.url) is not None:
                tries.append(attempt)
                return
        raise AssertionError(store.errors)

    def care(store, action, *options):
        done = subprocess.run([K2, "iceberg", action, "--data", f"{store.folder}/store", "--table", "trades", "--warehouse", warehouse,
                               "--catalog", catalog.url, "--format", "json", *options], capture_output=True, timeout=120)
        assert done.returncode in (0, 5), (done.stdout, done.stderr)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def work(store):
        try:
            for turn in range(25 if TORTURE else 2):
                store.load(1 + turn % 7)
                export(store)
                if turn % 10 == 9: # its own files, while the others export: they may be faster every time
                    compacted.append(care(store, "compact") is not None)
                if turn % 10 == 4 and store is stores[0]: # or the table's metadata grows and grows
                    care(store, "expire", "--older-than", "0s", "--keep", "5")
        except Exception as error: # the test shows it
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.close()
    assert not failures
    table, rows = read(catalog.url)
    assert rows.num_rows == sum(store.rows for store in stores)
    for store in stores:
        check(rows, store)
        assert store.export(warehouse, catalog.url)["rows_added"] == 0
        assert care(store, "compact")["ok"]
        sound = care(store, "verify")
        assert sound["ok"] and sound["rows"] == store.rows
    assert sum(name.startswith("k2.exported.") for name in table.properties) == len(stores)
    assert proxy.statuses[409] > 0
    told = f"{len(tries)} exports of 8 stores, {sum(compacted)} of {len(compacted)} compactions beside them, {proxy.statuses[409]} conflicts, {proxy.faults} faults, at most {max(tries)} runs of one"
    tell(told)
    print(told)


def test_other_writers_beside(tmp_path, ended):
    warehouse = f"{tmp_path}/warehouse"
    os.mkdir(warehouse)
    catalog = Catalog(tmp_path, f"file://{warehouse}")
    ended.append(catalog.process)
    store = Store(tmp_path)
    store.load(50)
    assert store.export(warehouse, catalog.url)
    writers, appends = 8, 3
    failures = []

    def append(number):
        try:
            table = load_catalog("k2", type="rest", uri=catalog.url).load_table("k2.trades")
            schema = table.schema().as_arrow()
            row = table.scan(limit=1).to_arrow().to_pylist()[0]
            for turn in range(appends):
                row.update(exchange=f"OTHER{number}", sequence=turn)
                for _ in range(50):
                    try:
                        table.refresh()
                        table.append(pa.Table.from_pylist([row], schema=schema))
                        break
                    except CommitFailedException:
                        continue
        except Exception as error: # the test shows it
            failures.append(repr(error))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        store.load(5)
        store.export(warehouse, catalog.url)
    for thread in threads:
        thread.join()
    assert not failures
    assert store.export(warehouse, catalog.url) is not None, store.errors
    table, rows = read(catalog.url)
    check(rows, store)
    assert rows.num_rows == store.rows + writers * appends
    # A row that another writer deleted stays deleted, and exports go on.
    table.delete("exchange == 'X' and sequence == 1")
    store.load(5)
    assert store.export(warehouse, catalog.url)["rows_added"] == 5
    rows = read(catalog.url)[1]
    assert rows.num_rows == store.rows + writers * appends - 1
