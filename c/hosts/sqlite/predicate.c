/* predicate.c: judges rows on the bytes of their records. */
#include "predicate.h"

#include <string.h>

#include "btree.h"

static const char text_as_number[] = "a comparison takes text for a number";
static const char number_as_text[] = "a comparison takes a number for text";
static const char not_text[] = "a pattern is matched with what is not text";

/* ---- Comparisons ---------------------------------------------------------------- */

/* An integer against a float, exactly, also where a float cannot hold the integer. */
static int compare_mixed(int64_t integer, double real) {
  int64_t whole;

  if (real < -9223372036854775808.0)
    return 1;
  if (real >= 9223372036854775808.0)
    return -1;
  whole = (int64_t)real;
  if (integer != whole)
    return integer < whole ? -1 : 1;
  return (double)whole < real ? -1 : (double)whole > real;
}

static int compare_reals(double a, double b) {
  return a < b ? -1 : a > b;
}

static inline int compare_bytes(const char *a, size_t a_size, const char *b,
                                size_t b_size) {
  size_t size = a_size < b_size ? a_size : b_size;
  int order = size == 0 ? 0 : memcmp(a, b, size);

  return order != 0 ? order : a_size < b_size ? -1 : a_size > b_size;
}

static int is_number(const pyb_value *value) {
  return value->type == PYB_INT64 || value->type == PYB_FLOAT64;
}

/* Neither is NULL. Numbers come before text, text before blobs. */
static int compare(const pyb_value *a, const pyb_value *b) {
  if (is_number(a) && is_number(b)) {
    if (a->type == PYB_INT64 && b->type == PYB_INT64)
      return a->integer < b->integer ? -1 : a->integer > b->integer;
    if (a->type == PYB_FLOAT64 && b->type == PYB_FLOAT64)
      return compare_reals(a->real, b->real);
    return a->type == PYB_INT64 ? compare_mixed(a->integer, b->real)
                                : -compare_mixed(b->integer, a->real);
  }
  if (is_number(a) || is_number(b))
    return is_number(a) ? -1 : 1;
  if (a->type != b->type)
    return a->type == PYB_TEXT ? -1 : 1;
  return compare_bytes(a->data, a->size, b->data, b->size);
}

/* For each comparison, the orders for which it is true: bit 0 less, 1 equal, 2 more. */
static const uint8_t orders[] = {1, 3, 4, 6, 2, 5};

static inline int answer(pyb__operation operation, int order) {
  return orders[operation] >> (order < 0 ? 0 : order == 0 ? 1 : 2) & 1;
}

/* ---- Affinity ------------------------------------------------------------------- */

/* Can this text not be a number? SQLite skips white space; what a number begins with
 * then is a sign, a digit or a point. */
static int is_wordy(const pyb_value *text) {
  size_t i = 0;

  while (i < text->size && strchr(" \t\n\v\f\r", text->data[i]) != NULL &&
         text->data[i] != '\0')
    i++;
  return i == text->size || text->data[i] == '\0' ||
         strchr("+-.0123456789", text->data[i]) == NULL;
}

/* Make an integer of a constant text that is plainly one: 1, or 0. */
static int settle_integer(pyb_value *value) {
  size_t i = value->size > 1 && value->data[0] == '-';
  int64_t number = 0;

  if (value->size - i > 18 || value->data[i] < '1' || value->data[i] > '9')
    return value->size == 1 && value->data[0] == '0'
               ? (*value = (pyb_value){.type = PYB_INT64}, 1)
               : 0;
  for (size_t k = i; k < value->size; k++) {
    if (value->data[k] < '0' || value->data[k] > '9')
      return 0;
    number = number * 10 + (value->data[k] - '0');
  }
  *value = (pyb_value){.type = PYB_INT64, .integer = i != 0 ? -number : number};
  return 1;
}

int pyb__constant_settle(pyb_value *value, int numeric, int textual,
                         char digits[PYB__DIGITS]) {
  if (numeric && value->type == PYB_TEXT)
    return is_wordy(value) || settle_integer(value);
  if (textual && value->type == PYB_FLOAT64)
    return 0;
  if (textual && value->type == PYB_INT64) {
    sqlite3_snprintf(PYB__DIGITS, digits, "%lld", (long long)value->integer);
    *value = (pyb_value){.type = PYB_TEXT, .data = digits, .size = strlen(digits)};
  }
  return 1;
}

/* The test may move: take_value() knows where the digits are. */
static int settle_operand(const pyb__test *test, pyb__operand *operand) {
  if (operand->field != PYB__OPERAND_CONSTANT)
    return 1;
  if (!pyb__constant_settle(&operand->value, test->numeric, test->textual,
                            operand->digits))
    return 0;
  if (operand->value.type == PYB_TEXT && operand->value.data == operand->digits)
    operand->value.data = NULL;
  return 1;
}

