/* listings.c: what is known of snapshots and runs, as table-valued functions.
 *
 *     select name, type, size from py_context_items(3) order by size desc;
 *
 * Each is made when a scan begins, as JSON text, which SQLite itself takes apart. The
 * arguments are hidden columns, so that they may also come from a join. */
#include <string.h>

#include "sqlite.h"

enum { MOST_COLUMNS = 12, MOST_ARGUMENTS = 5 };

typedef struct listing {
  const char *name;
  const char *columns[MOST_COLUMNS + 1];     /* with types; the members of the JSON */
  const char *arguments[MOST_ARGUMENTS + 1]; /* hidden columns */
  int required;                              /* of the arguments, the first so many */
  const char *path;                          /* in the JSON text, to the array */
  pyb_status (*make)(pyb__sqlite *host, const char *const *texts, const char *store,
                     pyb_value *json, pyb_error *error);
} listing;

typedef struct table {
  sqlite3_vtab base;
  pyb__sqlite *host; /* a reference */
  const listing *is;
} table;

typedef struct cursor {
  sqlite3_vtab_cursor base;
  pyb_value json;
  sqlite3_stmt *rows; /* over it */
  int at_end;
  sqlite3_int64 row;
  sqlite3_value *arguments[MOST_ARGUMENTS]; /* NULL = not given */
} cursor;

/* ---- The listings --------------------------------------------------------------- */

static pyb_status make_contexts(pyb__sqlite *host, const char *const *texts,
                                const char *store, pyb_value *json, pyb_error *error) {
  (void)texts;
  return pyb_list_contexts(&host->session, store, json, error);
}

static pyb_status make_items(pyb__sqlite *host, const char *const *texts,
                             const char *store, pyb_value *json, pyb_error *error) {
  return pyb_describe_context(&host->session, texts[0], store, json, error);
}

static pyb_status make_search(pyb__sqlite *host, const char *const *texts,
                              const char *store, pyb_value *json, pyb_error *error) {
  return pyb_search_contexts(&host->session, texts[0], texts[1], texts[2], texts[3],
                             texts[4], store, json, error);
}

static pyb_status make_diff(pyb__sqlite *host, const char *const *texts,
                            const char *store, pyb_value *json, pyb_error *error) {
  return pyb_diff_contexts(&host->session, texts[0], texts[1], store, json, error);
}

static pyb_status make_inspect(pyb__sqlite *host, const char *const *texts,
                               const char *store, pyb_value *json, pyb_error *error) {
  return pyb_inspect_context(&host->session, texts[0], store, json, error);
}

static pyb_status make_runs(pyb__sqlite *host, const char *const *texts,
                            const char *store, pyb_value *json, pyb_error *error) {
  (void)store;
  return pyb_list_runs(&host->session, texts[0], json, error);
}

static const listing listings[] = {
    {"py_runs",
     {"id text", "project text", "function text", "action text", "state text",
      "created text", "started text", "ended text", "seconds real", "attempts integer",
      "message text", "key text"},
     {"in_project"},
     0,
     "$",
     make_runs},
    {"py_contexts",
     {"id integer", "name text", "description text", "created text", "python text",
      "modules integer", "functions integer", "variables integer", "items integer",
      "size integer", "signature text"},
     {NULL},
     0,
     "$",
     make_contexts},
    {"py_context_items",
     {"kind text", "name text", "type text", "size integer", "preview text",
      "json text", "saved integer", "reason text"},
     {"snapshot"},
     0,
     "$.items",
     make_items},
    {"py_search",
     {"id integer", "snapshot text", "created text", "kind text", "name text",
      "type text", "size integer", "preview text", "json text"},
     {"by_name", "by_type", "by_text", "after", "before"},
     0,
     "$",
     make_search},
    {"py_diff",
     {"kind text", "name text", "change text", "before text", "after text"},
     {"a", "b"},
     2,
     "$",
     make_diff},
    {"py_inspect",
     {"item text", "module text", "name text", "known integer"},
     {"snapshot"},
     1,
     "$",
     make_inspect},
};

/* How many columns are not hidden: the arguments come behind them. */
static int visible(const listing *is) {
  int n = 0;

  while (is->columns[n] != NULL)
    n++;
  return n;
}

/* ---- The table ------------------------------------------------------------------ */

static int fail(table *t, const pyb_error *error) {
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = pyb__sqlite_words(t->is->name, error);
  return pyb__sqlite_code(error->status);
}

static int disconnect(sqlite3_vtab *base) {
  table *t = (table *)base;

  pyb__sqlite_give(t->host);
  sqlite3_free(t);
  return SQLITE_OK;
}

/* The text that declares the columns, of sqlite3_malloc. */
static char *declaration(sqlite3 *db, const listing *is) {
  sqlite3_str *text = sqlite3_str_new(db);

  for (int i = 0; is->columns[i] != NULL; i++)
    sqlite3_str_appendf(text, "%s%s", i == 0 ? "create table x(" : ", ",
                        is->columns[i]);
  for (int i = 0; is->arguments[i] != NULL; i++)
    sqlite3_str_appendf(text, ", %s hidden", is->arguments[i]);
  sqlite3_str_appendall(text, ")");
  return sqlite3_str_finish(text);
}

/* The query that takes the JSON text ?1 apart, of sqlite3_malloc. */
static char *query(sqlite3 *db, const listing *is) {
  sqlite3_str *text = sqlite3_str_new(db);

  for (int i = 0; is->columns[i] != NULL; i++)
    sqlite3_str_appendf(text, "%s json_extract(value, '$.%.*s')",
                        i == 0 ? "select" : ",", (int)strcspn(is->columns[i], " "),
                        is->columns[i]);
  sqlite3_str_appendf(text, " from json_each(?1, '%s')", is->path);
  return sqlite3_str_finish(text);
}

