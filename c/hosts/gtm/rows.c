/* rows.c: records of a global as the columns of a frame.
 *
 * M walks the global and hands over keys and records, several at a time; nothing here
 * needs Python, so that GT.M may call it the cheap way (SIGSAFE). Where the mask says
 * no type, it is guessed from the first records. A record that does not fit the guess
 * does not stop the walk: it is noted, and M walks once more with what is known then.
 * So no type is ever wrong, and none depends on the order of the records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

#define SAMPLE 1024       /* records that are looked at before types are guessed */
#define MOST_LEVELS 30    /* subscripts of a key: GT.M has 31 */
#define MOST_COLUMNS 4096 /* fields of a record */
#define EXACT                                                                          \
  INT64_C(9007199254740992) /* 2**53: below it a float64 has all integers              \
                             */

/* What has been seen in a column. */
enum {
  EMPTY = 1,
  WHOLE = 2,     /* an integer that a float64 has */
  LARGE = 4,     /* one that only an int64 has */
  FRACTION = 8,  /* a number that a float64 tells apart */
  ANYTHING = 16, /* what only text keeps */
};

/* How cells are read. */
typedef enum guess {
  NOTHING, /* only empty fields so far */
  INTEGERS,
  FLOATS,
  TEXTS,
  STATED /* by the mask */
} guess;

typedef struct column {
  pyb_column *cells;
  guess guess;
  char kind; /* of the mask */
  unsigned seen;
  bool wrong; /* the guess has not held */
  char *name; /* where fields are nodes: their subscript */
  size_t name_size;
  bool filled; /* the current record has it */
} column;

static struct {
  size_t levels, n, fields; /* n = columns = levels + fields */
  size_t built;             /* how many of the fields the table has */
  column *columns;
  char mask[MOST_COLUMNS];
  size_t mask_size;
  char delimiter[64];
  size_t delimiter_size; /* 0 = the records are $LISTs */
  bool latin;            /* text is Latin-1, not UTF-8 */
  bool lenient;          /* what does not fit its stated type is NULL, not an error */
  bool nodes;            /* each field is a node of its own, with a name */
  bool closed;           /* and other names than those that were given are left out */
  size_t next;           /* the field that is likely to come next */
  bool wrong;
  int64_t count;
  pyb_table *table;
  char *outer[MOST_LEVELS]; /* the subscripts above the last one */
  size_t outer_size[MOST_LEVELS];
  char *sample; /* records with their sizes, until the types are guessed */
  size_t sample_size, sample_capacity;
  char *text; /* of a text that had to be made UTF-8 */
  size_t text_capacity;
  pyb_status status;
  pyb_error error;
} rows;

/* ---- Begin and end --------------------------------------------------------------- */

static void drop_table(void) {
  pyb_table_release(rows.table);
  rows.table = NULL;
}

void pyb__gtm_rows_drop(void) {
  drop_table();
  for (size_t i = 0; i < MOST_LEVELS; i++)
    pyb__gtm_free(rows.outer[i]);
  for (size_t i = 0; i < rows.n; i++)
    pyb__gtm_free(rows.columns[i].name);
  pyb__gtm_free(rows.columns);
  pyb__gtm_free(rows.sample);
  pyb__gtm_free(rows.text);
  memset(&rows, 0, sizeof rows);
}

static pyb_status no_memory(void) {
  return rows.status = pyb__gtm_refuse(&rows.error, PYB_NO_MEMORY,
                                       "no memory for the records of the global");
}

