#include "ingest/ordinal_counter.h"

#include <string.h>

#include "format/base/alloc.h"

enum { DEFAULT_PAIRS = 3 << 18, FIRST_SLOTS = 1 << 10, INSTRUMENT_CEILING = 1 << 24 };

struct pair {
    int64_t time_ns;
    uint32_t instrument; // + 1; 0: an empty slot
    uint32_t count;
};

// An open-addressing table that doubles until it has room for the ceiling.
struct generation {
    struct pair *slots;
    size_t slot_count, used;
};

struct instrument {
    int64_t time_ns; // of its last row
    uint32_t count;  // rows at that time; 0: no row yet
    bool has_newest, has_floor;
    int64_t newest_ns; // the greatest time seen
    int64_t floor_ns;  // pairs at or before this time may have been forgotten
};

struct k2_ordinal_counter {
    struct generation young, old;
    size_t pair_ceiling;
    struct instrument *instruments;
    size_t instrument_count;
};

enum k2_status k2_ordinal_counter_create(struct k2_ordinal_counter **counter, size_t pair_ceiling,
                                         struct k2_error *error)
{
    struct k2_ordinal_counter *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "row numbers: out of memory");
    }
    self->pair_ceiling = pair_ceiling == 0 ? DEFAULT_PAIRS : pair_ceiling;
    *counter = self;
    return K2_OK;
}

static void drop(struct generation *generation)
{
    k2_free(generation->slots);
    *generation = (struct generation){0};
}

void k2_ordinal_counter_clear(struct k2_ordinal_counter *counter)
{
    drop(&counter->young);
    drop(&counter->old);
    k2_free(counter->instruments);
    counter->instruments = NULL;
    counter->instrument_count = 0;
}

void k2_ordinal_counter_destroy(struct k2_ordinal_counter *counter)
{
    if (counter != NULL) {
        k2_ordinal_counter_clear(counter);
        k2_free(counter);
    }
}

// The slot of a pair, or the empty one where it belongs. The table has an empty slot.
static struct pair *find(const struct generation *generation, uint32_t instrument, int64_t time_ns)
{
    uint64_t hash = ((uint64_t)time_ns ^ (uint64_t)instrument << 40) * 0x9e3779b97f4a7c15u;
    size_t mask = generation->slot_count - 1;
    size_t place = (size_t)(hash ^ hash >> 32) & mask;
    while (generation->slots[place].instrument != 0 &&
           (generation->slots[place].instrument != instrument + 1 ||
            generation->slots[place].time_ns != time_ns)) {
        place = (place + 1) & mask;
    }
    return &generation->slots[place];
}

static bool grow(struct generation *generation)
{
    struct generation larger = {
        .slot_count = generation->slot_count == 0 ? FIRST_SLOTS : 2 * generation->slot_count,
        .used = generation->used,
    };
    larger.slots = k2_alloc_zero(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < generation->slot_count; i++) {
        const struct pair *pair = &generation->slots[i];
        if (pair->instrument != 0) {
            *find(&larger, pair->instrument - 1, pair->time_ns) = *pair;
        }
    }
    k2_free(generation->slots);
    *generation = larger;
    return true;
}

// Forgets the old generation: the instruments of its pairs know from when on they are sure.
static void turn(struct k2_ordinal_counter *self)
{
    for (size_t i = 0; i < self->old.slot_count; i++) {
        const struct pair *pair = &self->old.slots[i];
        if (pair->instrument == 0) {
            continue;
        }
        struct instrument *instrument = &self->instruments[pair->instrument - 1];
        if (!instrument->has_floor || pair->time_ns > instrument->floor_ns) {
            instrument->has_floor = true;
            instrument->floor_ns = pair->time_ns;
        }
    }
    drop(&self->old);
    self->old = self->young;
    self->young = (struct generation){0};
}

static bool remember(struct k2_ordinal_counter *self, uint32_t instrument, int64_t time_ns,
                     uint32_t count)
{
    if (self->young.used == self->pair_ceiling) {
        turn(self);
    }
    if (self->young.used * 4 >= self->young.slot_count * 3 && !grow(&self->young)) {
        return false;
    }
    struct pair *pair = find(&self->young, instrument, time_ns);
    self->young.used += pair->instrument == 0;
    *pair = (struct pair){time_ns, instrument + 1, count};
    return true;
}

static uint32_t recall(const struct generation *generation, uint32_t instrument, int64_t time_ns)
{
    return generation->used == 0 ? 0 : find(generation, instrument, time_ns)->count;
}

static struct instrument *instrument_at(struct k2_ordinal_counter *self, uint32_t number)
{
    if (number >= self->instrument_count) {
        size_t count = (size_t)number + number / 2 + 64;
        struct instrument *instruments =
            number >= INSTRUMENT_CEILING
                ? NULL
                : k2_realloc(self->instruments, count, sizeof *instruments);
        if (instruments == NULL) {
            return NULL;
        }
        memset(instruments + self->instrument_count, 0,
               (count - self->instrument_count) * sizeof *instruments);
        self->instruments = instruments;
        self->instrument_count = count;
    }
    return &self->instruments[number];
}

enum k2_status k2_ordinal_counter_next(struct k2_ordinal_counter *counter, uint32_t instrument,
                                       int64_t time_ns, bool *known, int64_t *ordinal,
                                       struct k2_error *error)
{
    struct instrument *state = instrument_at(counter, instrument);
    if (state == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "row numbers: out of memory");
    }
    *known = true;
    if (state->count > 0 && state->time_ns == time_ns) {
        state->count++;
        *ordinal = state->count;
        return K2_OK;
    }
    // Another time: the count of the one before goes to the table.
    if (state->count > 0 && !remember(counter, instrument, state->time_ns, state->count)) {
        return k2_fail(error, K2_NO_MEMORY, "row numbers: out of memory");
    }
    uint32_t count = 0;
    if (state->has_newest && time_ns <= state->newest_ns) {
        count = recall(&counter->young, instrument, time_ns);
        if (count == 0) {
            count = recall(&counter->old, instrument, time_ns);
        }
        *known = count > 0 || !state->has_floor || time_ns > state->floor_ns;
    } else {
        state->has_newest = true;
        state->newest_ns = time_ns;
    }
    state->count = 0; // nothing is held back any more
    if (*known) {
        state->time_ns = time_ns;
        state->count = count + 1;
        *ordinal = state->count;
    }
    return K2_OK;
}
