/* pull.c: the rows of a frame as records for a global, which M pulls eight at a time.
 *
 * The stream has the types of pybridge.h only. A field is written as M writes it, NULL
 * and NaN as nothing; a timestamp as text, since $HOROLOG has no fractions. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

#define AT_ONCE 8
#define SCALE 38 /* most decimals of a decimal, and most zeros behind it */
#define DAY_US INT64_C(86400000000)

typedef struct column {
  char letter; /* of Arrow's format; 't' + what follows is made one letter below */
  int scale;   /* of a decimal */
  bool key;    /* a subscript, not a field */
  bool zoned;  /* a timestamp that is told in UTC */
  const struct ArrowArray *array;
} column;

enum { DATE = 'D', TIME = 'T', MOMENT = 'M', DECIMAL = 'd' };

static struct {
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct ArrowArray batch;
  int64_t at, count; /* the next row of the batch, and of all */
  column *columns;
  size_t *keys; /* the columns that are subscripts, in the order that was asked for */
  size_t n, n_keys;
  bool in_row; /* the current row has more cells, from `cell` on */
  size_t cell;
  bool busy; /* the next batch is being made, which may run Python */
  char delimiter[64];
  size_t delimiter_size;
  bool numeric; /* numbers, dates and times may have the delimiter in them */
  char *text;   /* of the records that were given out last */
  size_t size, capacity;
  pyb_status status;
  pyb_error error;
} pull;

/* ---- Begin and end --------------------------------------------------------------- */

static pyb_status no_memory(void) {
  return pull.status =
             pyb__gtm_refuse(&pull.error, PYB_NO_MEMORY, "no memory for a record");
}

static void drop(void) {
  if (pull.batch.release != NULL)
    pull.batch.release(&pull.batch);
  if (pull.schema.release != NULL)
    pull.schema.release(&pull.schema);
  if (pull.stream.release != NULL)
    pull.stream.release(&pull.stream);
  pyb__gtm_free(pull.columns);
  pyb__gtm_free(pull.keys);
  pyb__gtm_free(pull.text);
  memset(&pull, 0, sizeof pull);
}

pyb_status pyb__gtm_pull_end(pyb_error *error) {
  pyb_status status = pull.status;

  *error = pull.error;
  drop();
  return status;
}

static pyb_status stream_failed(int code) {
  const char *message = pull.stream.get_last_error(&pull.stream);

  return pull.status = pyb__gtm_refuse(&pull.error, PYB_PYTHON, "%s",
                                       message != NULL ? message : strerror(code));
}

static pyb_status read_format(const struct ArrowSchema *schema, column *c) {
  int precision, bits = 128, parts;

  c->letter = schema->format[0];
  parts = sscanf(schema->format, "d:%d,%d,%d", &precision, &c->scale, &bits);
  if (parts >= 2 && bits == 128 && c->scale >= -SCALE && c->scale <= SCALE)
    c->letter = DECIMAL;
  else if (strcmp(schema->format, "tdD") == 0)
    c->letter = DATE;
  else if (strcmp(schema->format, "ttu") == 0)
    c->letter = TIME;
  else if (strncmp(schema->format, "tsu:", 4) == 0) {
    c->letter = MOMENT;
    c->zoned = schema->format[4] != '\0';
  } else if (strlen(schema->format) != 1 || strchr("nblgUZ", c->letter) == NULL ||
             schema->dictionary != NULL)
    return pyb__gtm_refuse(&pull.error, PYB_UNSUPPORTED,
                           "column \"%s\": M has nothing for Arrow's type \"%s\"; make "
                           "it text or a number",
                           schema->name, schema->format);
  return PYB_OK;
}

