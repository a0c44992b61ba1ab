#include "format/segment/symbol_directory.h"

#include <assert.h>
#include <endian.h>

#include "format/segment/segment_layout.h"

enum { QUICK_BYTES = 32 };

static void begin_entry(struct k2_directory_entry *entry, const struct k2_row_key *key,
                        size_t first_row)
{
    *entry = (struct k2_directory_entry){
        .instrument = key->instrument,
        .first_row = (uint32_t)first_row,
        .time_min_ns = key->time_ns,
        .time_max_ns = key->time_ns,
        .sequence_min = key->sequence,
        .sequence_max = key->sequence,
        .epoch_min = key->epoch,
        .epoch_max = key->epoch,
    };
}

static void widen(int64_t value, int64_t *min, int64_t *max)
{
    *min = value < *min ? value : *min;
    *max = value > *max ? value : *max;
}

static void put_range(struct k2_buffer *out, int64_t min, int64_t max, int64_t reference)
{
    k2_put_varint(out, k2_zigzag((int64_t)((uint64_t)min - (uint64_t)reference)));
    k2_put_varint(out, (uint64_t)max - (uint64_t)min);
}

// Numbers are relative to the entry before; the same exchange again is an empty one.
static void put_entry(struct k2_buffer *out, const struct k2_directory_entry *entry,
                      const struct k2_directory_entry *previous)
{
    k2_put_varint(out, entry->instrument - previous->instrument);
    k2_put_varint(out, entry->row_count);
    put_range(out, entry->time_min_ns, entry->time_max_ns, previous->time_min_ns);
    put_range(out, entry->epoch_min, entry->epoch_max, previous->epoch_min);
    put_range(out, entry->sequence_min, entry->sequence_max, 0);
    bool same = k2_slice_equal(entry->exchange, previous->exchange);
    k2_put_varint(out, same ? 0 : entry->exchange.size_bytes);
    if (!same) {
        k2_put_bytes(out, entry->exchange.data, entry->exchange.size_bytes);
    }
    k2_put_varint(out, entry->symbol.size_bytes);
    k2_put_bytes(out, entry->symbol.data, entry->symbol.size_bytes);
}

enum k2_status k2_symbol_directory_encode(const struct k2_row_key *keys, size_t row_count,
                                          k2_name_of_instrument *name_of, void *name_context,
                                          struct k2_buffer *out, uint32_t *entry_count,
                                          struct k2_error *error)
{
    struct k2_directory_entry previous = {0};
    size_t row = 0;
    *entry_count = 0;
    while (row < row_count) {
        struct k2_directory_entry entry;
        begin_entry(&entry, &keys[row], row);
        assert(row == 0 || entry.instrument > previous.instrument);
        for (; row < row_count && keys[row].instrument == entry.instrument; row++) {
            const struct k2_row_key *key = &keys[row];
            widen(key->time_ns, &entry.time_min_ns, &entry.time_max_ns);
            widen(key->epoch, &entry.epoch_min, &entry.epoch_max);
            widen(key->sequence, &entry.sequence_min, &entry.sequence_max);
        }
        struct k2_instrument_name name = name_of(name_context, entry.instrument);
        if (name.exchange.size_bytes + name.symbol.size_bytes > K2_NAMES_BYTES_MAX ||
            name.exchange.size_bytes == 0) {
            return k2_fail(error, K2_BAD_REQUEST, "instrument %u: names of %zu and %zu bytes",
                           (unsigned)entry.instrument, name.exchange.size_bytes,
                           name.symbol.size_bytes);
        }
        entry.row_count = (uint32_t)row - entry.first_row;
        entry.exchange = name.exchange;
        entry.symbol = name.symbol;
        put_entry(out, &entry, &previous);
        previous = entry;
        ++*entry_count;
    }
    return K2_OK;
}

// Around: bytes may say anything.
static int64_t add(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left + (uint64_t)right);
}

// The last bytes of the varints that end in these 8 bytes: a bit for each.
static uint64_t last_bytes(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return ((~le64toh(word) & 0x8080808080808080) >> 7) * 0x0102040810204080 >> 56;
}

// The number of a varint of up to 8 bytes, which 8 can be read from.
static uint64_t join_varint(const uint8_t *bytes, unsigned size_bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    word = le64toh(word) & UINT64_MAX >> (64 - 8 * size_bytes);
    word = (word & 0x007f007f007f007f) | (word & 0x7f007f007f007f00) >> 1;
    word = (word & 0x00003fff00003fff) | (word & 0x3fff00003fff0000) >> 2;
    return (word & 0x000000000fffffff) | (word & 0x0fffffff00000000) >> 4;
}

