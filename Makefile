# K2: see README.md. `make help` lists the targets; V=1 shows the commands.
ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
PREFIX ?= /usr/local
VARIANT := $(if $(SAN),$(SAN),release)
OUT := build$(if $(SAN),/$(SAN),)
OBJ := build/obj/$(VARIANT)-$(notdir $(lastword $(CC)))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wstrict-prototypes -Werror
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS += -std=c11 -g $(WARN) -fPIC -fno-delete-null-pointer-checks
ifeq ($(SAN),address)
SANITIZE := -O1 -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
else ifeq ($(SAN),thread)
SANITIZE := -O1 -fsanitize=thread
else ifeq ($(SAN),fuzz)
SANITIZE := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
else ifeq ($(SAN),coverage)
SANITIZE := -O1 --coverage -fprofile-update=atomic
else
CFLAGS += -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
    -fstack-clash-protection -fcf-protection=full
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
endif
CFLAGS += $(SANITIZE)
LDFLAGS += $(SANITIZE)
LIBS := -llmdb -lzstd -llz4 -lxxhash -ljansson -lrdkafka -lavro -lcurl -lmicrohttpd -larchive -lz -lsqlite3 \
    -lcrypto -lexpat -lpthread -lm

LIB_SRC := $(wildcard format/*/*.c engine/*.c ingest/*.c ingest/*/*.c query/*.c query/*/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(OBJ)/%.o)
MAIN_OBJ := $(OBJ)/tools/main.o
TOOL_OBJ := $(filter-out $(MAIN_OBJ),$(patsubst %.c,$(OBJ)/%.o,$(wildcard tools/*.c)))
SUPPORT_OBJ := $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/support/*.c))
# SAN=thread: the tests that start threads; the others have nothing to show there.
TEST_SRC := $(if $(filter thread,$(SAN)),$(shell grep -l pthread_create tests/*/test_*.c),\
    $(wildcard tests/*/test_*.c))
TESTS := $(TEST_SRC:%.c=$(OBJ)/%)
BENCHES := $(patsubst %.c,$(OBJ)/%,$(wildcard tools/bench/bench_*.c))
QUIET = $(if $(V),,@printf '%s\n' "  $(notdir $(lastword $(CC))) $(@:build/obj/%=%)";)
# The reader that fuzz targets of writers check against.
WALK_OBJ := $(OBJ)/tests/support/arrow_walk.o
FUZZ_NAMES := $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
REPLAYS := $(if $(filter thread,$(SAN)),,$(FUZZ_NAMES:%=$(OBJ)/fuzz/replay_%))

all: $(OUT)/k2                      ## the program build/k2

$(OUT)/k2: $(MAIN_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OBJ)/libk2all.a: $(LIB_OBJ) $(TOOL_OBJ)
	@rm -f $@
	@ar rcs $@ $^

$(OBJ)/%.o: %.c Makefile | build/.deps
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/format/schema/schema_builtin.o: $(wildcard format/schema/*.avsc)
$(OBJ)/format/codec/%_avx2.o: CFLAGS += -mavx2 -mbmi -mbmi2
$(OBJ)/format/codec/%_avx512.o: CFLAGS += -mavx2 -mbmi -mbmi2 -mavx512f -mavx512bw -mavx512dq \
    -mavx512vl -mavx512vbmi -mavx512vbmi2 -mavx512vpopcntdq -mavx512ifma
ifeq ($(SAN),)
$(OBJ)/format/codec/%.o $(OBJ)/format/arrow/%.o $(OBJ)/format/parquet/%.o: CFLAGS += -O3
endif

$(OBJ)/tests/%: tests/%.c $(SUPPORT_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $(filter-out %.h,$^) -lcmocka $(LIBS)

# What stands in for functions of the C library is linked to the one test that wants it.
DISK_OBJ := $(OBJ)/tests/crash/disk_log.o $(OBJ)/tests/crash/disk_recorder.o
$(OBJ)/tests/crash/test_simulated_disk $(OBJ)/tests/crash/test_simulated_backup: $(DISK_OBJ)
$(OBJ)/tests/crash/test_damage: $(OBJ)/tests/crash/disk_log.o

$(OBJ)/tools/%: tools/%.c $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(OBJ)/libk2all.a $(LIBS)

$(OBJ)/fuzz/fuzz_%: fuzz/fuzz_%.c $(WALK_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< $(WALK_OBJ) \
	    $(OBJ)/libk2all.a $(LIBS)

$(OBJ)/fuzz/replay_%: fuzz/fuzz_%.c fuzz/replay.c $(WALK_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< fuzz/replay.c $(WALK_OBJ) \
	    $(OBJ)/libk2all.a $(LIBS)

# libk2: format and engine. The version script hides all but the functions of k2.h.
K2_LIBS := -llmdb -lzstd -llz4 -lxxhash -ljansson -lz -lpthread
# Without what only object stores need.
K2_OBJ := $(filter-out %/sha256.o,$(filter $(OBJ)/format/% $(OBJ)/engine/%,$(LIB_OBJ)))
VERSION = $(shell sed -n 's/.*K2_VERSION "\(.*\)"/\1/p' format/base/version.h)

$(OUT)/libk2.so.0: $(K2_OBJ) engine/k2.map
	$(QUIET)$(CC) $(CFLAGS) $(filter-out -pie,$(LDFLAGS)) -shared -Wl,-soname,libk2.so.0 \
	    -Wl,--version-script=engine/k2.map -Wl,-z,defs -o $@ $(K2_OBJ) $(K2_LIBS)

$(OUT)/libk2.a: $(K2_OBJ)
	@rm -f $@
	@ar rcs $@ $^

lib: $(OUT)/libk2.so.0 $(OUT)/libk2.a    ## libk2, shared and static

install: $(OUT)/k2 lib              ## k2, libk2 and its headers; PREFIX, DESTDIR
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include/k2/format/base)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/man/,man1 man3)
	install -m 644 tools/k2.1 $(DESTDIR)$(PREFIX)/share/man/man1/k2.1
	install -m 644 engine/libk2.3 $(DESTDIR)$(PREFIX)/share/man/man3/libk2.3
	install -m 755 $(OUT)/k2 $(DESTDIR)$(PREFIX)/bin/k2
	install -m 644 engine/k2.h $(DESTDIR)$(PREFIX)/include/k2/k2.h
	install -m 644 engine/k2_arrow.h $(DESTDIR)$(PREFIX)/include/k2/k2_arrow.h
	install -m 644 format/base/status.h $(DESTDIR)$(PREFIX)/include/k2/format/base/status.h
	install -m 644 $(OUT)/libk2.a $(DESTDIR)$(PREFIX)/lib/libk2.a
	install -m 755 $(OUT)/libk2.so.0 $(DESTDIR)$(PREFIX)/lib/libk2.so.0
	ln -sf libk2.so.0 $(DESTDIR)$(PREFIX)/lib/libk2.so
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@LIBS@|$(K2_LIBS)|' engine/k2.pc.in \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/k2.pc

# One line about missing packages instead of a compiler's error.
build/.deps: tools/deps
	@mkdir -p build
	@tools/deps check build
	@touch $@

deps:                               ## installs the Debian packages that building and testing need
	@tools/deps install build test

tests: $(TESTS) $(REPLAYS) $(OUT)/k2
unit: tests                         ## unit tests and fuzz corpora; SAN=address|thread; ONLY=word
	@tests/run programs "$(or $(SAN),release)" \
	    $(if $(ONLY),$(foreach t,$(TESTS),$(if $(findstring $(ONLY),$t),$t)),$(TESTS) $(REPLAYS))

test:                               ## everything that CI runs; installs what it needs
	@tools/deps install build test
	@tests/run all

system: tests                       ## the program from outside, with a real broker; part of `test`
	@tests/run system

torture:                            ## the long forms; SEED=n, MINUTES=n
	@tools/deps install build test power
	@tests/run torture

mutants:                            ## mistakes put into the sources, each of which a test notices
	@CC="$(CC)" tests/mutants/run $(ONLY)

power: $(OBJ)/tests/power/power_cut ## power cuts of a virtual machine on ext4; STEPS=n
	@tests/power/run $< $(STEPS)

accept: $(OUT)/k2                   ## the acceptance program of ../shared, where it is; CASES="..."
	@tests/run accept $(OUT)/k2 $(CASES)

fuzz:                               ## one target: make fuzz FUZZ=name SECONDS=30
	@$(MAKE) --no-print-directory SAN=fuzz CC=clang build/obj/fuzz-clang/fuzz/fuzz_$(FUZZ)
	@tests/run fuzz $(FUZZ) $(or $(SECONDS),30)

coverage:                           ## lines and branches that the unit tests reach
	@tools/deps install build test coverage
	@K2_TEST_LIMIT=1800 $(MAKE) --no-print-directory SAN=coverage unit
	@gcovr --gcov-ignore-parse-errors --root . --object-directory build/obj/coverage-gcc \
	    --filter 'format/|engine/|ingest/|query/' --exclude-throw-branches \
	    --exclude-branches-by-pattern '\s*assert\(.*' --json-summary | tests/coverage

tidy:                               ## layout, layers, banned calls; clang-tidy and cppcheck
	@tests/tidy/run

demo:                               ## a store from a broker to answers, in under a minute
	@tools/deps install build demo
	@$(MAKE) --no-print-directory $(OUT)/k2 $(OBJ)/tools/demo/mock_broker
	@tools/demo/run $(OUT)/k2 $(OBJ)/tools/demo/mock_broker

bench: $(BENCHES) $(OUT)/k2         ## figures of this machine, see tools/bench; ROWS=100000000
	@K2_BENCH_ROWS=$(or $(ROWS),$(K2_BENCH_ROWS)) tools/bench/run $(OUT)/k2 $(dir $(OBJ)/tools/bench/x)

clean:                              ## removes build/
	@rm -rf build

help:                               ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## *\(.*\)/\1\t\2/p' Makefile | expand -t 12

.PHONY: all lib install deps tests unit test system torture mutants power accept fuzz coverage tidy demo bench clean help
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(MAIN_OBJ:.o=.d) $(SUPPORT_OBJ:.o=.d) $(TESTS:=.d) \
    $(BENCHES:=.d)
