/* object.c: the SQL functions that reach into Python objects.
 *
 *     select py_method(py_object('Person', 'Ada', 36), 'greet', 'hi');
 *
 * An object is a pointer value: NULL to all that does not know it, impossible to make
 * in SQL, and released by SQLite when the last place that holds it is overwritten or
 * the statement ends. What lives longer is kept under a number (py_keep), which only
 * the connection that has kept it can use. Results are values where SQL has one for
 * them, and objects otherwise. */
#include <stdlib.h>
#include <string.h>

#include "sqlite.h"

/* ---- Targets -------------------------------------------------------------------- */

pyb_status pyb__sqlite_target_of(pyb__sqlite *host, sqlite3_value *value,
                                 pyb__sqlite_target *target, pyb_error *error) {
  pyb_value loaded;

  *target = (pyb__sqlite_target){0};
  if (pyb__sqlite_load(value, &loaded) != PYB_OK)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (loaded.type == PYB_HANDLE) {
    target->handle = (pyb_handle)loaded.integer;
    return PYB_OK;
  }
  if (loaded.type == PYB_NULL)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "the object is NULL: None, or an object that did not "
                              "come here, as rows that are stored or sorted keep "
                              "none; use it where it is made, or py_keep it");
  target->temporary = 1;
  return pyb_handle_loads(&host->session, &loaded, NULL, &target->handle, error);
}

void pyb__sqlite_target_release(pyb__sqlite_target *target) {
  if (target->temporary)
    (void)!pyb_handle_release(NULL, target->handle, NULL);
  *target = (pyb__sqlite_target){0};
}

/* The first argument of the function `name`. 0 = an error has been set. */
static int want_target(sqlite3_context *context, const char *name, sqlite3_value *arg,
                       pyb__sqlite_target *target) {
  pyb_error error;

  if (pyb__sqlite_target_of(sqlite3_user_data(context), arg, target, &error) == PYB_OK)
    return 1;
  pyb__sqlite_fail(context, name, &error);
  return 0;
}

/* Load a value; 0 = an error has been set. */
static int load(sqlite3_context *context, sqlite3_value *arg, pyb_value *value) {
  if (pyb__sqlite_load(arg, value) == PYB_OK)
    return 1;
  sqlite3_result_error_nomem(context);
  return 0;
}

/* End a function on a target: the result where all went well, else the error. A result
 * of NULL is for what only acts. */
static void finish(sqlite3_context *context, const char *name,
                   pyb__sqlite_target *target, pyb_status status, pyb_value *result,
                   const pyb_error *error) {
  pyb__sqlite_target_release(target);
  if (status != PYB_OK)
    pyb__sqlite_fail(context, name, error);
  else if (result != NULL)
    pyb__sqlite_dump(context, name, result);
}

static const pyb_session *session_of(sqlite3_context *context) {
  return &((pyb__sqlite *)sqlite3_user_data(context))->session;
}

/* ---- Attributes ----------------------------------------------------------------- */

/* py_attr(object, name) -> the attribute */
static void py_attr(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_attr";
  pyb__sqlite_target target;
  const char *attribute;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 1, "the attribute's name",
                        &attribute) ||
      !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_get(session_of(context), target.handle, attribute, PYB_AS_FITS,
                          &result, &error);
  finish(context, name, &target, status, &result, &error);
}

/* py_setattr(object, name, value) -> NULL */
static void py_setattr(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_setattr";
  pyb__sqlite_target target;
  const char *attribute;
  pyb_value value;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 1, "the attribute's name",
                        &attribute) ||
      !load(context, args[2], &value) || !want_target(context, name, args[0], &target))
    return;
  status =
      pyb_handle_set(session_of(context), target.handle, attribute, &value, &error);
  finish(context, name, &target, status, NULL, &error);
}

/* py_delattr(object, name) -> NULL */
static void py_delattr(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_delattr";
  pyb__sqlite_target target;
  const char *attribute;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 1, "the attribute's name",
                        &attribute) ||
      !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_delete(session_of(context), target.handle, attribute, &error);
  finish(context, name, &target, status, NULL, &error);
}

/* py_method(object, name, argument ...) -> what the method returns */
static void py_method(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_method";
  pyb__sqlite_arguments a;
  pyb__sqlite_target target;
  const char *method;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (n < 2) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                    "an object and the method's name are wanted, %d argument%s came", n,
                    n == 1 ? "" : "s");
    return;
  }
  if (!pyb__sqlite_want(context, name, n, args, 1, "the method's name", &method) ||
      !want_target(context, name, args[0], &target))
    return;
  if (!pyb__sqlite_arguments_load(context, name, n - 2, args + 2, &a)) {
    pyb__sqlite_target_release(&target);
    return;
  }
  status = pyb_handle_call(session_of(context), target.handle, method, a.values, a.n,
                           a.names, a.n_names, PYB_AS_FITS, &result, &error);
  finish(context, name, &target, status, &result, &error);
  pyb__sqlite_arguments_release(&a);
}

