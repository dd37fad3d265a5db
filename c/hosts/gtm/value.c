/* value.c: strings of M as values, and values as M writes them. */
#define _GNU_SOURCE
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

#define DAY_US INT64_C(86400000000)
#define SECOND_US INT64_C(1000000)

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* ---- Numbers -------------------------------------------------------------------- */

/* A number in M's form has no plus sign, no zero that could be left out ("0.5", "1.0",
 * "007") and no exponent. */
pyb__gtm_number pyb__gtm_number_of(const char *data, size_t size) {
  size_t at = 0, whole, fraction = 0, leading = 0;

  if (size == 0 || size > 48)
    return PYB__GTM_NOT_CANONICAL;
  if (data[0] == '-')
    at = 1;
  whole = at;
  while (at < size && is_digit(data[at]))
    at++;
  whole = at - whole;
  if (whole != 0 && data[at - whole] == '0')
    return size == 1 ? PYB__GTM_WHOLE : PYB__GTM_NOT_CANONICAL;
  if (at == size)
    return whole == 0    ? PYB__GTM_NOT_CANONICAL
           : whole <= 18 ? PYB__GTM_WHOLE
                         : PYB__GTM_LONG;
  if (data[at++] != '.')
    return PYB__GTM_NOT_CANONICAL;
  while (at + fraction < size && is_digit(data[at + fraction]))
    fraction++;
  if (fraction == 0 || at + fraction != size || data[size - 1] == '0')
    return PYB__GTM_NOT_CANONICAL;
  if (whole == 0)
    while (data[at + leading] == '0')
      leading++;
  return whole + fraction - leading <= 15 ? PYB__GTM_SHORT : PYB__GTM_LONG;
}

/* -?digits as an integer of 64 bits; whether it is one. */
static bool to_integer(const char *data, size_t size, int64_t *integer) {
  uint64_t sum = 0;
  bool negative = size > 0 && data[0] == '-';
  uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;

  if (size == (size_t)negative)
    return false;
  for (size_t i = negative; i < size; i++) {
    uint64_t digit = (uint64_t)(data[i] - '0');
    if (!is_digit(data[i]) || sum > (most - digit) / 10)
      return false;
    sum = sum * 10 + digit;
  }
  *integer = negative ? (int64_t)(0 - sum) : (int64_t)sum;
  return true;
}

/* A number as a person writes it: [+-]digits[.digits][E[+-]digits]; whether it is one,
 * all of it. What strtod takes beside that (hexadecimal, "inf") is none. */
static bool is_number(const char *data, size_t size) {
  size_t at = 0, digits = 0;

  if (at < size && (data[at] == '-' || data[at] == '+'))
    at++;
  for (; at < size && is_digit(data[at]); at++)
    digits++;
  if (at < size && data[at] == '.')
    for (at++; at < size && is_digit(data[at]); at++)
      digits++;
  if (digits == 0)
    return false;
  if (at < size && (data[at] == 'E' || data[at] == 'e')) {
    at++;
    if (at < size && (data[at] == '-' || data[at] == '+'))
      at++;
    if (at == size)
      return false;
    while (at < size && is_digit(data[at]))
      at++;
  }
  return at == size;
}

/* As C's own locale has it: Python code may have chosen another decimal point. */
static double read_double(const char *text) {
  static locale_t plain;

  if (plain == (locale_t)0)
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  return plain == (locale_t)0 ? strtod(text, NULL) : strtod_l(text, NULL, plain);
}

static bool to_float(const char *data, size_t size, double *real) {
  char text[PYB__GTM_NUMBER];

  if (size >= sizeof text || !is_number(data, size))
    return false;
  memcpy(text, data, size);
  text[size] = '\0';
  *real = read_double(text);
  return isfinite(*real);
}

/* ---- Dates and times ------------------------------------------------------------- */

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. The algorithm
 * counts years from March, so that the leap day is a year's last. */
static int64_t days_of(int64_t year, int month, int day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t era = y / 400, of_era = y % 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

  return month == 2 && leap ? 29 : days[month - 1];
}

/* Days before day 0 are negative; what Python has dates for is taken. */
static bool to_date(const char *data, size_t size, int64_t *days) {
  const int64_t first = -672045, last = 2980013; /* 0001-01-01, 9999-12-31 */

  if (!to_integer(data, size, days) || *days < first || *days > last)
    return false;
  *days -= PYB__GTM_EPOCH;
  return true;
}

