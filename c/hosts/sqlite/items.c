/* items.c: the items and the rows of Python objects as table-valued functions.
 *
 *     select value from py_iter(py_object('range(3)'));
 *     select c1, c2 from py_rows(py_object('df'), 'name, age');
 *
 * The cursor has a handle of its own, so that the object may go while it is read; the
 * handle goes with the cursor, which ends a generator that nobody else holds. */
#include <string.h>

#include "cells.h"

typedef struct items_table {
  sqlite3_vtab base;
  pyb__sqlite *host; /* a reference */
  const char *name;
} items_table;

static int fail(sqlite3_vtab *base, const pyb_error *error) {
  sqlite3_free(base->zErrMsg);
  base->zErrMsg = pyb__sqlite_words(((items_table *)base)->name, error);
  return pyb__sqlite_code(error->status);
}

/* ---- What both have in common --------------------------------------------------- */

static int connect_as(sqlite3 *db, pyb__sqlite *host, const char *name,
                      const char *columns, sqlite3_vtab **made) {
  int code = columns == NULL ? SQLITE_NOMEM : sqlite3_declare_vtab(db, columns);
  items_table *table;

  if (code != SQLITE_OK)
    return code;
  table = sqlite3_malloc(sizeof *table);
  if (table == NULL)
    return SQLITE_NOMEM;
  *table = (items_table){.host = pyb__sqlite_take(host), .name = name};
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *made = &table->base;
  return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base) {
  pyb__sqlite_give(((items_table *)base)->host);
  sqlite3_free(base);
  return SQLITE_OK;
}

/* Take the arguments, which are `n` hidden columns from `first` on. In idxNum, bit i
 * says that argument i is given; the first one has to be. */
static int take_arguments(sqlite3_vtab *base, sqlite3_index_info *info, int first,
                          int n) {
  const char *name = ((items_table *)base)->name;
  int at[2] = {-1, -1}, unusable = 0, used = 0;

  for (int i = 0; i < info->nConstraint; i++) {
    int argument = info->aConstraint[i].iColumn - first;
    if (argument < 0 || argument >= n ||
        info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
      continue;
    if (info->aConstraint[i].usable)
      at[argument] = i;
    else
      unusable = 1;
  }
  if (unusable) /* the arguments are those of a later table in this order */
    return SQLITE_CONSTRAINT;
  if (at[0] < 0) {
    sqlite3_free(base->zErrMsg);
    base->zErrMsg = sqlite3_mprintf(
        "%s: the object is missing: select * from %s(py_object('...'))", name, name);
    return SQLITE_ERROR;
  }
  for (int i = 0; i < n; i++)
    if (at[i] >= 0) {
      info->aConstraintUsage[at[i]].argvIndex = ++used;
      info->aConstraintUsage[at[i]].omit = 1;
      info->idxNum |= 1 << i;
    }
  info->estimatedCost = 1e6;
  info->estimatedRows = 100000;
  return SQLITE_OK;
}

/* ---- py_iter -------------------------------------------------------------------- */

typedef struct iter_cursor {
  sqlite3_vtab_cursor base;
  pyb_handle iterator;
  pyb_value item; /* owned */
  int more;       /* there is an item */
  sqlite3_int64 number;
} iter_cursor;

enum { VALUE, OBJECT };

static int connect_iter(sqlite3 *db, void *data, int argc, const char *const *argv,
                        sqlite3_vtab **made, char **message) {
  (void)argc, (void)argv, (void)message;
  return connect_as(db, data, "py_iter", "create table x(value, object hidden)", made);
}

static int plan_iter(sqlite3_vtab *base, sqlite3_index_info *info) {
  return take_arguments(base, info, OBJECT, 1);
}

static int open_iter(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  iter_cursor *c = sqlite3_malloc(sizeof *c);

  (void)base;
  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  *opened = &c->base;
  return SQLITE_OK;
}

/* Let go of the iterator. Its code may not come back to the connection, which may be in
 * the middle of ending the statement. */
static void stop_iter(iter_cursor *c) {
  pyb_value_release(&c->item);
  (void)!pyb_handle_release(NULL, c->iterator, NULL);
  c->iterator = 0;
  c->more = 0;
}

static int close_iter(sqlite3_vtab_cursor *base) {
  stop_iter((iter_cursor *)base);
  sqlite3_free(base);
  return SQLITE_OK;
}

static int next_iter(sqlite3_vtab_cursor *base) {
  iter_cursor *c = (iter_cursor *)base;
  pyb__sqlite *host = ((items_table *)base->pVtab)->host;
  pyb_error error;

  pyb_value_release(&c->item);
  c->more = 0;
  c->number++;
  if (pyb_handle_next(&host->session, c->iterator, PYB_AS_FITS, &c->item, &c->more,
                      &error) != PYB_OK)
    return fail(base->pVtab, &error);
  return SQLITE_OK;
}

static int filter_iter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                       sqlite3_value **argv) {
  iter_cursor *c = (iter_cursor *)base;
  pyb__sqlite *host = ((items_table *)base->pVtab)->host;
  pyb__sqlite_target target;
  pyb_error error;
  pyb_status status;

  (void)plan, (void)text, (void)argc;
  stop_iter(c);
  c->number = 0;
  status = pyb__sqlite_target_of(host, argv[0], &target, &error);
  if (status == PYB_OK)
    status = pyb_handle_iterate(&host->session, target.handle, &c->iterator, &error);
  pyb__sqlite_target_release(&target);
  return status == PYB_OK ? next_iter(base) : fail(base->pVtab, &error);
}

