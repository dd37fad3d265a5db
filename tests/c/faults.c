/* faults.c: each allocation of the library made to fail in turn, over a scenario that
 * uses every function. Needs a library that was built with -DPYB_TEST. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>

#include "test.h"

int64_t pyb_test_fail(int64_t nth, int on);

static pyb_session session = {.context = "faults"};
static int failures; /* of calls, in this round */

/* A call may succeed, or fail as one does that got no memory. */
static int done(pyb_status status) {
  if (status == PYB_OK)
    return 1;
  CHECK(status == PYB_NO_MEMORY && error.status == PYB_NO_MEMORY);
  CHECK(error.message[0] != '\0');
  failures++;
  return 0;
}

static void take(pyb_status status, pyb_value *value) {
  if (!done(status))
    CHECK(value->type == PYB_NULL && value->release == NULL);
  pyb_value_release(value);
}

/* ---- The scenario --------------------------------------------------------------- */

static void use_code(void) {
  pyb_value args[20] = {int_value(1), text_value("text")}, value;
  const char *const names[] = {"b"};

  take(pyb_simple_string(&session, "x = 'text'", PYB_NTS, "x", NULL, &value, &error),
       &value);
  done(pyb_execute_code(&session, "x = 1", PYB_NTS, NULL, &error));
  take(evaluate(&session, "'text' * 3", &value), &value);
  take(evaluate(&session, "b'blob'", &value), &value);
  take(evaluate(&session, "decimal.Decimal('1.5')", &value), &value);
  take(pyb_evaluate(&session, "[1, 2]", PYB_NTS, "json", &value, &error), &value);
  take(pyb_execute_function(&session, "f", "[1]", "{\"b\": 2}", "kept", "repr", &value,
                            &error),
       &value);
  take(pyb_call(&session, "f", args, 2, names, 1, &value, &error), &value);
  take(pyb_call(&session, "text", args, 20, NULL, 0, &value, &error), &value);
  session.flags = PYB_CAPTURE;
  take(pyb_call(&session, "f", args, 2, names, 1, &value, &error), &value);
  session.flags = 0;
}

static void use_variables(void) {
  pyb_value text = text_value("text"), value;

  done(pyb_set_variable(&session, "v", &text, &error));
  take(pyb_get_variable(&session, "v", "str", &value, &error), &value);
  take(pyb_get_variable_info(&session, "v", NULL, &value, &error), &value);
  take(pyb_get_function_info(&session, "f", &value, &error), &value);
  take(pyb_import_module(&session, "math", NULL, &value, &error), &value);
  take(pyb_initialize(&session, NULL, &value, &error), &value);
  take(pyb_get_module_info(&session, "math", &value, &error), &value);
  take(pyb_get_status(&session, &value, &error), &value);
  done(pyb_shell(&session, NULL, "{\"code\": [\"x = 1\"]}", NULL, &error));
}

static pyb_status fill(pyb_table *table) {
  pyb_status status = PYB_OK;

  for (int row = 0; row < 700 && status == PYB_OK; row++) {
    pyb_value cells[5] = {int_value(row),
                          text_value("a longer text"),
                          row % 3 ? int_value(row) : text_value("mixed"),
                          row > 300 ? PYB_EMPTY : int_value(row),
                          {.type = PYB_FLOAT64, .real = row}};
    if (row > 500)
      cells[4] = int_value(row);
    for (int i = 0; i < 5 && status == PYB_OK; i++) {
      pyb_column *column = pyb_table_column(table, (size_t)i);
      status = pyb_column_append(column, &cells[i]);
      if (status != PYB_OK) /* and the column is as it was: it takes more */
        (void)!pyb_column_append(column, &cells[1]);
    }
  }
  error.status = status;
  strcpy(error.message, "append");
  return status;
}

/* A table of all kinds of columns, or 0. */
static int make_rows(struct ArrowArrayStream *rows) {
  static const uint32_t order[] = {600, 2, 301};
  pyb_table *table;

  if (!done(pyb_table_new(5, &table, &error)))
    return 0;
  for (int i = 0; i < 5; i++)
    done(pyb_table_name(table, (size_t)i, "name", "DECLARED", &error));
  done(pyb_table_reserve(table, 10, &error));
  if (!done(fill(table)) || !done(pyb_table_take(table, order, 3, &error))) {
    pyb_table_release(table);
    return 0;
  }
  return done(pyb_table_finish(table, rows, &error));
}

