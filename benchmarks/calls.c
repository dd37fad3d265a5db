/* calls.c: what a call costs from C, beside the same call on CPython's own API.
 *
 *     calls CALLS ROUNDS LIBRARY    one line per round and way: "NAME\tNANOSECONDS"
 *     calls once                    the first result of a process, for start.py
 *
 * The floors hold references to what they call and check nothing; pyb_call looks the
 * function up by name, and reports errors. The order is another one in each round. */
#include <Python.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

#include <pybridge.h>

static pyb_session session;
static PyObject *function;
static PyThreadState *state;
static sqlite3_stmt *statement;
static pyb_object *object;
static pyb_handle instance;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "calls: %s\n", what);
    exit(1);
  }
}

/* Not a small integer that Python keeps ready. */
static int64_t argument(long i) {
  return 1000 + (i & 0xffff);
}

/* ---- The floors ----------------------------------------------------------------- */

static int64_t vectorcall(int64_t integer) {
  PyObject *stack[2] = {NULL, PyLong_FromLongLong(integer)}, *object;
  int64_t result;

  object = PyObject_Vectorcall(function, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                               NULL);
  Py_DECREF(stack[1]);
  check(object != NULL, "the function has failed");
  result = PyLong_AsLongLong(object);
  Py_DECREF(object);
  return result;
}

static void floor_calls(long n) {
  for (long i = 0; i < n; i++) {
    PyEval_RestoreThread(state);
    check(vectorcall(argument(i)) == argument(i) + 1, "a wrong result");
    PyEval_SaveThread();
  }
}

static void ensure_calls(long n) {
  for (long i = 0; i < n; i++) {
    PyGILState_STATE gil = PyGILState_Ensure();
    check(vectorcall(argument(i)) == argument(i) + 1, "a wrong result");
    PyGILState_Release(gil);
  }
}

static void run_strings(long n) {
  for (long i = 0; i < n; i++) {
    PyEval_RestoreThread(state);
    check(PyRun_SimpleString("1+1") == 0, "PyRun_SimpleString has failed");
    PyEval_SaveThread();
  }
}

/* ---- Ours ----------------------------------------------------------------------- */

static void our_calls(long n) {
  for (long i = 0; i < n; i++) {
    pyb_value value = {.type = PYB_INT64, .integer = argument(i)}, result;

    check(pyb_call(&session, "f", &value, 1, NULL, 0, &result, NULL) == PYB_OK,
          "pyb_call has failed");
    check(result.integer == argument(i) + 1, "a wrong result");
  }
}

static void object_calls(long n) {
  for (long i = 0; i < n; i++) {
    pyb_value value = {.type = PYB_INT64, .integer = argument(i)}, result;

    check(pyb_object_call(&session, object, &value, 1, &result, NULL) == PYB_OK,
          "pyb_object_call has failed");
    check(result.integer == argument(i) + 1, "a wrong result");
  }
}

static void handle_calls(long n) {
  for (long i = 0; i < n; i++) {
    pyb_value value = {.type = PYB_INT64, .integer = argument(i)}, result;

    check(pyb_handle_call(&session, instance, "m", &value, 1, NULL, 0, PYB_AS_FITS,
                          &result, NULL) == PYB_OK,
          "pyb_handle_call has failed");
    check(result.integer == argument(i) + 1, "a wrong result");
  }
}

static void our_evaluations(long n) {
  for (long i = 0; i < n; i++) {
    pyb_value result;

    check(pyb_evaluate(&session, "1+1", PYB_NTS, NULL, &result, NULL) == PYB_OK,
          "pyb_evaluate has failed");
    check(result.integer == 2, "a wrong result");
  }
}

static void our_sql(long n) {
  for (long i = 0; i < n; i++) {
    check(sqlite3_step(statement) == SQLITE_ROW, "py_eval has failed");
    check(sqlite3_column_int64(statement, 0) == 2, "a wrong result");
    sqlite3_reset(statement);
  }
}

/* ---- Ways, rounds --------------------------------------------------------------- */

typedef struct way {
  const char *name;
  void (*run)(long n);
  int foreign; /* on a new thread each round, whose making and ending counts */
  long share;  /* so many times fewer calls */
} way;

static const way ways[] = {
    {"floor", floor_calls, 0, 1},
    {"pyb_call", our_calls, 0, 1},
    {"foreign_ensure", ensure_calls, 1, 50},
    {"foreign_pyb_call", our_calls, 1, 1},
    {"PyRun_SimpleString", run_strings, 0, 10},
    {"pyb_object_call", object_calls, 0, 1},
    {"pyb_handle_call", handle_calls, 0, 1},
    {"pyb_evaluate", our_evaluations, 0, 1},
    {"py_eval", our_sql, 0, 1},
};
enum { WAYS = sizeof ways / sizeof *ways };

typedef struct work {
  const way *way;
  long n;
} work;

static void *on_thread(void *argument) {
  const work *w = argument;
  w->way->run(w->n);
  return NULL;
}

static double measure(const way *way, long calls) {
  work w = {.way = way, .n = calls / way->share};
  double begun = now();
  pthread_t thread;

  if (way->foreign) {
    check(pthread_create(&thread, NULL, on_thread, &w) == 0, "no thread");
    pthread_join(thread, NULL);
  } else {
    way->run(w.n);
  }
  return (now() - begun) / (double)w.n;
}

static void open_sqlite(const char *library) {
  sqlite3 *db;
  char *message = NULL;

  check(sqlite3_open(":memory:", &db) == SQLITE_OK, "no database");
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, library, NULL, &message) != SQLITE_OK)
    check(0, message);
  check(sqlite3_prepare_v2(db, "select py_eval('1+1')", -1, &statement, NULL) ==
            SQLITE_OK,
        sqlite3_errmsg(db));
}

static void shuffle(int *order) {
  for (int i = WAYS - 1; i > 0; i--) {
    int j = rand() % (i + 1), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

static int once(void) {
  pyb_value result;
  return pyb_evaluate(&session, "1+1", PYB_NTS, NULL, &result, NULL) != PYB_OK;
}

int main(int argc, char **argv) {
  static const char code[] = "def f(x): return x + 1\n"
                             "class C:\n"
                             "  def m(self, x): return x + 1\n";
  PyGILState_STATE gil;
  int order[WAYS];
  pyb_error error;

  if (argc == 2)
    return once();
  check(argc == 4, "wants CALLS ROUNDS LIBRARY");
  if (pyb_execute_code(&session, code, PYB_NTS, NULL, &error) != PYB_OK)
    check(0, error.message);
  if (pyb_object_get(&session, "f", &object, &error) != PYB_OK ||
      pyb_handle_new(&session, "C", NULL, 0, NULL, 0, &instance, &error) != PYB_OK)
    check(0, error.message);
  check(once() == 0, "pyb_evaluate has failed");
  gil = PyGILState_Ensure();
  state = PyThreadState_Get();
  PyRun_SimpleString("def f(x): return x + 1");
  function = PyObject_GetAttrString(PyImport_AddModule("__main__"), "f");
  check(function != NULL, "no function");
  PyGILState_Release(gil);
  open_sqlite(argv[3]);
  for (int i = 0; i < WAYS; i++)
    order[i] = i;
  for (int i = 0; i < WAYS; i++)
    measure(&ways[i], 10000);
  for (int round = 0; round < atoi(argv[2]); round++) {
    shuffle(order);
    for (int i = 0; i < WAYS; i++)
      printf("%s\t%.3f\n", ways[order[i]].name,
             measure(&ways[order[i]], atol(argv[1])));
    fflush(stdout);
  }
  return 0;
}