/* Which columns are subscripts? They are given in the order of `keys`. */
static pyb_status find_keys(const char *keys) {
  size_t most = 1;

  for (const char *c = keys; c != NULL && *c != '\0'; c++)
    most += *c == ',';
  pull.keys = pyb__gtm_malloc(most * sizeof *pull.keys);
  if (pull.keys == NULL)
    return no_memory();
  while (keys != NULL) {
    const char *comma = strchr(keys, ',');
    size_t size = comma == NULL ? strlen(keys) : (size_t)(comma - keys);
    size_t i = 0;

    while (i < pull.n && (strlen(pull.schema.children[i]->name) != size ||
                          memcmp(pull.schema.children[i]->name, keys, size) != 0))
      i++;
    if (i == pull.n)
      return pyb__gtm_refuse(&pull.error, PYB_UNDEFINED,
                             "the frame has no column \"%.*s\" for a subscript",
                             (int)size, keys);
    if (pull.columns[i].key)
      return pyb__gtm_refuse(&pull.error, PYB_BAD_ARGUMENT,
                             "the column \"%.*s\" is named twice for a subscript",
                             (int)size, keys);
    pull.columns[i].key = true;
    pull.keys[pull.n_keys++] = i;
    keys = comma == NULL ? NULL : comma + 1;
  }
  return PYB_OK;
}

pyb_status pyb__gtm_pull_begin(const char *variable, const char *keys,
                               const char *delimiter, pyb_error *error) {
  pyb_status status;
  int code;

  if (pull.busy)
    return pyb__gtm_refuse(error, PYB_HOST,
                           "the frame that is being written makes its rows in Python "
                           "code, which cannot write another one");
  drop();
  if (delimiter == NULL || strlen(delimiter) >= sizeof pull.delimiter)
    return pyb__gtm_refuse(error, PYB_BAD_ARGUMENT, "the delimiter has 1 to %zu bytes",
                           sizeof pull.delimiter - 1);
  strcpy(pull.delimiter, delimiter);
  pull.delimiter_size = strlen(delimiter);
  pull.numeric = strspn(delimiter, "0123456789.,:+-E ") == pull.delimiter_size;
  status =
      pyb_get_stream(&pyb__gtm_host.session, variable, NULL, 0, &pull.stream, error);
  if (status != PYB_OK)
    return status;
  code = pull.stream.get_schema(&pull.stream, &pull.schema);
  status = code != 0 ? stream_failed(code) : PYB_OK;
  if (status == PYB_OK) {
    pull.n = (size_t)pull.schema.n_children;
    pull.columns = pyb__gtm_malloc((pull.n + 1) * sizeof *pull.columns);
    status = pull.columns == NULL ? no_memory() : PYB_OK;
  }
  if (status == PYB_OK)
    memset(pull.columns, 0, (pull.n + 1) * sizeof *pull.columns);
  for (size_t i = 0; i < pull.n && status == PYB_OK; i++)
    status = read_format(pull.schema.children[i], &pull.columns[i]);
  if (status == PYB_OK)
    status = find_keys(keys);
  if (status != PYB_OK) {
    *error = pull.error;
    drop();
  }
  return status;
}

/* ---- Cells ----------------------------------------------------------------------- */

static pyb_status add(const char *data, size_t size) {
  if (size == 0)
    return PYB_OK;
  if (size > pull.capacity - pull.size) {
    size_t capacity = 2 * (pull.size + size) + 4096;
    char *grown = pyb__gtm_resize(pull.text, capacity);

    if (grown == NULL)
      return no_memory();
    pull.text = grown;
    pull.capacity = capacity;
  }
  memcpy(pull.text + pull.size, data, size);
  pull.size += size;
  return PYB_OK;
}

static pyb_status cell_failed(const column *c, const char *why) {
  size_t i = (size_t)(c - pull.columns);

  return pull.status = pyb__gtm_refuse(
             &pull.error, PYB_UNSUPPORTED, "row %lld, column \"%s\": %s",
             (long long)pull.count, pull.schema.children[i]->name, why);
}

static bool is_null(const column *c, int64_t i) {
  const uint8_t *validity;

  if (c->letter == 'n') /* which has no buffers at all */
    return true;
  validity = c->array->buffers[0];
  return validity != NULL && (validity[i >> 3] >> (i & 7) & 1) == 0;
}

/* YYYY-MM-DD hh:mm:ss[.ffffff]; the date by counting from 1600-03-01 in years that
 * begin in March. */
