/* test_leak.c: very many mixed calls: nothing stays live, memory does not grow. */
#include "test.h"

static pyb_session session = {.context = "leak"},
                   captured = {.context = "leak", .flags = PYB_CAPTURE};

static void code_calls(long i) {
  pyb_value args[3] = {int_value(i), text_value("t\xC3\xA4xt"), PYB_EMPTY}, value;
  const char *const names[] = {"b", "c"};
  char code[80];

  OK(pyb_call(&session, "f", args, 3, names, 2, &value, &error));
  pyb_value_release(&value);
  snprintf(code, sizeof code, "x%ld = %ld", i % 5000, i); /* beyond the caches */
  OK(run(&session, code));
  snprintf(code, sizeof code, "%ld + 1", i % 5000);
  OK(evaluate(&session, code, &value));
  OK(evaluate(&session, "'text' * 1000", &value));
  pyb_value_release(&value);
  OK(pyb_evaluate(&session, "[1, 2.5, None, {'a': b'x'}]", PYB_NTS, "json", &value,
                  &error));
  pyb_value_release(&value);
  OK(pyb_evaluate(&session, "[1, 2]", PYB_NTS, "pickle", &value, &error));
  pyb_value_release(&value);
  OK(pyb_execute_function(&session, "f", "[1, \"x\"]", "{\"c\": [2]}", "kept", "repr",
                          &value, &error));
  pyb_value_release(&value);
}

static void failing_calls(void) {
  pyb_value value;

  CHECK(evaluate(&session, "1 / 0", &value) == PYB_PYTHON);
  CHECK(evaluate(&session, "nobody", &value) == PYB_UNDEFINED);
  CHECK(evaluate(&session, "object()", &value) == PYB_UNSUPPORTED);
  CHECK(run(&session, "def") == PYB_PYTHON);
  CHECK(run(&session, "try: 1 / 0\nfinally: {}['x']") == PYB_PYTHON);
  CHECK(pyb_get_variable(&session, "f.nobody", NULL, &value, &error) == PYB_UNDEFINED);
  OK(pyb_get_status(&session, &value, &error));
  pyb_value_release(&value);
}

static void variable_calls(long i) {
  pyb_value text = text_value("some text"), value;

  OK(pyb_set_variable(&session, "v", &text, &error));
  OK(pyb_get_variable(&session, "v", NULL, &value, &error));
  pyb_value_release(&value);
  OK(pyb_get_variable_info(&session, "v", NULL, &value, &error));
  pyb_value_release(&value);
  OK(pyb_get_function_info(&session, "f", &value, &error));
  pyb_value_release(&value);
  OK(pyb_import_module(&session, "math", "m", &value, &error));
  pyb_value_release(&value);
  OK(pyb_initialize(&session, NULL, &value, &error));
  pyb_value_release(&value);
  OK(pyb_get_module_info(&session, "math", &value, &error));
  pyb_value_release(&value);
  OK(run(&captured, i % 2 ? "print('captured')" : "x = 1"));
}

static void object_calls(long i) {
  pyb_object *class, *sum;
  pyb_value arg = int_value(i), value;

  OK(pyb_object_get(&session, "Sum", &class, &error));
  OK(pyb_object_new(&session, class, &sum, &error));
  OK(pyb_object_invoke(&session, sum, "step", &arg, 1, NULL, &error));
  CHECK(pyb_object_invoke(&session, sum, "step", &arg, 0, NULL, &error) == PYB_PYTHON);
  OK(pyb_object_invoke(&session, sum, "finish", NULL, 0, &value, &error));
  CHECK(value.integer == i);
  CHECK(pyb_object_call(&session, class, NULL, 0, &value, &error) == PYB_UNSUPPORTED);
  pyb_object_release(sum);
  pyb_object_release(class);
}

static void row_calls(void) {
  struct ArrowArrayStream rows;
  pyb_table *table;

  OK(pyb_table_new(2, &table, &error));
  OK(pyb_table_name(table, 0, "n", "INTEGER", &error));
  OK(pyb_table_name(table, 1, "t", NULL, &error));
  for (int row = 0; row < 10; row++) {
    OK(pyb_column_int64(pyb_table_column(table, 0), row));
    OK(pyb_column_text(pyb_table_column(table, 1), "text", 4));
  }
  OK(pyb_table_finish(table, &rows, &error));
  OK(pyb_set_stream(&session, "rows", "list", NULL, &rows, NULL, &error));
}

enum { CALLS_A_ROUND = 7 + 7 + 7 + 6 + 1 };

/* A million calls, or as many as fit in a short test. */
static void test_calls_leave_nothing(void) {
  long n = rounds(80000, 1000000) / CALLS_A_ROUND, start = 0, grown;
  int64_t live = pyb_live();

  for (long i = 0; i < n; i++) {
    code_calls(i);
    failing_calls();
    variable_calls(i);
    object_calls(i);
    row_calls();
    CHECK(pyb_live() == live);
    if (i == n / 2)
      start = resident();
  }
  grown = resident() - start;
  printf("%ld calls: grown by %ld KiB in the second half\n", n * CALLS_A_ROUND, grown);
  CHECK(grown < 4096);
}

int main(void) {
  OK(run(&session, "def f(a, b=1, c=2): return b\n"
                   "class Sum:\n"
                   "  total = 0\n"
                   "  def step(self, x): self.total += x\n"
                   "  def finish(self): return self.total"));
  RUN(test_calls_leave_nothing);
  return 0;
}
