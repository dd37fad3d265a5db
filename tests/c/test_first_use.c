/* test_first_use.c: what a C program sees of the library before and after the start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pybridge.h>

static pyb_error error;

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("line %d: not so: %s [%s: %s]\n", __LINE__, #condition, error.type,       \
             error.message);                                                           \
      exit(1);                                                                         \
    }                                                                                  \
  } while (0)

/* The versions are known without starting anything. */
static void test_versions_start_nothing(void) {
  CHECK(strcmp(pyb_version(), PYB_VERSION) == 0);
  CHECK(pyb_abi() == PYB_ABI);
  CHECK(strncmp(pyb_python_version(), "3.", 2) == 0);
  puts("versions start nothing: ok");
}

/* The first call starts Python and has its result. */
static void test_first_call_starts_python(void) {
  pyb_session session = {0};
  pyb_value value;

  CHECK(pyb_evaluate(&session, "6 * 7", PYB_NTS, NULL, &value, &error) == PYB_OK);
  CHECK(value.type == PYB_INT64 && value.integer == 42);
  pyb_value_release(&value);
  puts("first call starts Python: ok");
}

/* A failed call says why, and leaves its output empty. */
static void test_failure_leaves_output_empty(void) {
  pyb_session session = {0};
  pyb_value value = {.type = PYB_INT64, .integer = 1};

  CHECK(pyb_evaluate(&session, "1 / 0", PYB_NTS, NULL, &value, &error) == PYB_PYTHON);
  CHECK(strcmp(error.type, "ZeroDivisionError") == 0);
  CHECK(strcmp(error.message, "division by zero") == 0);
  CHECK(value.type == PYB_NULL && value.release == NULL);
  puts("failure leaves output empty: ok");
}

/* What is given out is counted until it is released. */
static void test_live_counts_what_is_out(void) {
  pyb_session session = {0};
  int64_t before = pyb_live();
  pyb_value value;

  CHECK(pyb_evaluate(&session, "'x' * 1000", PYB_NTS, NULL, &value, &error) == PYB_OK);
  CHECK(pyb_live() == before + 1);
  pyb_value_release(&value);
  pyb_value_release(&value);
  CHECK(pyb_live() == before);
  puts("live counts what is out: ok");
}

int main(void) {
  test_versions_start_nothing();
  test_first_call_starts_python();
  test_failure_leaves_output_empty();
  test_live_counts_what_is_out();
  return 0;
}
