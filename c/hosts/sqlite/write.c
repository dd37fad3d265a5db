/* write.c: write the rows of a stream to a table, all or nothing.
 *
 * The rows reach the table by "insert into t select * from rows", where `rows` is a
 * virtual table over the stream: SQLite then runs one loop over all rows, where bind
 * and step would enter and leave it once per row. There is one such table for each
 * number of columns that was ever written, and it stays: to drop one would expire every
 * prepared statement of the connection, and stop those that run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells.h"

/* ---- The stream as a virtual table ---------------------------------------------- */

/* What the tables are called, before the number of their columns. */
#define ROWS "pybridge rows "
#define MOST_COLUMNS 2000 /* that SQLite takes by default */

typedef struct source {
  pyb__reader reader;
  int64_t row; /* the row at hand, 1 = the first; 0 = not begun; at the end 0 again */
  pyb_error error;
} source;

typedef struct source_table {
  sqlite3_vtab base;
  pyb__sqlite *host; /* borrowed: the module holds a reference */
} source_table;

typedef struct source_cursor {
  sqlite3_vtab_cursor base;
  source *source;
  pyb__batch *batch; /* owned; NULL = end */
  int64_t row;       /* in the batch */
} source_cursor;

static int connect_source(sqlite3 *db, void *data, int argc, const char *const *argv,
                          sqlite3_vtab **made, char **message) {
  sqlite3_str *text = sqlite3_str_new(db);
  source_table *table;
  char *sql;
  int code, n = atoi(argv[0] + sizeof ROWS - 1);

  (void)argc, (void)message;
  sqlite3_str_appendall(text, "create table x(");
  for (int i = 0; i < n; i++)
    sqlite3_str_appendf(text, "%sc%d", i == 0 ? "" : ",", i);
  sqlite3_str_appendall(text, ")");
  sql = sqlite3_str_finish(text);
  if (sql == NULL)
    return SQLITE_NOMEM;
  code = sqlite3_declare_vtab(db, sql);
  sqlite3_free(sql);
  if (code != SQLITE_OK)
    return code;
  table = sqlite3_malloc(sizeof *table);
  if (table == NULL)
    return SQLITE_NOMEM;
  memset(table, 0, sizeof *table);
  table->host = data;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *made = &table->base;
  return SQLITE_OK;
}

static int disconnect_source(sqlite3_vtab *base) {
  sqlite3_free(base);
  return SQLITE_OK;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  (void)base;
  info->estimatedCost = 1e6;
  info->estimatedRows = 1000000;
  return SQLITE_OK;
}

/* The insert takes the stream as it opens its cursor: reading the stream may run
 * Python, which may write another one meanwhile. */
static int open_source(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  pyb__sqlite *host = ((source_table *)base)->host;
  source_cursor *c;

  if (host->writing == NULL) {
    base->zErrMsg = sqlite3_mprintf("py_write has no rows at hand");
    return SQLITE_ERROR;
  }
  c = sqlite3_malloc(sizeof *c);
  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  c->source = host->writing;
  host->writing = NULL;
  *opened = &c->base;
  return SQLITE_OK;
}

static int close_source(sqlite3_vtab_cursor *base) {
  pyb__batch_release(((source_cursor *)base)->batch);
  sqlite3_free(base);
  return SQLITE_OK;
}

/* Go on to the next batch that has rows. The error is kept for who runs the statement:
 * for SQLite a plain failure is enough, which undoes this statement alone. */
static int next_batch(source_cursor *c) {
  source *from = c->source;

  do {
    pyb__batch_release(c->batch);
    c->batch = NULL;
    if (pyb__reader_next(&from->reader, &c->batch, &from->error) != PYB_OK)
      return SQLITE_ERROR;
  } while (c->batch != NULL && c->batch->rows == 0);
  c->row = 0;
  from->row = c->batch == NULL ? 0 : c->batch->row + 1;
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                  sqlite3_value **argv) {
  (void)plan, (void)text, (void)argc, (void)argv;
  return next_batch((source_cursor *)base);
}

static int next(sqlite3_vtab_cursor *base) {
  source_cursor *c = (source_cursor *)base;

  if (++c->row == c->batch->rows)
    return next_batch(c);
  c->source->row++;
  return SQLITE_OK;
}

