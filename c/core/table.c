/* table.c: rows being built column by column. */
#include <math.h>
#include <string.h>

#include "table.h"

#define FIRST_CAPACITY 256
#define MOST_CELLS (INT64_MAX / 32) /* so that no size in bytes overflows */
#define MOST_BYTES (INT64_MAX / 4)

/* ---- Columns: growing ----------------------------------------------------------- */

static size_t validity_size(int64_t capacity) {
  return (size_t)(capacity + 7) / 8;
}

/* Resize one buffer in place; the sizes are in bytes. */
#define RESIZE(pointer, old_size, size)                                                \
  do {                                                                                 \
    void *resized = pyb__buffer_resize((pointer), (old_size), (size));                 \
    if (resized == NULL)                                                               \
      return PYB_NO_MEMORY;                                                            \
    (pointer) = resized;                                                               \
  } while (0)

/* Buffers are resized one after the other, and `capacity` says what all of them hold.
 * When a later one fails the earlier ones are larger than it says, which the sizes
 * recorded here take care of: each buffer's size is a function of its own capacity. */
typedef struct capacities {
  int64_t cells, validity, tags, slots, ends;
} capacities;

typedef struct column_rest {
  pyb__column_rest shared;
  capacities own;
} column_rest;

static column_rest *rest_of(const pyb_column *column) {
  return column->rest;
}

static pyb_status grow_cells(pyb_column *column, int64_t capacity) {
  column_rest *rest = rest_of(column);
  bool ends = !pyb__is_mixed(column) && !pyb__is_fixed(pyb__only_type(column));

  if (column->integers == NULL && (column->kinds == 0 || pyb__is_mixed(column)))
    return PYB_OK;
  if (rest->own.cells < capacity + ends) {
    RESIZE(column->integers, (size_t)rest->own.cells * 8,
           (size_t)(capacity + ends) * 8);
    rest->own.cells = capacity + ends;
  }
  return PYB_OK;
}

static pyb_status grow_validity(pyb_column *column, int64_t capacity) {
  column_rest *rest = rest_of(column);

  if (rest->own.validity < capacity) {
    RESIZE(column->validity, validity_size(rest->own.validity),
           validity_size(capacity));
    memset(column->validity + validity_size(rest->own.validity), 0,
           validity_size(capacity) - validity_size(rest->own.validity));
    rest->own.validity = capacity;
  }
  return PYB_OK;
}

static pyb_status grow_mixed(column_rest *rest, int64_t capacity) {
  pyb__column_rest *mixed = &rest->shared;

  if (rest->own.tags < capacity) {
    RESIZE(mixed->tags, (size_t)rest->own.tags, (size_t)capacity);
    rest->own.tags = capacity;
  }
  if (rest->own.slots < capacity) {
    RESIZE(mixed->slots, (size_t)rest->own.slots * 8, (size_t)capacity * 8);
    rest->own.slots = capacity;
  }
  if (rest->own.ends < capacity + 1) {
    RESIZE(mixed->ends, (size_t)rest->own.ends * 8, (size_t)(capacity + 1) * 8);
    rest->own.ends = capacity + 1;
  }
  return PYB_OK;
}

static pyb_status grow(pyb_column *column, int64_t capacity) {
  pyb_status status =
      capacity > MOST_CELLS ? PYB_NO_MEMORY : grow_cells(column, capacity);

  if (status == PYB_OK && column->validity != NULL)
    status = grow_validity(column, capacity);
  if (status == PYB_OK && pyb__is_mixed(column))
    status = grow_mixed(rest_of(column), capacity);
  if (status == PYB_OK)
    column->capacity = capacity;
  return status;
}

static pyb_status grow_bytes(pyb_column *column, size_t size) {
  int64_t wanted, capacity = column->bytes_capacity * 2;

  if (size > MOST_BYTES || column->bytes_size > MOST_BYTES)
    return PYB_NO_MEMORY;
  wanted = column->bytes_size + (int64_t)size;
  if (wanted <= column->bytes_capacity)
    return PYB_OK;
  if (capacity < 4096)
    capacity = 4096;
  if (capacity < wanted)
    capacity = wanted;
  RESIZE(column->bytes, (size_t)column->bytes_capacity, (size_t)capacity);
  column->bytes_capacity = capacity;
  return PYB_OK;
}