/* ---- Items ---------------------------------------------------------------------- */

/* py_item(object, key) -> the item */
static void py_item(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_item";
  pyb__sqlite_target target;
  pyb_value key, result;
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!load(context, args[1], &key) || !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_item(session_of(context), target.handle, &key, PYB_AS_FITS,
                           &result, &error);
  finish(context, name, &target, status, &result, &error);
}

/* py_setitem(object, key, value) -> NULL */
static void py_setitem(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_setitem";
  pyb__sqlite_target target;
  pyb_value key, value;
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!load(context, args[1], &key) || !load(context, args[2], &value) ||
      !want_target(context, name, args[0], &target))
    return;
  status =
      pyb_handle_set_item(session_of(context), target.handle, &key, &value, &error);
  finish(context, name, &target, status, NULL, &error);
}

/* py_delitem(object, key) -> NULL */
static void py_delitem(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_delitem";
  pyb__sqlite_target target;
  pyb_value key;
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!load(context, args[1], &key) || !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_delete_item(session_of(context), target.handle, &key, &error);
  finish(context, name, &target, status, NULL, &error);
}

/* ---- Questions ------------------------------------------------------------------ */

/* py_len(object) -> its length */
static void py_len(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_len";
  pyb__sqlite_target target;
  pyb_value result = {.type = PYB_INT64};
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!want_target(context, name, args[0], &target))
    return;
  status =
      pyb_handle_length(session_of(context), target.handle, &result.integer, &error);
  finish(context, name, &target, status, &result, &error);
}

/* py_contains(object, value) -> 0 or 1 */
static void py_contains(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_contains";
  pyb__sqlite_target target;
  pyb_value value, result = {.type = PYB_BOOL};
  int contains;
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!load(context, args[1], &value) || !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_contains(session_of(context), target.handle, &value, &contains,
                               &error);
  result.integer = contains;
  finish(context, name, &target, status, &result, &error);
}

/* py_compare(object, operator, value) -> what the comparison gives */
static void py_compare(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_compare";
  pyb__sqlite_target target;
  const char *op;
  pyb_value other, result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 1, "the operator", &op) ||
      !load(context, args[2], &other) || !want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_compare(session_of(context), target.handle, op, &other,
                              PYB_AS_FITS, &result, &error);
  finish(context, name, &target, status, &result, &error);
}

/* py_dir(object) -> JSON */
static void py_dir(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_dir";
  pyb__sqlite_target target;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  (void)n;
  if (!want_target(context, name, args[0], &target))
    return;
  status = pyb_handle_names(session_of(context), target.handle, &result, &error);
  finish(context, name, &target, status, &result, &error);
}

/* py_value(object [, serialization]) -> its value; any other value is returned as it
 * is, or serialized. */
static void py_value(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_value";
  const pyb_session *session = session_of(context);
  pyb__sqlite_target target = {.handle = pyb__sqlite_object(args[0])};
  const char *serialization;
  pyb_value loaded, result;
  pyb_error error;
  pyb_status status = PYB_OK;

  if (!pyb__sqlite_optional(context, name, n, args, 1, "serialization", &serialization))
    return;
  if (target.handle == 0 && serialization == NULL) {
    sqlite3_result_value(context, args[0]);
    return;
  }
  if (target.handle == 0) {
    if (!load(context, args[0], &loaded))
      return;
    target.temporary = 1;
    status = pyb_handle_loads(session, &loaded, NULL, &target.handle, &error);
  }
  if (status == PYB_OK)
    status = pyb_handle_value(session, target.handle, serialization, &result, &error);
  finish(context, name, &target, status, &result, &error);
}

/* ---- Kept objects --------------------------------------------------------------- */

/* The handles that a connection keeps: a hash set with open addressing. */
typedef struct shelf {
  pyb__sqlite *host; /* a reference */
  int references;
  size_t n, room;      /* room is 0 or a power of two, at least twice n */
  pyb_handle *handles; /* owned; 0 = empty */
} shelf;

static shelf *take_shelf(shelf *s) {
  s->references++;
  return s;
}

static void give_shelf(void *data) {
  shelf *s = data;

  if (--s->references > 0)
    return;
  for (size_t i = 0; i < s->room; i++)
    if (s->handles[i] != 0)
      (void)!pyb_handle_release(NULL, s->handles[i], NULL);
  sqlite3_free(s->handles);
  pyb__sqlite_give(s->host);
  sqlite3_free(s);
}

