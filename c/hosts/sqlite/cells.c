/* cells.c: Arrow's types and cells as SQL's, and the checks of what comes in. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells.h"

/* ---- Schema --------------------------------------------------------------------- */

/* Formats that are one fixed text. */
static const struct {
  const char *format;
  pyb__layout layout;
  const char *sql_type;
} plain[] = {
    {"n", PYB__CELL_NONE, ""},           {"b", PYB__CELL_BOOL, "BOOLEAN"},
    {"c", PYB__CELL_INT8, "INTEGER"},    {"C", PYB__CELL_UINT8, "INTEGER"},
    {"s", PYB__CELL_INT16, "INTEGER"},   {"S", PYB__CELL_UINT16, "INTEGER"},
    {"i", PYB__CELL_INT32, "INTEGER"},   {"I", PYB__CELL_UINT32, "INTEGER"},
    {"l", PYB__CELL_INT64, "INTEGER"},   {"L", PYB__CELL_UINT64, "INTEGER"},
    {"e", PYB__CELL_FLOAT16, "REAL"},    {"f", PYB__CELL_FLOAT32, "REAL"},
    {"g", PYB__CELL_FLOAT64, "REAL"},    {"u", PYB__CELL_TEXT32, "TEXT"},
    {"U", PYB__CELL_TEXT64, "TEXT"},     {"vu", PYB__CELL_TEXT_VIEW, "TEXT"},
    {"z", PYB__CELL_BLOB32, "BLOB"},     {"Z", PYB__CELL_BLOB64, "BLOB"},
    {"vz", PYB__CELL_BLOB_VIEW, "BLOB"}, {"tdD", PYB__CELL_DATE32, "DATE"},
    {"tdm", PYB__CELL_DATE64, "DATE"},   {"tts", PYB__CELL_TIME32, "TIME"},
    {"ttm", PYB__CELL_TIME32, "TIME"},   {"ttu", PYB__CELL_TIME64, "TIME"},
    {"ttn", PYB__CELL_TIME64, "TIME"},
};

/* Types that are refused: how they are called, and what to do about it. */
static const struct {
  const char *prefix, *name, *cure;
} refused[] = {
    {"tD", "duration", "make it a number, for example with .dt.total_seconds()"},
    {"ti", "interval", "make it a number or text"},
    {"+l", "list", "make it text, for example with json.dumps"},
    {"+L", "list", "make it text, for example with json.dumps"},
    {"+v", "list", "make it text, for example with json.dumps"},
    {"+w", "list", "make it text, for example with json.dumps"},
    {"+s", "struct", "make it a column of its own for each part, or text"},
    {"+m", "map", "make it text, for example with json.dumps"},
    {"+u", "union", "make it a column of one type"},
    {"+r", "run-end encoded", "decode it first"},
};

static int64_t units(char letter) {
  switch (letter) {
  case 's':
    return 1;
  case 'm':
    return 1000;
  case 'u':
    return 1000000;
  case 'n':
    return 1000000000;
  }
  return 0;
}

static pyb_status read_decimal(const char *format, pyb__field *field) {
  int precision, scale, bits = 128, used = 0, more = 0;

  if (sscanf(format, "d:%d,%d%n,%d%n", &precision, &scale, &used, &bits, &more) < 2 ||
      format[more != 0 ? more : used] != '\0' || precision < 1 || precision > 76 ||
      scale < -76 || scale > 76 ||
      (bits != 32 && bits != 64 && bits != 128 && bits != 256))
    return PYB_UNSUPPORTED;
  field->layout = PYB__CELL_DECIMAL;
  field->width = bits / 8;
  field->scale = scale;
  /* TEXT in the name keeps SQLite from making a rounded float of it. */
  snprintf(field->sql_type, sizeof field->sql_type, "DECIMAL TEXT(%d,%d)", precision,
           scale);
  return PYB_OK;
}

