/* value.c: every conversion between SQLite's values and errors and the bridge's. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sqlite.h"

/* The type of the pointer value that a handle travels as. */
#define OBJECT "pybridge object"

/* ---- Values --------------------------------------------------------------------- */

pyb_handle pyb__sqlite_object(sqlite3_value *value) {
  return (pyb_handle)(uintptr_t)sqlite3_value_pointer(value, OBJECT);
}

/* SQLite is done with an object, maybe in the middle of ending a statement: code that
 * runs when the object goes must not come back to this connection. */
static void release_object(void *pointer) {
  (void)!pyb_handle_release(NULL, (pyb_handle)(uintptr_t)pointer, NULL);
}

pyb_status pyb__sqlite_load(sqlite3_value *value, pyb_value *loaded) {
  loaded->release = NULL;
  loaded->size = 0;
  switch (sqlite3_value_type(value)) {
  case SQLITE_INTEGER:
    loaded->type = PYB_INT64;
    loaded->integer = sqlite3_value_int64(value);
    break;
  case SQLITE_FLOAT:
    loaded->type = PYB_FLOAT64;
    loaded->real = sqlite3_value_double(value);
    break;
  case SQLITE_TEXT:
    /* The text before its size: asking for it may change the encoding. */
    loaded->type = PYB_TEXT;
    loaded->data = (const char *)sqlite3_value_text(value);
    loaded->size = (size_t)sqlite3_value_bytes(value);
    if (loaded->data == NULL)
      goto no_memory;
    break;
  case SQLITE_BLOB:
    /* SQLite's pointer to an empty blob is NULL. */
    loaded->type = PYB_BLOB;
    loaded->data = sqlite3_value_blob(value);
    loaded->size = (size_t)sqlite3_value_bytes(value);
    if (loaded->data == NULL && loaded->size != 0)
      goto no_memory;
    if (loaded->data == NULL)
      loaded->data = "";
    break;
  default:
    loaded->integer = (int64_t)pyb__sqlite_object(value);
    loaded->type = loaded->integer == 0 ? PYB_NULL : PYB_HANDLE;
  }
  return PYB_OK;

no_memory:
  *loaded = PYB_EMPTY;
  return PYB_NO_MEMORY;
}

/* Proleptic Gregorian year, month, day of a count of days since 1970-01-01. Counted
 * in 400-year eras from 1 March of year 0, so that the leap day is an era's last. */
static void civil(int64_t days, int64_t *year, int *month, int *day) {
  int64_t era, of_era, year_of_era, of_year, shifted;

  days += 719468;
  era = (days >= 0 ? days : days - 146096) / 146097;
  of_era = days - era * 146097;
  year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  shifted = (5 * of_year + 2) / 153;
  *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = year_of_era + era * 400 + (*month <= 2);
}

/* Write `n` decimal digits of a number; by hand, since snprintf is most of the time
 * that a column of timestamps takes. */
static char *put(char *text, int number, int n) {
  for (int i = n - 1; i >= 0; i--, number /= 10)
    text[i] = (char)('0' + number % 10);
  return text + n;
}

static size_t iso_date(int64_t days, char *text, size_t room) {
  int64_t year;
  int month, day;
  char *to = text;

  civil(days, &year, &month, &day);
  if (year < 0 || year > 9999)
    return (size_t)snprintf(text, room, "%+05lld-%02d-%02d", (long long)year, month,
                            day);
  to = put(to, (int)year, 4);
  *to++ = '-';
  to = put(to, month, 2);
  *to++ = '-';
  return (size_t)(put(to, day, 2) - text);
}

static size_t iso_time(int64_t microseconds, char *text) {
  int fraction = (int)(microseconds % 1000000);
  int seconds = (int)(microseconds / 1000000);
  char *to = put(text, seconds / 3600, 2);

  *to++ = ':';
  to = put(to, seconds / 60 % 60, 2);
  *to++ = ':';
  to = put(to, seconds % 60, 2);
  if (fraction != 0) {
    *to++ = '.';
    to = put(to, fraction, 6);
  }
  return (size_t)(to - text);
}

