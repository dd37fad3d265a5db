/* table.c: py_table, a whole table or a part of it as a frame in Python. */
#include <stdarg.h>
#include <string.h>

#include "sqlite.h"

static const char NAME[] = "py_table";

/* A table as the schema knows it. */
typedef struct relation {
  char *schema, *table; /* strings of sqlite3_malloc */
  const char *rowid;    /* a name of its rowid; NULL = it has none, or none is free */
  int n;                /* columns */
  struct column {
    char *name;
    int cid;
    int hidden;
    int wanted;
  } *columns;
  int n_wanted;
} relation;

static pyb_status no_memory(pyb_error *error) {
  return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
}

static void drop(relation *r) {
  sqlite3_free(r->schema);
  sqlite3_free(r->table);
  for (int i = 0; i < r->n; i++)
    sqlite3_free(r->columns[i].name);
  sqlite3_free(r->columns);
  memset(r, 0, sizeof *r);
}

char *pyb__sqlite_quote(const char *name) {
  return sqlite3_mprintf("\"%w\"", name);
}

/* ---- Names ---------------------------------------------------------------------- */

/* Read one name, plain up to the next of `stops`, or quoted as "a""b", `a` or [a], and
 * set *rest behind it. The name is a string of sqlite3_malloc; NULL = no memory. In
 * *quoted: was it. */
static char *read_name(const char *text, const char *stops, const char **rest,
                       int *quoted) {
  char close = *text == '[' ? ']' : *text;
  size_t size = 0;
  char *name;

  *quoted = *text == '"' || *text == '`' || *text == '[';
  if (!*quoted) {
    size = strcspn(text, stops);
    *rest = text + size;
    return sqlite3_mprintf("%.*s", (int)size, text);
  }
  name = sqlite3_malloc64(strlen(text) + 1);
  if (name == NULL)
    return NULL;
  for (text++; *text != '\0'; text++) {
    if (*text == close && (close == ']' || text[1] != close))
      break;
    if (*text == close)
      text++;
    name[size++] = *text;
  }
  name[size] = '\0';
  *rest = *text == close ? text + 1 : text;
  return name;
}

/* Split "schema.table" into two names; the schema is NULL where there is none. */
static pyb_status split_name(const char *text, char **schema, char **table,
                             pyb_error *error) {
  const char *rest;
  int quoted;

  *schema = NULL;
  *table = read_name(text, ".", &rest, &quoted);
  if (*table != NULL && *rest == '.') {
    *schema = *table;
    *table = read_name(rest + 1, "", &rest, &quoted);
  }
  if (*table == NULL)
    return no_memory(error);
  if (*rest != '\0' || (*table)[0] == '\0')
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "table: a name or schema.name is wanted, '%s' came",
                              text);
  return PYB_OK;
}

/* Match a name with * and ?, ignoring the case of ASCII letters as SQLite does. */
static int matches(const char *pattern, const char *name) {
  for (; *pattern != '\0'; pattern++, name++) {
    if (*pattern == '*') {
      while (*pattern == '*')
        pattern++;
      for (; *name != '\0'; name++)
        if (matches(pattern, name))
          return 1;
      return *pattern == '\0';
    }
    if (*name == '\0')
      return 0;
    if (*pattern == '?') {
      /* One character, however many bytes. */
      while (((unsigned char)name[1] & 0xC0) == 0x80)
        name++;
    } else if (sqlite3_strnicmp(pattern, name, 1) != 0)
      return 0;
  }
  return *name == '\0';
}

/* ---- The schema ----------------------------------------------------------------- */

