// What the two ends of control.sock share, beside control.h.
#pragma once

#include "engine/control.h"

// A line of an answer; slices are borrowed from it, as JSON.
struct k2_control_answer {
    bool last, ok;
    uint64_t done, total;
    struct k2_slice result, status, error;
};
K2_MUST_CHECK enum k2_status k2_control_answer_parse(struct k2_control_answer *answer,
                                                     struct k2_slice line, struct k2_error *error);

// Fills the address of DATA/control.sock, or of the name it has until it listens. `*folder` is a
// descriptor that the address needs; the caller closes it.
struct sockaddr_un;
K2_MUST_CHECK enum k2_status k2_control_address(const char *data_path, const char *name,
                                                struct sockaddr_un *address, int *folder,
                                                struct k2_error *error);