size_t pyb__sqlite_iso(const pyb_value *value, char text[PYB__SQLITE_ISO]) {
  const int64_t day = 86400LL * 1000000;
  int64_t days, rest;
  size_t size;

  if (value->type == PYB_DATE)
    return iso_date(value->integer, text, PYB__SQLITE_ISO);
  if (value->type == PYB_TIME)
    return iso_time(value->integer, text);
  days = value->integer / day;
  rest = value->integer % day;
  if (rest < 0) {
    days--;
    rest += day;
  }
  size = iso_date(days, text, PYB__SQLITE_ISO);
  text[size++] = ' ';
  return size + iso_time(rest, text + size);
}

/* Dump text or a blob; `ended`: behind the text is a NUL. SQLite calls the destructor
 * itself, also when it refuses. */
static void dump_bytes(sqlite3_context *context, const char *name, pyb_value *value,
                       int ended) {
  void (*release)(void *) = value->release;
  sqlite3 *db = sqlite3_context_db_handle(context);
  int limit = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1);

  if (value->size > (size_t)limit) {
    pyb__sqlite_say(context, name, PYB_TOO_LARGE,
                    "the result has %zu bytes, the host takes %d at most", value->size,
                    limit);
    return;
  }
  value->release = NULL;
  if (release == NULL)
    release = SQLITE_TRANSIENT;
  if (value->type == PYB_BLOB)
    sqlite3_result_blob64(context, value->data, value->size, release);
  else if (ended && strlen(value->data) == value->size)
    /* The library puts a NUL behind what it owns or lends. SQLite is told that only by
     * -1, and would make a copy with one otherwise, for whoever asks for the text. */
    sqlite3_result_text(context, value->data, -1, release);
  else
    sqlite3_result_text64(context, value->data, value->size, release, SQLITE_UTF8);
}

void pyb__sqlite_dump(sqlite3_context *context, const char *name, pyb_value *value) {
  char text[PYB__SQLITE_ISO];

  switch (value->type) {
  case PYB_NULL:
    sqlite3_result_null(context);
    break;
  case PYB_BOOL:
  case PYB_INT64:
    sqlite3_result_int64(context, value->integer);
    break;
  case PYB_FLOAT64:
    sqlite3_result_double(context, value->real);
    break;
  case PYB_TEXT:
  case PYB_BLOB:
  case PYB_DECIMAL:
    dump_bytes(context, name, value, value->release != NULL);
    break;
  case PYB_JSON:
    dump_bytes(context, name, value, value->release != NULL);
    sqlite3_result_subtype(context, PYB__SQLITE_JSON);
    break;
  case PYB_DATE:
  case PYB_TIME:
  case PYB_TIMESTAMP:
    sqlite3_result_text(context, text, (int)pyb__sqlite_iso(value, text),
                        SQLITE_TRANSIENT);
    break;
  case PYB_HANDLE:
    value->release = NULL; /* SQLite releases it itself, on failure too */
    sqlite3_result_pointer(context, (void *)(uintptr_t)value->integer, OBJECT,
                           release_object);
    break;
  }
  if (value->release != NULL)
    pyb_value_release(value);
  *value = PYB_EMPTY;
}

void pyb__sqlite_dump_lent(sqlite3_context *context, const char *name,
                           pyb_value *value) {
  if (value->type != PYB_TEXT || value->release != NULL)
    pyb__sqlite_dump(context, name, value);
  else if (strlen(value->data) == value->size) /* see dump_bytes */
    sqlite3_result_text(context, value->data, -1, SQLITE_TRANSIENT);
  else
    sqlite3_result_text(context, value->data, (int)value->size, SQLITE_TRANSIENT);
}

