"""Arrow streams as foreign readers see them: PyArrow, DuckDB and Polars read what K2 says with `k2 query`."""
import ctypes
import http.client
import io
import json
import subprocess
import uuid
from decimal import Decimal
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from test_parquet import JSON_NAMES, K2, KINDS, MAPS, NUMBERS, ROOT, ROWS, checksum, k2, kinds_rows, load, objects, shared, spoken, sums, told

TYPE = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    store = f"{tmp_path_factory.mktemp('arrow')}/data"
    for table, symbols in (("trades", {"BHP": "7078.csv", "DVN": "7181.csv", "MWR": "3153.csv"}), ("quotes", {"DVN": "7181.csv"})):
        for symbol, name in symbols.items():
            load(store, table, shared(f"asx/{table}/{name}"), "--exchange", "ASX", "--symbol", symbol, "--map", f"{MAPS}/asx-{table}.map")
    return store


def stream(store, table, *options):
    return k2("query", "--data", store, "--table", table, "--format", "arrow", *options)


def table_of(body):
    table = pa.ipc.open_stream(io.BytesIO(body)).read_all()
    table.validate(full=True)
    return table


def rows_of(table):
    """In the words of `k2 query --time ns`."""
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            assert (field.type.unit, field.type.tz) == ("ns", "UTC")
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    rows = [{name: spoken(name, value) for name, value in row.items()} for row in table.to_pylist()]
    for row in rows:
        for name, value in row.items():
            if isinstance(value, (uuid.UUID, bytes)):
                row[name] = str(value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value))
    return rows


def duck(relation, numbers):
    """As `sums` says it, from DuckDB."""
    columns = ", ".join(f'count(*) - count("{n}"), min("{n}"), max("{n}"), sum("{n}")' for n in numbers)
    row = duckdb.sql(f"SELECT count(*), {columns} FROM relation").fetchone()
    return list(row)


def plain(values):
    """Sums as texts without trailing zeros, so that readers can be compared."""
    def text(value):
        value = format(Decimal(str(value)), "f")
        return value.rstrip("0").rstrip(".") if "." in value else value
    return [values[0]] + [None if v is None else text(v) for v in values[1:]]


@pytest.mark.parametrize("table", ["trades", "quotes"])
def test_real_rows_are_the_same_in_every_reader(market, table):
    rows, body = told(market, table), stream(market, table)
    arrow = table_of(body)
    found = objects(rows_of(arrow), *JSON_NAMES)
    assert len(found) == len(rows) > 500 and found[0] == rows[0] and found[-1] == rows[-1]
    assert checksum(found) == checksum(rows)
    wanted = plain(sums(rows, NUMBERS[table]))
    assert plain(duck(arrow, NUMBERS[table])) == wanted
    reader = pa.ipc.open_stream(io.BytesIO(body))
    assert plain(duck(reader, NUMBERS[table])) == wanted
    frame = pl.read_ipc_stream(io.BytesIO(body))
    assert frame["symbol"].cast(pl.String).to_list() == [row["symbol"] for row in rows]
    assert frame["timestamp"].cast(pl.Int64).to_list() == [row["timestamp"] for row in rows]
    for name in NUMBERS[table]:
        assert [spoken(name, v) for v in frame[name].to_list()] == [row[name] for row in rows], name


def test_the_schema_names_table_and_snapshot(market):
    schema = table_of(stream(market, "trades", "--limit", 1)).schema
    snapshot = json.loads(k2("snapshots", "--data", market, "--limit", 1, "--format", "json"))[0]["snapshot"]
    assert schema.metadata == {b"k2.table": b"trades", b"k2.snapshot": str(snapshot).encode()}
    types = {"symbol": pa.dictionary(pa.int32(), pa.string()), "timestamp": pa.timestamp("ns", "UTC"), "sequence": pa.int64(),
             "price": pa.decimal128(18, 8), "trade_id": pa.string(), "vendor_data": pa.string()}
    assert {name: schema.field(name).type for name in types} == types
    assert not schema.field("price").nullable and schema.field("trade_id").nullable
    table = table_of(stream(market, "trades", "--time", "ns", "--fields", "price,timestamp", "--order", "desc", "--limit", 3))
    assert table.schema.field("timestamp").type == pa.int64() and table.schema.names == ["price", "timestamp"]
    assert rows_of(table) == told(market, "trades", "--fields", "price,timestamp", "--order", "desc", "--limit", 3)
    assert table_of(stream(market, "trades", "--symbol", "NOTHING")).num_rows == 0