/* Prepare a statement made by printf. */
static pyb_status prepare(sqlite3 *db, sqlite3_stmt **statement, pyb_error *error,
                          const char *format, ...) {
  va_list args;
  char *sql;
  int code;

  va_start(args, format);
  sql = sqlite3_vmprintf(format, args);
  va_end(args);
  if (sql == NULL)
    return no_memory(error);
  code = sqlite3_prepare_v2(db, sql, -1, statement, NULL);
  sqlite3_free(sql);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

static pyb_status add_column(relation *r, sqlite3_stmt *info, pyb_error *error) {
  struct column *column;

  column = sqlite3_realloc64(r->columns, (size_t)(r->n + 1) * sizeof *column);
  if (column == NULL)
    return no_memory(error);
  r->columns = column;
  column += r->n;
  memset(column, 0, sizeof *column);
  column->name = sqlite3_mprintf("%s", sqlite3_column_text(info, 1));
  if (column->name == NULL)
    return no_memory(error);
  column->cid = sqlite3_column_int(info, 0);
  column->hidden = sqlite3_column_int(info, 6) == 1;
  r->n++;
  return PYB_OK;
}

/* Read the columns of r->table in `schema`; none where there is no such table. */
static pyb_status read_columns(sqlite3 *db, relation *r, const char *schema,
                               pyb_error *error) {
  sqlite3_stmt *info = NULL;
  int code = SQLITE_DONE;
  pyb_status status;

  /* temp is one too, but SQLite knows it only once it has something in it */
  if (sqlite3_db_readonly(db, schema) < 0 && sqlite3_stricmp(schema, "temp") != 0)
    return pyb__sqlite_refuse(error, PYB_UNDEFINED,
                              "no database \"%s\" is attached; if the dot belongs to "
                              "the table's name, quote it: \"%s.%s\"",
                              schema, schema, r->table);
  status =
      prepare(db, &info, error, "pragma \"%w\".table_xinfo(\"%w\")", schema, r->table);
  while (status == PYB_OK && (code = sqlite3_step(info)) == SQLITE_ROW)
    status = add_column(r, info, error);
  if (status == PYB_OK && code != SQLITE_DONE)
    status = pyb__sqlite_error(db, code, error);
  sqlite3_finalize(info);
  return status;
}

/* Look for an unqualified name as SQLite does: temp, main, then the attached ones. */
static pyb_status find_schema(sqlite3 *db, relation *r, pyb_error *error) {
  sqlite3_stmt *list = NULL;
  int code = SQLITE_DONE;
  pyb_status status;

  status = prepare(db, &list, error,
                   "select name from pragma_database_list "
                   "order by name <> 'temp', seq");
  while (status == PYB_OK && r->n == 0 && (code = sqlite3_step(list)) == SQLITE_ROW) {
    const char *schema = (const char *)sqlite3_column_text(list, 0);

    sqlite3_free(r->schema);
    r->schema = sqlite3_mprintf("%s", schema != NULL ? schema : "main");
    status =
        r->schema == NULL ? no_memory(error) : read_columns(db, r, r->schema, error);
  }
  if (status == PYB_OK && code != SQLITE_DONE && code != SQLITE_ROW)
    status = pyb__sqlite_error(db, code, error);
  sqlite3_finalize(list);
  return status;
}

/* Write the name as the schema does, where it is in the schema. */
static pyb_status spell(sqlite3 *db, relation *r, pyb_error *error) {
  sqlite3_stmt *row = NULL;
  pyb_status status;
  char *spelled;

  status = prepare(db, &row, error,
                   "select name from \"%w\".sqlite_master where type in ('table', "
                   "'view') and name = %Q collate nocase",
                   r->schema, r->table);
  if (status == PYB_OK && sqlite3_step(row) == SQLITE_ROW) {
    spelled = sqlite3_mprintf("%s", sqlite3_column_text(row, 0));
    if (spelled == NULL)
      status = no_memory(error);
    else {
      sqlite3_free(r->table);
      r->table = spelled;
    }
  }
  sqlite3_finalize(row);
  return status;
}

/* The rowid has three names, each of which a column may have taken. */
static const char *rowid_name(sqlite3 *db, const relation *r) {
  static const char *const names[] = {"rowid", "_rowid_", "oid"};

  for (int k = 0; k < 3; k++) {
    int taken = 0;

    for (int i = 0; i < r->n; i++)
      taken |= sqlite3_stricmp(names[k], r->columns[i].name) == 0;
    if (!taken && sqlite3_table_column_metadata(db, r->schema, r->table, names[k], NULL,
                                                NULL, NULL, NULL, NULL) == SQLITE_OK)
      return names[k];
  }
  return NULL;
}

static pyb_status resolve(sqlite3 *db, const char *text, relation *r,
                          pyb_error *error) {
  pyb_status status = split_name(text, &r->schema, &r->table, error);

  if (status != PYB_OK)
    return status;
  status = r->schema != NULL ? read_columns(db, r, r->schema, error)
                             : find_schema(db, r, error);
  if (status == PYB_OK && r->n == 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "there is no table '%s'", text);
  if (status == PYB_OK)
    status = spell(db, r, error);
  if (status == PYB_OK)
    r->rowid = rowid_name(db, r);
  return status;
}

/* ---- Columns -------------------------------------------------------------------- */

static pyb_status no_match(const relation *r, const char *pattern, pyb_error *error) {
  char known[400] = "";
  size_t size = 0;

  for (int i = 0; i < r->n && size < sizeof known - 1; i++) {
    sqlite3_snprintf((int)(sizeof known - size), known + size, "%s%s",
                     i == 0 ? "" : ", ", r->columns[i].name);
    size += strlen(known + size);
  }
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "no column of '%s' matches '%s'; columns: %s%s", r->table,
                            pattern, known, size >= sizeof known - 1 ? "..." : "");
}

