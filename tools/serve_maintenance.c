#include "tools/serve_maintenance.h"

#include <inttypes.h>

#include "engine/maintenance.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"

struct k2_serve_maintenance {
    struct k2_maintenance_options options;
    struct k2_maintenance *maintenance; // NULL until start
};

enum k2_status k2_serve_maintenance_create(struct k2_serve_maintenance **maintenance,
                                           const struct k2_cli *cli, struct k2_error *error)
{
    static const char *const choices[] = {"on", "off", NULL};
    enum { MOST_MIB = 1 << 20 };
    size_t choice = 0;
    uint64_t rate_mib = 0;
    *maintenance = NULL;
    enum k2_status status = k2_cli_choice(cli, "maintenance", choices, &choice, error);
    if (status == K2_OK) {
        status = k2_cli_number(cli, "maintenance-rate", 1, MOST_MIB, &rate_mib, error);
    }
    if (status != K2_OK || choice == 1) {
        return status;
    }
    struct k2_serve_maintenance *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "serve: out of memory");
    }
    self->options.bytes_per_second = rate_mib << 20;
    *maintenance = self;
    return K2_OK;
}

enum k2_status k2_serve_maintenance_start(struct k2_serve_maintenance *maintenance,
                                          struct k2_engine *engine, struct k2_error *error)
{
    return maintenance == NULL ? K2_OK
                               : k2_maintenance_start(&maintenance->maintenance, engine,
                                                      &maintenance->options, error);
}

void k2_serve_maintenance_destroy(struct k2_serve_maintenance *maintenance)
{
    if (maintenance != NULL) {
        k2_maintenance_stop(maintenance->maintenance);
        k2_free(maintenance);
    }
}

void k2_serve_maintenance_put_metrics(struct k2_serve_maintenance *maintenance,
                                      struct k2_buffer *out)
{
    struct k2_maintenance_figures figures;
    if (maintenance == NULL || maintenance->maintenance == NULL) {
        return;
    }
    k2_maintenance_get(maintenance->maintenance, &figures);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } families[] = {
        {"k2_maintenance_up", "gauge", "1 while maintenance can do its work.",
         figures.state == K2_MAINTENANCE_IDLE || figures.state == K2_MAINTENANCE_WORKING},
        {"k2_maintenance_rewrites_total", "counter", "Folds and sorts.", figures.rewrites},
        {"k2_maintenance_rows_total", "counter", "Rows written by them.", figures.rows},
        {"k2_maintenance_read_bytes_total", "counter", "Bytes of their inputs.",
         figures.bytes_read},
        {"k2_maintenance_written_bytes_total", "counter", "Bytes of their outputs.",
         figures.bytes_written},
        {"k2_maintenance_backlog_groups", "gauge", "Row groups that are not sorted.",
         figures.backlog_groups},
        {"k2_maintenance_backlog_bytes", "gauge", "Their bytes.", figures.backlog_bytes},
        {"k2_maintenance_last_run_seconds", "gauge", "When the last one ended, since 1970.",
         (uint64_t)(figures.last_run_ns / 1000000000)},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        k2_put_format(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", families[i].name,
                      families[i].help, families[i].name, families[i].type, families[i].name,
                      families[i].value);
    }
}

bool k2_serve_maintenance_put_health(struct k2_serve_maintenance *maintenance,
                                     struct k2_buffer *out)
{
    struct k2_maintenance_figures figures;
    if (maintenance == NULL || maintenance->maintenance == NULL) {
        return true;
    }
    k2_maintenance_get(maintenance->maintenance, &figures);
    k2_put_format(out,
                  ",\"maintenance\":{\"state\":\"%s\",\"rewrites\":%" PRIu64
                  ",\"backlog_groups\":%" PRIu64 ",\"backlog_bytes\":%" PRIu64 ",\"reason\":",
                  k2_maintenance_state_name(figures.state), figures.rewrites,
                  figures.backlog_groups, figures.backlog_bytes);
    k2_json_put_string(out, k2_slice_of(figures.reason));
    k2_put_text(out, "}");
    return figures.state != K2_MAINTENANCE_FULL && figures.state != K2_MAINTENANCE_FAILED;
}