/* Up to `most` digits; how many there were. */
static size_t digits(const char *data, size_t size, size_t most, int64_t *number) {
  size_t n = 0;

  *number = 0;
  for (; n < size && n < most && is_digit(data[n]); n++)
    *number = *number * 10 + (data[n] - '0');
  return n;
}

/* seconds[.fraction]: microseconds; more than six digits of it would be lost. */
static bool to_time(const char *data, size_t size, int64_t *time) {
  int64_t seconds, fraction = 0;
  size_t at = digits(data, size, 5, &seconds), n = 0;

  if (at < size && data[at] == '.') {
    at++;
    n = digits(data + at, size - at, 6, &fraction);
    if (n == 0)
      return false;
    at += n;
  } else if (at == 0) {
    return false;
  }
  if (at != size || seconds >= 86400)
    return false;
  for (; n < 6; n++)
    fraction *= 10;
  *time = seconds * SECOND_US + fraction;
  return true;
}

/* One number of a date or a clock, with what stands behind it. */
static bool part(const char **data, const char *end, size_t most, char behind,
                 int64_t *number) {
  size_t n = digits(*data, (size_t)(end - *data), most, number);

  *data += n;
  if (n == 0 || (behind != '\0' && (*data == end || *(*data)++ != behind)))
    return false;
  return true;
}

/* hh:mm[:ss[.ffffff]] */
static bool to_clock(const char *data, const char *end, int64_t *time) {
  int64_t hour, minute, rest = 0;

  if (!part(&data, end, 2, ':', &hour) || !part(&data, end, 2, '\0', &minute) ||
      hour > 23 || minute > 59)
    return false;
  if (data != end) {
    if (*data++ != ':' || data == end || !is_digit(*data) ||
        !to_time(data, (size_t)(end - data), &rest) || rest >= 60 * SECOND_US)
      return false;
  }
  *time = (hour * 60 + minute) * 60 * SECOND_US + rest;
  return true;
}

static bool to_moment(const char *data, size_t size, int64_t *moment) {
  const char *end = data + size, *comma = memchr(data, ',', size);
  int64_t year, month, day, days, time = 0;

  if (comma != NULL) {
    if (!to_date(data, (size_t)(comma - data), &days) ||
        !to_time(comma + 1, (size_t)(end - comma - 1), &time))
      return false;
    *moment = days * DAY_US + time;
    return true;
  }
  if (!part(&data, end, 4, '-', &year) || !part(&data, end, 2, '-', &month) ||
      !part(&data, end, 2, '\0', &day) || year < 1 || month < 1 || month > 12 ||
      day < 1 || day > days_in((int)year, (int)month))
    return false;
  if (data != end &&
      ((*data != ' ' && *data != 'T') || !to_clock(data + 1, end, &time)))
    return false;
  *moment = days_of(year, (int)month, (int)day) * DAY_US + time;
  return true;
}

/* ---- Load ------------------------------------------------------------------------ */

static void load_inferred(const char *data, size_t size, pyb_value *value) {
  switch (pyb__gtm_number_of(data, size)) {
  case PYB__GTM_WHOLE:
    value->type = PYB_INT64;
    to_integer(data, size, &value->integer);
    return;
  case PYB__GTM_SHORT:
    value->type = PYB_FLOAT64;
    to_float(data, size, &value->real);
    return;
  case PYB__GTM_LONG:
    value->type = PYB_DECIMAL;
    break;
  case PYB__GTM_NOT_CANONICAL:
    value->type = PYB_TEXT;
    break;
  }
  value->data = data;
  value->size = size;
}

