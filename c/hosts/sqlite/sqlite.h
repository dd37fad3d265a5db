/* sqlite.h: what the files of the SQLite host adapter share.
 *
 * One `pyb__sqlite` per connection carries the session, the options and the services
 * that Python is lent. It lives as long as anything registered on the connection that
 * points to it: each registration takes a reference, and SQLite's xDestroy gives it
 * back, so that the last function to go takes it along. Nothing here keeps a prepared
 * statement longer than Python code runs (that would make sqlite3_close fail), and
 * there are no globals.
 *
 * SQLite runs the functions of one connection one at a time, with its mutex held; so
 * what hangs on a connection needs no lock. The one exception is said where it is.
 *
 * Conversions between the two worlds (sqlite3_value and pyb_value, pyb_error and an
 * SQLite error) are in value.c and nowhere else.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_H
#define PYBRIDGE_HOSTS_SQLITE_H

#include <sqlite3ext.h>
#include <stdatomic.h>

#include "pybridge.h"

#if SQLITE_VERSION_NUMBER < 3040000
#error "the header sqlite3ext.h is too old: 3.40.0 or newer is needed to build"
#endif

/* Declared here, defined by SQLITE_EXTENSION_INIT1 in extension.c: the routine table
 * of the host. It is as long as the host's SQLite is new: a routine younger than
 * PYB__SQLITE_OLDEST may be called behind pyb__sqlite_has() only. */
SQLITE_EXTENSION_INIT3

#define PYB__SQLITE_OLDEST 3031000 /* SQLITE_DIRECTONLY */

/* Is the host's SQLite `number` (3041000 = 3.41.0) or newer? */
static inline int pyb__sqlite_has(int number) {
  return sqlite3_libversion_number() >= number;
}

/* ---- The host of one connection (extension.c) ----------------------------------- */

#define PYB__SQLITE_SAVEPOINTS 8

typedef struct pyb__sqlite {
  sqlite3 *db;         /* borrowed: the connection outlives what is registered on it */
  pyb_session session; /* its host is this struct */
  pyb_services services;
  int references;
  atomic_int stopped; /* by the library: the scan below SQL looks at it */
  int savepoints;     /* open ones of pybridge.host.transaction */
  int names[PYB__SQLITE_SAVEPOINTS]; /* of the first of them: pybridge_<number> */
  sqlite3_stmt *last_resort;         /* only while there are some: see services.c */
  char context[128];                 /* name of the current context, "main" at first */
  char dtype_backend[16]; /* "" = the default; else numpy, numpy_nullable, pyarrow */
  int parse;       /* 1 = declared DATE, BOOLEAN ... become Python types; 0 at first */
  int pages;       /* 1 = pages may be read below SQL */
  void *writing;   /* the stream that write.c has at hand; NULL = none */
  int writes;      /* of streams that are in progress, one inside the other */
  char store[512]; /* file of the snapshots; "" = this connection's database */
  char scanned[160]; /* how rows were read last: "pages", "query: <reason>" */
  atomic_int shells; /* calls of py_shell in progress; the watch reads both */
  atomic_int stop;   /* in a shell: the query that it runs is to end, and only that */
  int guarded;       /* queries in progress that look at `stop` */
} pyb__sqlite;

pyb__sqlite *pyb__sqlite_take(pyb__sqlite *host); /* one more reference; the host */
void pyb__sqlite_give(void *host);                /* one less; fits as an xDestroy */

/* Make `name`, shorter than host->context, the current context. */
void pyb__sqlite_switch(pyb__sqlite *host, const char *name);

/* Register a scalar function; n_args -1 = any number. SQLITE_UTF8 and
 * SQLITE_DIRECTONLY are added to flags. Its sqlite3_user_data is the host, on which it
 * holds a reference. Returns an SQLite code. */
int pyb__sqlite_function(pyb__sqlite *host, const char *name, int n_args, int flags,
                         void (*call)(sqlite3_context *, int, sqlite3_value **));