static pyb_status add_moment(int64_t moment, bool zoned) {
  int64_t days = moment / DAY_US, rest = moment % DAY_US, era, of_era, year, month, day;
  char text[64];
  int n;

  if (rest < 0) {
    rest += DAY_US;
    days--;
  }
  days += 719468;
  era = (days >= 0 ? days : days - 146096) / 146097;
  of_era = days - era * 146097;
  year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  day = of_era - (365 * year + year / 4 - year / 100);
  month = (5 * day + 2) / 153;
  day -= (153 * month + 2) / 5 - 1;
  month += month < 10 ? 3 : -9;
  year += era * 400 + (month <= 2);
  n = snprintf(text, sizeof text, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld",
               (long long)year, (long long)month, (long long)day,
               (long long)(rest / 3600000000), (long long)(rest / 60000000 % 60),
               (long long)(rest / 1000000 % 60));
  if (rest % 1000000 != 0) {
    n += snprintf(text + n, sizeof text - (size_t)n, ".%06lld",
                  (long long)(rest % 1000000));
    while (text[n - 1] == '0')
      n--;
  }
  if (zoned)
    n += snprintf(text + n, sizeof text - (size_t)n, "+00:00");
  return add(text, (size_t)n);
}

/* 128 bits, little-endian, as a decimal without zeros that M leaves out. */
static pyb_status add_decimal(const column *c, int64_t i) {
  char digits[48], text[64 + SCALE], number[PYB__GTM_NUMBER];
  pyb_value value = {.type = PYB_DECIMAL, .data = text};
  unsigned __int128 rest;
  __int128 all;
  int n = 0, size = 0;
  const char *data;

  memcpy(&all, (const char *)c->array->buffers[1] + i * 16, 16);
  rest = all < 0 ? 0 - (unsigned __int128)all : (unsigned __int128)all;
  do
    digits[n++] = (char)('0' + (int)(rest % 10));
  while ((rest /= 10) != 0);
  while (n <= c->scale && n < 47)
    digits[n++] = '0';
  if (all < 0)
    text[size++] = '-';
  while (n > 0) {
    if (n == c->scale)
      text[size++] = '.';
    text[size++] = digits[--n];
  }
  for (int zeros = c->scale; zeros < 0; zeros++)
    text[size++] = '0';
  value.size = (size_t)size;
  data = pyb__gtm_dump(&value, number, &value.size);
  return add(data, value.size);
}

static pyb_status add_scalar(pyb_type type, int64_t integer) {
  pyb_value value = {.type = type, .integer = integer};
  char number[PYB__GTM_NUMBER];
  const char *data = pyb__gtm_dump(&value, number, &value.size);

  return add(data, value.size);
}

static pyb_status add_float(const column *c, double real) {
  pyb_value value = {.type = PYB_FLOAT64, .real = real};
  char number[PYB__GTM_NUMBER];
  const char *data;

  if (isnan(real))
    return PYB_OK;
  if (isinf(real))
    return cell_failed(c, "M has no infinity; make it NULL or text");
  data = pyb__gtm_dump(&value, number, &value.size);
  return add(data, value.size);
}

static pyb_status add_cell(const column *c, int64_t i) {
  i += pull.batch.offset + c->array->offset;
  if (is_null(c, i))
    return PYB_OK;
  switch (c->letter) {
  case 'b':
    return add(
        ((const uint8_t *)c->array->buffers[1])[i >> 3] >> (i & 7) & 1 ? "1" : "0", 1);
  case 'l':
    return add_scalar(PYB_INT64, ((const int64_t *)c->array->buffers[1])[i]);
  case 'g':
    return add_float(c, ((const double *)c->array->buffers[1])[i]);
  case DATE:
    return add_scalar(PYB_DATE, ((const int32_t *)c->array->buffers[1])[i]);
  case TIME:
    return add_scalar(PYB_TIME, ((const int64_t *)c->array->buffers[1])[i]);
  case MOMENT:
    return add_moment(((const int64_t *)c->array->buffers[1])[i], c->zoned);
  case DECIMAL:
    return add_decimal(c, i);
  default: {
    const int64_t *ends = c->array->buffers[1];
    return ends[i + 1] == ends[i] ? PYB_OK
                                  : add((const char *)c->array->buffers[2] + ends[i],
                                        (size_t)(ends[i + 1] - ends[i]));
  }
  }
}