static int end_iter(sqlite3_vtab_cursor *base) {
  return !((iter_cursor *)base)->more;
}

/* The item, as often as it is asked for. */
static int column_iter(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  iter_cursor *c = (iter_cursor *)base;
  pyb__sqlite *host = ((items_table *)base->pVtab)->host;
  pyb_value item = c->item;
  pyb_handle copy;
  pyb_error error;

  item.release = NULL; /* borrowed */
  if (i != VALUE)
    return SQLITE_OK;
  if (item.type == PYB_HANDLE) {
    if (pyb_handle_copy(&host->session, (pyb_handle)item.integer, &copy, &error) !=
        PYB_OK) {
      pyb__sqlite_fail(context, "py_iter", &error);
      return SQLITE_OK;
    }
    item.integer = (int64_t)copy;
  }
  pyb__sqlite_dump(context, "py_iter", &item);
  return SQLITE_OK;
}

static int rowid_iter(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  *number = ((iter_cursor *)base)->number;
  return SQLITE_OK;
}

/* ---- py_rows -------------------------------------------------------------------- */

/* How many columns can be had by their number. */
#define NUMBERED 100

typedef struct rows_cursor {
  sqlite3_vtab_cursor base;
  pyb__reader reader;
  pyb__batch *batch; /* NULL = the end */
  int64_t row;       /* in the batch */
  size_t columns;    /* of the frame; the one after them, if any, is the row as JSON */
} rows_cursor;

enum { ROW, FRAME, COLUMNS, FIRST };
enum { HAS_COLUMNS = 2, WANTS_ROW = 4 }; /* in idxNum */

static int connect_rows(sqlite3 *db, void *data, int argc, const char *const *argv,
                        sqlite3_vtab **made, char **message) {
  sqlite3_str *text = sqlite3_str_new(db);
  char *columns;
  int code;

  (void)argc, (void)argv, (void)message;
  sqlite3_str_appendall(text, "create table x(row text, object hidden, columns hidden");
  for (int i = 1; i <= NUMBERED; i++)
    sqlite3_str_appendf(text, ", c%d hidden", i);
  sqlite3_str_appendall(text, ")");
  columns = sqlite3_str_finish(text);
  code = connect_as(db, data, "py_rows", columns, made);
  sqlite3_free(columns);
  return code;
}