def test_batches_are_bounded(market):
    batches = [batch.num_rows for batch in pa.ipc.open_stream(io.BytesIO(stream(market, "trades", "--fields", "price")))]
    assert batches[0] == 4096 and max(batches) == 65536


def test_hard_values(tmp_path):
    store = f"{tmp_path}/data"
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    load(store, "trades", [f"{tmp_path}/rows.csv"])
    rows, body = told(store, "trades"), stream(store, "trades")
    assert len(rows) == 5
    assert objects(rows_of(table_of(body)), *JSON_NAMES) == rows
    table = table_of(body)
    assert plain(duck(table, NUMBERS["trades"])) == plain(sums(rows, NUMBERS["trades"]))
    frame = pl.read_ipc_stream(io.BytesIO(body))
    assert frame["timestamp"].cast(pl.Int64).to_list() == [row["timestamp"] for row in rows]
    assert frame["trade_id"].to_list() == [row["trade_id"] for row in rows]


def test_every_kind_with_nulls(tmp_path):
    store, count = f"{tmp_path}/data", 20000
    (tmp_path / "kinds.avsc").write_text(json.dumps(KINDS))
    (tmp_path / "rows.ndjson").write_text("".join(json.dumps(row) + "\n" for row in kinds_rows(count)))
    load(store, "kinds", [f"{tmp_path}/rows.ndjson"], "--schema", f"{tmp_path}/kinds.avsc")
    rows, body = told(store, "kinds"), stream(store, "kinds")
    arrow = table_of(body)
    expected = {"tiny": pa.int8(), "small": pa.int16(), "middle": pa.int32(), "large": pa.int64(), "money": pa.decimal128(18, 2), "flag": pa.bool_(),
                "share": pa.float64(), "word": pa.dictionary(pa.int32(), pa.string()), "tags": pa.string(), "seen": pa.timestamp("ns", "UTC"), "id": pa.uuid()}
    assert {name: arrow.schema.field(name).type for name in expected} == expected
    assert len(rows) == count and objects(rows_of(arrow), "tags") == rows
    assert [arrow.column(name).null_count for name in rows[0]] == [sum(row[name] is None for row in rows) for name in rows[0]]
    numbers = ["tiny", "small", "middle", "large", "money"]
    assert plain(duck(arrow, numbers)) == plain(sums(rows, numbers))
    assert duckdb.sql("SELECT word FROM arrow").fetchall() == [(row["word"],) for row in rows]
    frame = pl.read_ipc_stream(io.BytesIO(body))
    for name in ("tiny", "large", "flag", "share", "text"):
        assert frame[name].to_list() == [row[name] for row in rows], name
    assert frame["word"].cast(pl.String).to_list() == [row["word"] for row in rows]