int pyb__sqlite_bind(sqlite3_stmt *statement, int i, const pyb_value *value) {
  char text[PYB__SQLITE_ISO];

  switch (value->type) {
  case PYB_NULL:
  case PYB_HANDLE: /* refused before: a statement keeps no object */
    return sqlite3_bind_null(statement, i);
  case PYB_BOOL:
  case PYB_INT64:
    return sqlite3_bind_int64(statement, i, value->integer);
  case PYB_FLOAT64:
    return sqlite3_bind_double(statement, i, value->real);
  case PYB_TEXT:
  case PYB_DECIMAL:
  case PYB_JSON:
    return sqlite3_bind_text64(statement, i, value->size != 0 ? value->data : "",
                               value->size, SQLITE_STATIC, SQLITE_UTF8);
  case PYB_BLOB:
    /* A NULL pointer would bind NULL, not an empty blob. */
    return sqlite3_bind_blob64(statement, i, value->size != 0 ? value->data : "",
                               value->size, SQLITE_STATIC);
  case PYB_DATE:
  case PYB_TIME:
  case PYB_TIMESTAMP:
    return sqlite3_bind_text(statement, i, text, (int)pyb__sqlite_iso(value, text),
                             SQLITE_TRANSIENT);
  }
  return SQLITE_MISUSE;
}

/* ---- Errors --------------------------------------------------------------------- */

/* Room for the longest error with a function's name before it. */
#define WORDS 2048

static int words(const char *name, const pyb_error *error, char text[WORDS]) {
  const char *message =
      error->message[0] != '\0' ? error->message : pyb_status_text(error->status);
  int size =
      snprintf(text, WORDS, "%.255s: %s%s%s", name, error->type,
               error->type[0] != '\0' && message[0] != '\0' ? ": " : "", message);

  if (error->file[0] != '\0' && error->line > 0)
    size += snprintf(text + size, WORDS - (size_t)size, " (%s, line %d)", error->file,
                     (int)error->line);
  return size;
}

char *pyb__sqlite_words(const char *name, const pyb_error *error) {
  char text[WORDS];

  words(name, error, text);
  return sqlite3_mprintf("%s", text);
}

int pyb__sqlite_code(pyb_status status) {
  switch (status) {
  case PYB_OK:
    return SQLITE_OK;
  case PYB_INTERRUPTED:
    return SQLITE_INTERRUPT;
  case PYB_NO_MEMORY:
    return SQLITE_NOMEM;
  case PYB_TOO_LARGE:
    return SQLITE_TOOBIG;
  default:
    return SQLITE_ERROR;
  }
}

void pyb__sqlite_fail(sqlite3_context *context, const char *name,
                      const pyb_error *error) {
  char text[WORDS];
  int size = words(name, error, text);

  /* The text first: a code alone would bring its own. */
  sqlite3_result_error(context, text, size);
  if (pyb__sqlite_code(error->status) != SQLITE_ERROR)
    sqlite3_result_error_code(context, pyb__sqlite_code(error->status));
}

/* Fill an error with a text of our own, cut at a whole character. */
static void fill(pyb_error *error, pyb_status status, const char *format,
                 va_list args) {
  int size;

  memset(error, 0, sizeof *error);
  error->status = status;
  size = vsnprintf(error->message, sizeof error->message, format, args);
  if (size < (int)sizeof error->message)
    return;
  size = (int)sizeof error->message - 4;
  while (size > 0 && ((unsigned char)error->message[size] & 0xC0) == 0x80)
    size--;
  memcpy(error->message + size, "...", 4);
}

pyb_status pyb__sqlite_refuse(pyb_error *error, pyb_status status, const char *format,
                              ...) {
  va_list args;

  if (error == NULL)
    return status;
  va_start(args, format);
  fill(error, status, format, args);
  va_end(args);
  return status;
}

void pyb__sqlite_say(sqlite3_context *context, const char *name, pyb_status status,
                     const char *format, ...) {
  pyb_error error;
  va_list args;

  va_start(args, format);
  fill(&error, status, format, args);
  va_end(args);
  pyb__sqlite_fail(context, name, &error);
}

pyb_status pyb__sqlite_error(sqlite3 *db, int code, pyb_error *error) {
  int offset = pyb__sqlite_has(3038000) ? sqlite3_error_offset(db) : -1;
  const char *message = sqlite3_errmsg(db);
  pyb_status status = PYB_HOST;

  switch (code & 0xFF) {
  case SQLITE_INTERRUPT:
    status = PYB_INTERRUPTED;
    break;
  case SQLITE_NOMEM:
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  case SQLITE_TOOBIG:
    status = PYB_TOO_LARGE;
    break;
  }
  if (offset >= 0)
    return pyb__sqlite_refuse(error, status, "%s (at byte %d of the statement)",
                              message, offset);
  return pyb__sqlite_refuse(error, status, "%s", message);
}

