/* frame.c: py_frame, a frame of the context as an SQL table to be read.
 *
 *     create virtual table temp.t using py_frame(df);
 *     select a, sum(b) from t where rowid <= 1000 group by a;
 *
 * The columns and their types are those that the frame has when the table is created;
 * its rows are read from the variable when a scan begins, and of the columns only those
 * that the query uses. While a cursor on the table is open, others that begin share
 * what it has read, so the cursors of one statement see one frame. Rowid 1 is the
 * first row. A column that a join compares again and again is hashed.
 *
 * The table must be temporary: a frame lives as long as the process, and what a
 * database file names must not run in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lookup.h"

#define CURE "drop the table and create it again"

/* The rows of some of the columns, as they were when a scan began. */
typedef struct extract {
  int references;
  int64_t rows;
  size_t n_batches, room;
  pyb__batch **batches;
  pyb__reader reader;    /* its fields are what the batches refer to */
  pyb__lookup **lookups; /* per place in the batches; made when they pay */
  int slots[]; /* per column of the table: its place in the batches, -1 = none */
} extract;

typedef struct frame {
  sqlite3_vtab base;
  pyb__sqlite *host;   /* a reference */
  pyb_session session; /* the context is the one that the table was created in */
  char *context;
  char *variable;
  char *name;
  size_t n;
  pyb__field *fields;
  int64_t rows;    /* at the last look; an estimate */
  extract *shared; /* of the newest scan; NULL when no cursor is open */
  int cursors;
} frame;

typedef struct cursor {
  sqlite3_vtab_cursor base;
  extract *extract;
  int64_t first, last; /* rows of this scan, both inclusive, 0 = the first of all */
  int64_t row;
  int step;                  /* 1, or -1 for a descending scan */
  int scans;                 /* of this cursor so far */
  const pyb__lookup *lookup; /* NULL, or what names the rows of this scan */
  const pyb__batch *batch;   /* that holds `row` */
} cursor;

/* ---- Extracts ------------------------------------------------------------------- */

static void release_extract(extract *e) {
  if (e == NULL || --e->references > 0)
    return;
  for (size_t i = 0; i < e->reader.n && e->lookups != NULL; i++)
    pyb__lookup_release(e->lookups[i]);
  sqlite3_free(e->lookups);
  for (size_t i = 0; i < e->n_batches; i++)
    pyb__batch_release(e->batches[i]);
  sqlite3_free(e->batches);
  pyb__reader_close(&e->reader);
  sqlite3_free(e);
}

/* Is column i among those of the mask? Its last bit stands for all from there on. */
static int uses(uint64_t mask, size_t i) {
  return (int)(mask >> (i < 63 ? i : 63) & 1);
}

static int covers(const extract *e, const frame *table, uint64_t mask) {
  for (size_t i = 0; i < table->n; i++)
    if (uses(mask, i) && e->slots[i] < 0)
      return 0;
  return 1;
}

/* The column that is cheapest to read, for a query that only counts. */
static size_t cheapest(const frame *table) {
  for (size_t i = 0; i < table->n; i++)
    if (table->fields[i].layout == PYB__CELL_INT64 ||
        table->fields[i].layout == PYB__CELL_FLOAT64)
      return i;
  return 0;
}

/* May a column that was `old` be read as `new` without the table's types lying? */
static int same_type(const pyb__field *old, const pyb__field *new) {
  return old->layout == PYB__CELL_NONE || new->layout == PYB__CELL_NONE ||
         (strcmp(old->sql_type, new->sql_type) == 0 && old->zoned == new->zoned);
}

/* Where a column is gone, say what helps; the variable may be gone as well. */
static void say_cure(pyb_error *error) {
  pyb_error gone = *error;

  if (gone.status == PYB_UNDEFINED &&
      strncmp(gone.message, "the frame has no column ", 24) == 0)
    pyb__sqlite_refuse(error, PYB_UNDEFINED, "%.900s; " CURE, gone.message);
}

/* Are the columns that came the ones that were asked for, of the types declared? */
static pyb_status check_columns(const frame *table, const extract *e,
                                const size_t *wanted, size_t n, pyb_error *error) {
  static const char cure[] = CURE;

  if (e->reader.n != n)
    return pyb__sqlite_refuse(error, PYB_INTERNAL,
                              "of '%s' %zu came where the columns asked for are %zu",
                              table->variable, e->reader.n, n);
  for (size_t i = 0; i < n; i++) {
    const pyb__field *old = &table->fields[wanted[i]], *new = &e->reader.fields[i];
    if (strcmp(old->name, new->name) != 0)
      return pyb__sqlite_refuse(error, PYB_UNDEFINED,
                                "'%s' has no column \"%s\" any more; %s",
                                table->variable, old->name, cure);
    if (!same_type(old, new))
      return pyb__sqlite_refuse(
          error, PYB_BAD_ARGUMENT, "column \"%s\" of '%s' was %s and is %s now; %s",
          old->name, table->variable, old->sql_type, new->sql_type, cure);
  }
  return PYB_OK;
}

