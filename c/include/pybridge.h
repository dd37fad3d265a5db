/* pybridge.h: the contract between a host process and the Python inside it.
 *
 * A host (a database, or any program that can load a shared library) loads one
 * library, libpybridge, and speaks three things with it: `pyb_value` (a scalar),
 * `ArrowArrayStream` (rows) and `pyb_error` (a failure). Nothing here needs Python.h.
 *
 *     pyb_session session = {.context = "main"};
 *     pyb_value result;
 *     pyb_error error;
 *
 *     if (pyb_evaluate(&session, "1 + 1", PYB_NTS, NULL, &result, &error) == PYB_OK)
 *       printf("%lld\n", (long long)result.integer);
 *     else
 *       fprintf(stderr, "%s: %s\n", error.type, error.message);
 *     pyb_value_release(&result);
 *
 * Rules that hold for every function
 *
 * - Threads. Any host thread may call, at any time, also one that Python has never
 *   seen. The GIL is taken on entry and given back on leaving. One `pyb_session` is
 *   used by one thread at a time.
 * - Start. Python starts once per process, on the first call that needs it; nothing is
 *   started when the library is loaded. Where Python runs already, it is used.
 * - Errors. A function that can fail returns a `pyb_status` which the compiler makes
 *   you look at, and fills `error` where that is not NULL. On failure `*result` is
 *   empty (PYB_NULL, nothing to release) and no variable has changed. No Python
 *   exception, SystemExit included, ever passes this line.
 * - Text is UTF-8. Names are NUL-terminated; code and data come with their size in
 *   bytes (PYB_NTS = NUL-terminated), and a NUL inside is data.
 * - Owners. What goes in stays the caller's and is only read during the call. What
 *   comes out is the caller's: `pyb_value_release`, `pyb_object_release` or the
 *   Arrow struct's own `release`. "Moved" means: the callee owns it from now on and
 *   has set `release` to NULL, on failure too.
 * - Nothing changes the host's signal handlers, except that SIGINT is taken while
 *   Python code has been running for a moment and given back when the call leaves.
 */
#ifndef PYBRIDGE_H
#define PYBRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include "arrow_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PYB_API __attribute__((visibility("default")))
#define PYB_CHECK __attribute__((warn_unused_result))
#define PYB_NTS ((size_t)-1)

/* ---- Versions ------------------------------------------------------------------- */

#define PYB_VERSION "0.1.0"
#define PYB_ABI 1

/* The version of the library, "0.1.0". Never fails, starts nothing. */
PYB_API const char *pyb_version(void);

/* The PYB_ABI that the library was built with. A host compares it with its own. */
PYB_API int pyb_abi(void);

/* The version of Python that the library was built for, "3.11". Starts nothing. */
PYB_API const char *pyb_python_version(void);

/* ---- Status and error ----------------------------------------------------------- */

/* One list for number, name and text. Numbers are never reused. */
#define PYB_STATUS_MAP(X)                                                              \
  X(OK, 0, "success")                                                                  \
  X(BAD_ARGUMENT, 1, "an argument is missing or not of the kind that is wanted")       \
  X(NO_MEMORY, 2, "an allocation failed")                                              \
  X(START, 3, "Python could not be started")                                           \
  X(FORKED, 4, "Python was started before this process was forked")                    \
  X(PYTHON, 5, "the Python code raised an exception")                                  \
  X(UNDEFINED, 6, "there is no such variable, function, module or snapshot")           \
  X(UNSUPPORTED, 7, "the value has no exact counterpart on the other side")            \
  X(TOO_LARGE, 8, "the value is larger than the host takes")                           \
  X(INTERRUPTED, 9, "the call was interrupted")                                        \
  X(DEADLINE, 10, "the call ran longer than its deadline")                             \
  X(HOST, 11, "a service of the host failed")                                          \
  X(INTERNAL, 12, "a fault of pybridge itself")                                        \
  X(UNTRUSTED, 13, "the snapshot is unsigned, changed or signed by another key")

typedef enum pyb_status {
#define X(name, number, text) PYB_##name = number,
  PYB_STATUS_MAP(X)
#undef X
} pyb_status;

/* The text of a status. Never NULL, static. */
PYB_API const char *pyb_status_text(pyb_status status);

/* A failure. Fixed size, so that reporting one cannot fail; longer text is cut at a
 * whole UTF-8 character and ends in "...". The traceback and the cause chain are had
 * from pyb_get_status. */
typedef struct pyb_error {
  pyb_status status;
  int32_t line;       /* line of the user's code, 1 = first; 0 = none */
  char type[96];      /* qualified Python type, "ValueError"; "" = not from Python */
  char message[1024]; /* one line, no full stop */
  char file[256];     /* file of the user's code, "" = none */
} pyb_error;

/* ---- Values --------------------------------------------------------------------- */

typedef enum pyb_type {
  PYB_NULL = 0,      /* None, pandas.NA, NaT */
  PYB_BOOL = 1,      /* integer: 0 or 1 */
  PYB_INT64 = 2,     /* integer */
  PYB_FLOAT64 = 3,   /* real; NaN and the infinities are values, not NULL */
  PYB_TEXT = 4,      /* data, size: UTF-8, NUL inside is legal, not NUL-terminated */
  PYB_BLOB = 5,      /* data, size */
  PYB_DATE = 6,      /* integer: days since 1970-01-01, proleptic Gregorian */
  PYB_TIME = 7,      /* integer: microseconds since midnight */
  PYB_TIMESTAMP = 8, /* integer: microseconds since 1970-01-01T00:00:00, no zone */
  PYB_DECIMAL = 9,   /* data, size: decimal text, "-12.50" */
  PYB_JSON = 10,     /* data, size: JSON text; in Python the dict, list ... that it is.
                        Comes out of pyb_object_call_named alone; text in a column */
  PYB_HANDLE = 11    /* integer: a pyb_handle, and the object itself where it goes in */
} pyb_type;