/* ---- Columns: types ------------------------------------------------------------- */

static void set_valid(pyb_column *column, int64_t i) {
  column->validity[i >> 3] |= (uint8_t)(1u << (i & 7));
}

/* The first NULL: all cells before it are valid. */
static pyb_status start_validity(pyb_column *column) {
  pyb_status status = grow_validity(column, column->capacity);

  if (status != PYB_OK)
    return status;
  for (int64_t i = 0; i < column->length; i++)
    set_valid(column, i);
  return PYB_OK;
}

/* The first cell that is not NULL decides the column's buffer. */
static pyb_status start_type(pyb_column *column, pyb_type type) {
  pyb_status status;

  column->kinds = 1u << type;
  status = grow_cells(column, column->capacity);
  if (status != PYB_OK)
    column->kinds = 0;
  else if (type == PYB_FLOAT64)
    for (int64_t i = 0; i < column->length; i++)
      column->reals[i] = NAN;
  else
    memset(column->integers, 0,
           (size_t)(column->length + !pyb__is_fixed(type)) * sizeof(int64_t));
  return status;
}

/* A second type: note the type of every cell from here on, and keep numbers and text
 * beside each other until pyb__column_settle knows them all. */
static pyb_status start_mixture(pyb_column *column) {
  column_rest *rest = rest_of(column);
  pyb__column_rest *mixed = &rest->shared;
  pyb_type type = pyb__only_type(column);
  pyb_status status = grow_mixed(rest, column->capacity);

  if (status != PYB_OK)
    return status;
  for (int64_t i = 0; i < column->length; i++) {
    bool valid =
        column->validity == NULL || (column->validity[i >> 3] & (1u << (i & 7))) != 0;
    mixed->tags[i] = valid ? (uint8_t)type : PYB_NULL;
  }
  if (pyb__is_fixed(type)) {
    memcpy(mixed->slots, column->integers, (size_t)column->length * 8);
    memset(mixed->ends, 0, (size_t)(column->length + 1) * 8);
  } else {
    memset(mixed->slots, 0, (size_t)column->length * 8);
    memcpy(mixed->ends, column->offsets, (size_t)(column->length + 1) * 8);
  }
  pyb__buffer_free(column->integers, (size_t)rest->own.cells * 8);
  column->integers = NULL;
  rest->own.cells = 0;
  return PYB_OK;
}

static void append_mixed(pyb_column *column, const pyb_value *value) {
  pyb__column_rest *mixed = &rest_of(column)->shared;
  int64_t i = column->length;

  mixed->tags[i] = (uint8_t)value->type;
  mixed->slots[i] = 0;
  if (value->type != PYB_NULL && pyb__is_fixed(value->type))
    memcpy(&mixed->slots[i], &value->integer, 8);
  mixed->ends[i + 1] = column->bytes_size;
}

static void append_plain(pyb_column *column, const pyb_value *value) {
  int64_t i = column->length;
  pyb_type type = pyb__only_type(column);

  if (type == PYB_NULL)
    return;
  if (!pyb__is_fixed(type))
    column->offsets[i + 1] = column->bytes_size;
  else if (value->type != PYB_NULL)
    memcpy(&column->integers[i], &value->integer, 8);
  else if (type == PYB_FLOAT64)
    column->reals[i] = NAN;
  else
    column->integers[i] = 0;
}