static pyb_status add_batch(extract *e, pyb__batch *batch, pyb_error *error) {
  if (e->n_batches == e->room) {
    size_t room = e->room * 2 + 8;
    pyb__batch **grown = sqlite3_realloc64(e->batches, room * sizeof *grown);
    if (grown == NULL) {
      pyb__batch_release(batch);
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    }
    e->batches = grown;
    e->room = room;
  }
  if (batch->rows == 0) {
    pyb__batch_release(batch);
    return PYB_OK;
  }
  e->batches[e->n_batches++] = batch;
  e->rows += batch->rows;
  return PYB_OK;
}

/* Read n columns of the variable, all their batches. */
static pyb_status read_columns(frame *table, extract *e, const size_t *wanted, size_t n,
                               const char **names, pyb_error *error) {
  struct ArrowArrayStream rows = {0};
  pyb__batch *batch;
  pyb_status status;

  for (size_t i = 0; i < n; i++) {
    names[i] = table->fields[wanted[i]].name;
    e->slots[wanted[i]] = (int)i;
  }
  table->session.deadline_ms = table->host->session.deadline_ms;
  status = pyb_get_stream(&table->session, table->variable, names, n, &rows, error);
  if (status == PYB_UNDEFINED)
    say_cure(error);
  if (status == PYB_OK)
    status = pyb__reader_open(&e->reader, &rows, error);
  if (status == PYB_OK)
    status = check_columns(table, e, wanted, n, error);
  while (status == PYB_OK) {
    status = pyb__reader_next(&e->reader, &batch, error);
    if (status != PYB_OK || batch == NULL)
      break;
    status = add_batch(e, batch, error);
  }
  return status;
}

/* A new extract of the columns of `mask`, with one reference, the caller's. */
static pyb_status make_extract(frame *table, uint64_t mask, extract **made,
                               pyb_error *error) {
  extract *e = sqlite3_malloc64(sizeof *e + table->n * sizeof *e->slots);
  size_t *wanted = sqlite3_malloc64(table->n * sizeof *wanted);
  const char **names = sqlite3_malloc64(table->n * sizeof *names);
  size_t n = 0;
  pyb_status status;

  *made = NULL;
  if (e == NULL || wanted == NULL || names == NULL) {
    sqlite3_free(e);
    e = NULL;
    status = pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    goto done;
  }
  memset(e, 0, sizeof *e);
  e->references = 1;
  for (size_t i = 0; i < table->n; i++) {
    e->slots[i] = -1;
    if (uses(mask, i))
      wanted[n++] = i;
  }
  if (n == 0)
    wanted[n++] = cheapest(table);
  status = read_columns(table, e, wanted, n, names, error);
  if (status == PYB_OK) {
    table->rows = e->rows;
    *made = e;
    e = NULL;
  }

done:
  release_extract(e);
  sqlite3_free(wanted);
  sqlite3_free(names);
  return status;
}

/* ---- The table ------------------------------------------------------------------ */

static int fail(char **message, const char *name, const pyb_error *error) {
  sqlite3_free(*message);
  *message = pyb__sqlite_words(name, error);
  return pyb__sqlite_code(error->status);
}

static int disconnect(sqlite3_vtab *base) {
  frame *table = (frame *)base;

  release_extract(table->shared);
  pyb__fields_release(table->fields, table->n);
  sqlite3_free(table->context);
  sqlite3_free(table->variable);
  sqlite3_free(table->name);
  pyb__sqlite_give(table->host);
  sqlite3_free(table);
  return SQLITE_OK;
}

/* The argument between the parentheses: a path, or the path in quotes. The copy is of
 * sqlite3_malloc. */
static char *unquote(const char *text) {
  size_t size = strlen(text);
  char quote = text[0], *copy = sqlite3_mprintf("%s", text);
  size_t to = 0;

  if (copy == NULL || size < 2 || (quote != '\'' && quote != '"') ||
      text[size - 1] != quote)
    return copy;
  for (size_t from = 1; from < size - 1; from++) {
    copy[to++] = text[from];
    if (text[from] == quote && text[from + 1] == quote && from + 1 < size - 1)
      from++;
  }
  copy[to] = '\0';
  return copy;
}

