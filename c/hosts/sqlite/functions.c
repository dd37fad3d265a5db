/* functions.c: the SQL functions that run Python code and reach Python values.
 *
 * Their rule of results: what fetches returns the value (py_eval, py_run, py_call,
 * py_apply, py_get), what describes returns JSON text (py_import, py_info, py_status
 * ...), what only acts returns NULL (py_exec, py_set, py_reset). */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sqlite.h"

#define KEYWORD "pybridge keyword"

/* End an SQL function: the value where all went well, else the error. */
static void finish(sqlite3_context *context, const char *name, pyb_status status,
                   pyb_value *result, const pyb_error *error) {
  if (status == PYB_OK)
    pyb__sqlite_dump(context, name, result);
  else
    pyb__sqlite_fail(context, name, error);
}

/* Code or an expression: text with its size, NUL characters are left to Python. */
static int want_code(sqlite3_context *context, const char *name, sqlite3_value *value,
                     const char *what, const char **text, size_t *size) {
  *text = NULL;
  if (sqlite3_value_type(value) == SQLITE_NULL) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "%s is missing", what);
    return 0;
  }
  *text = (const char *)sqlite3_value_text(value);
  *size = (size_t)sqlite3_value_bytes(value);
  if (*text == NULL && *size != 0) {
    pyb__sqlite_say(context, name, PYB_NO_MEMORY, "out of memory");
    return 0;
  }
  if (*text == NULL)
    *text = "";
  return 1;
}

/* ---- Code ----------------------------------------------------------------------- */

/* py_exec(code [, variable]) -> NULL */
static void py_exec(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_exec";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *code, *variable;
  size_t size;
  pyb_error error;
  int before = host->savepoints;

  if (!want_code(context, name, args[0], "code", &code, &size) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "variable", &variable))
    return;
  if (pyb_execute_code(&host->session, code, size, variable, &error) != PYB_OK) {
    pyb__sqlite_settle(host, before, &error);
    pyb__sqlite_fail(context, name, &error);
  }
}

/* py_eval(expression [, serialization]) -> its value */
static void py_eval(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_eval";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *expression, *serialization;
  size_t size;
  pyb_value result;
  pyb_error error;
  pyb_status status;
  int before = host->savepoints;

  if (!want_code(context, name, args[0], "expression", &expression, &size) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "serialization", &serialization))
    return;
  status =
      pyb_evaluate(&host->session, expression, size, serialization, &result, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish(context, name, status, &result, &error);
}

/* py_run(code, variable [, serialization]) -> the variable's value after the code */
static void py_run(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_run";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *code, *variable, *serialization;
  size_t size;
  pyb_value result;
  pyb_error error;
  pyb_status status;
  int before = host->savepoints;

  if (!want_code(context, name, args[0], "code", &code, &size) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "variable", &variable) ||
      !pyb__sqlite_optional(context, name, n, args, 2, "serialization", &serialization))
    return;
  status = pyb_simple_string(&host->session, code, size, variable, serialization,
                             &result, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish(context, name, status, &result, &error);
}

/* ---- Calls ---------------------------------------------------------------------- */

static void named_free(void *data) {
  pyb__sqlite_named *named = data;

  (void)!pyb_handle_release(NULL, named->object, NULL);
  sqlite3_value_free(named->value);
  sqlite3_free(named);
}

const pyb__sqlite_named *pyb__sqlite_keyword(sqlite3_value *value) {
  return sqlite3_value_type(value) == SQLITE_NULL
             ? sqlite3_value_pointer(value, KEYWORD)
             : NULL;
}

/* py_kw(name, value) -> a keyword argument for py_call, NULL to everything else */
static void py_kw(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_kw";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *keyword;
  pyb__sqlite_named *named;
  pyb_handle object;
  pyb_error error;

  if (!pyb__sqlite_want(context, name, n, args, 0, "name", &keyword))
    return;
  named = sqlite3_malloc64(sizeof *named + strlen(keyword) + 1);
  if (named == NULL) {
    sqlite3_result_error_nomem(context);
    return;
  }
  named->object = 0;
  named->value = sqlite3_value_dup(args[1]); /* of an object it is NULL */
  if (named->value == NULL) {
    sqlite3_free(named);
    sqlite3_result_error_nomem(context);
    return;
  }
  object = pyb__sqlite_object(args[1]);
  if (object != 0 &&
      pyb_handle_copy(&host->session, object, &named->object, &error) != PYB_OK) {
    named_free(named);
    pyb__sqlite_fail(context, name, &error);
    return;
  }
  memcpy(named->name, keyword, strlen(keyword) + 1);
  sqlite3_result_pointer(context, named, KEYWORD, named_free);
}

