// The rows of a table as of a snapshot, one instrument after the other, each in order of time,
// where they lie: vectors of whole blocks, and which of their rows are meant.
//
// One plan serves all instruments, so it is for who reads most of them. Belongs to one thread.
#pragma once

#include "engine/scan.h"

struct k2_instrument_blocks; // opaque

// Reads what the request says, whose order, limit and place are not used. `*blocks` is NULL if
// there are too many row groups, or pieces of instruments in them, to go this way.
K2_MUST_CHECK enum k2_status k2_instrument_blocks_open(struct k2_engine *engine,
                                                       const struct k2_scan_request *request,
                                                       struct k2_instrument_blocks **blocks,
                                                       struct k2_error *error);
void k2_instrument_blocks_close(struct k2_instrument_blocks *blocks);

uint64_t k2_instrument_blocks_snapshot(const struct k2_instrument_blocks *blocks);

// Goes to the first row of an instrument; one after the other, in the order of their ids, is
// cheapest. False if its rows do not lie one piece behind the other in order of time: it is to be
// read by a scan.
bool k2_instrument_blocks_seek(struct k2_instrument_blocks *blocks,
                               const struct k2_scan_instrument *instrument);

// The next rows of the instrument: [*begin, *end) of the vectors, which are in the order of the
// request's columns and borrowed until the next call. *begin == *end: there are no more.
K2_MUST_CHECK enum k2_status k2_instrument_blocks_next(struct k2_instrument_blocks *blocks,
                                                       const struct k2_vector **vectors,
                                                       size_t *begin, size_t *end,
                                                       struct k2_error *error);