/* The layout of a format, or PYB_UNSUPPORTED. */
static pyb_status read_format(const char *format, pyb__field *field) {
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    if (strcmp(plain[i].format, format) != 0)
      continue;
    field->layout = plain[i].layout;
    field->unit = format[0] == 't' && format[1] == 't' ? units(format[2]) : 0;
    snprintf(field->sql_type, sizeof field->sql_type, "%s", plain[i].sql_type);
    return PYB_OK;
  }
  if (strncmp(format, "ts", 2) == 0 && units(format[2]) != 0 && format[3] == ':') {
    field->layout = PYB__CELL_TIMESTAMP;
    field->unit = units(format[2]);
    field->zoned = format[4] != '\0';
    snprintf(field->sql_type, sizeof field->sql_type, "TIMESTAMP");
    return PYB_OK;
  }
  if (strncmp(format, "w:", 2) == 0) {
    char *end;
    long width = strtol(format + 2, &end, 10);
    field->layout = PYB__CELL_BLOB_FIXED;
    field->width = (int32_t)width;
    snprintf(field->sql_type, sizeof field->sql_type, "BLOB");
    return *end == '\0' && width >= 0 && width <= INT_MAX ? PYB_OK : PYB_UNSUPPORTED;
  }
  if (strncmp(format, "d:", 2) == 0)
    return read_decimal(format, field);
  return PYB_UNSUPPORTED;
}

static pyb_status refuse_format(const char *name, const char *format,
                                pyb_error *error) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (strncmp(format, refused[i].prefix, strlen(refused[i].prefix)) == 0)
      return pyb__sqlite_refuse(error, PYB_UNSUPPORTED,
                                "column \"%s\": SQL has no type for Arrow's %s; %s",
                                name, refused[i].name, refused[i].cure);
  return pyb__sqlite_refuse(
      error, PYB_UNSUPPORTED,
      "column \"%s\": SQL has no type for Arrow's \"%s\"; make it "
      "text or a number",
      name, format);
}

static int is_index(pyb__layout layout) {
  return layout == PYB__CELL_INT64 ||
         (layout >= PYB__CELL_INT8 && layout <= PYB__CELL_UINT64);
}

