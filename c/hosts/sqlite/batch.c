/* batch.c: the vectorized kind, a table-valued function that calls Python per batch.
 *
 *     select * from name('select a, b from t')
 *
 * runs the query on the same connection, hands its rows to the callable a batch at a
 * time, columns as numpy arrays, and returns what comes back: first the columns of the
 * query named by option `keep`, which the callable does not see, then those named by
 * option `columns`. With null "default" a row with a NULL argument is not passed on and
 * comes out with NULLs. What comes back has as many rows as were passed on, except that
 * with null "special" and nothing kept it may have any number.
 */
#include <string.h>

#include "cells.h"
#include "define.h"

typedef struct map_table {
  sqlite3_vtab base;
  pyb__slot *slot;             /* a reference */
  pyb__definition *definition; /* a reference: the one whose columns the table has */
} map_table;

typedef struct map_cursor {
  sqlite3_vtab_cursor base;
  pyb__definition *definition; /* a reference, from the start of a scan on */
  sqlite3_stmt *query;
  int *args; /* columns of the query that are passed on */
  int n_args;
  int *keep;            /* and those that are kept, definition->keep.n */
  int *order;           /* where output column i is in what came back */
  int64_t rows, row;    /* of this batch; the row at hand */
  int64_t passed;       /* rows passed on */
  int64_t room;         /* rows that the next two have room for */
  uint8_t *skipped;     /* rows that were not passed on */
  sqlite3_value **kept; /* keep.n a row */
  int64_t number;       /* rows of the scan before the one at hand */
  pyb__reader reader;   /* of what came back */
  pyb__batch *batch;    /* the part of it that has the row at hand; NULL = its end */
  int64_t batch_row;
  int done;
} map_cursor;

/* May the callable return any number of rows? */
static int is_free(const pyb__definition *d) {
  return d->special && d->keep.n == 0;
}

static int fail(sqlite3_vtab *table, const pyb__definition *d, const pyb_error *error) {
  sqlite3_free(table->zErrMsg);
  table->zErrMsg = pyb__sqlite_words(d->name, error);
  return pyb__sqlite_code(error->status);
}

/* ---- The table ------------------------------------------------------------------ */

char *pyb__vectorized_shape(const pyb__definition *d) {
  sqlite3_str *text = sqlite3_str_new(d->host->db);

  sqlite3_str_appendall(text, "create table x(");
  for (size_t i = 0; i < d->keep.n; i++)
    sqlite3_str_appendf(text, "\"%w\", ", d->keep.names[i]);
  for (size_t i = 0; i < d->columns.n; i++)
    sqlite3_str_appendf(text, "\"%w\", ", d->columns.names[i]);
  sqlite3_str_appendf(text, "\"the query\" hidden) -- %d kept, innocuous %d",
                      (int)d->keep.n, d->innocuous);
  return sqlite3_str_finish(text);
}

static int refuse_dropped(char **message, const char *name) {
  sqlite3_free(*message);
  *message = sqlite3_mprintf("%s: has been dropped; define it again", name);
  return SQLITE_ERROR;
}

static int connect_map(sqlite3 *db, void *data, int argc, const char *const *argv,
                       sqlite3_vtab **made, char **message) {
  pyb__slot *slot = data;
  pyb__definition *d = slot->definition;
  map_table *table;
  char *shape;
  int code;

  (void)argc, (void)argv;
  if (d == NULL)
    return refuse_dropped(message, slot->name);
  shape = pyb__vectorized_shape(d);
  if (shape == NULL)
    return SQLITE_NOMEM;
  code = sqlite3_declare_vtab(db, shape);
  sqlite3_free(shape);
  if (code != SQLITE_OK) {
    *message = sqlite3_mprintf("%s: %s", d->name, sqlite3_errmsg(db));
    return code;
  }
  table = sqlite3_malloc(sizeof *table);
  if (table == NULL)
    return SQLITE_NOMEM;
  memset(table, 0, sizeof *table);
  table->slot = pyb__slot_take(slot);
  table->definition = pyb__definition_take(d);
  sqlite3_vtab_config(db,
                      d->innocuous ? SQLITE_VTAB_INNOCUOUS : SQLITE_VTAB_DIRECTONLY);
  *made = &table->base;
  return SQLITE_OK;
}