def serve(store):
    server = subprocess.Popen([K2, "serve", "--data", store, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    url = next(word for word in server.stderr.readline().split() if word.startswith("http://")).rstrip(",;")
    return server, url


def test_over_http(market):
    server, url = serve(market)
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        bodies = []
        for path, headers in (("/v1/trades?format=arrow&order=asc", {}), ("/v1/trades?order=asc", {"Accept": TYPE})):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.headers["Content-Type"] == TYPE
            assert answer.headers["Trailer"] == "X-K2-Rows, X-K2-Checksum"
            bodies.append(answer.read())
        asked = k2("query", "--server", url, "--table", "trades", "--format", "arrow", "--order", "asc")
        # A reader that works on the connection itself.
        connection.request("GET", "/v1/trades?format=arrow&symbol=DVN&fields=price,symbol")
        assert pa.ipc.open_stream(connection.getresponse()).read_all().num_rows == len(told(market, "trades", "--symbol", "DVN"))
    finally:
        server.terminate()
        server.wait(60)
        server.stderr.close()
    assert bodies == [stream(market, "trades")] * 2 and asked == bodies[0]


def test_a_cut_stream_has_no_end(market):
    body = stream(market, "trades")
    end = b"\xff\xff\xff\xff\0\0\0\0"
    assert body.endswith(end)
    for size in (len(body) // 2, len(body) - 100):
        with pytest.raises((pa.ArrowInvalid, OSError)):
            pa.ipc.open_stream(io.BytesIO(body[:size])).read_all()
    server, url = serve(market)
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("GET", "/v1/trades?format=arrow")
        answer = connection.getresponse()
        taken = answer.read(100000)
        server.kill()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            taken += answer.read()
        assert not taken.endswith(end)
    finally:
        server.kill()
        server.wait(60)
        server.stderr.close()


class Query(ctypes.Structure):
    """struct k2_query of engine/k2.h."""
    _fields_ = [("size_bytes", ctypes.c_size_t), ("table", ctypes.c_char_p), ("snapshot", ctypes.c_uint64), ("columns", ctypes.c_void_p),
                ("column_count", ctypes.c_size_t), ("symbols", ctypes.c_void_p), ("symbol_count", ctypes.c_size_t), ("has_start", ctypes.c_bool),
                ("has_end", ctypes.c_bool), ("start_ns", ctypes.c_int64), ("end_ns", ctypes.c_int64), ("order", ctypes.c_int),
                ("limit", ctypes.c_uint64), ("memory_bytes", ctypes.c_size_t)]


class Options(ctypes.Structure):
    _fields_ = [("size_bytes", ctypes.c_size_t), ("decimals_as_int64", ctypes.c_bool), ("times_as_int64", ctypes.c_bool), ("batch_rows", ctypes.c_size_t)]


@pytest.fixture(scope="module")
def library():
    done = subprocess.run(["make", "-s", "lib"], cwd=ROOT, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(f"{ROOT}/build/libk2.so.0")


def reader_of(library, store, options=None):
    """A store's trades behind PyArrow's reader, without a copy; and what closes the store."""
    database, cursor, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.create_string_buffer(4 + 1024)
    assert library.k2_db_open(ctypes.byref(database), store.encode(), 0, error) == 0, error[4:]
    query = Query(size_bytes=ctypes.sizeof(Query), table=b"trades")
    assert library.k2_cursor_open(ctypes.byref(cursor), database, ctypes.byref(query), error) == 0, error[4:]
    stream = ctypes.create_string_buffer(5 * 8)
    given = ctypes.byref(options) if options else None
    assert library.k2_cursor_export_stream(ctypes.byref(cursor), given, stream, error) == 0 and not cursor.value
    return pa.RecordBatchReader._import_from_c(ctypes.addressof(stream)), lambda: library.k2_db_close(database)


def test_a_scan_is_an_arrow_stream_in_process(library, market):
    body = stream(market, "trades")
    reader, close = reader_of(library, market)
    table = reader.read_all()
    del reader
    close()
    table.validate(full=True)
    assert table.schema.equals(table_of(body).schema) and rows_of(table) == rows_of(table_of(body))
    options = Options(size_bytes=ctypes.sizeof(Options), decimals_as_int64=True, times_as_int64=True, batch_rows=10000)
    reader, close = reader_of(library, market, options)
    wanted = plain(sums(told(market, "trades"), NUMBERS["trades"]))
    batches = list(reader)
    del reader
    close()
    narrow = pa.Table.from_batches(batches)
    assert max(len(batch) for batch in batches) == 10000
    assert narrow.schema.field("timestamp").type == narrow.schema.field("price").type == pa.int64()
    scale = int(narrow.schema.field("price").metadata[b"k2.scale"])
    assert Decimal(pc.sum(narrow["price"]).as_py()).scaleb(-scale) == Decimal(wanted[8])
    assert duckdb.sql("SELECT count(DISTINCT symbol), sum(quantity) FROM narrow").fetchone() == (3, int(Decimal(wanted[12]).scaleb(scale)))