static pyb_status read_field(const struct ArrowSchema *schema, pyb__field *field,
                             pyb_error *error) {
  const struct ArrowSchema *values = schema == NULL ? NULL : schema->dictionary;
  const char *name = schema == NULL || schema->name == NULL ? "" : schema->name;

  if (schema == NULL || schema->format == NULL ||
      (values != NULL && values->format == NULL))
    return pyb__sqlite_refuse(error, PYB_INTERNAL, "column \"%s\": malformed schema",
                              name);
  field->name = sqlite3_mprintf("%s", name);
  if (field->name == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (read_format(schema->format, field) != PYB_OK)
    return refuse_format(name, schema->format, error);
  if (values == NULL)
    return PYB_OK;
  if (!is_index(field->layout))
    return pyb__sqlite_refuse(error, PYB_INTERNAL,
                              "column \"%s\": malformed dictionary", name);
  field->index = field->layout;
  if (values->dictionary != NULL || read_format(values->format, field) != PYB_OK)
    return refuse_format(name, values->format, error);
  return PYB_OK;
}

void pyb__fields_release(pyb__field *fields, size_t n) {
  for (size_t i = 0; fields != NULL && i < n; i++)
    sqlite3_free(fields[i].name);
  sqlite3_free(fields);
}

pyb_status pyb__fields_read(const struct ArrowSchema *schema, pyb__field **fields,
                            size_t *n, pyb_error *error) {
  int64_t columns = schema->n_children;
  pyb__field *read;

  *fields = NULL;
  *n = 0;
  if (schema->format == NULL || strcmp(schema->format, "+s") != 0 || columns < 0 ||
      columns > INT_MAX / 2 || (columns > 0 && schema->children == NULL))
    return pyb__sqlite_refuse(error, PYB_INTERNAL, "malformed schema of a stream");
  read = sqlite3_malloc64(((size_t)columns + 1) * sizeof *read);
  if (read == NULL)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  memset(read, 0, ((size_t)columns + 1) * sizeof *read);
  for (int64_t i = 0; i < columns; i++) {
    pyb_status status = read_field(schema->children[i], &read[i], error);
    if (status != PYB_OK) {
      pyb__fields_release(read, (size_t)columns);
      return status;
    }
  }
  *fields = read;
  *n = (size_t)columns;
  return PYB_OK;
}

/* ---- Batches -------------------------------------------------------------------- */

/* How many buffers an array of this layout has; views have that many at least. */
static int64_t buffers_of(pyb__layout layout) {
  switch (layout) {
  case PYB__CELL_NONE:
    return 0;
  case PYB__CELL_TEXT64:
  case PYB__CELL_TEXT32:
  case PYB__CELL_BLOB64:
  case PYB__CELL_BLOB32:
  case PYB__CELL_TEXT_VIEW:
  case PYB__CELL_BLOB_VIEW:
    return 3;
  default:
    return 2;
  }
}

/* Find the bytes that 32- or 64-bit offsets point into. */
static int lay_bytes(pyb__cells *cells, const struct ArrowArray *array, int64_t end) {
  int wide = cells->layout == PYB__CELL_TEXT64 || cells->layout == PYB__CELL_BLOB64;

  cells->bytes = array->buffers[2];
  if (cells->values == NULL)
    return cells->length == 0;
  if (wide) {
    cells->first = PYB__NUMBER(int64_t, cells->values, cells->offset);
    cells->last = PYB__NUMBER(int64_t, cells->values, end);
  } else {
    cells->first = PYB__NUMBER(int32_t, cells->values, cells->offset);
    cells->last = PYB__NUMBER(int32_t, cells->values, end);
  }
  if (cells->bytes == NULL) {
    cells->bytes = "";
    return cells->first == cells->last;
  }
  return cells->first >= 0 && cells->first <= cells->last;
}

/* Find the blocks that views point into: all buffers between the views and the last,
 * which holds the blocks' sizes. */
static int lay_views(pyb__cells *cells, const struct ArrowArray *array) {
  cells->n_blocks = array->n_buffers - 3;
  cells->blocks = (const void *const *)array->buffers + 2;
  cells->block_sizes = array->buffers[array->n_buffers - 1];
  return cells->n_blocks == 0 || cells->block_sizes != NULL;
}

/* Lay out one array: length cells from `offset` on. 1 = sound. */
static int lay(pyb__cells *cells, const pyb__field *field, pyb__layout layout,
               const struct ArrowArray *array, int64_t offset, int64_t length) {
  int64_t end;

  memset(cells, 0, sizeof *cells);
  cells->layout = layout;
  cells->field = field;
  cells->length = length;
  if (array == NULL || array->release == NULL || array->offset < 0 || offset < 0 ||
      length < 0 || array->length < 0 || array->n_buffers < buffers_of(layout) ||
      (array->n_buffers > 0 && array->buffers == NULL) ||
      __builtin_add_overflow(offset, length, &end) || end > array->length ||
      __builtin_add_overflow(array->offset, offset, &cells->offset) ||
      __builtin_add_overflow(cells->offset, length, &end))
    return 0;
  if (layout == PYB__CELL_NONE)
    return 1;
  cells->validity = array->null_count == 0 ? NULL : array->buffers[0];
  cells->values = array->buffers[1];
  if (cells->values == NULL && length > 0 &&
      !(layout == PYB__CELL_BLOB_FIXED && field->width == 0))
    return 0;
  switch (layout) {
  case PYB__CELL_TEXT64:
  case PYB__CELL_TEXT32:
  case PYB__CELL_BLOB64:
  case PYB__CELL_BLOB32:
    return lay_bytes(cells, array, end);
  case PYB__CELL_TEXT_VIEW:
  case PYB__CELL_BLOB_VIEW:
    return lay_views(cells, array);
  default:
    return 1;
  }
}

/* Lay out column i of a batch, with its dictionary. */
static int lay_column(pyb__batch *batch, size_t i, const pyb__field *field) {
  const struct ArrowArray *array = batch->array.children[i];
  pyb__cells *cells = &batch->cells[i], *values = &batch->cells[batch->n + i];
  pyb__layout layout = field->index != PYB__CELL_NONE ? field->index : field->layout;

  if (!lay(cells, field, layout, array, batch->array.offset, batch->rows))
    return 0;
  cells->row = batch->row;
  if (field->index == PYB__CELL_NONE)
    return 1;
  if (array->dictionary == NULL || !lay(values, field, field->layout, array->dictionary,
                                        0, array->dictionary->length))
    return 0;
  values->row = batch->row;
  cells->index = field->index;
  cells->layout = field->layout;
  cells->dictionary = values;
  return 1;
}

void pyb__batch_release(pyb__batch *batch) {
  if (batch == NULL)
    return;
  if (batch->array.release != NULL)
    batch->array.release(&batch->array);
  sqlite3_free(batch);
}

/* Take `array` (moved) for a batch of the reader. */
static pyb_status lay_batch(pyb__reader *reader, struct ArrowArray *array,
                            pyb__batch **laid, pyb_error *error) {
  size_t size = sizeof(pyb__batch) + 2 * reader->n * sizeof(pyb__cells);
  pyb__batch *batch = sqlite3_malloc64(size);

  if (batch == NULL) {
    array->release(array);
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  }
  memset(batch, 0, sizeof *batch);
  batch->array = *array;
  batch->rows = array->length;
  batch->row = reader->rows;
  batch->n = reader->n;
  if (array->length < 0 || array->n_children != (int64_t)reader->n ||
      (reader->n > 0 && array->children == NULL) ||
      (array->n_buffers > 0 && array->buffers == NULL) ||
      (array->null_count != 0 && array->n_buffers > 0 && array->buffers[0] != NULL)) {
    pyb__batch_release(batch);
    return pyb__sqlite_refuse(error, PYB_INTERNAL, "malformed batch after row %lld",
                              (long long)reader->rows);
  }
  for (size_t i = 0; i < reader->n; i++)
    if (!lay_column(batch, i, &reader->fields[i])) {
      pyb__batch_release(batch);
      return pyb__sqlite_refuse(error, PYB_INTERNAL,
                                "column \"%s\": malformed cells after row %lld",
                                reader->fields[i].name, (long long)reader->rows);
    }
  reader->rows += batch->rows;
  *laid = batch;
  return PYB_OK;
}

/* ---- Streams -------------------------------------------------------------------- */

static pyb_status stream_failed(struct ArrowArrayStream *stream, int code,
                                pyb_error *error) {
  const char *message = stream->get_last_error(stream);

  if (code == ENOMEM)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
  if (message == NULL || message[0] == '\0')
    message = "the stream failed and does not say why";
  return pyb__sqlite_refuse(error, PYB_PYTHON, "%s", message);
}

pyb_status pyb__reader_open(pyb__reader *reader, struct ArrowArrayStream *rows,
                            pyb_error *error) {
  struct ArrowSchema schema = {0};
  pyb_status status;
  int code;

  memset(reader, 0, sizeof *reader);
  reader->stream = *rows;
  rows->release = NULL;
  if (reader->stream.release == NULL)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "the stream has been released");
  code = reader->stream.get_schema(&reader->stream, &schema);
  if (code != 0)
    return stream_failed(&reader->stream, code, error);
  status = pyb__fields_read(&schema, &reader->fields, &reader->n, error);
  schema.release(&schema);
  return status;
}

