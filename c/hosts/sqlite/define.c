/* define.c: py_define, a Python callable as an SQL function.
 *
 *     select py_define('double', 'scalar', 'lambda x: 2 * x', '{"arity": 1}');
 *
 * SQLite does not let a registered function be changed while a statement runs, and the
 * one that calls py_define runs. So what is registered is a slot, which stays until the
 * connection closes, and a definition is what the slot holds at present. A name has one
 * slot, registered for each number of arguments it was ever defined with.
 */
#include <alloca.h>
#include <string.h>

#include "define.h"

#define NAME "py_define"
#define LONGEST_NAME 255 /* of a function, in bytes */

#define INLINE inline __attribute__((always_inline))
/* As PYB__ROW of c/python/gate.h, which says why. */
#define ROW __attribute__((hot, aligned(64)))

typedef pyb__slot slot;

typedef struct registry {
  pyb__sqlite *host; /* a reference */
  slot *first;
} registry;

/* ---- Owners --------------------------------------------------------------------- */

pyb__definition *pyb__definition_take(pyb__definition *definition) {
  definition->references++;
  return definition;
}

void pyb__definition_give(void *data) {
  pyb__definition *d = data;

  if (d == NULL || --d->references > 0)
    return;
  pyb_object_release(d->object);
  pyb__names_release(&d->columns);
  pyb__names_release(&d->keep);
  sqlite3_free(d->name);
  pyb__sqlite_give(d->host);
  sqlite3_free(d);
}

pyb__slot *pyb__slot_take(pyb__slot *s) {
  s->references++;
  return s;
}

void pyb__slot_give(void *data) {
  slot *s = data;

  if (--s->references > 0)
    return;
  pyb__definition_give(s->definition);
  sqlite3_free(s->shape);
  sqlite3_free(s->name);
  sqlite3_free(s);
}

static void release_registry(void *data) {
  registry *r = data;

  while (r->first != NULL) {
    slot *s = r->first;
    r->first = s->next;
    pyb__slot_give(s);
  }
  pyb__sqlite_give(r->host);
  sqlite3_free(r);
}

/* ---- Calls of every kind -------------------------------------------------------- */

/* The definition that a call with n arguments goes to, or NULL and an error. */
static inline pyb__definition *current(sqlite3_context *context, const slot *s, int n) {
  pyb__definition *d = s->definition;

  if (__builtin_expect(d != NULL, 1) && (n == d->arity || n < 0 || d->arity < 0))
    return d;
  if (d == NULL)
    pyb__sqlite_say(context, s->name, PYB_UNDEFINED,
                    "has been dropped; define it again");
  else
    pyb__sqlite_say(context, s->name, PYB_BAD_ARGUMENT,
                    "is defined with %d argument%s, %d came", d->arity,
                    PYB__S(d->arity), n);
  return NULL;
}

static int any_null(int n, sqlite3_value **args) {
  for (int i = 0; i < n; i++)
    if (sqlite3_value_type(args[i]) == SQLITE_NULL && pyb__sqlite_object(args[i]) == 0)
      return 1;
  return 0;
}

/* What comes of loading arguments: NONE = there is nothing to call, as an error has
 * been set, or one of them is NULL and NULLs are not passed on; NAMED = the last one is
 * a keyword argument. */
enum { NONE, LOADED, NAMED };

static void refuse_keyword(sqlite3_context *context, const char *name,
                           sqlite3_value *value) {
  pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                  "keyword \"%s\" has to stand behind all other arguments of a "
                  "scalar function",
                  pyb__sqlite_keyword(value)->name);
}

/* Load argument i, which is no number. */
static int load_other(sqlite3_context *context, const char *name, int n,
                      sqlite3_value **args, int i, int nulls, pyb_value *loaded) {
  if (pyb__sqlite_load(args[i], loaded) != PYB_OK) {
    pyb__sqlite_say(context, name, PYB_NO_MEMORY, "out of memory");
    return NONE;
  }
  if (loaded->type != PYB_NULL)
    return LOADED;
  /* Keyword arguments come last, and are NULL to all who do not ask. */
  if (pyb__sqlite_keyword(args[i]) == NULL)
    return nulls ? LOADED : NONE;
  if (pyb__sqlite_keyword(args[n - 1]) != NULL)
    return NAMED;
  refuse_keyword(context, name, args[i]);
  return NONE;
}