/* Room for `fields` fields beside the keys; new columns know nothing yet. */
static pyb_status widen(size_t fields) {
  size_t n = rows.levels + fields;
  column *grown;

  if (n <= rows.n)
    return PYB_OK;
  if (n > MOST_COLUMNS)
    return rows.status =
               pyb__gtm_refuse(&rows.error, PYB_TOO_LARGE,
                               "a record has %zu fields, %d is the most; is \"%.20s\" "
                               "its delimiter?",
                               fields, MOST_COLUMNS, rows.delimiter);
  grown = pyb__gtm_resize(rows.columns, n * sizeof *grown);
  if (grown == NULL)
    return no_memory();
  rows.columns = grown;
  memset(grown + rows.n, 0, (n - rows.n) * sizeof *grown);
  for (size_t i = rows.n; i < n; i++) {
    size_t field = i - rows.levels;
    char kind = PYB__GTM_INFER;

    if (i >= rows.levels && rows.mask_size != 0)
      kind = field < rows.mask_size ? rows.mask[field] : (char)PYB__GTM_SKIP;
    grown[i].kind = kind;
    grown[i].guess = kind == PYB__GTM_INFER ? NOTHING : STATED;
  }
  rows.n = n;
  rows.fields = fields;
  return PYB_OK;
}

/* One more field, with a name. */
static pyb_status add_field(const char *name, size_t size) {
  char *copy = pyb__gtm_malloc(size + 1);
  column *c;

  if (copy == NULL)
    return no_memory();
  if (widen(rows.fields + 1) != PYB_OK) {
    pyb__gtm_free(copy);
    return rows.status;
  }
  memcpy(copy, name, size);
  copy[size] = '\0';
  c = &rows.columns[rows.n - 1];
  c->name = copy;
  c->name_size = size;
  return PYB_OK;
}

/* The fields that are wanted, names with commas between; none: all that there are. */
static pyb_status name_fields(const char *names, long length) {
  const char *end = names + length, *stop;

  rows.closed = length > 0;
  for (; length > 0; names = stop + 1) {
    stop = memchr(names, ',', (size_t)(end - names));
    if (add_field(names, (size_t)((stop == NULL ? end : stop) - names)) != PYB_OK)
      return rows.status;
    if (stop == NULL)
      break;
  }
  return PYB_OK;
}

pyb_status pyb__gtm_rows_begin(const pyb__gtm_string *spec, const pyb__gtm_string *mask,
                               const pyb__gtm_string *delimiter, pyb_error *error) {
  char levels = spec->length > 0 ? spec->address[0] : '1';

  pyb__gtm_rows_drop();
  rows.nodes = spec->length > 1 &&
               memchr(spec->address + 1, 'f', (size_t)spec->length - 1) != NULL;
  if (mask->length > MOST_COLUMNS ||
      (!rows.nodes && delimiter->length >= (long)sizeof rows.delimiter))
    return pyb__gtm_refuse(error, PYB_TOO_LARGE,
                           "a mask has %d letters at most, a delimiter %zu bytes",
                           MOST_COLUMNS, sizeof rows.delimiter - 1);
  for (long i = 0; i < mask->length; i++)
    if (strchr(PYB__GTM_KINDS, mask->address[i]) == NULL || mask->address[i] == '\0')
      return pyb__gtm_refuse(error, PYB_BAD_ARGUMENT,
                             "the mask has \"%c\" for field %ld; known letters: %s",
                             mask->address[i], i + 1, PYB__GTM_KINDS);
  if (levels < '1' || levels > '9')
    return pyb__gtm_refuse(error, PYB_BAD_ARGUMENT, "a record has 1 to 9 subscripts");
  rows.levels = (size_t)(levels - '0');
  for (long i = 1; i < spec->length; i++) {
    rows.latin = rows.latin || spec->address[i] == 'l';
    rows.lenient = rows.lenient || spec->address[i] == 'n';
  }
  rows.mask_size = (size_t)mask->length;
  if (rows.mask_size != 0)
    memcpy(rows.mask, mask->address, rows.mask_size);
  if (rows.nodes) {
    if (widen(0) == PYB_OK &&
        name_fields(delimiter->address, delimiter->length) == PYB_OK)
      return PYB_OK;
  } else {
    rows.delimiter_size = (size_t)delimiter->length;
    if (rows.delimiter_size != 0)
      memcpy(rows.delimiter, delimiter->address, rows.delimiter_size);
    if (widen(rows.mask_size) == PYB_OK)
      return PYB_OK;
  }
  *error = rows.error;
  pyb__gtm_rows_drop();
  return error->status;
}

