/* gtm_values.c: strings of M as values and back, and bytes that may be a $LIST.
 *
 * Built from the host's own files with -fsanitize=address,undefined:
 *
 *     gtm_values            tables of edges, then random numbers and bytes
 *     gtm_values FILE ...   these bytes as $LISTs
 *
 * With -DFUZZ_ENTRY it is an entry of libFuzzer instead. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../c/hosts/gtm/gtm.h"

#define CHECK(condition, what)                                                         \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("%s:%d: not so: %s, for %s\n", __FILE__, __LINE__, #condition, what);     \
      exit(1);                                                                         \
    }                                                                                  \
  } while (0)

/* ---- Bytes as $LISTs ------------------------------------------------------------ */

static volatile unsigned long touched;

/* Read all elements of a copy that ends where the block ends, so that the sanitizer
 * sees each byte that is read behind it. How many there were; -1: it is no list. */
static long read_list(const uint8_t *data, size_t size) {
  char *copy = malloc(size + (size == 0));
  size_t at = 0;
  long n = 0;

  if (size != 0)
    memcpy(copy, data, size);
  while (at < size && n >= 0) {
    char scratch[PYB__GTM_NUMBER], number[PYB__GTM_NUMBER];
    const char *why = NULL, *text;
    size_t before = at, length;
    pyb_value value;
    pyb_status status = pyb__gtm_element(copy, size, &at, &value, scratch, &why);

    CHECK(at >= before && at <= size, "an element");
    if (status == PYB_OK) {
      CHECK(at > before, "an element without bytes");
      text = pyb__gtm_dump(&value, number, &length);
      CHECK(length <= 3 * size + PYB__GTM_NUMBER, "an element's text");
      for (size_t i = 0; i < length; i++)
        touched += (unsigned char)text[i];
      n++;
    } else {
      CHECK(why != NULL && value.type == PYB_NULL && value.release == NULL, "an error");
      n = -1;
    }
    pyb_value_release(&value);
  }
  free(copy);
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  read_list(data, size);
  return 0;
}

#ifndef FUZZ_ENTRY

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static size_t below(size_t n) {
  return (size_t)(next_random() % n);
}

/* ---- Numbers -------------------------------------------------------------------- */

static void test_what_number_a_text_is(void) {
  static const struct {
    const char *text;
    pyb__gtm_number is;
  } rows[] = {
      {"", PYB__GTM_NOT_CANONICAL},
      {"0", PYB__GTM_WHOLE},
      {"-0", PYB__GTM_NOT_CANONICAL},
      {"-1", PYB__GTM_WHOLE},
      {"+1", PYB__GTM_NOT_CANONICAL},
      {"01", PYB__GTM_NOT_CANONICAL},
      {"-", PYB__GTM_NOT_CANONICAL},
      {".", PYB__GTM_NOT_CANONICAL},
      {"-.", PYB__GTM_NOT_CANONICAL},
      {"1.", PYB__GTM_NOT_CANONICAL},
      {".5", PYB__GTM_SHORT},
      {"-.5", PYB__GTM_SHORT},
      {"0.5", PYB__GTM_NOT_CANONICAL},
      {".50", PYB__GTM_NOT_CANONICAL},
      {"1.0", PYB__GTM_NOT_CANONICAL},
      {"1.5.5", PYB__GTM_NOT_CANONICAL},
      {"1E5", PYB__GTM_NOT_CANONICAL},
      {" 1", PYB__GTM_NOT_CANONICAL},
      {"1 ", PYB__GTM_NOT_CANONICAL},
      {"1,5", PYB__GTM_NOT_CANONICAL},
      {"0x1", PYB__GTM_NOT_CANONICAL},
      {"inf", PYB__GTM_NOT_CANONICAL},
      {"123456789012345678", PYB__GTM_WHOLE},
      {"-123456789012345678", PYB__GTM_WHOLE},
      {"1234567890123456789", PYB__GTM_LONG},
      {"1234567890.12345", PYB__GTM_SHORT},
      {"1234567890.123456", PYB__GTM_LONG},
      {".0000000000123456789012345", PYB__GTM_SHORT},
      {".00000000001234567890123456", PYB__GTM_LONG},
  };

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK(pyb__gtm_number_of(rows[i].text, strlen(rows[i].text)) == rows[i].is,
          rows[i].text);
  CHECK(pyb__gtm_number_of("1\0", 2) == PYB__GTM_NOT_CANONICAL, "a NUL");
}

/* ---- Load ------------------------------------------------------------------------ */

enum { BAD = -1 };