static size_t place_of(const shelf *s, pyb_handle handle) {
  return (size_t)((handle * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (s->room - 1);
}

/* Where a handle is, or would be; room is not 0. */
static size_t find(const shelf *s, pyb_handle handle) {
  size_t i = place_of(s, handle);

  while (s->handles[i] != 0 && s->handles[i] != handle)
    i = (i + 1) & (s->room - 1);
  return i;
}

static int is_kept(const shelf *s, sqlite3_int64 number) {
  return number > 0 && s->room > 0 &&
         s->handles[find(s, (pyb_handle)number)] == (pyb_handle)number;
}

static int make_room(shelf *s) {
  shelf grown = {.room = s->room == 0 ? 16 : s->room * 2};

  if (2 * (s->n + 1) <= s->room)
    return 1;
  grown.handles = sqlite3_malloc64(grown.room * sizeof *grown.handles);
  if (grown.handles == NULL)
    return 0;
  memset(grown.handles, 0, grown.room * sizeof *grown.handles);
  for (size_t i = 0; i < s->room; i++)
    if (s->handles[i] != 0)
      grown.handles[find(&grown, s->handles[i])] = s->handles[i];
  sqlite3_free(s->handles);
  s->handles = grown.handles;
  s->room = grown.room;
  return 1;
}

/* Take a handle off; those behind it move up to where they are looked for. */
static void take_off(shelf *s, pyb_handle handle) {
  size_t i = find(s, handle);

  s->handles[i] = 0;
  s->n--;
  for (i = (i + 1) & (s->room - 1); s->handles[i] != 0; i = (i + 1) & (s->room - 1)) {
    pyb_handle moved = s->handles[i];
    s->handles[i] = 0;
    s->handles[find(s, moved)] = moved;
  }
}

/* The number that an argument is, where it is that of a kept object; else 0, and an
 * error has been set. */
static pyb_handle want_kept(sqlite3_context *context, const char *name, const shelf *s,
                            sqlite3_value *arg) {
  sqlite3_int64 number = sqlite3_value_int64(arg);

  if (sqlite3_value_type(arg) != SQLITE_INTEGER)
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                    "the number of a kept object is wanted, as py_keep gives it");
  else if (!is_kept(s, number))
    pyb__sqlite_say(context, name, PYB_UNDEFINED,
                    "this connection keeps no object under %lld: it was released, or "
                    "never kept here",
                    (long long)number);
  else
    return (pyb_handle)number;
  return 0;
}

/* py_keep(object) -> its number */
static void py_keep(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_keep";
  shelf *s = sqlite3_user_data(context);
  pyb__sqlite_target target;
  pyb_handle kept;
  pyb_error error;
  pyb_status status;

  (void)n;
  status = pyb__sqlite_target_of(s->host, args[0], &target, &error);
  if (status == PYB_OK)
    status = pyb_handle_copy(&s->host->session, target.handle, &kept, &error);
  pyb__sqlite_target_release(&target);
  if (status == PYB_OK && !make_room(s)) {
    (void)!pyb_handle_release(NULL, kept, NULL);
    status = pyb__sqlite_refuse(&error, PYB_NO_MEMORY, "out of memory");
  }
  if (status != PYB_OK) {
    pyb__sqlite_fail(context, name, &error);
    return;
  }
  s->handles[find(s, kept)] = kept;
  s->n++;
  sqlite3_result_int64(context, (sqlite3_int64)kept);
}

/* py_release(number) -> NULL */
static void py_release(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_release";
  shelf *s = sqlite3_user_data(context);
  pyb_handle kept = want_kept(context, name, s, args[0]);
  pyb_error error;

  (void)n;
  if (kept == 0)
    return;
  take_off(s, kept);
  if (pyb_handle_release(&s->host->session, kept, &error) != PYB_OK)
    pyb__sqlite_fail(context, name, &error);
}

/* py_kept() -> how many objects the connection keeps */
static void py_kept(sqlite3_context *context, int n, sqlite3_value **args) {
  (void)n;
  (void)args;
  sqlite3_result_int64(context,
                       (sqlite3_int64)((shelf *)sqlite3_user_data(context))->n);
}

/* ---- Making --------------------------------------------------------------------- */

static void give_handle(sqlite3_context *context, const char *name, pyb_status status,
                        pyb_handle handle, const pyb_error *error) {
  pyb_value result = {.type = PYB_HANDLE, .integer = (int64_t)handle};

  if (status == PYB_OK)
    pyb__sqlite_dump(context, name, &result);
  else
    pyb__sqlite_fail(context, name, error);
}

/* py_object of a number or an object, called where there are arguments. */
static pyb_status from_handle(const shelf *s, pyb_handle from,
                              const pyb__sqlite_arguments *a, pyb_handle *made,
                              pyb_error *error) {
  pyb_value result;
  pyb_status status;

  if (a->n == 0)
    return pyb_handle_copy(&s->host->session, from, made, error);
  status = pyb_handle_call(&s->host->session, from, NULL, a->values, a->n, a->names,
                           a->n_names, PYB_AS_HANDLE, &result, error);
  *made = (pyb_handle)result.integer;
  return status;
}

/* py_object(expression | number | object [, argument ...]) -> the object, or what a
 * call of it with the arguments returns */
static void py_object(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_object";
  const shelf *s = sqlite3_user_data(context);
  const pyb_session *session = &s->host->session;
  const char *expression = NULL;
  pyb_handle from = n > 0 ? pyb__sqlite_object(args[0]) : 0, made = 0;
  pyb__sqlite_arguments a;
  pyb_error error;
  pyb_status status;

  if (n > 0 && from == 0 && sqlite3_value_type(args[0]) == SQLITE_INTEGER) {
    from = want_kept(context, name, s, args[0]);
    if (from == 0)
      return;
  }
  if (from == 0 &&
      !pyb__sqlite_want(context, name, n, args, 0, "expression", &expression))
    return;
  if (!pyb__sqlite_arguments_load(context, name, n - 1, args + 1, &a))
    return;
  if (from != 0)
    status = from_handle(s, from, &a, &made, &error);
  else if (n > 1)
    status = pyb_handle_new(session, expression, a.values, a.n, a.names, a.n_names,
                            &made, &error);
  else
    status = pyb_handle_of(session, expression, &made, &error);
  pyb__sqlite_arguments_release(&a);
  give_handle(context, name, status, made, &error);
}

/* py_module(name) -> the module */
static void py_module(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_module";
  const char *module;
  pyb_handle made = 0;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "module", &module))
    return;
  status = pyb_handle_import(session_of(context), module, &made, &error);
  give_handle(context, name, status, made, &error);
}