/* ---- Numbers, as fast as they can be read ---------------------------------------- */

/* A canonical integer of up to 18 digits; whether it is one. */
static inline bool read_whole(const char *data, size_t size, int64_t *integer) {
  bool negative = size != 0 && *data == '-';
  const char *end = data + size;
  int64_t sum = 0;

  data += negative;
  if (data == end || end - data > 18)
    return false;
  if (*data == '0')
    return *integer = 0, end - data == 1 && !negative;
  for (; data != end; data++) {
    unsigned digit = (unsigned)*data - '0';
    if (digit > 9)
      return false;
    sum = sum * 10 + digit;
  }
  *integer = negative ? -sum : sum;
  return true;
}

/* A canonical fraction of up to 15 digits. Both parts of the quotient are exact, so it
 * is the number that is nearest to the text. */
static inline bool read_fraction(const char *data, size_t size, double *real) {
  static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  bool negative = size != 0 && *data == '-';
  const char *end = data + size, *point = NULL;
  int64_t sum = 0;

  data += negative;
  if (end - data < 2 || end - data > 16 || *data == '0' || end[-1] == '0')
    return false;
  for (; data != end; data++) {
    unsigned digit = (unsigned)*data - '0';
    if (digit <= 9)
      sum = sum * 10 + digit;
    else if (*data != '.' || point != NULL)
      return false;
    else
      point = data;
  }
  if (point == NULL || point == end - 1)
    return false;
  *real = (double)sum / powers[end - point - 1];
  if (negative)
    *real = -*real;
  return true;
}

/* What kind of cell is it? */
static unsigned look(const char *data, size_t size) {
  int64_t integer;
  double real;

  if (size == 0)
    return EMPTY;
  if (read_whole(data, size, &integer))
    return integer <= EXACT && integer >= -EXACT ? WHOLE : LARGE;
  return read_fraction(data, size, &real) ? FRACTION : ANYTHING;
}

/* The narrowest reading that keeps all that was seen. Empty fields are NULL beside
 * numbers, and empty text beside text. */
static guess guess_of(unsigned seen) {
  if ((seen & ANYTHING) != 0 || ((seen & FRACTION) != 0 && (seen & LARGE) != 0))
    return TEXTS;
  if ((seen & FRACTION) != 0)
    return FLOATS;
  return (seen & (WHOLE | LARGE)) != 0 ? INTEGERS : NOTHING;
}

/* ---- Cells ----------------------------------------------------------------------- */

static pyb_status cell_failed(const column *c, const char *data, size_t size,
                              const char *why) {
  size_t field = (size_t)(c - rows.columns) - rows.levels + 1;

  return rows.status = pyb__gtm_refuse(
             &rows.error, PYB_UNSUPPORTED,
             "record %lld, field %zu: \"%.*s\" does not fit the mask \"%c\": %s; "
             "options(\"errors\")=\"null\" makes it NULL",
             (long long)rows.count + 1, field, (int)(size < 80 ? size : 80), data,
             c->kind, why);
}

/* Latin-1 as UTF-8. */
static pyb_status put_latin(column *c, const char *data, size_t size) {
  size_t n = 0;

  if (size == 0)
    return pyb_column_text(c->cells, "", 0);
  if (rows.text_capacity < 2 * size) {
    char *grown = pyb__gtm_resize(rows.text, 2 * size);
    if (grown == NULL)
      return PYB_NO_MEMORY;
    rows.text = grown;
    rows.text_capacity = 2 * size;
  }
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)data[i];
    if (byte < 0x80) {
      rows.text[n++] = (char)byte;
    } else {
      rows.text[n++] = (char)(0xc0 | byte >> 6);
      rows.text[n++] = (char)(0x80 | (byte & 0x3f));
    }
  }
  return pyb_column_text(c->cells, rows.text, n);
}

static inline pyb_status put_text(column *c, const char *data, size_t size) {
  return rows.latin ? put_latin(c, data, size) : pyb_column_text(c->cells, data, size);
}