/* The hooks that extension.c calls once per connection, each in its own file. They
 * register what the file is for and return an SQLite code. Only sqlite3_user_data
 * objects that hold a reference (pyb__sqlite_take) may point to the host. */
int pyb__sqlite_register_functions(pyb__sqlite *host); /* functions.c: py_eval ... */
int pyb__sqlite_register_collect(pyb__sqlite *host);   /* collect.c: py_collect */
int pyb__sqlite_register_query(pyb__sqlite *host);     /* query.c: py_query */
int pyb__sqlite_register_table(pyb__sqlite *host);     /* table.c: py_table */
int pyb__sqlite_register_frame(pyb__sqlite *host);     /* frame.c: py_frame */
int pyb__sqlite_register_write(pyb__sqlite *host);     /* write.c: py_write */
int pyb__sqlite_register_define(pyb__sqlite *host);    /* define.c: py_define */
int pyb__sqlite_register_contexts(pyb__sqlite *host);  /* contexts.c: py_save ... */
int pyb__sqlite_register_jobs(pyb__sqlite *host);      /* jobs.c: py_job */
int pyb__sqlite_register_listings(pyb__sqlite *host);  /* listings.c: py_contexts ... */
int pyb__sqlite_register_object(pyb__sqlite *host);    /* object.c: py_object ... */
int pyb__sqlite_register_items(pyb__sqlite *host);     /* items.c: py_iter, py_rows */
int pyb__sqlite_register_shell(pyb__sqlite *host);     /* shell.c: py_shell */

/* A pointer of this type given to py_context is an int that it sets to 1: how a load
 * finds out that the connection is served already. */
#define PYB__SQLITE_PROBE "pybridge probe"

/* Fill host->services (services.c). */
void pyb__sqlite_lend(pyb__sqlite *host);

/* After a call that has failed: undo what it began with pybridge.host.transaction and
 * did not come to end, because it was stopped between two instructions of that.
 * `before` = host->savepoints before the call. */
void pyb__sqlite_settle(pyb__sqlite *host, int before, pyb_error *error);

/* Savepoints that are set and released by statements, of which any may be stopped: a
 * progress handler is asked once more when a statement has done what it is for. */

/* Undo all since the savepoint, and release it. Was that possible? */
int pyb__sqlite_go_back(sqlite3 *db, const char *name);

/* The statement that sets the savepoint has failed: it must not stay set. */
void pyb__sqlite_not_begun(sqlite3 *db, const char *name);

/* The statement that releases the savepoint has failed: is it released all the same? */
int pyb__sqlite_is_released(sqlite3 *db, const char *name);

/* Around what Python has SQLite do (shell.c). Inside py_shell sqlite3_interrupt would
 * not do to stop it: SQLite refuses all statements from then on until the outermost
 * ends, which is the one with py_shell in it. */
void pyb__sqlite_guard(pyb__sqlite *host);
void pyb__sqlite_unguard(pyb__sqlite *host);

/* End what SQLite is doing for Python. From any thread. */
void pyb__sqlite_stop(pyb__sqlite *host);

/* ---- Values and errors (value.c) ------------------------------------------------ */

/* Load one SQL value. What comes out is borrowed from `value`: valid until the SQL
 * function returns or converts it. INTEGER -> int64, REAL -> float64, TEXT -> text,
 * BLOB -> blob, a py_object -> handle, NULL (and any other pointer value) -> null.
 * Fails only for want of memory, when text has to change its encoding. */
PYB_CHECK pyb_status pyb__sqlite_load(sqlite3_value *value, pyb_value *loaded);

/* The subtype that SQLite's own JSON functions give their results. */
#define PYB__SQLITE_JSON 'J'

/* The handle of a py_object, borrowed; 0 where the value is something else. To all that
 * does not ask with this it is SQL NULL, and nothing in SQL can make one. */
pyb_handle pyb__sqlite_object(sqlite3_value *value);