/* Mark the columns that one pattern means; a quoted one is a name, not a pattern. */
static pyb_status mark(relation *r, const char *pattern, int quoted, pyb_error *error) {
  int found = 0;

  for (int i = 0; i < r->n; i++) {
    struct column *column = &r->columns[i];
    int is = quoted ? sqlite3_stricmp(pattern, column->name) == 0
                    : matches(pattern, column->name);

    if (!is || column->hidden)
      continue;
    found = 1;
    r->n_wanted += !column->wanted;
    column->wanted = 1;
  }
  return found ? PYB_OK : no_match(r, pattern, error);
}

/* Mark the columns that a comma list of patterns means; NULL = all. */
static pyb_status choose(relation *r, const char *list, pyb_error *error) {
  pyb_status status = PYB_OK;

  if (list == NULL)
    return mark(r, "*", 0, error);
  while (status == PYB_OK) {
    char *pattern;
    int quoted;

    list += strspn(list, " \t\r\n");
    pattern = read_name(list, ",", &list, &quoted);
    if (pattern == NULL)
      return no_memory(error);
    for (size_t k = strlen(pattern); !quoted && k > 0 && pattern[k - 1] == ' '; k--)
      pattern[k - 1] = '\0';
    list += strspn(list, " \t\r\n");
    if (*list != ',' && *list != '\0')
      status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                  "columns: a comma is missing before '%.40s'", list);
    else
      status = mark(r, pattern, quoted, error);
    sqlite3_free(pattern);
    if (*list == '\0')
      break;
    list++;
  }
  return status;
}

/* ---- Reading -------------------------------------------------------------------- */

typedef struct range {
  int64_t start, end;
  int limited; /* at least one of them was given */
} range;

/* Does the connection turn the order of unsorted scans round? */
static int is_reversed(sqlite3 *db) {
  sqlite3_stmt *flag = NULL;
  int reversed = sqlite3_prepare_v2(db, "pragma reverse_unordered_selects", -1, &flag,
                                    NULL) != SQLITE_OK ||
                 sqlite3_step(flag) != SQLITE_ROW || sqlite3_column_int(flag, 0) != 0;

  sqlite3_finalize(flag);
  return reversed;
}