/* By the mask. */
static pyb_status put_stated(column *c, const char *data, size_t size) {
  const char *why = "";
  pyb_value value;
  pyb_status status;

  if (c->kind == PYB__GTM_SKIP)
    return PYB_OK;
  if (c->kind == PYB__GTM_TEXT)
    return put_text(c, data, size);
  status = pyb__gtm_load(data, size, (pyb__gtm_kind)c->kind, &value, &why);
  if (status != PYB_OK && !rows.lenient)
    return cell_failed(c, data, size, why);
  return pyb_column_append(c->cells, &value);
}

/* By the guess; what does not fit it is noted. */
static inline pyb_status put(column *c, const char *data, size_t size) {
  int64_t integer;
  double real;

  switch (c->guess) {
  case STATED:
    return put_stated(c, data, size);
  case TEXTS:
    return put_text(c, data, size);
  case INTEGERS:
    if (read_whole(data, size, &integer)) {
      if (integer > EXACT || integer < -EXACT)
        c->seen |= LARGE;
      return pyb_column_int64(c->cells, integer);
    }
    break;
  case FLOATS:
    if (read_fraction(data, size, &real))
      return pyb_column_float64(c->cells, real);
    if (read_whole(data, size, &integer) && integer <= EXACT && integer >= -EXACT)
      return pyb_column_float64(c->cells, (double)integer);
    break;
  case NOTHING:
    break;
  }
  if (size == 0)
    return pyb_column_null(c->cells);
  c->seen |= look(data, size);
  c->wrong = rows.wrong = true;
  return PYB_OK;
}

/* A cell that is not there at all: shorter records have NULL. */
static pyb_status put_missing(column *c) {
  return c->kind == PYB__GTM_SKIP ? PYB_OK : pyb_column_null(c->cells);
}

/* A value of a $LIST, which has its own type: it is read as M would write it. */
static pyb_status put_element(column *c, const pyb_value *value) {
  char number[PYB__GTM_NUMBER];
  size_t size;
  const char *data;

  if (value->type == PYB_NULL)
    return put_missing(c);
  data = pyb__gtm_dump(value, number, &size);
  /* Its text is Unicode already, whatever plain records are in. */
  if (c->guess == TEXTS || c->kind == PYB__GTM_TEXT)
    return pyb_column_text(c->cells, data, size);
  return put(c, data, size);
}

/* ---- Records --------------------------------------------------------------------- */

/* Call `use` for each field of a record; gives how many there were. */
typedef pyb_status (*use)(size_t field, const char *data, size_t size);

static const char *next_delimiter(const char *at, const char *end) {
  if (rows.delimiter_size == 1)
    return memchr(at, rows.delimiter[0], (size_t)(end - at));
  for (; end - at >= (long)rows.delimiter_size; at++)
    if (memcmp(at, rows.delimiter, rows.delimiter_size) == 0)
      return at;
  return NULL;
}

static pyb_status look_at_field(size_t field, const char *data, size_t size) {
  if (rows.mask_size != 0 && field >= rows.mask_size)
    return PYB_OK;
  if (widen(field + 1) != PYB_OK)
    return rows.status;
  rows.columns[rows.levels + field].seen |= look(data, size);
  return PYB_OK;
}

static pyb_status put_field(size_t field, const char *data, size_t size) {
  if (field < rows.built)
    return put(&rows.columns[rows.levels + field], data, size);
  if (rows.mask_size != 0)
    return PYB_OK;
  /* More fields than any record of the sample had: another walk with more columns.
   * Until then the new column only looks. */
  rows.wrong = true;
  return look_at_field(field, data, size);
}

static pyb_status split(const char *data, size_t size, use each, size_t *n) {
  const char *end = data + size, *stop;
  pyb_status status = PYB_OK;

  for (*n = 0; status == PYB_OK; data = stop + rows.delimiter_size) {
    stop = next_delimiter(data, end);
    status = each((*n)++, data, (size_t)((stop == NULL ? end : stop) - data));
    if (stop == NULL)
      break;
  }
  return status;
}

