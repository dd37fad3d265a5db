/* gtm_faults.c: each allocation of GT.M's calls made to fail in turn: each time an
 * error of a call, no leak, and all works afterwards. Needs a library that was built
 * with -DPYB_TEST. */
#include "gtm_calls.h"

int64_t pyb_test_fail(int64_t nth, int on);
int64_t pyb_test_gtm_live(void);

static int failures; /* of calls, in this round */

/* A call may succeed, or fail as one does that got no memory. */
static int done(long rc) {
  if (rc <= 0)
    return 1;
  if (rc != PYB_NO_MEMORY && rc != PYB_PYTHON)
    printf("%ld: %.*s\n", rc, (int)problem.length, problem.address);
  CHECK(rc == PYB_NO_MEMORY || rc == PYB_PYTHON);
  CHECK(problem.length > 0);
  failures++;
  return 0;
}

/* ---- Records into frames -------------------------------------------------------- */

typedef void (*feeder)(void);

static void read_frame(const char *spec, const char *mask, const char *delimiter,
                       feeder feed, const char *options) {
  if (!done(CALL("begin", spec, mask, delimiter)))
    return;
  for (int walk = 0; walk < 4; walk++) {
    feed();
    if (!done(CALL("frame", "rows", "list", "", options)) || !answers(&result, "again"))
      return;
  }
  CHECK(!"it fits after some walks");
}

/* Longer and longer records, below two subscripts. */
static void feed_records(void) {
  for (int i = 0; i < 1040; i++) {
    char text[200];
    string outer = m(i < 500 ? "a" : "b");

    snprintf(text, sizeof text, "%d^1.5^\xe9^2026-11-22 00:00:00%s", i,
             i > 1030 ? "^more" : "");
    if ((i % 500 == 0 && pyb_gtm_outer(2, 0, &outer) != 0) || rows1("1", text) != 0)
      break;
  }
}

static void feed_list(void) {
  for (int i = 0; i < 3; i++)
    if (rows1("1", "\x05\x01\xe9"
                   "ab\x03\x04\x07") != 0)
      break;
}

static void feed_nodes(void) {
  static const char *const names[] = {"name", "born", "died"};

  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      string name = m(names[(i + j) % 3]), value = m("1"), key = m("7");
      if (pyb_gtm_field(2, &name, &value) != 0)
        return;
      if (j == 2 && pyb_gtm_record(1, &key) != 0)
        return;
    }
}

/* ---- Frames into records -------------------------------------------------------- */

static void pull(const char *frame, const char *keys) {
  string r[8];
  long n;

  if (!done(CALL("pull", frame, keys, "^")))
    return;
  do {
    n = *keys != '\0'
            ? pyb_gtm_pairs(8, &r[0], &r[1], &r[2], &r[3], &r[4], &r[5], &r[6], &r[7])
            : pyb_gtm_pull(8, &r[0], &r[1], &r[2], &r[3], &r[4], &r[5], &r[6], &r[7]);
    for (long i = 0; i < n; i++) /* each byte can be read */
      CHECK(r[i].length == 0 || memchr(r[i].address, 1, (size_t)r[i].length) == NULL);
  } while (n == (*keys != '\0' ? 4 : 8));
  CHECK((n < 0) == !done(CALL("pulled")));
}

static void pull_cells(const char *keys) {
  string key, name, value;
  long n;

  if (!done(CALL("pull", "wide", keys, "^")))
    return;
  do
    n = pyb_gtm_cell(3, &key, &name, &value);
  while (n == 1);
  CHECK((n < 0) == !done(CALL("pulled")));
}

/* ---- The scenario --------------------------------------------------------------- */

static void use_calls(void) {
  if (done(CALL("feed", "x = ")) && done(CALL("feed", "'text'")))
    done(CALL("simple_string", "", "x", "str"));
  if (done(CALL("argument", "1", "i")) && done(CALL("argument", "a", "s", "b")) &&
      done(CALL("argument", "1.50", "n", "c")))
    done(CALL("execute_function", "f", "kept", "repr"));
  done(CALL("execute_function", "f", "kept", "repr", "[1]", "{\"b\": 2}"));
  done(CALL("execute_code", "x = 1\nx", "kept"));
  done(CALL("evaluate", "'text' * 3", "value"));
  done(CALL("get_variable", "x", "json"));
  done(CALL("set_variable", "x", "text", "s"));
  done(CALL("set_variable", "x", "[1]", "j"));
  done(CALL("get_variable_info", "x"));
  done(CALL("get_function_info", "f"));
  done(CALL("import_module", "math", "m"));
  done(CALL("get_module_info", "math"));
  done(CALL("get_status"));
}

static void scenario(void) {
  failures = 0;
  use_calls();
  read_frame("2l", "", "^", feed_records, "{}");
  read_frame("2l", "nfsm", "^", feed_records, "{}");
  read_frame("1", "", "", feed_list, "");
  read_frame("1f", "", "", feed_nodes, "");
  read_frame("1f", "ss", "born,name", feed_nodes, "");
  pull("wide", "");
  pull("wide", "s,i");
  pull_cells("");
  pull_cells("i");
  done(CALL("context", "other"));
  if (!done(CALL("context", "main"))) {
    pyb_test_fail(0, 0);
    CHECK(CALL("context", "main") == 0);
  }
  (void)!CALL("get_status"); /* of whatever failed; so no result is kept */
  (void)!CALL("deadline", "0");
}

/* ---- The rounds ----------------------------------------------------------------- */

static void fail_each(int on, int64_t step) {
  int64_t live, own, felt = 0, n, rounds = 0;

  scenario();
  live = pyb_live();
  own = pyb_test_gtm_live();
  pyb_test_fail(0, 0);
  scenario();
  n = pyb_test_fail(0, 0);
  printf("%lld allocations\n", (long long)n);
  CHECK(failures == 0 && n > 50);
  CHECK(pyb_test_gtm_live() == own);
  for (int64_t nth = 1; nth <= n; nth += step, rounds++) {
    pyb_test_fail(nth, on);
    scenario();
    felt += failures > 0;
    pyb_test_fail(0, 0);
    CHECK(CALL("execute_code", "rows = kept = x = None") == 0);
    CHECK(CALL("deadline", "0") == 0);
    CHECK(pyb_live() == live);
    CHECK(pyb_test_gtm_live() == own);
  }
  printf("%lld of %lld rounds missed one\n", (long long)felt, (long long)rounds);
  CHECK(felt > rounds / 2);
  scenario();
  CHECK(failures == 0);
}

static void test_each_allocation_may_fail(void) {
  fail_each(0, 1);
}

static void test_all_later_allocations_may_fail(void) {
  fail_each(1, 13);
}

int main(void) {
  CHECK(CALL("execute_code",
             "import pyarrow as pa\n"
             "def f(a, b=1, c=2): return b\n"
             "wide = pa.table({'i': list(range(20)), 's': ['text'] * 20,"
             "'t': ['x' * 5000] * 20})") == 0);
  RUN(test_each_allocation_may_fail);
  RUN(test_all_later_allocations_may_fail);
  return 0;
}
