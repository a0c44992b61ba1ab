"""Spark, ClickHouse and Iceberg's own reader in Java over Iceberg's REST catalog on PostgreSQL and a
bucket of versitygw, which checks every signature and checksum: the same answers, and K2 goes on
beside Spark's writes and maintenance. In the torture tier, because of what has to be fetched."""
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from decimal import Decimal

import pytest
from pyiceberg.catalog import load_catalog

import iceberg_readers as readers
from kafka_kit import JAVA, K2, Process, fetch, free_ports, missing, wait_for
from test_catalog import KEYS, TORTURE, Catalog, Store, answers, check, read
from test_iceberg import COLUMNS, load_book
from test_parquet import MAPS, ROWS, load, shared, sums, told

pytestmark = pytest.mark.skipif(not TORTURE, reason="Spark, ClickHouse and the Java reader run in `make torture`")

WAREHOUSE = "s3://k2-test/warehouse"

SPARK = r"""
import glob, json, sys
from pyspark.sql import SparkSession
home, catalog, bucket = sys.argv[1:4]
builder = SparkSession.builder.master("local[1]")
for name, value in {
        "spark.jars": ",".join(glob.glob(home + "/jars/*.jar")), "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g", "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "rest", "spark.sql.catalog.lake.uri": catalog,
        "spark.sql.catalog.lake.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "spark.sql.catalog.lake.s3.endpoint": bucket,
        "spark.sql.catalog.lake.s3.path-style-access": "true",
        "spark.sql.catalog.lake.s3.access-key-id": "k2access",
        "spark.sql.catalog.lake.s3.secret-access-key": "k2secret12345",
        "spark.sql.catalog.lake.client.region": "us-east-1"}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
for statement in json.load(sys.stdin):
    rows = spark.sql(statement).collect()
    print("=" + json.dumps([[str(value) for value in row] for row in rows]))
"""

CLICKHOUSE = r"""
import chdb, json, sys
for query in json.load(sys.stdin):
    print("=" + str(chdb.query(query + " SETTINGS cast_keep_nullable=1", "JSONCompactEachRow")).replace("\\n", ""))
"""


def spark(home, lake, *statements):
    done = subprocess.run([f"{home}/bin/python", "-c", SPARK, home, lake.catalog.url, lake.bucket],
                          input=json.dumps(statements), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, [line[:500] for line in done.stderr.splitlines() if "Exception" in line or "Error" in line]
    return [json.loads(line[line.index("=[") + 1:]) for line in done.stdout.splitlines() if "=[" in line]


def clickhouse(home, queries):
    done = subprocess.run([f"{home}/bin/python", "-c", CLICKHOUSE], input=json.dumps(queries), cwd="/",
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line[1:], parse_float=str, parse_int=str) for line in done.stdout.splitlines() if line.startswith("=[")]


def java(lake, queries):
    home = fetch("java")
    source = os.path.join(os.path.dirname(__file__), "TableReader.java")
    done = subprocess.run(["java", "-Xmx512m", *JAVA, "-cp", f"{home}/*", source, lake.catalog.url, lake.bucket],
                          input="".join("\t".join(query) + "\n" for query in queries), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split("\t") for line in done.stdout.splitlines()]


class Postgres:
    """A cluster of its own; it does not run as root, and pytest closes its folders to others."""

    def __init__(self, folder):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            missing("PostgreSQL is not installed (Debian: postgresql)")
        (self.port,) = free_ports(1)
        home, self.become = tempfile.mkdtemp(prefix="k2-postgres-"), []
        self.home = home
        if os.getuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                missing("there is no user postgres")
            os.chown(home, user.pw_uid, user.pw_gid)
            self.become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run([*self.become, f"{programs[-1]}/initdb", "-D", home, "-A", "trust", "-U", "postgres"],
                       check=True, capture_output=True, timeout=60, cwd="/")
        self.process = Process(
            [*self.become, f"{programs[-1]}/postgres", "-D", home, "-p", str(self.port), "-k", home,
             "-c", "listen_addresses=127.0.0.1"], f"{folder}/postgres.log", cwd="/")
        wait_for("PostgreSQL", 30, lambda: subprocess.run(
            [f"{programs[-1]}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c",
             "CREATE DATABASE iceberg"], capture_output=True).returncode == 0)