static void test_each_letter_takes_its_values(void) {
  static const struct {
    char letter;
    const char *text;
    int type; /* BAD: it does not fit */
    int64_t integer;
    double real;
  } rows[] = {
      {'+', "", PYB_TEXT, 0, 0},
      {'+', "12", PYB_INT64, 12, 0},
      {'+', "-.5", PYB_FLOAT64, 0, -.5},
      {'+', "007", PYB_TEXT, 0, 0},
      {'+', "12345678901234567890", PYB_DECIMAL, 0, 0},
      {'-', "x", PYB_NULL, 0, 0},
      {'b', "", PYB_NULL, 0, 0},
      {'b', "0", PYB_BOOL, 0, 0},
      {'b', "0.0", PYB_BOOL, 0, 0},
      {'b', "-3", PYB_BOOL, 1, 0},
      {'b', "yes", BAD, 0, 0},
      {'d', "0", PYB_DATE, -47117, 0},
      {'d', "47117", PYB_DATE, 0, 0},
      {'d', "-672045", PYB_DATE, -719162, 0},
      {'d', "-672046", BAD, 0, 0},
      {'d', "2980013", PYB_DATE, 2932896, 0},
      {'d', "2980014", BAD, 0, 0},
      {'d', "99999999999999999999", BAD, 0, 0},
      {'d', "1.5", BAD, 0, 0},
      {'t', "0", PYB_TIME, 0, 0},
      {'t', ".5", PYB_TIME, 500000, 0},
      {'t', "86399.999999", PYB_TIME, INT64_C(86399999999), 0},
      {'t', "86400", BAD, 0, 0},
      {'t', "1.1234567", BAD, 0, 0},
      {'t', "1.", BAD, 0, 0},
      {'t', "-1", BAD, 0, 0},
      {'m', "1970-01-01 00:00:00", PYB_TIMESTAMP, 0, 0},
      {'m', "1970-01-01", PYB_TIMESTAMP, 0, 0},
      {'m', "1970-01-01T00:00:01.5", PYB_TIMESTAMP, 1500000, 0},
      {'m', "47117,1", PYB_TIMESTAMP, 1000000, 0},
      {'m', "0001-01-01 00:00", PYB_TIMESTAMP, INT64_C(-62135596800000000), 0},
      {'m', "9999-12-31 23:59:59.999999", PYB_TIMESTAMP, INT64_C(253402300799999999),
       0},
      {'m', "0000-01-01 00:00:00", BAD, 0, 0},
      {'m', "1900-02-29 00:00:00", BAD, 0, 0},
      {'m', "2000-02-29 00:00:00", PYB_TIMESTAMP, INT64_C(951782400000000), 0},
      {'m', "2026-13-01", BAD, 0, 0},
      {'m', "2026-01-00", BAD, 0, 0},
      {'m', "2026-01-01 24:00:00", BAD, 0, 0},
      {'m', "2026-01-01 00:00:60", BAD, 0, 0},
      {'m', "2026-01-01 00:00:", BAD, 0, 0},
      {'m', "2026-01-01 ", BAD, 0, 0},
      {'m', "47117,", BAD, 0, 0},
      {'m', ",1", BAD, 0, 0},
      {'m', ",", BAD, 0, 0},
      {'i', "9223372036854775807", PYB_INT64, INT64_MAX, 0},
      {'i', "9223372036854775808", BAD, 0, 0},
      {'i', "-9223372036854775808", PYB_INT64, INT64_MIN, 0},
      {'i', "-9223372036854775809", BAD, 0, 0},
      {'i', "007", PYB_INT64, 7, 0},
      {'i', "-", BAD, 0, 0},
      {'i', "1.0", BAD, 0, 0},
      {'f', "1e3", PYB_FLOAT64, 0, 1000},
      {'f', "1E400", BAD, 0, 0},
      {'f', "5E-324", PYB_FLOAT64, 0, 5e-324},
      {'f', "0x10", BAD, 0, 0},
      {'f', "nan", BAD, 0, 0},
      {'f', "1e", BAD, 0, 0},
      {'f', "1,5", BAD, 0, 0},
      {'n', "-1.50", PYB_DECIMAL, 0, 0},
      {'n', "1E5", PYB_DECIMAL, 0, 0},
      {'n', "x", BAD, 0, 0},
      {'n', ".", BAD, 0, 0},
      {'s', "", PYB_TEXT, 0, 0},
      {'s', "1", PYB_TEXT, 0, 0},
      {'x', "", PYB_BLOB, 0, 0},
  };

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *why = "", *text = rows[i].text;
    size_t size = strlen(text);
    char *exact = malloc(size + (size == 0));
    pyb_value value;
    pyb_status status;

    memcpy(exact, text, size); /* no NUL behind it */
    status = pyb__gtm_load(exact, size, (pyb__gtm_kind)rows[i].letter, &value, &why);
    CHECK((status == PYB_OK) == (rows[i].type != BAD), text);
    if (status != PYB_OK) {
      CHECK(value.type == PYB_NULL && *why != '\0', text);
    } else {
      CHECK((int)value.type == rows[i].type, text);
      if (value.type == PYB_FLOAT64)
        CHECK(value.real == rows[i].real, text);
      else if (value.type == PYB_TEXT || value.type == PYB_BLOB ||
               value.type == PYB_DECIMAL)
        CHECK(value.size == size && memcmp(value.data, text, size) == 0, text);
      else if (value.type != PYB_NULL)
        CHECK(value.integer == rows[i].integer, text);
    }
    free(exact);
  }
}

