// The part of parquet_column.h that takes rows.
#include "format/base/alloc.h"
#include "format/base/utf8.h"
#include "format/parquet/parquet_column_private.h"

enum { NS_PER_US = 1000 };

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
}

static bool is_valid(const struct k2_parquet_column *column, const struct k2_vector *vector,
                     size_t row)
{
    return !column->field->optional || vector->valid == NULL || vector->valid[row] != 0;
}

static void put_level(struct k2_parquet_column *column, bool valid)
{
    if (!valid) {
        k2_parquet_fill_levels(column);
        column->levels[column->level_count++] = 0;
    }
    column->page_rows++;
}

// All of the rows are null: their levels are put.
static bool put_nulls(struct k2_parquet_column *column, const struct k2_vector *vector,
                      size_t first_row, size_t row_count)
{
    if (!column->field->optional || vector->valid == NULL ||
        memchr(vector->valid + first_row, 1, row_count) != NULL) {
        return false;
    }
    k2_parquet_fill_levels(column);
    memset(&column->levels[column->level_count], 0, row_count * sizeof *column->levels);
    column->level_count += row_count;
    column->page_rows += row_count;
    return true;
}

// ---- rows that are all alike --------------------------------------------------------------------

static bool is_same(struct k2_slice left, struct k2_slice right)
{
    return left.data == right.data && left.size_bytes == right.size_bytes;
}

static int64_t floor_us(int64_t time_ns)
{
    int64_t quotient = time_ns / NS_PER_US;
    return quotient - (time_ns % NS_PER_US < 0);
}

// A text that stands at another place is taken to differ.
static bool are_same_texts(const struct k2_slice *texts, size_t count)
{
    uintptr_t data = (uintptr_t)texts[0].data, difference = 0;
    size_t size = texts[0].size_bytes;
    if (!is_same(texts[0], texts[count - 1])) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        difference |= ((uintptr_t)texts[i].data ^ data) | (texts[i].size_bytes ^ size);
    }
    return difference == 0;
}

static bool are_same_numbers(const int64_t *values, size_t count)
{
    uint64_t difference = 0;
    if (values[0] != values[count - 1]) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        difference |= (uint64_t)values[i] ^ (uint64_t)values[0];
    }
    return difference == 0;
}

// What the page keeps of the value of the rows; false: it has to be looked at more closely.
static bool find_lead(struct k2_parquet_column *column, const struct k2_vector *vector, size_t row,
                      int64_t *value)
{
    uint32_t entry;
    if (column->values != NULL) {
        *value = column->field->microseconds ? floor_us(vector->values[row]) : vector->values[row];
        return true;
    }
    if (column->lead > 0 && k2_slice_equal(k2_parquet_dictionary_entry(
                                               &column->dictionary, (uint32_t)column->lead_value),
                                           vector->texts[row])) {
        *value = column->lead_value;
        return true;
    }
    enum k2_parquet_lookup lookup =
        k2_parquet_dictionary_find(&column->dictionary, vector->texts[row], &entry);
    *value = entry;
    return lookup == K2_PARQUET_FOUND || lookup == K2_PARQUET_ADDED;
}

// Rows of a page that has no others but such; false: nothing was taken.
static bool put_alike(struct k2_parquet_column *column, const struct k2_vector *vector,
                      size_t first_row, size_t row_count)
{
    bool optional = column->field->optional && vector->valid != NULL;
    if (optional && memchr(vector->valid + first_row, 1, row_count) == NULL) {
        bool alike = column->page_rows == column->null_lead;
        column->null_lead += alike ? row_count : 0;
        column->page_rows += alike ? row_count : 0;
        return alike;
    }
    int64_t value;
    bool symbolic = column->memo != NULL && column->way == K2_PARQUET_BY_DICTIONARY;
    bool number = column->values != NULL && column->field->type != K2_PARQUET_DOUBLE;
    if (column->page_rows != column->lead || !(symbolic || number) ||
        (optional && memchr(vector->valid + first_row, 0, row_count) != NULL) ||
        !(vector->alike || (number ? are_same_numbers(vector->values + first_row, row_count)
                                   : are_same_texts(vector->texts + first_row, row_count))) ||
        !find_lead(column, vector, first_row, &value) ||
        (column->lead > 0 && value != column->lead_value)) {
        return false;
    }
    column->lead_value = value;
    column->lead += row_count;
    column->page_values += row_count;
    column->page_rows += row_count;
    if (symbolic) {
        column->page_plain_bytes +=
            row_count * (k2_parquet_prefix_bytes(column) + vector->texts[first_row].size_bytes);
    }
    return true;
}

// ---- texts --------------------------------------------------------------------------------------

// Ends the use of the dictionary: it is full.
static enum k2_status leave_full_dictionary(struct k2_parquet_column *column,
                                            struct k2_error *error)
{
    enum k2_status status = k2_parquet_close_page(column, error);
    column->way = K2_PARQUET_AS_PLAIN;
    column->has_last = false;
    return status;
}