pyb_status pyb__reader_next(pyb__reader *reader, pyb__batch **batch, pyb_error *error) {
  struct ArrowArray array = {0};
  int code = reader->stream.get_next(&reader->stream, &array);

  *batch = NULL;
  if (code != 0)
    return stream_failed(&reader->stream, code, error);
  if (array.release == NULL)
    return PYB_OK;
  return lay_batch(reader, &array, batch, error);
}

void pyb__reader_close(pyb__reader *reader) {
  if (reader->stream.release != NULL)
    reader->stream.release(&reader->stream);
  pyb__fields_release(reader->fields, reader->n);
  memset(reader, 0, sizeof *reader);
}

/* ---- Cells ---------------------------------------------------------------------- */

/* In what follows `at` is a place in the buffers, and `number` the row of the stream,
 * 1 = the first, for errors: through a dictionary the two have nothing in common. */

/* Make an error of a cell; `what` follows the place. */
static void refuse_cell(sqlite3_context *context, const pyb__cells *cells,
                        int64_t number, const char *what) {
  char *text =
      sqlite3_mprintf("column \"%w\", row %lld: %s", cells->field->name, number, what);

  if (text == NULL)
    sqlite3_result_error_nomem(context);
  else
    sqlite3_result_error(context, text, -1);
  sqlite3_free(text);
}

static double half(uint16_t bits) {
  int exponent = bits >> 10 & 0x1F;
  double fraction = (double)(bits & 0x3FF) / 1024;
  double size;

  if (exponent == 31)
    size = fraction == 0 ? __builtin_inf() : __builtin_nan("");
  else if (exponent == 0)
    size = fraction / 16384;
  else if (exponent >= 15)
    size = (1 + fraction) * (double)(1 << (exponent - 15));
  else
    size = (1 + fraction) / (double)(1 << (15 - exponent));
  return bits >> 15 ? -size : size;
}

