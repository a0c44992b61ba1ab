// The version of the library, the program and what they can read.
#pragma once

#define K2_VERSION "0.1.0"