/* Dump a value as the result of the SQL function `name`; `value` is moved and empty
 * afterwards. Text that owns its data is handed over without a copy. bool -> 0/1,
 * NaN -> NULL (SQLite's own rule), date/time/timestamp -> ISO text, decimal -> text, a
 * handle -> a py_object, which SQLite releases.
 * A value above SQLITE_LIMIT_LENGTH becomes an error. */
void pyb__sqlite_dump(sqlite3_context *context, const char *name, pyb_value *value);

/* The same for a result of pyb_object_call_row, which may be lent. */
void pyb__sqlite_dump_lent(sqlite3_context *context, const char *name,
                           pyb_value *value);

/* The same toward a parameter of a statement, 1 = the first. The value is borrowed and
 * must outlive the binding. Returns an SQLite code. */
int pyb__sqlite_bind(sqlite3_stmt *statement, int i, const pyb_value *value);

/* Write the ISO text of a date, time or timestamp; returns its size. No NUL is added.
 * "2024-02-29", "23:59:59.000001", "2024-02-29 23:59:59"; years outside 0..9999 get a
 * sign and more digits. */
#define PYB__SQLITE_ISO 40
size_t pyb__sqlite_iso(const pyb_value *value, char text[PYB__SQLITE_ISO]);

/* Make `error` the error of the SQL function `name`:
 * "py_eval: ZeroDivisionError: division by zero (<pybridge:1>, line 1)". The code is
 * SQLITE_INTERRUPT, SQLITE_NOMEM, SQLITE_TOOBIG or SQLITE_ERROR. */
void pyb__sqlite_fail(sqlite3_context *context, const char *name,
                      const pyb_error *error);

/* The same text, as a string of sqlite3_malloc (NULL for want of memory): for the
 * zErrMsg of a virtual table. */
char *pyb__sqlite_words(const char *name, const pyb_error *error);

/* The SQLite code that stands for a status. */
int pyb__sqlite_code(pyb_status status);

/* Fill `error` from what SQLite says about its last failure `code` on this connection:
 * its message, and the offset in the statement's text where that is known. Returns the
 * status: PYB_HOST, or the one that `code` stands for. */
pyb_status pyb__sqlite_error(sqlite3 *db, int code, pyb_error *error);

/* The ending of a word behind "%d" or "%zu": one row, two rows. */
#define PYB__S(n) ((n) == 1 ? "" : "s")

/* Fill `error` (may be NULL) with a status and a printf text; returns the status. */
pyb_status pyb__sqlite_refuse(pyb_error *error, pyb_status status, const char *format,
                              ...) __attribute__((format(printf, 3, 4)));

/* ---- Names and arguments (value.c) ---------------------------------------------- */

/* Argument i of the SQL function `name` as NUL-terminated text in *text, valid until
 * the function returns. Returns 1, or 0 when an error has been set as the result:
 * "py_x: variable is missing", or a NUL character inside it. `what` is what the
 * argument is called there. Want: it must be there; optional: *text is NULL where the
 * argument is absent, SQL NULL or ''. */
PYB_CHECK int pyb__sqlite_want(sqlite3_context *context, const char *name, int n,
                               sqlite3_value **args, int i, const char *what,
                               const char **text);
PYB_CHECK int pyb__sqlite_optional(sqlite3_context *context, const char *name, int n,
                                   sqlite3_value **args, int i, const char *what,
                                   const char **text);