/* One argument, with its name where it has one. */
static int load_argument(sqlite3_value *arg, const pyb__sqlite_named *named,
                         pyb_value *value) {
  if (named == NULL)
    return pyb__sqlite_load(arg, value) == PYB_OK;
  if (named->object == 0)
    return pyb__sqlite_load(named->value, value) == PYB_OK;
  *value = (pyb_value){.type = PYB_HANDLE, .integer = (int64_t)named->object};
  return 1;
}

int pyb__sqlite_keyword_once(sqlite3_context *context, const char *name,
                             const char *const *names, size_t n) {
  for (size_t i = 0; i + 1 < n; i++)
    if (strcmp(names[i], names[n - 1]) == 0) {
      pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "keyword \"%s\" came twice",
                      names[i]);
      return 0;
    }
  return 1;
}

int pyb__sqlite_arguments_load(sqlite3_context *context, const char *name, int n,
                               sqlite3_value **args, pyb__sqlite_arguments *loaded) {
  loaded->n = (size_t)n;
  loaded->n_names = 0;
  loaded->values = loaded->few;
  loaded->names = loaded->few_names;
  loaded->many = NULL;
  if (loaded->n > sizeof loaded->few / sizeof *loaded->few) {
    loaded->many =
        sqlite3_malloc64(loaded->n * (sizeof *loaded->values + sizeof *loaded->names));
    if (loaded->many == NULL)
      goto no_memory;
    loaded->values = loaded->many;
    loaded->names = (const char **)(loaded->values + n);
  }
  for (int i = 0; i < n; i++) {
    const pyb__sqlite_named *named = pyb__sqlite_keyword(args[i]);

    if (named != NULL) {
      loaded->names[loaded->n_names++] = named->name;
      if (!pyb__sqlite_keyword_once(context, name, loaded->names, loaded->n_names))
        goto failed;
    } else if (loaded->n_names != 0) {
      pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                      "argument %d has no name but comes after keyword \"%s\"", i + 1,
                      loaded->names[loaded->n_names - 1]);
      goto failed;
    }
    if (!load_argument(args[i], named, &loaded->values[i]))
      goto no_memory;
  }
  return 1;

no_memory:
  pyb__sqlite_say(context, name, PYB_NO_MEMORY, "out of memory");
failed:
  pyb__sqlite_arguments_release(loaded);
  return 0;
}

void pyb__sqlite_arguments_release(pyb__sqlite_arguments *loaded) {
  sqlite3_free(loaded->many);
  loaded->many = NULL;
}

/* py_call(function or object, argument ...) -> what it returns */
static void py_call(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_call";
  pyb__sqlite *host = sqlite3_user_data(context);
  pyb_handle object = n > 0 ? pyb__sqlite_object(args[0]) : 0;
  const char *function = NULL;
  pyb__sqlite_arguments a;
  pyb_value result;
  pyb_error error;
  pyb_status status;
  int before = host->savepoints;

  if (object == 0 &&
      !pyb__sqlite_want(context, name, n, args, 0, "function", &function))
    return;
  if (!pyb__sqlite_arguments_load(context, name, n - 1, args + 1, &a))
    return;
  if (object != 0)
    status = pyb_handle_call(&host->session, object, NULL, a.values, a.n, a.names,
                             a.n_names, PYB_AS_FITS, &result, &error);
  else
    status = pyb_call(&host->session, function, a.values, a.n, a.names, a.n_names,
                      &result, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish(context, name, status, &result, &error);
  pyb__sqlite_arguments_release(&a);
}

/* py_apply of an object */
static void apply_object(sqlite3_context *context, pyb_handle object,
                         const char *positional, const char *keyword) {
  pyb__sqlite *host = sqlite3_user_data(context);
  pyb_value result;
  pyb_error error;
  pyb_status status = pyb_handle_apply(&host->session, object, NULL, positional,
                                       keyword, PYB_AS_FITS, &result, &error);

  finish(context, "py_apply", status, &result, &error);
}

/* py_apply(function or object, args, kwargs [, variable [, serialization]]), JSON
 * arguments -> what it returns */
static void py_apply(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_apply";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *function = NULL, *positional, *keyword, *variable, *serialization;
  pyb_handle object = pyb__sqlite_object(args[0]);
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if ((object == 0 &&
       !pyb__sqlite_want(context, name, n, args, 0, "function", &function)) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "args", &positional) ||
      !pyb__sqlite_optional(context, name, n, args, 2, "kwargs", &keyword) ||
      !pyb__sqlite_optional(context, name, n, args, 3, "variable", &variable) ||
      !pyb__sqlite_optional(context, name, n, args, 4, "serialization", &serialization))
    return;
  if (object != 0 && n == 3) {
    apply_object(context, object, positional, keyword);
    return;
  }
  if (object != 0) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                    "an object is applied to args and kwargs only; keep what comes "
                    "with py_set, and serialize it with py_value");
    return;
  }
  status = pyb_execute_function(&host->session, function, positional, keyword, variable,
                                serialization, &result, &error);
  finish(context, name, status, &result, &error);
}