/* The same of a $LIST. */
static pyb_status split_list(const char *data, size_t size, bool only_look, size_t *n) {
  size_t at = 0;

  for (*n = 0; at < size; (*n)++) {
    char scratch[PYB__GTM_NUMBER], number[PYB__GTM_NUMBER];
    const char *why = "", *text;
    pyb_value value;
    pyb_status status = pyb__gtm_element(data, size, &at, &value, scratch, &why);
    size_t length;

    if (status != PYB_OK)
      return rows.status =
                 pyb__gtm_refuse(&rows.error, status, "record %lld, element %zu: %s",
                                 (long long)rows.count + 1, *n + 1, why);
    if (!only_look && *n < rows.built) {
      status = put_element(&rows.columns[rows.levels + *n], &value);
    } else {
      text = pyb__gtm_dump(&value, number, &length);
      rows.wrong = rows.wrong || (!only_look && rows.mask_size == 0);
      status = look_at_field(*n, text, length);
    }
    pyb_value_release(&value);
    if (status != PYB_OK)
      return status;
  }
  return PYB_OK;
}

/* The subscripts of a record. */
static pyb_status put_keys(const char *key, size_t size) {
  pyb_status status = PYB_OK;

  for (size_t i = 0; i + 1 < rows.levels && status == PYB_OK; i++)
    status = put(&rows.columns[i], rows.outer[i] == NULL ? "" : rows.outer[i],
                 rows.outer_size[i]);
  return status != PYB_OK ? status : put(&rows.columns[rows.levels - 1], key, size);
}

static pyb_status put_record(const char *key, size_t key_size, const char *data,
                             size_t size) {
  size_t n = 0;
  pyb_status status = put_keys(key, key_size);

  if (status == PYB_OK)
    status = rows.delimiter_size != 0 ? split(data, size, put_field, &n)
                                      : split_list(data, size, false, &n);
  for (; n < rows.built && status == PYB_OK; n++)
    status = put_missing(&rows.columns[rows.levels + n]);
  rows.count++;
  if (status != PYB_OK && rows.status == PYB_OK)
    no_memory();
  return rows.status;
}

/* ---- The sample ------------------------------------------------------------------ */

static pyb_status keep(const char *data, size_t size) {
  size_t wanted = rows.sample_size + sizeof size + size;

  if (wanted > rows.sample_capacity) {
    char *grown = pyb__gtm_resize(rows.sample, 2 * wanted);
    if (grown == NULL)
      return no_memory();
    rows.sample = grown;
    rows.sample_capacity = 2 * wanted;
  }
  memcpy(rows.sample + rows.sample_size, &size, sizeof size);
  if (size != 0)
    memcpy(rows.sample + rows.sample_size + sizeof size, data, size);
  rows.sample_size = wanted;
  return PYB_OK;
}

static const char *kept(size_t *at, size_t *size) {
  const char *data = rows.sample + *at + sizeof *size;

  memcpy(size, rows.sample + *at, sizeof *size);
  *at += sizeof *size + *size;
  return data;
}

/* The sample has all subscripts of each record, then the record. */
static pyb_status keep_record(const char *key, size_t key_size, const char *data,
                              size_t size) {
  size_t n;
  pyb_status status = PYB_OK;

  for (size_t i = 0; i + 1 < rows.levels && status == PYB_OK; i++) {
    rows.columns[i].seen |= look(rows.outer[i], rows.outer_size[i]);
    status = keep(rows.outer[i], rows.outer_size[i]);
  }
  rows.columns[rows.levels - 1].seen |= look(key, key_size);
  if (status == PYB_OK)
    status = keep(key, key_size);
  if (status == PYB_OK)
    status = keep(data, size);
  if (status == PYB_OK)
    status = rows.delimiter_size != 0 ? split(data, size, look_at_field, &n)
                                      : split_list(data, size, true, &n);
  rows.count++;
  return status;
}

