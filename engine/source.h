// How a source numbers its rows: what it counts, and where its counting begins anew.
//
// Duplicates and gaps follow from it. A value.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Kept in no file: a batch says it anew.
enum k2_numbering {
    K2_NUMBERING_SPARSE = 0,  // ids with holes: duplicates are probed by key; no gaps
    K2_NUMBERING_ORDINAL = 1, // place among the rows of the instrument at its timestamp; no gaps
    K2_NUMBERING_DENSE = 2,   // every event is counted: (domain, epoch, sequence) tells a duplicate
};

enum { K2_DOMAIN_COLUMNS = 4 }; // the most columns that name a domain

// Columns of the table's schema whose values name a domain, which is what one counter counts.
// Without any: the instrument.
struct k2_domain_rule {
    size_t columns[K2_DOMAIN_COLUMNS];
    size_t column_count;
};

struct k2_source {
    enum k2_numbering numbering;
    struct k2_domain_rule domain; // dense sources only
    bool detects_epochs; // a number that was seen is no proof of a duplicate: keys are probed
};
