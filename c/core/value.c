/* value.c: scalars: owning their bytes, and their text. */
#define _GNU_SOURCE
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void release_owned(void *data) {
  pyb__free(data);
  pyb__live_add(-1);
}

pyb_status pyb__value_copy(pyb_value *value, pyb_type type, const void *data,
                           size_t size, pyb_error *error) {
  char *copy = pyb__malloc(size + 1);

  *value = PYB_EMPTY;
  if (copy == NULL)
    return pyb__fail(error, PYB_NO_MEMORY, "no memory for a value of %zu bytes", size);
  if (size != 0)
    memcpy(copy, data, size);
  copy[size] = '\0'; /* for C programs, and hosts that want one */
  pyb__live_add(1);
  *value =
      (pyb_value){.type = type, .data = copy, .size = size, .release = release_owned};
  return PYB_OK;
}

void pyb_value_release(pyb_value *value) {
  if (value == NULL)
    return;
  if (value->release != NULL)
    value->release((void *)value->data);
  *value = PYB_EMPTY;
}

/* The host may have set a locale with a decimal comma: numbers are written in "C". */
static locale_t c_numbers;

static void make_c_numbers(void) {
  c_numbers = newlocale(LC_NUMERIC_MASK, "C", NULL);
}

static size_t float_text(double real, char text[PYB__TEXT_ROOM]) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  locale_t old;
  int size = 0;

  if (isnan(real))
    return (size_t)snprintf(text, PYB__TEXT_ROOM, "nan");
  if (isinf(real))
    return (size_t)snprintf(text, PYB__TEXT_ROOM, real > 0 ? "inf" : "-inf");
  pthread_once(&once, make_c_numbers);
  old = uselocale(c_numbers);
  for (int digits = 15; digits <= 17; digits++) {
    size = snprintf(text, PYB__TEXT_ROOM, "%.*g", digits, real);
    if (strtod(text, NULL) == real)
      break;
  }
  uselocale(old);
  if (strpbrk(text, ".e") == NULL) /* tell 5.0 from 5 */
    size += snprintf(text + size, 3, ".0");
  return (size_t)size;
}

/* Year, month and day of a day number, proleptic Gregorian, by arithmetic: eras of 400
 * years (146,097 days) that begin on 1 March. */
static size_t date_text(int64_t days, char text[PYB__TEXT_ROOM]) {
  /* The first day is 4 eras and 135,080 days after 1 March of the year 0. Added to the
   * remainder, not to `days`, as that may be close to its limit. */
  int64_t era = days / 146097 + 4;
  int64_t of_era = days % 146097 + 135080;
  int64_t year, of_year, part, day, month;

  if (of_era < 0 || of_era >= 146097) {
    int64_t one = of_era < 0 ? -1 : 1;
    era += one;
    of_era -= one * 146097;
  }
  year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  of_year = of_era - (365 * year + year / 4 - year / 100);
  part = (5 * of_year + 2) / 153;
  day = of_year - (153 * part + 2) / 5 + 1;
  month = part < 10 ? part + 3 : part - 9;
  year += era * 400 + (month <= 2);
  return (size_t)snprintf(text, PYB__TEXT_ROOM, "%04lld-%02lld-%02lld", (long long)year,
                          (long long)month, (long long)day);
}

static size_t time_text(int64_t micros, char text[PYB__TEXT_ROOM]) {
  int64_t seconds = micros / 1000000;
  int size = snprintf(text, PYB__TEXT_ROOM, "%02lld:%02lld:%02lld",
                      (long long)(seconds / 3600), (long long)(seconds / 60 % 60),
                      (long long)(seconds % 60));

  if (micros % 1000000 != 0)
    size += snprintf(text + size, 8, ".%06lld", (long long)(micros % 1000000));
  return (size_t)size;
}

size_t pyb__value_text(const pyb_value *value, char text[PYB__TEXT_ROOM]) {
  const int64_t day = INT64_C(86400000000);
  int64_t days, rest;
  size_t size;

  switch (value->type) {
  case PYB_BOOL:
  case PYB_INT64:
    return (size_t)snprintf(text, PYB__TEXT_ROOM, "%lld", (long long)value->integer);
  case PYB_FLOAT64:
    return float_text(value->real, text);
  case PYB_DATE:
    return date_text(value->integer, text);
  case PYB_TIME:
    return time_text(value->integer, text);
  case PYB_TIMESTAMP:
    rest = value->integer % day;
    days = value->integer / day - (rest < 0);
    size = date_text(days, text);
    text[size++] = ' ';
    return size + time_text(rest < 0 ? rest + day : rest, text + size);
  default:
    text[0] = '\0';
    return 0;
  }
}

pyb_status pyb__check_arguments(const pyb_value *args, size_t n,
                                const char *const *names, size_t n_names,
                                pyb_error *error) {
  if (n_names > n)
    return pyb__fail(error, PYB_BAD_ARGUMENT, "more names (%zu) than values (%zu) came",
                     n_names, n);
  if ((n > 0 && args == NULL) || (n_names > 0 && names == NULL))
    return pyb__missing(error, "the array of values or names");
  for (size_t i = 0; i < n_names; i++)
    if (names[i] == NULL)
      return pyb__missing(error, "the name of a keyword argument");
  return PYB_OK;
}
