/* query.c: py_query, a query on the caller's connection, or elsewhere, as a frame. */
#include <stdio.h>
#include <string.h>

#include "sqlite.h"

static const char NAME[] = "py_query";

/* The parameters of a query, wherever they came from. */
typedef struct parameters {
  pyb_value *values;
  const char **names;
  sqlite3_value **held; /* copies that values and names point into; 2 to a value */
  size_t n, room;
} parameters;

static void drop(parameters *p) {
  for (size_t i = 0; p->held != NULL && i < 2 * p->n; i++)
    sqlite3_value_free(p->held[i]);
  sqlite3_free(p->held);
  sqlite3_free(p->values);
  sqlite3_free(p->names);
  memset(p, 0, sizeof *p);
}

static pyb_status no_memory(pyb_error *error) {
  return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
}

static pyb_status make_room(parameters *p, size_t room, pyb_error *error) {
  pyb_value *values;
  const char **names;
  sqlite3_value **held;

  if (room <= p->room)
    return PYB_OK;
  values = sqlite3_realloc64(p->values, room * sizeof *values);
  if (values != NULL)
    p->values = values;
  names = sqlite3_realloc64(p->names, room * sizeof *names);
  if (names != NULL)
    p->names = names;
  held = sqlite3_realloc64(p->held, 2 * room * sizeof *held);
  if (held != NULL)
    p->held = held;
  if (values == NULL || names == NULL || held == NULL)
    return no_memory(error);
  p->room = room;
  return PYB_OK;
}

/* Add a parameter; the value and the name (NULL = none) are copied. */
static pyb_status add(parameters *p, sqlite3_value *name, sqlite3_value *value,
                      pyb_error *error) {
  pyb_status status = PYB_OK;

  if (p->n == p->room)
    status = make_room(p, p->room == 0 ? 8 : 2 * p->room, error);
  if (status != PYB_OK)
    return status;
  p->held[2 * p->n] = sqlite3_value_dup(value);
  p->held[2 * p->n + 1] = name != NULL ? sqlite3_value_dup(name) : NULL;
  p->names[p->n] = NULL;
  p->n++;
  if (p->held[2 * p->n - 2] == NULL || (name != NULL && p->held[2 * p->n - 1] == NULL))
    return no_memory(error);
  if (name != NULL)
    p->names[p->n - 1] = (const char *)sqlite3_value_text(p->held[2 * p->n - 1]);
  if (name != NULL && p->names[p->n - 1] == NULL)
    return no_memory(error);
  if (pyb__sqlite_load(p->held[2 * p->n - 2], &p->values[p->n - 1]) != PYB_OK)
    return no_memory(error);
  return PYB_OK;
}

/* Parameters that stand as arguments behind the options: plain ones, or py_kw. */
static pyb_status from_arguments(parameters *p, int n, sqlite3_value **args,
                                 pyb_error *error) {
  pyb_status status = make_room(p, (size_t)n, error);

  for (int i = 0; i < n && status == PYB_OK; i++) {
    const pyb__sqlite_named *named = pyb__sqlite_keyword(args[i]);

    if (pyb__sqlite_object(args[i]) != 0 || (named != NULL && named->object != 0))
      return pyb__sqlite_refuse(error, PYB_UNSUPPORTED,
                                "parameter %d is a Python object, which a query does "
                                "not take; use py_value",
                                i + 1);
    status = add(p, NULL, named != NULL ? named->value : args[i], error);
    if (status == PYB_OK && named != NULL)
      p->names[p->n - 1] = named->name; /* lives as long as the argument */
  }
  return status;
}

/* ---- Options -------------------------------------------------------------------- */
/* The options are JSON, and SQLite itself reads it. */