static void read_rows(struct ArrowArrayStream *rows) {
  struct ArrowSchema schema;
  struct ArrowArray batch;

  if (rows->get_schema(rows, &schema) == 0)
    schema.release(&schema);
  else
    CHECK(rows->get_last_error(rows) != NULL);
  if (rows->get_next(rows, &batch) == 0 && batch.release != NULL)
    batch.release(&batch);
  rows->release(rows);
}

/* A consumer in Python may find the stream failing at its own pace. */
static void use_rows(void) {
  struct ArrowArrayStream rows;
  pyb_status status;
  int64_t count;

  if (make_rows(&rows))
    read_rows(&rows);
  if (!make_rows(&rows))
    return;
  status = pyb_set_stream(&session, "rows", "list", NULL, &rows, &count, &error);
  CHECK(status == PYB_OK || status == PYB_NO_MEMORY || status == PYB_PYTHON);
  failures += status != PYB_OK;
  CHECK(rows.release == NULL);
}

/* What needs no store: all verbs cross by one entry. */
static void use_contexts(void) {
  pyb_value value;

  take(pyb_describe_context(&session, NULL, NULL, &value, &error), &value);
  take(pyb_display_context(&session, NULL, NULL, &value, &error), &value);
  take(pyb_transfer_variables(&session, "x", NULL, "other", &value, &error), &value);
  done(pyb_transfer_variables(&session, "x", NULL, "other", NULL, &error));
}

/* The store is empty. */
static void use_jobs(void) {
  pyb_value value;
  pyb_status status;

  take(pyb_list_runs(&session, NULL, &value, &error), &value);
  status = pyb_job(&session, "p/none", "{}", "{}", NULL, &value, &error);
  CHECK(status == PYB_UNDEFINED || status == PYB_NO_MEMORY);
  failures += status == PYB_NO_MEMORY;
  CHECK(value.type == PYB_NULL && value.release == NULL);
}

static void use_objects(void) {
  static const char *const names[] = {"step"};
  pyb_object *class = NULL, *sum = NULL;
  pyb_value args[20] = {int_value(1)}, value;
  int answer;

  if (done(pyb_object_get(&session, "Sum", &class, &error))) {
    done(pyb_object_has(&session, class, names, 1, &answer, &error));
    if (done(pyb_object_new(&session, class, &sum, &error))) {
      done(pyb_object_invoke(&session, sum, "step", args, 1, NULL, &error));
      done(pyb_object_invoke(&session, sum, "step", args, 20, NULL, &error));
      take(pyb_object_invoke(&session, sum, "text", NULL, 0, &value, &error), &value);
      take(pyb_object_call(&session, sum, args, 20, &value, &error), &value);
      take(pyb_object_call_row(&session, sum, args, 20, &value, &error), &value);
      take(pyb_object_call_named(&session, sum, args, 20, NULL, 0, 1, &value, &error),
           &value);
    }
  }
  pyb_object_release(sum);
  pyb_object_release(class);
}

static void take_handle(pyb_status status, const pyb_handle *handle) {
  if (!done(status))
    CHECK(*handle == 0);
  OK(pyb_handle_release(&session, *handle, &error));
}

