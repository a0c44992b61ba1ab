"""The same rows and the same work in DuckDB: sizes by column in Parquet with zstd, and times.

usage: duckdb_peer.py K2 STORE FOLDER        prints lines `what<TAB>figure`
"""
import json
import os
import random
import statistics
import subprocess
import sys
import time

import duckdb

COLUMNS = {
    "symbol": "VARCHAR", "timestamp": "BIGINT", "sequence": "BIGINT", "price": "DECIMAL(18,8)",
    "quantity": "DECIMAL(18,8)", "side": "VARCHAR", "trade_id": "VARCHAR", "trade_conditions": "VARCHAR",
    "ingestion_timestamp": "BIGINT", "vendor_data": "VARCHAR",
}
HOUR_NS = 3600 * 10**9


def seconds(work, turns=5):
    """The best of a few turns: both sides are measured warm."""
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def say(what, figure):
    print(f"{what}\t{figure}", flush=True)


def sizes(database, parquet, rows, stats):
    told = database.execute(
        "SELECT path_in_schema, sum(total_compressed_size) FROM parquet_metadata(?) GROUP BY 1", [parquet]).fetchall()
    peer = dict(told)
    for column, figures in stats["columns"].items():
        if column in peer or figures["bytes"] > 0.001 * rows:
            say(f"bytes per row: {column}", f"K2 {figures['bytes'] / rows:6.3f}   Parquet+zstd {peer.get(column, 0) / rows:6.3f}")
    say("bytes per row: all", f"K2 {stats['bytes'] / rows:6.3f}   Parquet+zstd {os.path.getsize(parquet) / rows:6.3f}")


def queries(database, parquet, rows):
    for name, source in (("DuckDB own file", "trades"), ("DuckDB on Parquet", f"read_parquet('{parquet}')")):
        every = ", ".join(f"max({c})" for c in COLUMNS if has(database, c))
        for what, sql in (
                ("scan of all columns (max of each)", f"SELECT {every} FROM {source}"),
                ("sum(price) by symbol", f"SELECT symbol, sum(price) FROM {source} GROUP BY symbol"),
                ("1-minute candles", "SELECT symbol, timestamp // 60000000000, arg_min(price, (timestamp, sequence)), max(price), min(price), "
                 f"arg_max(price, (timestamp, sequence)), sum(quantity), count(*) FROM {source} GROUP BY ALL"),
                ("last trade of each symbol", f"SELECT symbol, arg_max((price, quantity), (timestamp, sequence)) FROM {source} GROUP BY symbol"),
                ("VWAP by symbol", f"SELECT symbol, sum(CAST(price AS DOUBLE) * CAST(quantity AS DOUBLE)) / sum(quantity) FROM {source} GROUP BY symbol")):
            spent = seconds(lambda: database.execute(sql).fetchall(), 3)
            say(f"{what}: {name}", f"{rows / spent / 1e6:.1f} M rows/s" if "last" not in what else f"{spent * 1e3:.1f} ms")
        points(database, name, source)


def has(database, column):
    return column in [d[0] for d in database.execute("SELECT * FROM trades LIMIT 0").description]


def points(database, name, source):
    chance = random.Random(7)
    keys = database.execute("SELECT symbol, timestamp, sequence FROM trades USING SAMPLE 200 ROWS (reservoir, 7)").fetchall()
    for what, sql, arguments in (
            ("one symbol one hour, 5 columns", f"SELECT timestamp, sequence, price, quantity, side FROM {source} WHERE symbol = ? AND timestamp >= ? AND timestamp < ?",
             lambda k: [k[0], k[1], k[1] + HOUR_NS]),
            ("point lookup by key", f"SELECT price FROM {source} WHERE symbol = ? AND timestamp = ? AND sequence = ?", list)):
        times = []
        for key in chance.choices(keys, k=100):
            began = time.perf_counter()
            database.execute(sql, arguments(key)).fetchall()
            times.append((time.perf_counter() - began) * 1e6)
        times.sort()
        say(f"{what}: {name}", f"p50 {statistics.median(times):.0f} us, p99 {times[98]:.0f} us")


def main():
    k2, store, folder = sys.argv[1:4]
    index = json.loads(subprocess.check_output([k2, "stats", "--data", store, "--format", "json"]))
    stats = index["tables"]["trades"]
    say("index", f"{index['index_bytes']} bytes, {100 * index['index_bytes'] / max(stats['bytes'], 1):.2f} % of the data\t<= 0.2 % from 10 K rows/s on")
    first = seconds(lambda: subprocess.check_call([k2, "query", "--data", store, "--table", "trades", "--limit", "1"],
                                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), 20)
    say("k2 query --limit 1, a new process, its start included", f"{first * 1e3:.1f} ms\t<= 2 ms from opening on")
    rows = stats["rows"]
    wanted = [c for c in COLUMNS if stats["columns"].get(c, {}).get("bytes", 0) > 0 or c == "symbol"]
    exported, parquet = os.path.join(folder, "rows.csv"), os.path.join(folder, "rows.parquet")
    with open(exported, "wb") as out:
        began = time.perf_counter()
        subprocess.check_call([k2, "query", "--data", store, "--table", "trades", "--fields", ",".join(wanted), "--time", "ns",
                               "--format", "csv"], stdout=out, stderr=subprocess.DEVNULL)
        say("k2 query --format csv, in time order", f"{rows / (time.perf_counter() - began) / 1e6:.2f} M rows/s")
    database = duckdb.connect(os.path.join(folder, "peer.duckdb"))
    database.execute("SET threads = 1")
    database.execute("SET preserve_insertion_order = false")
    types = ", ".join(f"'{c}': '{COLUMNS[c]}'" for c in wanted)
    database.execute(f"CREATE TABLE trades AS SELECT * FROM read_csv('{exported}', header = true, columns = {{{types}}}) "
                     "ORDER BY symbol, timestamp, sequence")
    database.execute("CHECKPOINT")
    database.execute(f"COPY trades TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
    os.unlink(exported)
    say("DuckDB", duckdb.__version__ + ", 1 thread")
    sizes(database, parquet, rows, stats)
    say("bytes per row: DuckDB own file", f"{os.path.getsize(os.path.join(folder, 'peer.duckdb')) / rows:6.3f}")
    queries(database, parquet, rows)


main()