static int at_end(sqlite3_vtab_cursor *base) {
  return ((source_cursor *)base)->batch == NULL;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  source_cursor *c = (source_cursor *)base;

  /* Static: the row is in the table before the batch goes. */
  pyb__cell_dump(context, &c->batch->cells[i], c->row, SQLITE_STATIC);
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  *number = ((source_cursor *)base)->source->row;
  return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = connect_source,
    .xBestIndex = best_index,
    .xDisconnect = disconnect_source,
    .xOpen = open_source,
    .xClose = close_source,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = rowid,
};

/* ---- Statements ----------------------------------------------------------------- */

/* Run SQL text of sqlite3_mprintf, and free it. */
static pyb_status run(sqlite3 *db, char *sql, pyb_error *error) {
  int code;

  if (sql == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  code = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

/* Prepare SQL text of sqlite3_mprintf, free it, and bind `text` to ?1 unless NULL. */
static pyb_status prepare(sqlite3 *db, char *sql, const char *text,
                          sqlite3_stmt **statement, pyb_error *error) {
  int code;

  *statement = NULL;
  if (sql == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  code = sqlite3_prepare_v2(db, sql, -1, statement, NULL);
  sqlite3_free(sql);
  if (code == SQLITE_OK && text != NULL)
    code = sqlite3_bind_text(*statement, 1, text, -1, SQLITE_STATIC);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

/* ---- The table ------------------------------------------------------------------ */

typedef enum mode { FAIL, REPLACE, APPEND } mode;

/* Where the rows go. */
typedef struct target {
  char *schema; /* as the caller wrote it; NULL until the table is found or made */
  char *table;
  int exists; /* 1 = a table, 2 = a view */
} target;

static pyb_status read_mode(const char *text, mode *read, pyb_error *error) {
  static const char *const modes[] = {"fail", "replace", "append"};

  for (int i = 0; i < 3; i++)
    if (strcmp(text, modes[i]) == 0) {
      *read = (mode)i;
      return PYB_OK;
    }
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "mode \"%s\" is not known; choose fail, replace or append",
                            text);
}

/* Read one name, quoted or up to a dot, into *name of sqlite3_malloc. Returns what
 * follows it, or NULL for want of memory or where a quote is not closed. */
static const char *read_name(const char *text, char **name) {
  char quote = text[0] == '[' ? ']' : text[0];
  const char *from = text;
  char *to;

  *name = to = sqlite3_malloc64(strlen(text) + 1);
  if (to == NULL)
    return NULL;
  if (quote != '"' && quote != '`' && quote != ']') {
    while (*from != '\0' && *from != '.')
      *to++ = *from++;
    *to = '\0';
    return from;
  }
  for (from++; *from != '\0'; *to++ = *from++)
    if (*from == quote && (*++from != quote || quote == ']')) {
      *to = '\0';
      return from;
    }
  return NULL;
}

/* Split `text` into the schema, if it names one, and the table. */
static pyb_status read_target(const char *text, target *t, pyb_error *error) {
  const char *rest = read_name(text, &t->table);

  if (t->table == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (rest != NULL && *rest == '.') {
    t->schema = t->table;
    rest = read_name(rest + 1, &t->table);
  }
  if (rest == NULL || *rest != '\0' || t->table == NULL)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "%s is no name of a table; quote what is unusual: "
                              "\"schema\".\"table\"",
                              text);
  return PYB_OK;
}

static void release_target(target *t) {
  sqlite3_free(t->schema);
  sqlite3_free(t->table);
}

/* Look for the table in one schema. */
static pyb_status look_in(sqlite3 *db, target *t, const char *schema,
                          pyb_error *error) {
  sqlite3_stmt *statement;
  pyb_status status = prepare(
      db,
      sqlite3_mprintf("select type = 'view' from \"%w\".sqlite_master "
                      "where type in ('table', 'view') and name = ?1 collate nocase",
                      schema),
      t->table, &statement, error);

  if (status == PYB_OK) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
      t->exists = sqlite3_column_int(statement, 0) ? 2 : 1;
      if (t->schema == NULL)
        t->schema = sqlite3_mprintf("%s", schema);
    } else if (code != SQLITE_DONE)
      status = pyb__sqlite_error(db, code, error);
  }
  sqlite3_finalize(statement);
  return status;
}

/* Find the table where SQLite would: temp first, then main, then what is attached. A
 * table that is nowhere will be made in main. */
static pyb_status find(sqlite3 *db, target *t, pyb_error *error) {
  sqlite3_stmt *statement;
  pyb_status status;
  int known = 0, code = SQLITE_DONE;

  status = prepare(db,
                   sqlite3_mprintf("select name from pragma_database_list "
                                   "order by name <> 'temp', seq"),
                   NULL, &statement, error);
  while (status == PYB_OK && !t->exists &&
         (code = sqlite3_step(statement)) == SQLITE_ROW) {
    const char *schema = (const char *)sqlite3_column_text(statement, 0);
    if (schema == NULL ||
        (t->schema != NULL && sqlite3_stricmp(schema, t->schema) != 0))
      continue;
    known = 1;
    status = look_in(db, t, schema, error);
  }
  if (status == PYB_OK && !t->exists && code != SQLITE_DONE)
    status = pyb__sqlite_error(db, code, error);
  sqlite3_finalize(statement);
  /* temp is listed only once it has something in it */
  if (status == PYB_OK && !known && t->schema != NULL &&
      sqlite3_stricmp(t->schema, "temp") != 0)
    return pyb__sqlite_refuse(error, PYB_UNDEFINED,
                              "no database \"%s\" is attached; if the dot belongs to "
                              "the table's name, quote it: \"%s.%s\"",
                              t->schema, t->schema, t->table);
  if (status == PYB_OK && t->schema == NULL)
    t->schema = sqlite3_mprintf("main");
  if (status == PYB_OK && t->schema == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  return status;
}

static pyb_status drop(sqlite3 *db, const target *t, pyb_error *error) {
  pyb_status status =
      run(db, sqlite3_mprintf("drop table \"%w\".\"%w\"", t->schema, t->table), error);

  if (status != PYB_OK && sqlite3_errcode(db) == SQLITE_LOCKED)
    return pyb__sqlite_refuse(error, PYB_HOST,
                              "table \"%s\" cannot be replaced while a statement on "
                              "this connection reads; finish that one first",
                              t->table);
  return status;
}

/* Names of columns that differ for Python and not for SQL. */
static pyb_status refuse_twins(const pyb__reader *reader, pyb_error *error) {
  for (size_t i = 0; i < reader->n && reader->n <= MOST_COLUMNS; i++)
    for (size_t j = 0; j < i; j++)
      if (sqlite3_stricmp(reader->fields[j].name, reader->fields[i].name) == 0)
        return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                  "columns \"%s\" and \"%s\" have one name for SQL; "
                                  "rename one",
                                  reader->fields[j].name, reader->fields[i].name);
  return PYB_OK;
}

static pyb_status create(sqlite3 *db, const target *t, const pyb__reader *reader,
                         pyb_error *error) {
  sqlite3_str *text;

  if (refuse_twins(reader, error) != PYB_OK)
    return error->status;
  text = sqlite3_str_new(db);
  sqlite3_str_appendf(text, "create table \"%w\".\"%w\"(", t->schema, t->table);
  for (size_t i = 0; i < reader->n; i++)
    sqlite3_str_appendf(text, "%s\"%w\" %s", i == 0 ? "" : ", ", reader->fields[i].name,
                        reader->fields[i].sql_type);
  sqlite3_str_appendall(text, ")");
  return run(db, sqlite3_str_finish(text), error);
}

static int has_column(const pyb__reader *reader, const char *name) {
  for (size_t i = 0; i < reader->n; i++)
    if (sqlite3_stricmp(reader->fields[i].name, name) == 0)
      return 1;
  return 0;
}

/* May a column of the table be left out? When it is made by itself, or says what it is
 * without: a default, or the rowid under another name. A key of several columns, or a
 * descending one, is none: it has an index of its own. */
static int may_miss(sqlite3_stmt *column) {
  const char *type = (const char *)sqlite3_column_text(column, 1);

  return sqlite3_column_int(column, 2) != 0 || /* hidden or generated */
         sqlite3_column_type(column, 3) != SQLITE_NULL ||
         (sqlite3_column_int(column, 4) == 1 && !sqlite3_column_int(column, 5) &&
          type != NULL && sqlite3_stricmp(type, "integer") == 0);
}

/* Check one column of the table against the stream; *matched counts those that both
 * have. */
static pyb_status check_column(sqlite3_stmt *column, const target *t,
                               const pyb__reader *reader, size_t *matched,
                               pyb_error *error) {
  const char *name = (const char *)sqlite3_column_text(column, 0);

  if (name == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (!has_column(reader, name)) {
    if (may_miss(column))
      return PYB_OK;
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "the frame has no column \"%s\", which table \"%s\" has "
                              "without a default",
                              name, t->table);
  }
  if (sqlite3_column_int(column, 2) != 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "column \"%s\" of table \"%s\" is generated; leave it "
                              "out of the frame",
                              name, t->table);
  ++*matched;
  return PYB_OK;
}

/* The first column of the stream that the table has not. */
static pyb_status refuse_extra(sqlite3 *db, const target *t, const pyb__reader *reader,
                               pyb_error *error) {
  if (refuse_twins(reader, error) != PYB_OK)
    return error->status;
  for (size_t i = 0; i < reader->n; i++) {
    const char *name = reader->fields[i].name;
    if (sqlite3_table_column_metadata(db, t->schema, t->table, name, NULL, NULL, NULL,
                                      NULL, NULL) != SQLITE_OK)
      return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "table \"%s\" has no column \"%s\", which the frame "
                                "has; drop it there or add it here",
                                t->table, name);
  }
  /* Where no column is called so, these are columns for SQLite: names of the rowid. */
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "table \"%s\" has no column \"rowid\", \"oid\" or "
                            "\"_rowid_\" of its own, which the frame has; drop it "
                            "there",
                            t->table);
}

