#include "tools/change_policy.h"

#include <string.h>

#include "tools/duration.h"

static enum k2_status read_rule(const char *text, enum k2_duplicate_rule *rule,
                                struct k2_error *error)
{
    static const enum k2_duplicate_rule rules[] = {K2_KEEP_FIRST, K2_KEEP_LAST, K2_REJECT_SECOND};
    if (text == NULL) {
        return K2_OK;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(text, k2_duplicate_rule_name(rules[i])) == 0) {
            *rule = rules[i];
            return K2_OK;
        }
    }
    return k2_fail(error, K2_BAD_REQUEST,
                   "--duplicates: `%.60s` is not one of keep-first, keep-last, reject", text);
}

// `zero` (`always`, `none`) is 0.
static enum k2_status read_duration(const char *option, const char *text, const char *zero,
                                    int64_t *duration_ns, struct k2_error *error)
{
    if (text == NULL) {
        return K2_OK;
    }
    if (strcmp(text, zero) == 0) {
        *duration_ns = 0;
        return K2_OK;
    }
    return k2_duration_parse(text, duration_ns)
               ? K2_OK
               : k2_fail(error, K2_BAD_REQUEST,
                         "%s: `%.60s` is neither `%s` nor a time such as 90s, 12h, 30d, 5y", option,
                         text, zero);
}

static enum k2_status read_change(const struct k2_policy_change *change, struct k2_policy *policy,
                                  struct k2_error *error)
{
    enum k2_status status = read_rule(change->duplicates, &policy->duplicates, error);
    if (status == K2_OK) {
        status = read_duration("--history", change->history, "always", &policy->history_ns, error);
    }
    if (status == K2_OK) {
        status =
            read_duration("--retention", change->retention, "none", &policy->retention_ns, error);
    }
    return status;
}

enum k2_status k2_policy_change_check(const struct k2_policy_change *change, struct k2_error *error)
{
    struct k2_policy unused = {.duplicates = K2_KEEP_FIRST};
    return read_change(change, &unused, error);
}

enum k2_status k2_policy_table(struct k2_engine *engine, const char *name,
                               const struct k2_table **table, struct k2_error *error)
{
    *table = k2_engine_table(engine, k2_slice_of(name));
    return *table == NULL || name[0] == '_'
               ? k2_fail(error, K2_NOT_FOUND, "--table: there is no table `%.60s`", name)
               : K2_OK;
}

enum k2_status k2_policy_change_do(struct k2_engine *engine, const struct k2_policy_change *change,
                                   struct k2_error *error)
{
    const struct k2_table *table = NULL;
    struct k2_policy policy;
    enum k2_status status = k2_policy_table(engine, change->table, &table, error);
    if (status == K2_OK) {
        status = k2_policy_get(engine, table, &policy, error);
    }
    if (status == K2_OK) {
        status = read_change(change, &policy, error);
    }
    return status == K2_OK ? k2_policy_set(engine, table, &policy, error) : status;
}
