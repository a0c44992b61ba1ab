"""Rules that no compiler checks: layers, one module per library header, banned calls, lengths.

usage: rules.py FILE...     prints one line per finding; ends with 1 if there is any
"""
import re
import sys

# What a file of a folder may include; the rest points upwards.
LAYERS = {
    "format": {"format"},
    "engine": {"format", "engine"},
    "ingest": {"format", "engine", "ingest"},
    "query": {"format", "engine", "query"},
    "tools": {"format", "engine", "ingest", "query", "tools"},
    "tests": {"format", "engine", "ingest", "query", "tools", "tests"},
    "fuzz": {"format", "engine", "ingest", "query", "tools", "tests", "fuzz"},
}

# The modules that may know a library. A library has one, unless two sides of it have nothing in common.
LIBRARIES = {
    "lmdb.h": {"engine/store.c"},
    "xxhash.h": {"format/base/checksum.c"},
    "zstd.h": {"format/base/zstd.c", "query/http_coding.c"},
    "lz4.h": None,
    "lz4frame.h": None,
    "jansson.h": {"format/iceberg/avro_container.c", "format/iceberg/iceberg_change.c",
                  "format/iceberg/iceberg_metadata.c",
                  "format/schema/schema_avro.c", "ingest/avro_schema.c", "ingest/schema_registry.c"},
    "avro.h": None,
    "librdkafka/rdkafka.h": {"ingest/kafka_sink.c", "ingest/kafka_source.c", "tools/demo/mock_broker.c"},
    "librdkafka/rdkafka_mock.h": None,
    "curl/curl.h": {"ingest/schema_registry.c", "query/http_exchange.c"},
    "microhttpd.h": {"query/http_server.c"},
    "archive.h": None,
    "archive_entry.h": None,
    "zlib.h": {"format/base/deflate.c", "ingest/input_gzip.c", "query/http_coding.c"},
    "sqlite3.h": None,
    "openssl/evp.h": {"format/base/sha256.c"},
    "openssl/hmac.h": {"format/base/sha256.c"},
    "expat.h": {"query/export/xml_walk.c"},
}

ALLOCATION = "malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf posix_memalign aligned_alloc"
UNSAFE = ("gets strcpy stpcpy sprintf vsprintf strtok atoi atol atoll alloca tmpnam mktemp "
          "localtime localtime_r mktime ctime ctime_r asctime asctime_r tzset strftime setlocale system popen")
UNREPEATABLE = "rand srand random srandom drand48"
FILES = ("open openat creat write pwrite pwritev writev fsync fdatasync rename renameat renameat2 unlink unlinkat "
         "ftruncate truncate fallocate posix_fallocate mmap munmap mkdir mkdirat link linkat fopen")
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(")


def call_pattern(names):
    return re.compile(CALL.pattern % "|".join(names.split()))


UNSAFE_CALL, RANDOM_CALL, ALLOCATION_CALL, FILE_CALL = map(
    call_pattern, (UNSAFE, UNREPEATABLE, ALLOCATION, FILES))
# The second frees what jansson gives.
MEMORY_OWNERS = {"format/base/alloc.c", "format/schema/schema_avro.c"}
# The second takes LOCK, which holds no data.
FILE_OWNERS = {"engine/file_io.c", "engine/engine.c"}
# A socket's name and the folder that it stands in; LMDB's own file, mapped once more for reading.
FILE_CALLS = {("engine/control_client.c", "open"), ("engine/control.c", "unlinkat"),
              ("engine/control.c", "renameat"), ("engine/store.c", "mmap"), ("engine/store.c", "munmap")}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MOST_LINES, MOST_FUNCTION_LINES, MOST_COLUMNS = 800, 70, 100
MOST_TABLE_LINES = 120  # of a test that is a table of rows


def without_comments_and_texts(source):
    """The same lines, with comments, strings and characters blanked."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source, flags=re.S)


def calls(path, number, line):
    folder = path.split("/")[0]
    if match := UNSAFE_CALL.search(line):
        yield f"{path}:{number}: {match.group(1)} is banned"
    if folder == "tests" or folder == "fuzz" or "/examples/" in path:
        return
    if match := RANDOM_CALL.search(line):
        yield f"{path}:{number}: {match.group(1)}: its numbers differ between machines"
    if path not in MEMORY_OWNERS and (match := ALLOCATION_CALL.search(line)):
        yield f"{path}:{number}: {match.group(1)}: memory comes from format/base/alloc.h"
    if (folder in ("format", "engine") and path not in FILE_OWNERS and (match := FILE_CALL.search(line))
            and (path, match.group(1)) not in FILE_CALLS):
        yield f"{path}:{number}: {match.group(1)}: files are touched by engine/file_io.c alone"


def functions(path, lines):
    """A function begins with `{` in the first column and ends with `}` there (Linux braces)."""
    begun, most = None, MOST_TABLE_LINES if path.startswith("tests/") else MOST_FUNCTION_LINES
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            begun = number
        elif line.startswith("}") and begun:
            if number - begun - 1 > most:
                yield f"{path}:{begun}: a function of {number - begun - 1} lines, the most is {most}"
            begun = None


def includes(path, source):
    folder = path.split("/")[0]
    for target in re.findall(r'^\s*#\s*include\s+"([^"]+)"', source, re.M):
        top = target.split("/")[0]
        if top not in LAYERS:
            yield f'{path}: include "{target}": not written from the root'
        elif top not in LAYERS.get(folder, LAYERS["tools"]):
            yield f'{path}: include "{target}": {folder} must not know {top}'
    own = path[:-2] + ".h"
    first = re.search(r'^\s*#\s*include\s+["<]([^">]+)', source, re.M)
    if path.endswith(".c") and f'"{own}"' in source and first and first.group(1) != own:
        yield f"{path}: its own header is to be included first"


def check(path, users):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    lines, bare = source.split("\n"), without_comments_and_texts(source).split("\n")
    yield from includes(path, source)
    for target in re.findall(r"^\s*#\s*include\s+<([^>]+)>", source, re.M):
        if target in LIBRARIES and path.split("/")[0] not in ("tests", "fuzz"):
            users.setdefault(target, set()).add(path)
    if path.endswith(".h") and "#pragma once" not in source and path != "engine/k2.h":  # public: a plain guard
        yield f"{path}: no #pragma once"
    if path.endswith(".h") and not source.startswith("//"):
        yield f"{path}: does not begin with what it is for"
    if len(lines) > MOST_LINES + 1:
        yield f"{path}: {len(lines) - 1} lines, the most is {MOST_LINES}"
    for number, (line, code) in enumerate(zip(lines, bare), 1):
        if len(line) > MOST_COLUMNS:
            yield f"{path}:{number}: {len(line)} columns"
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished work"
        yield from calls(path, number, code)
    yield from functions(path, bare)


def libraries(users):
    for header, files in sorted(users.items()):
        allowed = LIBRARIES[header]
        if allowed is not None and files - allowed:
            yield f"<{header}> is for {', '.join(sorted(allowed))}, but {', '.join(sorted(files - allowed))} includes it"
        if allowed is None and len(files) > 1:
            yield f"<{header}> is included by {', '.join(sorted(files))}: one module is to own it"
        if header_users := [file for file in files if file.endswith(".h")]:
            yield f"<{header}> leaks through {', '.join(header_users)}"


def main(paths):
    users, findings = {}, []
    for path in paths:
        findings += check(path, users)
    findings += libraries(users)
    for finding in findings:
        print(finding)
    print(f"rules: {len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