/* ---- Arguments ------------------------------------------------------------------ */

/* How many bytes the character at `c` has, 0 where it is none of UTF-8: a byte alone, a
 * form that is too long, half of a pair, or beyond the last. */
static int width_at(const unsigned char *c) {
  int more = *c < 0x80   ? 0
             : *c < 0xC2 ? -1
             : *c < 0xE0 ? 1
             : *c < 0xF0 ? 2
             : *c < 0xF5 ? 3
                         : -1;

  for (int i = 1; i <= more; i++)
    if ((c[i] & 0xC0) != 0x80)
      return 0;
  if ((*c == 0xE0 && c[1] < 0xA0) || (*c == 0xED && c[1] > 0x9F) ||
      (*c == 0xF0 && c[1] < 0x90) || (*c == 0xF4 && c[1] > 0x8F))
    return 0;
  return more + 1;
}

/* Is the text UTF-8? Says so where not. */
static int is_utf8(sqlite3_context *context, const char *name, const char *what,
                   const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  int width;

  for (; *c != '\0'; c += width)
    if ((width = width_at(c)) == 0) {
      pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT,
                      "%s is not UTF-8 text: byte 0x%02x at %lld", what, *c,
                      (long long)((const char *)c - text));
      return 0;
    }
  return 1;
}

int pyb__sqlite_optional(sqlite3_context *context, const char *name, int n,
                         sqlite3_value **args, int i, const char *what,
                         const char **text) {
  *text = NULL;
  if (i >= n || sqlite3_value_type(args[i]) == SQLITE_NULL)
    return 1;
  *text = (const char *)sqlite3_value_text(args[i]);
  if (*text == NULL && sqlite3_value_bytes(args[i]) != 0) {
    pyb__sqlite_say(context, name, PYB_NO_MEMORY, "out of memory");
    return 0;
  }
  if (*text == NULL || (*text)[0] == '\0') {
    int hidden = sqlite3_value_bytes(args[i]) != 0;
    *text = NULL;
    if (!hidden)
      return 1;
  } else if (strlen(*text) == (size_t)sqlite3_value_bytes(args[i]))
    return is_utf8(context, name, what, *text);
  pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "%s holds a NUL character", what);
  return 0;
}

int pyb__sqlite_want(sqlite3_context *context, const char *name, int n,
                     sqlite3_value **args, int i, const char *what, const char **text) {
  if (!pyb__sqlite_optional(context, name, n, args, i, what, text))
    return 0;
  if (*text != NULL)
    return 1;
  pyb__sqlite_say(context, name, PYB_BAD_ARGUMENT, "%s is missing", what);
  return 0;
}

/* ---- Rows ----------------------------------------------------------------------- */

pyb_status pyb__sqlite_append(pyb_column *const *columns, sqlite3_value *const *values,
                              size_t n) {
  pyb_status status = PYB_OK;

  for (size_t i = 0; i < n && status == PYB_OK; i++) {
    sqlite3_value *value = values[i];
    const char *data;

    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      status = pyb_column_int64(columns[i], sqlite3_value_int64(value));
      break;
    case SQLITE_FLOAT:
      status = pyb_column_float64(columns[i], sqlite3_value_double(value));
      break;
    case SQLITE_TEXT:
      data = (const char *)sqlite3_value_text(value);
      status = data == NULL ? PYB_NO_MEMORY
                            : pyb_column_text(columns[i], data,
                                              (size_t)sqlite3_value_bytes(value));
      break;
    case SQLITE_BLOB:
      data = sqlite3_value_blob(value);
      status = pyb_column_blob(columns[i], data != NULL ? data : "",
                               (size_t)sqlite3_value_bytes(value));
      break;
    default:
      status = pyb_column_null(columns[i]);
    }
  }
  return status;
}
