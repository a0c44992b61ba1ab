#include "query/export/export_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "query/export/data_file.h"
#include "query/export/export_order.h"
#include "query/export/row_sorter.h"

enum { BATCH_ROWS = 1 << 19 };
static const uint64_t target_file_bytes = (uint64_t)128 << 20;
static const size_t location_ceiling_bytes = 1 << 16;

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

int32_t k2_day_of(int64_t time_ns)
{
    int64_t day = time_ns / K2_NS_PER_DAY;
    return (int32_t)(time_ns % K2_NS_PER_DAY < 0 ? day - 1 : day);
}

void k2_day_text(char text[K2_DAY_TEXT_BYTES], int32_t day)
{
    // The first day of an int64 of nanoseconds begins before the least of them.
    int64_t time_ns = (int64_t)day * (K2_NS_PER_DAY / 2);
    char printed[K2_TIMESTAMP_TEXT_BYTES];
    time_ns = time_ns < INT64_MIN / 2 ? INT64_MIN : time_ns * 2;
    k2_timestamp_print(printed, time_ns);
    memcpy(text, printed, K2_DAY_TEXT_BYTES - 2);
    text[K2_DAY_TEXT_BYTES - 2] = '\0';
}

void k2_file_list_deinit(struct k2_file_list *list)
{
    k2_free(list->items);
    k2_arena_deinit(&list->arena);
    *list = (struct k2_file_list){0};
}

// Cuts a range of time down to one day.
static void narrow_to_day(bool *has_start, int64_t *start_ns, bool *has_end, int64_t *end_ns,
                          int32_t day)
{
    int64_t first_ns, behind_ns;
    bool begins = !__builtin_mul_overflow((int64_t)day, K2_NS_PER_DAY, &first_ns);
    bool ends = !__builtin_mul_overflow((int64_t)day + 1, K2_NS_PER_DAY, &behind_ns);
    first_ns = begins ? first_ns : INT64_MIN;
    behind_ns = ends ? behind_ns : INT64_MAX;
    if (!*has_start || *start_ns < first_ns) {
        *start_ns = first_ns;
    }
    if (!*has_end || *end_ns > behind_ns) {
        *has_end = *has_end || ends; // the last day has no end but that of time
        *end_ns = behind_ns;
    }
    *has_start = true;
}

// ---- counting -------------------------------------------------------------------------------

static struct k2_scan_request scan_request(const struct k2_row_selection *selection)
{
    return (struct k2_scan_request){
        .table = selection->table,
        .snapshot = selection->snapshot,
        .commit_after = selection->commit_after,
        .has_start = selection->has_start,
        .has_end = selection->has_end,
        .start_ns = selection->start_ns,
        .end_ns = selection->end_ns,
        .order = K2_ORDER_STORED,
    };
}

struct day_counts {
    struct k2_day_rows *days; // ascending
    size_t count, room, last;
};

static bool count_rows(struct day_counts *counts, int32_t day, uint64_t rows)
{
    if (counts->count > 0 && counts->days[counts->last].day == day) {
        counts->days[counts->last].rows += rows;
        return true;
    }
    size_t low = 0, high = counts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (counts->days[middle].day < day) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == counts->count || counts->days[low].day != day) {
        if (counts->count == counts->room) {
            size_t room = counts->room * 2 + 32;
            struct k2_day_rows *grown = k2_realloc(counts->days, room, sizeof *grown);
            if (grown == NULL) {
                return false;
            }
            counts->days = grown;
            counts->room = room;
        }
        memmove(&counts->days[low + 1], &counts->days[low],
                (counts->count - low) * sizeof *counts->days);
        counts->days[low] = (struct k2_day_rows){day, 0};
        counts->count++;
    }
    counts->days[low].rows += rows;
    counts->last = low;
    return true;
}