pyb_status pyb__gtm_load(const char *data, size_t size, pyb__gtm_kind kind,
                         pyb_value *value, const char **why) {
  bool fits = true;

  *value = PYB_EMPTY;
  if (kind == PYB__GTM_TEXT || kind == PYB__GTM_BYTES ||
      (kind == PYB__GTM_INFER && size == 0)) {
    value->type = kind == PYB__GTM_BYTES ? PYB_BLOB : PYB_TEXT;
    value->data = size == 0 ? "" : data;
    value->size = size;
    return PYB_OK;
  }
  if (size == 0 || kind == PYB__GTM_SKIP)
    return PYB_OK;
  switch (kind) {
  case PYB__GTM_BOOL: {
    double number;
    value->type = PYB_BOOL;
    fits = to_float(data, size, &number);
    value->integer = fits && number != 0;
    *why = "a boolean is a number, 0 is false";
    break;
  }
  case PYB__GTM_DATE:
    value->type = PYB_DATE;
    fits = to_date(data, size, &value->integer);
    *why = "a date is $HOROLOG's number of days, -672045 to 2980013";
    break;
  case PYB__GTM_TIME:
    value->type = PYB_TIME;
    fits = to_time(data, size, &value->integer);
    *why = "a time is a number of seconds below 86400, with six decimals at most";
    break;
  case PYB__GTM_MOMENT:
    value->type = PYB_TIMESTAMP;
    fits = to_moment(data, size, &value->integer);
    *why = "a timestamp is YYYY-MM-DD hh:mm:ss.ffffff or $HOROLOG's days,seconds";
    break;
  case PYB__GTM_INTEGER:
    value->type = PYB_INT64;
    fits = to_integer(data, size, &value->integer);
    *why = "an integer has no fraction and fits 64 bits; the mask n is exact beyond";
    break;
  case PYB__GTM_FLOAT:
    value->type = PYB_FLOAT64;
    fits = to_float(data, size, &value->real);
    *why = "a float is a number";
    break;
  case PYB__GTM_DECIMAL:
    value->type = PYB_DECIMAL;
    value->data = data;
    value->size = size;
    fits = is_number(data, size);
    *why = "a decimal is a number";
    break;
  default:
    load_inferred(data, size, value);
    break;
  }
  if (fits)
    return PYB_OK;
  *value = PYB_EMPTY;
  return PYB_UNSUPPORTED;
}

/* ---- Dump ------------------------------------------------------------------------ */

/* The digits of a number; how many there are. By hand, as every cell of a frame that is
 * written comes by here. */
static int dump_unsigned(uint64_t number, char *text) {
  char reversed[24];
  int n = 0;

  do
    reversed[n++] = (char)('0' + (int)(number % 10));
  while ((number /= 10) != 0);
  for (int i = 0; i < n; i++)
    text[i] = reversed[n - 1 - i];
  return n;
}

static size_t dump_integer(int64_t integer, char *text) {
  if (integer >= 0)
    return (size_t)dump_unsigned((uint64_t)integer, text);
  text[0] = '-';
  return 1 + (size_t)dump_unsigned(0 - (uint64_t)integer, text + 1);
}

/* Write digits[0..n) * 10**(exponent + 1 - n) without an exponent, as M does. */
static size_t dump_digits(bool negative, const char *digits, int n, int exponent,
                          char buffer[PYB__GTM_NUMBER]) {
  size_t size = 0;

  while (n > 1 && digits[n - 1] == '0')
    n--;
  if (negative)
    buffer[size++] = '-';
  if (exponent < 0) {
    buffer[size++] = '.';
    for (int i = exponent + 1; i < 0; i++)
      buffer[size++] = '0';
  }
  for (int i = 0; i < n || i <= exponent; i++) {
    if (i == exponent + 1 && exponent >= 0)
      buffer[size++] = '.';
    buffer[size++] = i < n ? digits[i] : '0';
  }
  return size;
}

/* Is it a number of few decimals? Then they are the shortest text that reads as the
 * same number again, and come without trying. */
static size_t dump_short(double real, char buffer[PYB__GTM_NUMBER]) {
  static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
  double size = fabs(real);

  for (int decimals = 0; decimals <= 6; decimals++) {
    double scaled = size * powers[decimals];
    int64_t whole;
    char digits[24];
    int n;

    if (scaled >= 1e15)
      return 0;
    whole = (int64_t)(scaled + 0.5);
    if ((double)whole / powers[decimals] != size)
      continue;
    n = dump_unsigned((uint64_t)whole, digits);
    return dump_digits(real < 0, digits, n, n - 1 - decimals, buffer);
  }
  return 0;
}

/* The shortest text that reads as the same number again, in M's form. M has numbers
 * from 1E-43 to 1E47; others stay as Python writes them. */