pyb_status pyb_column_append(pyb_column *column, const pyb_value *value) {
  uint32_t kind = value->type == PYB_NULL ? 0 : 1u << value->type;
  pyb_status status = PYB_OK;

  if (value->type == PYB_JSON) {
    pyb_value text = {.type = PYB_TEXT, .data = value->data, .size = value->size};
    return pyb_column_append(column, &text);
  }
  if (kind != 0 && !pyb__is_fixed(value->type) && value->size == PYB_NTS) {
    pyb_value sized = {.type = value->type, .data = value->data};
    sized.size = value->data == NULL ? 0 : strlen(value->data);
    return pyb_column_append(column, &sized);
  }

  if (value->type == PYB_HANDLE) /* no cell of any column */
    return PYB_UNSUPPORTED;
  if (column->length == column->capacity)
    status =
        grow(column, column->capacity == 0 ? FIRST_CAPACITY : column->capacity * 2);
  if (status == PYB_OK && kind == 0 && column->validity == NULL)
    status = start_validity(column);
  if (status == PYB_OK && kind != 0 && !pyb__is_fixed(value->type))
    status = grow_bytes(column, value->size);
  /* Last, as these change what the column is: nothing may fail after them. */
  if (status == PYB_OK && kind != 0 && column->kinds == 0)
    status = start_type(column, value->type);
  else if (status == PYB_OK && (column->kinds | kind) != column->kinds &&
           !pyb__is_mixed(column))
    status = start_mixture(column);
  if (status != PYB_OK)
    return status;

  column->kinds |= kind;
  if (kind != 0 && !pyb__is_fixed(value->type) && value->size != 0) {
    memcpy(column->bytes + column->bytes_size, value->data, value->size);
    column->bytes_size += (int64_t)value->size;
  }
  if (pyb__is_mixed(column))
    append_mixed(column, value);
  else
    append_plain(column, value);
  if (kind == 0)
    column->nulls++;
  else if (column->validity != NULL)
    set_valid(column, column->length);
  column->length++;
  return PYB_OK;
}

void pyb__column_clear(pyb_column *column) {
  column_rest *rest = rest_of(column);

  if (rest == NULL)
    return;
  pyb__buffer_free(column->integers, (size_t)rest->own.cells * 8);
  pyb__buffer_free(column->validity, validity_size(rest->own.validity));
  pyb__buffer_free(column->bytes, (size_t)column->bytes_capacity);
  pyb__buffer_free(rest->shared.tags, (size_t)rest->own.tags);
  pyb__buffer_free(rest->shared.slots, (size_t)rest->own.slots * 8);
  pyb__buffer_free(rest->shared.ends, (size_t)rest->own.ends * 8);
  pyb__free(rest->shared.name);
  pyb__free(rest->shared.declared);
  pyb__free(rest);
  memset(column, 0, sizeof *column);
}

/* ---- Settling a mixture --------------------------------------------------------- */

static bool exact_in_float(int64_t integer) {
  double real = (double)integer;
  return real < 9223372036854775808.0 && (int64_t)real == integer;
}

/* The type that holds all cells, by the rule in pybridge.h. */
static pyb_type common_type(const pyb_column *column) {
  const pyb__column_rest *mixed = &rest_of(column)->shared;
  uint32_t integers = 1u << PYB_BOOL | 1u << PYB_INT64;

  if ((column->kinds & ~integers) == 0)
    return PYB_INT64;
  if ((column->kinds & 1u << PYB_BLOB) != 0)
    return PYB_BLOB;
  if ((column->kinds & ~(integers | 1u << PYB_FLOAT64)) != 0)
    return PYB_TEXT;
  for (int64_t i = 0; i < column->length; i++)
    if (mixed->tags[i] == PYB_INT64 && !exact_in_float(mixed->slots[i]))
      return PYB_TEXT;
  return PYB_FLOAT64;
}

static void settle_numbers(pyb_column *column, pyb_type type) {
  column_rest *rest = rest_of(column);
  pyb__column_rest *mixed = &rest->shared;

  for (int64_t i = 0; i < column->length && type == PYB_FLOAT64; i++) {
    double real = mixed->tags[i] == PYB_NULL ? NAN : (double)mixed->slots[i];
    if (mixed->tags[i] != PYB_FLOAT64)
      memcpy(&mixed->slots[i], &real, 8);
  }
  column->integers = mixed->slots;
  rest->own.cells = rest->own.slots;
  mixed->slots = NULL;
  rest->own.slots = 0;
}

