/* contexts.c: the SQL functions that keep contexts and bring them back.
 *
 * A snapshot is written through the services of this connection, so it is part of the
 * transaction of the statement that saves it. What lists many things is a table:
 * listings.c. */
#include <string.h>

#include "sqlite.h"

/* Where snapshots are: NULL = in this connection's database. */
static const char *store(const pyb__sqlite *host) {
  return host->store[0] != '\0' ? host->store : NULL;
}

static void finish(sqlite3_context *context, const char *name, pyb_status status,
                   pyb_value *result, const pyb_error *error) {
  if (status == PYB_OK)
    pyb__sqlite_dump(context, name, result);
  else
    pyb__sqlite_fail(context, name, error);
}

static void finish_number(sqlite3_context *context, const char *name, pyb_status status,
                          int64_t number, const pyb_error *error) {
  if (status == PYB_OK)
    sqlite3_result_int64(context, number);
  else
    pyb__sqlite_fail(context, name, error);
}

/* Argument i as a whole number; absent or NULL = 0. Returns 0 when an error is set. */
static int optional_number(sqlite3_context *context, const char *name, int n,
                           sqlite3_value **args, int i, const char *what,
                           int64_t *number) {
  *number = 0;
  if (i >= n || sqlite3_value_type(args[i]) == SQLITE_NULL)
    return 1;
  if (sqlite3_value_type(args[i]) != SQLITE_INTEGER) {
    pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "%s", what);
    return 0;
  }
  *number = sqlite3_value_int64(args[i]);
  return 1;
}

/* py_save([name [, mask [, max_length [, description]]]]) -> the snapshot's number */
static void py_save(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_save";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *called, *mask, *description;
  int64_t max_length, id;
  pyb_error error;
  pyb_status status;
  int before;

  if (!pyb__sqlite_optional(context, name, n, args, 0, "name", &called) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "mask", &mask) ||
      !optional_number(context, name, n, args, 2,
                       "max_length is a number of bytes, 0 = no limit", &max_length) ||
      !pyb__sqlite_optional(context, name, n, args, 3, "description", &description))
    return;
  before = host->savepoints;
  status = pyb_save_context(&host->session, called, mask, max_length, description,
                            store(host), &id, NULL, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish_number(context, name, status, id, &error);
}

/* py_restore(snapshot [, mask [, clear [, options]]]) -> JSON report */
static void py_restore(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_restore";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot, *mask, *options;
  int64_t clear;
  pyb_value report;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "snapshot", &snapshot) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "mask", &mask) ||
      !optional_number(context, name, n, args, 2,
                       "clear is 1, to empty the context before, or 0", &clear) ||
      !pyb__sqlite_optional(context, name, n, args, 3, "options", &options))
    return;
  status = pyb_restore_context(&host->session, snapshot, mask, clear != 0, options,
                               store(host), &report, &error);
  finish(context, name, status, &report, &error);
}

/* py_display([snapshot]) -> text */
static void py_display(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_display";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot;
  pyb_value text;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_optional(context, name, n, args, 0, "snapshot", &snapshot))
    return;
  status = pyb_display_context(&host->session, snapshot, store(host), &text, &error);
  finish(context, name, status, &text, &error);
}

/* py_verify(snapshot) -> JSON */
static void py_verify(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_verify";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot;
  pyb_value result;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "snapshot", &snapshot))
    return;
  status = pyb_verify_context(&host->session, snapshot, store(host), &result, &error);
  finish(context, name, status, &result, &error);
}

/* py_transfer(variables, source, target) -> JSON report */
static void py_transfer(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_transfer";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *variables, *source, *target;
  pyb_value report;
  pyb_error error;
  pyb_status status;

  if (!pyb__sqlite_want(context, name, n, args, 0, "variables", &variables) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "source", &source) ||
      !pyb__sqlite_optional(context, name, n, args, 2, "target", &target))
    return;
  status = pyb_transfer_variables(&host->session, variables, source, target, &report,
                                  &error);
  finish(context, name, status, &report, &error);
}

/* py_delete_context(snapshot) -> its number */
static void py_delete_context(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_delete_context";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot;
  pyb_error error;
  pyb_status status;
  int64_t id;
  int before;

  if (!pyb__sqlite_want(context, name, n, args, 0, "snapshot", &snapshot))
    return;
  before = host->savepoints;
  status = pyb_delete_context(&host->session, snapshot, store(host), &id, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish_number(context, name, status, id, &error);
}

/* py_trust_context(snapshot) -> NULL */
static void py_trust_context(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_trust_context";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot;
  pyb_error error;
  int before = host->savepoints;

  if (!pyb__sqlite_want(context, name, n, args, 0, "snapshot", &snapshot))
    return;
  if (pyb_trust_context(&host->session, snapshot, store(host), &error) != PYB_OK) {
    pyb__sqlite_settle(host, before, &error);
    pyb__sqlite_fail(context, name, &error);
  }
}

/* py_export_context(snapshot, path) -> NULL */
static void py_export_context(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_export_context";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *snapshot, *path;
  pyb_error error;

  if (!pyb__sqlite_want(context, name, n, args, 0, "snapshot", &snapshot) ||
      !pyb__sqlite_want(context, name, n, args, 1, "path", &path))
    return;
  if (pyb_export_context(&host->session, snapshot, path, store(host), &error) != PYB_OK)
    pyb__sqlite_fail(context, name, &error);
}

/* py_import_context(path) -> the snapshot's number in this store */
static void py_import_context(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_import_context";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *path;
  pyb_error error;
  pyb_status status;
  int64_t id;
  int before;

  if (!pyb__sqlite_want(context, name, n, args, 0, "path", &path))
    return;
  before = host->savepoints;
  status = pyb_import_context(&host->session, path, store(host), &id, &error);
  if (status != PYB_OK)
    pyb__sqlite_settle(host, before, &error);
  finish_number(context, name, status, id, &error);
}

int pyb__sqlite_register_contexts(pyb__sqlite *host) {
  static const struct {
    const char *name;
    int fewest, most; /* arguments */
    void (*call)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"py_save", 0, 4, py_save},
      {"py_restore", 1, 4, py_restore},
      {"py_display", 0, 1, py_display},
      {"py_verify", 1, 1, py_verify},
      {"py_transfer", 3, 3, py_transfer},
      {"py_delete_context", 1, 1, py_delete_context},
      {"py_trust_context", 1, 1, py_trust_context},
      {"py_export_context", 2, 2, py_export_context},
      {"py_import_context", 1, 1, py_import_context},
  };
  int code = SQLITE_OK;

  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    for (int n = functions[i].fewest; n <= functions[i].most && code == SQLITE_OK; n++)
      code = pyb__sqlite_function(host, functions[i].name, n, 0, functions[i].call);
  return code;
}