/* Do the columns of the table and of the stream go together by name? */
static pyb_status match(sqlite3 *db, const target *t, const pyb__reader *reader,
                        pyb_error *error) {
  sqlite3_stmt *statement;
  size_t matched = 0;
  int code = SQLITE_DONE;
  pyb_status status;

  status = prepare(db,
                   sqlite3_mprintf("select name, type, hidden, dflt_value, pk, "
                                   "exists (select 1 from pragma_index_list(?1, %Q) "
                                   "where origin = 'pk') "
                                   "from pragma_table_xinfo(?1, %Q)",
                                   t->schema, t->schema),
                   t->table, &statement, error);
  while (status == PYB_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
    status = check_column(statement, t, reader, &matched, error);
  if (status == PYB_OK && code != SQLITE_DONE)
    status = pyb__sqlite_error(db, code, error);
  sqlite3_finalize(statement);
  if (status == PYB_OK && matched != reader->n)
    status = refuse_extra(db, t, reader, error);
  return status;
}

/* Bring the table into the state in which rows can be inserted. */
static pyb_status prepare_target(sqlite3 *db, target *t, const pyb__reader *reader,
                                 mode how, pyb_error *error) {
  pyb_status status = find(db, t, error);

  if (status != PYB_OK)
    return status;
  if (t->exists == 2)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "\"%s\" is a view; rows are written to tables only",
                              t->table);
  if (!t->exists)
    return create(db, t, reader, error);
  if (how == APPEND)
    return match(db, t, reader, error);
  if (how == FAIL)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "table \"%s\" exists; choose mode replace or append",
                              t->table);
  status = drop(db, t, error);
  return status == PYB_OK ? create(db, t, reader, error) : status;
}