/* A field may not have the delimiter in it: it would be two when it is read. */
static pyb_status add_field(const column *c, int64_t i) {
  size_t from = pull.size;
  pyb_status status = add_cell(c, i);
  bool text = c->letter == 'U' || c->letter == 'Z';

  if (status == PYB_OK && pull.size > from && (text || (pull.numeric && !c->key)) &&
      memmem(pull.text + from, pull.size - from, pull.delimiter, pull.delimiter_size) !=
          NULL)
    return cell_failed(c, text ? "the text has the delimiter in it; choose another one "
                                 "in options(\"delimiter\")"
                               : "the value has the delimiter in it; choose another "
                                 "one in options(\"delimiter\")");
  return status;
}

/* ---- Records --------------------------------------------------------------------- */

/* Make a row current; false at the end, and where that failed. */
static bool next_row(void) {
  while (pull.batch.release == NULL || pull.at == pull.batch.length) {
    int code;

    if (pull.batch.release != NULL)
      pull.batch.release(&pull.batch);
    pull.busy = true;
    code = pull.stream.get_next(&pull.stream, &pull.batch);
    pull.busy = false;
    if (code != 0) {
      pull.batch.release = NULL;
      stream_failed(code);
    }
    if (code != 0 || pull.batch.release == NULL)
      return false;
    pull.at = 0;
    for (size_t i = 0; i < pull.n; i++)
      pull.columns[i].array = pull.batch.children[i];
  }
  pull.count++;
  return true;
}

/* M has no subscript that is empty. */
static pyb_status add_key(const column *c) {
  size_t from = pull.size;
  pyb_status status = add_field(c, pull.at);

  return status == PYB_OK && pull.size == from
             ? cell_failed(c, "the subscript is NULL or empty, which M does not allow")
             : status;
}

/* The subscripts of the row, or its fields, with delimiters between. */
static pyb_status add_columns(bool keys, size_t *size) {
  size_t from = pull.size, n = 0, most = keys ? pull.n_keys : pull.n;
  pyb_status status = PYB_OK;

  for (size_t i = 0; i < most && status == PYB_OK; i++) {
    const column *c = &pull.columns[keys ? pull.keys[i] : i];

    if (c->key != keys)
      continue;
    if (n++ != 0)
      status = add(pull.delimiter, pull.delimiter_size);
    if (status == PYB_OK)
      status = keys ? add_key(c) : add_field(c, pull.at);
  }
  *size = pull.size - from;
  if (status == PYB_OK && *size > PYB__GTM_LONGEST)
    return pull.status =
               pyb__gtm_refuse(&pull.error, PYB_TOO_LARGE,
                               "row %lld has %zu bytes, a string of M has %d at most",
                               (long long)pull.count, *size, PYB__GTM_LONGEST);
  return status;
}

/* Records into places[0..n): with their subscripts before them where there are any. */
static long give(pyb__gtm_string *const *places, int n) {
  size_t sizes[2 * AT_ONCE];
  int used = 0, step = pull.n_keys != 0 ? 2 : 1;
  size_t from = 0;

  pull.size = 0;
  for (int i = 0; i < n; i++)
    *places[i] = (pyb__gtm_string){.length = 0, .address = (char *)""};
  while (used < n && pull.status == PYB_OK && pull.stream.release != NULL &&
         next_row()) {
    pyb_status status = PYB_OK;

    if (step == 2)
      status = add_columns(true, &sizes[used]);
    if (status == PYB_OK)
      status = add_columns(false, &sizes[used + step - 1]);
    if (status != PYB_OK)
      return -1;
    pull.at++;
    used += step;
  }
  /* Only now: the text may have moved while it grew. */
  for (int i = 0; i < n; i++) {
    places[i]->address = pull.text == NULL ? (char *)"" : pull.text + from;
    places[i]->length = i < used ? (long)sizes[i] : 0;
    from += i < used ? sizes[i] : 0;
  }
  return pull.status == PYB_OK ? used / step : -1;
}

/* pull: gtm_long_t pyb_gtm_pull(r1, ... r8): up to eight records of rows that are only
 * numbered. How many, fewer than eight at the end; below 0: it failed. */