/* A constant stands behind what it is compared with: 1 < a is a > 1. */
static void turn(pyb__test *test) {
  static const pyb__operation turned[] = {PYB__TEST_GT, PYB__TEST_GE, PYB__TEST_LT,
                                          PYB__TEST_LE, PYB__TEST_EQ, PYB__TEST_NE};
  pyb__operand left = test->left;

  if (test->operation >= PYB__TEST_NULL || left.field != PYB__OPERAND_CONSTANT)
    return;
  test->operation = turned[test->operation];
  test->left = test->right;
  test->right = left;
}

/* Can jumps_plainly() answer? Text is compared with text as it is, whatever the
 * affinity. */
static int is_plain(const pyb__test *test) {
  const pyb_value *value = &test->right.value;

  if (test->left.field < 0 || test->operation >= PYB__TEST_NULL)
    return test->left.field >= 0;
  if (test->right.field != PYB__OPERAND_CONSTANT)
    return 0;
  if (value->type == PYB_TEXT)
    return !test->numeric && value->data != NULL;
  return !test->textual &&
         (value->type == PYB_FLOAT64 || (value->type == PYB_INT64 && !test->left.real));
}

int pyb__test_settle(pyb__test *test) {
  turn(test);
  if (!settle_operand(test, &test->left) || !settle_operand(test, &test->right))
    return 0;
  test->plain = is_plain(test);
  return 1;
}

/* Would the affinity change a value of the row first? NULL = no. */
static const char *check_affinity(const pyb__test *test, const pyb_value *value) {
  if (test->numeric && value->type == PYB_TEXT && !is_wordy(value))
    return text_as_number;
  if (test->textual && is_number(value))
    return number_as_text;
  return NULL;
}

/* ---- Rows ----------------------------------------------------------------------- */

/* The value of an operand: 1, or 0 where it is a default that the record lacks. */
static int take_value(const pyb__operand *operand, const uint64_t *cells,
                      const uint8_t *base, int64_t rowid, pyb_value *value) {
  if (operand->field == PYB__OPERAND_CONSTANT) {
    *value = operand->value;
    if (value->type == PYB_TEXT && value->data == NULL)
      value->data = operand->digits;
  } else if (operand->field == PYB__OPERAND_ROWID) {
    *value = (pyb_value){.type = PYB_INT64, .integer = rowid};
  } else {
    uint64_t cell = cells[operand->field];
    if (pyb__cell_type(cell) == PYB__CELL_ABSENT)
      return 0;
    *value = pyb__cell_value(cell, base, operand->real);
  }
  return 1;
}

static inline int is_integer(uint32_t type) {
  return type - 1 < 6 || type - 8 < 2;
}

static inline int64_t cell_integer(const uint8_t *base, uint64_t cell, uint32_t type) {
  return type >= 8 ? (int64_t)type - 8
                   : pyb__cell_integer(pyb__cell_place(base, cell), type);
}

static inline int orders_plainly(const pyb__test *test, const uint8_t *base,
                                 uint64_t cell, uint32_t type) {
  const pyb_value *value = &test->right.value;

  if (value->type == PYB_INT64 && is_integer(type)) {
    int64_t integer = cell_integer(base, cell, type);
    return answer(test->operation,
                  integer < value->integer ? -1 : integer > value->integer);
  }
  if (value->type == PYB_FLOAT64 && type == 7) {
    double real = pyb__cell_real(pyb__cell_place(base, cell));
    if (real == real) /* else it is NULL */
      return answer(test->operation, compare_reals(real, value->real));
  }
  if (value->type == PYB_TEXT && type >= 12 && (type & 1) != 0)
    return answer(test->operation,
                  compare_bytes((const char *)pyb__cell_place(base, cell),
                                (type - 12) >> 1, value->data, value->size));
  return -1;
}

static inline int looks_up_plainly(const pyb__test *test, const uint8_t *base,
                                   uint64_t cell, uint32_t type) {
  int has;

  if (type == 0)
    return test->if_null;
  if (is_integer(type) && !test->left.real && !test->textual)
    has = pyb__members_have_integer(test->members, cell_integer(base, cell, type));
  else if (type >= 12 && (type & 1) != 0 && !test->numeric)
    has = pyb__members_have_text(
        test->members, (const char *)pyb__cell_place(base, cell), (type - 12) >> 1);
  else
    return -1;
  return has == (test->operation == PYB__TEST_MEMBER);
}

static inline int matches_plainly(const pyb__test *test, const uint8_t *base,
                                  uint64_t cell, uint32_t type) {
  int matches = -1;

  if (type == 0)
    return test->if_null;
  if (type >= 12 && (type & 1) != 0)
    matches = pyb__pattern_matches(
        test->pattern, (const char *)pyb__cell_place(base, cell), (type - 12) >> 1);
  return matches < 0 ? -1 : matches == (test->operation == PYB__TEST_LIKE);
}

/* Most tests are of a column with values of one type, and are answered here: does the
 * test jump? -1 = it is not one of these. */