/* Load n values. Numbers and text are loaded here, as they come most often. */
static INLINE int load_all(sqlite3_context *context, const char *name, int n,
                           sqlite3_value **args, int nulls, pyb_value *loaded) {
  for (int i = 0; i < n; i++) {
    int came = LOADED;

    switch (sqlite3_value_type(args[i])) {
    case SQLITE_INTEGER:
      loaded[i].type = PYB_INT64;
      loaded[i].integer = sqlite3_value_int64(args[i]);
      break;
    case SQLITE_FLOAT:
      loaded[i].type = PYB_FLOAT64;
      loaded[i].real = sqlite3_value_double(args[i]);
      break;
    case SQLITE_TEXT:
      /* The text before its size: asking for it may change the encoding. */
      loaded[i].type = PYB_TEXT;
      loaded[i].data = (const char *)sqlite3_value_text(args[i]);
      loaded[i].size = (size_t)sqlite3_value_bytes(args[i]);
      if (loaded[i].data != NULL)
        break;
      /* fall through */
    default:
      came = load_other(context, name, n, args, i, nulls, &loaded[i]);
    }
    if (came != LOADED)
      return came;
  }
  return LOADED;
}

/* ---- Scalar --------------------------------------------------------------------- */

/* Load n arguments of which some may be keyword arguments, or JSON. Returns how many
 * are named, or -1 when there is nothing to call: as load_all. */
static int load_named(sqlite3_context *context, const slot *s, int n,
                      sqlite3_value **args, pyb_value *loaded, const char **names) {
  const pyb__definition *d = s->definition;
  int n_names = 0, null = 0;

  for (int i = 0; i < n; i++) {
    const pyb__sqlite_named *named = pyb__sqlite_keyword(args[i]);
    sqlite3_value *value = named != NULL ? named->value : args[i];

    if (named != NULL) {
      names[n_names++] = named->name;
      if (!pyb__sqlite_keyword_once(context, s->name, names, (size_t)n_names))
        return -1;
    } else if (n_names != 0) {
      pyb__sqlite_say(context, s->name, PYB_BAD_ARGUMENT,
                      "argument %d has no name but comes after keyword \"%s\"", i + 1,
                      names[n_names - 1]);
      return -1;
    }
    if (pyb__sqlite_load(value, &loaded[i]) != PYB_OK) {
      pyb__sqlite_say(context, s->name, PYB_NO_MEMORY, "out of memory");
      return -1;
    }
    null |= loaded[i].type == PYB_NULL;
    if (d->json && loaded[i].type == PYB_TEXT &&
        sqlite3_value_subtype(value) == PYB__SQLITE_JSON)
      loaded[i].type = PYB_JSON;
  }
  return null && !d->special ? -1 : n_names;
}

/* The way of calls that have keyword arguments, or take and give JSON. */
static void call_named(sqlite3_context *context, const slot *s, int n,
                       sqlite3_value **args, pyb_value *loaded) {
  const pyb__definition *d = s->definition;
  const char **names = alloca(((size_t)n + 1) * sizeof *names);
  int n_names = load_named(context, s, n, args, loaded, names);
  pyb_value result;
  pyb_error error;

  if (n_names < 0)
    return;
  if (pyb_object_call_named(&d->host->session, d->object, loaded, (size_t)n, names,
                            (size_t)n_names, d->json, &result, &error) != PYB_OK)
    pyb__sqlite_fail(context, s->name, &error);
  else
    pyb__sqlite_dump(context, s->name, &result);
}

/* The usual way. Returns NAMED where the other one has to be taken. */
static INLINE int call_plain(sqlite3_context *context, const slot *s, int n,
                             sqlite3_value **args, pyb_value *loaded) {
  const pyb__definition *d = s->definition;
  int came = load_all(context, s->name, n, args, d->special, loaded);
  pyb_value result;
  pyb_error error;

  if (came != LOADED)
    return came;
  /* From here on the name is the slot's: the callable may define it anew. */
  if (pyb_object_call_row(&d->host->session, d->object, loaded, (size_t)n, &result,
                          &error) != PYB_OK)
    pyb__sqlite_fail(context, s->name, &error);
  else if (result.type == PYB_INT64)
    sqlite3_result_int64(context, result.integer);
  else
    pyb__sqlite_dump_lent(context, s->name, &result);
  return LOADED;
}