static bool count_vector(struct day_counts *counts, const int64_t *times, size_t row_count)
{
    size_t begin = 0;
    while (begin < row_count) {
        int32_t day = k2_day_of(times[begin]);
        int64_t first_ns, end_ns;
        bool bounded = !__builtin_mul_overflow((int64_t)day, K2_NS_PER_DAY, &first_ns) &&
                       !__builtin_add_overflow(first_ns, K2_NS_PER_DAY, &end_ns);
        size_t end = begin + 1;
        while (bounded && end < row_count && times[end] >= first_ns && times[end] < end_ns) {
            end++;
        }
        if (!count_rows(counts, day, end - begin)) {
            return false;
        }
        begin = end;
    }
    return true;
}

static bool count_corrections(struct day_counts *counts, const struct k2_vector *vectors,
                              size_t row_count)
{
    const int64_t *operations = vectors[2].values; // behind the time and the commit
    for (size_t i = 0; i < row_count; i++) {
        if (operations[i] != 0 && !count_rows(counts, k2_day_of(vectors[0].values[i]), 1)) {
            return false;
        }
    }
    return true;
}

static enum k2_status count_days(const struct k2_row_selection *selection, bool corrections,
                                 struct k2_day_rows **days, size_t *count, struct k2_error *error)
{
    static const size_t columns[] = {K2_TIMESTAMP};
    struct k2_scan_request request = scan_request(selection);
    struct day_counts counts = {0};
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    request.columns = columns;
    request.column_count = 1;
    request.every_version = corrections;
    enum k2_status status = k2_scan_open(selection->engine, &request, &scan, error);
    while (status == K2_OK && row_count > 0) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        if (status != K2_OK || row_count == 0) {
            break;
        }
        bool good = corrections ? count_corrections(&counts, vectors, row_count)
                                : count_vector(&counts, vectors[0].values, row_count);
        status = good ? K2_OK : no_memory(error);
    }
    k2_scan_close(scan);
    if (status != K2_OK) {
        k2_free(counts.days);
        return status;
    }
    *days = counts.days;
    *count = counts.count;
    return K2_OK;
}

enum k2_status k2_export_days(const struct k2_row_selection *selection, struct k2_day_rows **days,
                              size_t *count, struct k2_error *error)
{
    return count_days(selection, false, days, count, error);
}

enum k2_status k2_export_corrected_days(const struct k2_row_selection *selection,
                                        struct k2_day_rows **days, size_t *count,
                                        struct k2_error *error)
{
    return count_days(selection, true, days, count, error);
}

enum k2_status k2_export_days_of(const struct k2_row_selection *selection, int32_t day,
                                 struct k2_day_rows **days, size_t *count, struct k2_error *error)
{
    struct k2_row_selection narrow = *selection;
    narrow_to_day(&narrow.has_start, &narrow.start_ns, &narrow.has_end, &narrow.end_ns, day);
    return k2_export_days(&narrow, days, count, error);
}

// ---- writing --------------------------------------------------------------------------------

struct day_writer {
    const struct k2_export_writer *writer;
    struct k2_row_sorter *sorter; // NULL until rows come that have to be sorted
    size_t most_rows;             // that are sorted at a time
    struct k2_data_file *file;    // NULL: none is open
    int32_t day;
    size_t file_number;
    uint64_t rows;     // of all days
    uint64_t day_rows; // of all days before this one
};

static enum k2_status open_file(struct day_writer *self, struct k2_error *error)
{
    const struct k2_export_writer *writer = self->writer;
    struct k2_buffer location;
    char day[K2_DAY_TEXT_BYTES];
    k2_day_text(day, self->day);
    k2_buffer_init(&location, location_ceiling_bytes);
    k2_put_format(&location, "%s/data/%s=%s/%s-%05zu.parquet", writer->table_location,
                  writer->day_name, day, writer->name, ++self->file_number);
    k2_put_u8(&location, 0);
    enum k2_status status = k2_buffer_check(&location, "export: a location", error);
    if (status == K2_OK) {
        status = k2_data_file_create(&self->file, writer->store, (const char *)location.data,
                                     writer->selection.table->schema, error);
    }
    k2_buffer_deinit(&location);
    return status;
}

