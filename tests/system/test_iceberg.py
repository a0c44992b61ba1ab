"""Iceberg tables that `k2 export` makes: foreign readers find in them what `k2 query` says, and K2 goes on beside other writers."""
import csv
import json
import os
import subprocess
import time
import zipfile
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pytest
from pyiceberg.table import StaticTable

import iceberg_readers as readers
from test_parquet import (JSON_NAMES, K2, KINDS, MAPS, NUMBERS, ROWS, checksum, k2, kinds_rows, load, objects, shared, spoken, sums, told, without_datetimes)

BOOK = ["sequence", "price", "quantity"]
TORTURE = os.environ.get("K2_TEST_TIER") == "torture"
COLUMNS = {**NUMBERS, "book": BOOK}


def export(store, warehouse, *options):
    return {item["table"]: item for item in json.loads(k2("export", "--data", store, "--warehouse", warehouse, "--format", "json", *options))}


def rows_of(arrow):
    """Rows of a scan in the words of `k2 query`; µs and ns must agree."""
    rows = []
    for row in without_datetimes(arrow).to_pylist():
        out = {}
        for name, value in row.items():
            if name.endswith("_ns") and name[:-3] in row:
                assert row[name[:-3]] == (value // 1000 if value is not None else None), name
                out[name[:-3]] = value
            elif name + "_ns" not in row:
                out[name] = spoken(name, value)
        rows.append(out)
    return rows


def by_key(rows):
    return sorted(rows, key=lambda r: (r["timestamp"], r["exchange"].encode(), r["symbol"].encode(), r["epoch"], r["sequence"]))


def same_rows(warehouse, store, name, *json_names):
    wanted, found = told(store, name), by_key(objects(rows_of(readers.table(warehouse, name).scan().to_arrow()), *json_names))
    assert len(found) == len(wanted)
    assert found[:1] == wanted[:1] and found[-1:] == wanted[-1:]
    assert checksum(found) == checksum(wanted)
    return wanted


def load_book(store, folder):
    """Levels of a recorded book: an image, then changes."""
    path, count = f"{folder}/book.csv", 0
    with zipfile.ZipFile(shared("bybit-book/xrpusdt-ob500.data.zip")[0]) as archive, archive.open(archive.namelist()[0]) as lines, open(path, "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow("exchange,symbol,timestamp,action,side,price,quantity,first_update_id".split(","))
        for line in lines:
            message = json.loads(line)
            action = "snapshot" if message["type"] == "snapshot" else "update"
            for side, levels in (("BID", message["data"]["b"]), ("ASK", message["data"]["a"])):
                for price, quantity in levels:
                    rows.writerow(["BYBIT", message["data"]["s"], message["ts"] * 10**6, "delete" if quantity == "0" else action, side, price, quantity, message["data"].get("u")])
                    count += 1
            if count > 15000:
                break
    load(store, "book", [path])


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Trades, quotes and a book in a store, exported in two steps; the second one brings late rows."""
    home = tmp_path_factory.mktemp("iceberg")
    store, warehouse = f"{home}/data", f"{home}/warehouse"
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/7181.csv"), "--exchange", "ASX", "--symbol", "DVN", "--map", f"{MAPS}/asx-{table}.map")
        load(store, table, shared(f"lean/equity/usa/tick/ibm/20131007_{table[:-1]}.zip"), "--map", f"{MAPS}/lean-equity-{table}.map", "--exchange", "NYSE")
    first = export(store, warehouse)
    assert set(first) == {"trades", "quotes"} and all(item["files_added"] > 0 for item in first.values())
    for table in ("trades", "quotes"):
        load(store, table, shared(f"asx/{table}/3153.csv"), "--exchange", "ASX", "--symbol", "MWR", "--map", f"{MAPS}/asx-{table}.map")
    load_book(store, home)
    second = export(store, warehouse)
    assert set(second) == {"trades", "quotes", "book"}
    for table in ("trades", "quotes"):
        assert second[table]["rows_added"] > 0
    return store, warehouse, second


@pytest.mark.parametrize("name", ["trades", "quotes", "book"])
def test_every_reader_finds_the_same(market, name):
    store, warehouse, exported = market
    rows, numbers, location = same_rows(warehouse, store, name, *JSON_NAMES), COLUMNS[name], exported[name]["metadata"]
    table = StaticTable.from_metadata(location)
    assert table.metadata.current_snapshot().summary["total-records"] == str(len(rows))
    assert all(task.file.sort_order_id == 1 for task in table.scan().plan_files())
    wanted = sums(rows, numbers)
    found = readers.duck([f"SELECT {readers.aggregates(numbers)} FROM iceberg_scan('{place}')" for place in (location, f"{warehouse}/k2/{name}")])
    assert [readers.numbers_of(result[0]) for result in found] == [wanted, wanted]
    assert readers.polars(location, numbers) == wanted
    price = numbers[1]
    bird = readers.icebird(f"file://{warehouse}/k2/{name}", os.path.basename(location), price)
    if bird is None:
        print("skipped: icebird is not there")
    else:
        assert (bird["rows"], bird["nulls"]) == (len(rows), sum(r[price] is None for r in rows))
        assert abs(bird["sum"] - float(wanted[numbers.index(price) * 4 + 4])) < 1e-6 * bird["sum"]
        assert int(bird["ns"]) == sum(r["timestamp"] for r in rows)


@pytest.mark.parametrize("name", ["trades", "quotes", "book"])
def test_filters_find_the_same(market, name):
    store, warehouse, exported = market
    rows, numbers, location = told(store, name), COLUMNS[name], exported[name]["metadata"]
    price, table = numbers[1], StaticTable.from_metadata(exported[name]["metadata"])
    prices = sorted(Decimal(r[price]) for r in rows if r[price] is not None)
    low, high = (prices[len(prices) // part].quantize(Decimal("1e-8")) for part in (3, 2))  # PyIceberg wants the scale
    middle = rows[len(rows) // 2]["timestamp"] // 1000 * 1000
    symbol = rows[-1]["symbol"]
    cases = [
        (f"{price} >= {low} AND {price} <= {high}", f"{price} >= {low} and {price} <= {high}",
         lambda pl: (pl.col(price) >= low) & (pl.col(price) <= high), lambda r: r[price] is not None and low <= Decimal(r[price]) <= high),
        (f"symbol = '{symbol}'", f"symbol == '{symbol}'", lambda pl: pl.col("symbol") == symbol, lambda r: r["symbol"] == symbol),
        ("symbol = 'nothing'", "symbol == 'nothing'", lambda pl: pl.col("symbol") == "nothing", lambda r: False),
        (f"timestamp >= make_timestamptz({middle // 1000})", f"timestamp >= {middle // 1000}",
         lambda pl: pl.col("timestamp") >= pl.lit(middle // 1000).cast(pl.Datetime("us", "UTC")), lambda r: r["timestamp"] >= middle),
        (f"timestamp_ns < {middle}", f"timestamp_ns < {middle}", lambda pl: pl.col("timestamp_ns") < middle, lambda r: r["timestamp"] < middle),
    ]
    found = readers.duck([f"SELECT {readers.aggregates(numbers)} FROM iceberg_scan('{location}') WHERE {case[0]}" for case in cases])
    for (_, ice, polar, test), duck in zip(cases, found):
        wanted = [r for r in rows if test(r)]
        assert readers.numbers_of(duck[0]) == sums(wanted, numbers), ice
        assert readers.polars(location, numbers, polar) == sums(wanted, numbers), ice
        if not ice.startswith("timestamp >="):
            assert checksum(objects(rows_of(table.scan(row_filter=ice).to_arrow()), *JSON_NAMES)) == checksum(wanted), ice


def test_nothing_new_is_nothing_written(market):
    store, warehouse, exported = market
    before = sorted(os.path.join(at, name) for at, _, names in os.walk(warehouse) for name in names)
    again = export(store, warehouse)
    assert all((item["rows_added"], item["files_added"], item["metadata"]) == (0, 0, exported[name]["metadata"]) for name, item in again.items())
    assert sorted(os.path.join(at, name) for at, _, names in os.walk(warehouse) for name in names) == before


def test_hard_values_and_days(tmp_path):
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    exported = export(store, warehouse)["trades"]
    assert (exported["rows_added"], exported["files_added"]) == (5, 4)  # days of 1677, 1969, 1970, 2262
    rows = same_rows(warehouse, store, "trades", *JSON_NAMES)
    table = readers.table(warehouse, "trades")
    days = sorted(task.file.partition[0] for task in table.scan().plan_files())
    assert days == [r["timestamp"] // (86400 * 10**9) for r in rows if r["sequence"] != 1 or r["side"] == "BUY"]
    price = NUMBERS["trades"]
    location = exported["metadata"]
    queries = [f"SELECT {readers.aggregates(price)} FROM iceberg_scan('{location}')",
               f"SELECT trade_id FROM iceberg_scan('{location}') ORDER BY timestamp_ns",
               f"SELECT count(*) FROM iceberg_scan('{location}') WHERE trade_id = '{'é' * 500}'",
               f"SELECT count(*) FROM iceberg_scan('{location}') WHERE price = -9999999999.99999999",
               f"SELECT count(*) FROM iceberg_scan('{location}') WHERE timestamp < make_timestamptz(0)"]
    all_rows, ids, long_id, least, early = readers.duck(queries)
    assert readers.numbers_of(all_rows[0]) == sums(rows, price) == readers.polars(location, price)
    assert [row[0] for row in ids] == [r["trade_id"] for r in rows]
    assert (long_id, least, early) == ([["1"]], [["1"]], [["3"]])
    assert [r["timestamp_ns"] for r in table.scan(row_filter="price == 9999999999.99999999").to_arrow().select(["timestamp_ns"]).to_pylist()] == [-1000]


def test_every_kind_and_new_columns(tmp_path):
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    (tmp_path / "kinds.avsc").write_text(json.dumps(KINDS))
    (tmp_path / "rows.ndjson").write_text("".join(json.dumps(row) + "\n" for row in kinds_rows(3000)))
    load(store, "kinds", [f"{tmp_path}/rows.ndjson"], "--schema", f"{tmp_path}/kinds.avsc")
    export(store, warehouse, "--table", "kinds")

    def found():
        rows = objects(rows_of(readers.table(warehouse, "kinds").scan().to_arrow()), "tags")
        for row in rows:
            row["id"] = None if row["id"] is None else str(row["id"])
        return by_key(rows)
    rows = told(store, "kinds")
    assert found() == rows
    newer = json.loads(json.dumps(KINDS))
    newer["fields"].append({"name": "extra", "type": ["null", "string"], "default": None})
    (tmp_path / "newer.avsc").write_text(json.dumps(newer))
    row = {"exchange": "X", "symbol": "S1", "timestamp": 5, "sequence": 10**6, "extra": "new", "sure": True}
    (tmp_path / "more.ndjson").write_text(json.dumps(row) + "\n")
    load(store, "kinds", [f"{tmp_path}/more.ndjson"], "--schema", f"{tmp_path}/newer.avsc")
    exported = export(store, warehouse, "--table", "kinds")["kinds"]
    assert exported["rows_added"] == 1
    assert found() == told(store, "kinds")
    assert readers.duck([f"SELECT count(extra), count(*) FROM iceberg_scan('{exported['metadata']}')"]) == [[["1", "3001"]]]
    newest = json.loads(json.dumps(newer))  # rows of old have the default: they are written anew
    newest["fields"].append({"name": "size", "type": "int", "default": 7})
    (tmp_path / "newest.avsc").write_text(json.dumps(newest))
    row.update(sequence=10**6 + 1, size=9)
    (tmp_path / "last.ndjson").write_text(json.dumps(row) + "\n")
    load(store, "kinds", [f"{tmp_path}/last.ndjson"], "--schema", f"{tmp_path}/newest.avsc")
    assert export(store, warehouse, "--table", "kinds")["kinds"]["rows_added"] == 3002
    assert found() == told(store, "kinds")


def test_past_states_ranges_and_all_anew(tmp_path):
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    snapshots = []
    for seed in (1, 2, 3):
        k2("simulate", "--rows", 3000, "--symbols", 3, "--seed", seed, "--to", f"{tmp_path}/rows.csv")
        load(store, "trades", [f"{tmp_path}/rows.csv"])
        snapshots.append(json.loads(k2("snapshots", "--data", store, "--limit", 1, "--format", "json"))[0]["snapshot"])
    counts = [len(told(store, "trades", "--as-of", str(at))) for at in snapshots]
    steps = [export(store, warehouse, "--as-of", str(at))["trades"] for at in (snapshots[1], snapshots[0], snapshots[2])]
    assert [step["rows_added"] for step in steps] == [counts[1], 0, counts[2] - counts[1]]
    same_rows(warehouse, store, "trades", *JSON_NAMES)
    whole = export(store, warehouse, "--full", "--as-of", str(snapshots[0]))["trades"]
    assert whole["rows_added"] == counts[0] == readers.table(warehouse, "trades").scan().to_arrow().num_rows
    assert export(store, warehouse)["trades"]["rows_added"] == counts[2] - counts[0]
    rows = same_rows(warehouse, store, "trades", *JSON_NAMES)
    middle = rows[len(rows) // 2]["timestamp"]
    ranged = f"{tmp_path}/ranged"
    export(store, ranged, "--start", str(middle), "--as-of", str(snapshots[0]))
    export(store, ranged)
    assert readers.table(ranged, "trades").scan().to_arrow().num_rows == sum(r["timestamp"] >= middle for r in rows)


def test_other_writers(tmp_path):
    """PyIceberg appends, deletes and expires; K2 exports beside it."""
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    k2("simulate", "--rows", 2000, "--symbols", 4, "--seed", 5, "--to", f"{tmp_path}/rows.csv")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    export(store, warehouse)
    table = readers.table(warehouse, "trades")
    foreign = table.scan(limit=3).to_arrow()
    foreign = foreign.set_column(foreign.schema.get_field_index("exchange"), foreign.schema.field("exchange"), pa.array(["FOREIGN"] * 3))
    table.append(foreign)
    table.delete("symbol == 'S00001'")
    left = table.scan().to_arrow().num_rows
    assert 3 <= left < 2003
    k2("simulate", "--rows", 500, "--symbols", 4, "--seed", 6, "--to", f"{tmp_path}/more.csv")
    load(store, "trades", [f"{tmp_path}/more.csv"])
    added = export(store, warehouse)["trades"]["rows_added"]
    table = readers.table(warehouse, "trades")
    assert table.scan().to_arrow().num_rows == left + added
    table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in table.metadata.snapshots[:-1]]).commit()
    k2("simulate", "--rows", 300, "--symbols", 4, "--seed", 7, "--to", f"{tmp_path}/more.csv")
    load(store, "trades", [f"{tmp_path}/more.csv"])
    more = export(store, warehouse)["trades"]
    assert readers.table(warehouse, "trades").scan().to_arrow().num_rows == left + added + more["rows_added"]
    assert readers.duck([f"SELECT count(*) FROM iceberg_scan('{more['metadata']}')"]) == [[[str(left + added + more["rows_added"])]]]


def care(store, warehouse, action, *options, code=0):
    done = subprocess.run([K2, "iceberg", action, "--data", store, "--warehouse", warehouse, "--format", "json", *options], capture_output=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)[0]


def test_care_of_tables(tmp_path):
    """Small files and manifests become few, old snapshots and strays go; the rows stay, as `verify` and others see them."""
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    for seed in range(12):
        k2("simulate", "--rows", 800, "--symbols", 5, "--seed", seed, "--to", f"{tmp_path}/rows.csv")
        load(store, "trades", [f"{tmp_path}/rows.csv"])
        export(store, warehouse)
    rows = same_rows(warehouse, store, "trades", *JSON_NAMES)
    status = care(store, warehouse, "status")
    assert (status["rows"], status["files"], status["manifests"], status["iceberg_snapshots"]) == (len(rows), 12, 12, 12)
    sound = care(store, warehouse, "verify")
    assert sound["ok"] and sound["rows"] == sound["store_rows"] == len(rows)
    compacted = care(store, warehouse, "compact")
    assert (compacted["files_before"], compacted["files_after"], compacted["rows"]) == (12, 1, len(rows))
    assert readers.table(warehouse, "trades").metadata.current_snapshot().summary.operation.value == "replace"
    assert care(store, warehouse, "verify")["checksum"] == sound["checksum"]
    expired = care(store, warehouse, "expire", "--older-than", "0s", "--keep", "2")
    assert (expired["snapshots_removed"], expired["iceberg_snapshots"]) == (11, 2)
    assert care(store, warehouse, "expire", "--older-than", "0s", "--keep", "1")["snapshots_removed"] == 1
    stray = f"{warehouse}/k2/trades/data/stray.parquet"
    open(stray, "w").close()
    assert care(store, warehouse, "orphans")["files_removed"] == 0  # it may belong to a commit that is under way
    assert care(store, warehouse, "orphans", "--older-than", "0s", "--dry-run")["files_found"] == 1
    assert care(store, warehouse, "orphans", "--older-than", "0s")["files_removed"] == 1
    files = [name for at, _, names in os.walk(f"{warehouse}/k2/trades/data") for name in names]
    assert len(files) == 1
    manifests = [name for name in os.listdir(f"{warehouse}/k2/trades/metadata") if name.endswith(".avro")]
    assert len(manifests) == 1 + care(store, warehouse, "status")["manifests"] <= 3
    same_rows(warehouse, store, "trades", *JSON_NAMES)
    location = readers.table(warehouse, "trades").metadata_location
    assert readers.duck([f"SELECT count(*) FROM iceberg_scan('{location}')"]) == [[[str(len(rows))]]]


def test_small_files_of_real_size(tmp_path):
    """A day of more than 256 MiB in many small files becomes files of 128 MiB and more, in bounded memory."""
    if not TORTURE:
        pytest.skip("torture: writes 2 GB")
    store, warehouse, rows, totals = f"{tmp_path}/data", f"{tmp_path}/warehouse", 0, {"price": Decimal(0), "quantity": Decimal(0)}
    kinds = {name: pa.decimal128(18, 8) for name in totals}
    part = 700000

    def run(*arguments):
        """Its answer, and the most memory it took, in MiB; ru_maxrss would count what this process had when it began."""
        child = subprocess.Popen([K2, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        most = 0
        while child.poll() is None:
            with open(f"/proc/{child.pid}/status") as status:
                most = max([most] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
            time.sleep(0.02)
        assert child.returncode == 0, arguments
        return json.loads(child.stdout.read()), most / 1024

    begun = time.monotonic()
    small, memory = 0, 0
    for number in range(24):
        path = f"{tmp_path}/part.csv"
        k2("simulate", "--rows", part, "--symbols", 1000, "--seed", 100 + number, "--to", path) # all begin with the same day
        read = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(include_columns=list(totals), column_types=kinds))
        for name in totals:
            totals[name] += pa.compute.sum(read[name].cast(pa.decimal128(38, 8))).as_py()
        load(store, "trades", [path])
        os.unlink(path)
        (told_now,), most = run("export", "--data", store, "--warehouse", warehouse, "--table", "trades", "--format", "json")
        assert told_now["rows_added"] == part
        rows, small, memory = rows + part, small + told_now["files_added"], max(memory, most)
    before = sorted(task.file.file_size_in_bytes for task in readers.table(warehouse, "trades").scan().plan_files())
    assert len(before) == small and sum(before) > 256 << 20 and before[-1] < 32 << 20
    k2("compact", "--data", store)
    (compacted,), most = run("iceberg", "compact", "--data", store, "--warehouse", warehouse, "--table", "trades", "--format", "json")
    assert compacted["rows"] == rows and most <= 256 and memory <= 256
    table = readers.table(warehouse, "trades")
    after = sorted((task.file.file_size_in_bytes for task in table.scan().plan_files()), reverse=True)
    assert len(after) == compacted["files_after"] and all(size >= 128 << 20 for size in after[:-1]) and len(after) >= 3
    print(f"{rows} rows: {len(before)} files of {sum(before) >> 20} MiB became {[size >> 20 for size in after]} MiB; export took {memory:.0f} MiB of "
          f"memory, compact {most:.0f} MiB; {time.monotonic() - begun:.0f} s in all")
    (sound,), most = run("iceberg", "verify", "--data", store, "--warehouse", warehouse, "--table", "trades", "--format", "json")
    assert sound["ok"] and sound["rows"] == sound["store_rows"] == rows
    print(f"verify took {most:.0f} MiB")
    for name, total in totals.items():
        found = sum((pa.compute.sum(batch[name].cast(pa.decimal128(38, 8))).as_py() for batch in
                     table.scan(selected_fields=(name,)).to_arrow_batch_reader() if batch.num_rows), Decimal(0))
        assert found == total, name
    ((count, price, quantity),) = readers.duck([f"SELECT count(*), sum(price), sum(quantity) FROM iceberg_scan('{table.metadata_location}')"])[0]
    assert (int(count), Decimal(price), Decimal(quantity)) == (rows, totals["price"], totals["quantity"])


def test_verify_tells_a_difference(tmp_path):
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    k2("simulate", "--rows", 500, "--symbols", 3, "--seed", 1, "--to", f"{tmp_path}/rows.csv")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    export(store, warehouse)
    table = readers.table(warehouse, "trades")
    arrow = table.scan().to_arrow()
    table.overwrite(arrow)  # the same rows, as PyArrow writes them
    assert care(store, warehouse, "verify")["ok"]
    at = arrow.schema.get_field_index("price")
    prices = arrow.column(at).to_pylist()
    prices[0], prices[-1] = prices[-1], prices[0]
    changed = arrow.set_column(at, arrow.schema.field(at), pa.array(prices, arrow.schema.field(at).type))
    table.overwrite(changed)  # the sums are the same
    assert prices[0] != prices[-1]
    assert "checksum" in care(store, warehouse, "verify", code=6)["difference"]
    table.overwrite(arrow.slice(1))
    assert care(store, warehouse, "verify", code=6)["difference"].startswith("rows: 499 in the table, 500")
    assert export(store, warehouse, "--full")["trades"]["rows_added"] == 500
    assert care(store, warehouse, "verify")["ok"]


def test_corrections_and_deletes(tmp_path):
    """Rows that were replaced or deleted leave the table: their days are written anew, the others stay."""
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    rows = [dict(exchange="X", symbol=f"S{at % 3}", timestamp=(at % 4) * 86400 * 10**9 + at, sequence=at, price=str(at), quantity="1") for at in range(400)]

    def put(changed, *options):
        with open(f"{tmp_path}/rows.csv", "w", newline="") as file:
            out = csv.DictWriter(file, rows[0])
            out.writeheader()
            out.writerows(changed)
        load(store, "trades", [f"{tmp_path}/rows.csv"], *options)

    def files():
        return {task.file.file_path for task in readers.table(warehouse, "trades").scan().plan_files()}
    put(rows)
    k2("policy", "--data", store, "--table", "trades", "--duplicates", "keep-last")
    export(store, warehouse)
    first = files()
    assert len(first) == 4
    put([{**row, "price": "-7.5"} for row in rows[:20] if row["sequence"] % 4 == 1] + [{**rows[0], "sequence": 1000, "timestamp": 2 * 86400 * 10**9}])
    export(store, warehouse)
    assert len(first & files()) == 3 and len(files()) == 5  # one day anew, one row appended to another
    assert readers.table(warehouse, "trades").metadata.current_snapshot().summary.operation.value == "overwrite"
    assert len(same_rows(warehouse, store, "trades", *JSON_NAMES)) == 401
    put([row for row in rows if row["sequence"] % 4 == 3], "--delete")  # all of a day
    export(store, warehouse)
    assert len(same_rows(warehouse, store, "trades", *JSON_NAMES)) == 301
    assert care(store, warehouse, "verify")["ok"]
    assert len(files()) == 4
    put([rows[3]])
    k2("compact", "--data", store)
    put([{**rows[3], "price": "5"}])
    export(store, warehouse)
    assert len(same_rows(warehouse, store, "trades", *JSON_NAMES)) == 302
    assert care(store, warehouse, "compact")["ok"] and care(store, warehouse, "verify")["ok"]


def test_retention_is_followed_when_asked(tmp_path):
    """What the store drops stays in the table, which then is compared from the next day on, or goes from it."""
    store, warehouse = f"{tmp_path}/data", f"{tmp_path}/warehouse"
    day = 86400 * 10**9
    if time.time_ns() % day > day - 60 * 10**9:
        time.sleep(61)  # the day that retention cuts is the same for the whole test
    today = time.time_ns() // day * day

    def put(days, sequence):
        """50 rows a day: half of them in its first nanoseconds, half in its last, so that now is between them."""
        with open(f"{tmp_path}/rows.csv", "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["exchange", "symbol", "timestamp", "sequence", "price", "quantity"])
            out.writerows(["X", "A", today - back * day + (at - 25) % day, sequence + at, at, 1] for back in days for at in range(50))
        load(store, "trades", [f"{tmp_path}/rows.csv"])

    def rows():
        return readers.table(warehouse, "trades").scan().to_arrow().num_rows

    put(range(10), 0)
    export(store, warehouse)
    k2("policy", "--data", store, "--table", "trades", "--retention", "5d")
    k2("retain", "--data", store)
    put([1], 1000)
    left = len(told(store, "trades"))
    assert left == 325  # of ten days five and a half, and another 50 rows
    assert export(store, warehouse)["trades"]["rows_added"] == 50
    assert rows() == 550
    kept = care(store, warehouse, "verify")
    assert kept["ok"] and kept["compared_from"] and kept["rows"] == kept["store_rows"] < left
    older = export(store, warehouse, "--retention", "follow", "--as-of", "1")["trades"]
    assert older["rows_added"] == 0 and rows() == 550
    export(store, warehouse, "--retention", "follow")
    assert rows() == left
    followed = care(store, warehouse, "verify")
    assert followed["ok"] and followed["rows"] == left and "compared_from" not in followed
    before = readers.table(warehouse, "trades").metadata.current_snapshot_id
    export(store, warehouse)
    assert readers.table(warehouse, "trades").metadata.current_snapshot_id == before
    k2("policy", "--data", store, "--table", "trades", "--retention", "3d")
    k2("retain", "--data", store)
    export(store, warehouse)  # the table says that it follows
    assert rows() == len(told(store, "trades")) < left
    assert care(store, warehouse, "verify")["ok"]
