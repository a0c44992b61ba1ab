// The version of the program, the library and what they can read.
#pragma once

#define K2_VERSION "0.1.0"