/* A scalar. All zeros is NULL. A value with `release` owns `data`, and
 * where the library made it, a NUL stands behind the `size` bytes. */
typedef struct pyb_value {
  pyb_type type;
  union {
    int64_t integer;
    double real;
    const char *data;
  };
  size_t size;                 /* of data; going in it may be PYB_NTS */
  void (*release)(void *data); /* NULL = borrowed or nothing to release */
} pyb_value;

#define PYB_EMPTY ((pyb_value){.type = PYB_NULL})

/* Release what `value` owns and make it NULL. Harmless on an empty value. */
PYB_API void pyb_value_release(pyb_value *value);

/* ---- Session -------------------------------------------------------------------- */

/* What a host lends to the Python code that it calls (`pybridge.host`). Each may be
 * NULL: then Python code that asks for it gets an error. Services are called without
 * the GIL, on the thread of the call, except `interrupted`. */
typedef struct pyb_services {
  size_t size;      /* sizeof(pyb_services), for hosts built with another version */
  const char *name; /* "sqlite" */

  /* Run one statement and put its rows in *rows (owned by the caller then). `names`
   * has n entries or is NULL: the n parameters are bound by position, and those with
   * a name (not NULL) by name, without prefix. */
  pyb_status (*query)(void *host, const char *sql, size_t size, const pyb_value *params,
                      const char *const *names, size_t n, struct ArrowArrayStream *rows,
                      pyb_error *error);

  /* Run one or more statements, drop their rows. *changes = rows changed. */
  pyb_status (*execute)(void *host, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        int64_t *changes, pyb_error *error);

  /* Write `rows` (moved) to a table; mode is "fail", "replace" or "append"; all or
   * nothing. *count = rows written. */
  pyb_status (*write)(void *host, struct ArrowArrayStream *rows, const char *table,
                      const char *mode, int64_t *count, pyb_error *error);

  /* Has the host been asked to stop this call? Called from another thread every few
   * milliseconds while a call runs; must not block, nor want the GIL. */
  int (*interrupted)(void *host);

  /* Take Python's output: stream 1 = stdout, 2 = stderr. NULL: C's own stdio. */
  void (*output)(void *host, int stream, const char *text, size_t size);

  /* Stop the query, execute or write that is in progress: it is to fail soon. Called
   * from another thread, again and again until it returns, when its call has to end.
   * NULL: such a call ends when the service does. */
  void (*interrupt)(void *host);

  /* Do what only this host can: `verb` is a word of its own, such as "get" of a
   * database of globals, and says what its n arguments are. *result is the caller's. */
  pyb_status (*call)(void *host, const char *verb, const pyb_value *args, size_t n,
                     pyb_value *result, pyb_error *error);

  /* Python code is about to set a handler of its own for a signal other than SIGINT. A
   * host that wants its own back keeps it now, to put it back before its call returns.
   * NULL: Python's stays. */
  void (*signal)(void *host, int number);
} pyb_services;

/* A caller: its context and its services. Zero it, set what you need, keep it at the
 * same address between calls: a few words are cached in it. */
typedef struct pyb_session {
  const char *context;          /* NULL = "main"; each name is a namespace of its own */
  const pyb_services *services; /* NULL = none */
  void *host;                   /* passed to the services */
  int64_t deadline_ms;          /* a call that takes longer is stopped; 0 = none */
  uint32_t flags;               /* PYB_CAPTURE */
  uint32_t reserved;
  void *cache[4]; /* the library's; zero at first */
} pyb_session;

#define PYB_CAPTURE 1u /* keep stdout and stderr of a call for pyb_get_status */

/* ---- Start and end -------------------------------------------------------------- */

typedef struct pyb_config {
  size_t size;        /* sizeof(pyb_config) */
  const char *python; /* the python program of the environment to use; NULL = look at
                         PYBRIDGE_PYTHON, then the environment the library is in */
} pyb_config;

/* Start Python now rather than on first use. config may be NULL. After the start a
 * config that names another environment is PYB_BAD_ARGUMENT; the same one is PYB_OK.
 * Errors: PYB_START with the path and the cure; PYB_FORKED. */
PYB_API PYB_CHECK pyb_status pyb_setup(const pyb_config *config, pyb_error *error);

/* Drop all contexts and forget the user's modules. Python goes on running and
 * extension modules stay loaded, so setup and use may follow, any number of times. */
PYB_API PYB_CHECK pyb_status pyb_finalize(pyb_error *error);

/* How many things the library has given out or keeps for the host that are not yet
 * released: owned values, objects, tables, streams. */
PYB_API int64_t pyb_live(void);

/* Interrupt the call that `session` has in progress, from any thread; it fails with
 * PYB_INTERRUPTED. Nothing happens where no call is in progress. Does not block. Pure
 * Python stops within 100 ms; a C function that Python calls stops when it returns,
 * except that on the thread that started Python a sleep or wait is cut short. */