/* Dump bytes start to end as text or blob. */
static void dump_bytes(sqlite3_context *context, const pyb__cells *cells,
                       int64_t number, int64_t start, int64_t end,
                       sqlite3_destructor_type keep) {
  uint64_t size = (uint64_t)(end - start);

  if (start < cells->first || start > end || end > cells->last)
    refuse_cell(context, cells, number, "malformed offsets");
  else if (cells->layout == PYB__CELL_BLOB32 || cells->layout == PYB__CELL_BLOB64)
    sqlite3_result_blob64(context, cells->bytes + start, size, keep);
  else
    sqlite3_result_text64(context, cells->bytes + start, size, keep, SQLITE_UTF8);
}

/* A view is 16 bytes: size, then up to 12 bytes of the data itself, or its first 4
 * bytes, the number of a block and an offset into it. */
static void dump_view(sqlite3_context *context, const pyb__cells *cells, int64_t at,
                      int64_t number, sqlite3_destructor_type keep) {
  const char *view = (const char *)cells->values + at * 16;
  int32_t size = PYB__NUMBER(int32_t, view, 0);
  int32_t block = PYB__NUMBER(int32_t, view, 2);
  int32_t start = PYB__NUMBER(int32_t, view, 3);
  const char *bytes = view + 4;

  if (size < 0) {
    refuse_cell(context, cells, number, "malformed view");
    return;
  }
  if (size > 12) {
    if (block < 0 || block >= cells->n_blocks || start < 0 ||
        (int64_t)start + size > PYB__NUMBER(int64_t, cells->block_sizes, block) ||
        cells->blocks[block] == NULL) {
      refuse_cell(context, cells, number, "malformed view");
      return;
    }
    bytes = (const char *)cells->blocks[block] + start;
  }
  if (cells->layout == PYB__CELL_BLOB_VIEW)
    sqlite3_result_blob64(context, bytes, (uint64_t)size, keep);
  else
    sqlite3_result_text64(context, bytes, (uint64_t)size, keep, SQLITE_UTF8);
}

/* Divide a number of n 32-bit limbs, the lowest first, by 10^9; returns the rest. */
static uint32_t divide(uint32_t *limbs, int n) {
  uint64_t rest = 0;

  for (int i = n - 1; i >= 0; i--) {
    rest = rest << 32 | limbs[i];
    limbs[i] = (uint32_t)(rest / 1000000000);
    rest %= 1000000000;
  }
  return (uint32_t)rest;
}

/* The digits of a little-endian two's complement number of `width` bytes. Returns how
 * many; *negative its sign. */
static int digits_of(const char *number, int width, char digits[96], int *negative) {
  uint32_t limbs[8];
  char reversed[96];
  int n = width / 4, size = 0;
  uint64_t carry = 1;

  memcpy(limbs, number, (size_t)width);
  *negative = (int)(limbs[n - 1] >> 31);
  for (int i = 0; *negative && i < n; i++) {
    carry += (uint32_t)~limbs[i];
    limbs[i] = (uint32_t)carry;
    carry >>= 32;
  }
  while (n > 0) {
    uint32_t rest = divide(limbs, n);
    for (int i = 0; i < 9; i++, rest /= 10)
      reversed[size++] = (char)('0' + rest % 10);
    while (n > 0 && limbs[n - 1] == 0)
      n--;
  }
  while (size > 0 && reversed[size - 1] == '0')
    size--;
  for (int i = 0; i < size; i++)
    digits[i] = reversed[size - 1 - i];
  return size;
}

static void dump_decimal(sqlite3_context *context, const pyb__cells *cells,
                         int64_t at) {
  int width = cells->field->width, scale = cells->field->scale;
  const char *number = (const char *)cells->values + at * width;
  char digits[96], text[200];
  int negative, size = 0, n = digits_of(number, width, digits, &negative);
  int whole = n - scale; /* digits before the point */

  if (negative)
    text[size++] = '-';
  if (n == 0 || whole <= 0)
    text[size++] = '0';
  for (int i = 0; n > 0 && i < whole; i++)
    text[size++] = i < n ? digits[i] : '0';
  if (scale > 0)
    text[size++] = '.';
  for (int i = whole; scale > 0 && i < whole + scale; i++)
    text[size++] = i < 0 || i >= n ? '0' : digits[i];
  sqlite3_result_text(context, text, size, SQLITE_TRANSIENT);
}

