/* test_table.c: rows being built column by column, read back by a C consumer. */
#include <math.h>
#include <stdint.h>

#include "test.h"

/* ---- A consumer that takes the struct at its word ------------------------------- */

static struct ArrowSchema schema;
static struct ArrowArray batch;

/* Finish a table and read its schema and its one batch. */
static void finish(pyb_table *table) {
  struct ArrowArrayStream rows;
  struct ArrowArray end;

  OK(pyb_table_finish(table, &rows, &error));
  CHECK(rows.get_schema(&rows, &schema) == 0);
  CHECK(rows.get_next(&rows, &batch) == 0 && batch.release != NULL);
  CHECK(rows.get_next(&rows, &end) == 0 && end.release == NULL);
  rows.release(&rows);
  CHECK(rows.release == NULL);
  CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == batch.n_children);
}

static void drop(void) {
  batch.release(&batch);
  schema.release(&schema);
}

static const char *format(int column) {
  return schema.children[column]->format;
}

static int is_null(int column, int64_t row) {
  const uint8_t *bits = batch.children[column]->buffers[0];

  return batch.children[column]->null_count != 0 && !(bits[row >> 3] >> (row & 7) & 1);
}

static int64_t int_at(int column, int64_t row) {
  return ((const int64_t *)batch.children[column]->buffers[1])[row];
}

static double real_at(int column, int64_t row) {
  return ((const double *)batch.children[column]->buffers[1])[row];
}

static int text_at(int column, int64_t row, const char *text) {
  const int64_t *ends = batch.children[column]->buffers[1];
  const char *bytes = batch.children[column]->buffers[2];

  return (size_t)(ends[row + 1] - ends[row]) == strlen(text) &&
         memcmp(bytes + ends[row], text, strlen(text)) == 0;
}

/* ---- Short builders ------------------------------------------------------------- */

static pyb_table *table;

static pyb_column *begin(void) {
  OK(pyb_table_new(1, &table, &error));
  OK(pyb_table_name(table, 0, "c", NULL, &error));
  return pyb_table_column(table, 0);
}

static void append(pyb_column *column, pyb_value value) {
  OK(pyb_column_append(column, &value));
}

static pyb_value of(pyb_type type, int64_t integer) {
  return (pyb_value){.type = type, .integer = integer};
}

static pyb_value real_value(double real) {
  return (pyb_value){.type = PYB_FLOAT64, .real = real};
}

static pyb_value bytes_value(pyb_type type, const char *text) {
  return (pyb_value){.type = type, .data = text, .size = strlen(text)};
}

/* ---- Tests ---------------------------------------------------------------------- */

/* A column whose cells are of one type has that type, and NULLs beside them. */
static void test_one_type_is_kept(void) {
  static const struct {
    pyb_type type;
    const char *format;
  } kinds[] = {{PYB_BOOL, "b"},   {PYB_INT64, "l"},        {PYB_FLOAT64, "g"},
               {PYB_TEXT, "U"},   {PYB_BLOB, "Z"},         {PYB_DATE, "tdD"},
               {PYB_TIME, "ttu"}, {PYB_TIMESTAMP, "tsu:"}, {PYB_DECIMAL, "U"},
               {PYB_JSON, "U"}};

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    pyb_column *column = begin();
    for (int row = 0; row < 1000; row++) {
      if (row % 3 == 1)
        append(column, PYB_EMPTY);
      else if (kinds[i].type == PYB_FLOAT64)
        append(column, real_value(row));
      else if (kinds[i].type == PYB_TEXT || kinds[i].type == PYB_BLOB ||
               kinds[i].type == PYB_DECIMAL || kinds[i].type == PYB_JSON)
        append(column, bytes_value(kinds[i].type, "12"));
      else
        append(column, of(kinds[i].type, row % 2));
    }
    finish(table);
    CHECK(strcmp(format(0), kinds[i].format) == 0);
    CHECK(batch.length == 1000 && batch.children[0]->null_count == 333);
    CHECK(!is_null(0, 0) && is_null(0, 1) && is_null(0, 997) && !is_null(0, 999));
    drop();
  }
}

