#include "query/export/object_store.h"

void k2_object_store_close(struct k2_object_store *store)
{
    if (store->class != NULL) {
        store->class->close(store->self);
    }
    *store = (struct k2_object_store){0};
}