static __attribute__((noinline)) void call_any(sqlite3_context *context, const slot *s,
                                               int n, sqlite3_value **args) {
  pyb_value loaded[n + 1];

  if (s->definition->json || call_plain(context, s, n, args, loaded) == NAMED)
    call_named(context, s, n, args, loaded);
}

ROW static void call_scalar(sqlite3_context *context, int n, sqlite3_value **args) {
  const slot *s = sqlite3_user_data(context);
  const pyb__definition *d = current(context, s, n);
  pyb_value loaded[1];

  if (d == NULL)
    return;
  /* One argument on its own, as most have one, and a row is soon done. */
  if (n != 1 || d->json || call_plain(context, s, 1, args, loaded) == NAMED)
    call_any(context, s, n, args);
}

/* ---- Aggregate and window ------------------------------------------------------- */

/* How many columns are found without a call; more are fine. */
#define NEAR 4

/* One group. All zeros at first, as SQLite makes it. */
typedef struct group {
  pyb__definition *definition; /* a reference: that of the first row holds */
  pyb_object *instance;        /* of a class */
  pyb_table *table;            /* of whole columns */
  int n;                       /* columns of the table */
  int failed;                  /* an error has been set: there is no result to make */
  pyb_column *columns[NEAR];
} group;

static void fail(sqlite3_context *context, group *g, const slot *s,
                 const pyb_error *error) {
  g->failed = 1;
  pyb__sqlite_fail(context, s->name, error);
}

static void refuse(sqlite3_context *context, group *g, const slot *s, pyb_status status,
                   const char *message) {
  g->failed = 1;
  pyb__sqlite_say(context, s->name, status, "%s", message);
}

/* Make the group what its definition wants: an instance, or a table of n columns. */
static int begin_group(sqlite3_context *context, group *g, const slot *s, int n) {
  pyb__definition *d = current(context, s, n);
  pyb_error error;
  pyb_status status;

  g->failed = 1;
  if (d == NULL)
    return 0;
  if (d->whole && n == 0)
    status = pyb__sqlite_refuse(&error, PYB_BAD_ARGUMENT, "wants a column at least");
  else if (d->whole)
    status = pyb_table_new((size_t)n, &g->table, &error);
  else
    status = pyb_object_new(&d->host->session, d->object, &g->instance, &error);
  if (status != PYB_OK) {
    pyb__sqlite_fail(context, s->name, &error);
    return 0;
  }
  for (int i = 0; d->whole && i < n && i < NEAR; i++)
    g->columns[i] = pyb_table_column(g->table, (size_t)i);
  g->n = n;
  g->failed = 0;
  g->definition = pyb__definition_take(d);
  return 1;
}

static void end_group(group *g) {
  pyb_object_release(g->instance);
  pyb_table_release(g->table);
  pyb__definition_give(g->definition);
  memset(g, 0, sizeof *g);
}

/* Call a method of the group's instance; its result becomes the SQL result where one is
 * wanted. */
static void invoke(sqlite3_context *context, group *g, const slot *s,
                   const char *method, int n, sqlite3_value **args, int wanted) {
  pyb_value loaded[n + 1], result;
  pyb_error error;
  int came;

  loaded[0] = PYB_EMPTY; /* where there are none */
  came = load_all(context, s->name, n, args, 1, loaded);
  if (came == NAMED)
    refuse_keyword(context, s->name, args[n - 1]);
  if (came != LOADED)
    g->failed = 1;
  else if (pyb_object_invoke(&g->definition->host->session, g->instance, method, loaded,
                             (size_t)n, wanted ? &result : NULL, &error) != PYB_OK)
    fail(context, g, s, &error);
  else if (wanted)
    pyb__sqlite_dump(context, s->name, &result);
}