/* One row of json_each: key, type, value. */
static pyb_status add_member(parameters *p, sqlite3_stmt *row, pyb_error *error) {
  sqlite3_value *key = sqlite3_column_value(row, 0);
  const char *type = (const char *)sqlite3_column_text(row, 1);
  int named = sqlite3_column_type(row, 0) == SQLITE_TEXT;

  if (type == NULL)
    return no_memory(error);
  if (strcmp(type, "array") == 0 || strcmp(type, "object") == 0)
    return pyb__sqlite_refuse(
        error, PYB_BAD_ARGUMENT,
        "options.params: a number, a text, true, false or null is wanted, %s came",
        type);
  if (strcmp(type, "integer") == 0 && sqlite3_column_type(row, 2) != SQLITE_INTEGER)
    return pyb__sqlite_refuse(error, PYB_UNSUPPORTED,
                              "options.params: an integer does not fit in 64 bits");
  return add(p, named ? key : NULL, sqlite3_column_value(row, 2), error);
}

/* Prepare a statement over the options text and bind it as ?1. */
static pyb_status ask(sqlite3 *db, const char *sql, sqlite3_value *options,
                      sqlite3_stmt **statement, pyb_error *error) {
  int code = sqlite3_prepare_v2(db, sql, -1, statement, NULL);

  if (code == SQLITE_OK)
    code = sqlite3_bind_value(*statement, 1, options);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

pyb_status pyb__sqlite_options_failed(sqlite3 *db, int code, pyb_error *error) {
  pyb_status status = pyb__sqlite_error(db, code, NULL);

  if (status != PYB_HOST)
    return pyb__sqlite_error(db, code, error);
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "options: %s", sqlite3_errmsg(db));
}

/* Options must be an object, options.params an array or an object. */
static pyb_status check_options(sqlite3 *db, sqlite3_value *options, int *has_params,
                                pyb_error *error) {
  sqlite3_stmt *row = NULL;
  const char *type, *params;
  pyb_status status;
  int code;

  *has_params = 0;
  status =
      ask(db, "select json_type(?1), json_type(?1, '$.params')", options, &row, error);
  if (status != PYB_OK)
    goto done;
  code = sqlite3_step(row);
  if (code != SQLITE_ROW) {
    status = pyb__sqlite_options_failed(db, code, error);
    goto done;
  }
  type = (const char *)sqlite3_column_text(row, 0);
  params = (const char *)sqlite3_column_text(row, 1);
  if (type == NULL || strcmp(type, "object") != 0)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "options: a JSON object is wanted, %s came",
                                type != NULL ? type : "nothing");
  else if (params != NULL && strcmp(params, "null") != 0) {
    *has_params = 1;
    if (strcmp(params, "array") != 0 && strcmp(params, "object") != 0)
      status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                  "options.params: an array or an object is wanted, "
                                  "%s came",
                                  params);
  }

done:
  sqlite3_finalize(row);
  return status;
}

static pyb_status from_options(parameters *p, sqlite3 *db, sqlite3_value *options,
                               pyb_error *error) {
  sqlite3_stmt *row = NULL;
  pyb_status status;
  int code = SQLITE_ROW;

  status = ask(db, "select key, type, atom from json_each(?1, '$.params')", options,
               &row, error);
  while (status == PYB_OK && (code = sqlite3_step(row)) == SQLITE_ROW)
    status = add_member(p, row, error);
  if (status == PYB_OK && code != SQLITE_DONE)
    status = pyb__sqlite_options_failed(db, code, error);
  sqlite3_finalize(row);
  return status;
}

/* What py_option has set, as JSON; "" where nothing differs from the default. */
static void defaults(const pyb__sqlite *host, char text[96]) {
  const char *backend = host->dtype_backend;

  text[0] = '\0';
  if (backend[0] != '\0' || host->parse)
    snprintf(text, 96, "{%s%s%s%s%s}", backend[0] != '\0' ? "\"dtype_backend\":\"" : "",
             backend, backend[0] != '\0' ? "\"" : "",
             backend[0] != '\0' && host->parse ? "," : "",
             host->parse ? "\"parse\":true" : "");
}