/* ---- Variables ------------------------------------------------------------------ */

/* py_get(variable [, serialization]) -> its value */
static void py_get(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_get";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *variable, *serialization;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "variable", &variable) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "serialization", &serialization))
    return;
  status = pyb_get_variable(&host->session, variable, serialization, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_set(variable, value) -> NULL */
static void py_set(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_set";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *variable;
  pyb_value value;
  pyb_error error;

  if (!pyb__sqlite_want(context, name, n, args, 0, "variable", &variable))
    return;
  if (pyb__sqlite_load(args[1], &value) != PYB_OK)
    sqlite3_result_error_nomem(context);
  else if (pyb_set_variable(&host->session, variable, &value, &error) != PYB_OK)
    pyb__sqlite_fail(context, name, &error);
}

/* ---- Descriptions --------------------------------------------------------------- */

/* py_info(variable or object [, serialization]) -> JSON */
static void py_info(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_info";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *variable, *serialization;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (pyb__sqlite_object(args[0]) != 0) {
    status =
        pyb_handle_info(&host->session, pyb__sqlite_object(args[0]), &result, &error);
    finish(context, name, status, &result, &error);
    return;
  }
  if (!pyb__sqlite_want(context, name, n, args, 0, "variable", &variable) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "serialization", &serialization))
    return;
  status =
      pyb_get_variable_info(&host->session, variable, serialization, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_function_info(function) -> JSON */
static void py_function_info(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_function_info";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *function;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "function", &function))
    return;
  status = pyb_get_function_info(&host->session, function, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_import(module [, alias]) -> JSON */
static void py_import(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_import";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *module, *alias;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "module", &module) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "alias", &alias))
    return;
  status = pyb_import_module(&host->session, module, alias, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_module_info(module) -> JSON */
static void py_module_info(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_module_info";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *module;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "module", &module))
    return;
  status = pyb_get_module_info(&host->session, module, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_initialize([file]) -> JSON, or NULL where the settings ask for nothing */
static void py_initialize(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_initialize";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *file;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_optional(context, name, n, args, 0, "file", &file))
    return;
  status = pyb_initialize(&host->session, file, &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_status() -> JSON of the last failure, or NULL */
static void py_status(sqlite3_context *context, int n, sqlite3_value **args) {
  pyb__sqlite *host = sqlite3_user_data(context);
  pyb_value result;
  pyb_error error;
  pyb_status status;

  (void)n;
  (void)args;
  status = pyb_get_status(&host->session, &result, &error);
  finish(context, "py_status", status, &result, &error);
}

/* ---- The bridge itself ---------------------------------------------------------- */

/* py_reset() -> NULL */
static void py_reset(sqlite3_context *context, int n, sqlite3_value **args) {
  pyb_error error;

  (void)n;
  (void)args;
  if (pyb_finalize(&error) != PYB_OK)
    pyb__sqlite_fail(context, "py_reset", &error);
}

/* py_version() -> text */
static void py_version(sqlite3_context *context, int n, sqlite3_value **args) {
  char text[96];

  (void)n;
  (void)args;
  snprintf(text, sizeof text, "pybridge %s, Python %s, SQLite %s", pyb_version(),
           pyb_python_version(), sqlite3_libversion());
  sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

/* py_context([name]) -> the name of the context, switched to `name` before */
static void py_context(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_context";
  pyb__sqlite *host = sqlite3_user_data(context);
  int *probe = n == 1 && sqlite3_value_type(args[0]) == SQLITE_NULL
                   ? sqlite3_value_pointer(args[0], PYB__SQLITE_PROBE)
                   : NULL;
  const char *wanted;

  if (probe != NULL)
    *probe = 1;
  if (!pyb__sqlite_optional(context, name, n, args, 0, "name", &wanted))
    return;
  if (n == 1 && wanted == NULL && probe == NULL) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "name is missing");
    return;
  }
  if (wanted != NULL && strlen(wanted) >= sizeof host->context) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                    "a name of %zu bytes is too long, %zu are taken", strlen(wanted),
                    sizeof host->context - 1);
    return;
  }
  if (wanted != NULL)
    pyb__sqlite_switch(host, wanted);
  sqlite3_result_text(context, host->context, -1, SQLITE_TRANSIENT);
}

/* ---- Options -------------------------------------------------------------------- */

typedef struct option {
  const char *name;
  /* Put the value in result; where `value` is not NULL, take it over before. Returns 0
   * when the value is not one of those in `takes`. */
  int (*set)(pyb__sqlite *host, sqlite3_value *value);
  void (*get)(pyb__sqlite *host, sqlite3_context *context);
  const char *takes;
} option;

/* 0, 1, 'off', 'on', 'false', 'true' -> 0 or 1; anything else -> -1 */
static int to_switch(sqlite3_value *value) {
  const char *text;

  if (sqlite3_value_type(value) == SQLITE_INTEGER) {
    sqlite3_int64 integer = sqlite3_value_int64(value);
    return integer == 0 || integer == 1 ? (int)integer : -1;
  }
  if (sqlite3_value_type(value) != SQLITE_TEXT)
    return -1;
  text = (const char *)sqlite3_value_text(value);
  if (text == NULL)
    return -1;
  if (sqlite3_stricmp(text, "on") == 0 || sqlite3_stricmp(text, "true") == 0)
    return 1;
  if (sqlite3_stricmp(text, "off") == 0 || sqlite3_stricmp(text, "false") == 0)
    return 0;
  return -1;
}

static int set_switch(sqlite3_value *value, int *kept) {
  int wanted = to_switch(value);

  if (wanted >= 0)
    *kept = wanted;
  return wanted >= 0;
}

static int set_timeout(pyb__sqlite *host, sqlite3_value *value) {
  if (sqlite3_value_type(value) != SQLITE_INTEGER || sqlite3_value_int64(value) < 0)
    return 0;
  host->session.deadline_ms = sqlite3_value_int64(value);
  return 1;
}

static void get_timeout(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_int64(context, host->session.deadline_ms);
}

static int set_capture(pyb__sqlite *host, sqlite3_value *value) {
  int wanted;

  if (!set_switch(value, &wanted))
    return 0;
  host->session.flags &= ~PYB_CAPTURE;
  if (wanted)
    host->session.flags |= PYB_CAPTURE;
  return 1;
}

static void get_capture(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_int(context, (host->session.flags & PYB_CAPTURE) != 0);
}

static int set_backend(pyb__sqlite *host, sqlite3_value *value) {
  static const char *const known[] = {"default", "numpy", "numpy_nullable", "pyarrow"};
  const char *text = (const char *)sqlite3_value_text(value);

  for (size_t i = 0; text != NULL && i < sizeof known / sizeof *known; i++)
    if (sqlite3_stricmp(text, known[i]) == 0) {
      strcpy(host->dtype_backend, i == 0 ? "" : known[i]);
      return 1;
    }
  return 0;
}

static void get_backend(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_text(context,
                      host->dtype_backend[0] != '\0' ? host->dtype_backend : "default",
                      -1, SQLITE_TRANSIENT);
}

static int set_parse(pyb__sqlite *host, sqlite3_value *value) {
  return set_switch(value, &host->parse);
}

static void get_parse(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_int(context, host->parse);
}

static int set_pages(pyb__sqlite *host, sqlite3_value *value) {
  return set_switch(value, &host->pages);
}

static void get_pages(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_int(context, host->pages);
}

/* Is the file open in this connection? Whoever opens it again in this process, with
 * another copy of SQLite, takes away the locks of this one when it closes it. */
static int is_own(pyb__sqlite *host, const char *path) {
  const char *own = sqlite3_db_filename(host->db, "main");
  struct stat here, there;

  return own != NULL && own[0] != '\0' && stat(own, &here) == 0 &&
         stat(path, &there) == 0 && here.st_dev == there.st_dev &&
         here.st_ino == there.st_ino;
}

static int set_store(pyb__sqlite *host, sqlite3_value *value) {
  const char *text = "";

  if (sqlite3_value_type(value) != SQLITE_NULL) {
    text = (const char *)sqlite3_value_text(value);
    if (sqlite3_value_type(value) != SQLITE_TEXT || text == NULL ||
        strlen(text) >= sizeof host->store ||
        strlen(text) != (size_t)sqlite3_value_bytes(value) || is_own(host, text))
      return 0;
  }
  strcpy(host->store, text);
  return 1;
}

static void get_store(pyb__sqlite *host, sqlite3_context *context) {
  if (host->store[0] != '\0')
    sqlite3_result_text(context, host->store, -1, SQLITE_TRANSIENT);
}

static void get_transaction(pyb__sqlite *host, sqlite3_context *context) {
  sqlite3_result_int(context, !sqlite3_get_autocommit(host->db));
}

static int set_nothing(pyb__sqlite *host, sqlite3_value *value) {
  (void)host;
  (void)value;
  return 0;
}

static void get_scanned(pyb__sqlite *host, sqlite3_context *context) {
  if (host->scanned[0] != '\0')
    sqlite3_result_text(context, host->scanned, -1, SQLITE_TRANSIENT);
}

static const option options[] = {
    {"timeout_ms", set_timeout, get_timeout,
     "a number of milliseconds, 0 = no time limit"},
    {"capture", set_capture, get_capture, "0 or 1"},
    {"dtype_backend", set_backend, get_backend,
     "'default', 'numpy', 'numpy_nullable' or 'pyarrow'"},
    {"parse", set_parse, get_parse, "0 or 1"},
    {"pages", set_pages, get_pages, "0 or 1"},
    {"store", set_store, get_store,
     "the path of another SQLite file, or NULL for this database"},
    {"scanned", set_nothing, get_scanned, "no value, it can only be read"},
    {"transaction", set_nothing, get_transaction, "no value, it can only be read"},
};

#define N_OPTIONS (sizeof options / sizeof *options)

static void unknown_option(sqlite3_context *context, const char *name,
                           const char *wanted) {
  char known[256] = "";
  size_t size = 0;

  for (size_t i = 0; i < N_OPTIONS; i++)
    size += (size_t)snprintf(known + size, sizeof known - size, "%s%s",
                             i == 0 ? "" : ", ", options[i].name);
  pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                  "there is no option \"%.64s\"; known: %s", wanted, known);
}

/* py_option(name [, value]) -> the option's value, set before where one is given */
static void py_option(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_option";
  pyb__sqlite *host = sqlite3_user_data(context);
  const option *found = NULL;
  const char *wanted;

  if (!pyb__sqlite_want(context, name, n, args, 0, "name", &wanted))
    return;
  for (size_t i = 0; i < N_OPTIONS && found == NULL; i++)
    if (sqlite3_stricmp(wanted, options[i].name) == 0)
      found = &options[i];
  if (found == NULL)
    unknown_option(context, name, wanted);
  else if (n == 2 && !found->set(host, args[1])) {
    const char *came = (const char *)sqlite3_value_text(args[1]);
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "\"%s\" takes %s; %.64s came",
                    found->name, found->takes, came == NULL ? "NULL" : came);
  } else
    found->get(host, context);
}

/* ---- Registration --------------------------------------------------------------- */

int pyb__sqlite_register_functions(pyb__sqlite *host) {
  static const struct {
    const char *name;
    int fewest, most; /* arguments; -1 = any number */
    void (*call)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"py_exec", 1, 2, py_exec},
      {"py_eval", 1, 2, py_eval},
      {"py_run", 2, 3, py_run},
      {"py_call", -1, -1, py_call},
      {"py_kw", 2, 2, py_kw},
      {"py_apply", 3, 5, py_apply},
      {"py_get", 1, 2, py_get},
      {"py_set", 2, 2, py_set},
      {"py_import", 1, 2, py_import},
      {"py_info", 1, 2, py_info},
      {"py_function_info", 1, 1, py_function_info},
      {"py_module_info", 1, 1, py_module_info},
      {"py_initialize", 0, 1, py_initialize},
      {"py_status", 0, 0, py_status},
      {"py_reset", 0, 0, py_reset},
      {"py_context", 0, 1, py_context},
      {"py_option", 1, 2, py_option},
      {"py_version", 0, 0, py_version},
  };
  int code = SQLITE_OK;

  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    for (int n = functions[i].fewest; n <= functions[i].most && code == SQLITE_OK; n++)
      code = pyb__sqlite_function(host, functions[i].name, n, 0, functions[i].call);
  return code;
}