class Lake:
    """The catalog on PostgreSQL, the bucket behind versitygw."""

    def __init__(self, folder, processes):
        if shutil.which("go") is None:
            missing("go is not installed, versitygw can not be built")
        postgres = Postgres(str(folder))
        self.home = postgres.home
        processes.append(postgres.process)
        (port,) = free_ports(1)
        self.bucket = f"http://127.0.0.1:{port}"
        os.makedirs(f"{folder}/objects/k2-test")
        processes.append(Process(
            [f"{fetch('versitygw')}/versitygw", "--port", f"127.0.0.1:{port}", "posix", f"{folder}/objects"], f"{folder}/s3.log",
            env=dict(os.environ, ROOT_ACCESS_KEY="k2access", ROOT_SECRET_KEY="k2secret12345")))
        wait_for("versitygw", 30, lambda: answers(self.bucket))
        self.catalog = Catalog(folder, WAREHOUSE, {
            "CATALOG_URI": f"jdbc:postgresql://127.0.0.1:{postgres.port}/iceberg",
            "CATALOG_JDBC_USER": "postgres", "CATALOG_JDBC_PASSWORD": "x",
            "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO", "CATALOG_S3_ENDPOINT": self.bucket,
            "CATALOG_S3_PATH__STYLE__ACCESS": "true", **KEYS})
        processes.append(self.catalog.process)
        self.environment = dict(KEYS, AWS_ENDPOINT_URL=self.bucket)
        self.reader = {"s3.endpoint": self.bucket, "s3.access-key-id": "k2access",
                       "s3.secret-access-key": "k2secret12345", "s3.region": "us-east-1"}

    def k2(self, *arguments):
        return subprocess.run([K2, *arguments, "--warehouse", WAREHOUSE, "--catalog", self.catalog.url], check=True,
                              capture_output=True, timeout=300, env=dict(os.environ, **self.environment)).stdout


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    processes = []
    lake = Lake(tmp_path_factory.mktemp("engines"), processes)
    yield lake
    for process in processes:
        process.end(signal.SIGKILL)
    shutil.rmtree(lake.home, ignore_errors=True)


def numbers(row):
    return [int(row[0])] + [None if v in (None, "None", "null", "NULL") else Decimal(v) for v in row[1:]]


