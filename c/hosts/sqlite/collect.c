/* collect.c: run a query on the caller's connection and collect its rows as columns.
 *
 * A step loop takes the connection's mutex for every cell that it asks for. Therefore
 * the query is wrapped, and an aggregate function of ours gets whole rows inside one
 * sqlite3_step:
 *
 *     with "pyb rows"(c0, c1) as (<the query>) select py_collect(:p, c0, c1) from ...
 *
 * That is a third faster where SQLite melts the two into one loop. Where it cannot (a
 * sorted or compound query runs as a co-routine, and each row is copied) stepping is
 * faster, and where the query cannot be wrapped at all (PRAGMA, EXPLAIN, INSERT ...
 * RETURNING are no valid statements inside the brackets) it is the only way. The rows
 * and their order are the same: an ORDER BY is kept under an aggregate function that is
 * not SQLite's own, because group_concat and its like depend on it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sqlite.h"

#define POINTER "pybridge collector"
#define PREFIX ":pyb_collector_"
#define ROWS "pyb rows"

/* ---- One statement and its parameters ------------------------------------------- */

pyb_status pyb__sqlite_prepare(sqlite3 *db, const char *sql, size_t size,
                               sqlite3_stmt **statement, const char **tail,
                               pyb_error *error) {
  int code;

  *statement = NULL;
  *tail = sql;
  if (size > INT_MAX)
    return pyb__sqlite_refuse(error, PYB_TOO_LARGE,
                              "the statement has %zu bytes, SQLite takes %d at most",
                              size, sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, -1));
  /* No size: SQLite would copy all of a script for each of its statements. */
  code = sqlite3_prepare_v2(db, sql, -1, statement, tail);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

pyb_status pyb__sqlite_whole(const char *sql, size_t size, pyb_error *error) {
  /* SQLite would run what stands before it. */
  if (memchr(sql, '\0', size) == NULL)
    return PYB_OK;
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "the statement holds a NUL character");
}

/* Is there nothing but white space, comments and semicolons? */
static pyb_status check_tail(sqlite3 *db, const char *tail, const char *end,
                             pyb_error *error) {
  while (tail < end) {
    sqlite3_stmt *second;
    pyb_status status;
    const char *next;

    status = pyb__sqlite_prepare(db, tail, (size_t)(end - tail), &second, &next, NULL);
    sqlite3_finalize(second);
    if (status != PYB_OK || second != NULL)
      return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "the query is more than one statement, from \"%.40s\"",
                                tail + strspn(tail, " \t\r\n;"));
    tail = next;
  }
  return PYB_OK;
}

int pyb__sqlite_is_pragma(const char *sql) {
  for (;;) {
    const char *end;

    sql += strspn(sql, " \t\n\f\r");
    if (sql[0] == '-' && sql[1] == '-')
      end = strchr(sql, '\n');
    else if (sql[0] == '/' && sql[1] == '*')
      end = strstr(sql + 2, "*/");
    else
      return sqlite3_strnicmp(sql, "pragma", 6) == 0;
    if (end == NULL)
      return 0;
    sql = end + (*end == '*' ? 2 : 1);
  }
}

/* SQLite carries out some PRAGMAs as it prepares them. */
static pyb_status refuse_columnless(const char *sql, pyb_error *error) {
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "%s",
                            pyb__sqlite_is_pragma(sql)
                                ? "the PRAGMA returns no columns; it may have taken "
                                  "effect all the same: run it as a statement"
                                : "the statement returns no columns; it was not run");
}

/* Prepare the one statement that returns rows; *size becomes the size of its text. */
static pyb_status prepare_query(sqlite3 *db, const char *sql, size_t *size,
                                sqlite3_stmt **statement, pyb_error *error) {
  const char *end = sql + *size, *tail;
  pyb_status status = pyb__sqlite_whole(sql, *size, error);

  *statement = NULL;
  if (status != PYB_OK)
    return status;
  status = pyb__sqlite_prepare(db, sql, *size, statement, &tail, error);
  if (status == PYB_OK && *statement == NULL)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "the query is empty");
  if (status == PYB_OK)
    status = check_tail(db, tail, end, error);
  if (status == PYB_OK && sqlite3_column_count(*statement) == 0)
    status = refuse_columnless(sql, error);
  if (status != PYB_OK) {
    sqlite3_finalize(*statement);
    *statement = NULL;
  }
  *size = (size_t)(tail - sql);
  return status;
}

