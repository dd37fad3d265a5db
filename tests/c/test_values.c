/* test_values.c: every kind of value, at its edges, in both directions. */
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "test.h"

static pyb_session session;

/* Give `value` to Python by every way in, and take it back by every way out. */
static void round_trip(pyb_value value, void (*check)(const pyb_value *),
                       const char *type) {
  pyb_value back;

  OK(pyb_set_variable(&session, "v", &value, &error));
  OK(pyb_get_variable(&session, "v", NULL, &back, &error));
  check(&back);
  pyb_value_release(&back);
  OK(evaluate(&session, "v", &back));
  check(&back);
  pyb_value_release(&back);
  OK(pyb_simple_string(&session, "w = v", PYB_NTS, "w", NULL, &back, &error));
  check(&back);
  pyb_value_release(&back);
  OK(pyb_call(&session, "same", &value, 1, NULL, 0, &back, &error));
  check(&back);
  pyb_value_release(&back);
  OK(evaluate(&session, "type(v).__name__", &back));
  CHECK(is_text(&back, type));
  pyb_value_release(&back);
}

static pyb_value wanted;

static void check_integer(const pyb_value *value) {
  CHECK(value->type == wanted.type && value->integer == wanted.integer);
  CHECK(value->release == NULL);
}

static void check_real(const pyb_value *value) {
  CHECK(value->type == PYB_FLOAT64);
  CHECK(memcmp(&value->real, &wanted.real, sizeof wanted.real) == 0);
}

static void check_bytes(const pyb_value *value) {
  CHECK(value->type == wanted.type && value->size == wanted.size);
  CHECK(memcmp(value->data, wanted.data, wanted.size) == 0);
  CHECK(value->data[value->size] == '\0' && value->release != NULL);
}

static void check_null(const pyb_value *value) {
  CHECK(value->type == PYB_NULL && value->release == NULL);
}

static void integer(pyb_type type, int64_t number, const char *name) {
  wanted = (pyb_value){.type = type, .integer = number};
  round_trip(wanted, check_integer, name);
}

static void real(double number) {
  wanted = (pyb_value){.type = PYB_FLOAT64, .real = number};
  round_trip(wanted, check_real, "float");
}

static void bytes(pyb_type type, const char *data, size_t size, const char *name) {
  wanted = (pyb_value){.type = type, .data = data, .size = size};
  round_trip(wanted, check_bytes, name);
}

/* NULL is None. */
static void test_null(void) {
  round_trip(PYB_EMPTY, check_null, "NoneType");
}

/* A bool stays a bool, an int64 an int64, at both ends. */
static void test_integers_are_exact(void) {
  static const int64_t numbers[] = {0,         1,         -1,
                                    255,       INT32_MAX, INT32_MIN,
                                    INT64_MAX, INT64_MIN, INT64_C(9007199254740993)};

  integer(PYB_BOOL, 0, "bool");
  integer(PYB_BOOL, 1, "bool");
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    integer(PYB_INT64, numbers[i], "int");
}

/* Floats keep all bits: signed zero, subnormals, the infinities, NaN. */
static void test_floats_are_exact(void) {
  static const double numbers[] = {
      0.0,    -0.0, 0.1,      -1e308,    DBL_MAX, -DBL_MAX,          DBL_MIN,
      5e-324, 1e22, INFINITY, -INFINITY, 1.0 / 3, 9007199254740993.0};

  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    real(numbers[i]);
  real(NAN);
}

/* Text is UTF-8 with its size: empty, NUL inside, four bytes long, large. */
static void test_text_is_exact(void) {
  size_t size = 3 * 1024 * 1024;
  char *large = malloc(size);

  CHECK(large != NULL);
  memset(large, 'x', size);
  memcpy(large + size - 3, "\xE2\x82\xAC", 3);
  bytes(PYB_TEXT, "", 0, "str");
  bytes(PYB_TEXT, "a\0b\0", 4, "str");
  bytes(PYB_TEXT, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "str");
  bytes(PYB_TEXT, large, size, "str");
  free(large);
}