/* Any bytes, by any letter: what fits is in its range. */
static void test_any_bytes_are_a_value_or_an_error(void) {
  static const char often[] = "0123456789.-+:, TEe\0\xff";

  for (int round = 0; round < 300000; round++) {
    size_t size = below(30);
    char *data = malloc(size + (size == 0));
    const char *why = "";
    pyb_value value;
    char letter = PYB__GTM_KINDS[below(sizeof PYB__GTM_KINDS - 1)];

    for (size_t i = 0; i < size; i++)
      data[i] = often[below(sizeof often - 1)];
    if (pyb__gtm_load(data, size, (pyb__gtm_kind)letter, &value, &why) == PYB_OK) {
      CHECK(value.type != PYB_TIME ||
                (value.integer >= 0 && value.integer < INT64_C(86400000000)),
            "a time");
      CHECK(value.type != PYB_FLOAT64 || isfinite(value.real), "a float");
    }
    free(data);
  }
}

/* ---- Dump ------------------------------------------------------------------------ */

/* The text of a double: it reads as the same one, no shorter one does, and M would
 * write it so. */
static void check_double(double real) {
  pyb_value value = {.type = PYB_FLOAT64, .real = real};
  char number[PYB__GTM_NUMBER], text[PYB__GTM_NUMBER + 1], other[60];
  size_t size, digits = 0, zeros = 0;
  const char *data = pyb__gtm_dump(&value, number, &size);

  CHECK(size <= PYB__GTM_NUMBER, "the size");
  memcpy(text, data, size);
  text[size] = '\0';
  CHECK(strtod(text, NULL) == real, text);
  for (const char *c = text; *c != '\0' && *c != 'e'; c++) {
    if (*c >= '1' && *c <= '9') {
      digits += zeros * (digits != 0) + 1;
      zeros = 0;
    } else if (*c == '0') {
      zeros++;
    }
  }
  if (digits > 1) {
    snprintf(other, sizeof other, "%.*e", (int)digits - 2, real);
    CHECK(strtod(other, NULL) != real, text);
  }
  if (strchr(text, 'e') != NULL)
    CHECK(fabs(real) < 1e-43 || fabs(real) >= 1e47, text);
  else if (size <= 48)
    CHECK(pyb__gtm_number_of(text, size) != PYB__GTM_NOT_CANONICAL, text);
}

static void test_floats_come_back_as_they_were(void) {
  static const double edges[] = {
      0.1,     0.5,     1e-6,   1e-7,    123456.789, 1e15,
      1e16,    1e-43,   1e-44,  1e46,    1e47,       9.99e46,
      DBL_MAX, DBL_MIN, 5e-324, 1.0 / 3, 2.0 / 3e9,  4503599627370497.5};

  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    check_double(edges[i]);
    check_double(-edges[i]);
  }
  for (int power = 0; power < 64; power++)
    for (int by = -3; by <= 3; by++) {
      double real = ldexp(1, power);
      for (int i = 0; i < abs(by); i++)
        real = nextafter(real, by < 0 ? 0 : INFINITY);
      check_double(real);
    }
  for (int i = 0; i < 100000; i++) {
    uint64_t bits = next_random();
    double real;

    if (i % 4 == 1) /* subnormal */
      bits &= UINT64_C(0x800fffffffffffff);
    memcpy(&real, &bits, 8);
    if (i % 4 == 2)
      real = (double)(int64_t)(bits >> 20) / (i % 8 == 2 ? 1e3 : 1e6);
    if (i % 4 == 3)
      real = (double)(bits >> 11) * exp2((double)below(200) - 100);
    if (isfinite(real) && real != 0)
      check_double(real);
  }
}

