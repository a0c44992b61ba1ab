#include "query/export/warehouse.h"

enum { LOCATION_BYTES = 1 << 16 };

static enum k2_status open_local(struct k2_warehouse *self,
                                 const struct k2_warehouse_options *options, struct k2_error *error)
{
    self->local = true;
    enum k2_status status = k2_local_store_open(&self->store, error);
    if (status == K2_OK) {
        status = k2_local_location(&self->location, options->warehouse, options->create, error);
    }
    if (status == K2_OK) {
        status = k2_sqlite_catalog_open(&self->catalog, (const char *)self->location.data,
                                        &self->store, options->create, error);
    }
    return status;
}

enum k2_status k2_warehouse_open(struct k2_warehouse *warehouse,
                                 const struct k2_warehouse_options *options, struct k2_error *error)
{
    *warehouse = (struct k2_warehouse){0};
    k2_buffer_init(&warehouse->location, LOCATION_BYTES);
    enum k2_status status = open_local(warehouse, options, error);
    if (status != K2_OK) {
        k2_warehouse_close(warehouse);
    }
    return status;
}

void k2_warehouse_close(struct k2_warehouse *warehouse)
{
    k2_catalog_close(&warehouse->catalog);
    k2_object_store_close(&warehouse->store);
    k2_buffer_deinit(&warehouse->location);
    *warehouse = (struct k2_warehouse){0};
}
