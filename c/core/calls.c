/* calls.c: the control plane's entry points: enter, cross the seam, leave. */
#include <stdio.h>
#include <string.h>

#include "../seam/seam.h"
#include "session.h"

/* What an entry of the seam answered, as a status. It may have had no time to fill the
 * error: then the call was stopped at its very end. */
static pyb_status crossed(int answer, const pyb__call *call, pyb_error *error) {
  int stop;

  if (answer == 1)
    return PYB_OK;
  if (answer < 0 && error->status != PYB_OK)
    return error->status;
  stop = atomic_load(&call->thread->stop);
  if (stop != PYB_OK)
    return pyb__fail(error, (pyb_status)stop, "%s", pyb_status_text((pyb_status)stop));
  return pyb__fail(error, PYB_INTERNAL,
                   "the seam did not answer; run: python -m pybridge doctor");
}

#define ADDRESS(pointer) ((uintptr_t)(pointer))

/* Enter, cross with `entry(...)`, leave. An error that nobody wants is still filled, as
 * the seam needs a place for it. A call may be stopped when its result is out already:
 * then `undo` takes it back. */
#define CROSS(session, error, entry, undo)                                             \
  do {                                                                                 \
    pyb_error unwanted;                                                                \
    pyb__call call;                                                                    \
    pyb_status status;                                                                 \
    if ((error) == NULL)                                                               \
      (error) = &unwanted;                                                             \
    status = pyb__enter_control((session), &call, (error));                            \
    if (status != PYB_OK)                                                              \
      return status;                                                                   \
    (error)->status = PYB_OK;                                                          \
    status = crossed((entry), &call, (error));                                         \
    pyb__leave(&call);                                                                 \
    if (status != PYB_OK)                                                              \
      undo;                                                                            \
    return status;                                                                     \
  } while (0)
#define NOTHING ((void)0)

static size_t size_of(const char *text, size_t size) {
  return size == PYB_NTS ? strlen(text) : size;
}

/* ---- Code ----------------------------------------------------------------------- */