static enum k2_status close_file(struct day_writer *self, struct k2_error *error)
{
    struct k2_file_list *files = self->writer->files;
    struct k2_data_file *file = self->file;
    if (file == NULL) {
        return K2_OK;
    }
    self->file = NULL;
    if (files->count == files->room) {
        size_t room = files->room * 2 + 16;
        struct k2_iceberg_file *grown = k2_realloc(files->items, room, sizeof *grown);
        if (grown == NULL) {
            k2_data_file_abort(file);
            return no_memory(error);
        }
        files->items = grown;
        files->room = room;
    }
    struct k2_iceberg_file *described = &files->items[files->count];
    enum k2_status status = k2_data_file_finish(file, self->day, self->writer->sort_order_id,
                                                &files->arena, described, error);
    if (status == K2_OK) {
        files->count++;
        files->rows += (uint64_t)described->record_count;
        files->bytes += (uint64_t)described->size_bytes;
    }
    return status;
}

// Sorted rows go into the file.
static enum k2_status put_rows(struct day_writer *self, const struct k2_vector *vectors,
                               size_t row_count, struct k2_error *error)
{
    const struct k2_export_writer *writer = self->writer;
    enum k2_status status = self->file == NULL ? open_file(self, error) : K2_OK;
    if (status == K2_OK) {
        status = k2_data_file_put(self->file, vectors, row_count, error);
    }
    self->rows += row_count;
    if (writer->progress != NULL) {
        writer->progress(writer->context, self->rows);
    }
    if (status == K2_OK && writer->stop != NULL && writer->stop(writer->context)) {
        status = k2_fail(error, K2_BUSY, "export: told to stop");
    }
    return status;
}

static enum k2_status close_large_file(struct day_writer *self, struct k2_error *error)
{
    bool large = self->file != NULL && k2_data_file_size(self->file) >= target_file_bytes;
    return large ? close_file(self, error) : K2_OK;
}

// What is gathered goes into the file, sorted.
static enum k2_status flush(struct day_writer *self, struct k2_error *error)
{
    const struct k2_vector *vectors;
    size_t row_count = 1;
    if (k2_row_sorter_count(self->sorter) == 0) {
        return K2_OK;
    }
    enum k2_status status = k2_row_sorter_sort(self->sorter, error);
    while (status == K2_OK && row_count > 0) {
        k2_row_sorter_next(self->sorter, &vectors, &row_count);
        if (row_count > 0) {
            status = put_rows(self, vectors, row_count, error);
        }
    }
    k2_row_sorter_clear(self->sorter);
    return status == K2_OK ? close_large_file(self, error) : status;
}

// Rows of a range of time, of all or some instruments.
static enum k2_status gather(struct day_writer *self, struct k2_scan_request *request,
                             struct k2_error *error)
{
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    enum k2_status status = k2_scan_open(self->writer->selection.engine, request, &scan, error);
    while (status == K2_OK && row_count > 0) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        if (status != K2_OK || row_count == 0) {
            break;
        }
        struct k2_error full;
        status = k2_row_sorter_put(self->sorter, vectors, row_count, &full);
        if (status == K2_LIMIT) { // much text: what comes now is a file of its own
            status = flush(self, error);
            if (status == K2_OK) {
                status = close_file(self, error);
            }
            if (status == K2_OK) {
                status = k2_row_sorter_put(self->sorter, vectors, row_count, error);
            }
        } else if (status != K2_OK) {
            status = k2_fail(error, status, "%s", full.text);
        }
    }
    k2_scan_close(scan);
    return status;
}

// ---- days with many rows --------------------------------------------------------------------

struct instrument_rows {
    struct k2_slice exchange, symbol; // in the arena
    uint64_t rows;
};

struct instrument_counts {
    struct instrument_rows *items;
    size_t count, room;
    struct k2_arena arena;
};