static struct k2_parquet_memo *memo_of(struct k2_parquet_column *column, struct k2_slice text)
{
    uint64_t place = (uint64_t)(uintptr_t)text.data * 0x9e3779b97f4a7c15u;
    return &column->memo[(place >> 32) % K2_PARQUET_MEMO];
}

// Into last_entry. Texts of a symbolic column stand at few places, within one put.
static enum k2_parquet_lookup find_text(struct k2_parquet_column *column, struct k2_slice text)
{
    if (column->memo == NULL) {
        return k2_parquet_dictionary_find(&column->dictionary, text, &column->last_entry);
    }
    struct k2_parquet_memo *memo = memo_of(column, text);
    if (memo->data == text.data && memo->size_bytes == text.size_bytes &&
        (memo->round == column->memo_round ||
         (memo->entry < column->dictionary.entry_count &&
          k2_slice_equal(k2_parquet_dictionary_entry(&column->dictionary, memo->entry), text)))) {
        memo->round = column->memo_round;
        column->last_entry = memo->entry;
        return K2_PARQUET_FOUND;
    }
    enum k2_parquet_lookup lookup =
        k2_parquet_dictionary_find(&column->dictionary, text, &column->last_entry);
    if (lookup == K2_PARQUET_FOUND || lookup == K2_PARQUET_ADDED) {
        *memo = (struct k2_parquet_memo){text.data, text.size_bytes, column->last_entry,
                                         column->memo_round};
    }
    return lookup;
}

static enum k2_status put_text(struct k2_parquet_column *column, struct k2_slice text,
                               struct k2_error *error)
{
    if (column->way == K2_PARQUET_BY_DICTIONARY) {
        if (!column->has_last || !is_same(column->last_text, text)) {
            switch (find_text(column, text)) {
            case K2_PARQUET_NO_MEMORY:
                column->has_last = false;
                return no_memory(error);
            case K2_PARQUET_FULL: {
                enum k2_status status = leave_full_dictionary(column, error);
                return status == K2_OK ? put_text(column, text, error) : status;
            }
            default:
                // Texts of the scratch buffer change where they stand.
                column->has_last = column->field->column->kind != K2_KIND_TEXT;
                column->last_text = text;
            }
        }
        column->entries[column->page_values++] = column->last_entry;
    } else {
        if (k2_parquet_prefix_bytes(column) > 0) {
            k2_put_u32(&column->plain, (uint32_t)text.size_bytes);
        }
        k2_put_bytes(&column->plain, text.data, text.size_bytes);
        column->page_values++;
    }
    column->page_plain_bytes += k2_parquet_prefix_bytes(column) + text.size_bytes;
    return K2_OK;
}

static enum k2_status put_row_text(struct k2_parquet_column *column, struct k2_slice text,
                                   struct k2_error *error)
{
    enum k2_kind kind = column->field->column->kind;
    if (kind == K2_KIND_UUID && text.size_bytes != K2_PARQUET_UUID_BYTES) {
        return k2_fail(error, K2_CORRUPT, "column %s: a uuid of %zu bytes", column->field->name,
                       text.size_bytes);
    }
    if (kind == K2_KIND_TEXT && !k2_utf8_is_valid(text)) {
        k2_buffer_clear(&column->scratch->text);
        k2_utf8_put_mended(&column->scratch->text, text); // readers refuse what is no UTF-8
        text = k2_buffer_slice(&column->scratch->text);
        if (column->scratch->text.failed) {
            return no_memory(error);
        }
    }
    return put_text(column, text, error);
}

// One row; the value before its level, because it may close the page.
static enum k2_status put_text_row(struct k2_parquet_column *column, const struct k2_vector *vector,
                                   size_t row, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    bool valid = is_valid(column, vector, row);
    if (valid) {
        status = put_row_text(column, vector->texts[row], error);
    }
    put_level(column, valid);
    return status;
}

// Rows of which no text is new since the call began, up to the first one that is. Gives how many.
static size_t put_known_texts(struct k2_parquet_column *column, const struct k2_vector *vector,
                              size_t first_row, size_t row_count)
{
    size_t taken = 0, values = column->page_values, bytes = 0;
    for (; taken < row_count; taken++) {
        if (!is_valid(column, vector, first_row + taken)) {
            put_level(column, false);
            continue;
        }
        struct k2_slice text = vector->texts[first_row + taken];
        const struct k2_parquet_memo *memo = memo_of(column, text);
        if (memo->data != text.data || memo->size_bytes != text.size_bytes ||
            memo->round != column->memo_round) {
            break;
        }
        column->entries[values++] = memo->entry;
        bytes += text.size_bytes;
        column->page_rows++;
    }
    column->page_plain_bytes +=
        bytes + (values - column->page_values) * k2_parquet_prefix_bytes(column);
    column->page_values = values;
    return taken;
}