/* xConnect alone makes it a table-valued function, and nothing to be created. */
static int connect_listing(sqlite3 *db, void *data, int argc, const char *const *argv,
                           sqlite3_vtab **made, char **message) {
  const listing *is = listings;
  char *declared;
  table *t;
  int code;

  (void)argc;
  (void)message;
  while (strcmp(is->name, argv[0]) != 0)
    is++;
  declared = declaration(db, is);
  code = declared != NULL ? sqlite3_declare_vtab(db, declared) : SQLITE_NOMEM;
  sqlite3_free(declared);
  if (code != SQLITE_OK)
    return code;
  t = sqlite3_malloc(sizeof *t);
  if (t == NULL)
    return SQLITE_NOMEM;
  memset(t, 0, sizeof *t);
  t->host = pyb__sqlite_take(data);
  t->is = is;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *made = &t->base;
  return SQLITE_OK;
}

/* Each argument is wanted as a value: where a plan has it not, another is chosen. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
  const listing *is = ((table *)base)->is;
  int n = 0, given = 0;

  for (int argument = 0; is->arguments[argument] != NULL; argument++)
    for (int i = 0; i < info->nConstraint; i++) {
      if (info->aConstraint[i].iColumn != visible(is) + argument ||
          info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
        continue;
      if (!info->aConstraint[i].usable)
        return SQLITE_CONSTRAINT;
      info->aConstraintUsage[i].argvIndex = ++n;
      info->aConstraintUsage[i].omit = 1;
      given |= 1 << argument;
      break;
    }
  info->idxNum = given;
  info->estimatedCost = 1000;
  info->estimatedRows = 100;
  return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **opened) {
  cursor *c = sqlite3_malloc(sizeof *c);

  (void)base;
  if (c == NULL)
    return SQLITE_NOMEM;
  memset(c, 0, sizeof *c);
  *opened = &c->base;
  return SQLITE_OK;
}

static void empty(cursor *c) {
  sqlite3_finalize(c->rows);
  c->rows = NULL;
  pyb_value_release(&c->json);
  for (int i = 0; i < MOST_ARGUMENTS; i++) {
    sqlite3_value_free(c->arguments[i]);
    c->arguments[i] = NULL;
  }
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  empty((cursor *)base);
  sqlite3_free(base);
  return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
  cursor *c = (cursor *)base;
  int code = sqlite3_step(c->rows);

  c->at_end = code != SQLITE_ROW;
  c->row++;
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Take over the arguments; texts[i] = NULL where one is NULL or not given. */
static pyb_status take_arguments(cursor *c, const listing *is, int given,
                                 sqlite3_value **argv, const char **texts,
                                 pyb_error *error) {
  for (int i = 0; is->arguments[i] != NULL; i++) {
    if (!(given & 1 << i))
      continue;
    c->arguments[i] = sqlite3_value_dup(*argv++);
    if (c->arguments[i] == NULL)
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    if (sqlite3_value_type(c->arguments[i]) == SQLITE_NULL)
      continue;
    texts[i] = (const char *)sqlite3_value_text(c->arguments[i]);
    if (texts[i] == NULL)
      return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    if (strlen(texts[i]) != (size_t)sqlite3_value_bytes(c->arguments[i]))
      return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                                "%s has a NUL character inside", is->arguments[i]);
  }
  for (int i = 0; i < is->required; i++)
    if (texts[i] == NULL)
      return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "%s is missing",
                                is->arguments[i]);
  return PYB_OK;
}

static int filter(sqlite3_vtab_cursor *base, int given, const char *unused, int argc,
                  sqlite3_value **argv) {
  cursor *c = (cursor *)base;
  table *t = (table *)base->pVtab;
  const char *texts[MOST_ARGUMENTS] = {NULL};
  const char *store = t->host->store[0] != '\0' ? t->host->store : NULL;
  pyb_error error;
  char *sql;
  int code;

  (void)unused;
  (void)argc;
  empty(c);
  c->row = 0;
  if (take_arguments(c, t->is, given, argv, texts, &error) != PYB_OK ||
      t->is->make(t->host, texts, store, &c->json, &error) != PYB_OK)
    return fail(t, &error);
  sql = query(t->host->db, t->is);
  code = sql != NULL ? sqlite3_prepare_v2(t->host->db, sql, -1, &c->rows, NULL)
                     : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (code == SQLITE_OK)
    code = sqlite3_bind_text64(c->rows, 1, c->json.data, c->json.size, SQLITE_STATIC,
                               SQLITE_UTF8);
  return code == SQLITE_OK ? next(base) : code;
}

static int at_end(sqlite3_vtab_cursor *base) {
  return ((cursor *)base)->at_end;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
  cursor *c = (cursor *)base;
  int argument = i - visible(((table *)base->pVtab)->is);

  if (argument < 0)
    sqlite3_result_value(context, sqlite3_column_value(c->rows, i));
  else if (c->arguments[argument] != NULL)
    sqlite3_result_value(context, c->arguments[argument]);
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *number) {
  *number = ((cursor *)base)->row;
  return SQLITE_OK;
}

static const sqlite3_module module = {
    .xConnect = connect_listing,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = rowid,
};

int pyb__sqlite_register_listings(pyb__sqlite *host) {
  int code = SQLITE_OK;

  for (size_t i = 0; i < sizeof listings / sizeof *listings && code == SQLITE_OK; i++)
    code = sqlite3_create_module_v2(host->db, listings[i].name, &module,
                                    pyb__sqlite_take(host), pyb__sqlite_give);
  return code;
}
