"""`k2 candles`: what others published of the same trades, exact arithmetic over real rows, rows made to measure."""
import csv
import gzip
import io
import json
import random
import subprocess
from decimal import ROUND_HALF_EVEN, Decimal, getcontext

import pytest
from test_parquet import K2, MAPS, k2, load, shared

getcontext().prec = 60
PLACES = Decimal("0.00000001")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PRICES = ["open_price", "high_price", "low_price", "close_price"]


def told(store, interval, *options):
    text = k2("candles", "--data", store, "--interval", interval, "--format", "csv", "--time", "ns", *options).decode()
    return list(csv.DictReader(io.StringIO(text)))


def write(path, rows):
    with open(path, "w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def model(rows, interval):
    """Candles of rows (dicts of texts), by (interval, exchange, symbol)."""
    length = int(interval[:-1]) * SECONDS[interval[-1]] * 10**9
    buckets = {}
    for row in rows:
        start = int(row["timestamp"]) // length * length
        buckets.setdefault((start, row["exchange"], row["symbol"]), []).append(row)
    for (start, exchange, symbol), found in sorted(buckets.items()):
        found.sort(key=lambda r: (int(r["timestamp"]), int(r.get("epoch") or 0), int(r["sequence"])))
        prices = [Decimal(r["price"]) for r in found]
        volume = sum(Decimal(r["quantity"]) for r in found)
        amount = sum(Decimal(r["price"]) * Decimal(r["quantity"]) for r in found)
        vwap = (amount / volume).quantize(PLACES, ROUND_HALF_EVEN) if volume else None
        yield {"symbol": symbol, "exchange": exchange, "interval_start": start, "interval_end": start + length, "open_price": prices[0],
               "high_price": max(prices), "low_price": min(prices), "close_price": prices[-1], "volume": volume, "trade_count": len(found),
               "vwap": vwap}


def parsed(candle):
    texts = ("symbol", "exchange")
    return {k: v if k in texts else int(v) if k.startswith("interval") or k.endswith("count") else Decimal(v) if v else None
            for k, v in candle.items()}


@pytest.fixture(scope="module")
def asx(tmp_path_factory):
    store = f"{tmp_path_factory.mktemp('candles')}/data"
    load(store, "trades", shared("asx/trades/7078.csv", "asx/trades/7181.csv", "asx/trades/3153.csv"), "--map", f"{MAPS}/asx-trades.map")
    text = k2("query", "--data", store, "--table", "trades", "--format", "csv", "--time", "ns").decode()
    return store, list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("interval", ["1s", "1m", "15m", "1h", "1d", "7d"])
def test_real_trades_give_exact_candles(asx, interval):
    store, rows = asx
    assert [parsed(c) for c in told(store, interval)] == list(model(rows, interval))


def test_order_limit_range_and_symbol(asx):
    store, rows = asx
    up, down = told(store, "1h"), told(store, "1h", "--order", "desc")
    assert up == down[::-1]
    assert told(store, "1h", "--limit", "5") == up[:5]
    start, end = sorted((int(rows[len(rows) // 3]["timestamp"]), int(rows[len(rows) // 2]["timestamp"])))
    within = [r for r in rows if start <= int(r["timestamp"]) < end and r["symbol"] == "DVN"]
    got = told(store, "1m", "--start", start, "--end", end, "--symbol", "dvn")
    assert [parsed(c) for c in got] == list(model(within, "1m"))
    k2("compact", "--data", store, "--full")
    assert told(store, "1h") == up


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_candles_equal_published_ones(tmp_path, interval):
    """12,477 trades, in random order, give the candles that someone else made of them."""
    trades_path, candles_path = shared("xrp-eth-candles/XRP_ETH-trades.json.gz", f"xrp-eth-candles/XRP_ETH-{interval}.json")
    with gzip.open(trades_path) as raw:
        trades = json.loads(raw.read(), parse_float=Decimal)
    with open(candles_path) as raw:
        published = {int(c[0]) * 10**6: [Decimal(v) for v in c[1:6]] for c in json.loads(raw.read(), parse_float=Decimal) if c[5]}
    rows = [{"exchange": "P", "symbol": "XRP/ETH", "timestamp": int(t[0]) * 10**6, "sequence": t[1], "price": format(Decimal(t[4]), "f"),
             "quantity": format(Decimal(t[5]), "f")} for t in trades]
    random.Random(3).shuffle(rows)
    for part in (rows[::2], rows[1::2]):
        load(f"{tmp_path}/data", "trades", [write(tmp_path / "part.csv", part)])
    got = {int(c["interval_start"]): [Decimal(c[name]) for name in [*PRICES, "volume"]] for c in told(f"{tmp_path}/data", interval)}
    assert got == {start: candle for start, candle in published.items() if candle[4]}


def test_ties_borders_halves_and_past_states(tmp_path):
    store = f"{tmp_path}/data"
    minute = 60 * 10**9

    def row(time, sequence, price, quantity, symbol="A"):
        return {"exchange": "X", "symbol": symbol, "timestamp": time, "sequence": sequence, "price": price, "quantity": quantity}

    rows = [row(0, 2, "2", "1"), row(0, 1, "1", "1"), row(minute - 1, 1, "3", "0"), row(minute, 1, "9", "0"), row(-1, 1, "-4", "2.5"),
            row(5, 1, "0.00000001", "3", "B"), row(5, 2, "0.00000002", "3", "B")]
    load(store, "trades", [write(tmp_path / "rows.csv", rows)])
    expected = list(model([{k: str(v) for k, v in r.items()} for r in rows], "1m"))
    assert [parsed(c) for c in told(store, "1m")] == expected
    assert [c["vwap"] for c in expected] == [-4, Decimal("1.5"), Decimal("0.00000002"), None]  # 1.5e-8: half to even
    load(store, "trades", [write(tmp_path / "late.csv", [row(0, 0, "7", "1")])])
    assert told(store, "1m")[1]["open_price"] == "7"
    assert [parsed(c) for c in told(store, "1m", "--as-of", "1")] == expected


def test_quotes_have_two_sides(tmp_path):
    store = f"{tmp_path}/data"
    rows = [{"exchange": "X", "symbol": "A", "timestamp": t, "sequence": t, "bid_price": b, "bid_quantity": "1", "ask_price": a, "ask_quantity": "1"}
            for t, b, a in ((1, "10", "12"), (2, "11", "11.5"), (3, "9", "13"))]
    load(store, "quotes", [write(tmp_path / "quotes.csv", rows)])
    assert told(store, "1d", "--table", "quotes") == [{
        "symbol": "A", "exchange": "X", "interval_start": "0", "interval_end": str(86400 * 10**9), "bid_open_price": "10", "bid_high_price": "11",
        "bid_low_price": "9", "bid_close_price": "9", "ask_open_price": "12", "ask_high_price": "13", "ask_low_price": "11.5",
        "ask_close_price": "13", "quote_count": "3"}]


@pytest.mark.parametrize("options, code, word", [
    ((), 2, "--interval"),
    (("--interval", "7m"), 2, "divides a day"),
    (("--interval", "0m"), 2, "divides a day"),
    (("--interval", "1w"), 2, "--interval"),
    (("--interval", "36h"), 2, "divides a day"),
    (("--interval", "1m", "--order", "up"), 2, "--order"),
    (("--interval", "1m", "--limit", "0"), 2, "--limit"),
    (("--interval", "1m", "--table", "nothing"), 3, "nothing"),
    (("--interval", "1m", "--as-of", "none"), 3, "none"),
    (("--interval", "1m", "--table", "reference_data"), 2, "price"),
])
def test_wrong_questions(tmp_path, options, code, word):
    store = f"{tmp_path}/data"
    load(store, "trades", [write(tmp_path / "rows.csv", [{"exchange": "X", "symbol": "A", "timestamp": 1, "sequence": 1, "price": 1, "quantity": 1}])])
    done = subprocess.run([K2, "candles", "--data", store, *options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (code, "")
    assert word in done.stderr