/* ---- Inserting ------------------------------------------------------------------ */

/* The text of the insert: `rows` is the name of the virtual table. */
static char *insert_text(sqlite3 *db, const target *t, const pyb__reader *reader,
                         const char *rows) {
  sqlite3_str *text = sqlite3_str_new(db);

  sqlite3_str_appendf(text, "insert into \"%w\".\"%w\"(", t->schema, t->table);
  for (size_t i = 0; i < reader->n; i++)
    sqlite3_str_appendf(text, "%s\"%w\"", i == 0 ? "" : ", ", reader->fields[i].name);
  sqlite3_str_appendf(text, ") select * from \"%w\"", rows);
  return sqlite3_str_finish(text);
}

/* Say why the insert failed: the stream's own error where it has one, and for a broken
 * constraint the row. */
static pyb_status insert_failed(sqlite3 *db, int code, const source *from,
                                pyb_error *error) {
  int64_t row = from->row;
  pyb_status status;

  if (from->error.status != PYB_OK) {
    *error = from->error;
    return error->status;
  }
  status = pyb__sqlite_error(db, code, error);
  if ((code & 0xFF) == SQLITE_CONSTRAINT && row > 0)
    return pyb__sqlite_refuse(error, status, "row %lld: %s", (long long)row,
                              sqlite3_errmsg(db));
  return status;
}

