#include "query/export/xml_walk.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>

enum {
    PATH_BYTES = 1024,
    TEXT_BYTES = 64 << 10,
    DEPTH = 32,
};

struct walk {
    XML_Parser parser;
    k2_xml_visit *visit;
    void *context;
    struct k2_error *error;
    enum k2_status status;
    size_t depth;
    size_t path_bytes[DEPTH]; // of the path above each open element
    size_t text_begin[DEPTH]; // of its text in `text`
    char path[PATH_BYTES];
    size_t path_used;
    struct k2_buffer text; // of all open elements, one behind the other
};

static void stop(struct walk *walk, enum k2_status status)
{
    if (walk->status == K2_OK) {
        walk->status = status;
        (void)XML_StopParser(walk->parser, XML_FALSE);
    }
}

static void begin(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct walk *walk = context;
    size_t size = strlen(name);
    (void)attributes;
    if (walk->depth == DEPTH || walk->path_used + size + 2 > PATH_BYTES) {
        stop(walk, k2_fail(walk->error, K2_CORRUPT, "xml: elements nest too deeply"));
        return;
    }
    walk->path_bytes[walk->depth] = walk->path_used;
    walk->text_begin[walk->depth] = walk->text.size_bytes;
    walk->depth++;
    if (walk->path_used > 0) {
        walk->path[walk->path_used++] = '/';
    }
    memcpy(walk->path + walk->path_used, name, size + 1);
    walk->path_used += size;
}

static void end(void *context, const XML_Char *name)
{
    struct walk *walk = context;
    (void)name;
    if (walk->status != K2_OK) {
        return;
    }
    walk->depth--;
    size_t from = walk->text_begin[walk->depth];
    struct k2_slice text = {walk->text.data + from, walk->text.size_bytes - from};
    if (text.size_bytes == 0) {
        text.data = (const uint8_t *)"";
    }
    enum k2_status status = walk->visit(walk->context, walk->path, text, walk->error);
    walk->text.size_bytes = from;
    walk->path_used = walk->path_bytes[walk->depth];
    walk->path[walk->path_used] = '\0';
    if (status != K2_OK) {
        stop(walk, status);
    }
}

static void take_text(void *context, const XML_Char *text, int size)
{
    struct walk *walk = context;
    k2_put_bytes(&walk->text, text, (size_t)size);
    if (walk->text.failed) {
        stop(walk, k2_buffer_check(&walk->text, "xml: a text", walk->error));
    }
}

// A document type is where entities that grow come from; answers have none.
static void refuse_type(void *context, const XML_Char *name, const XML_Char *system_id,
                        const XML_Char *public_id, int has_subset)
{
    struct walk *walk = context;
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    stop(walk, k2_fail(walk->error, K2_CORRUPT, "xml: a document type is not expected"));
}

enum k2_status k2_xml_walk(struct k2_slice document, k2_xml_visit *visit, void *context,
                           struct k2_error *error)
{
    struct walk walk = {.visit = visit, .context = context, .error = error};
    if (document.size_bytes > INT_MAX) {
        return k2_fail(error, K2_CORRUPT, "xml: a document of %zu bytes", document.size_bytes);
    }
    walk.parser = XML_ParserCreate("UTF-8");
    if (walk.parser == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "xml: no memory");
    }
    k2_buffer_init(&walk.text, TEXT_BYTES);
    XML_SetUserData(walk.parser, &walk);
    XML_SetElementHandler(walk.parser, begin, end);
    XML_SetCharacterDataHandler(walk.parser, take_text);
    XML_SetStartDoctypeDeclHandler(walk.parser, refuse_type);
    enum XML_Status parsed =
        XML_Parse(walk.parser, (const char *)document.data, (int)document.size_bytes, XML_TRUE);
    enum k2_status status = walk.status;
    if (status == K2_OK && parsed != XML_STATUS_OK) {
        status = k2_fail(error, K2_CORRUPT, "xml: line %lu: %s",
                         (unsigned long)XML_GetCurrentLineNumber(walk.parser),
                         XML_ErrorString(XML_GetErrorCode(walk.parser)));
    }
    XML_ParserFree(walk.parser);
    k2_buffer_deinit(&walk.text);
    return status;
}