static size_t dump_float(double real, char buffer[PYB__GTM_NUMBER]) {
  char text[40], digits[24];
  int exponent, precision, n = 0;
  size_t size;

  if (isnan(real) || isinf(real))
    return (size_t)snprintf(buffer, PYB__GTM_NUMBER, "%s",
                            isnan(real) ? "nan"
                            : real < 0  ? "-inf"
                                        : "inf");
  if (real == 0)
    return (size_t)snprintf(buffer, PYB__GTM_NUMBER, "0");
  size = dump_short(real, buffer);
  if (size != 0)
    return size;
  /* 15 digits always come back as they were, so fewer need no trying; but below the
   * normal numbers there are fewer. */
  precision = fabs(real) < DBL_MIN ? 0 : 14;
  do
    snprintf(text, sizeof text, "%.*e", precision, real);
  while (strtod(text, NULL) != real && ++precision <= 16);
  exponent = atoi(strchr(text, 'e') + 1);
  for (const char *at = text; *at != 'e'; at++)
    if (is_digit(*at))
      digits[n++] = *at;
  if (exponent < -43 || exponent > 46) {
    while (n > 1 && digits[n - 1] == '0')
      n--;
    return (size_t)snprintf(buffer, PYB__GTM_NUMBER, "%s%c%s%.*se%+03d",
                            real < 0 ? "-" : "", digits[0], n > 1 ? "." : "", n - 1,
                            digits + 1, exponent);
  }
  return dump_digits(real < 0, digits, n, exponent, buffer);
}

/* $HOROLOG's days,seconds; the seconds of a day have 11 digits, which a double holds.
 */
static size_t dump_moment(int64_t moment, char buffer[PYB__GTM_NUMBER]) {
  char seconds[PYB__GTM_NUMBER];
  int64_t days = moment / DAY_US, rest = moment % DAY_US;

  if (rest < 0) {
    rest += DAY_US;
    days--;
  }
  seconds[dump_float((double)rest / 1e6, seconds)] = '\0';
  return (size_t)snprintf(buffer, PYB__GTM_NUMBER, "%lld,%.20s",
                          (long long)days + PYB__GTM_EPOCH, seconds);
}

/* The same number without the zeros that M leaves out; with an exponent it stays. */
static const char *dump_decimal(const pyb_value *value, char buffer[PYB__GTM_NUMBER],
                                size_t *size) {
  const char *data = value->data, *end = data + value->size;
  size_t n = 0;

  *size = value->size;
  if (value->size >= PYB__GTM_NUMBER || !is_number(data, value->size) ||
      memchr(data, 'E', value->size) != NULL || memchr(data, 'e', value->size) != NULL)
    return value->size == 0 ? "" : data;
  if (*data == '-')
    buffer[n++] = *data;
  data += *data == '-' || *data == '+';
  while (data < end && *data == '0')
    data++;
  if (memchr(data, '.', (size_t)(end - data)) != NULL) {
    while (end[-1] == '0')
      end--;
    end -= end[-1] == '.';
  }
  if (data == end) {
    buffer[0] = '0';
    *size = 1;
    return buffer;
  }
  memcpy(buffer + n, data, (size_t)(end - data));
  *size = n + (size_t)(end - data);
  return buffer;
}

const char *pyb__gtm_dump(const pyb_value *value, char buffer[PYB__GTM_NUMBER],
                          size_t *size) {
  switch (value->type) {
  case PYB_TEXT:
  case PYB_BLOB:
  case PYB_JSON:
    *size = value->size;
    return value->size == 0 ? "" : value->data;
  case PYB_DECIMAL:
    return dump_decimal(value, buffer, size);
  case PYB_FLOAT64:
    *size = dump_float(value->real, buffer);
    break;
  case PYB_BOOL:
  case PYB_INT64:
  case PYB_HANDLE:
    *size = dump_integer(value->integer, buffer);
    break;
  case PYB_DATE:
    *size = dump_integer(value->integer + PYB__GTM_EPOCH, buffer);
    break;
  case PYB_TIME:
    *size = dump_float((double)value->integer / 1e6, buffer);
    break;
  case PYB_TIMESTAMP:
    *size = dump_moment(value->integer, buffer);
    break;
  case PYB_NULL:
    *size = 0;
    break;
  }
  return buffer;
}

size_t pyb__gtm_cut(const char *data, size_t size, size_t most) {
  size_t end = most;

  if (size <= most)
    return size;
  while (end > 0 && most - end < 4 && ((unsigned char)data[end] & 0xC0) == 0x80)
    end--;
  return end == 0 || most - end == 4 ? most : end;
}