/* What can be said against a use of the module before Python is asked. */
static pyb_status check_use(int argc, const char *const *argv, pyb_error *error) {
  static const char use[] = "create virtual table temp.t using py_frame(df)";

  if (argc <= 3 && strcmp(argv[2], argv[0]) == 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "its columns are known once it is created: %s", use);
  if (argc > 4)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "one argument is wanted, the frame; %d came: %s",
                              argc - 3, use);
  if (sqlite3_stricmp(argv[1], "temp") != 0)
    return pyb__sqlite_refuse(
        error, PYB_BAD_ARGUMENT,
        "a frame lives in this process only, so its table is temporary: %s", use);
  return PYB_OK;
}

/* Ask for the columns of the variable, and how many rows it has at present. */
static pyb_status read_frame(frame *table, pyb_error *error) {
  struct ArrowSchema schema = {0};
  pyb_value length = PYB_EMPTY;
  pyb_status status;
  char *expression;

  status = pyb_get_schema(&table->session, table->variable, &schema, error);
  if (status != PYB_OK)
    return status;
  status = pyb__fields_read(&schema, &table->fields, &table->n, error);
  schema.release(&schema);
  if (status != PYB_OK)
    return status;
  if (table->n == 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "'%s' has no columns",
                              table->variable);
  table->rows = 1000000;
  expression = sqlite3_mprintf("len(%s)", table->variable);
  if (expression != NULL &&
      pyb_evaluate(&table->session, expression, PYB_NTS, NULL, &length, NULL) ==
          PYB_OK &&
      length.type == PYB_INT64)
    table->rows = length.integer;
  pyb_value_release(&length);
  sqlite3_free(expression);
  return PYB_OK;
}

/* Declare the table's columns to SQLite. */
static pyb_status declare(sqlite3 *db, const frame *table, pyb_error *error) {
  sqlite3_str *text = sqlite3_str_new(db);
  char *sql;
  int code;

  sqlite3_str_appendall(text, "create table x(");
  for (size_t i = 0; i < table->n; i++) {
    for (size_t j = 0; j < i && table->n <= 2000; j++)
      if (sqlite3_stricmp(table->fields[i].name, table->fields[j].name) == 0) {
        sqlite3_free(sqlite3_str_finish(text));
        return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                  "columns \"%s\" and \"%s\" have one name for SQL; "
                                  "rename one",
                                  table->fields[j].name, table->fields[i].name);
      }
    sqlite3_str_appendf(text, "%s\"%w\" %s", i == 0 ? "" : ", ", table->fields[i].name,
                        table->fields[i].sql_type);
  }
  sqlite3_str_appendall(text, ")");
  sql = sqlite3_str_finish(text);
  if (sql == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  code = sqlite3_declare_vtab(db, sql);
  sqlite3_free(sql);
  return code == SQLITE_OK ? PYB_OK : pyb__sqlite_error(db, code, error);
}

/* xCreate and xConnect. That they are one function makes SQLite call it for `from
 * py_frame('df')` too, which can then be told what to write instead. */
static int connect_frame(sqlite3 *db, void *data, int argc, const char *const *argv,
                         sqlite3_vtab **made, char **message) {
  pyb__sqlite *host = data;
  frame *table;
  pyb_error error;

  if (check_use(argc, argv, &error) != PYB_OK)
    return fail(message, "py_frame", &error);
  table = sqlite3_malloc(sizeof *table);
  if (table == NULL)
    return SQLITE_NOMEM;
  memset(table, 0, sizeof *table);
  table->host = pyb__sqlite_take(host);
  table->context = sqlite3_mprintf("%s", host->context);
  table->variable = unquote(argc > 3 ? argv[3] : argv[2]);
  table->name = sqlite3_mprintf("%s", argv[2]);
  table->session = (pyb_session){.context = table->context,
                                 .services = host->session.services,
                                 .host = host,
                                 .deadline_ms = host->session.deadline_ms};
  if (table->context == NULL || table->variable == NULL || table->name == NULL) {
    disconnect(&table->base);
    return SQLITE_NOMEM;
  }
  if (read_frame(table, &error) != PYB_OK || declare(db, table, &error) != PYB_OK) {
    disconnect(&table->base);
    return fail(message, "py_frame", &error);
  }
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *made = &table->base;
  return SQLITE_OK;
}

