"""What works beside a running server, what a history that has passed answers, and what a repair leaves gone."""
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from kafka_kit import K2

HEADER = "exchange,symbol,timestamp,sequence,price,quantity\n"
DAY_NS = 86400 * 10**9


def run(store, *arguments, code=0):
    done = subprocess.run([K2, *arguments, "--data", store], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    if code in (2, 3):
        assert done.stdout == ""
    if code:
        assert done.stderr.startswith("k2: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stdout


def rows(store, *options):
    return run(store, "query", "--table", "trades", "--format", "csv", "--time", "ns", "--fields", "timestamp,price", *options).split()[1:]


@pytest.fixture
def store(tmp_path):
    """Of three snapshots: old rows and new ones, a correction, a second one."""
    path, now = str(tmp_path / "data"), time.time_ns()
    run(path, "policy", "--table", "trades", "--duplicates", "keep-last")
    for number, lines in enumerate((f"X,A,{now - 40 * DAY_NS},1,1,1\nX,A,{now},2,2,1\n", f"X,A,{now},2,3,1\n", f"X,A,{now},2,4,1\n")):
        file = tmp_path / f"{number}.csv"
        file.write_text(HEADER + lines)
        run(path, "load", str(file), "--table", "trades")
    return path


@pytest.fixture
def server(store):
    with subprocess.Popen([K2, "serve", "--data", store, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as process:
        yield next(word for word in process.stderr.readline().split() if word.startswith("http://")).rstrip(",;"), process.pid
        process.terminate()
        assert process.wait(30) == 0


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)


def test_commands_beside_a_server(store, server, tmp_path):
    url, pid = server
    assert [line.split(",")[1] for line in rows(store)] == ["1", "4"]
    run(store, "tag", "kept", "--snapshot", "1")
    run(store, "tag", "kept", code=1)
    run(store, "policy", "--table", "nothing", "--history", "1d", code=3)
    run(store, "policy", "--table", "trades", "--history", "soon", code=2)
    policies = json.loads(run(store, "policy", "--table", "trades", "--history", "1s", "--retention", "30d", "--format", "json"))
    assert policies == [{"table": "trades", "duplicates": "keep-last", "history": "1s", "retention": "30d", "history_snapshot": 0, "dropped_before": None}]
    run(store, "policy", "--table", "trades", "--duplicates", "keep-first", code=2)  # it holds versions
    time.sleep(1.2)
    # Passed by the clock, before anything is dropped: everywhere the same.
    run(store, "query", "--table", "trades", "--as-of", "2", code=3)
    status, answer = get(f"{url}/v1/trades?as_of=2")
    assert (status, answer["error"]["code"]) == (410, "SNAPSHOT_EXPIRED")
    assert [line.split(",")[1] for line in rows(store, "--as-of", "kept")] == ["1", "2"]
    told = json.loads(run(store, "retain", "--dry-run", "--format", "json"))[0]
    assert (told["rows_dropped"], told["rows_old"], told["snapshot"]) == (2, 1, 3)
    assert len(rows(store)) == 2
    done = json.loads(run(store, "retain", "--table", "trades", "--format", "json"))
    assert [(each["table"], each["rows_dropped"], each["history_snapshot"], each["snapshot"]) for each in done] == [("trades", 2, 3, 4)]
    run(store, "retain", "--table", "nothing", code=3)
    assert [line.split(",")[1] for line in rows(store)] == ["4"]
    assert [line.split(",")[1] for line in rows(store, "--as-of", "kept")] == ["2"]  # old rows go for all
    assert get(f"{url}/v1/trades?order=asc")[1]["meta"]["complete"] is False
    before = json.loads(run(store, "compact", "--format", "json"))
    assert before["segments_after"] >= 1
    figures = json.loads(run(store, "stats", "--format", "json"))["tables"]["trades"]
    written = figures["committed_bytes"] + figures["rewritten_bytes"]
    assert figures["rewritten_bytes"] > 0 and figures["write_amplification"] == pytest.approx(written / figures["committed_bytes"], abs=0.01)
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()
    assert f'k2_table_rewritten_bytes_total{{table="trades"}} {figures["rewritten_bytes"]}' in metrics
    assert "\nk2_maintenance_backlog_groups " in metrics and "k2_maintenance_up 1" in metrics
    for arguments in (("gaps", "--table", "trades"), ("stats",), ("snapshots",), ("check", "--deep"), ("candles", "--interval", "1m"), ("dlq", "list"),
                      ("backup", str(tmp_path / "backup")), ("export", "--warehouse", str(tmp_path / "lake"))):
        done = subprocess.run([K2, *arguments, "--data", store], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (arguments, done.stderr)
    # One writer: its pid is told.
    for arguments in (("load", str(tmp_path / "0.csv"), "--table", "trades"), ("repair",), ("serve", "--listen", "127.0.0.1:0")):
        done = subprocess.run([K2, *arguments, "--data", store], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 5 and str(pid) in done.stderr, (arguments, done.stderr)


def test_what_was_dropped_does_not_come_back(store):
    run(store, "policy", "--table", "trades", "--retention", "30d")
    run(store, "tag", "second", "--snapshot", "2")
    time.sleep(0.1)
    run(store, "retain")
    before, snapshots, policies = rows(store), run(store, "snapshots", "--format", "json"), run(store, "policy")
    assert len(before) == 1
    shutil.rmtree(os.path.join(store, "index"))
    run(store, "query", "--table", "trades", code=6)
    run(store, "repair")
    assert (rows(store), run(store, "snapshots", "--format", "json"), run(store, "policy")) == (before, snapshots, policies)
    assert [line.split(",")[1] for line in rows(store, "--as-of", "second")] == ["3"]
    run(store, "check", "--deep")