/* Write all cells anew as text. */
static pyb_status settle_text(pyb_column *column) {
  column_rest *rest = rest_of(column);
  pyb__column_rest *mixed = &rest->shared;
  char *old = column->bytes, text[PYB__TEXT_ROOM];
  int64_t old_capacity = column->bytes_capacity, start = 0;
  pyb_status status = PYB_OK;

  column->bytes = NULL;
  column->bytes_size = column->bytes_capacity = 0;
  for (int64_t i = 0; i < column->length && status == PYB_OK; i++) {
    pyb_value cell = {.type = mixed->tags[i]};
    const char *data = text;
    size_t size = 0;
    if (cell.type != PYB_NULL && pyb__is_fixed(cell.type)) {
      memcpy(&cell.integer, &mixed->slots[i], 8);
      size = pyb__value_text(&cell, text);
    } else if (cell.type != PYB_NULL) {
      data = old + start;
      size = (size_t)(mixed->ends[i + 1] - start);
    }
    start = mixed->ends[i + 1];
    status = grow_bytes(column, size);
    if (status == PYB_OK && size != 0)
      memcpy(column->bytes + column->bytes_size, data, size);
    if (status == PYB_OK)
      mixed->ends[i + 1] = column->bytes_size += (int64_t)size;
  }
  pyb__buffer_free(old, (size_t)old_capacity);
  if (status != PYB_OK)
    return status;
  column->offsets = mixed->ends;
  rest->own.cells = rest->own.ends;
  mixed->ends = NULL;
  rest->own.ends = 0;
  return PYB_OK;
}

/* Arrow's days are of 32 bits. */
static pyb_status check_days(const pyb_column *column, pyb_error *error) {
  const char *name = rest_of(column)->shared.name;

  for (int64_t i = 0; i < column->length; i++)
    if (column->integers[i] != (int32_t)column->integers[i])
      return pyb__fail(error, PYB_UNSUPPORTED,
                       "column \"%s\", cell %lld: day %lld is too far from today",
                       name == NULL ? "" : name, (long long)i,
                       (long long)column->integers[i]);
  return PYB_OK;
}

pyb_status pyb__column_settle(pyb_column *column, pyb_error *error) {
  pyb_type type;

  if (column->kinds == 1u << PYB_DATE)
    return check_days(column, error);
  if (!pyb__is_mixed(column))
    return PYB_OK;
  type = common_type(column);
  if (pyb__is_fixed(type))
    settle_numbers(column, type);
  else if (settle_text(column) != PYB_OK)
    return pyb__fail(
        error, PYB_NO_MEMORY, "no memory for column \"%s\" of %lld cells",
        rest_of(column)->shared.name == NULL ? "" : rest_of(column)->shared.name,
        (long long)column->length);
  column->kinds = 1u << type;
  return PYB_OK;
}

/* ---- Tables --------------------------------------------------------------------- */

pyb_status pyb_table_new(size_t n, pyb_table **table, pyb_error *error) {
  pyb_table *made;

  if (table == NULL)
    return pyb__fail(error, PYB_BAD_ARGUMENT, "the place for the table is missing");
  *table = NULL;
  made = pyb__calloc(1, sizeof *made);
  if (made == NULL)
    goto failed;
  pyb__live_add(1);
  made->columns = pyb__calloc(n, sizeof *made->columns);
  if (made->columns == NULL)
    goto failed;
  for (made->n = 0; made->n < n; made->n++) {
    made->columns[made->n].rest = pyb__calloc(1, sizeof(column_rest));
    if (made->columns[made->n].rest == NULL)
      goto failed;
  }
  *table = made;
  return PYB_OK;

failed:
  pyb_table_release(made);
  return pyb__fail(error, PYB_NO_MEMORY, "no memory for a table of %zu columns", n);
}

static char *copy_name(const char *name) {
  size_t size = strlen(name) + 1;
  char *copy = pyb__malloc(size);

  return copy == NULL ? NULL : memcpy(copy, name, size);
}

pyb_status pyb_table_name(pyb_table *table, size_t i, const char *name,
                          const char *declared, pyb_error *error) {
  pyb__column_rest *rest;

  if (name == NULL)
    return pyb__fail(error, PYB_BAD_ARGUMENT, "the column's name is missing (NULL)");
  if (i >= table->n)
    return pyb__fail(error, PYB_BAD_ARGUMENT,
                     "there is no column %zu: the number of columns is %zu", i,
                     table->n);
  rest = &rest_of(&table->columns[i])->shared;
  pyb__free(rest->name);
  pyb__free(rest->declared);
  rest->name = copy_name(name);
  rest->declared = declared == NULL ? NULL : copy_name(declared);
  if (rest->name == NULL || (declared != NULL && rest->declared == NULL))
    return pyb__fail(error, PYB_NO_MEMORY, "no memory for the name of column %zu", i);
  return PYB_OK;
}