def test_every_engine_finds_the_same(lake, tmp_path):
    """Trades, quotes and a book, hard values among them: sums, ends, a checksum, and all of that under filters."""
    home, store = fetch("engines"), f"{tmp_path}/store"
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/7181.csv"), "--exchange", "ASX", "--symbol", "DVN", "--map", f"{MAPS}/asx-{table}.map")
    lake.k2("export", "--data", store)
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/3153.csv"), "--exchange", "ASX", "--symbol", "MWR", "--map", f"{MAPS}/asx-{table}.map")
    load_book(store, tmp_path)
    lake.k2("export", "--data", store)
    cases = []  # table, its rows, filter in SQL
    for name in ("trades", "quotes", "book"):
        rows, price = told(store, name), COLUMNS[name][1]
        prices = sorted(Decimal(r[price]) for r in rows if r[price] is not None)
        low, middle = prices[len(prices) // 3].quantize(Decimal("1e-8")), rows[len(rows) // 2]["timestamp"]
        cases += [(name, rows, ""),
                  (name, [r for r in rows if r[price] is not None and Decimal(r[price]) >= low], f"{price} >= {low}"),
                  (name, [r for r in rows if r["symbol"] == "DVN"], "symbol = DVN"),
                  (name, [r for r in rows if r["timestamp"] < middle], f"timestamp_ns < {middle}")]

    def sql(source, name, condition, quote):
        where = condition.replace("= DVN", "= 'DVN'")
        query = f"SELECT {readers.aggregates(COLUMNS[name])}, {readers.mix(COLUMNS[name][1])} FROM {source}"
        query = query.replace('sum("sequence")', 'sum(CAST("sequence" AS DECIMAL(38, 0)))')  # 64 bits would not hold it
        return (query + (f" WHERE {where}" if where else "")).replace('"', quote)
    found = {
        "Spark": [rows[0] for rows in spark(home, lake, *[sql(f"lake.k2.{name}", name, where, "`") for name, _, where in cases])],
        "ClickHouse": clickhouse(home, [sql(f"icebergS3('{lake.bucket}/k2-test/warehouse/k2/{name}', 'k2access', 'k2secret12345')", name, where, '"')
                                        for name, _, where in cases]),
        "Java": java(lake, [(name, COLUMNS[name][1], ",".join(COLUMNS[name]), where) for name, _, where in cases]),
    }
    for engine, answers_of in found.items():
        assert len(answers_of) == len(cases), engine
        for (name, rows, where), answer in zip(cases, answers_of):
            columns = COLUMNS[name]
            wanted = sums(rows, columns) + [readers.mix_of(rows, columns[1]) if any(r[columns[1]] is not None for r in rows) else None]
            if engine == "Java":
                wanted[-1] = wanted[-1] or 0
                ends = [f"{r['symbol']} {r['timestamp']} {r['sequence']}" for r in (rows[0], rows[-1])] if rows else ["null"] * 2
                assert answer[-2:] == ends, (engine, name, where)
                answer = answer[:-2]
            got = numbers(answer)
            for at in range(1, len(wanted) - 1, 4):  # the sum of nothing is 0 here, null there
                if wanted[at + 1] is None:
                    got[at + 1] = got[at + 2] = got[at + 3] = wanted[at + 2] = wanted[at + 3] = None
            if wanted[0] == 0:
                got[-1] = wanted[-1] = None
            assert got == wanted, (engine, name, where)
    lake.k2("iceberg", "verify", "--data", store)


def test_spark_writes_beside(lake, tmp_path):
    """Spark appends, deletes, rewrites and expires; K2 exports beside it."""
    home, store = fetch("engines"), Store(tmp_path)
    catalog = load_catalog("k2", type="rest", uri=lake.catalog.url, **lake.reader)
    for name in catalog.list_tables("k2") if catalog.namespace_exists("k2") else []:
        catalog.drop_table(name)

    def export(count):
        store.load(count)
        done = store.export(WAREHOUSE, lake.catalog.url, lake.environment)
        assert done is not None and done["rows_added"] == count, store.errors

    def rows():
        return read(lake.catalog.url, lake.reader)[1]
    export(400)
    export(30)
    spark(home, lake,
          "INSERT INTO lake.k2.trades SELECT * FROM lake.k2.trades WHERE sequence <= 3",
          "CALL lake.system.rewrite_manifests(table => 'k2.trades')")
    export(20)
    assert rows().num_rows == store.rows + 3
    spark(home, lake,
          "DELETE FROM lake.k2.trades WHERE sequence <= 3",
          "CALL lake.system.rewrite_data_files(table => 'k2.trades', options => map('rewrite-all', 'true'))",
          "CALL lake.system.expire_snapshots(table => 'k2.trades', retain_last => 1, older_than => TIMESTAMP '2100-01-01 00:00:00')")
    export(20)
    sequences = sorted(rows()["sequence"].to_pylist())
    assert sequences == list(range(4, store.rows + 1))
    lake.k2("iceberg", "compact", "--data", f"{tmp_path}/store")
    export(10)
    assert sorted(rows()["sequence"].to_pylist()) == list(range(4, store.rows + 1))
    (answer,) = spark(home, lake, "SELECT count(*), sum(sequence), sum(price) FROM lake.k2.trades")
    wanted = range(4, store.rows + 1)
    assert [Decimal(v) for v in answer[0]] == [len(wanted), sum(wanted), sum(Decimal(n) + Decimal("0.12345678") for n in wanted)]
    lake.k2("export", "--data", f"{tmp_path}/store", "--full") # and K2 can put it right
    check(rows(), store)