/* Set "py_x: <message>" as the error of the SQL function `name`. */
void pyb__sqlite_say(sqlite3_context *context, const char *name, pyb_status status,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Append one row of n cells, cell i to columns[i]: the hot loop of every query. */
PYB_CHECK pyb_status pyb__sqlite_append(pyb_column *const *columns,
                                        sqlite3_value *const *values, size_t n);

/* ---- Keyword arguments (functions.c) -------------------------------------------- */

/* What py_kw makes: a named value. To everything but the functions that ask for it
 * with pyb__sqlite_keyword it is SQL NULL, so it cannot be confused with a value. */
typedef struct pyb__sqlite_named {
  sqlite3_value *value;
  pyb_handle object; /* in its place; 0 = it is no object */
  char name[];
} pyb__sqlite_named;

/* The named value that an argument is, or NULL where it is an ordinary value. */
const pyb__sqlite_named *pyb__sqlite_keyword(sqlite3_value *value);

/* The arguments of a call, loaded: positional ones first, then those of py_kw. They are
 * borrowed from the SQL function's, and valid as long. */
typedef struct pyb__sqlite_arguments {
  size_t n, n_names;
  pyb_value *values;
  const char **names; /* n_names, of the last values */
  void *many;         /* owned, of sqlite3_malloc; NULL = the few do */
  pyb_value few[16];
  const char *few_names[16];
} pyb__sqlite_arguments;

/* Load n arguments for the SQL function `name`. 0 = an error has been set, and nothing
 * is to be released. */
/* Is the last of the n names new among them? Says so where not. */
PYB_CHECK int pyb__sqlite_keyword_once(sqlite3_context *context, const char *name,
                                       const char *const *names, size_t n);

PYB_CHECK int pyb__sqlite_arguments_load(sqlite3_context *context, const char *name,
                                         int n, sqlite3_value **args,
                                         pyb__sqlite_arguments *loaded);
void pyb__sqlite_arguments_release(pyb__sqlite_arguments *loaded);

/* ---- Objects (object.c) ---------------------------------------------------------- */

/* What a verb is to work on: an object, or any other value, which stands for itself. */
typedef struct pyb__sqlite_target {
  pyb_handle handle;
  int temporary; /* it was made for this, and is to be released */
} pyb__sqlite_target;

/* Find the target in a value. NULL is PYB_BAD_ARGUMENT: nearly always an object that
 * SQLite did not carry to here. */
PYB_CHECK pyb_status pyb__sqlite_target_of(pyb__sqlite *host, sqlite3_value *value,
                                           pyb__sqlite_target *target,
                                           pyb_error *error);
void pyb__sqlite_target_release(pyb__sqlite_target *target);

/* ---- Rows (collect.c) -------------------------------------------------------------
 */

/* Run `sql` (size bytes, and a NUL behind them; exactly one statement that returns
 * columns) with its n parameters and put the rows in *rows: column names and declared
 * types are those of the statement. `names` as in pyb_services.query. Nothing is run
 * when the text is not one statement, or when parameters are missing or too many. */
PYB_CHECK pyb_status pyb__sqlite_collect(pyb__sqlite *host, const char *sql,
                                         size_t size, const pyb_value *params,
                                         const char *const *names, size_t n,
                                         struct ArrowArrayStream *rows,
                                         pyb_error *error);

/* The same, and where the query is no more than a scan of a table that can be read from
 * its pages, it is. */
PYB_CHECK pyb_status pyb__sqlite_read(pyb__sqlite *host, const char *sql, size_t size,
                                      const pyb_value *params, const char *const *names,
                                      size_t n, struct ArrowArrayStream *rows,
                                      pyb_error *error);

/* Prepare the first statement of `sql` (size bytes, and a NUL behind them) and set
 * *tail behind it. White space and comments alone give *statement = NULL. */
PYB_CHECK pyb_status pyb__sqlite_prepare(sqlite3 *db, const char *sql, size_t size,
                                         sqlite3_stmt **statement, const char **tail,
                                         pyb_error *error);

/* Refuse a text that has a NUL character inside. */
PYB_CHECK pyb_status pyb__sqlite_whole(const char *sql, size_t size, pyb_error *error);

/* Is it a PRAGMA, behind blanks and comments? */
PYB_CHECK int pyb__sqlite_is_pragma(const char *sql);

/* Bind n parameters: by position, and those that have a name (names[i] not NULL) by
 * name, without prefix (":a", "@a" and "$a" are all "a"). Every parameter of the
 * statement must get a value, and every value must find one. */
PYB_CHECK pyb_status pyb__sqlite_parameters(sqlite3 *db, sqlite3_stmt *statement,
                                            const pyb_value *params,
                                            const char *const *names, size_t n,
                                            pyb_error *error);

/* Quote an SQL name, a"b -> "a""b", into a string of sqlite3_malloc. NULL = no memory.
 * (In sqlite3_mprintf and sqlite3_str_appendf `\"%w\"` does the same.) */
char *pyb__sqlite_quote(const char *name);

/* The options for pyb_set_stream, without params: those of py_option with the given
 * JSON object (NULL or SQL NULL = none) over them. *merged is a string of
 * sqlite3_malloc, or NULL = no options. (query.c) */
PYB_CHECK pyb_status pyb__sqlite_options(pyb__sqlite *host, sqlite3_value *given,
                                         char **merged, pyb_error *error);

/* Fill `error` where SQLite has refused to read options with `code`: the options are
 * wrong, unless it was stopped or had no memory. Returns the status. (query.c) */
pyb_status pyb__sqlite_options_failed(sqlite3 *db, int code, pyb_error *error);

/* ---- The direct scan (pages.c) -------------------------------------------------- */

/* What py_table is to read, all names resolved against the schema. */
typedef struct pyb__sqlite_scan {
  const char *schema; /* "main", "temp", or the name of an attached database */
  const char *table;  /* as the schema spells it; may also be a view or virtual */
  const int *columns; /* n column numbers, cid of PRAGMA table_xinfo, ascending */
  size_t n;
  int64_t start, end; /* rowids from start to end, both inclusive; start <= end */
} pyb__sqlite_scan;

/* Read the table's pages straight into `table`, n empty columns that py_table has
 * named, in the order of scan->columns; rows in ascending rowid order.
 *
 * This one function decides whether that is provably what SQL would return. Where it
 * is not: *done = 0, `reason` says in a few words why ("the database is not a file"),
 * PYB_OK comes back, and py_table runs the query instead, with a new table, whatever
 * has been appended to this one. *done = 1: the table is whole. An error is only for
 * what would fail the query too. */
#define PYB__SQLITE_REASON 128
PYB_CHECK pyb_status pyb__sqlite_pages_scan(pyb__sqlite *host,
                                            const pyb__sqlite_scan *scan,
                                            pyb_table *table, int *done,
                                            char reason[PYB__SQLITE_REASON],
                                            pyb_error *error);

/* One statement that returns columns: its text, without a NUL behind it, and prepared;
 * its parameters, which are not bound. */
typedef struct pyb__sqlite_plain {
  const char *sql;
  size_t size;
  sqlite3_stmt *statement;
  const pyb_value *params;
  const char *const *names;
  size_t n_params;
} pyb__sqlite_plain;

/* The same for a query, into columns that are named as the statement's: *done = 1 where
 * it is seen to be no more than a scan of one table: columns of its rows, all of them
 * or those that pass comparisons, in the order of the rowids or of columns. */
PYB_CHECK pyb_status pyb__sqlite_pages_query(pyb__sqlite *host,
                                             const pyb__sqlite_plain *query,
                                             pyb_table *table, int *done,
                                             char reason[PYB__SQLITE_REASON],
                                             pyb_error *error);

/* Note for py_option('scanned') how rows were read; reason NULL = by pages. */
void pyb__sqlite_scanned(pyb__sqlite *host, const char *reason);

/* ---- Writing (write.c) ---------------------------------------------------------- */

/* pyb_services.write of this host, and what py_write does with a frame's stream.
 * `rows` is moved. `table` may be schema-qualified. One savepoint: all or nothing. */
PYB_CHECK pyb_status pyb__sqlite_write(pyb__sqlite *host, struct ArrowArrayStream *rows,
                                       const char *table, const char *mode,
                                       int64_t *count, pyb_error *error);

#endif /* PYBRIDGE_HOSTS_SQLITE_H */
