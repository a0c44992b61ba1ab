"""Parquet files as foreign readers see them: PyArrow and DuckDB read what K2 says with `k2 query`."""
import csv
import hashlib
import io
import json
import os
import subprocess
import urllib.request
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
K2 = f"{ROOT}/build/k2"
DATA = os.path.abspath(os.path.join(ROOT, "..", "shared", "data"))
MAPS = f"{ROOT}/tools/maps"

def nullable(kind):
    return {"type": ["null", kind], "default": None}


KINDS = {
    "type": "record", "name": "Kinds", "k2.table": "kinds",
    "fields": [
        {"name": "exchange", "type": "string", "k2.role": "exchange", "k2.kind": "symbolic"},
        {"name": "symbol", "type": "string", "k2.role": "symbol", "k2.kind": "symbolic"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-nanos"}, "k2.role": "timestamp"},
        {"name": "sequence", "type": "long", "k2.role": "sequence"},
        {"name": "tiny", "k2.kind": "int8", **nullable("int")},
        {"name": "small", "k2.kind": "int16", **nullable("int")},
        {"name": "middle", **nullable("int")},
        {"name": "large", **nullable("long")},
        {"name": "money", **nullable({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2})},
        {"name": "seen", **nullable({"type": "long", "logicalType": "timestamp-nanos"})},
        {"name": "flag", **nullable("boolean")},
        {"name": "share", **nullable("double")},
        {"name": "word", "k2.kind": "symbolic", **nullable("string")},
        {"name": "text", **nullable("string")},
        {"name": "id", **nullable({"type": "string", "logicalType": "uuid"})},
        {"name": "tags", **nullable({"type": "array", "items": "string"})},
        {"name": "sure", "type": "boolean", "default": False},
        {"name": "empty", **nullable("string")},
    ],
}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def k2(*arguments):
    return run(K2, *map(str, arguments))


def load(store, table, files, *options):
    k2("load", "--data", store, "--table", table, *files, *options)


def shared(*paths):
    files = [os.path.join(DATA, path) for path in paths]
    if not all(map(os.path.exists, files)):
        message = f"{DATA} is not there"
        pytest.fail(message) if os.environ.get("CI") == "true" and os.path.isdir(DATA) else pytest.skip(message)
    return files


def told(store, table, *options):
    """The rows of `k2 query`: dicts of texts, None where null."""
    text = k2("query", "--data", store, "--table", table, "--format", "ndjson", "--time", "ns", *options)
    return [json.loads(line) for line in text.splitlines()]


def export(store, table, path, *options):
    report = json.loads(k2("export", "--data", store, "--table", table, "--parquet", path, "--format", "json", *options))
    assert report["bytes"] == os.path.getsize(path)
    return report["rows"]


def spoken(field, value):
    """A value of PyArrow as `k2 query` prints it."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text in ("-0", "") else text
    return value


def checksum(rows):
    """Of rows in any order."""
    return sum(int.from_bytes(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()[:8], "big") for row in rows)


def read(path, **options):
    """The rows of a file with PyArrow, in the words of `k2 query`; µs and ns must agree."""
    table = pq.read_table(path, **options)
    table.validate(full=True)
    rows = []
    for row in table.to_pylist() if not has_times(table) else without_datetimes(table).to_pylist():
        out = {}
        for name, value in row.items():
            if name.endswith("_ns") and name[:-3] in row:
                us = row[name[:-3]]
                assert us == (value // 1000 if value is not None else None), name
                out[name[:-3]] = value
            elif name + "_ns" not in row:
                out[name] = spoken(name, value)
        rows.append(out)
    return rows


def has_times(table):
    return any(pa.types.is_timestamp(field.type) for field in table.schema)


def without_datetimes(table):
    """Microseconds as integers: Python's datetime ends in the year 9999 and begins in 1."""
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            assert (field.type.unit, field.type.tz) == ("us", "UTC")
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    return table


def objects(rows, *names):
    """JSON columns come as texts."""
    return [{n: json.loads(v) if n in names and v is not None else v for n, v in row.items()} for row in rows]


def same(path, rows, *json_names, ordered=True):
    found = objects(read(path), *json_names)
    assert len(found) == len(rows)
    if ordered:
        assert found[:1] == rows[:1] and found[-1:] == rows[-1:]
    assert checksum(found) == checksum(rows)


def sums(rows, numbers):
    """count, and per column nulls, min, max, sum."""
    result = [len(rows)]
    for name in numbers:
        values = [Decimal(row[name]) for row in rows if row[name] is not None]
        result += [len(rows) - len(values), min(values, default=None), max(values, default=None), sum(values) if values else None]
    return result


def duck(path, numbers, where="true"):
    columns = ", ".join(f'count(*) - count("{n}"), min("{n}"), max("{n}"), sum("{n}")' for n in numbers)
    row = duckdb.sql(f"SELECT count(*), {columns} FROM read_parquet('{path}') WHERE {where}").fetchone()
    return [row[0]] + [None if v is None else Decimal(v) for v in row[1:]]


NUMBERS = {"trades": ["sequence", "price", "quantity"], "quotes": ["sequence", "bid_price", "bid_quantity", "ask_price", "ask_quantity"]}
JSON_NAMES = ("trade_conditions", "vendor_data")


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Trades and quotes of two markets."""
    store = f"{tmp_path_factory.mktemp('market')}/data"
    asx = {"BHP": "7078.csv", "DVN": "7181.csv", "MWR": "3153.csv"}
    for table in ("trades", "quotes"):
        for symbol, name in asx.items():
            load(store, table, shared(f"asx/{table}/{name}"), "--exchange", "ASX", "--symbol", symbol, "--map", f"{MAPS}/asx-{table}.map")
        kind = table[:-1]
        load(store, table, shared(f"lean/equity/usa/tick/ibm/20131007_{kind}.zip"), "--map", f"{MAPS}/lean-equity-{table}.map", "--exchange", "NYSE")
    return store


@pytest.mark.parametrize("table", ["trades", "quotes"])
def test_real_rows_are_the_same_in_every_reader(market, table, tmp_path):
    rows, path = told(market, table), f"{tmp_path}/rows.parquet"
    assert export(market, table, path) == len(rows) > 70000
    same(path, rows, *JSON_NAMES)
    assert duck(path, NUMBERS[table]) == sums(rows, NUMBERS[table])
    streamed = f"{tmp_path}/streamed.parquet"
    with open(streamed, "wb") as file:
        file.write(k2("query", "--data", market, "--table", table, "--format", "parquet"))
    assert pq.ParquetFile(streamed).metadata.num_row_groups == (len(rows) + 65535) // 65536
    assert pq.read_table(streamed).equals(pq.read_table(path))


@pytest.mark.parametrize("table", ["trades", "quotes"])
def test_filters_find_what_they_find_without_statistics(market, table, tmp_path):
    path, price = f"{tmp_path}/rows.parquet", NUMBERS[table][1]
    export(market, table, path, "--exchange", "ASX")
    rows = told(market, table, "--exchange", "ASX")
    for low, high in ((36, "36.5"), (0, 0), ("37.7", "37.7"), (1000, 2000)):
        wanted = [r for r in rows if r[price] is not None and Decimal(low) <= Decimal(r[price]) <= Decimal(high)]
        found = read(path, filters=(pc.field(price) >= Decimal(low)) & (pc.field(price) <= Decimal(high)))
        assert checksum(objects(found, *JSON_NAMES)) == checksum(wanted)
        assert duck(path, NUMBERS[table], f"{price} BETWEEN {low} AND {high}") == sums(wanted, NUMBERS[table])
    for symbol in ("BHP", "DVN", "nothing"):
        wanted = [r for r in rows if r["symbol"] == symbol]
        assert duck(path, NUMBERS[table], f"symbol = '{symbol}'") == sums(wanted, NUMBERS[table])
    middle = rows[len(rows) // 2]["timestamp"]
    wanted = [r for r in rows if r["timestamp"] >= middle]
    assert duck(path, NUMBERS[table], f"timestamp_ns >= {middle}") == sums(wanted, NUMBERS[table])
    assert duck(path, NUMBERS[table], f"timestamp >= make_timestamptz({middle // 1000})") == sums(wanted, NUMBERS[table])


def test_range_options_and_directions(market, tmp_path):
    path = f"{tmp_path}/rows.parquet"
    options = ("--symbol", "dvn", "--start", "2014-03-11", "--end", "2014-03-13", "--fields", "price,timestamp,symbol", "--order", "desc", "--limit", 50)
    rows = told(market, "trades", *options)
    assert export(market, "trades", path, *options) == len(rows) == 50
    assert read(path) == rows
    file = pq.ParquetFile(path)
    assert file.schema_arrow.names == ["price", "timestamp", "timestamp_ns", "symbol"]
    sorting = file.metadata.row_group(0).sorting_columns  # exchange is not there: no further
    assert [(s.column_index, s.descending) for s in sorting] == [(1, True), (2, True)]
    export(market, "trades", path, "--time", "ns", "--limit", 3)
    schema = pq.read_schema(path)
    assert schema.field("timestamp").type == pa.int64() and "timestamp_ns" not in schema.names
    assert export(market, "trades", path, "--symbol", "NOTHING") == 0
    assert pq.read_table(path).num_rows == 0 and duck(path, ["price"]) == [0, 0, None, None, None]


def statistics(path):
    """Each chunk's and each page's bounds hold for what stands there; None counted."""
    file = pq.ParquetFile(path)
    for group in range(file.metadata.num_row_groups):
        table = without_datetimes(file.read_row_group(group))
        for at in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(at)
            values, noted = table.column(at), chunk.statistics
            assert noted.null_count == values.null_count, chunk.path_in_schema
            assert chunk.has_offset_index and chunk.compression == "ZSTD"
            if not noted.has_min_max:
                continue
            kept = [v for v in values.drop_null().to_pylist() if v == v]
            low, high = noted.min, noted.max
            if str(noted.logical_type).startswith("Timestamp"):
                continue  # compared as integers in the column beside it
            if isinstance(kept[0], uuid.UUID):
                kept = [v.bytes for v in kept]
            assert low <= min(kept) and max(kept) <= high, chunk.path_in_schema
            if not isinstance(kept[0], str) or max(len(v.encode()) for v in kept) <= 64:
                assert (low, high) == (min(kept), max(kept)), chunk.path_in_schema


def test_statistics_hold(market, tmp_path):
    for table in ("trades", "quotes"):
        path = f"{tmp_path}/{table}.parquet"
        with open(path, "wb") as file:
            file.write(k2("query", "--data", market, "--table", table, "--format", "parquet"))
        statistics(path)


ROWS = """exchange,symbol,timestamp,sequence,price,quantity,side,trade_id,currency,message_id
X,Ä/€,1969-12-31T23:59:59.999999999Z,1,-9999999999.99999999,0,BUY,,USD,
X,Ä/€,1969-12-31T23:59:59.999999000Z,1,9999999999.99999999,0.00000001,SELL,"a ""quoted"" id",,m
X,B,1677-09-21T00:12:43.145224193Z,2,0,-1,UNKNOWN,,,
X,B,2262-04-11T23:47:16.854775807Z,3,0.1,123456789.12345678,BUY,%s,EUR,
X,B,1970-01-01T00:00:00Z,9223372036854775807,1,1,BUY,"line
end",EUR,
""" % ("é" * 500)


def test_hard_values(tmp_path):
    store, path = f"{tmp_path}/data", f"{tmp_path}/rows.parquet"
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    rows = told(store, "trades")
    assert len(rows) == 5
    export(store, "trades", path)
    assert objects(read(path), *JSON_NAMES) == rows
    statistics(path)
    assert duck(path, NUMBERS["trades"]) == sums(rows, NUMBERS["trades"])
    assert duckdb.sql(f"SELECT trade_id FROM read_parquet('{path}') ORDER BY timestamp_ns").fetchall() == [(r["trade_id"],) for r in rows]
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}') WHERE trade_id = '{'é' * 500}'").fetchone() == (1,)


def kinds_rows(count):
    """Hard values first; then all kinds with nulls at different steps, over several pages."""
    low, high = -(10**18 - 1), 10**18 - 1
    hard = [
        dict(tiny=-128, small=-32768, middle=-(2**31), large=-(2**63), money=low, seen=-(2**63), flag=True, share=-0.0, word="", text="", id=uuid.UUID(int=0), tags=[]),
        dict(tiny=127, small=32767, middle=2**31 - 1, large=2**63 - 1, money=high, seen=2**63 - 1, flag=False, share=1e300, word="ü" * 90, text="\U0010ffff" * 40, id=uuid.UUID(int=2**128 - 1), tags=["", "a,b"]),
        dict(tiny=0, small=-1, middle=-1, large=0, money=-1, seen=-1, flag=True, share=5e-324, word="w", text="a\u0001b\n\"", id=uuid.UUID(int=2**127), tags=None),
        {}]
    for at in range(count):
        row = dict(hard[at]) if at < len(hard) else dict(
            tiny=at % 256 - 128, small=at % 65536 - 32768, middle=at * 7, large=at * 10**14, money=at - 10000, seen=at * 1001 - 10**7, flag=at % 3 == 0,
            share=at / 7, word=f"w{at % 50}", text=f"text {at}", id=uuid.UUID(int=at << 90), tags=[f"t{at % 9}"])
        for step, name in enumerate(sorted(row), 5):
            if at >= len(hard) and at % step == 0:
                row[name] = None
        if row.get("money") is not None:
            row["money"] = format(Decimal(row["money"]).scaleb(-2), "f")
        if row.get("id") is not None:
            row["id"] = str(row["id"])
        yield {"exchange": "X", "symbol": f"S{at % 3}", "timestamp": at * 999999937 - 10**12, "sequence": at, "sure": at % 2 == 0, **row}


def test_every_kind_with_nulls(tmp_path):
    store, path, count = f"{tmp_path}/data", f"{tmp_path}/rows.parquet", 45000
    (tmp_path / "kinds.avsc").write_text(json.dumps(KINDS))
    (tmp_path / "rows.ndjson").write_text("".join(json.dumps(row) + "\n" for row in kinds_rows(count)))
    load(store, "kinds", [f"{tmp_path}/rows.ndjson"], "--schema", f"{tmp_path}/kinds.avsc")
    rows = told(store, "kinds")
    assert len(rows) == count and all(rows[0][name] == value for name, value in (("text", ""), ("word", ""), ("large", -(2**63))))
    assert export(store, "kinds", path) == count
    schema = pq.read_schema(path)
    expected = {"tiny": pa.int8(), "small": pa.int16(), "middle": pa.int32(), "large": pa.int64(), "money": pa.decimal128(18, 2), "flag": pa.bool_(),
                "share": pa.float64(), "word": pa.string(), "tags": pa.string(), "seen": pa.timestamp("us", "UTC"), "seen_ns": pa.int64()}
    assert {name: schema.field(name).type for name in expected} == expected
    found = objects(read(path), "tags")
    for row in found:
        row["id"] = None if row["id"] is None else str(row["id"] if isinstance(row["id"], uuid.UUID) else uuid.UUID(bytes=row["id"]))
    assert found == rows
    statistics(path)
    numbers = ["tiny", "small", "middle", "large", "money", "seen_ns"]
    assert duck(path, numbers) == sums([{**row, "seen_ns": row["seen"]} for row in rows], numbers)
    assert [str(v[0]) if v[0] else None for v in duckdb.sql(f"SELECT id FROM read_parquet('{path}') ORDER BY sequence").fetchall()] == [row["id"] for row in rows]
    for column, value in (("word", "w7"), ("text", "text 30000"), ("text", ""), ("word", "ü" * 90), ("text", "\U0010ffff" * 40)):
        assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}') WHERE {column} = '{value}'").fetchone() == (sum(r[column] == value for r in rows),)
    for where, test in (("share < 0.5", lambda v: v < 0.5), ("share = 0", lambda v: v == 0), ("share > 6000", lambda v: v > 6000)):
        assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}') WHERE {where}").fetchone() == (sum(r["share"] is not None and test(r["share"]) for r in rows),)
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}') WHERE flag").fetchone() == (sum(r["flag"] is True for r in rows),)


def test_field_ids_are_column_ids(tmp_path):
    store, path = f"{tmp_path}/data", f"{tmp_path}/rows.parquet"
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    export(store, "trades", path)
    ids = {f.name: int(f.metadata[b"PARQUET:field_id"]) for f in pq.read_schema(path)}
    with open(f"{ROOT}/format/schema/trades.avsc", encoding="utf-8") as file:
        for field in json.load(file)["fields"]:
            assert ids.pop(field["name"]) == field.get("field-id", ids.get(field["name"]))
    assert ids == {"timestamp_ns": 65536 + 3, "ingestion_timestamp_ns": 65536 + 15}


def test_a_file_is_whole_or_not_there(market, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("old")
    for options, code in ((("--as-of", "nosuchtag"), 3), (("--fields", "nosuchfield"), 2)):
        done = subprocess.run([K2, "export", "--data", market, "--table", "trades", "--parquet", path, *options], capture_output=True, timeout=60)
        assert (done.returncode, done.stdout) == (code, b"") and done.stderr.startswith(b"k2: export: ")
    done = subprocess.run([K2, "export", "--data", market, "--table", "trades", "--parquet", f"{tmp_path}/no/rows"], capture_output=True, timeout=60)
    assert done.returncode == 3
    limit = "ulimit -f 100; exec \"$@\""  # blocks of 1,024 bytes: the disk is full, so to say
    done = subprocess.run(["bash", "-c", "trap '' XFSZ; " + limit, "x", K2, "export", "--data", market, "--table", "trades", "--parquet", path], capture_output=True, timeout=60)
    assert done.returncode != 0 and done.stdout == b""
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["rows.parquet"]
    export(market, "trades", path, "--limit", 10)
    assert pq.read_table(path).num_rows == 10 and os.listdir(tmp_path) == ["rows.parquet"]


def test_over_http_and_from_a_server(market, tmp_path):
    with subprocess.Popen([K2, "serve", "--data", market, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as server:
        try:
            url = next(word for word in server.stderr.readline().split() if word.startswith("http://")).rstrip(",;")
            with urllib.request.urlopen(f"{url}/v1/trades?format=parquet&order=asc&symbol=BHP", timeout=60) as answer:
                assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
                body = answer.read()
            asked = k2("query", "--server", url, "--table", "trades", "--format", "parquet", "--order", "asc", "--symbol", "BHP")
        finally:
            server.terminate()
    assert server.returncode == 0
    stored = k2("query", "--data", market, "--table", "trades", "--format", "parquet", "--symbol", "BHP")
    assert body == stored == asked
    assert pq.read_table(io.BytesIO(body)).num_rows == 91631
