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

static pyb_status query(void *data, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        struct ArrowArrayStream *rows, pyb_error *error) {
  return pyb__sqlite_collect(data, sql, size, params, names, n, rows, error);
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

static pyb_status execute(void *data, const char *sql, size_t size,
                          const pyb_value *params, const char *const *names, size_t n,
                          int64_t *changes, pyb_error *error) {
  pyb__sqlite *host = data;
  const char *end = sql + (size == PYB_NTS ? strlen(sql) : size);
  pyb_status status = PYB_OK;
  int statements = 0;

  *changes = 0;
  while (sql < end && status == PYB_OK) {
    sqlite3_stmt *statement = NULL;

    status = pyb__sqlite_prepare(host->db, sql, (size_t)(end - sql), &statement, &sql,
                                 error);
    if (status == PYB_OK && statement != NULL) {
      if (++statements > 1 && n != 0)
        status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                    "parameters go with one statement, here are more");
      else
        status = pyb__sqlite_parameters(host->db, statement, params, names, n, error);
      if (status == PYB_OK)
        status = run(host->db, statement, changes, error);
    }
    sqlite3_finalize(statement);
  }
  if (status == PYB_OK && statements == 0)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "there is no statement");
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

void pyb__sqlite_lend(pyb__sqlite *host) {
  host->services.size = sizeof host->services;
  host->services.name = "sqlite";
  host->services.query = query;
  host->services.execute = execute;
  host->services.write = write_rows;
  /* SQLite before 3.41 cannot be asked. */
  host->services.interrupted = pyb__sqlite_has(3041000) ? interrupted : NULL;
  /* The shell and C's stdio share one buffer, so output stays in order by itself. */
  host->services.output = NULL;
}
