"""Spark and ClickHouse over Iceberg's REST catalog on PostgreSQL and a bucket of versitygw, which
checks every signature and checksum: the same answers, and K2 goes on beside Spark's maintenance. In
the torture tier, because of what has to be fetched."""
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess

import pytest

from kafka_kit import Process, fetch, free_ports, missing, wait_for
from test_catalog import KEYS, TORTURE, Catalog, Store, answers, ended  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not TORTURE, reason="Spark and ClickHouse run in `make torture`")

SUMS = "count(*), sum(price), min(price), max(quantity), sum(timestamp_ns), sum(sequence)"

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
import chdb, sys
print(chdb.query(f"SELECT {sys.argv[2]} FROM icebergS3('{sys.argv[1]}', 'k2access', 'k2secret12345')", "CSV"))
"""


def spark(home, catalog, bucket, *statements):
    done = subprocess.run([f"{home}/bin/python", "-c", SPARK, home, catalog, bucket],
                          input=json.dumps(statements), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line[line.index("=[") + 1:]) for line in done.stdout.splitlines() if "=[" in line]


def clickhouse(home, url):
    done = subprocess.run([f"{home}/bin/python", "-c", CLICKHOUSE, url, SUMS], cwd="/",
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().split(",")


class Postgres:
    """A cluster of its own in `folder`; it does not run as root."""

    def __init__(self, folder):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            missing("PostgreSQL is not installed (Debian: postgresql)")
        (self.port,) = free_ports(1)
        home, self.become = f"{folder}/postgres", []
        os.mkdir(home)
        if os.getuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                missing("there is no user postgres")
            os.chown(home, user.pw_uid, user.pw_gid)
            for parent in (folder, os.path.dirname(folder), os.path.dirname(os.path.dirname(folder))):
                os.chmod(parent, 0o755)
            self.become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run([*self.become, f"{programs[-1]}/initdb", "-D", home, "-A", "trust", "-U", "postgres"],
                       check=True, capture_output=True, timeout=60, cwd="/")
        self.process = Process(
            [*self.become, f"{programs[-1]}/postgres", "-D", home, "-p", str(self.port), "-k", home,
             "-c", "listen_addresses=127.0.0.1"], f"{folder}/postgres.log", cwd="/")
        wait_for("PostgreSQL", 30, lambda: subprocess.run(
            [f"{programs[-1]}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c",
             "CREATE DATABASE iceberg"], capture_output=True).returncode == 0)


def test_spark_and_clickhouse_over_postgres_and_versitygw(tmp_path, ended):  # noqa: F811
    if shutil.which("go") is None:
        missing("go is not installed, versitygw can not be built")
    home = fetch("engines")
    postgres = Postgres(str(tmp_path))
    ended.append(postgres.process)
    (port,) = free_ports(1)
    bucket = f"http://127.0.0.1:{port}"
    os.makedirs(f"{tmp_path}/objects/k2-test")
    gateway = Process([f"{fetch('versitygw')}/versitygw", "--port", f"127.0.0.1:{port}", "posix",
                       f"{tmp_path}/objects"], f"{tmp_path}/s3.log",
                      env=dict(os.environ, ROOT_ACCESS_KEY="k2access", ROOT_SECRET_KEY="k2secret12345"))
    ended.append(gateway)
    wait_for("versitygw", 30, lambda: answers(bucket))
    catalog = Catalog(tmp_path, "s3://k2-test/warehouse", {
        "CATALOG_URI": f"jdbc:postgresql://127.0.0.1:{postgres.port}/iceberg",
        "CATALOG_JDBC_USER": "postgres", "CATALOG_JDBC_PASSWORD": "x",
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO", "CATALOG_S3_ENDPOINT": bucket,
        "CATALOG_S3_PATH__STYLE__ACCESS": "true", **KEYS})
    ended.append(catalog.process)
    store = Store(tmp_path)
    environment = dict(KEYS, AWS_ENDPOINT_URL=bucket)

    def export(count):
        store.load(count)
        done = store.export("s3://k2-test/warehouse", catalog.url, environment)
        assert done is not None and done["rows_added"] == count, store.errors

    def compare():
        (found,) = spark(home, catalog.url, bucket, f"SELECT {SUMS} FROM lake.k2.trades")
        other = clickhouse(home, f"{bucket}/k2-test/warehouse/k2/trades")
        assert [float(value) for value in found[0]] == [float(value) for value in other]
        return found[0]

    export(400)
    export(30)
    first = compare()
    assert int(first[0]) == store.rows and int(first[5]) == store.rows * (store.rows + 1) // 2
    spark(home, catalog.url, bucket,
          "DELETE FROM lake.k2.trades WHERE sequence = 7",
          "CALL lake.system.rewrite_data_files(table => 'k2.trades')",
          "CALL lake.system.rewrite_manifests(table => 'k2.trades')",
          "CALL lake.system.expire_snapshots(table => 'k2.trades', retain_last => 1, older_than => TIMESTAMP '2100-01-01 00:00:00')")
    export(20)
    last = compare()
    assert int(last[0]) == store.rows - 1
    assert int(last[5]) == store.rows * (store.rows + 1) // 2 - 7
    for process in ended:
        process.end(signal.SIGKILL)