static int disconnect_map(sqlite3_vtab *base) {
  map_table *table = (map_table *)base;

  pyb__definition_give(table->definition);
  pyb__slot_give(table->slot);
  sqlite3_free(table);
  return SQLITE_OK;
}

/* The query is a constraint on the hidden column, and there is no other way in. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  const pyb__definition *d = ((map_table *)base)->definition;
  int hidden = (int)(d->keep.n + d->columns.n), unusable = 0;

  for (int i = 0; i < info->nConstraint; i++) {
    if (info->aConstraint[i].iColumn != hidden ||
        info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
      continue;
    if (!info->aConstraint[i].usable) {
      unusable = 1;
      continue;
    }
    info->aConstraintUsage[i].argvIndex = 1;
    info->aConstraintUsage[i].omit = 1;
    info->estimatedCost = 1e6;
    info->estimatedRows = 100000;
    return SQLITE_OK;
  }
  if (!unusable) {
    sqlite3_free(base->zErrMsg);
    base->zErrMsg = sqlite3_mprintf("%s: the query is missing: select * from "
                                    "%s('select ...')",
                                    d->name, d->name);
    return SQLITE_ERROR;
  }
  return SQLITE_CONSTRAINT;
}

/* ---- Batches -------------------------------------------------------------------- */

/* Forget the batch at hand. */
static void clear_batch(map_cursor *c) {
  int64_t n = c->rows == 0 ? 0 : c->rows * (int64_t)c->definition->keep.n;

  for (int64_t i = 0; i < n; i++)
    sqlite3_value_free(c->kept[i]);
  pyb__batch_release(c->batch);
  c->batch = NULL;
  pyb__reader_close(&c->reader);
  c->rows = c->row = c->passed = 0;
}

/* Forget the query. */
static void clear(map_cursor *c) {
  clear_batch(c);
  sqlite3_finalize(c->query);
  sqlite3_free(c->args);
  sqlite3_free(c->keep);
  sqlite3_free(c->order);
  sqlite3_free(c->skipped);
  sqlite3_free(c->kept);
  c->query = NULL;
  c->args = c->keep = c->order = NULL;
  c->skipped = NULL;
  c->kept = NULL;
  c->n_args = 0;
  c->room = c->number = 0;
  c->done = 1;
  pyb__definition_give(c->definition);
  c->definition = NULL;
}

static int make_room(map_cursor *c) {
  int64_t room = c->room * 2 + 64, keep = (int64_t)c->definition->keep.n;
  uint8_t *skipped = sqlite3_realloc64(c->skipped, (uint64_t)room);
  sqlite3_value **kept;

  if (skipped == NULL)
    return 0;
  c->skipped = skipped;
  if (keep > 0) {
    kept = sqlite3_realloc64(c->kept, (uint64_t)(room * keep) * sizeof *kept);
    if (kept == NULL)
      return 0;
    c->kept = kept;
  }
  c->room = room;
  return 1;
}

/* Append one cell of the query's row. */
static pyb_status append(pyb_column *column, sqlite3_value *value) {
  pyb_value loaded;

  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    return pyb_column_int64(column, sqlite3_value_int64(value));
  case SQLITE_FLOAT:
    return pyb_column_float64(column, sqlite3_value_double(value));
  default:
    if (pyb__sqlite_load(value, &loaded) != PYB_OK)
      return PYB_NO_MEMORY;
    if (loaded.type == PYB_NULL)
      return pyb_column_null(column);
    return pyb_column_bytes(column, loaded.type, loaded.data, loaded.size);
  }
}

