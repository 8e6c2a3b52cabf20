/*
 * A driver for APR's dbd that has the name of another one, and connects to nothing: for what is said of drivers when the
 * configuration is read. Under LD_LIBRARY_PATH as apr_dbd_odbc-1.so, APR takes it for the real one.
 */
#include <stddef.h>

/* The beginning of apr_dbd_driver_t (apr_dbd_internal.h), which is all that is looked at; the rest are functions. */
struct driver {
    const char *name;
    void (*init)(void *pool);
    void *others[32];
};

__attribute__((visibility("default"))) const struct driver apr_dbd_odbc_driver = {"odbc", NULL, {NULL}};