static int compare_instruments(const void *left, const void *right)
{
    const struct instrument_rows *a = left, *b = right;
    int order = k2_slice_compare(a->symbol, b->symbol);
    return order != 0 ? order : k2_slice_compare(a->exchange, b->exchange);
}

// Counts runs of rows; an instrument has one in each row group, they are added up afterwards.
static bool count_run(struct instrument_counts *counts, struct k2_slice exchange,
                      struct k2_slice symbol, uint64_t rows)
{
    struct instrument_rows *last = counts->count == 0 ? NULL : &counts->items[counts->count - 1];
    if (last != NULL && k2_slice_equal(last->symbol, symbol) &&
        k2_slice_equal(last->exchange, exchange)) {
        last->rows += rows;
        return true;
    }
    if (counts->count == counts->room) {
        size_t room = counts->room * 2 + 1024;
        struct instrument_rows *grown = k2_realloc(counts->items, room, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        counts->items = grown;
        counts->room = room;
    }
    const char *names[] = {k2_arena_text(&counts->arena, exchange),
                           k2_arena_text(&counts->arena, symbol)};
    counts->items[counts->count++] = (struct instrument_rows){
        {(const uint8_t *)names[0], exchange.size_bytes},
        {(const uint8_t *)names[1], symbol.size_bytes},
        rows,
    };
    return names[0] != NULL && names[1] != NULL;
}

static void add_up(struct instrument_counts *counts)
{
    size_t kept = 0;
    qsort(counts->items, counts->count, sizeof *counts->items, compare_instruments);
    for (size_t i = 0; i < counts->count; i++) {
        if (kept > 0 && compare_instruments(&counts->items[kept - 1], &counts->items[i]) == 0) {
            counts->items[kept - 1].rows += counts->items[i].rows;
        } else {
            counts->items[kept++] = counts->items[i];
        }
    }
    counts->count = kept;
}

// The end of the rows from `row` on whose names stand where its names stand.
static size_t same_names(const struct k2_vector *vectors, size_t row, size_t row_count)
{
    const struct k2_slice *exchanges = vectors[0].texts, *symbols = vectors[1].texts;
    size_t end = row + 1;
    while (end < row_count && exchanges[end].data == exchanges[row].data &&
           symbols[end].data == symbols[row].data &&
           exchanges[end].size_bytes == exchanges[row].size_bytes &&
           symbols[end].size_bytes == symbols[row].size_bytes) {
        end++;
    }
    return end;
}

static enum k2_status count_instruments(struct day_writer *self,
                                        const struct k2_scan_request *day_request,
                                        struct instrument_counts *counts, struct k2_error *error)
{
    static const size_t columns[] = {K2_EXCHANGE, K2_SYMBOL};
    struct k2_scan_request request = *day_request;
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    request.columns = columns;
    request.column_count = 2;
    enum k2_status status = k2_scan_open(self->writer->selection.engine, &request, &scan, error);
    while (status == K2_OK && row_count > 0) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        for (size_t i = 0, end; status == K2_OK && i < row_count; i = end) {
            end = same_names(vectors, i, row_count);
            if (!count_run(counts, vectors[0].texts[i], vectors[1].texts[i], end - i)) {
                status = no_memory(error);
            }
        }
    }
    k2_scan_close(scan);
    add_up(counts);
    return status;
}

