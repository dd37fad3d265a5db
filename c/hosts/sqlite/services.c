/* services.c: what a SQLite connection lends to the Python code that it calls. */
#include <limits.h>
#include <string.h>

#include "sqlite.h"

/* The routine table of 3.41 goes on where the one of 3.40 ends. */
#if SQLITE_VERSION_NUMBER < 3041000
typedef struct routines_3_41 {
  sqlite3_api_routines older;
  int (*is_interrupted)(sqlite3 *);
} routines_3_41;
#define IS_INTERRUPTED(db) (((const routines_3_41 *)sqlite3_api)->is_interrupted(db))
#else
#define IS_INTERRUPTED(db) sqlite3_is_interrupted(db)
#endif

/* A copy of `sql` with a NUL behind it, which the contract does not promise. */
static char *terminated(const char *sql, size_t *size) {
  char *copy;

  if (*size == PYB_NTS)
    *size = strlen(sql);
  copy = sqlite3_malloc64(*size + 1);
  if (copy != NULL) {
    memcpy(copy, sql, *size);
    copy[*size] = '\0';
  }
  return copy;
}

static pyb_status query(void *data, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        struct ArrowArrayStream *rows, pyb_error *error) {
  char *text = terminated(sql, &size);
  pyb_status status;

  rows->release = NULL;
  if (text == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  status = pyb__sqlite_collect(data, text, size, params, names, n, rows, error);
  sqlite3_free(text);
  return status;
}

/* Rows that have been changed on the connection so far, those of triggers included. */
static int64_t total_changes(sqlite3 *db) {
  return pyb__sqlite_has(3037000) ? sqlite3_total_changes64(db)
                                  : sqlite3_total_changes(db);
}

/* Rows that the last INSERT, UPDATE or DELETE has changed, triggers not counted. */
static int64_t last_changes(sqlite3 *db) {
  return pyb__sqlite_has(3037000) ? sqlite3_changes64(db) : sqlite3_changes(db);
}

/* Run one prepared statement to its end and add to *changes. */
static pyb_status run(sqlite3 *db, sqlite3_stmt *statement, int64_t *changes,
                      pyb_error *error) {
  int64_t before = total_changes(db);
  int code;

  do
    code = sqlite3_step(statement);
  while (code == SQLITE_ROW);
  if (code != SQLITE_DONE)
    return pyb__sqlite_error(db, code, error);
  /* The count of the last statement stays when a statement changes nothing. */
  if (total_changes(db) != before)
    *changes += last_changes(db);
  return PYB_OK;
}

/* Run the statements of a script, which has a NUL behind its size. */
static pyb_status run_script(sqlite3 *db, const char *sql, size_t size,
                             const pyb_value *params, const char *const *names,
                             size_t n, int64_t *changes, pyb_error *error) {
  const char *end = sql + size;
  pyb_status status = pyb__sqlite_whole(sql, size, error);
  int statements = 0;

  while (sql < end && status == PYB_OK) {
    sqlite3_stmt *statement = NULL;

    status = pyb__sqlite_prepare(db, sql, (size_t)(end - sql), &statement, &sql, error);
    if (status == PYB_OK && statement != NULL) {
      if (++statements > 1 && n != 0)
        status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                    "parameters go with one statement, here are more");
      else
        status = pyb__sqlite_parameters(db, statement, params, names, n, error);
      if (status == PYB_OK)
        status = run(db, statement, changes, error);
    }
    sqlite3_finalize(statement);
  }
  if (status == PYB_OK && statements == 0)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "there is no statement");
  return status;
}

static pyb_status execute(void *data, const char *sql, size_t size,
                          const pyb_value *params, const char *const *names, size_t n,
                          int64_t *changes, pyb_error *error) {
  pyb__sqlite *host = data;
  char *text = terminated(sql, &size);
  pyb_status status;

  *changes = 0;
  if (text == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  status = run_script(host->db, text, size, params, names, n, changes, error);
  sqlite3_free(text);
  return status;
}

static pyb_status write_rows(void *data, struct ArrowArrayStream *rows,
                             const char *table, const char *mode, int64_t *count,
                             pyb_error *error) {
  return pyb__sqlite_write(data, rows, table, mode, count, error);
}

/* Called from another thread: reads one word of the connection, takes no lock. */
static int interrupted(void *data) {
  return IS_INTERRUPTED(((pyb__sqlite *)data)->db);
}

/* Called from another thread, which SQLite allows while the connection is open. */
static void interrupt(void *data) {
  sqlite3_interrupt(((pyb__sqlite *)data)->db);
}

void pyb__sqlite_lend(pyb__sqlite *host) {
  host->services.size = sizeof host->services;
  host->services.name = "sqlite";
  host->services.query = query;
  host->services.execute = execute;
  host->services.write = write_rows;
  /* SQLite before 3.41 cannot be asked. */
  host->services.interrupted = pyb__sqlite_has(3041000) ? interrupted : NULL;
  host->services.interrupt = interrupt;
  /* The shell and C's stdio share one buffer, so output stays in order by itself. */
  host->services.output = NULL;
}