static int rename_frame(sqlite3_vtab *base, const char *name) {
  frame *table = (frame *)base;
  char *copy = sqlite3_mprintf("%s", name);

  if (copy == NULL)
    return SQLITE_NOMEM;
  sqlite3_free(table->name);
  table->name = copy;
  return SQLITE_OK;
}

/* ---- Planning ------------------------------------------------------------------- */

/* The plan, in idxNum. The bounds come as arguments in this order. */
enum {
  ROWID_IS = 1,
  ABOVE = 2,
  FROM = 4,
  BELOW = 8,
  UP_TO = 16,
  DESCENDING = 32,
  COLUMN_IS = 64
};

/* Which plan bit a usable constraint on the rowid can serve, 0 = none. */
static int bit_of(const struct sqlite3_index_constraint *constraint) {
  if (constraint->iColumn != -1 || !constraint->usable)
    return 0;
  switch (constraint->op) {
  case SQLITE_INDEX_CONSTRAINT_EQ:
    return ROWID_IS;
  case SQLITE_INDEX_CONSTRAINT_GT:
    return ABOVE;
  case SQLITE_INDEX_CONSTRAINT_GE:
    return FROM;
  case SQLITE_INDEX_CONSTRAINT_LT:
    return BELOW;
  case SQLITE_INDEX_CONSTRAINT_LE:
    return UP_TO;
  }
  return 0;
}

/* Take the first constraint that serves one of `bits` for argument n. */
static int take(sqlite3_index_info *info, int bits, int *n) {
  for (int i = 0; i < info->nConstraint; i++) {
    int bit = bit_of(&info->aConstraint[i]) & bits;
    if (bit != 0) {
      info->aConstraintUsage[i].argvIndex = ++*n;
      return bit; /* SQLite checks again: the bounds are only a shorter way there */
    }
  }
  return 0;
}

/* Take a constraint that a column equals something, as bytes if text; the column, or
 * -1. */
static int take_column(sqlite3_index_info *info) {
  for (int i = 0; i < info->nConstraint; i++)
    if (info->aConstraint[i].iColumn >= 0 && info->aConstraint[i].usable &&
        info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ &&
        sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") == 0) {
      info->aConstraintUsage[i].argvIndex = 1;
      return info->aConstraint[i].iColumn;
    }
  return -1;
}

/* Choose the plan; *rows becomes how many it will give, about. */
static int choose(sqlite3_index_info *info, double *rows, int *column) {
  int n = 0, plan = take(info, ROWID_IS, &n);

  if (plan != 0) {
    *rows = 1;
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    return plan;
  }
  plan = take(info, ABOVE | FROM, &n);
  plan |= take(info, BELOW | UP_TO, &n);
  *rows /= n == 2 ? 16 : n == 1 ? 4 : 1;
  if (plan != 0)
    return plan;
  *column = take_column(info);
  if (*column < 0)
    return 0;
  *rows = *rows / 100 + 1;
  return COLUMN_IS;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  frame *table = (frame *)base;
  double rows = (double)(table->rows > 0 ? table->rows : 1);
  int column = -1, plan = choose(info, &rows, &column);

  if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == -1 &&
      !(plan == COLUMN_IS && info->aOrderBy[0].desc)) {
    info->orderByConsumed = 1;
    if (info->aOrderBy[0].desc)
      plan |= DESCENDING;
  }
  info->idxNum = plan;
  info->idxStr = sqlite3_mprintf("%llx:%d", (unsigned long long)info->colUsed, column);
  if (info->idxStr == NULL)
    return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->estimatedCost = rows + 10;
  info->estimatedRows = (sqlite3_int64)rows;
  return SQLITE_OK;
}

/* ---- Scanning ------------------------------------------------------------------- */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  cursor *c = sqlite3_malloc(sizeof *c);

  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  ((frame *)base)->cursors++;
  *opened = &c->base;
  return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  cursor *c = (cursor *)base;
  frame *table = (frame *)base->pVtab;

  release_extract(c->extract);
  sqlite3_free(c);
  if (--table->cursors == 0) {
    release_extract(table->shared);
    table->shared = NULL;
  }
  return SQLITE_OK;
}

/* Give the cursor rows of the columns it uses: those that an open cursor has read,
 * where they are among them. */
static int attach(cursor *c, frame *table, uint64_t mask) {
  pyb_error error;
  extract *made;

  if (c->extract != NULL) /* a further scan of the same statement */
    return SQLITE_OK;
  if (table->shared == NULL || !covers(table->shared, table, mask)) {
    if (make_extract(table, mask, &made, &error) != PYB_OK)
      return fail(&table->base.zErrMsg, table->name, &error);
    release_extract(table->shared);
    table->shared = made;
  }
  c->extract = table->shared;
  c->extract->references++;
  return SQLITE_OK;
}