static void test_values_are_written_as_m_writes_them(void) {
  static const struct {
    pyb_value value;
    const char *text;
  } rows[] = {
      {{.type = PYB_NULL}, ""},
      {{.type = PYB_BOOL, .integer = 1}, "1"},
      {{.type = PYB_INT64, .integer = INT64_MIN}, "-9223372036854775808"},
      {{.type = PYB_INT64, .integer = INT64_MAX}, "9223372036854775807"},
      {{.type = PYB_FLOAT64, .real = -0.0}, "0"},
      {{.type = PYB_FLOAT64, .real = 0.25}, ".25"},
      {{.type = PYB_FLOAT64, .real = -1e3}, "-1000"},
      {{.type = PYB_FLOAT64, .real = 1e-43},
       ".0000000000000000000000000000000000000000001"},
      {{.type = PYB_FLOAT64, .real = 1e46},
       "10000000000000000000000000000000000000000000000"},
      {{.type = PYB_FLOAT64, .real = 1e47}, "1e+47"},
      {{.type = PYB_FLOAT64, .real = INFINITY}, "inf"},
      {{.type = PYB_DATE, .integer = 0}, "47117"},
      {{.type = PYB_DATE, .integer = -719162}, "-672045"},
      {{.type = PYB_TIME, .integer = 500000}, ".5"},
      {{.type = PYB_TIME, .integer = INT64_C(86399999999)}, "86399.999999"},
      {{.type = PYB_TIMESTAMP, .integer = -1}, "47116,86399.999999"},
      {{.type = PYB_TIMESTAMP, .integer = 0}, "47117,0"},
      {{.type = PYB_DECIMAL, .data = "-0.50", .size = 5}, "-.5"},
      {{.type = PYB_DECIMAL, .data = "-0.00", .size = 5}, "0"},
      {{.type = PYB_DECIMAL, .data = "0100", .size = 4}, "100"},
      {{.type = PYB_DECIMAL, .data = "+1.0", .size = 4}, "1"},
      {{.type = PYB_DECIMAL, .data = "1.5E+10", .size = 7}, "1.5E+10"},
      {{.type = PYB_DECIMAL, .data = "1.5e10", .size = 6}, "1.5e10"},
      {{.type = PYB_DECIMAL, .data = "", .size = 0}, ""},
      {{.type = PYB_TEXT, .data = NULL, .size = 0}, ""},
  };

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char number[PYB__GTM_NUMBER];
    size_t size;
    const char *data = pyb__gtm_dump(&rows[i].value, number, &size);

    CHECK(size == strlen(rows[i].text) && memcmp(data, rows[i].text, size) == 0,
          rows[i].text);
  }
}

/* Every day from 0001-01-01 to 9999-12-31, as a number and as text. */
static void test_each_day_comes_back(void) {
  int year = 1, month = 1, day = 1;

  for (int64_t days = -719162; days <= 2932896; days++) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    pyb_value value = {.type = PYB_DATE, .integer = days}, back;
    char number[PYB__GTM_NUMBER], text[40];
    const char *why = "", *data;
    size_t size;
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    data = pyb__gtm_dump(&value, number, &size);
    CHECK(pyb__gtm_load(data, size, PYB__GTM_DATE, &back, &why) == PYB_OK, "a day");
    CHECK(back.integer == days, "a day");
    snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
    CHECK(pyb__gtm_load(text, 10, PYB__GTM_MOMENT, &back, &why) == PYB_OK, text);
    CHECK(back.integer == days * INT64_C(86400000000), text);
    if (++day > lengths[month - 1] + (month == 2 && leap)) {
      day = 1;
      if (++month > 12) {
        month = 1;
        year++;
      }
    }
  }
  CHECK(year == 10000, "the last day");
}

/* ---- $LIST ----------------------------------------------------------------------- */