static bool is_ascii(struct k2_slice text)
{
    uint64_t all = 0, eight;
    size_t at = 0;
    for (; at + sizeof eight <= text.size_bytes; at += sizeof eight) {
        memcpy(&eight, text.data + at, sizeof eight);
        all |= eight;
    }
    for (; at < text.size_bytes; at++) {
        all |= text.data[at];
    }
    return (all & 0x8080808080808080u) == 0;
}

// Rows of a PLAIN page, up to one that has to be looked at more closely, or the end of the page.
static size_t put_plain_texts(struct k2_parquet_column *column, const struct k2_vector *vector,
                              size_t first_row, size_t row_count)
{
    size_t prefix = k2_parquet_prefix_bytes(column), bytes = 0, count = 0;
    for (; count < row_count && column->plain.size_bytes + bytes < K2_PARQUET_PAGE_BYTES; count++) {
        struct k2_slice text = vector->texts[first_row + count];
        if (!is_valid(column, vector, first_row + count)) {
            continue;
        }
        if (prefix == 0 ? text.size_bytes != K2_PARQUET_UUID_BYTES : !is_ascii(text)) {
            break;
        }
        bytes += prefix + text.size_bytes;
    }
    uint8_t *place = count == 0 ? NULL : k2_buffer_extend(&column->plain, bytes);
    if (place == NULL) {
        return 0; // the row alone fails, too
    }
    for (size_t row = first_row; row < first_row + count; row++) {
        bool valid = is_valid(column, vector, row);
        if (valid) {
            struct k2_slice text = vector->texts[row];
            for (size_t i = 0; i < prefix; i++) {
                place[i] = (uint8_t)(text.size_bytes >> 8 * i);
            }
            k2_copy_short(place + prefix, text);
            place += prefix + text.size_bytes;
            column->page_values++;
        }
        put_level(column, valid);
    }
    column->page_plain_bytes += bytes;
    return count;
}

// At most as many rows as the page has room for.
static enum k2_status put_texts(struct k2_parquet_column *column, const struct k2_vector *vector,
                                size_t first_row, size_t row_count, size_t *rows_taken,
                                struct k2_error *error)
{
    *rows_taken = row_count;
    if (put_nulls(column, vector, first_row, row_count)) {
        return K2_OK;
    }
    if (column->way == K2_PARQUET_AS_PLAIN) {
        *rows_taken = put_plain_texts(column, vector, first_row, row_count);
    } else {
        *rows_taken =
            column->memo == NULL ? 0 : put_known_texts(column, vector, first_row, row_count);
    }
    if (*rows_taken > 0) {
        return K2_OK;
    }
    *rows_taken = 1;
    return put_text_row(column, vector, first_row, error);
}

// ---- numbers ------------------------------------------------------------------------------------

// At most as many rows as the page has room for.
static void put_numbers(struct k2_parquet_column *column, const struct k2_vector *vector,
                        size_t first_row, size_t row_count)
{
    int64_t *values = column->values + column->page_values;
    size_t count = row_count;
    if (put_nulls(column, vector, first_row, row_count)) {
        return;
    }
    if (!column->field->optional || vector->valid == NULL) {
        memcpy(values, vector->values + first_row, row_count * sizeof *values);
        column->page_rows += row_count;
    } else {
        count = 0;
        for (size_t row = first_row; row < first_row + row_count; row++) {
            bool valid = vector->valid[row] != 0;
            put_level(column, valid);
            values[count] = vector->values[row];
            count += valid;
        }
    }
    for (size_t i = 0; column->field->microseconds && i < count; i++) {
        values[i] = floor_us(values[i]);
    }
    column->page_values += count;
}

enum k2_status k2_parquet_column_put(struct k2_parquet_column *column,
                                     const struct k2_vector *vector, size_t first_row,
                                     size_t row_count, struct k2_error *error)
{
    bool text = k2_parquet_is_text(column);
    column->has_last = false;
    column->memo_round++; // texts may have moved since the last call
    enum k2_status status = K2_OK;
    for (size_t row = first_row, end = first_row + row_count; row < end && status == K2_OK;) {
        size_t count = K2_PARQUET_PAGE_ROWS - column->page_rows;
        count = count < end - row ? count : end - row;
        if (!put_alike(column, vector, row, count)) {
            k2_parquet_settle(column);
            if (text) {
                status = put_texts(column, vector, row, count, &count, error);
            } else {
                put_numbers(column, vector, row, count);
            }
        }
        row += count;
        if (status == K2_OK) {
            status = k2_buffer_check(&column->plain, "parquet: page", error);
        }
        if (status == K2_OK && (column->page_rows == K2_PARQUET_PAGE_ROWS ||
                                column->plain.size_bytes >= K2_PARQUET_PAGE_BYTES)) {
            status = k2_parquet_close_page(column, error);
        }
    }
    return status;
}