/* Only NULLs are a column of type null; no rows at all are one too. */
static void test_nulls_alone_have_no_type(void) {
  pyb_column *column = begin();

  for (int row = 0; row < 300; row++)
    OK(pyb_column_null(column));
  finish(table);
  CHECK(strcmp(format(0), "n") == 0 && batch.length == 300);
  CHECK(batch.children[0]->null_count == 300 && batch.children[0]->n_buffers == 0);
  drop();
  begin();
  finish(table);
  CHECK(strcmp(format(0), "n") == 0 && batch.length == 0);
  drop();
  OK(pyb_table_new(0, &table, &error));
  finish(table);
  CHECK(batch.n_children == 0 && batch.length == 0);
  drop();
}

/* Bits and days are packed as Arrow wants them. */
static void test_narrow_types_are_packed(void) {
  pyb_column *column = begin();

  for (int row = 0; row < 1003; row++)
    append(column, of(PYB_BOOL, row % 3 == 0));
  finish(table);
  for (int row = 0; row < 1003; row++)
    CHECK((((const uint8_t *)batch.children[0]->buffers[1])[row >> 3] >> (row & 7) &
           1) == (row % 3 == 0));
  drop();
  column = begin();
  for (int row = 0; row < 1003; row++)
    append(column, of(PYB_DATE, row - 500));
  finish(table);
  for (int row = 0; row < 1003; row++)
    CHECK(((const int32_t *)batch.children[0]->buffers[1])[row] == row - 500);
  drop();
}

/* A day that Arrow's 32 bits do not hold is an error, and no other day. */
static void test_far_dates_are_refused(void) {
  struct ArrowArrayStream rows;
  pyb_column *column = begin();

  append(column, of(PYB_DATE, INT64_C(1) << 32));
  CHECK(pyb_table_finish(table, &rows, &error) == PYB_UNSUPPORTED);
  CHECK(rows.release == NULL && has(error.message, "\"c\""));
}

static void mixed(const pyb_value *cells, int n, const char *wanted) {
  /* The rule must not depend on the order: try every rotation, both ways. */
  for (int first = 0; first < n; first++)
    for (int step = 1; step <= n - 1; step += n > 2 ? n - 2 : 1) {
      pyb_column *column = begin();
      for (int i = 0; i < n; i++)
        append(column, cells[(first + i * step) % n]);
      finish(table);
      CHECK(strcmp(format(0), wanted) == 0);
      CHECK(batch.length == n);
      drop();
    }
}

#define MIXED(wanted, ...)                                                             \
  do {                                                                                 \
    pyb_value cells[] = {__VA_ARGS__};                                                 \
    mixed(cells, (int)(sizeof cells / sizeof *cells), wanted);                         \
  } while (0)

/* Mixtures become the one type that holds all their cells, in whatever order. */
static void test_mixtures_follow_the_rule(void) {
  const int64_t inexact = INT64_C(9007199254740993);
  pyb_value flag = of(PYB_BOOL, 1), one = of(PYB_INT64, 1), half = real_value(0.5);
  pyb_value large = of(PYB_INT64, inexact), text = bytes_value(PYB_TEXT, "t");
  pyb_value blob = bytes_value(PYB_BLOB, "\xFF"), none = PYB_EMPTY;
  pyb_value day = of(PYB_DATE, 1), moment = of(PYB_TIMESTAMP, 1);
  pyb_value decimal = bytes_value(PYB_DECIMAL, "1.50");

  MIXED("l", flag, one, none);
  MIXED("g", one, half, none);
  MIXED("g", flag, half, none);
  MIXED("U", large, half, none);
  MIXED("g", of(PYB_INT64, INT64_MIN), half, none);
  MIXED("U", of(PYB_INT64, INT64_MAX), half, none);
  MIXED("U", one, text, none);
  MIXED("U", half, text, none);
  MIXED("U", day, moment, none);
  MIXED("U", decimal, text, none);
  MIXED("U", decimal, one, none);
  MIXED("Z", blob, text, none);
  MIXED("Z", blob, one, half, none);
}

