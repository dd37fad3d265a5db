/* shell.c: py_shell, Python for the user of the host's terminal. */
#include "sqlite.h"

#define STEPS 1000 /* of SQLite's machine, between two looks at `stop` */

/* ---- Queries that end without the shell ----------------------------------------- */

static int wanted(void *data) {
  return atomic_load(&((pyb__sqlite *)data)->stop);
}

/* The connection's progress handler is lost by it, as SQLite does not tell which one it
 * has: that of the `sqlite3` shell counts steps for `.progress`. */
void pyb__sqlite_guard(pyb__sqlite *host) {
  if (atomic_load(&host->shells) == 0 || host->guarded++ > 0)
    return;
  atomic_store(&host->stop, 0);
  sqlite3_progress_handler(host->db, STEPS, wanted, host);
}

void pyb__sqlite_unguard(pyb__sqlite *host) {
  if (host->guarded > 0 && --host->guarded == 0)
    sqlite3_progress_handler(host->db, 0, NULL, NULL);
}

/* SQLite lets any thread interrupt a connection that is open. */
void pyb__sqlite_stop(pyb__sqlite *host) {
  if (atomic_load(&host->shells) != 0)
    atomic_store(&host->stop, 1);
  else
    sqlite3_interrupt(host->db);
}

/* ---- The function --------------------------------------------------------------- */

/* py_shell([context [, options]]) -> the user's exit code */
static void py_shell(sqlite3_context *context, int n, sqlite3_value **args) {
  static const char name[] = "py_shell";
  pyb__sqlite *host = sqlite3_user_data(context);
  const char *chosen, *options;
  pyb_status status;
  pyb_error error;
  int64_t code;

  if (!pyb__sqlite_optional(context, name, n, args, 0, "context", &chosen) ||
      !pyb__sqlite_optional(context, name, n, args, 1, "options", &options))
    return;
  atomic_fetch_add(&host->shells, 1);
  status = pyb_shell(&host->session, chosen, options, &code, &error);
  atomic_fetch_sub(&host->shells, 1);
  if (status == PYB_OK)
    sqlite3_result_int64(context, code);
  else
    pyb__sqlite_fail(context, name, &error);
}

int pyb__sqlite_register_shell(pyb__sqlite *host) {
  int code = SQLITE_OK;

  for (int n = 0; n <= 2 && code == SQLITE_OK; n++)
    code = pyb__sqlite_function(host, "py_shell", n, 0, py_shell);
  return code;
}