/* Register the virtual table of so many columns, if it is not yet. */
static pyb_status register_rows(pyb__sqlite *host, const char *name, pyb_error *error) {
  sqlite3_stmt *statement;
  pyb_status status;
  int code = SQLITE_ROW;

  status = prepare(host->db,
                   sqlite3_mprintf("select 1 from pragma_module_list where name = ?1"),
                   name, &statement, error);
  if (status == PYB_OK)
    code = sqlite3_step(statement);
  if (code == SQLITE_DONE)
    code = sqlite3_create_module_v2(host->db, name, &module, pyb__sqlite_take(host),
                                    pyb__sqlite_give);
  else if (code == SQLITE_ROW)
    code = SQLITE_OK;
  if (status == PYB_OK && code != SQLITE_OK)
    status = pyb__sqlite_error(host->db, code, error);
  sqlite3_finalize(statement);
  return status;
}

static pyb_status insert(pyb__sqlite *host, const target *t, source *from,
                         int64_t *count, pyb_error *error) {
  sqlite3 *db = host->db;
  sqlite3_stmt *statement = NULL;
  pyb_status status;
  char rows[sizeof ROWS + 20];
  int code;

  snprintf(rows, sizeof rows, ROWS "%d", (int)from->reader.n);
  status = register_rows(host, rows, error);
  if (status == PYB_OK)
    status =
        prepare(db, insert_text(db, t, &from->reader, rows), NULL, &statement, error);
  if (status == PYB_OK) {
    host->writing = from;
    code = sqlite3_step(statement);
    host->writing = NULL;
    if (code != SQLITE_DONE)
      status = insert_failed(db, code, from, error);
    else
      *count = pyb__sqlite_has(3037000) ? sqlite3_changes64(db) : sqlite3_changes(db);
  }
  sqlite3_finalize(statement);
  return status;
}

/* Undo to the savepoint, if it is still there: for some failures SQLite has undone the
 * whole transaction, the caller's part with it.
 *
 * Once memory is short, or an interrupt has come, SQLite refuses to prepare or run
 * anything until the outermost statement ends, which is the one that calls us: also the
 * rollback. What it does even then, for a statement that was prepared before and that
 * writes, is to stop it at its first step and to roll everything back. `last_resort` is
 * such a statement. */
static void undo(sqlite3 *db, const char *name, sqlite3_stmt *last_resort,
                 int in_transaction, pyb_error *error) {
  char message[sizeof error->message];

  if (!sqlite3_get_autocommit(db) && !pyb__sqlite_go_back(db, name) &&
      !sqlite3_get_autocommit(db)) /* the attempt itself may have done it */
    (void)sqlite3_step(last_resort);
  if (in_transaction && sqlite3_get_autocommit(db)) {
    memcpy(message, error->message, sizeof message);
    pyb__sqlite_refuse(error, error->status,
                       "%s; SQLite has rolled back the whole transaction", message);
  }
}