pyb_status pyb_simple_string(const pyb_session *session, const char *code, size_t size,
                             const char *variable, const char *serialization,
                             pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (code == NULL)
    return pyb__missing(error, "the code");
  CROSS(session, error,
        pyb__py_simple_string(ADDRESS(session), code, size_of(code, size), variable,
                              serialization, ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_execute_code(const pyb_session *session, const char *code, size_t size,
                            const char *variable, pyb_error *error) {
  if (code == NULL)
    return pyb__missing(error, "the code");
  CROSS(session, error,
        pyb__py_execute_code(ADDRESS(session), code, size_of(code, size), variable,
                             ADDRESS(error)),
        NOTHING);
}

static bool wants_capture(const pyb_session *session) {
  return session != NULL && (session->flags & PYB_CAPTURE) != 0;
}

pyb_status pyb_evaluate(const pyb_session *session, const char *expression, size_t size,
                        const char *serialization, pyb_value *result,
                        pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (expression == NULL)
    return pyb__missing(error, "the expression");
  size = size_of(expression, size);
  if (serialization == NULL && !wants_capture(session))
    return pyb__evaluate(session, expression, size, result, error);
  CROSS(session, error,
        pyb__py_evaluate(ADDRESS(session), expression, size, serialization,
                         ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_execute_function(const pyb_session *session, const char *function,
                                const char *args, const char *kwargs,
                                const char *variable, const char *serialization,
                                pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (function == NULL)
    return pyb__missing(error, "the function's name");
  CROSS(session, error,
        pyb__py_execute_function(ADDRESS(session), function, args, kwargs, variable,
                                 serialization, ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_execute_function_args(const pyb_session *session, const char *function,
                                     const pyb_value *args, size_t n,
                                     const char *const *names, size_t n_names,
                                     const char *variable, const char *serialization,
                                     pyb_value *result, pyb_error *error) {
  pyb_status checked;

  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (function == NULL)
    return pyb__missing(error, "the function's name");
  checked = pyb__check_arguments(args, n, names, n_names, error);
  if (checked != PYB_OK)
    return checked;
  CROSS(session, error,
        pyb__py_execute_function_args(ADDRESS(session), function, ADDRESS(args), n,
                                      names, n_names, variable, serialization,
                                      ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_call(const pyb_session *session, const char *function,
                    const pyb_value *args, size_t n, const char *const *names,
                    size_t n_names, pyb_value *result, pyb_error *error) {
  pyb_status checked;

  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  if (wants_capture(session))
    return pyb_execute_function_args(session, function, args, n, names, n_names, NULL,
                                     NULL, result, error);
  *result = PYB_EMPTY;
  if (function == NULL)
    return pyb__missing(error, "the function's name");
  checked = pyb__check_arguments(args, n, names, n_names, error);
  if (checked != PYB_OK)
    return checked;
  return pyb__call_function(session, function, args, n, names, n_names, result, error);
}

/* ---- Variables ------------------------------------------------------------------ */

pyb_status pyb_get_variable(const pyb_session *session, const char *variable,
                            const char *serialization, pyb_value *result,
                            pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (variable == NULL)
    return pyb__missing(error, "the variable's name");
  CROSS(session, error,
        pyb__py_get_variable(ADDRESS(session), variable, serialization, ADDRESS(result),
                             ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_set_variable(const pyb_session *session, const char *variable,
                            const pyb_value *value, pyb_error *error) {
  if (variable == NULL || value == NULL)
    return pyb__missing(error, "the variable's name or value");
  CROSS(
      session, error,
      pyb__py_set_variable(ADDRESS(session), variable, ADDRESS(value), ADDRESS(error)),
      NOTHING);
}

pyb_status pyb_get_variable_info(const pyb_session *session, const char *variable,
                                 const char *serialization, pyb_value *result,
                                 pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (variable == NULL)
    return pyb__missing(error, "the variable's name");
  CROSS(session, error,
        pyb__py_get_variable_info(ADDRESS(session), variable, serialization,
                                  ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_get_function_info(const pyb_session *session, const char *function,
                                 pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (function == NULL)
    return pyb__missing(error, "the function's name");
  CROSS(session, error,
        pyb__py_get_function_info(ADDRESS(session), function, ADDRESS(result),
                                  ADDRESS(error)),
        pyb_value_release(result));
}

/* ---- Modules -------------------------------------------------------------------- */

pyb_status pyb_import_module(const pyb_session *session, const char *module,
                             const char *alias, pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (module == NULL)
    return pyb__missing(error, "the module's name");
  CROSS(session, error,
        pyb__py_import_module(ADDRESS(session), module, alias, ADDRESS(result),
                              ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_get_module_info(const pyb_session *session, const char *module,
                               pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (module == NULL)
    return pyb__missing(error, "the module's name");
  CROSS(session, error,
        pyb__py_get_module_info(ADDRESS(session), module, ADDRESS(result),
                                ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_initialize(const pyb_session *session, const char *file,
                          pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  CROSS(session, error,
        pyb__py_initialize(ADDRESS(session), file, ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

/* ---- Functions that are run ------------------------------------------------------ */

pyb_status pyb_job(const pyb_session *session, const char *function, const char *inputs,
                   const char *parameters, const char *options, pyb_value *result,
                   pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (function == NULL)
    return pyb__missing(error, "the function's key or name");
  CROSS(session, error,
        pyb__py_job(ADDRESS(session), function, inputs, parameters, options,
                    ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

pyb_status pyb_list_runs(const pyb_session *session, const char *project,
                         pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  CROSS(session, error,
        pyb__py_list_runs(ADDRESS(session), project, ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

/* ---- What went wrong ------------------------------------------------------------- */

pyb_status pyb_get_status(const pyb_session *session, pyb_value *result,
                          pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  CROSS(session, error,
        pyb__py_get_status(ADDRESS(session), ADDRESS(result), ADDRESS(error)),
        pyb_value_release(result));
}

/* ---- The shell ------------------------------------------------------------------ */

pyb_status pyb_shell(const pyb_session *session, const char *name, const char *options,
                     int64_t *code, pyb_error *error) {
  pyb_error unwanted;
  int64_t dropped;
  pyb__call call;
  pyb_status status;

  if (error == NULL)
    error = &unwanted;
  if (code == NULL)
    code = &dropped;
  *code = 0;
  /* What the host has printed comes before what the shell prints. */
  fflush(stdout);
  status = pyb__enter_control(session, &call, error);
  if (status != PYB_OK)
    return status;
  /* The user takes their time. */
  atomic_store(&call.thread->deadline, call.outer_deadline);
  atomic_fetch_add(&call.thread->shells, 1);
  error->status = PYB_OK;
  status = crossed(pyb__py_shell(ADDRESS(session), name, options, code, ADDRESS(error)),
                   &call, error);
  atomic_fetch_sub(&call.thread->shells, 1);
  pyb__leave(&call);
  return status;
}

/* ---- Rows ----------------------------------------------------------------------- */

/* Rows that are not handed over are released by who was given them. */
static pyb_status set_stream(const pyb_session *session, const char *variable,
                             const char *type, const char *options,
                             struct ArrowArrayStream *rows, int64_t *count,
                             pyb_error *error) {
  CROSS(session, error,
        pyb__py_set_stream(ADDRESS(session), variable, type, options, ADDRESS(rows),
                           count, ADDRESS(error)),
        NOTHING);
}

pyb_status pyb_set_stream(const pyb_session *session, const char *variable,
                          const char *type, const char *options,
                          struct ArrowArrayStream *rows, int64_t *count,
                          pyb_error *error) {
  int64_t unwanted;
  pyb_status status;

  if (count == NULL)
    count = &unwanted;
  *count = 0;
  if (rows == NULL || rows->release == NULL)
    return pyb__missing(error, "the stream of rows");
  if (variable == NULL)
    status = pyb__missing(error, "the variable's name");
  else
    status = set_stream(session, variable, type, options, rows, count, error);
  if (rows->release != NULL)
    rows->release(rows);
  return status;
}

pyb_status pyb_execute_query(const pyb_session *session, const char *sql, size_t size,
                             const char *variable, const char *type, const char *from,
                             const char *options, const pyb_value *params,
                             const char *const *names, size_t n, int64_t *count,
                             pyb_error *error) {
  int64_t unwanted;

  if (count == NULL)
    count = &unwanted;
  *count = 0;
  if (sql == NULL)
    return pyb__missing(error, "the query");
  if (variable == NULL)
    return pyb__missing(error, "the variable's name");
  if (n > 0 && params == NULL)
    return pyb__missing(error, "the array of parameters");
  CROSS(session, error,
        pyb__py_execute_query(ADDRESS(session), sql, size_of(sql, size), variable, type,
                              from, options, ADDRESS(params), names, n, count,
                              ADDRESS(error)),
        *count = 0);
}

static void release_rows(struct ArrowArrayStream *rows) {
  if (rows->release != NULL)
    rows->release(rows);
}

static void release_schema(struct ArrowSchema *schema) {
  if (schema->release != NULL)
    schema->release(schema);
}

pyb_status pyb_get_stream(const pyb_session *session, const char *variable,
                          const char *const *columns, size_t n,
                          struct ArrowArrayStream *rows, pyb_error *error) {
  if (rows == NULL)
    return pyb__missing(error, "the place for the rows");
  memset(rows, 0, sizeof *rows);
  if (n > 0 && columns == NULL)
    return pyb__missing(error, "the array of columns");
  if (variable == NULL)
    return pyb__missing(error, "the variable's name");
  CROSS(session, error,
        pyb__py_get_stream(ADDRESS(session), variable, columns, n, ADDRESS(rows),
                           ADDRESS(error)),
        release_rows(rows));
}

pyb_status pyb_get_schema(const pyb_session *session, const char *variable,
                          struct ArrowSchema *schema, pyb_error *error) {
  if (schema == NULL)
    return pyb__missing(error, "the place for the schema");
  memset(schema, 0, sizeof *schema);
  if (variable == NULL)
    return pyb__missing(error, "the variable's name");
  CROSS(session, error,
        pyb__py_get_schema(ADDRESS(session), variable, ADDRESS(schema), ADDRESS(error)),
        release_schema(schema));
}

/* ---- Snapshots ------------------------------------------------------------------ */

#define TEXTS(...)                                                                     \
  (const char *const[]){__VA_ARGS__},                                                  \
      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

/* All of them cross by one entry: `verb` says what is done with the n texts. *number is
 * a number that goes along, and the one that comes back. */
static pyb_status keep(const pyb_session *session, const char *verb,
                       const char *const *texts, size_t n, int64_t *number,
                       pyb_value *result, pyb_error *error) {
  CROSS(session, error,
        pyb__py_snapshot(ADDRESS(session), verb, texts, n, number, ADDRESS(result),
                         ADDRESS(error)),
        if (result != NULL) pyb_value_release(result));
}

/* One whose result is wanted. */
static pyb_status ask(const pyb_session *session, const char *verb,
                      const char *const *texts, size_t n, pyb_value *result,
                      pyb_error *error) {
  int64_t none = 0;

  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  return keep(session, verb, texts, n, &none, result, error);
}

/* One that gives the number of a snapshot. */
static pyb_status count(const pyb_session *session, const char *verb,
                        const char *const *texts, size_t n, int64_t given, int64_t *id,
                        pyb_value *report, pyb_error *error) {
  pyb_status status;

  if (id != NULL)
    *id = 0;
  if (report != NULL)
    *report = PYB_EMPTY;
  status = keep(session, verb, texts, n, &given, report, error);
  if (status == PYB_OK && id != NULL)
    *id = given;
  return status;
}

pyb_status pyb_save_context(const pyb_session *session, const char *name,
                            const char *mask, int64_t max_length,
                            const char *description, const char *store, int64_t *id,
                            pyb_value *report, pyb_error *error) {
  return count(session, "save", TEXTS(name, mask, description, store), max_length, id,
               report, error);
}

pyb_status pyb_restore_context(const pyb_session *session, const char *snapshot,
                               const char *mask, int clear, const char *options,
                               const char *store, pyb_value *report, pyb_error *error) {
  return count(session, "restore", TEXTS(snapshot, mask, options, store), clear, NULL,
               report, error);
}

pyb_status pyb_display_context(const pyb_session *session, const char *snapshot,
                               const char *store, pyb_value *result, pyb_error *error) {
  return ask(session, "display", TEXTS(snapshot, store), result, error);
}

pyb_status pyb_describe_context(const pyb_session *session, const char *snapshot,
                                const char *store, pyb_value *result,
                                pyb_error *error) {
  return ask(session, "describe", TEXTS(snapshot, store), result, error);
}

pyb_status pyb_list_contexts(const pyb_session *session, const char *store,
                             pyb_value *result, pyb_error *error) {
  return ask(session, "list", TEXTS(store), result, error);
}

pyb_status pyb_search_contexts(const pyb_session *session, const char *name,
                               const char *type, const char *text, const char *after,
                               const char *before, const char *store, pyb_value *result,
                               pyb_error *error) {
  return ask(session, "search", TEXTS(name, type, text, after, before, store), result,
             error);
}

pyb_status pyb_diff_contexts(const pyb_session *session, const char *a, const char *b,
                             const char *store, pyb_value *result, pyb_error *error) {
  return ask(session, "diff", TEXTS(a, b, store), result, error);
}

pyb_status pyb_delete_context(const pyb_session *session, const char *snapshot,
                              const char *store, int64_t *id, pyb_error *error) {
  return count(session, "delete", TEXTS(snapshot, store), 0, id, NULL, error);
}

pyb_status pyb_transfer_variables(const pyb_session *session, const char *variables,
                                  const char *source, const char *target,
                                  pyb_value *report, pyb_error *error) {
  return count(session, "transfer", TEXTS(variables, source, target), 0, NULL, report,
               error);
}

pyb_status pyb_export_context(const pyb_session *session, const char *snapshot,
                              const char *path, const char *store, pyb_error *error) {
  return count(session, "export", TEXTS(snapshot, path, store), 0, NULL, NULL, error);
}

pyb_status pyb_import_context(const pyb_session *session, const char *path,
                              const char *store, int64_t *id, pyb_error *error) {
  return count(session, "import", TEXTS(path, store), 0, id, NULL, error);
}

pyb_status pyb_inspect_context(const pyb_session *session, const char *snapshot,
                               const char *store, pyb_value *result, pyb_error *error) {
  return ask(session, "inspect", TEXTS(snapshot, store), result, error);
}

pyb_status pyb_verify_context(const pyb_session *session, const char *snapshot,
                              const char *store, pyb_value *result, pyb_error *error) {
  return ask(session, "verify", TEXTS(snapshot, store), result, error);
}

pyb_status pyb_trust_context(const pyb_session *session, const char *snapshot,
                             const char *store, pyb_error *error) {
  return count(session, "trust", TEXTS(snapshot, store), 0, NULL, NULL, error);
}

/* ---- End ------------------------------------------------------------------------ */

pyb_status pyb_finalize(pyb_error *error) {
  pyb__pool_drain();
  CROSS(NULL, error, pyb__py_finalize(0, ADDRESS(error)), NOTHING);
}