/* Take the query's row into the batch and, unless it is skipped, into the table. */
static int take_row(map_cursor *c, pyb_table *table) {
  size_t keep = c->definition->keep.n;
  sqlite3_value **kept = c->kept + (size_t)c->rows * keep;
  int skip = 0;

  for (int i = 0; i < c->n_args && !c->definition->special; i++)
    skip |= sqlite3_column_type(c->query, c->args[i]) == SQLITE_NULL;
  for (size_t i = 0; i < keep; i++) {
    kept[i] = sqlite3_value_dup(sqlite3_column_value(c->query, c->keep[i]));
    if (kept[i] == NULL) {
      while (i-- > 0)
        sqlite3_value_free(kept[i]);
      return 0;
    }
  }
  c->skipped[c->rows++] = (uint8_t)skip;
  c->passed += !skip;
  for (int i = 0; i < c->n_args && !skip; i++)
    if (append(pyb_table_column(table, (size_t)i),
               sqlite3_column_value(c->query, c->args[i])) != PYB_OK)
      return 0;
  return 1;
}

/* A table for the arguments, with the names that the query gives them. */
static pyb_status new_table(map_cursor *c, pyb_table **table, pyb_error *error) {
  pyb_status status = pyb_table_new((size_t)c->n_args, table, error);

  for (int i = 0; i < c->n_args && status == PYB_OK; i++)
    status =
        pyb_table_name(*table, (size_t)i, sqlite3_column_name(c->query, c->args[i]),
                       sqlite3_column_decltype(c->query, c->args[i]), error);
  return status;
}

/* Collect up to a batch of the query's rows. */
static pyb_status collect(map_cursor *c, pyb_table *table, pyb_error *error) {
  sqlite3 *db = c->definition->host->db;
  int code = SQLITE_ROW;

  while (c->rows < c->definition->batch && code == SQLITE_ROW) {
    code = sqlite3_step(c->query);
    if (code == SQLITE_DONE)
      c->done = 1;
    else if (code != SQLITE_ROW)
      return pyb__sqlite_error(db, code, error);
    else if ((c->rows == c->room && !make_room(c)) || !take_row(c, table))
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  }
  return PYB_OK;
}

/* Find the output columns in what came back: by name where all are there, else by
 * position. */
static pyb_status arrange(map_cursor *c, pyb_error *error) {
  const pyb__names *columns = &c->definition->columns;
  size_t named = 0;

  if (c->reader.n != columns->n)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "returned %zu column%s, option \"columns\" names %zu",
                              c->reader.n, PYB__S(c->reader.n), columns->n);
  for (size_t i = 0; i < columns->n; i++)
    for (size_t j = 0; j < c->reader.n; j++)
      if (strcmp(columns->names[i], c->reader.fields[j].name) == 0) {
        c->order[i] = (int)j;
        named++;
        break;
      }
  for (size_t i = 0; i < columns->n && named != columns->n; i++)
    c->order[i] = (int)i;
  return PYB_OK;
}

/* Go to the next row that came back; batch is NULL when there is none. */
static pyb_status next_mapped(map_cursor *c, pyb_error *error) {
  pyb_status status = PYB_OK;

  if (c->batch != NULL && ++c->batch_row < c->batch->rows)
    return PYB_OK;
  do {
    pyb__batch_release(c->batch);
    c->batch = NULL;
    c->batch_row = 0;
    status = pyb__reader_next(&c->reader, &c->batch, error);
  } while (status == PYB_OK && c->batch != NULL && c->batch->rows == 0);
  return status;
}

static pyb_status refuse_rows(const map_cursor *c, pyb_error *error) {
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "returned %lld row%s for %lld; as many are wanted, except "
                            "with null special and nothing kept",
                            (long long)c->reader.rows, PYB__S(c->reader.rows),
                            (long long)c->passed);
}

/* Call the callable with the table (moved). */
static pyb_status call(map_cursor *c, pyb_table *table, pyb_error *error) {
  struct ArrowArrayStream rows = {0}, mapped = {0};
  const pyb__definition *d = c->definition;
  pyb_status status = pyb_table_finish(table, &rows, error);

  if (status == PYB_OK)
    status = pyb_object_map(&d->host->session, d->object, &rows, &mapped, error);
  if (status == PYB_OK)
    status = pyb__reader_open(&c->reader, &mapped, error);
  if (status == PYB_OK)
    status = arrange(c, error);
  if (status == PYB_OK)
    status = next_mapped(c, error);
  return status;
}

