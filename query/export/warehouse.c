#include "query/export/warehouse.h"

#include "query/export/catalog_rest.h"
#include "query/export/exporter.h"
#include "query/export/s3_store.h"

enum { LOCATION_BYTES = 1 << 16 };

static enum k2_status open_files(struct k2_warehouse *self,
                                 const struct k2_warehouse_options *options, struct k2_error *error)
{
    if (strncmp(options->warehouse, "s3://", 5) == 0) {
        struct k2_s3_settings settings;
        k2_s3_settings_from_environment(&settings);
        k2_put_text(&self->location, options->warehouse);
        while (self->location.size_bytes > 0 &&
               self->location.data[self->location.size_bytes - 1] == '/') {
            self->location.size_bytes--;
        }
        k2_put_u8(&self->location, 0);
        enum k2_status status = k2_buffer_check(&self->location, options->warehouse, error);
        return status == K2_OK ? k2_s3_store_open(&self->store, &settings, error) : status;
    }
    enum k2_status status = k2_local_store_open(&self->store, error);
    return status == K2_OK
               ? k2_local_location(&self->location, options->warehouse, options->create, error)
               : status;
}

static enum k2_status open_catalog(struct k2_warehouse *self,
                                   const struct k2_warehouse_options *options,
                                   struct k2_error *error)
{
    const char *location = (const char *)self->location.data;
    if (options->catalog == NULL) {
        self->local = true;
        return k2_sqlite_catalog_open(&self->catalog, location, &self->store, options->create,
                                      error);
    }
    struct k2_rest_settings settings;
    k2_rest_settings_from_environment(&settings);
    settings.uri = options->catalog;
    settings.location = location;
    return k2_rest_catalog_open(&self->catalog, &settings, error);
}

enum k2_status k2_warehouse_open(struct k2_warehouse *warehouse,
                                 const struct k2_warehouse_options *options, struct k2_error *error)
{
    *warehouse = (struct k2_warehouse){0};
    k2_buffer_init(&warehouse->location, LOCATION_BYTES);
    enum k2_status status = open_files(warehouse, options, error);
    if (status == K2_OK) {
        status = open_catalog(warehouse, options, error);
    }
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

enum k2_status k2_warehouse_find(struct k2_warehouse *warehouse, const struct k2_schema *schema,
                                 struct k2_arena *arena, struct k2_table_place *place, bool *found,
                                 struct k2_error *error)
{
    *found = false;
    *place = (struct k2_table_place){.store = &warehouse->store,
                                     .catalog = &warehouse->catalog,
                                     .name = schema->table,
                                     .day_name = k2_day_name(schema, arena)};
    if (place->day_name == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "no memory");
    }
    return place->catalog->class->load(place->catalog->self, place->name, found, &place->table,
                                       error);
}