/* Append one cell. */
static inline pyb_status append(pyb_column *column, sqlite3_value *value) {
  const char *data;

  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    return pyb_column_int64(column, sqlite3_value_int64(value));
  case SQLITE_FLOAT:
    return pyb_column_float64(column, sqlite3_value_double(value));
  case SQLITE_TEXT:
    data = (const char *)sqlite3_value_text(value);
    return data == NULL
               ? PYB_NO_MEMORY
               : pyb_column_text(column, data, (size_t)sqlite3_value_bytes(value));
  case SQLITE_BLOB:
    data = sqlite3_value_blob(value);
    return pyb_column_blob(column, data, (size_t)sqlite3_value_bytes(value));
  default:
    return pyb_column_null(column);
  }
}

static void append_row(sqlite3_context *context, group *g, const slot *s, int n,
                       sqlite3_value **args) {
  for (int i = 0; i < n; i++) {
    pyb_column *column =
        i < NEAR ? g->columns[i] : pyb_table_column(g->table, (size_t)i);
    if (append(column, args[i]) != PYB_OK) {
      refuse(context, g, s, PYB_NO_MEMORY, "out of memory");
      return;
    }
  }
}

/* Number cells of a function of one column are appended here, with as little around
 * them as the built-in sum() has. */
static inline int append_number(group *g, sqlite3_value *value) {
  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    return pyb_column_int64(g->columns[0], sqlite3_value_int64(value)) == PYB_OK;
  case SQLITE_FLOAT:
    return pyb_column_float64(g->columns[0], sqlite3_value_double(value)) == PYB_OK;
  default:
    return 0;
  }
}

static void step(sqlite3_context *context, int n, sqlite3_value **args) {
  group *g = sqlite3_aggregate_context(context, sizeof *g);
  const slot *s;

  if (g == NULL) {
    sqlite3_result_error_nomem(context);
    return;
  }
  if (g->n == 1 && g->table != NULL && append_number(g, args[0]))
    return;
  s = sqlite3_user_data(context);
  if (g->definition == NULL && !begin_group(context, g, s, n))
    return;
  if (!g->definition->special && any_null(n, args))
    return;
  if (g->table != NULL)
    append_row(context, g, s, n, args);
  else
    invoke(context, g, s, "step", n, args, 0);
}

/* Is the group that of a window? Else it is used with over, and cannot be. */
static int is_window(sqlite3_context *context, group *g, const slot *s) {
  if (g->definition->kind == PYB__WINDOW)
    return 1;
  refuse(context, g, s, PYB_BAD_ARGUMENT,
         "is an aggregate; define it with kind window to use it with over");
  return 0;
}

static void inverse(sqlite3_context *context, int n, sqlite3_value **args) {
  const slot *s = sqlite3_user_data(context);
  group *g = sqlite3_aggregate_context(context, sizeof *g);

  if (g != NULL && g->definition != NULL && is_window(context, g, s) &&
      (g->definition->special || !any_null(n, args)))
    invoke(context, g, s, "inverse", n, args, 0);
}

/* The value of the window at present: also of one that no row has entered yet. */
static void value(sqlite3_context *context) {
  const slot *s = sqlite3_user_data(context);
  group *g = sqlite3_aggregate_context(context, sizeof *g);

  if (g == NULL)
    sqlite3_result_error_nomem(context);
  else if ((g->definition != NULL || begin_group(context, g, s, -1)) &&
           is_window(context, g, s))
    invoke(context, g, s, "value", 0, NULL, 1);
}

/* Call the function of whole columns. Without a single row it is not called by
 * default; with null special it gets columns of no rows. */
static void finish_whole(sqlite3_context *context, group *g, const slot *s) {
  const pyb__definition *d = g->definition;
  struct ArrowArrayStream rows = {0};
  pyb_table *table = g->table;
  pyb_value result;
  pyb_error error;

  if (pyb_table_column(table, 0)->length == 0 && !d->special)
    return;
  g->table = NULL;
  if (pyb_table_finish(table, &rows, &error) != PYB_OK ||
      pyb_object_apply(&d->host->session, d->object, &rows, &result, &error) != PYB_OK)
    fail(context, g, s, &error);
  else
    pyb__sqlite_dump(context, s->name, &result);
}