/* Read the next batch of the query and call the callable with it. */
static pyb_status fill(map_cursor *c, pyb_error *error) {
  pyb_table *table = NULL;
  pyb_status status;

  clear_batch(c);
  if (c->done)
    return PYB_OK;
  status = new_table(c, &table, error);
  if (status == PYB_OK)
    status = collect(c, table, error);
  if (status == PYB_OK && c->passed > 0)
    return call(c, table, error);
  pyb_table_release(table);
  return status;
}

/* Is there no row at hand in this batch? */
static int is_empty(const map_cursor *c) {
  return is_free(c->definition) ? c->batch == NULL : c->row >= c->rows;
}

/* Check that the row at hand has what came back beside it, and the last row nothing
 * after it. */
static pyb_status check_row(map_cursor *c, pyb_error *error) {
  if (is_free(c->definition))
    return PYB_OK;
  if (c->row < c->rows)
    return c->skipped[c->row] || c->batch != NULL ? PYB_OK : refuse_rows(c, error);
  return c->batch == NULL ? PYB_OK : refuse_rows(c, error);
}

/* Fill batches until there is a row, or no more of them. */
static pyb_status refill(map_cursor *c, pyb_error *error) {
  pyb_status status;

  do {
    status = fill(c, error);
  } while (status == PYB_OK && is_empty(c) && !c->done);
  return status == PYB_OK ? check_row(c, error) : status;
}

/* ---- Scanning ------------------------------------------------------------------- */

static int open_map(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  map_cursor *c = sqlite3_malloc(sizeof *c);

  (void)base;
  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  c->done = 1;
  *opened = &c->base;
  return SQLITE_OK;
}

static int close_map(sqlite3_vtab_cursor *base) {
  clear((map_cursor *)base);
  sqlite3_free(base);
  return SQLITE_OK;
}

/* Part the query's columns into those that are kept and those that are passed on. */
static pyb_status part_columns(map_cursor *c, pyb_error *error) {
  const pyb__definition *d = c->definition;
  int n = sqlite3_column_count(c->query);

  c->args = sqlite3_malloc64(((size_t)n + 1) * sizeof *c->args);
  c->keep = sqlite3_malloc64((d->keep.n + 1) * sizeof *c->keep);
  c->order = sqlite3_malloc64((d->columns.n + 1) * sizeof *c->order);
  if (c->args == NULL || c->keep == NULL || c->order == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < d->keep.n; i++)
    c->keep[i] = -1;
  for (int i = 0; i < n; i++) {
    const char *name = sqlite3_column_name(c->query, i);
    int kept = 0;
    for (size_t j = 0; j < d->keep.n && name != NULL && !kept; j++)
      if (c->keep[j] < 0 && sqlite3_stricmp(name, d->keep.names[j]) == 0) {
        c->keep[j] = i;
        kept = 1;
      }
    if (!kept)
      c->args[c->n_args++] = i;
  }
  for (size_t i = 0; i < d->keep.n; i++)
    if (c->keep[i] < 0)
      return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "the query has no column \"%s\" to keep",
                                d->keep.names[i]);
  if (c->n_args == 0 || (d->arity >= 0 && d->arity != c->n_args))
    return pyb__sqlite_refuse(
        error, PYB_BAD_ARGUMENT, "the query has %d column%s to pass on, wanted %s%d",
        c->n_args, PYB__S(c->n_args), d->arity > 0 ? "" : "at least ",
        d->arity > 0 ? d->arity : 1);
  return PYB_OK;
}

/* Prepare the query: one statement that only reads. */
static pyb_status prepare(map_cursor *c, const char *sql, pyb_error *error) {
  sqlite3 *db = c->definition->host->db;
  const char *rest = NULL;
  int code = sqlite3_prepare_v2(db, sql, -1, &c->query, &rest);

  if (code != SQLITE_OK)
    return pyb__sqlite_error(db, code, error);
  if (c->query == NULL || sqlite3_column_count(c->query) == 0 ||
      !sqlite3_stmt_readonly(c->query) || rest[strspn(rest, " \t\r\n;")] != '\0')
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "one statement that reads is wanted, not \"%s\"", sql);
  if (sqlite3_bind_parameter_count(c->query) != 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "the query has parameters, and there is no way to bind "
                              "them");
  return PYB_OK;
}