static void use_handles(void) {
  static const char *const names[] = {"b"};
  pyb_value args[20] = {int_value(1), text_value("text")}, value;
  pyb_value list = text_value("[1, \"text\"]");
  pyb_handle sum = 0, made = 0, many[70];
  int64_t length;
  int answer;

  take_handle(pyb_handle_of(&session, "[1]", &made, &error), &made);
  take_handle(pyb_handle_import(&session, "math", &made, &error), &made);
  take_handle(pyb_handle_loads(&session, &list, "json", &made, &error), &made);
  for (int i = 0; i < 70; i++) /* the table of handles grows */
    done(pyb_handle_of(&session, "f", &many[i], &error));
  for (int i = 0; i < 70; i++)
    OK(pyb_handle_release(&session, many[i], &error));
  take_handle(pyb_handle_new(&session, "f", args, 2, names, 1, &made, &error), &made);
  if (!done(pyb_handle_new(&session, "Sum", NULL, 0, NULL, 0, &sum, &error)))
    return;
  take_handle(pyb_handle_copy(&session, sum, &made, &error), &made);
  done(pyb_handle_set(&session, sum, "x", &args[1], &error));
  take(pyb_handle_get(&session, sum, "x", PYB_AS_FITS, &value, &error), &value);
  take(pyb_handle_get(&session, sum, "text", PYB_AS_FITS, &value, &error), &value);
  args[2] = (pyb_value){.type = PYB_HANDLE, .integer = (int64_t)sum};
  take(pyb_handle_call(&session, sum, NULL, args, 20, NULL, 0, PYB_AS_FITS, &value,
                       &error),
       &value);
  take(pyb_handle_apply(&session, sum, "step", "[1]", NULL, PYB_AS_HANDLE, &value,
                        &error),
       &value);
  take(pyb_handle_value(&session, sum, "str", &value, &error), &value);
  take(pyb_handle_info(&session, sum, &value, &error), &value);
  take(pyb_handle_names(&session, sum, &value, &error), &value);
  take(pyb_handle_compare(&session, sum, "==", &args[2], PYB_AS_FITS, &value, &error),
       &value);
  session.flags = PYB_CAPTURE;
  take(pyb_handle_call(&session, sum, "text", NULL, 0, NULL, 0, PYB_AS_FITS, &value,
                       &error),
       &value);
  session.flags = 0;
  OK(pyb_handle_release(&session, sum, &error));
  if (!done(pyb_handle_loads(&session, &list, "json", &sum, &error)))
    return;
  done(pyb_handle_length(&session, sum, &length, &error));
  done(pyb_handle_contains(&session, sum, &args[0], &answer, &error));
  done(pyb_handle_set_item(&session, sum, &args[0], &args[1], &error));
  take(pyb_handle_item(&session, sum, &args[0], PYB_AS_FITS, &value, &error), &value);
  done(pyb_handle_delete_item(&session, sum, &args[0], &error));
  if (done(pyb_handle_iterate(&session, sum, &made, &error))) {
    take(pyb_handle_next(&session, made, PYB_AS_FITS, &value, &answer, &error), &value);
    OK(pyb_handle_release(&session, made, &error));
  }
  OK(pyb_handle_release(&session, sum, &error));
}

static void use_object_columns(void) {
  struct ArrowArrayStream rows, mapped;
  pyb_object *total = NULL, *twice = NULL;
  pyb_value value;
  pyb_status status;

  if (done(pyb_object_get(&session, "total", &total, &error)) && make_rows(&rows)) {
    status = pyb_object_apply(&session, total, &rows, &value, &error);
    CHECK(status == PYB_OK || status == PYB_NO_MEMORY || status == PYB_PYTHON);
    failures += status != PYB_OK;
    pyb_value_release(&value);
    CHECK(rows.release == NULL);
  }
  if (done(pyb_object_get(&session, "twice", &twice, &error)) && make_rows(&rows)) {
    status = pyb_object_map(&session, twice, &rows, &mapped, &error);
    CHECK(status == PYB_OK || status == PYB_NO_MEMORY || status == PYB_PYTHON);
    failures += status != PYB_OK;
    if (status == PYB_OK)
      read_rows(&mapped);
    else
      CHECK(mapped.release == NULL);
    CHECK(rows.release == NULL);
  }
  pyb_object_release(total);
  pyb_object_release(twice);
}

static pyb_status query(void *host, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        struct ArrowArrayStream *rows, pyb_error *out) {
  (void)host, (void)sql, (void)size, (void)params, (void)names, (void)n;
  if (make_rows(rows))
    return PYB_OK;
  *out = error;
  return PYB_NO_MEMORY;
}

static void use_services(void) {
  static const pyb_services services = {.size = sizeof services, .query = query};
  pyb_session calling = {.context = "faults", .services = &services};
  pyb_value args[] = {int_value(1), text_value("text")};
  pyb_status status;
  int64_t count;

  done(run(&calling, "rows = _plane.host_query('select', [1, 'text', b'blob', None])"));
  done(run(&calling, "rows = _plane.host_query('select', {'a': 1, 'b': 'text'})"));
  status = pyb_execute_query(&calling, "select", PYB_NTS, "rows", "list", NULL, "{}",
                             args, NULL, 2, &count, &error);
  CHECK(status == PYB_OK || status == PYB_NO_MEMORY || status == PYB_PYTHON);
  failures += status != PYB_OK;
  done(run(&calling, "rows = None"));
}