/* A table with the columns that are kept, read as is guessed now. */
static pyb_status begin_table(void) {
  size_t n = 0;

  for (size_t i = 0; i < rows.n; i++)
    n += rows.columns[i].kind != PYB__GTM_SKIP;
  if (pyb_table_new(n, &rows.table, &rows.error) != PYB_OK)
    return rows.status = rows.error.status;
  n = 0;
  for (size_t i = 0; i < rows.n; i++) {
    column *c = &rows.columns[i];
    if (c->guess != STATED)
      c->guess = guess_of(c->seen);
    c->cells = c->kind == PYB__GTM_SKIP ? NULL : pyb_table_column(rows.table, n++);
  }
  rows.built = rows.fields;
  return PYB_OK;
}

/* Guess the types and read the sample again. */
static pyb_status end_sample(void) {
  size_t at = 0, size, key_size;
  pyb_status status = begin_table();

  rows.count = 0;
  while (at < rows.sample_size && status == PYB_OK) {
    const char *key, *data;

    for (size_t i = 0; i + 1 < rows.levels; i++) {
      data = kept(&at, &size);
      pyb__gtm_free(rows.outer[i]);
      rows.outer[i] = pyb__gtm_malloc(size + 1);
      if (rows.outer[i] == NULL)
        return no_memory();
      memcpy(rows.outer[i], data, size);
      rows.outer_size[i] = size;
    }
    key = kept(&at, &key_size);
    data = kept(&at, &size);
    status = put_record(key, key_size, data, size);
  }
  pyb__gtm_free(rows.sample);
  rows.sample = NULL;
  rows.sample_size = rows.sample_capacity = 0;
  return status;
}

/* ---- Entries: what M calls ------------------------------------------------------- */

/* Has a walk begun, and not failed yet? */
static bool walking(void) {
  if (rows.levels == 0 && rows.status == PYB_OK)
    rows.status = pyb__gtm_refuse(&rows.error, PYB_BAD_ARGUMENT,
                                  "no records are expected: \"begin\" comes first");
  return rows.status == PYB_OK;
}

/* The bytes of a string, which may be none at all. */
static inline const char *bytes_of(const pyb__gtm_string *string) {
  return string->length == 0 ? "" : string->address;
}

static inline pyb_status take(const pyb__gtm_string *key,
                              const pyb__gtm_string *record) {
  const char *data = bytes_of(record);
  size_t size = (size_t)record->length;

  if (rows.table != NULL)
    return put_record(bytes_of(key), (size_t)key->length, data, size);
  if (keep_record(bytes_of(key), (size_t)key->length, data, size) == PYB_OK &&
      rows.count == SAMPLE)
    end_sample();
  return rows.status;
}

/* rows: gtm_long_t pyb_gtm_rows(key, record, ...): up to eight records. Not 0: stop. */
PYB_API long pyb_gtm_rows(int count, pyb__gtm_string *k1, pyb__gtm_string *r1,
                          pyb__gtm_string *k2, pyb__gtm_string *r2, pyb__gtm_string *k3,
                          pyb__gtm_string *r3, pyb__gtm_string *k4, pyb__gtm_string *r4,
                          pyb__gtm_string *k5, pyb__gtm_string *r5, pyb__gtm_string *k6,
                          pyb__gtm_string *r6, pyb__gtm_string *k7, pyb__gtm_string *r7,
                          pyb__gtm_string *k8, pyb__gtm_string *r8) {
  const pyb__gtm_string *given[] = {k1, r1, k2, r2, k3, r3, k4, r4,
                                    k5, r5, k6, r6, k7, r7, k8, r8};

  if (!walking())
    return rows.status;
  for (int i = 0; i + 1 < count && i < 16; i += 2)
    if (take(given[i], given[i + 1]) != PYB_OK)
      break;
  return rows.status;
}

/* Which field has that name? Records mostly have the same ones in the same order. */
static size_t field_named(const char *name, size_t size) {
  for (size_t n = 0; n < rows.fields; n++) {
    size_t i = (rows.next + n) % rows.fields;
    const column *c = &rows.columns[rows.levels + i];

    if (c->name_size == size && memcmp(c->name, name, size) == 0)
      return i;
  }
  return rows.fields;
}