/* py_loads(data, serialization) -> the object */
static void py_loads(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_loads";
  const char *serialization;
  pyb_value data;
  pyb_handle made = 0;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 1, "serialization", &serialization) ||
      !load(context, args[0], &data))
    return;
  status = pyb_handle_loads(session_of(context), &data, serialization, &made, &error);
  give_handle(context, name, status, made, &error);
}

/* ---- Registration --------------------------------------------------------------- */

/* Register a function whose sqlite3_user_data is the shelf. */
static int register_on(shelf *s, const char *name, int n_args,
                       void (*call)(sqlite3_context *, int, sqlite3_value **)) {
  return sqlite3_create_function_v2(s->host->db, name, n_args,
                                    SQLITE_UTF8 | SQLITE_DIRECTONLY, take_shelf(s),
                                    call, NULL, NULL, give_shelf);
}

static int register_shelf(pyb__sqlite *host) {
  shelf *s = sqlite3_malloc(sizeof *s);
  int code;

  if (s == NULL)
    return SQLITE_NOMEM;
  *s = (shelf){.host = pyb__sqlite_take(host), .references = 1};
  code = register_on(s, "py_object", -1, py_object);
  if (code == SQLITE_OK)
    code = register_on(s, "py_keep", 1, py_keep);
  if (code == SQLITE_OK)
    code = register_on(s, "py_release", 1, py_release);
  if (code == SQLITE_OK)
    code = register_on(s, "py_kept", 0, py_kept);
  give_shelf(s);
  return code;
}

int pyb__sqlite_register_object(pyb__sqlite *host) {
  static const struct {
    const char *name;
    int n_args; /* -1 = any number */
    void (*call)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"py_module", 1, py_module},     {"py_loads", 2, py_loads},
      {"py_attr", 2, py_attr},         {"py_setattr", 3, py_setattr},
      {"py_delattr", 2, py_delattr},   {"py_method", -1, py_method},
      {"py_item", 2, py_item},         {"py_setitem", 3, py_setitem},
      {"py_delitem", 2, py_delitem},   {"py_len", 1, py_len},
      {"py_contains", 2, py_contains}, {"py_compare", 3, py_compare},
      {"py_dir", 1, py_dir},           {"py_value", 1, py_value},
      {"py_value", 2, py_value},
  };
  int code = register_shelf(host);

  for (size_t i = 0; i < sizeof functions / sizeof *functions && code == SQLITE_OK; i++)
    code = pyb__sqlite_function(host, functions[i].name, functions[i].n_args, 0,
                                functions[i].call);
  return code;
}
