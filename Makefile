# K2: see README.md. `make help` lists the targets.
CC ?= gcc
SAN ?=
VARIANT := $(if $(SAN),$(SAN),release)
OUT := build$(if $(SAN),/$(SAN),)
OBJ := build/obj/$(VARIANT)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
CPPFLAGS := -I. -D_GNU_SOURCE
CFLAGS := -std=c11 -g $(WARN) -fPIC
ifeq ($(SAN),address)
CFLAGS += -O1 -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SAN),thread)
CFLAGS += -O1 -fsanitize=thread
LDFLAGS += -fsanitize=thread
else
CFLAGS += -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
LDFLAGS += -Wl,-z,relro,-z,now -Wl,--as-needed
endif
LIBS := -llmdb -lzstd -llz4 -lxxhash -ljansson -lrdkafka -lavro -lcurl -lmicrohttpd -larchive -lz -lpthread -lm

LIB_SRC := $(wildcard format/*/*.c engine/*.c ingest/*.c ingest/*/*.c query/*.c query/*/*.c)
TOOL_SRC := $(wildcard tools/*.c)
TEST_SRC := $(wildcard tests/*/test_*.c)
SUPPORT_SRC := $(wildcard tests/support/*.c)
FUZZ_SRC := $(wildcard fuzz/fuzz_*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(OBJ)/%.o)
TOOL_OBJ := $(TOOL_SRC:%.c=$(OBJ)/%.o)
MAIN_OBJ := $(OBJ)/tools/main.o
SUPPORT_OBJ := $(SUPPORT_SRC:%.c=$(OBJ)/%.o)
TESTS := $(TEST_SRC:%.c=$(OBJ)/%)

all: $(OUT)/k2

$(OUT)/k2: $(MAIN_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OBJ)/libk2all.a: $(LIB_OBJ) $(filter-out $(MAIN_OBJ),$(TOOL_OBJ))
	@rm -f $@
	ar rcs $@ $^

$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/format/schema/schema_builtin.o: $(wildcard format/schema/*.avsc)
$(OBJ)/format/codec/%_avx2.o: CFLAGS += -mavx2 -mbmi2

$(OBJ)/tests/%: tests/%.c $(SUPPORT_OBJ) $(OBJ)/libk2all.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(SUPPORT_OBJ) $(OBJ)/libk2all.a -lcmocka $(LIBS)

unit: $(TESTS)
	@set -e; for t in $(TESTS); do echo "== $$t"; $$t; done

.PHONY: all unit
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(TESTS:=.d)
