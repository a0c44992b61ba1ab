"""Foreign readers of Iceberg tables, each giving the same few answers; DuckDB and icebird in processes of their own."""
import json
import os
import subprocess
import sys
import warnings
from decimal import Decimal

warnings.filterwarnings("ignore")
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

DUCK = r"""
import duckdb, importlib, json, pathlib, sys
con = duckdb.connect()
con.execute("SET autoinstall_known_extensions=false; SET autoload_known_extensions=false; SET TimeZone='UTC'")
for name in ("avro", "httpfs", "iceberg"):
    home = pathlib.Path(importlib.import_module("duckdb_extension_" + name).__file__).parent
    con.execute(f"LOAD '{home}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
for query in json.load(sys.stdin):
    if not query.startswith("SELECT"):
        con.execute(query)
        continue
    print(json.dumps([[None if v is None else str(v) for v in row] for row in con.execute(query).fetchall()]))
"""

ICEBIRD = r"""
import { readFileSync } from 'node:fs'
import { icebergRead } from 'icebird'
const file = url => url.replace(/^file:\/\//, '')
const server = process.argv[5], ask = globalThis.fetch
globalThis.fetch = async (url, options = {}) => {
    let bytes
    url = String(url).replace(/^https:\/\/([^./]+)\.s3\.amazonaws\.com\//, 's3://$1/')
    if (url.startsWith('s3://')) { // a server that asks for a signature and does not check it
        const headers = new Headers(options.headers)
        headers.set('authorization', 'AWS4-HMAC-SHA256 Credential=k2access/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0')
        return ask(url.replace('s3://', server + '/'), { ...options, headers })
    }
    try { bytes = readFileSync(file(String(url))) } catch { return new Response(null, { status: 404 }) }
    const range = new Headers(options.headers).get('range')
    if (options.method === 'HEAD') return new Response(null, { status: 200, headers: { 'content-length': String(bytes.length) } })
    if (!range) return new Response(bytes, { status: 200 })
    const [begin, end] = range.replace('bytes=', '').split('-')
    const part = begin === '' ? bytes.subarray(bytes.length - Number(end)) : bytes.subarray(Number(begin), end === '' ? undefined : Number(end) + 1)
    return new Response(part, { status: 206 })
}
const [tableUrl, metadataFileName, column] = process.argv.slice(2)
const rows = await icebergRead({ tableUrl, metadataFileName })
let sum = 0, nulls = 0
for (const row of rows) { if (row[column] == null) nulls++; else sum += Number(row[column]) }
console.log(JSON.stringify({ rows: rows.length, sum, nulls, ns: String(rows.reduce((s, r) => s + BigInt(r.timestamp_ns), 0n)) }))
"""


def catalog(warehouse):
    from pyiceberg.catalog import load_catalog
    return load_catalog("k2", type="sql", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=f"file://{warehouse}")


def table(warehouse, name):
    return catalog(warehouse).load_table(f"k2.{name}")


def duck(queries):
    """Rows of texts of each query; a reader that dies takes only its own process with it."""
    done = subprocess.run([sys.executable, "-c", DUCK], input=json.dumps(queries), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def aggregates(numbers):
    return "count(*), " + ", ".join(f'count(*) - count("{n}"), min("{n}"), max("{n}"), sum("{n}")' for n in numbers)


PRIME = 1000003


def mix(price):
    """An order-free checksum that every engine can compute: which price belongs to which time."""
    return f'sum((abs("timestamp_ns") % {PRIME}) * (abs(CAST(CAST("{price}" AS DECIMAL(38, 8)) * 100000000 AS BIGINT)) % {PRIME}) % {PRIME})'


def mix_of(rows, price):
    return sum(abs(r["timestamp"]) % PRIME * (abs(int(Decimal(r[price]) * 10**8)) % PRIME) % PRIME for r in rows if r[price] is not None)


def numbers_of(row):
    return [int(row[0])] + [None if v is None else Decimal(v) for v in row[1:]]


def polars(location, numbers, where=None, **options):
    import polars as pl
    frame = pl.scan_iceberg(location, **options)
    if where is not None:
        frame = frame.filter(where(pl))
    wide = [pl.col(n).cast(pl.Decimal(38, 8)) if n.endswith(("price", "quantity", "money")) else pl.col(n).cast(pl.Int128) for n in numbers]
    row = frame.select([pl.len().alias("n")] + [e for n, w in zip(numbers, wide) for e in (
        pl.col(n).null_count().alias(n + "0"), w.min().alias(n + "1"), w.max().alias(n + "2"), w.sum().alias(n + "3"))]).collect().row(0)
    result = [row[0]] + [None if v is None else Decimal(v) for v in row[1:]]
    for at in range(1, len(result), 4):
        if result[at + 1] is None:
            result[at + 3] = None  # the sum of nothing is 0 there
    return result


def icebird(location, name, column, server=""):
    """icebird has doubles for decimals: compare its sum with tolerance. None where node is missing."""
    home = f"{ROOT}/.cache/icebird-0.3.1"
    if not os.path.exists(f"{home}/node_modules/icebird"):
        try:
            os.makedirs(home, exist_ok=True)
            subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--save-exact", "--prefix", home, "icebird@0.3.1", "hyparquet@1.31.5"],
                           check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError):
            return None
    with open(f"{home}/read.mjs", "w") as file:
        file.write(ICEBIRD)
    done = subprocess.run(["node", f"{home}/read.mjs", location, name, column, server], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
