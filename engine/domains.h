// What is counted: the domains of a table's dense sources. A domain is an instrument, or all rows
// with the same values in some columns, such as a channel.
//
// A domain is dense from a commit on, for ever: all its rows are followed from then, whatever
// source they come from. Write handles only; belongs to the writer's thread.
#pragma once

#include "engine/engine_state.h"
#include "engine/ledger_records.h"
#include "engine/name_set.h"

enum { K2_MAX_DOMAIN_RULES = 8 }; // different lists of columns that name domains of a table

// What is known of a table; the index has the same.
struct k2_domains {
    bool loaded;
    struct k2_member_set instruments; // those that are domains
    size_t instrument_count;
    struct k2_domain_rule rules[K2_MAX_DOMAIN_RULES]; // of named domains
    size_t rule_count;
    struct k2_name_set names; // of named domains, as `exchange`: the number of each is its id
};
void k2_domains_deinit(struct k2_domains *domains);

static inline bool k2_domains_any(const struct k2_domains *domains)
{
    return domains->instrument_count > 0 || domains->names.count > 0;
}
bool k2_domains_has_instrument(const struct k2_domains *domains, uint32_t instrument);

// The id of a named domain; 0: there is none.
uint32_t k2_domains_find(const struct k2_domains *domains, struct k2_slice name);

// What the index knows of the table's domains; borrowed from the engine.
K2_MUST_CHECK enum k2_status k2_domains_load(struct k2_engine *engine, const struct k2_table *table,
                                             struct k2_domains **domains, struct k2_error *error);

// Makes instruments (ids) and named domains dense from the next commit on, durably, with the gaps
// that their rows have so far. Those that are dense already must not be among them. K2_LIMIT: too
// many rules.
K2_MUST_CHECK enum k2_status k2_domains_add(struct k2_engine *engine, const struct k2_table *table,
                                            const uint32_t *instruments, size_t instrument_count,
                                            const struct k2_slice *names, size_t name_count,
                                            struct k2_error *error);

// Values of a row, as the name of a domain has them.
enum { K2_DOMAIN_NUMBER_BYTES = 24 };
size_t k2_domain_number_print(char text[K2_DOMAIN_NUMBER_BYTES], int64_t value);

// Appends the name that a row of a batch has by a rule.
void k2_domain_name_of(struct k2_engine *engine, const struct k2_domain_rule *rule,
                       const struct k2_row_batch *batch, size_t row, struct k2_buffer *name);

// A domain as the index has it.
struct k2_domain_record {
    uint64_t since;       // the first commit from which it was dense
    struct k2_slice name; // of a named one, see k2_domain_name_read
};
void k2_domain_record_put(const struct k2_domain_record *record, struct k2_buffer *out);
K2_MUST_CHECK enum k2_status k2_domain_record_read(struct k2_slice value,
                                                   struct k2_domain_record *record,
                                                   struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_domain_store(struct k2_store_txn *txn, uint16_t table,
                                             uint32_t domain, const struct k2_domain_record *record,
                                             struct k2_error *error);

// Notes that rows of the instrument belong to a named domain.
K2_MUST_CHECK enum k2_status k2_domain_user_store(struct k2_store_txn *txn, uint16_t table,
                                                  uint32_t instrument, uint32_t domain,
                                                  uint64_t commit, struct k2_error *error);