/* A blob is any bytes. */
static void test_blobs_are_exact(void) {
  char all[256];

  for (int i = 0; i < 256; i++)
    all[i] = (char)i;
  bytes(PYB_BLOB, "", 0, "bytes");
  bytes(PYB_BLOB, all, sizeof all, "bytes");
}

/* An empty text or blob may come without data. */
static void test_empty_data_may_be_null(void) {
  pyb_value value = {.type = PYB_TEXT}, back;

  OK(pyb_call(&session, "len", &value, 1, NULL, 0, &back, &error));
  CHECK(back.type == PYB_INT64 && back.integer == 0);
  value.type = PYB_BLOB;
  OK(pyb_call(&session, "len", &value, 1, NULL, 0, &back, &error));
  CHECK(back.type == PYB_INT64 && back.integer == 0);
}

/* Text and bytes that end with a NUL need no size, as code does not. */
static void test_size_may_be_left_to_the_nul(void) {
  pyb_value value = {.type = PYB_TEXT, .data = "four", .size = PYB_NTS}, back;

  OK(pyb_call(&session, "len", &value, 1, NULL, 0, &back, &error));
  CHECK(back.integer == 4);
  value.type = PYB_BLOB;
  OK(pyb_call(&session, "len", &value, 1, NULL, 0, &back, &error));
  CHECK(back.integer == 4);
  value.data = NULL;
  OK(pyb_call(&session, "len", &value, 1, NULL, 0, &back, &error));
  CHECK(back.integer == 0);
}

/* Dates, times, timestamps and decimals are Python's, from the first to the last. */
static void test_rare_types_are_exact(void) {
  integer(PYB_DATE, 0, "date");
  integer(PYB_DATE, -719162, "date"); /* 0001-01-01 */
  integer(PYB_DATE, 2932896, "date"); /* 9999-12-31 */
  integer(PYB_TIME, 0, "time");
  integer(PYB_TIME, INT64_C(86399999999), "time");
  integer(PYB_TIMESTAMP, 0, "datetime");
  integer(PYB_TIMESTAMP, -1, "datetime");
  integer(PYB_TIMESTAMP, INT64_C(-62135596800000000), "datetime");
  integer(PYB_TIMESTAMP, INT64_C(253402300799999999), "datetime");
  bytes(PYB_DECIMAL, "-12.50", 6, "Decimal");
  bytes(PYB_DECIMAL, "0.10000000000000000000000000000000000001", 40, "Decimal");
}

static void refused(pyb_value value) {
  pyb_value back;

  CHECK(pyb_call(&session, "same", &value, 1, NULL, 0, &back, &error) != PYB_OK);
  CHECK(back.type == PYB_NULL && back.release == NULL && error.message[0] != '\0');
  CHECK(pyb_set_variable(&session, "kept", &value, &error) != PYB_OK);
  CHECK(integer_of(&session, "kept") == 7);
}

/* What has no exact counterpart in Python is an error, and the variable stays. */
static void test_load_refuses_what_is_not_exact(void) {
  OK(run(&session, "kept = 7"));
  refused((pyb_value){.type = PYB_TEXT, .data = "\xFF", .size = 1});
  refused((pyb_value){.type = PYB_TEXT, .data = "\xED\xA0\x80", .size = 3});
  refused((pyb_value){.type = PYB_TEXT, .data = "\xC3", .size = 1});
  refused((pyb_value){.type = PYB_DATE, .integer = -719163});
  refused((pyb_value){.type = PYB_DATE, .integer = INT64_MAX});
  refused((pyb_value){.type = PYB_TIME, .integer = -1});
  refused((pyb_value){.type = PYB_TIME, .integer = INT64_C(86400000000)});
  refused((pyb_value){.type = PYB_TIMESTAMP, .integer = INT64_MIN});
  refused((pyb_value){.type = PYB_TIMESTAMP, .integer = INT64_MAX});
  refused((pyb_value){.type = PYB_DECIMAL, .data = "1,5", .size = 3});
  refused((pyb_value){.type = (pyb_type)99});
}