static void *call_on_thread(void *unused) {
  pyb_value value;

  take(evaluate(NULL, "'text'", &value), &value);
  return unused;
}

static int with_columns, with_contexts;

static void scenario(void) {
  pthread_t thread;

  failures = 0;
  use_code();
  use_variables();
  use_rows();
  if (with_contexts) {
    use_contexts();
    use_jobs();
  }
  use_objects();
  use_handles();
  if (with_columns)
    use_object_columns();
  use_services();
  CHECK(pthread_create(&thread, NULL, call_on_thread, NULL) == 0);
  pthread_join(thread, NULL);
}

static void define(void) {
  OK(run(&session, "import decimal\n"
                   "from pybridge import _plane\n"
                   "def f(a, b=1): return b\n"
                   "def text(*args): return 'text'\n"
                   "class Sum:\n"
                   "  def step(self, *args): return 1\n"
                   "  def text(self): return 'text'\n"
                   "  def __call__(self, *args): return b'blob'\n"
                   "def total(*columns): return 'text'\n"
                   "def twice(*columns): return columns[0] * 2\n"));
}

/* ---- The rounds ----------------------------------------------------------------- */

/* One allocation fails: at least one call says so, or did without it; nothing stays
 * live, and all works the next time. */
static void fail_each(int on) {
  int64_t live = pyb_live(), asked = 0, felt = 0;
  int64_t n;

  pyb_test_fail(0, 0);
  scenario();
  n = pyb_test_fail(0, 0);
  CHECK(failures == 0 && n > 50);
  for (int64_t nth = 1; nth <= n; nth++) {
    pyb_test_fail(nth, on);
    scenario();
    felt += failures > 0;
    asked += pyb_test_fail(0, 0);
    OK(run(&session, "rows = None"));
    CHECK(pyb_live() == live);
    if (nth % 16 == 0 || on) {
      scenario();
      CHECK(failures == 0 && pyb_live() == live);
    }
  }
  printf("%lld allocations, %lld of them missed by a call\n", (long long)n,
         (long long)felt);
  CHECK(felt > n / 2 && asked > 0);
}

static void test_each_allocation_may_fail(void) {
  fail_each(0);
}

static void test_all_later_allocations_may_fail(void) {
  fail_each(1);
}

/* The table of handles grows now and then; where it cannot, those there are stay. */
static void test_handles_may_not_fit(void) {
  pyb_handle all[5000], more;
  size_t n = 0;

  pyb_test_fail(1, 1);
  while (n < 5000 && pyb_handle_of(&session, "f", &all[n], &error) == PYB_OK)
    n++;
  pyb_test_fail(0, 0);
  CHECK(n > 0 && n < 5000 && error.status == PYB_NO_MEMORY);
  OK(pyb_handle_of(&session, "f", &more, &error));
  OK(pyb_handle_release(&session, more, &error));
  while (n > 0)
    OK(pyb_handle_release(&session, all[--n], &error));
}

/* The start has few of its own; each may fail, and the next call starts Python. */
static void test_start_may_fail(void) {
  for (int64_t nth = 1; nth <= 6; nth++) {
    pid_t child = fork();
    int status;
    CHECK(child >= 0);
    if (child == 0) {
      pyb_value value;
      alarm(30);
      pyb_test_fail(nth, 0);
      status = pyb_setup(NULL, &error);
      CHECK(status == PYB_OK || status == PYB_NO_MEMORY);
      pyb_test_fail(0, 0);
      OK(evaluate(NULL, "6 * 7", &value));
      CHECK(value.integer == 42);
      fflush(stdout);
      _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
}

int main(void) {
  RUN(test_start_may_fail);
  OK(pyb_setup(NULL, &error));
  define();
  with_columns = has_module("pandas") && has_module("pyarrow");
  with_contexts = has_module("cloudpickle");
  scenario();
  RUN(test_handles_may_not_fit);
  RUN(test_each_allocation_may_fail);
  RUN(test_all_later_allocations_may_fail);
  return 0;
}