pyb_status pyb_table_reserve(pyb_table *table, int64_t rows, pyb_error *error) {
  if (rows < 0)
    return pyb__fail(error, PYB_BAD_ARGUMENT, "%lld rows cannot be reserved",
                     (long long)rows);
  for (size_t i = 0; i < table->n; i++)
    if (table->columns[i].capacity < rows && grow(&table->columns[i], rows) != PYB_OK)
      return pyb__fail(error, PYB_NO_MEMORY, "no memory for %lld rows",
                       (long long)rows);
  return PYB_OK;
}

/* ---- Rows in another order ------------------------------------------------------ */

/* What lies scattered is asked for so many rows ahead. */
#define AHEAD 16

/* Which rows of a column are taken, and how many cells its new buffers have room for.
 */
typedef struct choice {
  const uint32_t *rows;
  int64_t n, room;
} choice;

static pyb_status take_words(int64_t **words, int64_t *capacity, const choice *choice) {
  const int64_t *old = *words;
  int64_t *taken = pyb__buffer_resize(NULL, 0, (size_t)choice->room * 8);

  if (taken == NULL)
    return PYB_NO_MEMORY;
  for (int64_t i = 0; i < choice->n; i++) {
    if (i + AHEAD < choice->n)
      __builtin_prefetch(&old[choice->rows[i + AHEAD]]);
    taken[i] = old[choice->rows[i]];
  }
  pyb__buffer_free(*words, (size_t)*capacity * 8);
  *words = taken;
  *capacity = choice->room;
  return PYB_OK;
}

static pyb_status take_tags(uint8_t **tags, int64_t *capacity, const choice *choice) {
  uint8_t *taken = pyb__buffer_resize(NULL, 0, (size_t)choice->room);

  if (taken == NULL)
    return PYB_NO_MEMORY;
  for (int64_t i = 0; i < choice->n; i++)
    taken[i] = (*tags)[choice->rows[i]];
  pyb__buffer_free(*tags, (size_t)*capacity);
  *tags = taken;
  *capacity = choice->room;
  return PYB_OK;
}

static pyb_status take_validity(pyb_column *column, const choice *choice) {
  column_rest *rest = rest_of(column);
  uint8_t *old = column->validity;
  uint8_t *taken = pyb__buffer_resize(NULL, 0, validity_size(choice->room));
  int64_t valid = 0;

  if (taken == NULL)
    return PYB_NO_MEMORY;
  memset(taken, 0, validity_size(choice->room));
  for (int64_t i = 0; i < choice->n; i++) {
    uint32_t row = choice->rows[i];
    uint8_t bit = old[row >> 3] >> (row & 7) & 1;
    taken[i >> 3] |= (uint8_t)(bit << (i & 7));
    valid += bit;
  }
  pyb__buffer_free(old, validity_size(rest->own.validity));
  column->validity = taken;
  column->nulls = choice->n - valid;
  rest->own.validity = choice->room;
  return PYB_OK;
}

/* The bytes of all cells, one behind the other. They end at ends[i + 1]. */
static pyb_status take_bytes(pyb_column *column, const int64_t *ends,
                             const choice *choice) {
  const uint32_t *rows = choice->rows;
  int64_t size = 0, at = 0;
  char *taken = NULL;

  for (int64_t i = 0; i < choice->n; i++)
    size += ends[rows[i] + (int64_t)1] - ends[rows[i]];
  if (size != 0) {
    taken = pyb__buffer_resize(NULL, 0, (size_t)size);
    if (taken == NULL)
      return PYB_NO_MEMORY;
  }
  for (int64_t i = 0; i < choice->n; i++) {
    int64_t start = ends[rows[i]], length = ends[rows[i] + (int64_t)1] - start;
    if (i + 2 * AHEAD < choice->n)
      __builtin_prefetch(&ends[rows[i + 2 * AHEAD]]);
    if (i + AHEAD < choice->n)
      __builtin_prefetch(column->bytes + ends[rows[i + AHEAD]]);
    if (length != 0)
      memcpy(taken + at, column->bytes + start, (size_t)length);
    at += length;
  }
  pyb__buffer_free(column->bytes, (size_t)column->bytes_capacity);
  column->bytes = taken;
  column->bytes_size = column->bytes_capacity = size;
  return PYB_OK;
}