/* Say what is wrong with parameter i, 1 = the first. */
static pyb_status refuse_parameter(sqlite3_stmt *statement, int i, const char *what,
                                   pyb_error *error) {
  const char *name = sqlite3_bind_parameter_name(statement, i);

  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "parameter %d%s%s%s of the statement %s", i,
                            name != NULL ? " \"" : "", name != NULL ? name : "",
                            name != NULL ? "\"" : "", what);
}

/* Bind a value to one parameter, 1 = the first. */
static pyb_status bind_one(sqlite3 *db, sqlite3_stmt *statement, int i,
                           const pyb_value *value, char *bound, pyb_error *error) {
  int code;

  if (bound[i - 1])
    return refuse_parameter(statement, i, "has two values", error);
  code = pyb__sqlite_bind(statement, i, value);
  if (code != SQLITE_OK)
    return pyb__sqlite_error(db, code, error);
  bound[i - 1] = 1;
  return PYB_OK;
}

/* Bind a value to the parameter `name`, under each prefix that the statement has. */
static pyb_status bind_named(sqlite3 *db, sqlite3_stmt *statement, const char *name,
                             const pyb_value *value, int count, char *bound,
                             pyb_error *error) {
  pyb_status status = PYB_OK;
  char prefixed[256];
  int found = 0;

  snprintf(prefixed, sizeof prefixed, " %s", name);
  for (const char *prefix = ":@$"; *prefix != '\0' && status == PYB_OK; prefix++) {
    int i;

    prefixed[0] = *prefix;
    i = strlen(name) < sizeof prefixed - 1
            ? sqlite3_bind_parameter_index(statement, prefixed)
            : 0;
    if (i == 0 || i > count)
      continue;
    found = 1;
    status = bind_one(db, statement, i, value, bound, error);
  }
  if (status == PYB_OK && !found)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "the statement has no parameter \"%s\"", name);
  return status;
}

/* Bind the values and mark in `bound` which of the `count` parameters have one. */
static pyb_status bind_all(sqlite3 *db, sqlite3_stmt *statement,
                           const pyb_value *params, const char *const *names, size_t n,
                           int count, char *bound, pyb_error *error) {
  pyb_status status = PYB_OK;
  int position = 0;

  for (size_t i = 0; i < n && status == PYB_OK; i++) {
    if (names != NULL && names[i] != NULL)
      status = bind_named(db, statement, names[i], &params[i], count, bound, error);
    else if (++position > count)
      status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                  "the statement has %d parameter%s, %zu value%s came",
                                  count, PYB__S(count), n, PYB__S(n));
    else
      status = bind_one(db, statement, position, &params[i], bound, error);
  }
  return status;
}