/* Whole seconds of a day and what is left of a second, as ISO text after a date. */
static void dump_moment(sqlite3_context *context, pyb_type type, int64_t days,
                        int64_t rest, int64_t unit, int zoned) {
  char text[PYB__SQLITE_ISO + 16];
  pyb_value day = {.type = PYB_DATE, .integer = days};
  int64_t seconds = rest / unit, nanoseconds = rest % unit * (1000000000 / unit);
  pyb_value time = {.type = PYB_TIME,
                    .integer = seconds * 1000000 + nanoseconds / 1000};
  size_t size = 0;

  if (type != PYB_TIME)
    size = pyb__sqlite_iso(&day, text);
  if (type == PYB_TIMESTAMP)
    text[size++] = ' ';
  if (type != PYB_DATE) {
    char clock[PYB__SQLITE_ISO];
    size_t n = pyb__sqlite_iso(&time, clock);
    memcpy(text + size, clock, n);
    size += n;
    if (nanoseconds % 1000 != 0) {
      if (nanoseconds < 1000) /* the microseconds were nothing, and not written */
        size += (size_t)snprintf(text + size, 8, ".000000");
      size += (size_t)snprintf(text + size, 4, "%03d", (int)(nanoseconds % 1000));
    }
  }
  if (zoned) {
    memcpy(text + size, "+00:00", 6);
    size += 6;
  }
  sqlite3_result_text(context, text, (int)size, SQLITE_TRANSIENT);
}

static void dump_time(sqlite3_context *context, const pyb__cells *cells, int64_t at,
                      int64_t number) {
  int64_t unit = cells->field->unit, days, rest, day;
  int64_t time;

  switch (cells->layout) {
  case PYB__CELL_DATE32:
    dump_moment(context, PYB_DATE, PYB__NUMBER(int32_t, cells->values, at), 0, 1, 0);
    return;
  case PYB__CELL_DATE64:
    unit = 1000;
    /* fall through */
  case PYB__CELL_TIMESTAMP:
    time = PYB__NUMBER(int64_t, cells->values, at);
    day = 86400 * unit;
    days = time / day;
    rest = time % day;
    if (rest < 0) {
      days--;
      rest += day;
    }
    if (cells->layout == PYB__CELL_DATE64 && rest != 0)
      refuse_cell(context, cells, number, "a date that is not a whole day");
    else if (days < -100000000000 || days > 100000000000)
      refuse_cell(context, cells, number, "a moment too far from today for SQL");
    else
      dump_moment(context, cells->layout == PYB__CELL_DATE64 ? PYB_DATE : PYB_TIMESTAMP,
                  days, rest, unit, cells->field->zoned);
    return;
  default:
    time = cells->layout == PYB__CELL_TIME32 ? PYB__NUMBER(int32_t, cells->values, at)
                                             : PYB__NUMBER(int64_t, cells->values, at);
    if (time < 0 || time >= 86400 * unit)
      refuse_cell(context, cells, number, "a time of day outside 00:00 to 24:00");
    else
      dump_moment(context, PYB_TIME, 0, time, unit, 0);
  }
}

/* An index is a number of whatever width. */
static int64_t index_of(const pyb__cells *cells, int64_t at) {
  switch (cells->index) {
  case PYB__CELL_INT8:
    return PYB__NUMBER(int8_t, cells->values, at);
  case PYB__CELL_INT16:
    return PYB__NUMBER(int16_t, cells->values, at);
  case PYB__CELL_INT32:
    return PYB__NUMBER(int32_t, cells->values, at);
  case PYB__CELL_UINT8:
    return PYB__NUMBER(uint8_t, cells->values, at);
  case PYB__CELL_UINT16:
    return PYB__NUMBER(uint16_t, cells->values, at);
  case PYB__CELL_UINT32:
    return PYB__NUMBER(uint32_t, cells->values, at);
  default: /* one above INT64_MAX comes out negative, and is refused like one */
    return PYB__NUMBER(int64_t, cells->values, at);
  }
}