static int plan_rows(sqlite3_vtab *base, sqlite3_index_info *info) {
  int code = take_arguments(base, info, FRAME, 2);

  if ((info->colUsed & 1u << ROW) != 0)
    info->idxNum |= WANTS_ROW;
  return code;
}

static int open_rows(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  rows_cursor *c = sqlite3_malloc(sizeof *c);

  (void)base;
  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  *opened = &c->base;
  return SQLITE_OK;
}

static void stop_rows(rows_cursor *c) {
  pyb__batch_release(c->batch);
  c->batch = NULL;
  pyb__reader_close(&c->reader);
  c->row = 0;
}

static int close_rows(sqlite3_vtab_cursor *base) {
  stop_rows((rows_cursor *)base);
  sqlite3_free(base);
  return SQLITE_OK;
}

/* Split "name, age" in place; *names is of sqlite3_malloc, with one entry more than the
 * text has commas. */
static size_t split(char *text, const char **names) {
  size_t n = 0;

  for (char *end = text; text != NULL; text = end) {
    size_t size;
    text += strspn(text, " ");
    end = strchr(text, ',');
    if (end != NULL)
      *end++ = '\0';
    for (size = strlen(text); size > 0 && text[size - 1] == ' '; size--)
      text[size - 1] = '\0';
    names[n++] = text;
  }
  return n;
}

/* The frame with each row as JSON behind it: pybridge.proxy.rows(frame, columns ...).
 */