/* field: gtm_long_t pyb_gtm_field(name, value): of the record that pyb_gtm_record ends.
 */
PYB_API long pyb_gtm_field(int count, pyb__gtm_string *name, pyb__gtm_string *value) {
  size_t i;
  column *c;

  if (count < 2 || !walking())
    return rows.status;
  i = field_named(bytes_of(name), (size_t)name->length);
  if (i == rows.fields && rows.closed)
    return rows.status;
  if (i == rows.fields && add_field(bytes_of(name), (size_t)name->length) != PYB_OK)
    return rows.status;
  rows.next = i + 1;
  c = &rows.columns[rows.levels + i];
  c->filled = true;
  if (i < rows.built) {
    if (put(c, bytes_of(value), (size_t)value->length) != PYB_OK &&
        rows.status == PYB_OK)
      no_memory();
    return rows.status;
  }
  /* Not in the table: there is none yet, or it was made without this field. */
  rows.wrong = rows.wrong || rows.table != NULL;
  c->seen |= look(bytes_of(value), (size_t)value->length);
  return PYB_OK;
}

/* record: gtm_long_t pyb_gtm_record(key): the end of a record whose fields are nodes.
 */
PYB_API long pyb_gtm_record(int count, pyb__gtm_string *key) {
  rows.next = 0;
  if (count < 1 || !walking())
    return rows.status;
  rows.count++;
  if (rows.table == NULL) {
    for (size_t i = 0; i + 1 < rows.levels; i++)
      rows.columns[i].seen |= look(rows.outer[i], rows.outer_size[i]);
    rows.columns[rows.levels - 1].seen |= look(bytes_of(key), (size_t)key->length);
    return PYB_OK;
  }
  if (put_keys(bytes_of(key), (size_t)key->length) != PYB_OK)
    return rows.status != PYB_OK ? rows.status : no_memory();
  for (size_t i = rows.levels; i < rows.levels + rows.built; i++) {
    if (!rows.columns[i].filled && put_missing(&rows.columns[i]) != PYB_OK)
      return no_memory();
    rows.columns[i].filled = false;
  }
  return PYB_OK;
}

/* outer: gtm_long_t pyb_gtm_outer(level, subscript): the records that follow have this
 * subscript at `level`, 0 = the first. */
PYB_API long pyb_gtm_outer(int count, long level, pyb__gtm_string *subscript) {
  char *copy;

  if (count < 2 || !walking())
    return rows.status;
  if (level < 0 || level + 1 >= (long)rows.levels)
    return rows.status = pyb__gtm_refuse(&rows.error, PYB_BAD_ARGUMENT,
                                         "subscript %ld is not above the last of %zu",
                                         level + 1, rows.levels);
  copy = pyb__gtm_malloc((size_t)subscript->length + 1);
  if (copy == NULL)
    return no_memory();
  memcpy(copy, bytes_of(subscript), (size_t)subscript->length);
  pyb__gtm_free(rows.outer[level]);
  rows.outer[level] = copy;
  rows.outer_size[level] = (size_t)subscript->length;
  return 0;
}

/* ---- The frame ------------------------------------------------------------------- */

/* Prepare for another walk, with what is known of the types now. */
static pyb_status begin_again(void) {
  drop_table();
  for (size_t i = 0; i < rows.n; i++) {
    column *c = &rows.columns[i];
    /* What fitted the old guess has been seen as well; large integers are noted. */
    c->seen |= c->guess == INTEGERS ? WHOLE : 0;
    c->seen |= c->guess == FLOATS ? WHOLE | FRACTION : 0;
    c->seen |= c->guess == TEXTS ? ANYTHING : 0;
    c->wrong = c->filled = false;
  }
  rows.wrong = false;
  rows.count = 0;
  return begin_table();
}

/* The next label of a list with commas between. */
static const char *next_label(const char **labels, char *label, size_t size) {
  const char *comma = strchr(*labels, ',');
  size_t length = comma == NULL ? strlen(*labels) : (size_t)(comma - *labels);

  snprintf(label, size, "%.*s", (int)length, *labels);
  *labels = comma == NULL ? NULL : comma + 1;
  return label;
}