/* Make a group that no row has entered: an instance, or columns of no rows where their
 * number is known and the function wants to see them. */
static void begin_empty(sqlite3_context *context, group *g, const slot *s) {
  const pyb__definition *d = current(context, s, -1);

  if (d != NULL && (!d->whole || (d->arity > 0 && d->special)))
    (void)begin_group(context, g, s, d->arity);
}

/* The end of a group: of one that failed or was given up, too. */
static void finish(sqlite3_context *context) {
  const slot *s = sqlite3_user_data(context);
  group *g = sqlite3_aggregate_context(context, 0), empty = {0};

  if (g == NULL)
    g = &empty;
  if (g->definition == NULL && !g->failed)
    begin_empty(context, g, s);
  if (g->definition != NULL && !g->failed) {
    if (g->table != NULL)
      finish_whole(context, g, s);
    else
      invoke(context, g, s, "finish", 0, NULL, 1);
  }
  end_group(g);
}

/* ---- Slots ---------------------------------------------------------------------- */

/* Functions and table-valued functions are two kinds of names for SQL, and here. */
static slot *find(const registry *r, const char *name, pyb__kind kind) {
  for (slot *s = r->first; s != NULL; s = s->next)
    if (sqlite3_stricmp(s->name, name) == 0 &&
        (s->kind == PYB__VECTORIZED) == (kind == PYB__VECTORIZED))
      return s;
  return NULL;
}

/* Does SQLite, or another extension, have a module of this name? */
static int module_taken(sqlite3 *db, const char *name) {
  sqlite3_stmt *statement = NULL;
  int found = 0;

  if (sqlite3_prepare_v2(
          db, "select 1 from pragma_module_list where name = ?1 collate nocase", -1,
          &statement, NULL) == SQLITE_OK &&
      sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK)
    found = sqlite3_step(statement) == SQLITE_ROW;
  sqlite3_finalize(statement);
  return found;
}

/* The same of a function. Its compiler is asked, which looks the name up; to go through
 * the list of all functions takes seconds where a script defines thousands. */
static int taken(sqlite3 *db, const char *name, pyb__kind kind) {
  sqlite3_stmt *statement = NULL;
  char *sql;
  int code = SQLITE_NOMEM, found;

  if (kind == PYB__VECTORIZED)
    return module_taken(db, name);
  sql = sqlite3_mprintf("select \"%w\"()", name);
  if (sql != NULL)
    code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  found =
      code == SQLITE_OK || (code != SQLITE_NOMEM &&
                            strncmp(sqlite3_errmsg(db), "no such function", 16) != 0);
  sqlite3_finalize(statement);
  sqlite3_free(sql);
  return found;
}

/* Scalars may take JSON as such and make it, which newer ones of SQLite want to know.
 */
#ifndef SQLITE_RESULT_SUBTYPE
#define SQLITE_RESULT_SUBTYPE 0x1000000
#endif

static int flags_of(const pyb__definition *d) {
  return SQLITE_UTF8 | (d->deterministic ? SQLITE_DETERMINISTIC : 0) |
         (d->kind == PYB__SCALAR ? SQLITE_SUBTYPE | SQLITE_RESULT_SUBTYPE : 0) |
         (d->innocuous ? SQLITE_INNOCUOUS : SQLITE_DIRECTONLY);
}

static pyb_status new_slot(registry *r, const pyb__definition *d, slot **made,
                           pyb_error *error) {
  slot *s;

  if (taken(r->host->db, d->name, d->kind))
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "'%s' is a function of this connection already; choose "
                              "another name",
                              d->name);
  s = sqlite3_malloc(sizeof *s);
  if (s != NULL) {
    memset(s, 0, sizeof *s);
    s->name = sqlite3_mprintf("%s", d->name);
  }
  if (s == NULL || s->name == NULL) {
    sqlite3_free(s);
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  }
  s->references = 1;
  s->kind = d->kind;
  s->flags = flags_of(d);
  s->next = r->first;
  r->first = s;
  *made = s;
  return PYB_OK;
}

/* Can the slot hold the definition? Kind and flags are SQLite's, for good. */
static int fits(const slot *s, const pyb__definition *d) {
  return (s->kind == PYB__SCALAR) == (d->kind == PYB__SCALAR) &&
         s->flags == flags_of(d);
}