// What read_entry does, for entries as most are: numbers of up to 8 bytes each and QUICK_BYTES
// together, and the same exchange again. Where the numbers end is seen at once, so that none has
// to wait for the one before. False: it is another one, nothing was taken.
static bool read_quickly(struct k2_byte_reader *reader, const struct k2_directory_entry *previous,
                         struct k2_directory_entry *entry)
{
    enum {
        INSTRUMENT,
        ROWS,
        TIME,
        TIMES,
        EPOCH,
        EPOCHS,
        SEQUENCE,
        SEQUENCES,
        EXCHANGE,
        SYMBOL,
        NUMBERS
    };
    const uint8_t *bytes = reader->rest.data;
    uint64_t numbers[NUMBERS] = {0};
    uint64_t ends = 0;
    unsigned begin = 0;
    if (reader->rest.size_bytes < QUICK_BYTES + sizeof(uint64_t)) {
        return false;
    }
    for (unsigned i = 0; i < QUICK_BYTES; i += 8) {
        ends |= last_bytes(bytes + i) << i;
    }
    for (unsigned i = 0; i < NUMBERS; i++) {
        unsigned size = ends == 0 ? 9 : (unsigned)__builtin_ctzll(ends) + 1 - begin;
        if (size > 8) {
            return false;
        }
        numbers[i] = size == 1 ? bytes[begin] : join_varint(bytes + begin, size);
        begin += size;
        ends &= ends - 1;
    }
    if (numbers[EXCHANGE] != 0 || numbers[SYMBOL] > reader->rest.size_bytes - begin) {
        return false;
    }
    (void)k2_read_bytes(reader, begin);
    int64_t time_min = add(previous->time_min_ns, k2_unzigzag(numbers[TIME]));
    int64_t epoch_min = add(previous->epoch_min, k2_unzigzag(numbers[EPOCH]));
    int64_t sequence_min = k2_unzigzag(numbers[SEQUENCE]);
    *entry = (struct k2_directory_entry){
        .instrument = previous->instrument + (uint32_t)numbers[INSTRUMENT],
        .first_row = previous->first_row + previous->row_count,
        .row_count = (uint32_t)numbers[ROWS],
        .exchange = previous->exchange,
        .symbol = k2_read_bytes(reader, numbers[SYMBOL]),
        .time_min_ns = time_min,
        .time_max_ns = add(time_min, (int64_t)numbers[TIMES]),
        .sequence_min = sequence_min,
        .sequence_max = add(sequence_min, (int64_t)numbers[SEQUENCES]),
        .epoch_min = epoch_min,
        .epoch_max = add(epoch_min, (int64_t)numbers[EPOCHS]),
    };
    return true;
}

static void read_range(struct k2_byte_reader *reader, int64_t reference, int64_t *min, int64_t *max)
{
    *min = add(reference, k2_unzigzag(k2_read_varint(reader)));
    *max = add(*min, (int64_t)k2_read_varint(reader));
}

static void read_entry(struct k2_byte_reader *reader, const struct k2_directory_entry *previous,
                       struct k2_directory_entry *entry)
{
    *entry = (struct k2_directory_entry){0};
    entry->instrument = previous->instrument + (uint32_t)k2_read_varint(reader);
    entry->first_row = previous->first_row + previous->row_count;
    entry->row_count = (uint32_t)k2_read_varint(reader);
    read_range(reader, previous->time_min_ns, &entry->time_min_ns, &entry->time_max_ns);
    read_range(reader, previous->epoch_min, &entry->epoch_min, &entry->epoch_max);
    read_range(reader, 0, &entry->sequence_min, &entry->sequence_max);
    size_t exchange_bytes = (size_t)k2_read_varint(reader);
    entry->exchange =
        exchange_bytes == 0 ? previous->exchange : k2_read_bytes(reader, exchange_bytes);
    entry->symbol = k2_read_bytes(reader, (size_t)k2_read_varint(reader));
}

enum k2_status k2_symbol_directory_read(struct k2_slice bytes, struct k2_directory_entry *entries,
                                        uint32_t entry_count, uint32_t row_count,
                                        struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    struct k2_directory_entry previous = {0};
    for (uint32_t i = 0; i < entry_count; i++) {
        if (!read_quickly(&reader, &previous, &entries[i])) {
            read_entry(&reader, &previous, &entries[i]);
        }
        uint32_t rest = row_count - (previous.first_row + previous.row_count);
        bool rises = i == 0 || entries[i].instrument > previous.instrument;
        if (reader.truncated || !rises || entries[i].row_count == 0 ||
            entries[i].row_count > rest || entries[i].exchange.size_bytes == 0) {
            return k2_fail(error, K2_CORRUPT, "symbol directory: entry %u is wrong", (unsigned)i);
        }
        previous = entries[i];
    }
    if (reader.rest.size_bytes != 0 || previous.first_row + previous.row_count != row_count) {
        return k2_fail(error, K2_CORRUPT, "symbol directory: it covers %u rows of %u",
                       (unsigned)(previous.first_row + previous.row_count), (unsigned)row_count);
    }
    return K2_OK;
}
