// Folders that a test makes and removes.
#pragma once

#include <stddef.h>

enum { TEST_PATH_BYTES = 256 };

// A new folder below TMPDIR (else /tmp); fails the test when it can not.
void test_folder_make(char path[TEST_PATH_BYTES]);
// The same in memory, where there is a file system of it: many small files are made quickly there.
void test_folder_make_quick(char path[TEST_PATH_BYTES]);
void test_folder_make_at(const char *path); // a new one right there
void test_folder_remove(const char *path);  // with all below; not being there is fine

// Copies the files (not folders) directly in `from` to the new folder `to`; `from` may be missing.
void test_folder_copy(const char *from, const char *to);

// Files (not folders) directly in `path`/`name`; 0 if the folder is not there.
size_t test_folder_count(const char *path, const char *name);

// The path of the first of them by name; fails the test when there is none.
void test_folder_first(const char *path, const char *name, char found[TEST_PATH_BYTES]);
