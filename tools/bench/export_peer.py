"""The rows of a store as an Iceberg table of K2, and the same files written by others: PyArrow, DuckDB and, where the
engines of `make torture` are there, ClickHouse, each with zstd level 3 and one thread.

usage: export_peer.py K2 STORE FOLDER        prints lines `what<TAB>figure<TAB>target`; times are of the processor
"""
import glob
import json
import os
import resource
import subprocess
import sys
import time

import duckdb
import pyarrow.parquet as pq

CLICKHOUSE = r"""
import chdb, sys, time
source, target = sys.argv[1:]
read = f"SELECT * FROM file('{source}', Parquet)"
settings = "SETTINGS max_threads=1, output_format_parquet_compression_method='zstd', output_format_compression_level=3, " \
           "output_format_parquet_parallel_encoding=0, engine_file_truncate_on_insert=1"
began = time.process_time()
chdb.query(f"{read} FORMAT Null SETTINGS max_threads=1")
middle = time.process_time()
chdb.query(f"INSERT INTO FUNCTION file('{target}', Parquet) {read} {settings}")
print(time.process_time() - middle - (middle - began))
"""


def export(k2, store, folder):
    """Bytes and processor seconds of `k2 export`, its memory (ru_maxrss would be that of this process), and its files."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.Popen([k2, "export", "--data", store, "--table", "trades", "--warehouse", f"{folder}/warehouse", "--format", "json"],
                             stdout=subprocess.PIPE, text=True)
    most_kib = 0
    while child.poll() is None:
        with open(f"/proc/{child.pid}/status") as status:
            most_kib = max([most_kib] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        time.sleep(0.005)
    if child.returncode != 0:
        sys.exit("k2 export failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return json.loads(child.stdout.read())[0], seconds, most_kib / 1024, sorted(glob.glob(f"{folder}/warehouse/k2/trades/data/*/*.parquet"))


def pyarrow(files, target):
    seconds = 0
    for number, file in enumerate(files):
        rows = pq.read_table(file)
        began = time.process_time()
        pq.write_table(rows, f"{target}/{number}.parquet", compression="zstd", compression_level=3)
        seconds += time.process_time() - began
    return seconds


def duck(files, target):
    database = duckdb.connect()
    database.execute("SET threads = 1")
    seconds = 0
    for number, file in enumerate(files):
        database.execute("CREATE OR REPLACE TABLE rows AS SELECT * FROM read_parquet(?)", [file])
        began = time.process_time()
        database.execute(f"COPY rows TO '{target}/{number}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)")
        seconds += time.process_time() - began
    return seconds


def clickhouse(files, target):
    """None where it is not there."""
    python = os.path.join(os.path.dirname(__file__), "../../.cache/engines/bin/python")
    if not os.path.exists(python):
        return None
    seconds = 0
    for number, file in enumerate(files):
        done = subprocess.run([python, "-c", CLICKHOUSE, file, f"{target}/{number}.parquet"], check=True, capture_output=True, text=True, cwd="/")
        seconds += float(done.stdout)
    return seconds


def main():
    k2, store, folder = (os.path.abspath(argument) for argument in sys.argv[1:])
    told, seconds, memory_mib, files = export(k2, store, folder)
    rows = told["rows_added"]
    figures = {"K2": (seconds, told["bytes_added"])}
    for name, write in (("PyArrow", pyarrow), ("DuckDB", duck), ("ClickHouse", clickhouse)):
        target = f"{folder}/{name}"
        os.makedirs(target)
        spent = write(files, target)
        if spent is not None:
            figures[name] = (spent, sum(os.path.getsize(file) for file in glob.glob(f"{target}/*.parquet")))
    smallest = min(size for name, (_, size) in figures.items() if name != "K2")
    print(f"{rows} rows as {len(files)} Parquet files, of a store to an Iceberg table:")
    for name, (spent, size) in figures.items():
        what = "Parquet export from the store" if name == "K2" else "the same rows from memory"
        print(f"{what}, {name}\t{rows / spent / 1e6:.2f} M rows/s, {size / rows:.2f} bytes a row\t"
              + (f"5 M rows/s, {smallest * 1.1 / rows:.2f} bytes a row" if name == "K2" else ""))
    print(f"memory of the export\t{memory_mib:.0f} MiB\t256 MiB")


main()