static int same_names(const pyb__names *one, const pyb__names *other) {
  for (size_t i = 0; i < one->n && i < other->n; i++)
    if (strcmp(one->names[i], other->names[i]) != 0)
      return 0;
  return one->n == other->n;
}

/* Give the cursor the newest definition: the statement may have been prepared under an
 * older one. Where that had other columns SQLite prepares the statement again, which
 * starts it anew: only sound when it cannot have given rows before the change. */
static int take_newest(map_cursor *c, map_table *table) {
  pyb__definition *d = table->slot->definition;
  pyb_error error;

  if (d == NULL)
    return refuse_dropped(&table->base.zErrMsg, table->slot->name);
  if (!same_names(&d->columns, &table->definition->columns) ||
      !same_names(&d->keep, &table->definition->keep)) {
    if (d->alone)
      return SQLITE_SCHEMA;
    pyb__sqlite_refuse(&error, PYB_HOST,
                       "was defined with other columns while this statement ran");
    return fail(&table->base, d, &error);
  }
  if (d != table->definition) {
    pyb__definition_give(table->definition);
    table->definition = pyb__definition_take(d);
  }
  c->definition = pyb__definition_take(d);
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                  sqlite3_value **argv) {
  map_cursor *c = (map_cursor *)base;
  const char *sql = argc > 0 ? (const char *)sqlite3_value_text(argv[0]) : NULL;
  pyb_error error;
  pyb_status status;
  int code;

  (void)plan, (void)text;
  clear(c);
  code = take_newest(c, (map_table *)base->pVtab);
  if (code != SQLITE_OK || sql == NULL) /* no query, no rows */
    return code;
  status = prepare(c, sql, &error);
  if (status == PYB_OK)
    status = part_columns(c, &error);
  c->done = status != PYB_OK;
  if (status == PYB_OK)
    status = refill(c, &error);
  return status == PYB_OK ? SQLITE_OK : fail(base->pVtab, c->definition, &error);
}

static int next(sqlite3_vtab_cursor *base) {
  map_cursor *c = (map_cursor *)base;
  int was_passed = is_free(c->definition) || !c->skipped[c->row];
  pyb_status status = PYB_OK;
  pyb_error error;

  c->row++;
  c->number++;
  if (was_passed)
    status = next_mapped(c, &error);
  if (status == PYB_OK)
    status = check_row(c, &error);
  if (status == PYB_OK && is_empty(c))
    status = refill(c, &error);
  return status == PYB_OK ? SQLITE_OK : fail(base->pVtab, c->definition, &error);
}

static int at_end(sqlite3_vtab_cursor *base) {
  map_cursor *c = (map_cursor *)base;

  return is_empty(c) && c->done;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  map_cursor *c = (map_cursor *)base;
  const pyb__definition *d = c->definition;
  int keep = (int)d->keep.n;

  if (i < keep)
    sqlite3_result_value(context, c->kept[c->row * keep + i]);
  else if (i < keep + (int)d->columns.n && (is_free(d) || !c->skipped[c->row]))
    /* Transient: the batch goes while min() or an order by may hold its text. */
    pyb__cell_dump(context, &c->batch->cells[c->order[i - keep]], c->batch_row,
                   SQLITE_TRANSIENT);
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  *number = ((map_cursor *)base)->number + 1;
  return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = connect_map,
    .xBestIndex = best_index,
    .xDisconnect = disconnect_map,
    .xOpen = open_map,
    .xClose = close_map,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = rowid,
};

int pyb__sqlite_vectorize(sqlite3 *db, pyb__slot *slot) {
  return sqlite3_create_module_v2(db, slot->name, &module, pyb__slot_take(slot),
                                  pyb__slot_give);
}
