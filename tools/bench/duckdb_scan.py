"""The work of bench_scan in DuckDB, on the rows of its store, and whether both have the same answers.

usage: duckdb_scan.py K2 STORE ANSWERS FOLDER        prints lines `what<TAB>figure`; 1: answers differ

ANSWERS is what bench_scan wrote (K2_BENCH_ANSWERS). Rates are rows by processor time, of one thread.
"""
import os
import random
import statistics
import subprocess
import sys
import time

import duckdb

HOUR_NS = 3600 * 10**9
TURNS = 2


def say(what, figure):
    print(f"{what}\t{figure}", flush=True)


def rate(database, sql, rows):
    """The best of a few turns, and the answer."""
    best = None
    for _ in range(TURNS):
        began = time.process_time()
        answer = database.execute(sql).fetchall()[0][0]
        spent = time.process_time() - began
        best = spent if best is None else min(best, spent)
    return rows / best / 1e6, best, answer


def prepare(k2, store, folder):
    """The rows as they leave the store, then sorted, in DuckDB's own file and in Parquet."""
    exported, own, parquet = (os.path.join(folder, name) for name in ("rows.parquet", "rows.duckdb", "sorted.parquet"))
    subprocess.check_call([k2, "export", "--data", store, "--table", "ticks", "--parquet", exported],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    database = duckdb.connect(own)
    database.execute(f"SET temp_directory = '{folder}/spill'")
    database.execute("SET memory_limit = '6GB'")
    database.execute("SET preserve_insertion_order = false")
    database.execute("CREATE TABLE ticks AS SELECT symbol, timestamp_ns AS timestamp, sequence, price, quantity, side, trade_id, "
                     f"received_ns AS received FROM read_parquet('{exported}') ORDER BY symbol, timestamp, sequence")
    os.unlink(exported)
    database.execute("CHECKPOINT")
    database.execute(f"COPY ticks TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
    database.execute("SET threads = 1")
    return database, own, parquet


def candles(source, interval_ns):
    inner = (f"SELECT timestamp // {interval_ns} AS slot, arg_min(price, timestamp) AS o, max(price) AS h, min(price) AS l, "
             f"arg_max(price, timestamp) AS c, sum(quantity) AS volume FROM {source} GROUP BY symbol, slot")
    return f"SELECT sum((o + 2 * h + 3 * l + 4 * c) * 100 * (slot % 1009 + 1) + volume) FROM ({inner})"


WEIGHT = "(CAST(substr(symbol, 2) AS BIGINT) + 1)"


def queries(source):
    columns = ", ".join(f"max({c})" for c in ("symbol", "timestamp", "sequence", "price", "quantity", "side", "trade_id", "received"))
    return (
        ("8 columns (max of each)", None, f"SELECT {columns} FROM {source}"),
        ("sum(price) by symbol", "sum", f"SELECT sum({WEIGHT} * s) * 100 FROM (SELECT symbol, sum(price) AS s FROM {source} GROUP BY symbol)"),
        ("VWAP by symbol", None, f"SELECT sum(v) FROM (SELECT sum(CAST(price AS DOUBLE) * CAST(quantity AS DOUBLE)) / sum(quantity) AS v "
         f"FROM {source} GROUP BY symbol)"),
        ("1-minute candles", "candles_1m", candles(source, HOUR_NS // 60)),
        ("1-hour candles", "candles_1h", candles(source, HOUR_NS)),
        ("last row of each symbol", "last", f"SELECT sum({WEIGHT} * (p * 100 + q)) FROM (SELECT symbol, arg_max(price, timestamp) AS p, "
         f"arg_max(quantity, timestamp) AS q FROM {source} GROUP BY symbol)"),
    )


def points(database, source, name, rows):
    chance = random.Random(7)
    keys = database.execute(f"SELECT symbol, timestamp, sequence FROM {source} LIMIT 50 OFFSET {rows // 3}").fetchall()
    for what, sql, arguments in (
            ("one symbol one hour, 5 columns", "SELECT timestamp, sequence, price, quantity, side FROM {} WHERE symbol = ? AND timestamp >= ? AND timestamp < ?",
             lambda k: [k[0], k[1], k[1] + HOUR_NS]),
            ("one row by key", "SELECT price FROM {} WHERE symbol = ? AND timestamp = ? AND sequence = ?", list)):
        times = []
        for key in chance.choices(keys, k=25):
            began = time.perf_counter()
            database.execute(sql.format(source), arguments(key)).fetchall()
            times.append((time.perf_counter() - began) * 1e6)
        say(f"{what}: {name}", f"p50 {statistics.median(times):.0f} us")


def main():
    k2, store, answers, folder = sys.argv[1:5]
    with open(answers) as file:
        expected = {name: int(value) for name, value in (line.split() for line in file)}
    database, own, parquet = prepare(k2, store, folder)
    rows = database.execute("SELECT count(*) FROM ticks").fetchone()[0]
    differ = False
    say("DuckDB", f"{duckdb.__version__}, 1 thread, {rows} rows: own file {os.path.getsize(own) / rows:.2f} bytes a row, "
        f"Parquet with zstd {os.path.getsize(parquet) / rows:.2f}")
    for name, source in (("own file", "ticks"), ("Parquet", f"read_parquet('{parquet}')")):
        for what, check, sql in queries(source):
            speed, spent, answer = rate(database, sql, rows)
            same = check is None or int(answer) == expected.get(check, int(answer))
            differ = differ or not same
            say(f"{what}: {name}", (f"{spent * 1e3:.1f} ms" if what.startswith("last") else f"{speed:.1f} M rows/s")
                + ("" if check is None or check not in expected else ", same answer" if same else ", NOT the same answer"))
        points(database, source, name, rows)
    exact = database.execute(f"SELECT sum({WEIGHT} * a) FROM (SELECT symbol, sum(CAST(price * 100 AS HUGEINT) * CAST(quantity AS HUGEINT)) "
                             "AS a FROM ticks GROUP BY symbol)").fetchone()[0]
    if "vwap" in expected:
        same = int(exact) == expected["vwap"]
        differ = differ or not same
        say("sum(price * quantity) by symbol, exact", "same answer" if same else "NOT the same answer")
    return 1 if differ else 0


sys.exit(main())
