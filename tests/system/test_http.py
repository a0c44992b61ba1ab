"""Content codings as clients of HTTP know them: curl, requests, a reader that decodes while it reads."""
import http.client
import io
import json
import subprocess
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
import requests
from kafka_kit import K2

ROWS = 30000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    rows = subprocess.run([K2, "simulate", "--rows", str(ROWS), "--symbols", "20"], capture_output=True, check=True).stdout
    (folder / "rows.csv").write_bytes(rows)
    subprocess.run([K2, "load", "--data", f"{folder}/data", "--table", "trades", f"{folder}/rows.csv"], capture_output=True, check=True)
    with subprocess.Popen([K2, "serve", "--data", f"{folder}/data", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as process:
        yield next(word for word in process.stderr.readline().split() if word.startswith("http://")).rstrip(",;")
        process.terminate()
        assert process.wait(30) == 0


def ask(server, path, coding=None, method="GET"):
    """The answer as it is on the wire."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    connection.request(method, path, headers={"Accept-Encoding": coding} if coding else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def decoded(body, coding):
    return pa.CompressedInputStream(io.BytesIO(body), coding).read()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("path", ["/v1/trades?format=csv", "/v1/trades?format=ndjson", "/v1/trades?format=arrow", "/v1/trades?format=json&limit=5000",
                                  "/v1/trades?format=csv&limit=200", "/v1/instruments", "/metrics"])
def test_what_is_coded_decodes_to_the_same(server, path, coding):
    plain, told = ask(server, path)
    answer, body = ask(server, path, coding)
    assert plain.headers["Content-Encoding"] is None and answer.headers["Content-Encoding"] == coding
    assert plain.headers["Vary"] == answer.headers["Vary"] == "Accept-Encoding"
    assert len(body) < len(told) * 2 / 3
    if path == "/metrics":
        assert decoded(body, coding).startswith(b"# HELP k2_build_info")
    elif "json" in path or path == "/v1/instruments":
        same, other = (json.loads(line) if "ndjson" not in path else line for line in (told, decoded(body, coding)))
        if isinstance(same, dict):
            assert same.pop("meta").keys() == other.pop("meta").keys()
        assert same == other
    else:
        assert decoded(body, coding) == told
        assert answer.headers["X-K2-Snapshot"] == plain.headers["X-K2-Snapshot"]
    head, nothing = ask(server, path, coding, "HEAD")
    assert nothing == b"" and head.headers["Content-Encoding"] == coding


@pytest.mark.parametrize("path", ["/health", "/v1/trades?limit=1", "/v1/trades?format=parquet", "/v1/trades?limit=ten"])
def test_what_gains_nothing_is_sent_as_it_is(server, path):
    answer, body = ask(server, path, "gzip, zstd")
    assert answer.headers["Content-Encoding"] is None and len(body) > 0


def test_clients_that_are_used(server):
    _, plain = ask(server, "/v1/trades?format=csv&order=asc")
    assert plain.count(b"\n") == ROWS + 1
    answer = requests.get(f"{server}/v1/trades?format=csv&order=asc", timeout=60)
    assert answer.content == plain and answer.headers["Content-Encoding"] in ("gzip", "zstd")
    told = subprocess.run(["curl", "-s", "--compressed", f"{server}/v1/trades?format=csv&order=asc"], capture_output=True, check=True).stdout
    assert told == plain
    stored = subprocess.run([K2, "query", "--server", server, "--table", "trades", "--format", "csv", "--order", "asc"], capture_output=True, check=True).stdout
    assert stored == plain


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_reader_need_not_wait_for_the_end(server, coding):
    """Half of what was sent decodes to a beginning of the rows."""
    _, plain = ask(server, "/v1/trades?format=ndjson", "identity")
    _, body = ask(server, "/v1/trades?format=ndjson", coding)
    stream = pa.CompressedInputStream(io.BytesIO(body[:len(body) // 2]), coding)
    begun = stream.read(len(plain) // 4)
    assert len(begun) == len(plain) // 4 and plain.startswith(begun)
