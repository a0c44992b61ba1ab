// Entries of the gap ledger that anybody may have written: they are refused, or what is read is
// printed and read again as the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ledger_records.h"

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_page(struct k2_slice bytes)
{
    static struct k2_ledger_page page, again;
    struct k2_buffer text;
    if (k2_ledger_page_read(&page, bytes, NULL) != K2_OK) {
        return;
    }
    k2_buffer_init(&text, 1 << 20);
    k2_ledger_page_put(&page, &text);
    must(k2_ledger_page_read(&again, k2_buffer_slice(&text), NULL) == K2_OK);
    for (int i = 0; i < K2_PAGE_DOMAINS; i++) {
        const struct k2_sequence_state *a = &page.states[i], *b = &again.states[i];
        must(a->any == b->any && a->given_up == b->given_up && a->first == b->first &&
             a->last == b->last && a->first_ns == b->first_ns && a->last_ns == b->last_ns &&
             a->min_ns == b->min_ns && a->max_ns == b->max_ns && a->open_gaps == b->open_gaps &&
             a->commit == b->commit);
        must(!a->any || (a->first <= a->last && a->min_ns <= a->max_ns));
    }
    k2_buffer_deinit(&text);
}

static void try_gap(struct k2_slice bytes)
{
    struct k2_gap_place place;
    struct k2_sequence_gap gap;
    size_t key_bytes = bytes.size_bytes < 30 ? 22 : 30;
    if (bytes.size_bytes < key_bytes) {
        return;
    }
    struct k2_slice key = {bytes.data, key_bytes};
    struct k2_slice value = {bytes.data + key_bytes, bytes.size_bytes - key_bytes};
    if (k2_gap_open_read(key, value, &place, &gap, NULL) == K2_OK) {
        struct k2_index_key printed = k2_gap_open_key(&place, gap.last);
        must(k2_slice_equal(k2_index_key_slice(&printed), key));
    }
    if (k2_gap_closed_read(key, value, &place, &gap, NULL) == K2_OK) {
        struct k2_index_key printed = k2_gap_closed_key(&place, gap.last);
        struct k2_index_value again = k2_gap_encode(&gap);
        must(k2_slice_equal(k2_index_key_slice(&printed), key));
        must(memcmp(again.data, value.data, again.size_bytes) == 0 && gap.first <= gap.last);
    }
}

static void try_name(struct k2_slice bytes)
{
    struct k2_domain_part parts[K2_DOMAIN_COLUMNS], again[K2_DOMAIN_COLUMNS];
    struct k2_buffer text;
    size_t count, count_again;
    if (k2_domain_name_read(bytes, parts, &count, NULL) != K2_OK) {
        return;
    }
    k2_buffer_init(&text, 1 << 20);
    k2_domain_name_put(parts, count, &text);
    must(k2_domain_name_read(k2_buffer_slice(&text), again, &count_again, NULL) == K2_OK &&
         count_again == count);
    for (size_t i = 0; i < count; i++) {
        must(k2_slice_equal(parts[i].column, again[i].column) &&
             k2_slice_equal(parts[i].value, again[i].value));
    }
    k2_buffer_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        struct k2_slice rest = {data + 1, size - 1};
        data[0] % 3 == 0 ? try_page(rest) : data[0] % 3 == 1 ? try_gap(rest) : try_name(rest);
    }
    return 0;
}
