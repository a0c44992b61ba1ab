"""Trades with the quote in force: `k2 asof` and /v1/asof on real rows, against a model and DuckDB's ASOF JOIN."""
import bisect
import json
import subprocess
import urllib.error
import urllib.request

import duckdb
import pyarrow as pa
import pytest
from test_parquet import K2, MAPS, k2, load, shared, told

QUOTE = ["quote_timestamp", "bid_price", "bid_quantity", "ask_price", "ask_quantity"]


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    store = f"{tmp_path_factory.mktemp('asof')}/data"
    for symbol, name in {"DVN": "7181.csv", "MWR": "3153.csv"}.items():
        for table in ("trades", "quotes"):
            load(store, table, shared(f"asx/{table}/{name}"), "--exchange", "ASX", "--symbol", symbol, "--map", f"{MAPS}/asx-{table}.map")
    return store


def joined(store, *options):
    text = k2("asof", "--data", store, "--format", "ndjson", "--time", "ns", *options)
    return [json.loads(line) for line in text.splitlines()]


def model(store, *options):
    quotes = {}
    for quote in told(store, "quotes"):
        quotes.setdefault(quote["symbol"], []).append(quote)
    times = {symbol: [quote["timestamp"] for quote in known] for symbol, known in quotes.items()}
    for trade in told(store, "trades", *options):
        known = quotes.get(trade["symbol"], [])
        at = bisect.bisect_right(times.get(trade["symbol"], []), trade["timestamp"]) - 1
        quote = known[at] if at >= 0 else {}
        yield {**trade, "quote_timestamp": quote.get("timestamp"), **{name: quote.get(name) for name in QUOTE[1:]}}


def test_real_trades_have_their_quotes(market):
    rows = joined(market)
    assert rows == list(model(market)) and len(rows) > 100
    assert any(row["bid_price"] is not None for row in rows) and list(rows[0])[-5:] == QUOTE
    middle = rows[len(rows) // 2]["timestamp"]
    for options in (("--symbol", "dvn"), ("--start", middle), ("--end", middle, "--symbol", "MWR"), ("--start", middle, "--limit", 7)):
        assert joined(market, *options) == list(model(market, *options)), options
    names = "symbol,ask_price,quote_timestamp,price"
    assert joined(market, "--fields", names) == [{name: row[name] for name in names.split(",")} for row in rows]


def test_duckdb_finds_the_same(market):
    trades, quotes = (pa.ipc.open_stream(k2("query", "--data", market, "--table", table, "--format", "arrow", "--time", "ns")).read_all() for table in ("trades", "quotes"))
    found = pa.ipc.open_stream(k2("asof", "--data", market, "--format", "arrow", "--time", "ns")).read_all()
    assert found.schema.field("bid_price").nullable and found.schema.metadata[b"k2.table"] == b"trades"
    # Of quotes at one time the last one counts; DuckDB takes any.
    last = duckdb.sql("SELECT symbol, timestamp, arg_max(bid_price, (epoch, sequence)) AS bid FROM quotes GROUP BY ALL")
    wanted = duckdb.sql("SELECT t.symbol, t.timestamp, t.sequence, q.bid FROM trades t ASOF LEFT JOIN last q ON t.symbol = q.symbol AND t.timestamp >= q.timestamp ORDER BY ALL").fetchall()
    assert duckdb.sql("SELECT symbol, timestamp, sequence, bid_price FROM found ORDER BY ALL").fetchall() == wanted
    assert len(wanted) == trades.num_rows and last is not None and quotes.num_rows > 0


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def test_over_http(market):
    with subprocess.Popen([K2, "serve", "--data", market, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as server:
        try:
            url = next(word for word in server.stderr.readline().split() if word.startswith("http://")).rstrip(",;")
            pages, cursor = [], ""
            while cursor is not None:
                page = get(f"{url}/v1/asof?time=ns&symbol=DVN,MWR&limit=50{cursor and '&cursor=' + cursor}")
                pages += page["data"]
                cursor = page["pagination"]["next_cursor"]
            assert pages == joined(market, "--symbol", "DVN,MWR")
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(f"{url}/v1/asof?order=desc")
            assert refused.value.code == 400 and json.load(refused.value)["error"]["details"]["parameter"] == "order"
            with pytest.raises(urllib.error.HTTPError) as wrong:
                get(f"{url}/v1/trades?cursor={page['pagination']['next_cursor'] or get(f'{url}/v1/asof?limit=1')['pagination']['next_cursor']}")
            assert wrong.value.code == 400  # it belongs to another end point
        finally:
            server.terminate()
    assert server.returncode == 0


def test_wrong_usage_is_told(market, tmp_path):
    for options, code, words in ((("--order", "desc"), 2, "--order"), (("--fields", "nothing"), 2, "nothing"), (("--table", "nothing"), 3, "nothing"), (("--as-of", "never"), 3, "never")):
        done = subprocess.run([K2, "asof", "--data", market, *options], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (code, "") and done.stderr.startswith("k2: asof: ") and words in done.stderr
    done = subprocess.run([K2, "asof", "--data", f"{tmp_path}/none"], capture_output=True, timeout=60)
    assert done.returncode == 3