/* Write all rows of the source inside one savepoint. */
static pyb_status write_rows(pyb__sqlite *host, target *t, source *from, mode how,
                             int64_t *count, pyb_error *error) {
  sqlite3 *db = host->db;
  sqlite3_stmt *last_resort;
  int in_transaction = !sqlite3_get_autocommit(db);
  char name[40];
  pyb_status status =
      prepare(db, sqlite3_mprintf("begin immediate"), NULL, &last_resort, error);

  snprintf(name, sizeof name, "pybridge_write_%d", host->writes++);
  if (status == PYB_OK)
    status = run(db, sqlite3_mprintf("savepoint %s", name), error);
  if (status != PYB_OK) {
    if (sqlite3_errcode(db) == SQLITE_BUSY)
      pyb__sqlite_refuse(error, status,
                         "rows cannot be written from inside a statement that writes "
                         "itself; write them before or after it");
    else
      pyb__sqlite_not_begun(db, name);
    goto done;
  }
  status = prepare_target(db, t, &from->reader, how, error);
  if (status == PYB_OK)
    status = insert(host, t, from, count, error);
  if (status == PYB_OK) {
    status = run(db, sqlite3_mprintf("release %s", name), error);
    if (status != PYB_OK && pyb__sqlite_is_released(db, name))
      status = PYB_OK;
  }
  if (status != PYB_OK) {
    *count = 0;
    undo(db, name, last_resort, in_transaction, error);
  }

done:
  host->writes--;
  sqlite3_finalize(last_resort);
  return status;
}

pyb_status pyb__sqlite_write(pyb__sqlite *host, struct ArrowArrayStream *rows,
                             const char *table, const char *mode_name, int64_t *count,
                             pyb_error *error) {
  pyb_error local;
  target t = {0};
  mode how = FAIL;
  source *from = sqlite3_malloc(sizeof *from);
  pyb_status status;

  *count = 0;
  if (error == NULL)
    error = &local;
  if (from == NULL) {
    rows->release(rows);
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  }
  memset(from, 0, sizeof *from);
  status = pyb__reader_open(&from->reader, rows, error);
  if (status == PYB_OK && from->reader.n == 0)
    status = pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "the frame has no columns");
  if (status == PYB_OK)
    status = read_mode(mode_name == NULL ? "fail" : mode_name, &how, error);
  if (status == PYB_OK)
    status = read_target(table, &t, error);
  if (status == PYB_OK)
    status = write_rows(host, &t, from, how, count, error);
  release_target(&t);
  pyb__reader_close(&from->reader);
  sqlite3_free(from);
  return status;
}

/* What a deadline and pyb_interrupt can stop; all is taken back then. */
static pyb_status write_stoppable(pyb__sqlite *host, struct ArrowArrayStream *rows,
                                  const char *table, const char *mode, int64_t *count,
                                  pyb_error *error) {
  pyb_work work;
  pyb_status status = pyb_work_begin(&host->session, &work, error), ended;

  if (status != PYB_OK) {
    rows->release(rows);
    return status;
  }
  status = pyb__sqlite_write(host, rows, table, mode, count, error);
  ended = pyb_work_end(&work, status, error);
  return status == PYB_OK ? PYB_OK : ended; /* what is written cannot be stopped */
}

/* ---- py_write(variable, table, mode) -------------------------------------------- */

static void py_write(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_write";
  pyb__sqlite *host = sqlite3_user_data(context);
  struct ArrowArrayStream rows = {0};
  const char *variable, *table, *mode_name;
  pyb_error error;
  pyb_status status;
  int64_t count;

  if (!pyb__sqlite_want(context, name, n, args, 0, "variable", &variable) ||
      !pyb__sqlite_want(context, name, n, args, 1, "table", &table) ||
      !pyb__sqlite_optional(context, name, n, args, 2, "mode", &mode_name))
    return;
  status = pyb_get_stream(&host->session, variable, NULL, 0, &rows, &error);
  if (status == PYB_OK)
    status = write_stoppable(host, &rows, table, mode_name, &count, &error);
  if (status != PYB_OK)
    pyb__sqlite_fail(context, name, &error);
  else
    sqlite3_result_int64(context, count);
}

int pyb__sqlite_register_write(pyb__sqlite *host) {
  int code = pyb__sqlite_function(host, "py_write", 2, 0, py_write);

  return code == SQLITE_OK ? pyb__sqlite_function(host, "py_write", 3, 0, py_write)
                           : code;
}