static const struct {
  const char *bytes;
  size_t size;
  const char *text;
} elements[] = {
    {"\x01", 1, ""},
    {"\x02\x01", 2, ""},
    {"\x02\x04", 2, "0"},
    {"\x02\x05", 2, "-1"},
    {"\x03\x05\x80", 3, "-128"},
    {"\x03\x05\x7f", 3, "-129"},
    {"\x03\x05\x38", 3, "-200"},
    {"\x04\x05\x01\x00", 4, "-65535"},
    {"\x06\x05\x00\x00\x00\x00", 6, "-4294967296"},
    {"\x03\x04\xff", 3, "255"},
    {"\x0a\x04\xff\xff\xff\xff\xff\xff\xff\x7f", 10, "9223372036854775807"},
    {"\x0a\x05\x00\x00\x00\x00\x00\x00\x00\x80", 10, "-9223372036854775808"},
    {"\x04\x06\xff\x17", 4, "2.3"},
    {"\x03\x07\xff", 3, "-.1"},
    {"\x04\x07\xff\x7f", 4, "-12.9"},
    {"\x04\x07\xff\x00", 4, "-25.6"},
    {"\x04\x06\x02\x07", 4, "700"},
    {"\x04\x08\xc0\x3f", 4, "1.5"},
    {"\x0a\x08\x9a\x99\x99\x99\x99\x99\xb9\x3f", 10, ".1"},
    {"\x04\x09\xf8\x3f", 4, "1.5"},
    {"\x03\x01\xe9", 3, "\xc3\xa9"},
    {"\x04\x02\x1f\x04", 4, "\xd0\x9f"},
    {"\x06\x02\x3d\xd8\x00\xde", 6, "\xf0\x9f\x98\x80"},
    {"\x05\x21\x61\x62\x63", 5, "abc"},
    {"\x00\x02\x00\x01x", 5, "x"},
    {"\x00\x00\x00\x02\x00\x00\x00\x01x", 9, "x"},
};

static void test_elements_are_what_iris_means(void) {
  for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
    char scratch[PYB__GTM_NUMBER], number[PYB__GTM_NUMBER];
    const char *why = "", *text;
    size_t at = 0, size;
    pyb_value value;

    CHECK(pyb__gtm_element(elements[i].bytes, elements[i].size, &at, &value, scratch,
                           &why) == PYB_OK,
          elements[i].text);
    CHECK(at == elements[i].size, elements[i].text);
    text = pyb__gtm_dump(&value, number, &size);
    CHECK(size == strlen(elements[i].text) && memcmp(text, elements[i].text, size) == 0,
          elements[i].text);
    pyb_value_release(&value);
    for (size_t cut = 1; cut < elements[i].size; cut++)
      CHECK(read_list((const uint8_t *)elements[i].bytes, cut) == -1, elements[i].text);
  }
}

/* Lists of whole elements, some bytes changed, and bytes that are just any. */
static void test_any_bytes_are_a_list_or_an_error(void) {
  long lists = 0, errors = 0;

  for (int round = 0; round < 300000; round++) {
    uint8_t data[300];
    size_t size = 0;

    if (round % 4 == 0) {
      size = below(sizeof data);
      for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(below(3) == 0 ? next_random() : below(12));
    }
    for (size_t n = round % 4 == 0 ? 0 : 1 + below(12); n > 0; n--) {
      size_t pick = below(sizeof elements / sizeof *elements);
      memcpy(data + size, elements[pick].bytes, elements[pick].size);
      size += elements[pick].size;
    }
    for (size_t n = round % 4 < 2 || size == 0 ? 0 : below(4); n > 0; n--)
      data[below(size)] = (uint8_t)(below(2) == 0 ? next_random() : below(12));
    if (size > 0 && below(8) == 0)
      size -= below(size);
    if (read_list(data, size) < 0)
      errors++;
    else
      lists++;
  }
  CHECK(lists > 20000 && errors > 20000, "enough of both");
}

/* A length of four bytes that says more than any list has. */
static void test_lengths_do_not_wrap(void) {
  static const uint8_t lengths[][8] = {{0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1},
                                       {0, 0, 0, 0, 0, 0, 0, 1},
                                       {0, 0xff, 0xff, 1, 0, 0, 0, 0},
                                       {0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 1}};

  for (size_t i = 0; i < 4; i++)
    for (size_t size = 1; size <= 8; size++)
      CHECK(read_list(lengths[i], size) == -1, "a length");
}

#define RUN(test) (test(), puts(#test ": ok"), fflush(stdout))

static int run_file(const char *path) {
  static uint8_t data[PYB__GTM_LONGEST];
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    perror(path);
    return 2;
  }
  read_list(data, fread(data, 1, sizeof data, file));
  fclose(file);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    for (int i = 1; i < argc; i++)
      if (run_file(argv[i]) != 0)
        return 2;
    return 0;
  }
  RUN(test_what_number_a_text_is);
  RUN(test_each_letter_takes_its_values);
  RUN(test_any_bytes_are_a_value_or_an_error);
  RUN(test_floats_come_back_as_they_were);
  RUN(test_values_are_written_as_m_writes_them);
  RUN(test_each_day_comes_back);
  RUN(test_elements_are_what_iris_means);
  RUN(test_any_bytes_are_a_list_or_an_error);
  RUN(test_lengths_do_not_wrap);
  return 0;
}
#endif
