/* jobs.c: the SQL function that runs a stored function; the runs are in listings.c. */
#include "sqlite.h"

/* py_job(function [, inputs [, parameters [, options]]]) -> JSON of what became of it
 */
static void py_job(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_job";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *function, *inputs, *parameters, *options;
  pyb_value result;
  pyb_error error;
  pyb_status status;
  int before;

  if (!pyb__sqlite_want(context, name, n, args, 0, "function", &function) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "inputs", &inputs) ||
      !pyb__sqlite_optional(context, name, n, args, 2, "parameters", &parameters) ||
      !pyb__sqlite_optional(context, name, n, args, 3, "options", &options))
    return;
  before = host->savepoints;
  status =
      pyb_job(&host->session, function, inputs, parameters, options, &result, &error);
  if (status == PYB_OK) {
    pyb__sqlite_dump(context, name, &result);
    return;
  }
  pyb__sqlite_settle(host, before, &error);
  pyb__sqlite_fail(context, name, &error);
}

int pyb__sqlite_register_jobs(pyb__sqlite *host) {
  int code = SQLITE_OK;

  for (int n = 1; n <= 4 && code == SQLITE_OK; n++)
    code = pyb__sqlite_function(host, "py_job", n, 0, py_job);
  return code;
}