pyb_status pyb__sqlite_options(pyb__sqlite *host, sqlite3_value *given, char **merged,
                               pyb_error *error) {
  char base[96];
  sqlite3_stmt *row = NULL;
  pyb_status status;
  int code;

  *merged = NULL;
  defaults(host, base);
  if (given == NULL || sqlite3_value_type(given) == SQLITE_NULL) {
    if (base[0] != '\0')
      *merged = sqlite3_mprintf("%s", base);
    return base[0] == '\0' || *merged != NULL ? PYB_OK : no_memory(error);
  }
  status = ask(host->db, "select json_patch(?2, json_remove(?1, '$.params'))", given,
               &row, error);
  if (status != PYB_OK)
    goto done;
  code = sqlite3_bind_text(row, 2, base[0] != '\0' ? base : "{}", -1, SQLITE_STATIC);
  if (code == SQLITE_OK)
    code = sqlite3_step(row);
  if (code != SQLITE_ROW)
    status = pyb__sqlite_options_failed(host->db, code, error);
  else {
    const char *text = (const char *)sqlite3_column_text(row, 0);

    *merged = sqlite3_mprintf("%s", text != NULL ? text : "{}");
    if (*merged == NULL)
      status = no_memory(error);
  }

done:
  sqlite3_finalize(row);
  return status;
}

/* ---- py_query ------------------------------------------------------------------- */

/* Gather the parameters from the options or from the arguments behind them. */
static pyb_status gather(parameters *p, pyb__sqlite *host, int n, sqlite3_value **args,
                         pyb_error *error) {
  sqlite3_value *options =
      n > 3 && sqlite3_value_type(args[3]) != SQLITE_NULL ? args[3] : NULL;
  pyb_status status = PYB_OK;
  int has_params = 0;

  if (options != NULL)
    status = check_options(host->db, options, &has_params, error);
  if (status == PYB_OK && has_params && n > 4)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "parameters come as options.params or as arguments, "
                              "here are both");
  if (status == PYB_OK && has_params)
    status = from_options(p, host->db, options, error);
  if (status == PYB_OK && n > 4)
    status = from_arguments(p, n - 4, args + 4, error);
  return status;
}

/* options.namespace, to be freed; NULL where the query is for the host itself. */
static pyb_status find_namespace(sqlite3 *db, sqlite3_value *options, char **namespace,
                                 pyb_error *error) {
  static const char sql[] = "select json_extract(?1, '$.namespace')";
  sqlite3_stmt *row = NULL;
  pyb_status status;
  const char *text;
  int code;

  *namespace = NULL;
  if (options == NULL || sqlite3_value_type(options) == SQLITE_NULL)
    return PYB_OK;
  status = ask(db, sql, options, &row, error);
  if (status != PYB_OK)
    goto done;
  code = sqlite3_step(row);
  if (code != SQLITE_ROW)
    status = pyb__sqlite_options_failed(db, code, error);
  else if (sqlite3_column_type(row, 0) == SQLITE_TEXT) {
    text = (const char *)sqlite3_column_text(row, 0);
    if (text == NULL ||
        (text[0] != '\0' && (*namespace = sqlite3_mprintf("%s", text)) == NULL))
      status = no_memory(error);
  } else if (sqlite3_column_type(row, 0) != SQLITE_NULL)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "options.namespace: a text is wanted");

done:
  sqlite3_finalize(row);
  return status;
}

/* Does the statement write, and return rows? Not asked of those that surely read. A
 * PRAGMA may not want to be inside a transaction. */
static int writes(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  int found;

  sql += strspn(sql, " \t\r\n");
  if (sqlite3_strnicmp(sql, "select", 6) == 0 || pyb__sqlite_is_pragma(sql))
    return 0;
  found = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
          statement != NULL && !sqlite3_stmt_readonly(statement) &&
          sqlite3_column_count(statement) > 0;
  sqlite3_finalize(statement);
  return found;
}