/* The bytes first, and where they end when the old ones are gone: the most memory that
 * this takes is that of the widest column's bytes. */
static pyb_status take_texts(pyb_column *column, int64_t **ends, int64_t *capacity,
                             const choice *choice) {
  pyb_status status = take_bytes(column, *ends, choice);
  const int64_t *old = *ends;
  int64_t *taken;

  if (status != PYB_OK)
    return status;
  taken = pyb__buffer_resize(NULL, 0, (size_t)(choice->room + 1) * 8);
  if (taken == NULL)
    return PYB_NO_MEMORY;
  taken[0] = 0;
  for (int64_t i = 0; i < choice->n; i++) {
    uint32_t row = choice->rows[i];
    if (i + AHEAD < choice->n)
      __builtin_prefetch(&old[choice->rows[i + AHEAD]]);
    taken[i + 1] = taken[i] + old[row + (int64_t)1] - old[row];
  }
  pyb__buffer_free(*ends, (size_t)*capacity * 8);
  *ends = taken;
  *capacity = choice->room + 1;
  return PYB_OK;
}

static pyb_status take_rows(pyb_column *column, const choice *choice) {
  column_rest *rest = rest_of(column);
  pyb__column_rest *mixed = &rest->shared;
  pyb_status status = PYB_OK;

  if (column->validity != NULL)
    status = take_validity(column, choice);
  if (status == PYB_OK && pyb__is_mixed(column)) {
    status = take_tags(&mixed->tags, &rest->own.tags, choice);
    if (status == PYB_OK)
      status = take_words(&mixed->slots, &rest->own.slots, choice);
    if (status == PYB_OK)
      status = take_texts(column, &mixed->ends, &rest->own.ends, choice);
  } else if (status == PYB_OK && column->kinds != 0)
    status = pyb__is_fixed(pyb__only_type(column))
                 ? take_words(&column->integers, &rest->own.cells, choice)
                 : take_texts(column, &column->offsets, &rest->own.cells, choice);
  if (status != PYB_OK)
    return status;
  if (column->kinds == 0)
    column->nulls = choice->n;
  column->length = choice->n;
  column->capacity = choice->room;
  return PYB_OK;
}

pyb_status pyb_table_take(pyb_table *table, const uint32_t *rows, int64_t n,
                          pyb_error *error) {
  choice choice = {rows, n, n == 0 ? 8 : n};
  pyb_status status = PYB_OK;
  size_t widest = 0;

  for (size_t i = 0; i < table->n; i++)
    for (int64_t k = 0; k < n; k++)
      if (rows[k] >= table->columns[i].length)
        return pyb__fail(error, PYB_BAD_ARGUMENT,
                         "there is no cell %lld in column %zu, whose length is %lld",
                         (long long)rows[k], i, (long long)table->columns[i].length);
  for (size_t i = 1; i < table->n; i++)
    if (table->columns[i].bytes_size > table->columns[widest].bytes_size)
      widest = i;
  /* What the first column leaves is used for the next, so this is the most memory. */
  for (size_t i = 0; i < table->n && status == PYB_OK; i++)
    status = take_rows(&table->columns[(widest + i) % table->n], &choice);
  if (status != PYB_OK)
    return pyb__fail(error, PYB_NO_MEMORY, "no memory for %lld rows", (long long)n);
  return PYB_OK;
}

pyb_column *pyb_table_column(pyb_table *table, size_t i) {
  return i < table->n ? &table->columns[i] : NULL;
}

void pyb_table_release(pyb_table *table) {
  if (table == NULL)
    return;
  for (size_t i = 0; i < table->n && table->columns != NULL; i++)
    pyb__column_clear(&table->columns[i]);
  pyb__free(table->columns);
  pyb__free(table);
  pyb__live_add(-1);
}
