#include "tests/support/folder.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/file_io.h"

void test_folder_make(char path[TEST_PATH_BYTES])
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(path, TEST_PATH_BYTES, "%s/k2-test-XXXXXX",
                   parent == NULL || parent[0] == '\0' ? "/tmp" : parent);
    assert_non_null(mkdtemp(path));
}

void test_folder_make_quick(char path[TEST_PATH_BYTES])
{
    (void)snprintf(path, TEST_PATH_BYTES, "/dev/shm/k2-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        test_folder_make(path);
    }
}

void test_folder_make_at(const char *path)
{
    assert_int_equal(mkdir(path, 0750), 0);
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    return remove(path);
}

void test_folder_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_folder_copy(const char *from, const char *to)
{
    char source[TEST_PATH_BYTES * 3], target[TEST_PATH_BYTES * 3];
    struct stat status;
    DIR *folder = opendir(from);
    if (folder == NULL) {
        return;
    }
    (void)mkdir(to, 0750);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        (void)snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        (void)snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (stat(source, &status) == 0 && S_ISREG(status.st_mode)) {
            assert_int_equal(k2_file_copy(source, target, (uint64_t)status.st_size, NULL), K2_OK);
        }
    }
    (void)closedir(folder);
}

size_t test_folder_count(const char *path, const char *name)
{
    char folder_path[TEST_PATH_BYTES + 64];
    (void)snprintf(folder_path, sizeof folder_path, "%s/%s", path, name);
    DIR *folder = opendir(folder_path);
    size_t count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

void test_folder_first(const char *path, const char *name, char found[TEST_PATH_BYTES])
{
    char folder_path[TEST_PATH_BYTES + 64];
    (void)snprintf(folder_path, sizeof folder_path, "%s/%s", path, name);
    struct dirent **entries = NULL;
    int count = scandir(folder_path, &entries, NULL, alphasort);
    found[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && found[0] == '\0') {
            int size = snprintf(found, TEST_PATH_BYTES, "%s/%s", folder_path, entries[i]->d_name);
            assert_true(size > 0 && size < TEST_PATH_BYTES);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(found[0] != '\0');
}