/* Run one of the two statements about the savepoint around a query that writes. */
static pyb_status savepoint(pyb__sqlite *host, const char *sql, pyb_error *error) {
  int64_t changes;

  return host->services.execute(host, sql, PYB_NTS, NULL, NULL, 0, &changes, error);
}

/* A transaction that the query ends must not fail once the variable is set. */
static pyb_status check_deferred(sqlite3 *db, pyb_error *error) {
  int open = 0, most;

  (void)sqlite3_db_status(db, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &most, 0);
  return open == 0
             ? PYB_OK
             : pyb__sqlite_refuse(error, PYB_HOST, "FOREIGN KEY constraint failed");
}

/* Run the query where the options say, and make the frame. */
static pyb_status run(pyb__sqlite *host, const char *const words[3],
                      const parameters *p, const char *namespace, const char *options,
                      int ends, int64_t *count, pyb_error *error) {
  struct ArrowArrayStream rows = {0};
  const char *sql = words[0], *variable = words[1], *type = words[2];
  pyb_status status;
  pyb_work work;

  if (namespace != NULL)
    return pyb_execute_query(&host->session, sql, PYB_NTS, variable, type, namespace,
                             options, p->values, p->names, p->n, count, error);
  status = pyb_work_begin(&host->session, &work, error);
  if (status == PYB_OK) {
    status =
        pyb__sqlite_read(host, sql, PYB_NTS, p->values, p->names, p->n, &rows, error);
    status = pyb_work_end(&work, status, error);
  }
  if (status == PYB_OK && ends)
    status = check_deferred(host->db, error);
  if (status == PYB_OK)
    status =
        pyb_set_stream(&host->session, variable, type, options, &rows, count, error);
  else if (rows.release != NULL)
    rows.release(&rows);
  return status;
}

/* Run the query; one that writes is undone where its frame cannot be made. Inside a
 * statement that writes itself SQLite lets nothing be undone in part. */
static pyb_status run_whole(pyb__sqlite *host, const char *const words[3],
                            const parameters *p, const char *namespace,
                            const char *options, int64_t *count, pyb_error *error) {
  int before = host->savepoints, alone = sqlite3_get_autocommit(host->db);
  int kept = namespace == NULL && writes(host->db, words[0]) &&
             savepoint(host, "savepoint pybridge_0", error) == PYB_OK;
  pyb_status status =
      run(host, words, p, namespace, options, kept && alone, count, error);

  if (status == PYB_OK && kept)
    status = savepoint(host, "release pybridge_0", error);
  else if (kept)
    pyb__sqlite_settle(host, before, error);
  return status;
}

/* py_query(sql, variable [, type [, options [, parameter ...]]]) -> number of rows */
static void py_query(sqlite3_context *context, int n, sqlite3_value **args) {
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *words[3];
  parameters p = {0};
  char *options = NULL, *namespace = NULL;
  pyb_error error;
  pyb_status status;
  int64_t count;

  if (!pyb__sqlite_want(context, NAME, n, args, 0, "sql", &words[0]) ||
      !pyb__sqlite_want(context, NAME, n, args, 1, "variable", &words[1]) ||
      !pyb__sqlite_optional(context, NAME, n, args, 2, "type", &words[2]))
    return;
  status = gather(&p, host, n, args, &error);
  if (status == PYB_OK)
    status = find_namespace(host->db, n > 3 ? args[3] : NULL, &namespace, &error);
  if (status == PYB_OK)
    status = pyb__sqlite_options(host, n > 3 ? args[3] : NULL, &options, &error);
  if (status == PYB_OK)
    status = run_whole(host, words, &p, namespace, options, &count, &error);
  if (status == PYB_OK)
    sqlite3_result_int64(context, count);
  else
    pyb__sqlite_fail(context, NAME, &error);
  sqlite3_free(namespace);
  sqlite3_free(options);
  drop(&p);
}

int pyb__sqlite_register_query(pyb__sqlite *host) {
  return pyb__sqlite_function(host, NAME, -1, 0, py_query);
}