/* What becomes text is the shortest text that is the same value. */
static void test_mixtures_are_exact_text(void) {
  static const struct {
    pyb_value value;
    const char *text;
  } cells[] = {
      {{.type = PYB_TEXT, .data = "", .size = 0}, ""},
      {{.type = PYB_BOOL, .integer = 1}, "1"},
      {{.type = PYB_INT64, .integer = INT64_MIN}, "-9223372036854775808"},
      {{.type = PYB_INT64, .integer = INT64_MAX}, "9223372036854775807"},
      {{.type = PYB_FLOAT64, .real = 0.1}, "0.1"},
      {{.type = PYB_FLOAT64, .real = 5.0}, "5.0"},
      {{.type = PYB_FLOAT64, .real = 1.0 / 3}, "0.3333333333333333"},
      {{.type = PYB_FLOAT64, .real = 1e300}, "1e+300"},
      {{.type = PYB_FLOAT64, .real = INFINITY}, "inf"},
      {{.type = PYB_FLOAT64, .real = NAN}, "nan"},
      {{.type = PYB_DATE, .integer = 0}, "1970-01-01"},
      {{.type = PYB_DATE, .integer = -719528}, "0000-01-01"},
      {{.type = PYB_DATE, .integer = 11016}, "2000-02-29"},
      {{.type = PYB_DATE, .integer = 2932896}, "9999-12-31"},
      {{.type = PYB_TIME, .integer = INT64_C(86399999999)}, "23:59:59.999999"},
      {{.type = PYB_TIMESTAMP, .integer = -1}, "1969-12-31 23:59:59.999999"},
      {{.type = PYB_TIMESTAMP, .integer = INT64_MIN}, "-290308-12-21 19:59:05.224192"},
      {{.type = PYB_TIMESTAMP, .integer = INT64_MAX}, "294247-01-10 04:00:54.775807"},
      {{.type = PYB_DECIMAL, .data = "1.50", .size = 4}, "1.50"},
  };
  const int n = sizeof cells / sizeof *cells;
  pyb_column *column = begin();

  for (int i = 0; i < n; i++)
    append(column, cells[i].value);
  append(column, PYB_EMPTY);
  finish(table);
  CHECK(strcmp(format(0), "U") == 0);
  for (int i = 0; i < n; i++)
    if (!text_at(0, i, cells[i].text)) {
      const int64_t *ends = batch.children[0]->buffers[1];
      printf("cell %d: \"%.*s\", not \"%s\"\n", i, (int)(ends[i + 1] - ends[i]),
             (const char *)batch.children[0]->buffers[2] + ends[i], cells[i].text);
      exit(1);
    }
  CHECK(is_null(0, n));
  drop();
}

/* Days at the ends of 64 bits have some text, and nothing overflows. */
static void test_far_days_have_a_text(void) {
  pyb_column *column = begin();

  append(column, of(PYB_DATE, INT64_MIN));
  append(column, of(PYB_DATE, INT64_MAX));
  append(column, bytes_value(PYB_TEXT, "t"));
  finish(table);
  CHECK(batch.length == 3 && text_at(0, 2, "t"));
  drop();
}

/* Integers that float64 holds are exact in it, NULL is NaN beneath. */
static void test_numbers_are_widened_exactly(void) {
  pyb_column *column = begin();

  append(column, of(PYB_INT64, INT64_C(9007199254740992)));
  append(column, PYB_EMPTY);
  append(column, of(PYB_BOOL, 1));
  append(column, real_value(-0.5));
  finish(table);
  CHECK(real_at(0, 0) == 9007199254740992.0 && is_null(0, 1) && isnan(real_at(0, 1)));
  CHECK(real_at(0, 2) == 1.0 && real_at(0, 3) == -0.5);
  drop();
}

/* Growth keeps what is there: a million cells, with the first NULL and the first text
 * at awkward places, by the inline appends and by the slow one. */
static void test_growth_keeps_all_cells(void) {
  const int64_t n = 300000;
  pyb_column *numbers, *texts, *mixture;

  OK(pyb_table_new(3, &table, &error));
  numbers = pyb_table_column(table, 0);
  texts = pyb_table_column(table, 1);
  mixture = pyb_table_column(table, 2);
  for (int64_t i = 0; i < n; i++) {
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)i * 7919);
    if (i == 99999)
      OK(pyb_column_null(numbers));
    else
      OK(pyb_column_int64(numbers, i * 3));
    OK(pyb_column_text(texts, text, i % 5 == 0 ? 0 : (size_t)size));
    if (i < 70000)
      OK(pyb_column_float64(mixture, (double)i));
    else
      OK(pyb_column_text(mixture, text, (size_t)size));
  }
  finish(table);
  CHECK(batch.length == n && batch.children[0]->null_count == 1);
  for (int64_t i = 0; i < n; i++) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)i * 7919);
    CHECK(i == 99999 ? is_null(0, i) : int_at(0, i) == i * 3);
    CHECK(text_at(1, i, i % 5 == 0 ? "" : text));
    if (i < 70000)
      snprintf(text, sizeof text, "%lld.0", (long long)i);
    CHECK(text_at(2, i, text));
  }
  drop();
}

