/* services.c: what a SQLite connection lends to the Python code that it calls. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- Savepoints of pybridge.host.transaction ------------------------------------ */

/* Once a statement was interrupted, SQLite refuses to prepare or run anything until the
 * outermost statement ends, which is the one that has called Python: also the rollback
 * to a savepoint, which would stay open then, with half of the changes in it. What it
 * does even then, for a statement that was prepared before and that writes, is to stop
 * it at its first step and to roll the whole transaction back. `last_resort` is such a
 * statement; it is run as soon as that is so, because Python code that is being stopped
 * may not come to its own rollback. */

int pyb__sqlite_go_back(sqlite3 *db, const char *name) {
  char sql[120];

  snprintf(sql, sizeof sql, "rollback to %s; release %s", name, name);
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

void pyb__sqlite_not_begun(sqlite3 *db, const char *name) {
  if (!sqlite3_get_autocommit(db) && (sqlite3_errcode(db) & 0xFF) == SQLITE_INTERRUPT)
    (void)pyb__sqlite_go_back(db, name);
}

int pyb__sqlite_is_released(sqlite3 *db, const char *name) {
  char sql[60];

  if ((sqlite3_errcode(db) & 0xFF) != SQLITE_INTERRUPT)
    return 0;
  snprintf(sql, sizeof sql, "rollback to %s", name);
  /* No such savepoint. */
  return sqlite3_get_autocommit(db) ||
         (sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xFF) == SQLITE_ERROR;
}

static int starts_with(const char *sql, const char *words) {
  return sqlite3_strnicmp(sql, words, (int)strlen(words)) == 0;
}

static void drop_last_resort(pyb__sqlite *host) {
  sqlite3_finalize(host->last_resort);
  host->last_resort = NULL;
  host->savepoints = 0;
}

/* Before a savepoint is set. */
static pyb_status prepare_last_resort(pyb__sqlite *host, pyb_error *error) {
  int code = SQLITE_OK;

  if (host->last_resort == NULL)
    code =
        sqlite3_prepare_v2(host->db, "begin immediate", -1, &host->last_resort, NULL);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(host->db, code, error);
}

/* After a failure inside a savepoint: where SQLite refuses to go back to it, roll back
 * everything. Where it does not, the last resort is refused and nothing is changed. */
static void rescue(pyb__sqlite *host, pyb_error *error) {
  char message[sizeof error->message];

  if (host->last_resort == NULL)
    return;
  if (!sqlite3_get_autocommit(host->db))
    (void)sqlite3_step(host->last_resort);
  (void)sqlite3_reset(host->last_resort);
  if (!sqlite3_get_autocommit(host->db))
    return;
  drop_last_resort(host);
  memcpy(message, error->message, sizeof message);
  pyb__sqlite_refuse(error, error->status,
                     "%.900s; SQLite has rolled back the whole transaction", message);
}

/* After a savepoint was set, or one was released. */
static void count_savepoint(pyb__sqlite *host, int change) {
  host->savepoints += change;
  if (host->savepoints <= 0)
    drop_last_resort(host);
}

/* A savepoint that cannot be released (a deferred constraint does not hold) is rolled
 * back: its owner has left it already. */
static void undo_release(pyb__sqlite *host, const char *name) {
  if (host->last_resort != NULL && pyb__sqlite_go_back(host->db, name))
    count_savepoint(host, -1);
}

/* What a call has begun and, being stopped, has not ended: undo it. */
void pyb__sqlite_settle(pyb__sqlite *host, int before, pyb_error *error) {
  char name[40];

  if (host->savepoints <= before || before >= PYB__SQLITE_SAVEPOINTS)
    return;
  snprintf(name, sizeof name, "pybridge_%d", host->names[before]);
  if (pyb__sqlite_go_back(host->db, name))
    count_savepoint(host, before - host->savepoints);
  else
    rescue(host, error);
}

static pyb_status query(void *data, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        struct ArrowArrayStream *rows, pyb_error *error) {
  char *text = terminated(sql, &size);
  pyb_status status;
  pyb_error own;

  rows->release = NULL;
  if (text == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (error == NULL)
    error = &own;
  pyb__sqlite_guard(data);
  status = pyb__sqlite_read(data, text, size, params, names, n, rows, error);
  pyb__sqlite_unguard(data);
  if (status != PYB_OK)
    rescue(data, error);
  sqlite3_free(text);
  return status;
}

static pyb_status execute(void *data, const char *sql, size_t size,
                          const pyb_value *params, const char *const *names, size_t n,
                          int64_t *changes, pyb_error *error) {
  pyb__sqlite *host = data;
  /* What ends a savepoint must not fail for want of memory: it would stay open. */
  char few[64], *copy = NULL;
  const char *text = few;
  pyb_status status = PYB_OK;
  pyb_error own;
  int begins, ends, number = 0;
  char name[40];

  *changes = 0;
  if (size == PYB_NTS)
    size = strlen(sql);
  if (size < sizeof few) {
    memcpy(few, sql, size);
    few[size] = '\0';
  } else if ((text = copy = terminated(sql, &size)) == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  begins = starts_with(text, "savepoint pybridge_");
  ends = starts_with(text, "release pybridge_");
  if (error == NULL)
    error = &own;
  if (begins)
    status = prepare_last_resort(host, error);
  if (begins || ends)
    number = atoi(text + strlen(begins ? "savepoint pybridge_" : "release pybridge_"));
  snprintf(name, sizeof name, "pybridge_%d", number);
  if (begins && host->savepoints >= 0 && host->savepoints < PYB__SQLITE_SAVEPOINTS)
    host->names[host->savepoints] = number;
  if (ends && sqlite3_get_autocommit(host->db)) {
    drop_last_resort(host);
    sqlite3_free(copy);
    return pyb__sqlite_refuse(error, PYB_HOST,
                              "the transaction was ended inside, by COMMIT, ROLLBACK "
                              "or a constraint that rolls back; host.transaction() "
                              "ends it by itself");
  }
  pyb__sqlite_guard(host);
  if (status == PYB_OK)
    status = run_script(host->db, text, size, params, names, n, changes, error);
  pyb__sqlite_unguard(host);
  if (status != PYB_OK && begins && sqlite3_errcode(host->db) == SQLITE_BUSY)
    pyb__sqlite_refuse(error, status,
                       "a transaction cannot be begun inside a statement that writes "
                       "itself; do it before or after that");
  else if (status != PYB_OK && begins)
    pyb__sqlite_not_begun(host->db, name);
  else if (status != PYB_OK && ends && pyb__sqlite_is_released(host->db, name))
    status = PYB_OK;
  /* Where not even the first savepoint was set, there is nothing to be taken back. */
  if (status != PYB_OK && !(begins && host->savepoints == 0))
    rescue(host, error);
  if (status != PYB_OK && ends)
    undo_release(host, name);
  if (status == PYB_OK && (begins || ends))
    count_savepoint(host, begins ? 1 : -1);
  else if (begins)
    count_savepoint(host, 0);
  sqlite3_free(copy);
  return status;
}

static pyb_status write_rows(void *data, struct ArrowArrayStream *rows,
                             const char *table, const char *mode, int64_t *count,
                             pyb_error *error) {
  pyb_status status;

  pyb__sqlite_guard(data);
  status = pyb__sqlite_write(data, rows, table, mode, count, error);
  pyb__sqlite_unguard(data);
  return status;
}

/* Called from another thread: reads one word of the connection, takes no lock. */
static int interrupted(void *data) {
  return IS_INTERRUPTED(((pyb__sqlite *)data)->db);
}

/* Called from another thread. */
static void interrupt(void *data) {
  pyb__sqlite *host = data;

  atomic_store(&host->stopped, 1);
  pyb__sqlite_stop(host);
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
