// The built-in tables: their Avro schemas are part of the program.
#include "format/schema/schema.h"

// .incbin looks for its file from the directory in which the compiler runs, the top of the tree.
#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".hidden " #symbol "_begin\n"                                                          \
            ".hidden " #symbol "_end\n"                                                            \
            ".globl " #symbol "_begin\n"                                                           \
            ".globl " #symbol "_end\n" #symbol "_begin:\n"                                         \
            ".incbin \"" path "\"\n" #symbol "_end:\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const uint8_t symbol##_begin[] __attribute__((visibility("hidden")));                   \
    extern const uint8_t symbol##_end[] __attribute__((visibility("hidden")))

EMBED(k2_avsc_trades, "format/schema/trades.avsc");
EMBED(k2_avsc_quotes, "format/schema/quotes.avsc");
EMBED(k2_avsc_book, "format/schema/book.avsc");
EMBED(k2_avsc_reference_data, "format/schema/reference_data.avsc");
EMBED(k2_avsc_deadletter, "format/schema/_deadletter.avsc");
EMBED(k2_avsc_log, "format/schema/_log.avsc");

static const struct {
    const char *table;
    const uint8_t *begin, *end;
} builtins[] = {
    {"trades", k2_avsc_trades_begin, k2_avsc_trades_end},
    {"quotes", k2_avsc_quotes_begin, k2_avsc_quotes_end},
    {"book", k2_avsc_book_begin, k2_avsc_book_end},
    {"reference_data", k2_avsc_reference_data_begin, k2_avsc_reference_data_end},
    {"_deadletter", k2_avsc_deadletter_begin, k2_avsc_deadletter_end},
    {"_log", k2_avsc_log_begin, k2_avsc_log_end},
};

enum { BUILTIN_COUNT = sizeof builtins / sizeof builtins[0] };

const char *k2_schema_builtin_name(size_t index)
{
    return index < BUILTIN_COUNT ? builtins[index].table : NULL;
}

enum k2_status k2_schema_builtin(struct k2_schema **schema, const char *table,
                                 struct k2_error *error)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        if (strcmp(builtins[i].table, table) == 0) {
            size_t size_bytes = (size_t)((uintptr_t)builtins[i].end - (uintptr_t)builtins[i].begin);
            struct k2_slice json = {builtins[i].begin, size_bytes};
            return k2_schema_parse(schema, table, json, error);
        }
    }
    return k2_fail(error, K2_NOT_FOUND, "table %.64s: not built in", table);
}