// Rows of one symbol, in halves of the range for as long as there are too many: they follow
// each other in time, which is their order.
static enum k2_status write_symbol(struct day_writer *self, struct k2_scan_request *request,
                                   struct k2_error *error)
{
    static const int64_t ns_per_us = 1000;
    struct k2_row_selection part = self->writer->selection;
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    uint64_t rows = 0;
    static const size_t columns[] = {K2_TIMESTAMP};
    struct k2_scan_request counting = *request;
    counting.columns = columns;
    counting.column_count = 1;
    enum k2_status status = k2_scan_open(part.engine, &counting, &scan, error);
    while (status == K2_OK && row_count > 0 && rows <= BATCH_ROWS) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        rows += row_count;
    }
    k2_scan_close(scan);
    int64_t start_ns = request->start_ns, end_ns = request->end_ns;
    bool has_end = request->has_end;
    int64_t middle_ns = start_ns / 2 + end_ns / 2;
    middle_ns -= (middle_ns % ns_per_us + ns_per_us) % ns_per_us; // no microsecond is cut in two
    if (status == K2_OK && (rows <= BATCH_ROWS || middle_ns <= start_ns || middle_ns >= end_ns)) {
        status = gather(self, request, error);
        return status == K2_OK ? flush(self, error) : status;
    }
    if (status == K2_OK) {
        request->end_ns = middle_ns;
        request->has_end = true;
        status = write_symbol(self, request, error);
    }
    if (status == K2_OK) {
        request->start_ns = middle_ns;
        request->end_ns = end_ns;
        request->has_end = has_end;
        status = write_symbol(self, request, error);
    }
    request->start_ns = start_ns;
    request->end_ns = end_ns;
    return status;
}

// Rows of the symbol at `begin`, of all exchanges; 0 behind the last one.
static uint64_t symbol_rows(const struct instrument_counts *counts, size_t begin, size_t *end)
{
    uint64_t rows = 0;
    for (*end = begin; *end < counts->count &&
                       k2_slice_equal(counts->items[*end].symbol, counts->items[begin].symbol);
         ++*end) {
        rows += counts->items[*end].rows;
    }
    return rows;
}

static enum k2_status write_large_day(struct day_writer *self, struct k2_scan_request *request,
                                      struct k2_error *error)
{
    struct instrument_counts counts = {0};
    enum k2_status status = count_instruments(self, request, &counts, error);
    struct k2_scan_instrument *wanted = k2_alloc_zero(counts.count, sizeof *wanted);
    if (status == K2_OK && wanted == NULL) {
        status = no_memory(error);
    }
    for (size_t i = 0; status == K2_OK && i < counts.count; i++) {
        wanted[i] = (struct k2_scan_instrument){counts.items[i].exchange, counts.items[i].symbol};
    }
    for (size_t begin = 0, end; status == K2_OK && begin < counts.count; begin = end) {
        uint64_t rows = symbol_rows(&counts, begin, &end);
        size_t next = end;
        uint64_t more = symbol_rows(&counts, end, &next);
        while (more > 0 && rows + more <= BATCH_ROWS) {
            rows += more;
            end = next;
            more = symbol_rows(&counts, end, &next);
        }
        request->instruments = &wanted[begin];
        request->instrument_count = end - begin;
        if (rows > BATCH_ROWS) {
            status = write_symbol(self, request, error);
        } else {
            status = gather(self, request, error);
            status = status == K2_OK ? flush(self, error) : status;
        }
    }
    k2_free(wanted);
    k2_free(counts.items);
    k2_arena_deinit(&counts.arena);
    return status;
}

// ---- days that lie there as they are to be
// ----------------------------------------------------------

// Whether the rows come sorted, looking at what they are sorted by alone.
static enum k2_status look_at_order(const struct day_writer *self,
                                    const struct k2_scan_request *request, bool *sorted,
                                    struct k2_error *error)
{
    static const size_t columns[] = {K2_SYMBOL, K2_TIMESTAMP, K2_SEQUENCE};
    struct k2_scan_request looking = *request;
    struct k2_export_order order = {0};
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    looking.columns = columns;
    looking.column_count = sizeof columns / sizeof columns[0];
    *sorted = true;
    enum k2_status status = k2_scan_open(self->writer->selection.engine, &looking, &scan, error);
    while (status == K2_OK && row_count > 0 && *sorted) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        if (status == K2_OK && row_count > 0) {
            *sorted =
                k2_export_order_follows(&order, &vectors[0], &vectors[1], &vectors[2], row_count);
        }
    }
    k2_scan_close(scan);
    k2_export_order_deinit(&order);
    return status;
}

