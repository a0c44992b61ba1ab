#include "engine/scan_layout.h"

#include "format/base/alloc.h"

void k2_scan_layout_deinit(struct k2_scan_layout *layout)
{
    k2_free(layout->slots);
    k2_free(layout->outputs);
    *layout = (struct k2_scan_layout){0};
}

const char *k2_scan_slot_name(const struct k2_scan_layout *layout, size_t slot)
{
    const struct k2_column *column = layout->slots[slot].column;
    static const char *const hidden[] = {
        [K2_SLOT_COMMIT] = "_commit", [K2_SLOT_OP] = "_op", [K2_SLOT_UNTIL] = "_until"};
    return column == NULL ? hidden[slot] : column->name;
}

static int slot_of_column(struct k2_scan_layout *layout, const struct k2_column *column)
{
    for (size_t i = 0; i < layout->slot_count; i++) {
        if (layout->slots[i].column == column) {
            return (int)i;
        }
    }
    layout->slots[layout->slot_count] = (struct k2_scan_slot){column->id, column->kind, column};
    return (int)layout->slot_count++;
}

static void add_output(struct k2_scan_layout *layout, int slot, enum k2_kind kind, uint8_t scale)
{
    size_t source = 0;
    while (source < layout->output_count && layout->outputs[source].slot != slot) {
        source++;
    }
    layout->outputs[layout->output_count++] = (struct k2_scan_output){slot, source, kind, scale};
}

static void add_column(struct k2_scan_layout *layout, const struct k2_schema *schema, size_t index)
{
    const struct k2_column *column = &schema->columns[index];
    int slot = index == K2_EXCHANGE ? K2_OUTPUT_EXCHANGE
               : index == K2_SYMBOL ? K2_OUTPUT_SYMBOL
                                    : slot_of_column(layout, column);
    add_output(layout, slot, column->kind, column->scale);
}

enum k2_status k2_scan_layout_init(struct k2_scan_layout *layout, const struct k2_schema *schema,
                                   const size_t *columns, size_t column_count, bool with_commit,
                                   bool with_versions, struct k2_error *error)
{
    *layout = (struct k2_scan_layout){0};
    if (columns == NULL) {
        column_count = schema->column_count;
    }
    for (size_t i = 0; columns != NULL && i < column_count; i++) {
        if (columns[i] >= schema->column_count) {
            return k2_fail(error, K2_BAD_REQUEST, "scan: column %zu of %zu; table %s has no more",
                           columns[i], schema->column_count, schema->table);
        }
    }
    layout->slots = k2_alloc_zero(K2_SLOT_FIRST_DATA + column_count, sizeof *layout->slots);
    layout->outputs = k2_alloc_zero(column_count + 3, sizeof *layout->outputs);
    if (layout->slots == NULL || layout->outputs == NULL) {
        k2_scan_layout_deinit(layout);
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu columns", column_count);
    }
    static const size_t key_columns[] = {K2_TIMESTAMP, K2_EPOCH, K2_SEQUENCE};
    for (size_t i = 0; i < sizeof key_columns / sizeof key_columns[0]; i++) {
        (void)slot_of_column(layout, &schema->columns[key_columns[i]]);
    }
    layout->slots[K2_SLOT_COMMIT] = (struct k2_scan_slot){K2_COLUMN_ID_COMMIT, K2_KIND_INT64, NULL};
    layout->slots[K2_SLOT_OP] = (struct k2_scan_slot){K2_COLUMN_ID_OP, K2_KIND_INT64, NULL};
    layout->slots[K2_SLOT_UNTIL] = (struct k2_scan_slot){K2_COLUMN_ID_UNTIL, K2_KIND_INT64, NULL};
    layout->slot_count = K2_SLOT_FIRST_DATA;
    for (size_t i = 0; i < column_count; i++) {
        add_column(layout, schema, columns == NULL ? i : columns[i]);
    }
    if (with_commit) {
        add_output(layout, K2_SLOT_COMMIT, K2_KIND_INT64, 0);
    }
    if (with_versions) {
        add_output(layout, K2_SLOT_OP, K2_KIND_INT64, 0);
        add_output(layout, K2_SLOT_UNTIL, K2_KIND_INT64, 0);
    }
    return K2_OK;
}