/* The query that py_table stands for: rows come in the order of their rowid. A scan
 * that uses no index goes that way; saying ORDER BY as well would cost the collector
 * its speed. NULL = no memory. */
static char *query_text(sqlite3 *db, const relation *r, const range *rows) {
  sqlite3_str *text = sqlite3_str_new(db);

  for (int i = 0, first = 1; i < r->n; i++)
    if (r->columns[i].wanted) {
      sqlite3_str_appendf(text, "%s\"%w\"", first ? "select " : ", ",
                          r->columns[i].name);
      first = 0;
    }
  sqlite3_str_appendf(text, " from \"%w\".\"%w\"%s", r->schema, r->table,
                      r->rowid != NULL ? " not indexed" : "");
  if (rows->limited)
    sqlite3_str_appendf(text, " where %s between %lld and %lld", r->rowid,
                        (long long)rows->start, (long long)rows->end);
  if (r->rowid != NULL && is_reversed(db))
    sqlite3_str_appendf(text, " order by %s", r->rowid);
  return sqlite3_str_finish(text);
}

static pyb_status by_query(pyb__sqlite *host, const relation *r, const range *limits,
                           struct ArrowArrayStream *rows, pyb_error *error) {
  char *sql = query_text(host->db, r, limits);
  pyb_status status;

  if (sql == NULL)
    return no_memory(error);
  status = pyb__sqlite_collect(host, sql, strlen(sql), NULL, NULL, 0, rows, error);
  sqlite3_free(sql);
  return status;
}

/* A new table with the wanted columns, named and typed as the query would. */
static pyb_status new_table(sqlite3 *db, const relation *r, int *columns,
                            pyb_table **table, pyb_error *error) {
  pyb_status status = pyb_table_new((size_t)r->n_wanted, table, error);

  for (int i = 0, k = 0; i < r->n && status == PYB_OK; i++) {
    const struct column *column = &r->columns[i];
    const char *declared = NULL;

    if (!column->wanted)
      continue;
    (void)sqlite3_table_column_metadata(db, r->schema, r->table, column->name,
                                        &declared, NULL, NULL, NULL, NULL);
    columns[k] = column->cid;
    status = pyb_table_name(*table, (size_t)k, column->name, declared, error);
    k++;
  }
  return status;
}

/* Read the pages themselves, where that is proven to be the same; else *done = 0. */
static pyb_status by_pages(pyb__sqlite *host, const relation *r, const range *limits,
                           struct ArrowArrayStream *rows, int *done,
                           char reason[PYB__SQLITE_REASON], pyb_error *error) {
  pyb__sqlite_scan scan = {.schema = r->schema, .table = r->table};
  int *columns = sqlite3_malloc64((size_t)r->n_wanted * sizeof *columns);
  pyb_table *table = NULL;
  pyb_status status;

  if (columns == NULL)
    return no_memory(error);
  scan.columns = columns;
  scan.n = (size_t)r->n_wanted;
  scan.start = limits->start;
  scan.end = limits->end;
  status = new_table(host->db, r, columns, &table, error);
  if (status == PYB_OK)
    status = pyb__sqlite_pages_scan(host, &scan, table, done, reason, error);
  if (status == PYB_OK && *done) {
    status = pyb_table_finish(table, rows, error);
    table = NULL;
  }
  pyb_table_release(table);
  sqlite3_free(columns);
  return status;
}

static pyb_status read_rows(pyb__sqlite *host, const relation *r, const range *limits,
                            struct ArrowArrayStream *rows, pyb_error *error) {
  char reason[PYB__SQLITE_REASON] = "";
  pyb_status status = PYB_OK;
  int done = 0;

  if (!host->pages)
    strcpy(reason, "option \"pages\" is 0");
  else if (limits->start > limits->end)
    strcpy(reason, "the range is empty");
  else
    status = by_pages(host, r, limits, rows, &done, reason, error);
  if (status == PYB_OK && !done)
    status = by_query(host, r, limits, rows, error);
  pyb__sqlite_scanned(host, done ? NULL : reason);
  return status;
}

