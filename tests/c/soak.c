/* soak.c: many mixed calls, after which nothing is live and memory has not grown.
 *
 *     soak [CALLS]    1,000,000 when not said
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pybridge.h>

static pyb_session session;
static pyb_object *function;
static pyb_error error;

static void fail(const char *what, long i) {
  printf("call %ld: %s: %s: %s\n", i, what, error.type, error.message);
  exit(1);
}

static long resident_kilobytes(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "re");

  if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2)
    fail("/proc/self/statm cannot be read", 0);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- The calls ------------------------------------------------------------------ */

static void call_evaluate(long i) {
  pyb_value value;

  if (pyb_evaluate(&session, "'x' * 100", PYB_NTS, NULL, &value, &error) != PYB_OK)
    fail("evaluate", i);
  pyb_value_release(&value);
}

static void call_function(long i) {
  pyb_value given[2] = {{.type = PYB_INT64, .integer = i},
                        {.type = PYB_TEXT, .data = "abc", .size = 3}};
  pyb_value value;

  if (pyb_call(&session, "pair", given, 2, NULL, 0, &value, &error) != PYB_OK)
    fail("call", i);
  pyb_value_release(&value);
}

static void call_object(long i) {
  pyb_value given = {.type = PYB_INT64, .integer = i};
  pyb_value value;

  if (pyb_object_call(&session, function, &given, 1, &value, &error) != PYB_OK)
    fail("object", i);
  if (value.integer != i + 1)
    fail("object: wrong result", i);
}

static void call_variable(long i) {
  pyb_value value = {.type = PYB_FLOAT64, .real = (double)i};

  if (pyb_set_variable(&session, "v", &value, &error) != PYB_OK)
    fail("set_variable", i);
  if (pyb_get_variable(&session, "v", "json", &value, &error) != PYB_OK)
    fail("get_variable", i);
  pyb_value_release(&value);
}

static void call_failing(long i) {
  pyb_value value;

  if (pyb_execute_code(&session, "raise ValueError(v)", PYB_NTS, NULL, &error) !=
      PYB_PYTHON)
    fail("an error was expected", i);
  if (pyb_get_status(&session, &value, &error) != PYB_OK || value.type != PYB_TEXT)
    fail("get_status", i);
  pyb_value_release(&value);
}

/* Text that is never the same again: the cache of compiled code must stay bounded. */
static void call_new_code(long i) {
  char code[64];

  snprintf(code, sizeof code, "w = %ld", i);
  if (pyb_execute_code(&session, code, PYB_NTS, NULL, &error) != PYB_OK)
    fail("execute_code", i);
}

static void call_rows(long i) {
  struct ArrowArrayStream rows;
  struct ArrowArray batch;
  pyb_table *table;
  int64_t count;

  if (pyb_table_new(2, &table, &error) != PYB_OK ||
      pyb_table_name(table, 0, "n", NULL, &error) != PYB_OK ||
      pyb_table_name(table, 1, "t", NULL, &error) != PYB_OK)
    fail("table", i);
  for (int row = 0; row < 50; row++)
    if (pyb_column_int64(pyb_table_column(table, 0), row) != PYB_OK ||
        pyb_column_text(pyb_table_column(table, 1), "text", 4) != PYB_OK)
      fail("append", i);
  if (pyb_table_finish(table, &rows, &error) != PYB_OK ||
      pyb_set_stream(&session, "frame", NULL, NULL, &rows, &count, &error) != PYB_OK ||
      pyb_get_stream(&session, "frame", NULL, 0, &rows, &error) != PYB_OK)
    fail("rows", i);
  if (rows.get_next(&rows, &batch) != 0 || batch.length != 50)
    fail("get_next", i);
  batch.release(&batch);
  rows.release(&rows);
}

/* ---- The soak ------------------------------------------------------------------- */

static void begin(void) {
  static const char code[] = "def pair(a, b): return f'{a}{b}'\n"
                             "def more(a): return a + 1\n";

  if (pyb_execute_code(&session, code, PYB_NTS, NULL, &error) != PYB_OK ||
      pyb_object_get(&session, "more", &function, &error) != PYB_OK)
    fail("begin", 0);
}

static void end(void) {
  pyb_object_release(function);
  if (pyb_finalize(&error) != PYB_OK)
    fail("finalize", 0);
  if (pyb_live() != 0) {
    printf("%lld things are live after the end\n", (long long)pyb_live());
    exit(1);
  }
}

/* Out of 1000 calls: 300 expressions, 300 calls, 300 objects, 50 variables, 25 errors,
 * 20 new texts, 5 frames. */
static void call(long i) {
  long kind = i * 617 % 1000;

  if (kind < 300)
    call_evaluate(i);
  else if (kind < 600)
    call_function(i);
  else if (kind < 900)
    call_object(i);
  else if (kind < 950)
    call_variable(i);
  else if (kind < 975)
    call_failing(i);
  else if (kind < 995)
    call_new_code(i);
  else
    call_rows(i);
}

int main(int argc, char **argv) {
  long calls = argc > 1 ? atol(argv[1]) : 1000000;
  long warm = calls / 5, before = 0, after;

  begin();
  call_variable(0);
  for (long i = 0; i < calls; i++) {
    if (i % 20000 == 19999) {
      end();
      begin();
      call_variable(i);
    }
    if (i == warm)
      before = resident_kilobytes();
    call(i);
  }
  end();
  after = resident_kilobytes();
  printf("%ld calls, memory %ld kB after a fifth of them and %ld kB at the end\n",
         calls, before, after);
  return after - before > 4096 ? 1 : 0;
}
