/* lookup.c: a hash of one column of a frame, for the inner side of a join. */
#include <string.h>

#include "lookup.h"

#define END UINT32_MAX

struct pyb__lookup {
  int text;       /* of texts, else of numbers */
  uint32_t mask;  /* buckets - 1 */
  uint32_t *next; /* per row: the next one of its bucket */
  uint32_t heads[];
};

static uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ x >> 32;
}

/* A float that is a whole number equals the integer, so it must hash as that. */
static uint64_t hash_real(double real) {
  uint64_t bits;

  if (real >= -9223372036854775808.0 && real < 9223372036854775808.0 &&
      real == (double)(int64_t)real)
    return mix((uint64_t)(int64_t)real);
  memcpy(&bits, &real, sizeof bits);
  return mix(bits);
}

static uint64_t hash_text(const char *text, int64_t size) {
  uint64_t hash = (uint64_t)size, word;

  for (; size >= 8; text += 8, size -= 8) {
    memcpy(&word, text, 8);
    hash = mix(hash ^ word);
  }
  word = 0;
  memcpy(&word, text, (size_t)size);
  return mix(hash ^ word);
}

/* Hash cell `row`; 0 = it is NULL, or broken, and equals nothing. */
static int hash_cell(const pyb__cells *cells, int64_t row, uint64_t *hash) {
  int64_t at = cells->offset + row, start, end;

  if (cells->validity != NULL && !((cells->validity[at >> 3] >> (at & 7)) & 1))
    return 0;
  switch (cells->layout) {
  case PYB__CELL_INT64:
    *hash = mix((uint64_t)PYB__NUMBER(int64_t, cells->values, at));
    return 1;
  case PYB__CELL_FLOAT64:
    *hash = hash_real(PYB__NUMBER(double, cells->values, at));
    return 1;
  default:
    start = PYB__NUMBER(int64_t, cells->values, at);
    end = PYB__NUMBER(int64_t, cells->values, at + 1);
    if (start < cells->first || start > end || end > cells->last)
      return 0;
    *hash = hash_text(cells->bytes + start, end - start);
    return 1;
  }
}

/* Put the rows of one batch in their buckets; from the last on, so that each bucket is
 * in ascending order in the end. */
static void put_batch(pyb__lookup *lookup, const pyb__batch *batch, size_t column) {
  const pyb__cells *cells = &batch->cells[column];
  uint64_t hash = 0;

  for (int64_t row = batch->rows - 1; row >= 0; row--) {
    uint32_t number = (uint32_t)(batch->row + row), *head;
    if (!hash_cell(cells, row, &hash))
      continue;
    head = &lookup->heads[hash & lookup->mask];
    lookup->next[number] = *head;
    *head = number;
  }
}

pyb__lookup *pyb__lookup_new(pyb__batch *const *batches, size_t n, size_t column,
                             int64_t rows) {
  pyb__lookup *lookup;
  uint64_t buckets = 16;
  pyb__layout layout;

  if (n == 0 || rows >= END)
    return NULL;
  layout = batches[0]->cells[column].layout;
  if ((layout != PYB__CELL_INT64 && layout != PYB__CELL_FLOAT64 &&
       layout != PYB__CELL_TEXT64) ||
      batches[0]->cells[column].index != PYB__CELL_NONE)
    return NULL;
  while (buckets < (uint64_t)rows)
    buckets *= 2;
  lookup = sqlite3_malloc64(sizeof *lookup +
                            (buckets + (uint64_t)rows) * sizeof *lookup->heads);
  if (lookup == NULL)
    return NULL;
  lookup->text = layout == PYB__CELL_TEXT64;
  lookup->mask = (uint32_t)(buckets - 1);
  lookup->next = lookup->heads + buckets;
  memset(lookup->heads, 0xFF, buckets * sizeof *lookup->heads);
  for (size_t i = n; i-- > 0;)
    put_batch(lookup, batches[i], column);
  return lookup;
}

void pyb__lookup_release(pyb__lookup *lookup) {
  sqlite3_free(lookup);
}

int pyb__lookup_find(const pyb__lookup *lookup, sqlite3_value *value, int64_t *row) {
  int type = sqlite3_value_type(value);
  uint64_t hash;
  uint32_t head;

  *row = -1;
  if (type == SQLITE_NULL)
    return 1;
  if (type == SQLITE_TEXT && lookup->text) {
    const char *text = (const char *)sqlite3_value_text(value);
    if (text == NULL)
      return 0;
    hash = hash_text(text, sqlite3_value_bytes(value));
  } else if (type == SQLITE_INTEGER && !lookup->text)
    hash = mix((uint64_t)sqlite3_value_int64(value));
  else if (type == SQLITE_FLOAT && !lookup->text)
    hash = hash_real(sqlite3_value_double(value));
  else
    return 0;
  head = lookup->heads[hash & lookup->mask];
  *row = head == END ? -1 : (int64_t)head;
  return 1;
}

int64_t pyb__lookup_next(const pyb__lookup *lookup, int64_t row) {
  uint32_t next = lookup->next[row];

  return next == END ? -1 : (int64_t)next;
}
