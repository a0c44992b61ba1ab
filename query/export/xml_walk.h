// The texts of an XML document, in order, for answers of S3 (expat).
//
// Reads foreign bytes: no entities beyond those of XML itself, no more than 32 elements within each
// other. Belongs to one thread.
#pragma once

#include "format/base/buffer.h"

// Called at the end of each element: `path` is the names from the root (`Error/Code`), `text` what
// stands in the element itself. Both are borrowed during the call. A result other than K2_OK ends
// the walk with it.
typedef enum k2_status k2_xml_visit(void *context, const char *path, struct k2_slice text,
                                    struct k2_error *error);

// K2_CORRUPT: not such a document.
K2_MUST_CHECK enum k2_status k2_xml_walk(struct k2_slice document, k2_xml_visit *visit,
                                         void *context, struct k2_error *error);