/* Register the slot for so many arguments, if it is not yet. */
static pyb_status serve(sqlite3 *db, slot *s, int arity, pyb_error *error) {
  uint8_t *byte = &s->arities[(arity + 1) / 8];
  uint8_t bit = (uint8_t)(1u << ((arity + 1) % 8));
  int code;

  if ((size_t)(arity + 1) / 8 >= sizeof s->arities)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "arity %d is too large", arity);
  if (*byte & bit)
    return PYB_OK;
  pyb__slot_take(s); /* given back by SQLite, on failure too */
  if (s->kind == PYB__SCALAR)
    code = sqlite3_create_function_v2(db, s->name, arity, s->flags, s, call_scalar,
                                      NULL, NULL, pyb__slot_give);
  else
    code = sqlite3_create_window_function(db, s->name, arity, s->flags, s, step, finish,
                                          value, inverse, pyb__slot_give);
  if (code != SQLITE_OK)
    return pyb__sqlite_error(db, code, error);
  *byte |= bit;
  return PYB_OK;
}

/* Does no statement run but the one that calls py_define? */
static int is_alone(sqlite3 *db) {
  int busy = 0;

  for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
    busy += sqlite3_stmt_busy(s) != 0;
  return busy <= 1;
}

/* Register the slot as what its new definition is, where it is not that yet. To
 * register a table-valued function again stops statements that run, so only for other
 * columns. */
static pyb_status reserve(sqlite3 *db, slot *s, pyb__definition *d, pyb_error *error) {
  char *shape;
  int code;

  if (d->kind != PYB__VECTORIZED)
    return serve(db, s, d->arity, error);
  d->alone = is_alone(db);
  shape = pyb__vectorized_shape(d);
  if (shape == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (s->shape != NULL && strcmp(shape, s->shape) == 0) {
    sqlite3_free(shape);
    return PYB_OK;
  }
  code = pyb__sqlite_vectorize(db, s);
  if (code != SQLITE_OK) {
    sqlite3_free(shape);
    return pyb__sqlite_error(db, code, error);
  }
  sqlite3_free(s->shape);
  s->shape = shape;
  return PYB_OK;
}

/* Put the definition in its slot. */
static pyb_status define(registry *r, pyb__definition *d, pyb_error *error) {
  slot *s = find(r, d->name, d->kind);
  pyb_status status = PYB_OK;

  if (s == NULL)
    status = new_slot(r, d, &s, error);
  else if (s->references == 1) { /* a name that could not be registered then */
    s->kind = d->kind;
    s->flags = flags_of(d);
  } else if (d->kind != PYB__VECTORIZED && !fits(s, d))
    status = pyb__sqlite_refuse(
        error, PYB_HOST,
        "'%s' cannot change kind, deterministic or innocuous: SQLite is busy with a "
        "statement, if only with this one; choose another name or a new connection",
        d->name);
  if (status == PYB_OK)
    status = reserve(r->host->db, s, d, error);
  if (status != PYB_OK)
    return status;
  pyb__definition_give(s->definition);
  s->definition = pyb__definition_take(d);
  return PYB_OK;
}

static pyb_status drop(registry *r, const char *name, pyb__kind kind,
                       pyb_error *error) {
  slot *s = find(r, name, kind);

  if (s == NULL || s->definition == NULL)
    return pyb__sqlite_refuse(error, PYB_UNDEFINED, "'%s' is not defined", name);
  if (s->definition->kind != kind)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "'%s' is defined with another kind", name);
  pyb__definition_give(s->definition);
  s->definition = NULL;
  return PYB_OK;
}

/* ---- py_define(name, kind, callable, options) ----------------------------------- */

static pyb_status read_kind(const char *text, pyb__kind *kind, pyb_error *error) {
  static const char *const kinds[] = {"scalar", "aggregate", "window", "vectorized"};

  for (int i = 0; i < 4; i++)
    if (strcmp(text, kinds[i]) == 0) {
      *kind = (pyb__kind)i;
      return PYB_OK;
    }
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "kind \"%s\" is not known; choose scalar, aggregate, "
                            "window or vectorized",
                            text);
}