/* Narrow the scan by one bound. What is no whole number narrows nothing: SQLite checks
 * every row that comes against the constraint itself. */
static void narrow(cursor *c, int bit, sqlite3_value *bound) {
  int64_t row;

  if (sqlite3_value_type(bound) != SQLITE_INTEGER)
    return;
  row = sqlite3_value_int64(bound);
  row = row > INT64_MIN ? row - 1 : row; /* rowid 1 is row 0 */
  if (bit & (ROWID_IS | ABOVE | FROM) && row > c->first)
    c->first = row;
  if (bit & (ROWID_IS | BELOW | UP_TO) && row < c->last)
    c->last = row;
}

/* Find the rows of the scan by the value of a column. The first scan of a cursor looks
 * at every row: a hash pays from the second on, which only a join has. */
static void look_up(cursor *c, int column, sqlite3_value *value) {
  extract *e = c->extract;
  int slot = e->slots[column];
  int64_t row;

  if (c->scans < 2 || slot < 0)
    return;
  if (e->lookups == NULL) {
    e->lookups = sqlite3_malloc64(e->reader.n * sizeof *e->lookups);
    if (e->lookups == NULL)
      return;
    memset(e->lookups, 0, e->reader.n * sizeof *e->lookups);
  }
  if (e->lookups[slot] == NULL)
    e->lookups[slot] = pyb__lookup_new(e->batches, e->n_batches, (size_t)slot, e->rows);
  if (e->lookups[slot] == NULL || !pyb__lookup_find(e->lookups[slot], value, &row))
    return;
  c->lookup = e->lookups[slot];
  c->row = row;
}

/* Find the batch that holds the cursor's row. */
static void seek(cursor *c) {
  size_t low = 0, high = c->extract->n_batches;

  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (c->extract->batches[middle]->row <= c->row)
      low = middle;
    else
      high = middle;
  }
  c->batch = c->extract->batches[low];
}

static int at_end(sqlite3_vtab_cursor *base) {
  cursor *c = (cursor *)base;

  return c->row < c->first || c->row > c->last;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *columns, int argc,
                  sqlite3_value **argv) {
  cursor *c = (cursor *)base;
  uint64_t mask = 0;
  int code, n = 0;

  for (; *columns != ':'; columns++)
    mask =
        mask << 4 | (uint64_t)(*columns <= '9' ? *columns - '0' : *columns - 'a' + 10);
  code = attach(c, (frame *)base->pVtab, mask);
  if (code != SQLITE_OK)
    return code;
  c->first = 0;
  c->last = c->extract->rows - 1;
  for (int bit = ROWID_IS; bit <= UP_TO && n < argc; bit <<= 1)
    if (plan & bit)
      narrow(c, bit, argv[n++]);
  c->step = plan & DESCENDING ? -1 : 1;
  c->row = plan & DESCENDING ? c->last : c->first;
  c->scans++;
  c->lookup = NULL;
  if (plan & COLUMN_IS && argc > 0)
    look_up(c, atoi(columns + 1), argv[0]);
  if (!at_end(base))
    seek(c);
  return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
  cursor *c = (cursor *)base;

  c->row = c->lookup != NULL ? pyb__lookup_next(c->lookup, c->row) : c->row + c->step;
  if ((c->row < c->batch->row || c->row >= c->batch->row + c->batch->rows) &&
      !at_end(base))
    seek(c);
  return SQLITE_OK;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  cursor *c = (cursor *)base;
  int slot = c->extract->slots[i];

  if (slot < 0) {
    sqlite3_result_error(context,
                         "py_frame: SQLite asks for a column that its plan "
                         "did not name",
                         -1);
    return SQLITE_OK;
  }
  /* Static: the batches stay until the statement's last cursor closes. */
  pyb__cell_dump(context, &c->batch->cells[slot], c->row - c->batch->row,
                 SQLITE_STATIC);
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  *number = ((cursor *)base)->row + 1;
  return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1,
    .xCreate = connect_frame,
    .xConnect = connect_frame,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xDestroy = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = rowid,
    .xRename = rename_frame,
};

int pyb__sqlite_register_frame(pyb__sqlite *host) {
  return sqlite3_create_module_v2(host->db, "py_frame", &module, pyb__sqlite_take(host),
                                  pyb__sqlite_give);
}
