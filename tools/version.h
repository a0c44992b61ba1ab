// The version that `k2 version` prints.
#pragma once

#include "format/base/version.h"