/* Does the object have the attribute? */
static pyb_status has(pyb__definition *d, const char *attribute, int *found,
                      pyb_error *error) {
  return pyb_object_has(&d->host->session, d->object, &attribute, 1, found, error);
}

/* Does the callable have what its kind wants? */
static pyb_status check_callable(pyb__definition *d, const char *callable,
                                 pyb_error *error) {
  static const char *const methods[] = {"__call__", "step", "finish", "inverse",
                                        "value"};
  int n = d->kind == PYB__WINDOW ? 5 : d->kind == PYB__AGGREGATE ? 3 : 1;
  int found[5] = {0};
  pyb_status status = PYB_OK;

  for (int i = 0; i < n && status == PYB_OK; i++)
    status = has(d, methods[i], &found[i], error);
  if (status != PYB_OK)
    return status;
  if (d->kind == PYB__AGGREGATE && found[0] && !found[1] && !found[2]) {
    d->whole = 1;
    return PYB_OK;
  }
  if (!found[0])
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "'%s' cannot be called; a function or class is wanted",
                              callable);
  for (int i = 1; i < n; i++)
    if (!found[i])
      return pyb__sqlite_refuse(
          error, PYB_BAD_ARGUMENT, "'%s' has no %s; %s", callable, methods[i],
          d->kind == PYB__WINDOW
              ? "a window function is a class with step, inverse, value and finish"
              : "an aggregate is a function of columns, or a class with step and "
                "finish");
  return PYB_OK;
}

/* Read what the call says into a new definition. */
static pyb_status read_definition(registry *r, const char *name, pyb__kind kind,
                                  const char *callable, const char *options,
                                  pyb__definition **read, pyb_error *error) {
  pyb__definition *d = sqlite3_malloc(sizeof *d);
  pyb_status status;

  *read = NULL;
  if (d == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  memset(d, 0, sizeof *d);
  d->references = 1;
  d->host = pyb__sqlite_take(r->host);
  d->kind = kind;
  d->name = sqlite3_mprintf("%s", name);
  status = d->name == NULL ? pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory")
                           : pyb__definition_options(d, options, error);
  if (status == PYB_OK)
    status = pyb_object_get(&r->host->session, callable, &d->object, error);
  if (status == PYB_OK)
    status = check_callable(d, callable, error);
  if (status == PYB_OK)
    *read = d;
  else
    pyb__definition_give(d);
  return status;
}

static void py_define(sqlite3_context *context, int n, sqlite3_value **args) {
  registry *r = sqlite3_user_data(context);
  const char *name, *kind_name, *callable, *options;
  pyb__definition *d = NULL;
  pyb__kind kind = PYB__SCALAR;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, NAME, n, args, 0, "name", &name) ||
      !pyb__sqlite_want(context, NAME, n, args, 1, "kind", &kind_name) ||
      !pyb__sqlite_optional(context, NAME, n, args, 2, "callable", &callable) ||
      !pyb__sqlite_optional(context, NAME, n, args, 3, "options", &options))
    return;
  status = read_kind(kind_name, &kind, &error);
  if (status == PYB_OK && strlen(name) > LONGEST_NAME)
    status = pyb__sqlite_refuse(&error, PYB_BAD_ARGUMENT,
                                "a name of %zu bytes is too long, SQLite takes %d",
                                strlen(name), LONGEST_NAME);
  if (status == PYB_OK && callable == NULL)
    status = drop(r, name, kind, &error);
  else if (status == PYB_OK) {
    status = read_definition(r, name, kind, callable, options, &d, &error);
    if (status == PYB_OK)
      status = define(r, d, &error);
    pyb__definition_give(d);
  }
  if (status != PYB_OK)
    pyb__sqlite_fail(context, NAME, &error);
}

int pyb__sqlite_register_define(pyb__sqlite *host) {
  registry *r = sqlite3_malloc(sizeof *r);
  int code;

  if (r == NULL)
    return SQLITE_NOMEM;
  memset(r, 0, sizeof *r);
  r->host = pyb__sqlite_take(host);
  code = sqlite3_create_function_v2(host->db, NAME, -1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                    r, py_define, NULL, NULL, release_registry);
  return code;
}