PYB_API void pyb_interrupt(const pyb_session *session);

/* A host's own work that is part of a call: the query behind a frame, say. Between
 * begin and end the session's deadline, counted from begin, and pyb_interrupt stop it
 * by way of session->services->interrupt, which is called again until it ends. `work`
 * is the caller's memory and the library's to read; no lock is held and no Python runs.
 * Begin starts Python where there is a deadline. After a begin that failed there is no
 * end.
 *
 * End takes what the work came to and returns that, or PYB_DEADLINE or PYB_INTERRUPTED
 * with its error where the work was told to stop, even where it came to its end. */
typedef struct pyb_work {
  struct pyb_work *next, **link;
  const pyb_session *session;
  int64_t deadline;
  int stop;
} pyb_work;

PYB_API PYB_CHECK pyb_status pyb_work_begin(const pyb_session *session, pyb_work *work,
                                            pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_work_end(pyb_work *work, pyb_status status,
                                          pyb_error *error);

/* ---- Code (control plane) ------------------------------------------------------- */
/* `variable` = name to assign or fetch, NULL or "" = none. `serialization` = "str",
 * "repr", "json" (text), "pickle", "pickle:N", "dill", "arrow" (blob), or NULL = the
 * value itself, typed; a value that has no pyb_type is then PYB_UNSUPPORTED with the
 * serializations that would do. */

/* Run `code`, then return `variable` serialized (*result is NULL without one). */
PYB_API PYB_CHECK pyb_status pyb_simple_string(const pyb_session *session,
                                               const char *code, size_t size,
                                               const char *variable,
                                               const char *serialization,
                                               pyb_value *result, pyb_error *error);

/* Run `code`. With a variable, the value of the code's last expression is assigned to
 * it; code that does not end in an expression is then PYB_BAD_ARGUMENT. */
PYB_API PYB_CHECK pyb_status pyb_execute_code(const pyb_session *session,
                                              const char *code, size_t size,
                                              const char *variable, pyb_error *error);

/* Evaluate one expression. Cheap enough to call once per row. */
PYB_API PYB_CHECK pyb_status pyb_evaluate(const pyb_session *session,
                                          const char *expression, size_t size,
                                          const char *serialization, pyb_value *result,
                                          pyb_error *error);

/* Call `function` (any expression path: "f", "math.sqrt", "obj.method") with arguments
 * given as JSON: args an array, kwargs an object; NULL = none. Assign the result to
 * `variable` where one is named. */
PYB_API PYB_CHECK pyb_status pyb_execute_function(const pyb_session *session,
                                                  const char *function,
                                                  const char *args, const char *kwargs,
                                                  const char *variable,
                                                  const char *serialization,
                                                  pyb_value *result, pyb_error *error);

/* The same with n typed values instead of JSON. The last n_names of them are keyword
 * arguments, named by names[0..n_names). */
PYB_API PYB_CHECK pyb_status pyb_execute_function_args(
    const pyb_session *session, const char *function, const pyb_value *args, size_t n,
    const char *const *names, size_t n_names, const char *variable,
    const char *serialization, pyb_value *result, pyb_error *error);

/* Call `function` with n typed values. The last n_names of them are keyword arguments,
 * named by names[0..n_names). Cheap enough to call once per row. */
PYB_API PYB_CHECK pyb_status pyb_call(const pyb_session *session, const char *function,
                                      const pyb_value *args, size_t n,
                                      const char *const *names, size_t n_names,
                                      pyb_value *result, pyb_error *error);

/* Fetch a variable or any expression path, "a.b[0]['k']". */
PYB_API PYB_CHECK pyb_status pyb_get_variable(const pyb_session *session,
                                              const char *variable,
                                              const char *serialization,
                                              pyb_value *result, pyb_error *error);

/* Bind a value to a plain name. */
PYB_API PYB_CHECK pyb_status pyb_set_variable(const pyb_session *session,
                                              const char *variable,
                                              const pyb_value *value, pyb_error *error);

/* JSON text {"defined":bool,"type":"int","length":n|null}. length is len() where the
 * object has one; with a serialization, the size of that form (which costs making it).
 */
PYB_API PYB_CHECK pyb_status pyb_get_variable_info(const pyb_session *session,
                                                   const char *variable,
                                                   const char *serialization,
                                                   pyb_value *result, pyb_error *error);

/* JSON text {"defined","type","docs","signature","arguments":[{"name","kind","default",
 * "annotation"}]}. */
PYB_API PYB_CHECK pyb_status pyb_get_function_info(const pyb_session *session,
                                                   const char *function,
                                                   pyb_value *result, pyb_error *error);

/* Import `module` as `alias` (NULL = its own name). JSON text {"imported":bool, whether
 * the context had it before; "alias":"np"}. */
PYB_API PYB_CHECK pyb_status pyb_import_module(const pyb_session *session,
                                               const char *module, const char *alias,
                                               pyb_value *result, pyb_error *error);

/* JSON text {"imported":bool,"alias":"np"|null}. */
PYB_API PYB_CHECK pyb_status pyb_get_module_info(const pyb_session *session,
                                                 const char *module, pyb_value *result,
                                                 pyb_error *error);

/* Do what `file` says has to be done in a context, once: TOML with the table
 * [initializer], or Python code (".py"); NULL = PYBRIDGE_INITIALIZER or pybridge.toml,
 * which has run already where the context was made by then. *result is JSON text:
 * {"ok", "context","source","steps":[{"kind","what","when","seconds","ok","error"}]};
 * NULL where the settings ask for nothing. A step that fails is no error of this call.
 * Errors: PYB_BAD_ARGUMENT for a file that is not there or says what there is not. */
PYB_API PYB_CHECK pyb_status pyb_initialize(const pyb_session *session,
                                            const char *file, pyb_value *result,
                                            pyb_error *error);

/* Run a function that is stored (docs/functions.md) as a job, and wait for its end.
 * `function` is its key, "project/name", or a name in the default project. inputs,
 * parameters and options are JSON objects; NULL = none. An input may be a table of this
 * very host, "#t" or "#main.t", which is read through its services. *result is JSON
 * text
 * {"key","state","results":{},"outputs":{name: key}}, and with the option "wait": false
 * what is known at once. Options: "wait", "raise" (false: a function that fails is no
 * error of this call), "local" (true: in this process), "write" ({"output": "table"}:
 * into the host), "mode", "project", and those of a run, such as "timeout". When the
 * call is stopped, so is the run.
 * Errors: PYB_UNDEFINED where there is no such function, PYB_BAD_ARGUMENT for what is
 * wrong with the arguments, PYB_PYTHON (RunFailed) where it failed. */
PYB_API PYB_CHECK pyb_status pyb_job(const pyb_session *session, const char *function,
                                     const char *inputs, const char *parameters,
                                     const char *options, pyb_value *result,
                                     pyb_error *error);

/* JSON text: an array of the runs of a project (NULL = of all), the newest first:
 * {"id","key","project","function","action","state","created","started","ended",
 * "seconds","attempts","message"}. PYB_UNDEFINED where there is no such project. */
PYB_API PYB_CHECK pyb_status pyb_list_runs(const pyb_session *session,
                                           const char *project, pyb_value *result,
                                           pyb_error *error);

/* The last failure in this context, and what the last call printed under PYB_CAPTURE,
 * then forget them. JSON text {"type","message","file","line","traceback","causes":[],
 * "stdout","stderr"}; NULL where there is nothing. */
PYB_API PYB_CHECK pyb_status pyb_get_status(const pyb_session *session,
                                            pyb_value *result, pyb_error *error);

/* ---- Snapshots: contexts that are kept (control plane) -------------------------- */
/* A snapshot is a context as it was when it was saved. It lies in a store, an SQLite
 * database: `store` = the path of its file; NULL or "" = the host's own database where
 * the host lends SQL (then inside the caller's transaction), and otherwise the file of
 * PYBRIDGE_STORE or of the user. `snapshot` = the number of one as text, "12", or a
 * name: the newest of that name; PYB_UNDEFINED where the store has none such. `mask` =
 * names by comma, with * and ?; NULL = "*". Reports and lists are JSON text, whose
 * members docs/contexts.md names. What is stopped or fails leaves the store and the
 * context as they were. */

/* Keep the session's context. max_length = the largest pickle of a variable in bytes,
 * 0 = any. What cannot be kept is in the report with its reason and stops nothing.
 * *id = the number of the snapshot. id and report may be NULL. */
PYB_API PYB_CHECK pyb_status pyb_save_context(const pyb_session *session,
                                              const char *name, const char *mask,
                                              int64_t max_length,
                                              const char *description,
                                              const char *store, int64_t *id,
                                              pyb_value *report, pyb_error *error);

/* Put a snapshot back into the session's context; clear != 0 empties that before.
 * options: JSON object or NULL: "mode" ("full", or "safe": nothing that could run
 * code), "strict" (true: one item that does not load undoes all; false: the rest is
 * restored), "trust" (true: also where the signature is not this user's). A snapshot
 * that is unsigned, changed or signed by another key is PYB_UNTRUSTED. The report may
 * be NULL. */
PYB_API PYB_CHECK pyb_status pyb_restore_context(const pyb_session *session,
                                                 const char *snapshot, const char *mask,
                                                 int clear, const char *options,
                                                 const char *store, pyb_value *report,
                                                 pyb_error *error);

/* Text for people: the modules, variables and functions of a snapshot; NULL or "" = of
 * the session's context as it is now. Loads no pickle. */
PYB_API PYB_CHECK pyb_status pyb_display_context(const pyb_session *session,
                                                 const char *snapshot,
                                                 const char *store, pyb_value *result,
                                                 pyb_error *error);

/* The same as JSON text: what the snapshot is, and its "items". */
PYB_API PYB_CHECK pyb_status pyb_describe_context(const pyb_session *session,
                                                  const char *snapshot,
                                                  const char *store, pyb_value *result,
                                                  pyb_error *error);

/* JSON array of the snapshots of a store, the newest first. */
PYB_API PYB_CHECK pyb_status pyb_list_contexts(const pyb_session *session,
                                               const char *store, pyb_value *result,
                                               pyb_error *error);

/* JSON array of the items for which all that is given holds; NULL = anything. `name`
 * and `type` are masks, `text` is looked for in names, types, previews and JSON;
 * `after` and `before` are times of saving as ISO text, "2024-02-29" or "2024-02-29
 * 12:00". */
PYB_API PYB_CHECK pyb_status pyb_search_contexts(const pyb_session *session,
                                                 const char *name, const char *type,
                                                 const char *text, const char *after,
                                                 const char *before, const char *store,
                                                 pyb_value *result, pyb_error *error);

/* JSON array of what two snapshots do not have in common, from `a` to `b`. */
PYB_API PYB_CHECK pyb_status pyb_diff_contexts(const pyb_session *session,
                                               const char *a, const char *b,
                                               const char *store, pyb_value *result,
                                               pyb_error *error);

/* Remove a snapshot. *id = its number; may be NULL. */
PYB_API PYB_CHECK pyb_status pyb_delete_context(const pyb_session *session,
                                                const char *snapshot, const char *store,
                                                int64_t *id, pyb_error *error);

/* Carry variables (a mask) from one live context to another: the objects are the same
 * ones in both. A NULL context is the session's. The report may be NULL. */
PYB_API PYB_CHECK pyb_status pyb_transfer_variables(
    const pyb_session *session, const char *variables, const char *source,
    const char *target, pyb_value *report, pyb_error *error);

/* Write a snapshot with all that belongs to it to one file, or read such a file into
 * the store. *id = its number there; may be NULL. A snapshot that comes from a file
 * keeps its signature: one of another user has to be trusted before it is restored. */
PYB_API PYB_CHECK pyb_status pyb_export_context(const pyb_session *session,
                                                const char *snapshot, const char *path,
                                                const char *store, pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_import_context(const pyb_session *session,
                                                const char *path, const char *store,
                                                int64_t *id, pyb_error *error);

/* JSON array of what restoring would import or call, found without loading. */
PYB_API PYB_CHECK pyb_status pyb_inspect_context(const pyb_session *session,
                                                 const char *snapshot,
                                                 const char *store, pyb_value *result,
                                                 pyb_error *error);

/* JSON object: does the signature hold, and is each buffer what was saved? Reads all.
 */
PYB_API PYB_CHECK pyb_status pyb_verify_context(const pyb_session *session,
                                                const char *snapshot, const char *store,
                                                pyb_value *result, pyb_error *error);

/* Sign a snapshot as it is now with this user's key. */
PYB_API PYB_CHECK pyb_status pyb_trust_context(const pyb_session *session,
                                               const char *snapshot, const char *store,
                                               pyb_error *error);

/* ---- The shell ------------------------------------------------------------------ */

/* Let the user work in Python, on the context `name` (NULL = that of the session),
 * until they leave: on the terminal that the process's standard input and output are;
 * where they are none, with the lines that C's stdin has. `options` is a JSON object or
 * NULL: "code" an array of texts to run instead of reading, "banner" and "prompts"
 * booleans. SIGINT ends what the user has started, and not this call; the session's
 * time limit does not count. *code (may be NULL) = the user's exit code, 0 to 255. */
PYB_API PYB_CHECK pyb_status pyb_shell(const pyb_session *session, const char *name,
                                       const char *options, int64_t *code,
                                       pyb_error *error);

/* ---- Rows ----------------------------------------------------------------------- */

/* Make a frame of `rows` (moved) and assign it to `variable`. type: "dataframe",
 * "arrow", "polars", "list" (of tuples), "dicts", "numpy" (dict of arrays); NULL =
 * "dataframe". options: JSON object or NULL: dtype_backend, parse. *count = rows. */
PYB_API PYB_CHECK pyb_status pyb_set_stream(const pyb_session *session,
                                            const char *variable, const char *type,
                                            const char *options,
                                            struct ArrowArrayStream *rows,
                                            int64_t *count, pyb_error *error);

/* Run a query and assign its rows to `variable` as a frame. from: NULL or "" = the host
 * itself, by the session's services; else the name of a connection in pybridge.toml, an
 * ODBC connection string (it has a "="), or a variable of the context that is a
 * connection. size: bytes of sql, or PYB_NTS. type, options: as for pyb_set_stream; the
 * n parameters are bound by position, or by name where names is not NULL and names[i]
 * is not. *count = rows; of a statement without any, how many it has changed. On
 * failure the variable is as it was. Other databases are in autocommit: what has run
 * stays. */
PYB_API PYB_CHECK pyb_status pyb_execute_query(
    const pyb_session *session, const char *sql, size_t size, const char *variable,
    const char *type, const char *from, const char *options, const pyb_value *params,
    const char *const *names, size_t n, int64_t *count, pyb_error *error);

/* The rows of a frame (pandas, polars, pyarrow, dict of arrays, list of tuples or
 * dicts): of all columns, or of the n named ones, in that order. */
PYB_API PYB_CHECK pyb_status pyb_get_stream(const pyb_session *session,
                                            const char *variable,
                                            const char *const *columns, size_t n,
                                            struct ArrowArrayStream *rows,
                                            pyb_error *error);

/* The columns of a frame, without touching its rows more than typing them needs. */
PYB_API PYB_CHECK pyb_status pyb_get_schema(const pyb_session *session,
                                            const char *variable,
                                            struct ArrowSchema *schema,
                                            pyb_error *error);

/* ---- Tables: rows being built column by column ---------------------------------- */
/* Cells are appended column by column, in any order, NULL included; a table is whole
 * when all columns are equally long. No Python is needed, nor started. Types follow
 * the cells, by a rule that does not depend on their order:
 *   only NULL                 -> null
 *   cells of one type         -> that type
 *   bools and integers        -> int64
 *   those and floats          -> float64 where every integer is exact in it, else text
 *   a blob and anything else  -> blob; the others as the bytes of their text
 *   any other mixture         -> text; a number as its shortest exact decimal text
 * Arrow formats: n, b, l, g, U (large text, also decimals), Z (large blob), tdD, ttu,
 * tsu. */

typedef struct pyb_table pyb_table;

/* The hot part of a column, public only so that the appends below can be inline. */
typedef struct pyb_column {
  int64_t length;   /* cells appended */
  int64_t capacity; /* cells that fit */
  int64_t nulls;    /* how many of them are NULL */
  uint32_t kinds;   /* set of 1 << pyb_type that have come, without PYB_NULL */
  union {
    int64_t *integers; /* PYB_INT64: the cells */
    double *reals;     /* PYB_FLOAT64: the cells; NaN under NULL */
    int64_t *offsets;  /* PYB_TEXT, PYB_BLOB: length + 1 ends, first is 0 */
  };
  uint8_t *validity; /* bit per cell, 1 = not NULL; NULL while nulls == 0 */
  char *bytes;
  int64_t bytes_size;
  int64_t bytes_capacity;
  void *rest; /* what only the slow path needs */
} pyb_column;

/* A table of n columns, all of them unnamed and empty. */
PYB_API PYB_CHECK pyb_status pyb_table_new(size_t n, pyb_table **table,
                                           pyb_error *error);

/* Name column i; `declared` is the host's type name or NULL, and travels as the Arrow
 * field's metadata "pybridge.declared". */
PYB_API PYB_CHECK pyb_status pyb_table_name(pyb_table *table, size_t i,
                                            const char *name, const char *declared,
                                            pyb_error *error);

/* Make room for `rows` cells in every column, so that appending does not grow. */
PYB_API PYB_CHECK pyb_status pyb_table_reserve(pyb_table *table, int64_t rows,
                                               pyb_error *error);

/* Make the table's rows those that it has at rows[0.. n): in that order, any of them
 * left out or taken more than once. A column keeps its type. A number that is no row's
 * is PYB_BAD_ARGUMENT, and nothing has changed; PYB_NO_MEMORY leaves a table that can
 * only be released. */
PYB_API PYB_CHECK pyb_status pyb_table_take(pyb_table *table, const uint32_t *rows,
                                            int64_t n, pyb_error *error);

/* Column i; valid as long as the table. */
PYB_API pyb_column *pyb_table_column(pyb_table *table, size_t i);

/* Move the whole table into *rows as one batch. The table is gone, on failure too. */
PYB_API PYB_CHECK pyb_status pyb_table_finish(pyb_table *table,
                                              struct ArrowArrayStream *rows,
                                              pyb_error *error);

/* Drop the table. NULL is harmless. */
PYB_API void pyb_table_release(pyb_table *table);

/* The slow path of the appends: growth, the first cell, another type. A PYB_HANDLE is
 * PYB_UNSUPPORTED: no column holds objects. */
PYB_API PYB_CHECK pyb_status pyb_column_append(pyb_column *column,
                                               const pyb_value *value);

/* The five appends. PYB_NO_MEMORY is all that can go wrong. */
static inline PYB_CHECK pyb_status pyb_column_null(pyb_column *c) {
  pyb_value value = PYB_EMPTY;
  return pyb_column_append(c, &value);
}

static inline PYB_CHECK pyb_status pyb_column_int64(pyb_column *c, int64_t integer) {
  if (c->kinds == 1u << PYB_INT64 && c->length < c->capacity) {
    if (c->validity != NULL)
      c->validity[c->length >> 3] |= (uint8_t)(1u << (c->length & 7));
    c->integers[c->length++] = integer;
    return PYB_OK;
  }
  pyb_value value = {.type = PYB_INT64, .integer = integer};
  return pyb_column_append(c, &value);
}

static inline PYB_CHECK pyb_status pyb_column_float64(pyb_column *c, double real) {
  if (c->kinds == 1u << PYB_FLOAT64 && c->length < c->capacity) {
    if (c->validity != NULL)
      c->validity[c->length >> 3] |= (uint8_t)(1u << (c->length & 7));
    c->reals[c->length++] = real;
    return PYB_OK;
  }
  pyb_value value = {.type = PYB_FLOAT64, .real = real};
  return pyb_column_append(c, &value);
}

static inline PYB_CHECK pyb_status pyb_column_bytes(pyb_column *c, pyb_type type,
                                                    const char *data, size_t size) {
  if (c->kinds == 1u << type && c->length < c->capacity &&
      size <= (size_t)(c->bytes_capacity - c->bytes_size)) {
    if (c->validity != NULL)
      c->validity[c->length >> 3] |= (uint8_t)(1u << (c->length & 7));
    if (size != 0)
      __builtin_memcpy(c->bytes + c->bytes_size, data, size);
    c->bytes_size += (int64_t)size;
    c->offsets[++c->length] = c->bytes_size;
    return PYB_OK;
  }
  pyb_value value = {.type = type, .data = data, .size = size};
  return pyb_column_append(c, &value);
}

static inline PYB_CHECK pyb_status pyb_column_text(pyb_column *c, const char *data,
                                                   size_t size) {
  return pyb_column_bytes(c, PYB_TEXT, data, size);
}

static inline PYB_CHECK pyb_status pyb_column_blob(pyb_column *c, const char *data,
                                                   size_t size) {
  return pyb_column_bytes(c, PYB_BLOB, data, size);
}

/* ---- Objects: Python things that a host keeps (data plane) ---------------------- */
/* For functions that a host calls once per row. An object stays valid after its
 * variable is gone; after pyb_finalize a call with it is PYB_UNDEFINED. */

typedef struct pyb_object pyb_object;

/* The object that an expression path names. */
PYB_API PYB_CHECK pyb_status pyb_object_get(const pyb_session *session,
                                            const char *expression, pyb_object **object,
                                            pyb_error *error);

/* Call it with n positional values. */
PYB_API PYB_CHECK pyb_status pyb_object_call(const pyb_session *session,
                                             pyb_object *object, const pyb_value *args,
                                             size_t n, pyb_value *result,
                                             pyb_error *error);

/* The same for a host that is done with a result before it calls again: text of at most
 * PYB_LENT bytes is only lent (its release is NULL), with a NUL behind it. It is the
 * library's, and changes with the thread's next call. pyb_value_release is harmless. */
#define PYB_LENT 255
PYB_API PYB_CHECK pyb_status pyb_object_call_row(const pyb_session *session,
                                                 pyb_object *object,
                                                 const pyb_value *args, size_t n,
                                                 pyb_value *result, pyb_error *error);

/* pyb_object_call, with the last n_names values as keyword arguments, named by
 * names[0.. n_names). json: a result that has no other type comes as PYB_JSON. */
PYB_API PYB_CHECK pyb_status pyb_object_call_named(const pyb_session *session,
                                                   pyb_object *object,
                                                   const pyb_value *args, size_t n,
                                                   const char *const *names,
                                                   size_t n_names, int json,
                                                   pyb_value *result, pyb_error *error);

/* Call it without arguments and keep what it returns: one instance per group. */
PYB_API PYB_CHECK pyb_status pyb_object_new(const pyb_session *session,
                                            pyb_object *object, pyb_object **instance,
                                            pyb_error *error);

/* Call its method, a string constant such as "step", with n positional values. The
 * result may be NULL: then what the method returns is dropped. */
PYB_API PYB_CHECK pyb_status pyb_object_invoke(const pyb_session *session,
                                               pyb_object *object, const char *method,
                                               const pyb_value *args, size_t n,
                                               pyb_value *result, pyb_error *error);

/* Does it have all of the n named attributes? 1 or 0 in *has. */
PYB_API PYB_CHECK pyb_status pyb_object_has(const pyb_session *session,
                                            pyb_object *object,
                                            const char *const *names, size_t n,
                                            int *has, pyb_error *error);

/* Call it with the columns of `rows` (moved) as numpy arrays, one argument a column;
 * a column with NULLs is a numpy masked array. One scalar comes back. */
PYB_API PYB_CHECK pyb_status pyb_object_apply(const pyb_session *session,
                                              pyb_object *object,
                                              struct ArrowArrayStream *rows,
                                              pyb_value *result, pyb_error *error);

/* The same, but columns come back: an array or Series, a tuple of them, a dict, or a
 * frame; each must be as long as the others. */
PYB_API PYB_CHECK pyb_status pyb_object_map(const pyb_session *session,
                                            pyb_object *object,
                                            struct ArrowArrayStream *rows,
                                            struct ArrowArrayStream *mapped,
                                            pyb_error *error);

/* Let go of it. NULL is harmless. Works also while a call is in progress. */
PYB_API void pyb_object_release(pyb_object *object);

/* ---- Handles: Python objects that a host keeps by number --------------------------
 */
/* For programs that work with objects and need not name them in Python. A handle is a
 * number: 0 is none, all others are above 0, below 2^59 (18 digits) and never given
 * out twice. It belongs to the process: any thread may use it, in any context. Nothing
 * but the handle is released with it: no variable and no attribute ever goes.
 *
 * A number that is no handle, or not any more (released, or from before pyb_finalize),
 * is PYB_UNDEFINED, in every function.
 *
 * Where a value goes in, here and in pyb_call, pyb_set_variable, pyb_object_call ..., a
 * value of type PYB_HANDLE stands for the object itself; it is borrowed.
 *
 * What comes out is a value or a handle, as `as` says. A value of type PYB_HANDLE owns
 * its handle: pyb_value_release releases that too. Keep it by taking `integer` and
 * forgetting the value. In the child of a fork a handle can be neither used nor
 * released (PYB_FORKED), and releasing such a value does nothing. */

typedef uint64_t pyb_handle;

typedef enum pyb_as {
  PYB_AS_FITS = 0,  /* the value where the object has a counterpart, else a handle */
  PYB_AS_VALUE = 1, /* the value; PYB_UNSUPPORTED where there is no counterpart */
  PYB_AS_HANDLE = 2 /* a handle, of a number or None too */
} pyb_as;

/* Keep the object that an expression gives: a variable, a path, any expression. */
PYB_API PYB_CHECK pyb_status pyb_handle_of(const pyb_session *session,
                                           const char *expression, pyb_handle *handle,
                                           pyb_error *error);

/* Call what an expression names, a class or a function, with n values, the last n_names
 * of them by keyword, and keep what it returns. */
PYB_API PYB_CHECK pyb_status pyb_handle_new(const pyb_session *session,
                                            const char *callable, const pyb_value *args,
                                            size_t n, const char *const *names,
                                            size_t n_names, pyb_handle *handle,
                                            pyb_error *error);

/* Import a module and keep it; the context gets no variable. "os.path" is the inner. */
PYB_API PYB_CHECK pyb_status pyb_handle_import(const pyb_session *session,
                                               const char *module, pyb_handle *handle,
                                               pyb_error *error);

/* Keep the object of a value: of its serialization "json", "pickle" ..., or of the
 * value itself (NULL). A pickle is code: load none that you would not run. */
PYB_API PYB_CHECK pyb_status pyb_handle_loads(const pyb_session *session,
                                              const pyb_value *value,
                                              const char *serialization,
                                              pyb_handle *handle, pyb_error *error);

/* A second handle for the same object, released on its own. */
PYB_API PYB_CHECK pyb_status pyb_handle_copy(const pyb_session *session,
                                             pyb_handle handle, pyb_handle *copy,
                                             pyb_error *error);

/* Get, set and delete the attribute `name`. */
PYB_API PYB_CHECK pyb_status pyb_handle_get(const pyb_session *session,
                                            pyb_handle handle, const char *name,
                                            pyb_as as, pyb_value *result,
                                            pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_handle_set(const pyb_session *session,
                                            pyb_handle handle, const char *name,
                                            const pyb_value *value, pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_handle_delete(const pyb_session *session,
                                               pyb_handle handle, const char *name,
                                               pyb_error *error);

/* Call its method, or the object itself (method NULL), with n values, the last n_names
 * of them by keyword. Cheap enough to call once per row. */
PYB_API PYB_CHECK pyb_status pyb_handle_call(const pyb_session *session,
                                             pyb_handle handle, const char *method,
                                             const pyb_value *args, size_t n,
                                             const char *const *names, size_t n_names,
                                             pyb_as as, pyb_value *result,
                                             pyb_error *error);

/* The same with arguments as JSON: args an array, kwargs an object; NULL = none. */
PYB_API PYB_CHECK pyb_status pyb_handle_apply(const pyb_session *session,
                                              pyb_handle handle, const char *method,
                                              const char *args, const char *kwargs,
                                              pyb_as as, pyb_value *result,
                                              pyb_error *error);

/* Get, set and delete the item under a key: object[key]. */
PYB_API PYB_CHECK pyb_status pyb_handle_item(const pyb_session *session,
                                             pyb_handle handle, const pyb_value *key,
                                             pyb_as as, pyb_value *result,
                                             pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_handle_set_item(const pyb_session *session,
                                                 pyb_handle handle,
                                                 const pyb_value *key,
                                                 const pyb_value *value,
                                                 pyb_error *error);
PYB_API PYB_CHECK pyb_status pyb_handle_delete_item(const pyb_session *session,
                                                    pyb_handle handle,
                                                    const pyb_value *key,
                                                    pyb_error *error);

/* An iterator over the object. Releasing it early closes a generator that nothing else
 * holds. */
PYB_API PYB_CHECK pyb_status pyb_handle_iterate(const pyb_session *session,
                                                pyb_handle handle, pyb_handle *iterator,
                                                pyb_error *error);

/* The next item: *more = 1 and the item in *result, or *more = 0 at the end. */
PYB_API PYB_CHECK pyb_status pyb_handle_next(const pyb_session *session,
                                             pyb_handle iterator, pyb_as as,
                                             pyb_value *result, int *more,
                                             pyb_error *error);

/* len(object). */
PYB_API PYB_CHECK pyb_status pyb_handle_length(const pyb_session *session,
                                               pyb_handle handle, int64_t *length,
                                               pyb_error *error);

/* Is `value` in the object? 1 or 0. */
PYB_API PYB_CHECK pyb_status pyb_handle_contains(const pyb_session *session,
                                                 pyb_handle handle,
                                                 const pyb_value *value, int *contains,
                                                 pyb_error *error);

/* Compare it with `other`: "==", "!=", "<", "<=", ">", ">=", or "is" (the same object).
 * What objects answer is theirs: two arrays give an array. */
PYB_API PYB_CHECK pyb_status pyb_handle_compare(const pyb_session *session,
                                                pyb_handle handle, const char *op,
                                                const pyb_value *other, pyb_as as,
                                                pyb_value *result, pyb_error *error);

/* The object as a value: serialized, or the value itself (NULL). */
PYB_API PYB_CHECK pyb_status pyb_handle_value(const pyb_session *session,
                                              pyb_handle handle,
                                              const char *serialization,
                                              pyb_value *result, pyb_error *error);

/* The rows of a frame, as pyb_get_stream gives them. */
PYB_API PYB_CHECK pyb_status pyb_handle_stream(const pyb_session *session,
                                               pyb_handle handle,
                                               const char *const *columns, size_t n,
                                               struct ArrowArrayStream *rows,
                                               pyb_error *error);

/* JSON text {"type","class":bool,"module","name","callable":bool,"iterable":bool,
 * "length":n|null,"docs","repr"}. */
PYB_API PYB_CHECK pyb_status pyb_handle_info(const pyb_session *session,
                                             pyb_handle handle, pyb_value *result,
                                             pyb_error *error);

/* JSON text: the array of its attributes' names, as dir() gives them. */
PYB_API PYB_CHECK pyb_status pyb_handle_names(const pyb_session *session,
                                              pyb_handle handle, pyb_value *result,
                                              pyb_error *error);

/* Let go of it. 0 is harmless. Works also while a call is in progress. With a session,
 * code that runs when the object goes (__del__) may use that host's services. */
PYB_API PYB_CHECK pyb_status pyb_handle_release(const pyb_session *session,
                                                pyb_handle handle, pyb_error *error);

/* How many handles there are at present, in the whole process. */
PYB_API int64_t pyb_handle_count(void);

#ifdef __cplusplus
}
#endif

#endif /* PYBRIDGE_H */