/* Bind to the first `count` parameters, each of which must get a value. */
static pyb_status bind_count(sqlite3 *db, sqlite3_stmt *statement,
                             const pyb_value *params, const char *const *names,
                             size_t n, int count, pyb_error *error) {
  pyb_status status;
  char *bound;

  if (count == 0 && n == 0)
    return PYB_OK;
  bound = sqlite3_malloc(count + 1);
  if (bound == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  memset(bound, 0, (size_t)count + 1);
  status = bind_all(db, statement, params, names, n, count, bound, error);
  for (int i = 0; i < count && status == PYB_OK; i++)
    if (!bound[i])
      status = refuse_parameter(statement, i + 1, "has no value", error);
  sqlite3_free(bound);
  return status;
}

pyb_status pyb__sqlite_parameters(sqlite3 *db, sqlite3_stmt *statement,
                                  const pyb_value *params, const char *const *names,
                                  size_t n, pyb_error *error) {
  return bind_count(db, statement, params, names, n,
                    sqlite3_bind_parameter_count(statement), error);
}

/* ---- The collector -------------------------------------------------------------- */

/* What one py_collect in the wrapped query fills: n columns of the table. */
typedef struct collector {
  pyb_column **columns;
  int n;
} collector;

static void collect_step(sqlite3_context *context, int n, sqlite3_value **args) {
  const collector **slot = sqlite3_aggregate_context(context, sizeof *slot);

  if (slot == NULL) {
    sqlite3_result_error_nomem(context);
    return;
  }
  if (*slot == NULL) {
    *slot = n > 0 ? sqlite3_value_pointer(args[0], POINTER) : NULL;
    if (*slot == NULL || (*slot)->n != n - 1) {
      *slot = NULL;
      pyb__sqlite_say(context, "py_collect", PYB_BAD_ARGUMENT,
                      "this function is for the library's own use, see py_query");
      return;
    }
  }
  if (pyb__sqlite_append((*slot)->columns, args + 1, (size_t)(*slot)->n) != PYB_OK)
    sqlite3_result_error_nomem(context);
}

static void collect_final(sqlite3_context *context) {
  (void)context;
}

int pyb__sqlite_register_collect(pyb__sqlite *host) {
  return sqlite3_create_function_v2(
      host->db, "py_collect", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
      pyb__sqlite_take(host), NULL, collect_step, collect_final, pyb__sqlite_give);
}

#define EXPLAIN "explain query plan "

/* The wrapped query behind EXPLAIN: `each` columns per collector, n in all. NULL = no
 * memory. */
static char *wrap(sqlite3 *db, const char *sql, size_t size, int n, int each) {
  sqlite3_str *text = sqlite3_str_new(db);

  /* The statement's own semicolon goes; one that a comment ends with may go too. */
  while (size > 0 && strchr("; \t\r\n", sql[size - 1]) != NULL)
    size--;
  sqlite3_str_appendall(text, EXPLAIN "with \"" ROWS "\"(");
  for (int i = 0; i < n; i++)
    sqlite3_str_appendf(text, "%sc%d", i == 0 ? "" : ",", i);
  sqlite3_str_appendall(text, ") as (");
  sqlite3_str_append(text, sql, (int)size);
  /* A new line, because the text may end in a comment. */
  sqlite3_str_appendall(text, "\n) select ");
  for (int i = 0; i < n; i++) {
    if (i % each == 0)
      sqlite3_str_appendf(text, "%spy_collect(" PREFIX "%d", i == 0 ? "" : "), ",
                          i / each);
    sqlite3_str_appendf(text, ",c%d", i);
  }
  sqlite3_str_appendall(text, ") from \"" ROWS "\"");
  return sqlite3_str_finish(text);
}

/* A query on its way into a table. */
typedef struct collection {
  sqlite3 *db;
  const char *sql; /* `size` bytes of one statement */
  size_t size;
  sqlite3_stmt *statement; /* the query as it came */
  int n;                   /* columns */
  pyb_table *table;
  pyb_column **columns;
  int looked; /* SQL has run since the statement was prepared */
  const pyb_value *params;
  const char *const *names;
  size_t n_params;
} collection;

/* ---- Columns -------------------------------------------------------------------- */

static pyb_status name_columns(const collection *c, sqlite3_stmt *statement,
                               pyb_error *error) {
  pyb_status status = PYB_OK;

  for (int i = 0; i < c->n && status == PYB_OK; i++) {
    const char *name = sqlite3_column_name(statement, i);

    if (name == NULL)
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    status = pyb_table_name(c->table, (size_t)i, name,
                            sqlite3_column_decltype(statement, i), error);
    c->columns[i] = pyb_table_column(c->table, (size_t)i);
  }
  return status;
}

/* Another process may have changed the schema after the statement was prepared, and
 * `ran` was prepared after that, or anew: name the columns as they are for `ran`, which
 * stands on a row or has just ended. */
static pyb_status name_again(const collection *c, sqlite3_stmt *ran, pyb_error *error) {
  sqlite3_stmt *again = NULL;
  const char *tail;
  pyb_status status;

  if (!c->looked && sqlite3_stmt_status(ran, SQLITE_STMTSTATUS_REPREPARE, 0) == 0)
    return PYB_OK;
  status = pyb__sqlite_prepare(c->db, c->sql, c->size, &again, &tail, error);
  if (status == PYB_OK && sqlite3_column_count(again) != c->n)
    status = pyb__sqlite_refuse(error, PYB_HOST,
                                "the schema was changed meanwhile; run it again");
  if (status == PYB_OK)
    status = name_columns(c, again, error);
  sqlite3_finalize(again);
  return status;
}

/* Would the rows of the wrapped query go through a subquery? The plan names it then. A
 * plan that cannot be read right costs time, never rows. */
static int is_detour(sqlite3 *db, const char *explain) {
  sqlite3_stmt *plan = NULL;
  int detour = 0;

  if (sqlite3_prepare_v2(db, explain, -1, &plan, NULL) != SQLITE_OK)
    detour = 1;
  while (!detour && sqlite3_step(plan) == SQLITE_ROW) {
    const char *detail = (const char *)sqlite3_column_text(plan, 3);

    detour = detail == NULL || strstr(detail, ROWS) != NULL;
  }
  sqlite3_finalize(plan);
  return detour;
}

/* Prepare the wrapped query; NULL where stepping is better or has to do. */
static sqlite3_stmt *prepare_wrapped(const collection *c, int each) {
  int parameters = sqlite3_bind_parameter_count(c->statement);
  int collectors = (c->n + each - 1) / each;
  sqlite3_stmt *wrapped = NULL;
  char *text;

  text = wrap(c->db, c->sql, c->size, c->n, each);
  if (text == NULL)
    return NULL;
  if (!is_detour(c->db, text) &&
      (sqlite3_prepare_v2(c->db, text + strlen(EXPLAIN), -1, &wrapped, NULL) !=
           SQLITE_OK ||
       sqlite3_bind_parameter_count(wrapped) != parameters + collectors)) {
    sqlite3_finalize(wrapped);
    wrapped = NULL;
  }
  sqlite3_free(text);
  return wrapped;
}

/* Run the wrapped query with its collectors, `each` columns to one. */
static pyb_status run_wrapped(const collection *c, sqlite3_stmt *wrapped, int each,
                              pyb_error *error) {
  int parameters = sqlite3_bind_parameter_count(c->statement);
  int n_collectors = (c->n + each - 1) / each, code = SQLITE_OK;
  collector *collectors = sqlite3_malloc64(sizeof *collectors * (size_t)n_collectors);
  pyb_status status;

  if (collectors == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  for (int i = 0; i < n_collectors && code == SQLITE_OK; i++) {
    collectors[i].columns = c->columns + i * each;
    collectors[i].n = i < n_collectors - 1 ? each : c->n - i * each;
    code = sqlite3_bind_pointer(wrapped, parameters + i + 1, &collectors[i], POINTER,
                                NULL);
  }
  status = code == SQLITE_OK ? bind_count(c->db, wrapped, c->params, c->names,
                                          c->n_params, parameters, error)
                             : pyb__sqlite_error(c->db, code, error);
  if (status == PYB_OK) {
    code = sqlite3_step(wrapped);
    if (code != SQLITE_ROW)
      status = pyb__sqlite_error(c->db, code, error);
    else
      status = name_again(c, wrapped, error);
  }
  sqlite3_free(collectors);
  return status;
}

/* ---- The step loop -------------------------------------------------------------- */

static pyb_status step_all(const collection *c, sqlite3_value **values,
                           pyb_error *error) {
  int code;

  while ((code = sqlite3_step(c->statement)) == SQLITE_ROW) {
    /* SQLite prepares anew when another process has changed the schema. */
    if (sqlite3_data_count(c->statement) != c->n)
      return pyb__sqlite_refuse(error, PYB_HOST,
                                "the schema was changed meanwhile; run it again");
    /* These values are unprotected by name only: the connection is ours for the time
     * of the SQL function that has brought us here. */
    for (int i = 0; i < c->n; i++)
      values[i] = sqlite3_column_value(c->statement, i);
    if (pyb__sqlite_append(c->columns, values, (size_t)c->n) != PYB_OK)
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  }
  return code == SQLITE_DONE ? PYB_OK : pyb__sqlite_error(c->db, code, error);
}

static pyb_status run_steps(const collection *c, pyb_error *error) {
  sqlite3_value **values;
  pyb_status status;

  status = pyb__sqlite_parameters(c->db, c->statement, c->params, c->names, c->n_params,
                                  error);
  if (status != PYB_OK)
    return status;
  values = sqlite3_malloc64(sizeof *values * (size_t)c->n);
  if (values == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  status = step_all(c, values, error);
  if (status == PYB_OK)
    status = name_again(c, c->statement, error);
  sqlite3_free(values);
  return status;
}

/* ---- Both ----------------------------------------------------------------------- */

static pyb_status run(const collection *c, pyb_error *error) {
  int each = sqlite3_limit(c->db, SQLITE_LIMIT_FUNCTION_ARG, -1) - 1;
  sqlite3_stmt *wrapped = NULL;
  pyb_status status;

  if (each > 0)
    wrapped = prepare_wrapped(c, each);
  if (wrapped != NULL)
    status = run_wrapped(c, wrapped, each, error);
  else
    status = run_steps(c, error);
  sqlite3_finalize(wrapped);
  return status;
}

/* A new table with the columns of the statement, in place of the one that there is. */
static pyb_status new_table(collection *c, pyb_error *error) {
  pyb_status status;

  pyb_table_release(c->table);
  c->table = NULL;
  status = pyb_table_new((size_t)c->n, &c->table, error);
  return status == PYB_OK ? name_columns(c, c->statement, error) : status;
}

/* Fill the table from the pages below SQL where that may be, or by the query. */
static pyb_status fill(pyb__sqlite *host, collection *c, pyb_error *error) {
  const pyb__sqlite_plain query = {c->sql,    c->size,  c->statement,
                                   c->params, c->names, c->n_params};
  char reason[PYB__SQLITE_REASON];
  pyb_status status = new_table(c, error);
  int done = 0;

  if (status == PYB_OK)
    status = pyb__sqlite_pages_query(host, &query, c->table, &done, reason, error);
  if (status == PYB_OK)
    pyb__sqlite_scanned(host, done ? NULL : reason);
  if (status != PYB_OK || done)
    return status;
  c->looked = 1;
  status = new_table(c, error);
  return status == PYB_OK ? run(c, error) : status;
}

static pyb_status collect(pyb__sqlite *host, collection *c, int pages,
                          struct ArrowArrayStream *rows, pyb_error *error) {
  pyb_status status;

  rows->release = NULL;
  status = prepare_query(c->db, c->sql, &c->size, &c->statement, error);
  if (status != PYB_OK)
    return status;
  c->n = sqlite3_column_count(c->statement);
  c->columns = sqlite3_malloc64(sizeof *c->columns * (size_t)c->n);
  if (c->columns == NULL) {
    status = pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    goto done;
  }
  if (pages)
    status = fill(host, c, error);
  else
    status = new_table(c, error);
  if (status == PYB_OK && !pages)
    status = run(c, error);
  if (status == PYB_OK) {
    status = pyb_table_finish(c->table, rows, error);
    c->table = NULL;
  }

done:
  pyb_table_release(c->table);
  sqlite3_free(c->columns);
  sqlite3_finalize(c->statement);
  return status;
}

pyb_status pyb__sqlite_collect(pyb__sqlite *host, const char *sql, size_t size,
                               const pyb_value *params, const char *const *names,
                               size_t n, struct ArrowArrayStream *rows,
                               pyb_error *error) {
  collection c = {.db = host->db, .sql = sql, .params = params, .names = names};

  c.n_params = n;
  c.size = size == PYB_NTS ? strlen(sql) : size;
  return collect(host, &c, 0, rows, error);
}

pyb_status pyb__sqlite_read(pyb__sqlite *host, const char *sql, size_t size,
                            const pyb_value *params, const char *const *names, size_t n,
                            struct ArrowArrayStream *rows, pyb_error *error) {
  collection c = {.db = host->db, .sql = sql, .params = params, .names = names};

  c.n_params = n;
  c.size = size == PYB_NTS ? strlen(sql) : size;
  if (!host->pages)
    pyb__sqlite_scanned(host, "option \"pages\" is 0");
  return collect(host, &c, host->pages, rows, error);
}