static inline int jumps_plainly(const pyb__test *test, const uint64_t *cells,
                                const uint8_t *base) {
  uint64_t cell;
  uint32_t type;

  if (!test->plain)
    return -1;
  cell = cells[test->left.field];
  type = pyb__cell_type(cell);
  if (test->operation < PYB__TEST_NULL)
    return orders_plainly(test, base, cell, type);
  if (test->operation == PYB__TEST_MEMBER || test->operation == PYB__TEST_STRANGER)
    return looks_up_plainly(test, base, cell, type);
  if (test->operation == PYB__TEST_LIKE || test->operation == PYB__TEST_UNLIKE)
    return matches_plainly(test, base, cell, type);
  if (test->operation < PYB__TEST_TRUE && type != 7 && type != PYB__CELL_ABSENT)
    return (type == 0) == (test->operation == PYB__TEST_NULL);
  return -1;
}

static int is_true(const pyb_value *number) {
  return number->type == PYB_INT64 ? number->integer != 0 : number->real != 0.0;
}

/* Does a comparison jump? -1 = that cannot be told. */
static int jumps_by_order(const pyb__test *test, const pyb_value *a, const pyb_value *b,
                          const char **reason) {
  if (a->type == PYB_INT64 && b->type == PYB_INT64 && !test->textual)
    return answer(test->operation,
                  a->integer < b->integer ? -1 : a->integer > b->integer);
  if (a->type == PYB_NULL || b->type == PYB_NULL)
    return test->null_equal ? answer(test->operation, a->type != b->type)
                            : test->if_null;
  *reason = check_affinity(test, a);
  if (*reason == NULL)
    *reason = check_affinity(test, b);
  return *reason != NULL ? -1 : answer(test->operation, compare(a, b));
}

/* Does a value that is not NULL match the pattern? -1 = that cannot be told. */
static int matches(const pyb__test *test, const pyb_value *value, const char **reason) {
  char digits[PYB__DIGITS];
  int matches = -1;

  *reason = not_text;
  if (value->type == PYB_INT64) {
    sqlite3_snprintf(PYB__DIGITS, digits, "%lld", (long long)value->integer);
    matches = pyb__pattern_matches(test->pattern, digits, strlen(digits));
  } else if (value->type == PYB_TEXT)
    matches = pyb__pattern_matches(test->pattern, value->data, value->size);
  return matches;
}

/* Does a test of one value jump? -1 = that cannot be told. */
static int jumps_by_value(const pyb__test *test, const pyb_value *value,
                          const char **reason) {
  int like;

  switch (test->operation) {
  case PYB__TEST_ALWAYS:
    return 1;
  case PYB__TEST_NULL:
  case PYB__TEST_NOT_NULL:
    return (value->type == PYB_NULL) == (test->operation == PYB__TEST_NULL);
  case PYB__TEST_MEMBER:
  case PYB__TEST_STRANGER:
    if (value->type == PYB_NULL)
      return test->if_null;
    *reason = check_affinity(test, value);
    if (*reason != NULL)
      return -1;
    return pyb__members_have(test->members, value) ==
           (test->operation == PYB__TEST_MEMBER);
  case PYB__TEST_LIKE:
  case PYB__TEST_UNLIKE:
    if (value->type == PYB_NULL)
      return test->if_null;
    like = matches(test, value, reason);
    return like < 0 ? -1 : like == (test->operation == PYB__TEST_LIKE);
  default:
    if (value->type == PYB_NULL)
      return test->if_null;
    *reason = text_as_number;
    return is_number(value) ? is_true(value) == (test->operation == PYB__TEST_TRUE)
                            : -1;
  }
}

/* Does the test jump? -1 = that cannot be told. */
static int jumps(const pyb__test *test, const uint64_t *cells, const uint8_t *base,
                 int64_t rowid, const char **reason) {
  int compares = test->operation < PYB__TEST_NULL;
  pyb_value a, b;

  if (!take_value(&test->left, cells, base, rowid, &a) ||
      (compares && !take_value(&test->right, cells, base, rowid, &b))) {
    *reason = "a row from before ALTER TABLE wants a default";
    return -1;
  }
  return compares ? jumps_by_order(test, &a, &b, reason)
                  : jumps_by_value(test, &a, reason);
}

pyb__verdict pyb__predicate_judge(const pyb__predicate *predicate,
                                  const uint64_t *cells, const uint8_t *base,
                                  int64_t rowid, const char **reason) {
  int i = 0;

  while (i < predicate->n) {
    int jump = jumps_plainly(&predicate->tests[i], cells, base);
    if (jump < 0)
      jump = jumps(&predicate->tests[i], cells, base, rowid, reason);
    if (jump < 0)
      return PYB__ROW_UNKNOWN;
    if (jump && predicate->tests[i].jump == PYB__TEST_REJECT)
      return PYB__ROW_REJECTED;
    i = jump ? predicate->tests[i].jump : i + 1;
  }
  return PYB__ROW_WANTED;
}

void pyb__test_release(pyb__test *test) {
  pyb__members_release(test->members);
  pyb__pattern_release(test->pattern);
}

void pyb__predicate_release(pyb__predicate *predicate) {
  for (int i = 0; i < predicate->n; i++)
    pyb__test_release(&predicate->tests[i]);
  sqlite3_free(predicate->tests);
}
