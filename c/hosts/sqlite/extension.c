/* extension.c: load into SQLite, and keep what belongs to one connection. */
#include <string.h>

#include "sqlite.h"

SQLITE_EXTENSION_INIT1

pyb__sqlite *pyb__sqlite_take(pyb__sqlite *host) {
  host->references++;
  return host;
}

void pyb__sqlite_give(void *data) {
  pyb__sqlite *host = data;

  if (--host->references == 0)
    sqlite3_free(host);
}

int pyb__sqlite_function(pyb__sqlite *host, const char *name, int n_args, int flags,
                         void (*call)(sqlite3_context *, int, sqlite3_value **)) {
  /* xDestroy is called on failure too, so the reference is always given back. */
  return sqlite3_create_function_v2(
      host->db, name, n_args, flags | SQLITE_UTF8 | SQLITE_DIRECTONLY,
      pyb__sqlite_take(host), call, NULL, NULL, pyb__sqlite_give);
}

void pyb__sqlite_switch(pyb__sqlite *host, const char *name) {
  memcpy(host->context, name, strlen(name) + 1);
  /* No name means "main" too, and need not be looked at for each row. */
  host->session.context = strcmp(name, "main") == 0 ? NULL : host->context;
  memset(host->session.cache, 0, sizeof host->session.cache);
}

static pyb__sqlite *new_host(sqlite3 *db) {
  pyb__sqlite *host = sqlite3_malloc(sizeof *host);

  if (host == NULL)
    return NULL;
  memset(host, 0, sizeof *host);
  host->db = db;
  host->references = 1;
  host->pages = 1;
  pyb__sqlite_switch(host, "main");
  pyb__sqlite_lend(host);
  host->session.services = &host->services;
  host->session.host = host;
  return host;
}

/* Has this connection got its host already? Then a second load would part the
 * functions from what they have defined and set so far. */
static int loaded_already(sqlite3 *db) {
  sqlite3_stmt *statement = NULL;
  int found = 0;

  if (sqlite3_prepare_v2(db, "select py_context(?1)", -1, &statement, NULL) ==
          SQLITE_OK &&
      sqlite3_bind_pointer(statement, 1, &found, PYB__SQLITE_PROBE, NULL) == SQLITE_OK)
    (void)sqlite3_step(statement);
  sqlite3_finalize(statement);
  return found;
}

static int register_all(pyb__sqlite *host) {
  static int (*const hooks[])(pyb__sqlite *) = {
      pyb__sqlite_register_functions, pyb__sqlite_register_collect,
      pyb__sqlite_register_query,     pyb__sqlite_register_table,
      pyb__sqlite_register_frame,     pyb__sqlite_register_write,
      pyb__sqlite_register_define,    pyb__sqlite_register_contexts,
      pyb__sqlite_register_listings,  pyb__sqlite_register_object,
      pyb__sqlite_register_items,     pyb__sqlite_register_shell,
      pyb__sqlite_register_jobs,
  };
  int code = SQLITE_OK;

  for (size_t i = 0; i < sizeof hooks / sizeof *hooks && code == SQLITE_OK; i++)
    code = hooks[i](host);
  return code;
}

/* What sqlite3_load_extension calls, on each connection. Python is not started here.
 * The library stays in the process for good: Python cannot be taken out of it. */
PYB_API int sqlite3_pybridge_init(sqlite3 *db, char **message,
                                  const sqlite3_api_routines *api) {
  pyb__sqlite *host;
  int code;

  /* All calls go through one routine table, so a second copy of SQLite in the same
   * process (a driver often brings its own) must not put its table in place of it. */
  if (sqlite3_api != NULL && sqlite3_api != api) {
    *message = api->mprintf("pybridge is loaded in this process by another copy of "
                            "SQLite, %s; this one is %s; use one of them",
                            sqlite3_libversion(), api->libversion());
    return SQLITE_ERROR;
  }
  if (api->libversion_number() < PYB__SQLITE_OLDEST) {
    *message = api->mprintf("pybridge needs SQLite 3.31.0 or newer, this host has %s",
                            api->libversion());
    return SQLITE_ERROR;
  }
  SQLITE_EXTENSION_INIT2(api);
  if (loaded_already(db))
    return SQLITE_OK_LOAD_PERMANENTLY;
  host = new_host(db);
  if (host == NULL)
    return SQLITE_NOMEM;
  code = register_all(host);
  if (code != SQLITE_OK)
    *message = sqlite3_mprintf("pybridge: cannot register its functions: %s",
                               sqlite3_errmsg(db));
  pyb__sqlite_give(host);
  return code == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : code;
}
