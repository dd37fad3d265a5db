/* settings.c: sees whether a program means on a connection what it seems to.
 *
 * It names a collation and functions, and an application may have made others of these
 * names; and SQLite may make another program of the query once its parameters have
 * values. */
#include <string.h>

#include "program.h"

/* Does a query return a row whose first column is 1? NULL = no memory for its text. */
static int holds(sqlite3 *db, const char *sql) {
  sqlite3_stmt *row = NULL;
  int found = sql != NULL && sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK &&
              sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int(row, 0) == 1;

  sqlite3_finalize(row);
  return found;
}

/* Text is compared byte by byte, unless somebody has made another collation of the name
 * BINARY. Nothing tells, but those that people make are seen by some comparisons. */
static const char *check_collation(sqlite3 *db) {
  return holds(db, "with t(a, b) as (values ('B', 'a'), ('a', 'a '), ('z', 'é'),"
                   " ('10', '9'), ('a', 'b'), ('a-c', 'ab'), ('A', 'a'))"
                   " select min(a < b collate binary) from t")
             ? NULL
             : "the collation \"BINARY\" is not SQLite's own";
}

/* How many of the functions of LIKE and GLOB are SQLite's own; -1 = not all. */
static int count_own(sqlite3 *db) {
  sqlite3_stmt *list = NULL;
  int own = 0;

  if (sqlite3_prepare_v2(db, "pragma function_list", -1, &list, NULL) != SQLITE_OK)
    return -1;
  while (own >= 0 && sqlite3_step(list) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(list, 0);
    if (sqlite3_stricmp(name, "like") == 0 || sqlite3_stricmp(name, "glob") == 0)
      own = sqlite3_column_int(list, 1) == 1 ? own + 1 : -1;
  }
  return sqlite3_finalize(list) == SQLITE_OK ? own : -1;
}

/* Others are those that an application has made, `pragma case_sensitive_like`, or a
 * SQLite with ICU. SQLite tells its own from those, for each number of arguments; and
 * it may have been built to tell cases apart. */
static const char *check_patterns(sqlite3 *db, const pyb__plan *plan) {
  int most = sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1);

  if (count_own(db) < 2 || !holds(db, "select 'Aé' like 'a_' and 'É' not like 'é'"
                                      " and 'Aé' glob '[A-C]?' and 'A' not glob 'a'"))
    return "LIKE or GLOB is not SQLite's own";
  return plan->longest_pattern <= (size_t)most ? NULL : "a pattern is too long";
}

/* With threads of its own the sorter keeps no order among rows that are equal. */
static const char *check_threads(sqlite3 *db) {
  return sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, -1) == 0
             ? NULL
             : "the connection sorts in several threads";
}

/* Has the database statistics of single values? */
static int has_samples(sqlite3 *db, const char *schema) {
  char *sql = sqlite3_mprintf("select 1 from \"%w\".sqlite_stat4", schema);
  sqlite3_stmt *samples = NULL;
  int has =
      sql == NULL || sqlite3_prepare_v2(db, sql, -1, &samples, NULL) != SQLITE_ERROR;

  sqlite3_finalize(samples);
  sqlite3_free(sql);
  return has;
}

/* Whether SQLite takes a partial index may depend on the parameters, and with samples
 * that ANALYZE has taken, or for a pattern, any index: then its rows have another
 * order. */
static const char *check_indexes(sqlite3 *db, const pyb__plan *plan,
                                 const pyb__sqlite_scan *scan) {
  char *sql = sqlite3_mprintf("select not exists (select 1 from"
                              " pragma_index_list(%Q, %Q) where partial or %d)",
                              scan->table, scan->schema, plan->matches);
  int good = holds(db, sql) && !has_samples(db, scan->schema);

  sqlite3_free(sql);
  return good ? NULL : "an index may be taken for the values of the parameters";
}

const char *pyb__plan_suits(sqlite3 *db, const pyb__plan *plan,
                            const pyb__sqlite_scan *scan, int parameters) {
  const char *reason = NULL;

  if (plan->textual)
    reason = check_collation(db);
  if (reason == NULL && plan->matches)
    reason = check_patterns(db, plan);
  if (reason == NULL && plan->n_keys != 0)
    reason = check_threads(db);
  if (reason == NULL && parameters != 0)
    reason = check_indexes(db, plan, scan);
  return reason;
}