/* ---- py_table ------------------------------------------------------------------- */

/* One end of the range: NULL = open. */
static pyb_status load_end(sqlite3_value *value, const char *what, int64_t *end,
                           int *limited, pyb_error *error) {
  if (sqlite3_value_type(value) == SQLITE_NULL)
    return PYB_OK;
  if (sqlite3_value_type(value) != SQLITE_INTEGER)
    return pyb__sqlite_refuse(
        error, PYB_BAD_ARGUMENT,
        "%s: a rowid (an integer) or NULL is wanted, '%.40s' came", what,
        (const char *)sqlite3_value_text(value));
  *end = sqlite3_value_int64(value);
  *limited = 1;
  return PYB_OK;
}

static pyb_status check_range(const relation *r, const range *limits,
                              pyb_error *error) {
  if (!limits->limited || r->rowid != NULL)
    return PYB_OK;
  return pyb__sqlite_refuse(
      error, PYB_BAD_ARGUMENT,
      "start and end are rowids, and '%s' has none that can be named (it is a view or "
      "WITHOUT ROWID); use py_query with a WHERE clause",
      r->table);
}

static pyb_status read_table(pyb__sqlite *host, const char *name, const char *list,
                             const range *limits, struct ArrowArrayStream *rows,
                             pyb_error *error) {
  relation r = {0};
  pyb_status status;

  status = resolve(host->db, name, &r, error);
  if (status == PYB_OK)
    status = choose(&r, list, error);
  if (status == PYB_OK)
    status = check_range(&r, limits, error);
  if (status == PYB_OK)
    status = read_rows(host, &r, limits, rows, error);
  drop(&r);
  return status;
}

/* py_table(table, variable [, type [, start [, end [, columns [, options]]]]]) ->
 * number of rows */
static void py_table(sqlite3_context *context, int n, sqlite3_value **args) {
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *table, *variable, *type, *list;
  range limits = {.start = INT64_MIN, .end = INT64_MAX};
  struct ArrowArrayStream rows = {0};
  char *options = NULL;
  pyb_error error;
  pyb_status status = PYB_OK;
  pyb_work work;
  int64_t count;

  if (!pyb__sqlite_want(context, NAME, n, args, 0, "table", &table) ||
      !pyb__sqlite_want(context, NAME, n, args, 1, "variable", &variable) ||
      !pyb__sqlite_optional(context, NAME, n, args, 2, "type", &type) ||
      !pyb__sqlite_optional(context, NAME, n, args, 5, "columns", &list))
    return;
  if (n > 3)
    status = load_end(args[3], "start", &limits.start, &limits.limited, &error);
  if (status == PYB_OK && n > 4)
    status = load_end(args[4], "end", &limits.end, &limits.limited, &error);
  if (status == PYB_OK)
    status = pyb__sqlite_options(host, n > 6 ? args[6] : NULL, &options, &error);
  if (status == PYB_OK)
    status = pyb_work_begin(&host->session, &work, &error);
  if (status == PYB_OK) {
    status = read_table(host, table, list, &limits, &rows, &error);
    status = pyb_work_end(&work, status, &error);
  }
  if (status == PYB_OK)
    status =
        pyb_set_stream(&host->session, variable, type, options, &rows, &count, &error);
  else if (rows.release != NULL)
    rows.release(&rows);
  if (status == PYB_OK)
    sqlite3_result_int64(context, count);
  else
    pyb__sqlite_fail(context, NAME, &error);
  sqlite3_free(options);
}

int pyb__sqlite_register_table(pyb__sqlite *host) {
  int code = SQLITE_OK;

  for (int n = 2; n <= 7 && code == SQLITE_OK; n++)
    code = pyb__sqlite_function(host, NAME, n, 0, py_table);
  return code;
}