PYB_API long pyb_gtm_pull(int count, pyb__gtm_string *r1, pyb__gtm_string *r2,
                          pyb__gtm_string *r3, pyb__gtm_string *r4, pyb__gtm_string *r5,
                          pyb__gtm_string *r6, pyb__gtm_string *r7,
                          pyb__gtm_string *r8) {
  pyb__gtm_string *places[] = {r1, r2, r3, r4, r5, r6, r7, r8};

  return give(places, count < AT_ONCE ? count : AT_ONCE);
}

/* pairs: gtm_long_t pyb_gtm_pairs(k1, r1, ... k4, r4): the same with subscripts; where
 * there are several they are joined by the delimiter. */
PYB_API long pyb_gtm_pairs(int count, pyb__gtm_string *k1, pyb__gtm_string *r1,
                           pyb__gtm_string *k2, pyb__gtm_string *r2,
                           pyb__gtm_string *k3, pyb__gtm_string *r3,
                           pyb__gtm_string *k4, pyb__gtm_string *r4) {
  pyb__gtm_string *places[] = {k1, r1, k2, r2, k3, r3, k4, r4};

  return give(places, count < AT_ONCE ? count : AT_ONCE);
}

/* ---- Cells that are nodes -------------------------------------------------------- */

/* Each field needs a name that a subscript can be, and that no other has. */
static pyb_status check_names(void) {
  for (size_t i = 0; i < pull.n; i++) {
    const char *name = pull.schema.children[i]->name;

    for (size_t j = 0; j < i; j++)
      if (!pull.columns[i].key && !pull.columns[j].key &&
          strcmp(pull.schema.children[j]->name, name) == 0)
        return pull.status = pyb__gtm_refuse(&pull.error, PYB_UNSUPPORTED,
                                             "two columns have the name \"%s\", which "
                                             "would be one node",
                                             name);
    if (!pull.columns[i].key && *name == '\0')
      return pull.status =
                 pyb__gtm_refuse(&pull.error, PYB_UNSUPPORTED,
                                 "column %zu has no name for its node", i + 1);
  }
  return PYB_OK;
}

/* Is there a node for the cell of the current row? */
static bool has_node(const column *c) {
  int64_t i = pull.at + pull.batch.offset + c->array->offset;

  return !c->key && !is_null(c, i) &&
         (c->letter != 'g' || !isnan(((const double *)c->array->buffers[1])[i]));
}

/* Make the next cell that has a node current; false at the end. */
static bool next_cell(void) {
  while (pull.status == PYB_OK && pull.stream.release != NULL) {
    if (!pull.in_row && !next_row())
      return false;
    if (!pull.in_row)
      pull.cell = 0;
    pull.in_row = true;
    for (; pull.cell < pull.n; pull.cell++)
      if (has_node(&pull.columns[pull.cell]))
        return true;
    pull.at++;
    pull.in_row = false;
  }
  return false;
}

/* cell: gtm_long_t pyb_gtm_cell(key, name, value): the next cell that is not NULL, with
 * the subscripts of its row, or the row's number. 1, 0 at the end, below 0: it failed.
 */
PYB_API long pyb_gtm_cell(int count, pyb__gtm_string *key, pyb__gtm_string *name,
                          pyb__gtm_string *value) {
  char number[24];
  size_t key_size, size;

  if (count < 3)
    return -1;
  *key = *name = *value = (pyb__gtm_string){.length = 0, .address = (char *)""};
  pull.size = 0;
  if ((pull.count == 0 && check_names() != PYB_OK) || !next_cell())
    return pull.status == PYB_OK ? 0 : -1;
  if (pull.n_keys != 0)
    (void)!add_columns(true, &key_size);
  else
    (void)!add(number,
               (size_t)snprintf(number, sizeof number, "%lld", (long long)pull.count));
  key_size = pull.size;
  if (pull.status != PYB_OK || add_cell(&pull.columns[pull.cell], pull.at) != PYB_OK)
    return -1;
  size = pull.size - key_size;
  if (size > PYB__GTM_LONGEST)
    return cell_failed(&pull.columns[pull.cell], "a string of M has 1 MiB at most"), -1;
  *key = (pyb__gtm_string){.length = (long)key_size, .address = pull.text};
  *value = (pyb__gtm_string){.length = (long)size, .address = pull.text + key_size};
  name->address = (char *)pull.schema.children[pull.cell++]->name;
  name->length = (long)strlen(name->address);
  return 1;
}