static pyb_status add_json(const pyb_session *session, pyb_handle frame,
                           const char *const *names, size_t n, pyb_handle *made,
                           pyb_error *error) {
  pyb_value *args = sqlite3_malloc64((n + 1) * sizeof *args), result = PYB_EMPTY;
  pyb_handle module = 0;
  pyb_status status;

  *made = 0;
  if (args == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  args[0] = (pyb_value){.type = PYB_HANDLE, .integer = (int64_t)frame};
  for (size_t i = 0; i < n; i++)
    args[i + 1] =
        (pyb_value){.type = PYB_TEXT, .data = names[i], .size = strlen(names[i])};
  status = pyb_handle_import(session, "pybridge.proxy", &module, error);
  if (status == PYB_OK)
    status = pyb_handle_call(session, module, "rows", args, n + 1, NULL, 0,
                             PYB_AS_HANDLE, &result, error);
  *made = (pyb_handle)result.integer;
  (void)!pyb_handle_release(session, module, NULL);
  sqlite3_free(args);
  return status;
}

/* Begin to read the named columns of the frame, or all. */
static pyb_status begin_rows(rows_cursor *c, const pyb_session *session,
                             pyb_handle frame, const char *const *names, size_t n,
                             int wants_row, pyb_error *error) {
  struct ArrowArrayStream rows = {0};
  pyb_handle made = 0;
  pyb_status status = PYB_OK;

  if (wants_row)
    status = add_json(session, frame, names, n, &made, error);
  if (status == PYB_OK && wants_row)
    status = pyb_handle_stream(session, made, NULL, 0, &rows, error);
  else if (status == PYB_OK)
    status = pyb_handle_stream(session, frame, names, n, &rows, error);
  (void)!pyb_handle_release(session, made, NULL);
  if (status == PYB_OK)
    status = pyb__reader_open(&c->reader, &rows, error);
  c->columns = c->reader.n - (size_t)(status == PYB_OK && wants_row);
  return status;
}

/* Go to the next batch that has rows. */
static pyb_status next_batch(rows_cursor *c, pyb_error *error) {
  pyb_status status;

  do {
    pyb__batch_release(c->batch);
    c->batch = NULL;
    status = pyb__reader_next(&c->reader, &c->batch, error);
  } while (status == PYB_OK && c->batch != NULL && c->batch->rows == 0);
  c->row = 0;
  return status;
}

static int filter_rows(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                       sqlite3_value **argv) {
  rows_cursor *c = (rows_cursor *)base;
  pyb__sqlite *host = ((items_table *)base->pVtab)->host;
  const char *list = NULL, **names = NULL;
  char *copy = NULL;
  pyb__sqlite_target target = {0};
  size_t n = 0;
  pyb_error error;
  pyb_status status = PYB_OK;

  (void)text;
  stop_rows(c);
  if ((plan & HAS_COLUMNS) != 0 && argc > 1)
    list = (const char *)sqlite3_value_text(argv[1]);
  if (list != NULL) {
    copy = sqlite3_mprintf("%s", list);
    names = sqlite3_malloc64((strlen(list) + 1) * sizeof *names);
    if (copy == NULL || names == NULL)
      status = pyb__sqlite_refuse(&error, PYB_NO_MEMORY, "out of memory");
    else
      n = split(copy, names);
  }
  if (status == PYB_OK)
    status = pyb__sqlite_target_of(host, argv[0], &target, &error);
  if (status == PYB_OK)
    status = begin_rows(c, &host->session, target.handle, names, n,
                        (plan & WANTS_ROW) != 0, &error);
  if (status == PYB_OK)
    status = next_batch(c, &error);
  pyb__sqlite_target_release(&target);
  sqlite3_free(names);
  sqlite3_free(copy);
  return status == PYB_OK ? SQLITE_OK : fail(base->pVtab, &error);
}

static int next_rows(sqlite3_vtab_cursor *base) {
  rows_cursor *c = (rows_cursor *)base;
  pyb_error error;

  if (++c->row < c->batch->rows || next_batch(c, &error) == PYB_OK)
    return SQLITE_OK;
  return fail(base->pVtab, &error);
}

static int end_rows(sqlite3_vtab_cursor *base) {
  return ((rows_cursor *)base)->batch == NULL;
}

static int column_rows(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  rows_cursor *c = (rows_cursor *)base;
  size_t column = i == ROW ? c->columns : (size_t)i - FIRST;

  /* Transient: the batch goes while min() or an order by may hold its text. */
  if ((i == ROW && column < c->reader.n) || (i >= FIRST && column < c->columns))
    pyb__cell_dump(context, &c->batch->cells[column], c->row, SQLITE_TRANSIENT);
  return SQLITE_OK;
}

static int rowid_rows(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  rows_cursor *c = (rows_cursor *)base;

  *number = c->batch->row + c->row + 1;
  return SQLITE_OK;
}

/* ---- Registration --------------------------------------------------------------- */

int pyb__sqlite_register_items(pyb__sqlite *host) {
  static const sqlite3_module iter = {
      .xConnect = connect_iter,
      .xBestIndex = plan_iter,
      .xDisconnect = disconnect,
      .xOpen = open_iter,
      .xClose = close_iter,
      .xFilter = filter_iter,
      .xNext = next_iter,
      .xEof = end_iter,
      .xColumn = column_iter,
      .xRowid = rowid_iter,
  };
  static const sqlite3_module rows = {
      .xConnect = connect_rows,
      .xBestIndex = plan_rows,
      .xDisconnect = disconnect,
      .xOpen = open_rows,
      .xClose = close_rows,
      .xFilter = filter_rows,
      .xNext = next_rows,
      .xEof = end_rows,
      .xColumn = column_rows,
      .xRowid = rowid_rows,
  };
  int code = sqlite3_create_module_v2(host->db, "py_iter", &iter,
                                      pyb__sqlite_take(host), pyb__sqlite_give);

  if (code == SQLITE_OK)
    code = sqlite3_create_module_v2(host->db, "py_rows", &rows, pyb__sqlite_take(host),
                                    pyb__sqlite_give);
  return code;
}