static pyb_status name_columns(const char *labels, pyb_error *error) {
  size_t kept_columns = 0, given = labels == NULL ? 0 : 1;
  pyb_status status = PYB_OK;

  for (size_t i = 0; i < rows.n; i++)
    kept_columns += rows.columns[i].kind != PYB__GTM_SKIP;
  for (const char *c = labels; c != NULL && *c != '\0'; c++)
    given += *c == ',';
  if (given != 0 && given != kept_columns)
    return pyb__gtm_refuse(error, PYB_BAD_ARGUMENT,
                           "%zu label%s for %zu column%s: %zu of subscripts and %zu "
                           "of fields that the mask keeps",
                           given, given == 1 ? "" : "s", kept_columns,
                           kept_columns == 1 ? "" : "s", rows.levels,
                           kept_columns - rows.levels);
  for (size_t i = 0, n = 0; i < rows.n && status == PYB_OK; i++) {
    char label[512];

    if (rows.columns[i].kind == PYB__GTM_SKIP)
      continue;
    if (labels != NULL)
      next_label(&labels, label, sizeof label);
    else if (rows.columns[i].name != NULL)
      snprintf(label, sizeof label, "%s", rows.columns[i].name);
    else if (i >= rows.levels)
      snprintf(label, sizeof label, "%zu", i - rows.levels + 1);
    else
      snprintf(label, sizeof label, i == 0 ? "globalKey" : "globalKey%zu", i + 1);
    status = pyb_table_name(rows.table, n++, label,
                            rows.columns[i].kind == PYB__GTM_DECIMAL ? "DECIMAL" : NULL,
                            error);
  }
  return status;
}

/* Decimals travel as text; where there are any, the frame is to have numbers. */
static pyb_status parse_decimals(const char *options, char **parsed,
                                 struct ArrowArrayStream *stream, pyb_error *error) {
  static const char parse[] = "{\"parse\": true";
  const char *rest = options == NULL ? "}" : options;
  bool any = false;

  for (size_t i = 0; i < rows.n; i++)
    any = any || rows.columns[i].kind == PYB__GTM_DECIMAL;
  if (!any)
    return PYB_OK;
  rest += strspn(rest, " \t\r\n");
  rest += *rest == '{';
  *parsed = pyb__gtm_malloc(sizeof parse + strlen(rest) + 1);
  if (*parsed == NULL) {
    stream->release(stream);
    return pyb__gtm_refuse(error, PYB_NO_MEMORY, "no memory for the options");
  }
  sprintf(*parsed, "%s%s%s", parse, rest[strspn(rest, " \t\r\n")] == '}' ? "" : ",",
          rest);
  return PYB_OK;
}

pyb_status pyb__gtm_rows_end(const char *variable, const char *type, const char *labels,
                             const char *options, int64_t *count, bool *again,
                             pyb_error *error) {
  struct ArrowArrayStream stream;
  pyb_status status = walking() ? PYB_OK : rows.status;
  char *parsed = NULL;

  *again = false;
  if (status == PYB_OK && rows.table == NULL && !rows.nodes)
    status = end_sample();
  if (status == PYB_OK && (rows.wrong || rows.table == NULL)) {
    *again = true;
    status = begin_again();
  }
  if (status != PYB_OK)
    *error = rows.error;
  if (status != PYB_OK || *again)
    return status;
  status = name_columns(labels, error);
  if (status != PYB_OK)
    return status;
  status = pyb_table_finish(rows.table, &stream, error);
  rows.table = NULL; /* moved */
  if (status == PYB_OK)
    status = parse_decimals(options, &parsed, &stream, error);
  if (status == PYB_OK)
    status = pyb_set_stream(&pyb__gtm_host.session, variable, type,
                            parsed == NULL ? options : parsed, &stream, count, error);
  pyb__gtm_free(parsed);
  return status;
}