static void dump_integer(sqlite3_context *context, const pyb__cells *cells, int64_t at,
                         int64_t number) {
  uint64_t large;

  switch (cells->layout) {
  case PYB__CELL_BOOL:
    sqlite3_result_int(context,
                       ((const uint8_t *)cells->values)[at >> 3] >> (at & 7) & 1);
    break;
  case PYB__CELL_INT8:
    sqlite3_result_int(context, PYB__NUMBER(int8_t, cells->values, at));
    break;
  case PYB__CELL_INT16:
    sqlite3_result_int(context, PYB__NUMBER(int16_t, cells->values, at));
    break;
  case PYB__CELL_INT32:
    sqlite3_result_int(context, PYB__NUMBER(int32_t, cells->values, at));
    break;
  case PYB__CELL_UINT8:
    sqlite3_result_int(context, PYB__NUMBER(uint8_t, cells->values, at));
    break;
  case PYB__CELL_UINT16:
    sqlite3_result_int(context, PYB__NUMBER(uint16_t, cells->values, at));
    break;
  case PYB__CELL_UINT32:
    sqlite3_result_int64(context, PYB__NUMBER(uint32_t, cells->values, at));
    break;
  default:
    large = PYB__NUMBER(uint64_t, cells->values, at);
    if (large > INT64_MAX)
      refuse_cell(context, cells, number,
                  "an integer above 9223372036854775807; make the column text");
    else
      sqlite3_result_int64(context, (int64_t)large);
  }
}

static void dump(sqlite3_context *context, const pyb__cells *cells, int64_t at,
                 int64_t number, sqlite3_destructor_type keep) {
  if (cells->validity != NULL && !((cells->validity[at >> 3] >> (at & 7)) & 1))
    return;
  if (cells->index != PYB__CELL_NONE) {
    int64_t index = index_of(cells, at);
    if (index < 0 || index >= cells->dictionary->length)
      refuse_cell(context, cells, number, "malformed index into the dictionary");
    else
      dump(context, cells->dictionary, cells->dictionary->offset + index, number, keep);
    return;
  }
  switch (cells->layout) {
  case PYB__CELL_NONE:
    return;
  case PYB__CELL_INT64:
    sqlite3_result_int64(context, PYB__NUMBER(int64_t, cells->values, at));
    return;
  case PYB__CELL_FLOAT64:
    sqlite3_result_double(context, PYB__NUMBER(double, cells->values, at));
    return;
  case PYB__CELL_FLOAT32:
    sqlite3_result_double(context, (double)PYB__NUMBER(float, cells->values, at));
    return;
  case PYB__CELL_FLOAT16:
    sqlite3_result_double(context, half(PYB__NUMBER(uint16_t, cells->values, at)));
    return;
  case PYB__CELL_TEXT64:
  case PYB__CELL_BLOB64:
    dump_bytes(context, cells, number, PYB__NUMBER(int64_t, cells->values, at),
               PYB__NUMBER(int64_t, cells->values, at + 1), keep);
    return;
  case PYB__CELL_TEXT32:
  case PYB__CELL_BLOB32:
    dump_bytes(context, cells, number, PYB__NUMBER(int32_t, cells->values, at),
               PYB__NUMBER(int32_t, cells->values, at + 1), keep);
    return;
  case PYB__CELL_TEXT_VIEW:
  case PYB__CELL_BLOB_VIEW:
    dump_view(context, cells, at, number, keep);
    return;
  case PYB__CELL_BLOB_FIXED:
    sqlite3_result_blob(context,
                        cells->field->width == 0
                            ? ""
                            : (const char *)cells->values + at * cells->field->width,
                        cells->field->width, keep);
    return;
  case PYB__CELL_DECIMAL:
    dump_decimal(context, cells, at);
    return;
  case PYB__CELL_DATE32:
  case PYB__CELL_DATE64:
  case PYB__CELL_TIME32:
  case PYB__CELL_TIME64:
  case PYB__CELL_TIMESTAMP:
    dump_time(context, cells, at, number);
    return;
  default:
    dump_integer(context, cells, at, number);
  }
}

void pyb__cell_dump_any(sqlite3_context *context, const pyb__cells *cells, int64_t row,
                        sqlite3_destructor_type keep) {
  dump(context, cells, cells->offset + row, cells->row + row + 1, keep);
}
