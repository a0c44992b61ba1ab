#include "query/export/catalog.h"

#include "format/base/alloc.h"

void k2_catalog_table_close(struct k2_catalog_table *table)
{
    k2_iceberg_metadata_destroy(table->metadata);
    k2_free(table->metadata_location);
    *table = (struct k2_catalog_table){0};
}

void k2_catalog_close(struct k2_catalog *catalog)
{
    if (catalog->class != NULL) {
        catalog->class->close(catalog->self);
    }
    *catalog = (struct k2_catalog){0};
}