/* What has no exact counterpart in the host is an error that names what would do. */
static void test_dump_refuses_what_is_not_exact(void) {
  static const char *const expressions[] = {
      "2**63", "-2**63 - 1", "10**5000", "object()", "[1]", "{}", "1j", "print",
  };
  pyb_value value;

  for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
    CHECK(evaluate(&session, expressions[i], &value) == PYB_UNSUPPORTED);
    CHECK(value.type == PYB_NULL && has(error.message, "serialization"));
    OK(run(&session, "kept = 7"));
    CHECK(pyb_simple_string(&session, "", 0, expressions[i], NULL, &value, &error) ==
          PYB_UNSUPPORTED);
  }
  CHECK(evaluate(&session, "'\\ud800'", &value) == PYB_PYTHON);
  CHECK(strcmp(error.type, "UnicodeEncodeError") == 0);
}

static void gives(const char *expression, pyb_type type, int64_t number) {
  pyb_value value;

  OK(evaluate(&session, expression, &value));
  CHECK(value.type == type && value.integer == number);
}

/* Subclasses and objects with a plain meaning are dumped by it. */
static void test_subclasses_are_plain(void) {
  pyb_value value;

  OK(run(&session, "import enum, datetime, decimal\n"
                   "class I(int): pass\n"
                   "class F(float): pass\n"
                   "class S(str): pass\n"
                   "class B(bytes): pass\n"
                   "class E(enum.IntEnum): ONE = 1\n"
                   "class X:\n"
                   "  def __index__(self): return 5\n"));
  gives("I(4)", PYB_INT64, 4);
  gives("E.ONE", PYB_INT64, 1);
  gives("X()", PYB_INT64, 5);
  gives("datetime.date(1970, 1, 2)", PYB_DATE, 1);
  gives("datetime.time(0, 0, 1)", PYB_TIME, 1000000);
  gives("datetime.datetime(1970, 1, 1, 0, 0, 1)", PYB_TIMESTAMP, 1000000);
  OK(evaluate(&session, "S('a')", &value));
  CHECK(is_text(&value, "a"));
  pyb_value_release(&value);
  OK(evaluate(&session, "bytearray(b'a')", &value));
  CHECK(is_bytes(&value, PYB_BLOB, "a", 1));
  pyb_value_release(&value);
  OK(evaluate(&session, "B(b'a')", &value));
  CHECK(is_bytes(&value, PYB_BLOB, "a", 1));
  pyb_value_release(&value);
  OK(evaluate(&session, "F(0.5)", &value));
  CHECK(value.type == PYB_FLOAT64 && value.real == 0.5);
}

/* A release is harmless on what is empty, and twice. */
static void test_release_is_harmless(void) {
  pyb_value value = PYB_EMPTY;

  pyb_value_release(&value);
  pyb_value_release(NULL);
  OK(evaluate(&session, "'text'", &value));
  pyb_value_release(&value);
  pyb_value_release(&value);
  CHECK(value.type == PYB_NULL);
}

int main(void) {
  int64_t live;

  OK(run(&session, "def same(x): return x"));
  live = pyb_live();
  RUN(test_null);
  RUN(test_integers_are_exact);
  RUN(test_floats_are_exact);
  RUN(test_text_is_exact);
  RUN(test_blobs_are_exact);
  RUN(test_empty_data_may_be_null);
  RUN(test_size_may_be_left_to_the_nul);
  RUN(test_rare_types_are_exact);
  RUN(test_load_refuses_what_is_not_exact);
  RUN(test_dump_refuses_what_is_not_exact);
  RUN(test_subclasses_are_plain);
  RUN(test_release_is_harmless);
  CHECK(pyb_live() == live);
  return 0;
}
