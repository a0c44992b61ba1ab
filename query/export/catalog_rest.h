// The catalog of Iceberg tables behind a REST service (the Iceberg REST specification).
#pragma once

#include "query/export/catalog.h"

// Texts are borrowed during the call only.
struct k2_rest_settings {
    const char *uri;        // `http://127.0.0.1:8181`, with a path and `/v1` or without
    const char *location;   // of new tables: `s3://bucket/folder`, `file:///folder`
    const char *warehouse;  // what the service calls its part; NULL: its only one
    const char *token;      // a bearer token; NULL: none
    const char *credential; // `id:secret` of OAuth2 client credentials; NULL: none
    const char *scope;      // of those; NULL: `catalog`
    const char *oauth_uri;  // where tokens are had; NULL: the service's own `/v1/oauth/tokens`
    unsigned wait_ms;       // the longest wait before a second try; 0: 300
};

// What the environment says: K2_CATALOG_TOKEN, K2_CATALOG_CREDENTIAL, K2_CATALOG_SCOPE,
// K2_CATALOG_OAUTH_URI, K2_CATALOG_WAREHOUSE. Secrets do not belong on a command line.
void k2_rest_settings_from_environment(struct k2_rest_settings *settings);

// Asks the service for its configuration. K2_BUSY: it does not answer. K2_NOT_PERMITTED: it wants
// other credentials.
K2_MUST_CHECK enum k2_status k2_rest_catalog_open(struct k2_catalog *catalog,
                                                  const struct k2_rest_settings *settings,
                                                  struct k2_error *error);