/* Room that was made beforehand is used, and too much is an error, not a crash. */
static void test_reserve(void) {
  pyb_column *column = begin();
  const int64_t *where;

  OK(pyb_column_int64(column, 1));
  OK(pyb_table_reserve(table, 5000, &error));
  where = column->integers;
  for (int64_t i = 1; i < 5000; i++)
    OK(pyb_column_int64(column, i));
  CHECK(column->integers == where && column->capacity == 5000);
  OK(pyb_table_reserve(table, 10, &error));
  CHECK(pyb_table_reserve(table, INT64_MAX, &error) == PYB_NO_MEMORY);
  CHECK(pyb_table_reserve(table, INT64_MAX / 8, &error) == PYB_NO_MEMORY);
  CHECK(pyb_table_reserve(table, -1, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_column_text(column, "x", (size_t)-2) == PYB_NO_MEMORY);
  CHECK(pyb_column_text(column, "x", (size_t)INT64_MAX) == PYB_NO_MEMORY);
  OK(pyb_column_int64(column, 7));
  finish(table);
  CHECK(strcmp(format(0), "l") == 0 && batch.length == 5001 && int_at(0, 5000) == 7);
  drop();
}

/* Rows are put in another order, left out, taken twice, and more come behind them. */
static void test_take(void) {
  static const uint32_t rows[] = {4, 0, 3, 3, 1}, beyond[] = {0, 5};
  static const char *const words[] = {"zero", "", "two", "a longer three", "4"};
  pyb_column *columns[5];

  OK(pyb_table_new(5, &table, &error));
  for (size_t i = 0; i < 5; i++)
    columns[i] = pyb_table_column(table, i);
  for (int row = 0; row < 5; row++) {
    append(columns[0], of(PYB_INT64, row));
    append(columns[1], row == 3 ? PYB_EMPTY : real_value(row / 2.0));
    append(columns[2], bytes_value(PYB_TEXT, words[row]));
    append(columns[3], PYB_EMPTY);
    append(columns[4],
           row % 2 ? of(PYB_INT64, row) : bytes_value(PYB_TEXT, words[row]));
  }
  CHECK(pyb_table_take(table, beyond, 2, &error) == PYB_BAD_ARGUMENT);
  OK(pyb_table_take(table, rows, 5, &error));
  for (size_t i = 0; i < 5; i++)
    append(columns[i], i == 0 ? of(PYB_INT64, 7) : bytes_value(PYB_TEXT, "new"));
  finish(table);
  CHECK(batch.length == 6 && batch.children[1]->null_count == 2);
  CHECK(int_at(0, 0) == 4 && int_at(0, 3) == 3 && int_at(0, 5) == 7);
  CHECK(text_at(1, 0, "2.0") && is_null(1, 2) && is_null(1, 3) && text_at(1, 4, "0.5"));
  CHECK(text_at(2, 0, "4") && text_at(2, 2, "a longer three") && text_at(2, 4, ""));
  CHECK(is_null(3, 4) && text_at(3, 5, "new"));
  CHECK(text_at(4, 0, "4") && text_at(4, 3, "3") && text_at(4, 5, "new"));
  drop();
}

/* All rows can be left out. */
static void test_take_nothing(void) {
  pyb_column *column = begin();

  append(column, bytes_value(PYB_TEXT, "a"));
  append(column, PYB_EMPTY);
  OK(pyb_table_take(table, NULL, 0, &error));
  CHECK(column->length == 0 && column->nulls == 0);
  append(column, bytes_value(PYB_TEXT, "b"));
  finish(table);
  CHECK(batch.length == 1 && text_at(0, 0, "b") && !is_null(0, 0));
  drop();
}

/* The size of a text that has text before it is looked at as well. */
static void test_impossible_text_leaves_the_column(void) {
  pyb_column *column = begin();

  OK(pyb_column_text(column, "a", 1));
  CHECK(pyb_column_text(column, "x", (size_t)-2) == PYB_NO_MEMORY);
  CHECK(pyb_column_text(column, "x", (size_t)-5000) == PYB_NO_MEMORY);
  OK(pyb_column_text(column, "b", 1));
  finish(table);
  CHECK(batch.length == 2 && text_at(0, 0, "a") && text_at(0, 1, "b"));
  drop();
}

/* Text that ends with a NUL needs no size, as code does not. */
static void test_text_may_end_with_a_nul(void) {
  pyb_column *column = begin();

  OK(pyb_column_text(column, "first", PYB_NTS));
  OK(pyb_column_text(column, "second", PYB_NTS));
  OK(pyb_column_text(column, NULL, PYB_NTS));
  finish(table);
  CHECK(text_at(0, 0, "first") && text_at(0, 1, "second") && text_at(0, 2, ""));
  drop();
}

/* Columns of different length are no table. */
static void test_ragged_table_is_refused(void) {
  struct ArrowArrayStream rows;

  OK(pyb_table_new(2, &table, &error));
  OK(pyb_column_int64(pyb_table_column(table, 1), 1));
  CHECK(pyb_table_finish(table, &rows, &error) == PYB_BAD_ARGUMENT);
  CHECK(rows.release == NULL);
  CHECK(has(error.message, "column 1 is of length 1, column 0 is of 0"));
}

/* Names and declared types travel in the schema; the last name counts. */
static void test_names_travel(void) {
  begin();
  OK(pyb_table_name(table, 0, "first", "DATE", &error));
  OK(pyb_table_name(table, 0, "n\xC3\xA4me \"x\"", "DECIMAL(10,2)", &error));
  CHECK(pyb_table_name(table, 1, "x", NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_table_name(table, 0, NULL, NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_table_column(table, 1) == NULL);
  finish(table);
  CHECK(strcmp(schema.children[0]->name, "n\xC3\xA4me \"x\"") == 0);
  CHECK(memcmp(schema.children[0]->metadata + 8, "pybridge.declared", 17) == 0);
  CHECK(memcmp(schema.children[0]->metadata + 29, "DECIMAL(10,2)", 13) == 0);
  drop();
}

/* A stream that nobody reads, and a column that is moved out of its batch, are released
 * once; the schema cannot be had after the rows. */
static void test_streams_are_released_once(void) {
  struct ArrowArrayStream rows;
  struct ArrowArray moved;

  OK(pyb_column_text(begin(), "x", 1));
  OK(pyb_table_finish(table, &rows, &error));
  rows.release(&rows);
  OK(pyb_column_text(begin(), "x", 1));
  finish(table);
  moved = *batch.children[0];
  batch.children[0]->release = NULL;
  drop();
  CHECK(*(const char *)moved.buffers[2] == 'x');
  moved.release(&moved);
  begin();
  OK(pyb_table_finish(table, &rows, &error));
  CHECK(rows.get_next(&rows, &moved) == 0);
  moved.release(&moved);
  CHECK(rows.get_schema(&rows, &schema) != 0 && rows.get_last_error(&rows) != NULL);
  rows.release(&rows);
  begin();
  pyb_table_release(table);
  pyb_table_release(NULL);
}

int main(void) {
  RUN(test_one_type_is_kept);
  RUN(test_nulls_alone_have_no_type);
  RUN(test_narrow_types_are_packed);
  RUN(test_far_dates_are_refused);
  RUN(test_mixtures_follow_the_rule);
  RUN(test_mixtures_are_exact_text);
  RUN(test_far_days_have_a_text);
  RUN(test_numbers_are_widened_exactly);
  RUN(test_growth_keeps_all_cells);
  RUN(test_reserve);
  RUN(test_take);
  RUN(test_take_nothing);
  RUN(test_impossible_text_leaves_the_column);
  RUN(test_text_may_end_with_a_nul);
  RUN(test_ragged_table_is_refused);
  RUN(test_names_travel);
  RUN(test_streams_are_released_once);
  CHECK(pyb_live() == 0);
  return 0;
}