// Writes the rows as they come. `*sorted` false: a rewrite has changed their order meanwhile, and
// what was written is no file.
static enum k2_status write_as_stored(struct day_writer *self,
                                      const struct k2_scan_request *request, bool *sorted,
                                      struct k2_error *error)
{
    struct k2_export_order order = {0};
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    enum k2_status status = k2_scan_open(self->writer->selection.engine, request, &scan, error);
    while (status == K2_OK && row_count > 0 && *sorted) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        if (status != K2_OK || row_count == 0) {
            break;
        }
        *sorted = k2_export_order_follows(&order, &vectors[K2_SYMBOL], &vectors[K2_TIMESTAMP],
                                          &vectors[K2_SEQUENCE], row_count);
        if (*sorted) {
            status = put_rows(self, vectors, row_count, error);
        }
        if (status == K2_OK && *sorted) {
            status = close_large_file(self, error);
        }
    }
    k2_scan_close(scan);
    k2_export_order_deinit(&order);
    return status;
}

// Takes the day's files back.
static enum k2_status begin_day_anew(struct day_writer *self, size_t files_before,
                                     struct k2_error *error)
{
    struct k2_file_list *files = self->writer->files;
    struct k2_object_store *store = self->writer->store;
    enum k2_status status = K2_OK;
    k2_data_file_abort(self->file);
    self->file = NULL;
    self->file_number = 0;
    self->rows = self->day_rows;
    while (status == K2_OK && files->count > files_before) {
        const struct k2_iceberg_file *file = &files->items[--files->count];
        files->rows -= (uint64_t)file->record_count;
        files->bytes -= (uint64_t)file->size_bytes;
        status = store->class->remove(store->self, (const char *)file->path.data, error);
    }
    return status;
}

// ---- days -----------------------------------------------------------------------------------

static enum k2_status sort_day(struct day_writer *self, struct k2_scan_request *request,
                               uint64_t row_count, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (self->sorter == NULL) {
        status = k2_row_sorter_create(&self->sorter, self->writer->selection.table->schema,
                                      self->most_rows + K2_VECTOR_ROWS, error);
    }
    if (status == K2_OK && row_count > BATCH_ROWS) {
        return write_large_day(self, request, error);
    }
    if (status == K2_OK) {
        status = gather(self, request, error);
    }
    return status == K2_OK ? flush(self, error) : status;
}

static enum k2_status write_day(struct day_writer *self, const struct k2_day_rows *day,
                                struct k2_error *error)
{
    const struct k2_row_selection *selection = &self->writer->selection;
    struct k2_scan_request request = scan_request(selection);
    size_t files_before = self->writer->files->count;
    bool sorted = false;
    self->day = day->day;
    self->file_number = 0;
    self->day_rows = self->rows;
    narrow_to_day(&request.has_start, &request.start_ns, &request.has_end, &request.end_ns,
                  day->day);
    if (day->rows == 0) {
        return K2_OK;
    }
    enum k2_status status = look_at_order(self, &request, &sorted, error);
    if (status == K2_OK && sorted) {
        status = write_as_stored(self, &request, &sorted, error);
        if (status == K2_OK && !sorted) {
            status = begin_day_anew(self, files_before, error);
        }
    }
    if (status == K2_OK && !sorted) {
        status = sort_day(self, &request, day->rows, error);
    }
    return status == K2_OK ? close_file(self, error) : status;
}

enum k2_status k2_export_write(const struct k2_export_writer *writer,
                               const struct k2_day_rows *days, size_t day_count,
                               struct k2_error *error)
{
    struct day_writer self = {.writer = writer};
    uint64_t most = 0;
    for (size_t i = 0; i < day_count; i++) {
        most = days[i].rows > most ? days[i].rows : most;
    }
    self.most_rows = most < BATCH_ROWS ? (size_t)most : BATCH_ROWS;
    enum k2_status status = K2_OK;
    for (size_t i = 0; status == K2_OK && i < day_count; i++) {
        status = write_day(&self, &days[i], error);
    }
    k2_data_file_abort(self.file);
    k2_row_sorter_destroy(self.sorter);
    return status;
}
