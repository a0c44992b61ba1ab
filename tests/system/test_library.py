"""libk2 as a user meets it: installed somewhere, found by pkg-config, the example copied and built."""
import os
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HEADER = "exchange,symbol,timestamp,sequence,price,quantity\n"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    run("make", "-s", "install", f"PREFIX={prefix}", cwd=ROOT)
    return prefix


@pytest.fixture(scope="module")
def flags(prefix):
    environment = dict(os.environ, PKG_CONFIG_PATH=f"{prefix}/lib/pkgconfig")
    assert run("pkg-config", "--modversion", "k2", env=environment).count(".") == 2
    return lambda *more: run("pkg-config", "--cflags", "--libs", *more, "k2", env=environment).split()


@pytest.fixture(scope="module")
def store(prefix, tmp_path_factory):
    """Two loads: the second one brings a late row of A."""
    home = tmp_path_factory.mktemp("store")
    (home / "1.csv").write_text(HEADER + "X,A,2024-01-02T10:00:00Z,1,10,1\nX,A,2024-01-02T10:00:01Z,2,11,2\n"
                                "X,B/C,2024-01-02T10:00:00Z,1,0.00000001,99999\nX,A,2024-01-03T00:00:00Z,3,500,1\n")
    (home / "2.csv").write_text(HEADER + "X,A,2024-01-02T09:00:00Z,9,20,1\n")
    for name in ("1.csv", "2.csv"):
        run(f"{prefix}/bin/k2", "load", "--data", f"{home}/data", "--table", "trades", f"{home}/{name}")
    return f"{home}/data"


def vwap(program, prefix, *arguments):
    table = run(program, *arguments, env=dict(os.environ, LD_LIBRARY_PATH=f"{prefix}/lib"))
    return [line.split() for line in table.splitlines()[1:]]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("linkage", ["shared", "static"])
def test_the_example_is_built_and_gives_exact_averages(prefix, flags, store, tmp_path, compiler, linkage):
    program, source = f"{tmp_path}/vwap", f"{tmp_path}/vwap.c"
    with open(f"{ROOT}/tools/examples/vwap.c", encoding="utf-8") as original, open(source, "w") as copy:
        copy.write(original.read())
    found = flags("--static") if linkage == "static" else flags()
    if linkage == "static":
        found = [f"{prefix}/lib/libk2.a" if flag == "-lk2" else flag for flag in found]
    run(compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", source, "-o", program, *found)
    day = ("2024-01-02", "2024-01-03")
    newest = [["X", "A", "3", "13"], ["X", "B/C", "1", "0.00000001"]]
    assert vwap(program, prefix, store, *day) == [["X", "A", "3", "13"], newest[1]]
    assert vwap(program, prefix, store, *day, "1") == [["X", "A", "2", "10.66666667"], newest[1]]
    assert vwap(program, prefix, store) == [["X", "A", "4", "110.4"], newest[1]]


def test_errors_say_what_is_wrong(prefix, flags, store, tmp_path):
    program = f"{tmp_path}/vwap"
    run("gcc", f"{ROOT}/tools/examples/vwap.c", "-o", program, *flags())
    environment = dict(os.environ, LD_LIBRARY_PATH=f"{prefix}/lib")
    for arguments, text in (((f"{tmp_path}/nowhere",), "not_found"),
                            ((store, "2024-01-02", "no time"), "bad_request"),
                            ((store, "2024-01-02", "2024-01-03", "notag"), "not_found")):
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "") and text in done.stderr, done.stderr


def test_the_header_is_cxx_and_strict_c99(flags, tmp_path):
    for name, command in (("a.c", ("gcc", "-std=c99")), ("a.cpp", ("g++", "-std=c++11")), ("b.cpp", ("clang++", "-std=c++17"))):
        (tmp_path / name).write_text("#include <k2.h>\nint main(void) { return k2_version() == 0; }\n")
        run(*command, "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"{tmp_path}/{name}",
            "-o", f"{tmp_path}/out", *flags())


def test_the_library_shows_its_functions_alone(prefix):
    with open(f"{ROOT}/engine/k2.map", encoding="utf-8") as file:
        listed = {line.strip(" ;\n") for line in file if line.startswith("    k2_")}
    shown = {line.split()[-1].split("@")[0] for line in
             run("nm", "-D", "--defined-only", f"{prefix}/lib/libk2.so.0").splitlines()}
    assert shown - {"K2_0"} == listed
    header = open(f"{ROOT}/engine/k2.h", encoding="utf-8").read()
    assert all(f"{name}(" in header for name in listed - {"k2_status_name"})
    needed = run("readelf", "-d", f"{prefix}/lib/libk2.so.0")
    assert "librdkafka" not in needed and "libmicrohttpd" not in needed
