/* order.c: sorts rows by columns.
 *
 * What a row has in a column is made a number of 64 bits whose order is that of the
 * values (its image). Of all bits in which the images differ the highest 32 are sorted
 * by, byte after byte, the lowest first, which keeps rows that are equal in place. A
 * run of rows that have the same 32 is sorted by the bits behind them, and one that has
 * the same image, by what comes behind that: text is sorted seven bytes at a time, and
 * then comes the next column. Short runs are sorted by comparing row with row. */
#include "order.h"

#include <string.h>

#define SHORT_RUN 24
#define PRUNE_FROM 0x4000 /* rows, for which it is worth while to look for the last */
#define PRUNE_BITS 14

/* Rows from `from` up to `to` in order.rows that are equal in the columns before `key`,
 * and in the bytes before `offset` of that one. */
typedef struct run {
  uint32_t from, to;
  uint32_t key;
  int64_t offset;
} run;

typedef struct order {
  const pyb__sorted_by *keys;
  size_t n_keys;
  uint32_t most;
  uint32_t *rows;
  /* Of n_spare each: rows, and the bits of their images that are sorted by. */
  uint32_t *spare_rows, *bits, *spare_bits;
  size_t n_spare;
  run *runs; /* that are still to be sorted; a stack */
  size_t n_runs, room;
} order;

/* ---- Images --------------------------------------------------------------------- */

static int is_null(const pyb_column *column, uint32_t row) {
  return column->kinds == 0 || (column->validity != NULL &&
                                (column->validity[row >> 3] >> (row & 7) & 1) == 0);
}

static int is_text(const pyb_column *column) {
  return column->kinds == 1u << PYB_TEXT || column->kinds == 1u << PYB_BLOB;
}

/* Seven bytes, and how many there were: 8 = more than that. */
static uint64_t text_image(const pyb_column *column, uint32_t row, int64_t offset) {
  const char *text = column->bytes + column->offsets[row] + offset;
  int64_t left = column->offsets[row + (int64_t)1] - column->offsets[row] - offset;
  uint64_t image = 0;

  if (left >= 8)
    return pyb__be64((const uint8_t *)text) >> 8 << 8 | 8;
  for (int64_t i = 0; i < left; i++)
    image |= (uint64_t)(uint8_t)text[i] << (56 - 8 * i);
  return image | (uint64_t)left;
}

static uint64_t image_of(const pyb__sorted_by *key, uint32_t row, int64_t offset) {
  const pyb_column *column = key->column;
  uint64_t image;

  if (is_text(column)) {
    image = text_image(column, row, offset);
  } else if (column->kinds == 1u << PYB_FLOAT64) {
    double real = column->reals[row] + 0.0; /* -0.0 is 0.0 */
    memcpy(&image, &real, 8);
    image ^= image >> 63 != 0 ? UINT64_MAX : (uint64_t)1 << 63;
  } else {
    image = (uint64_t)column->integers[row] ^ (uint64_t)1 << 63;
  }
  return key->descending ? ~image : image;
}

/* Does an image stand for all of the value? */
static int is_whole(const pyb__sorted_by *key, uint64_t image) {
  return !is_text(key->column) || ((key->descending ? ~image : image) & 0xff) != 8;
}

/* ---- Short runs ----------------------------------------------------------------- */

static int compare_text(const pyb_column *column, uint32_t a, uint32_t b,
                        int64_t offset) {
  const int64_t *ends = column->offsets;
  int64_t m = ends[a + (int64_t)1] - ends[a] - offset;
  int64_t n = ends[b + (int64_t)1] - ends[b] - offset;
  size_t size = (size_t)(m < n ? m : n);
  int order = size == 0 ? 0
                        : memcmp(column->bytes + ends[a] + offset,
                                 column->bytes + ends[b] + offset, size);

  return order != 0 ? order : m < n ? -1 : m > n;
}

/* Compare two rows by the columns from run->key on. */
static int compare_rows(const order *order, const run *run, uint32_t a, uint32_t b) {
  int64_t offset = run->offset;

  for (size_t i = run->key; i < order->n_keys; i++, offset = 0) {
    const pyb__sorted_by *key = &order->keys[i];
    int null = is_null(key->column, a), other = is_null(key->column, b), found;

    if (null || other)
      found = key->descending ? null - other : other - null;
    else if (is_text(key->column)) {
      found = compare_text(key->column, a, b, offset);
      if (key->descending)
        found = -found;
    } else {
      uint64_t x = image_of(key, a, 0), y = image_of(key, b, 0);
      found = x < y ? -1 : x > y;
    }
    if (found != 0)
      return found;
  }
  return 0;
}

static void sort_short(const order *order, const run *run) {
  uint32_t *rows = order->rows;

  for (uint32_t i = run->from + 1; i < run->to; i++) {
    uint32_t row = rows[i], k = i;
    for (; k > run->from && compare_rows(order, run, rows[k - 1], row) > 0; k--)
      rows[k] = rows[k - 1];
    rows[k] = row;
  }
}

/* ---- Long runs ------------------------------------------------------------------ */

static pyb__tree_end push(order *order, run run) {
  if (run.to - run.from < 2 || run.key == order->n_keys || run.from >= order->most)
    return PYB__TREE_WHOLE;
  if (run.to - run.from <= SHORT_RUN) {
    sort_short(order, &run);
    return PYB__TREE_WHOLE;
  }
  if (order->n_runs == order->room) {
    size_t room = order->room == 0 ? 64 : order->room * 2;
    void *grown = sqlite3_realloc64(order->runs, room * sizeof *order->runs);
    if (grown == NULL)
      return PYB__TREE_NO_MEMORY;
    order->runs = grown;
    order->room = room;
  }
  order->runs[order->n_runs++] = run;
  return PYB__TREE_WHOLE;
}

/* Have the spare arrays hold so many rows. The first run is the longest of all. */
static pyb__tree_end make_spare(order *order, size_t n) {
  if (n <= order->n_spare)
    return PYB__TREE_WHOLE;
  sqlite3_free(order->bits);
  sqlite3_free(order->spare_bits);
  sqlite3_free(order->spare_rows);
  order->bits = sqlite3_malloc64(n * sizeof *order->bits);
  order->spare_bits = sqlite3_malloc64(n * sizeof *order->spare_bits);
  order->spare_rows = sqlite3_malloc64(n * sizeof *order->spare_rows);
  order->n_spare = 0;
  if (order->bits == NULL || order->spare_bits == NULL || order->spare_rows == NULL)
    return PYB__TREE_NO_MEMORY;
  order->n_spare = n;
  return PYB__TREE_WHOLE;
}

/* Put the rows with NULL to one end of the run, where they are a run of their own. */
static pyb__tree_end part_nulls(order *order, run *run) {
  const pyb__sorted_by *key = &order->keys[run->key];
  uint32_t *rows = order->rows, kept = 0, nulls = 0;
  struct run apart = {run->from, run->to, run->key + 1, 0};

  if (key->column->nulls == 0 || run->offset != 0)
    return PYB__TREE_WHOLE;
  for (uint32_t i = run->from; i < run->to; i++) {
    if (is_null(key->column, rows[i]))
      order->spare_rows[nulls++] = rows[i];
    else
      rows[run->from + kept++] = rows[i];
  }
  if (key->descending) {
    memcpy(rows + run->from + kept, order->spare_rows, nulls * sizeof *rows);
    apart.from = run->to = run->from + kept;
  } else {
    memmove(rows + run->from + nulls, rows + run->from, kept * sizeof *rows);
    memcpy(rows + run->from, order->spare_rows, nulls * sizeof *rows);
    apart.to = run->from = run->from + nulls;
  }
  return push(order, apart);
}

/* Leave out, of a long first run, the rows that come behind the last that is wanted:
 * found by the highest bits. `width` is how many bits differ. */
static void prune(order *order, run *run, int width) {
  uint32_t n = run->to - run->from, wanted, kept = 0, last = 0, sum = 0;
  uint32_t *counts = order->spare_rows, *rows = order->rows + run->from;
  int shift = width > PRUNE_BITS ? width - PRUNE_BITS : 0;

  if (n < PRUNE_FROM || order->most >= run->to || order->most <= run->from)
    return;
  wanted = order->most - run->from;
  memset(counts, 0, ((size_t)1 << PRUNE_BITS) * sizeof *counts);
  for (uint32_t i = 0; i < n; i++)
    counts[order->bits[i] >> shift]++;
  while (sum + counts[last] < wanted)
    sum += counts[last++];
  for (uint32_t i = 0; i < n; i++)
    if (order->bits[i] >> shift <= last) {
      order->bits[kept] = order->bits[i];
      rows[kept++] = rows[i];
    }
  run->to = run->from + kept;
}

/* Sort by one byte of the bits, into the spare arrays, and change these for those. */
static void sort_byte(order *order, const run *run, int shift) {
  uint32_t n = run->to - run->from, starts[256] = {0}, sum = 0;
  uint32_t *rows = order->rows + run->from, *bits = order->bits;

  for (uint32_t i = 0; i < n; i++)
    starts[bits[i] >> shift & 0xff]++;
  for (int i = 0; i < 256; i++) {
    uint32_t count = starts[i];
    starts[i] = sum;
    sum += count;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t to = starts[bits[i] >> shift & 0xff]++;
    order->spare_bits[to] = bits[i];
    order->spare_rows[to] = rows[i];
  }
  memcpy(rows, order->spare_rows, n * sizeof *rows);
  order->bits = order->spare_bits;
  order->spare_bits = bits;
}

/* How many bytes all texts of a run have in common behind the run's offset. */
static int64_t common_bytes(const order *order, const run *run) {
  const pyb_column *column = order->keys[run->key].column;
  const int64_t *ends = column->offsets;
  uint32_t first = order->rows[run->from];
  const char *text = column->bytes + ends[first] + run->offset;
  int64_t common = ends[first + (int64_t)1] - ends[first] - run->offset;

  for (uint32_t i = run->from + 1; i < run->to; i++) {
    uint32_t row = order->rows[i];
    const char *other = column->bytes + ends[row] + run->offset;
    int64_t most = ends[row + (int64_t)1] - ends[row] - run->offset, k = 0;
    if (most > common)
      most = common;
    while (k + 8 <= most && memcmp(text + k, other + k, 8) == 0)
      k += 8;
    while (k < most && text[k] == other[k])
      k++;
    common = k;
  }
  return common;
}

/* Runs of rows that have the same bits are sorted by what comes behind these: `shift`
 * bits of the image, or the rest of the text, or the next column. */
static pyb__tree_end push_equals(order *order, const run *run, int shift) {
  const pyb__sorted_by *key = &order->keys[run->key];
  pyb__tree_end end = PYB__TREE_WHOLE;
  uint32_t n = run->to - run->from;

  for (uint32_t i = 0, first = 0; i < n && end == PYB__TREE_WHOLE; first = i) {
    struct run equals = {run->from + first, 0, run->key, run->offset};
    while (i < n && order->bits[i] == order->bits[first])
      i++;
    equals.to = run->from + i;
    if (shift == 0 && equals.to - equals.from > 1) {
      uint64_t image = image_of(key, order->rows[equals.from], run->offset);
      if (is_whole(key, image)) {
        equals.key++;
        equals.offset = 0;
      } else
        equals.offset += common_bytes(order, &equals);
    }
    end = push(order, equals);
  }
  return end;
}

static pyb__tree_end sort_run(order *order, run run) {
  const pyb__sorted_by *key = &order->keys[run.key];
  pyb__tree_end end = make_spare(order, run.to - run.from);
  uint64_t first, differ = 0;
  int width, shift;

  if (end == PYB__TREE_WHOLE)
    end = part_nulls(order, &run);
  if (end != PYB__TREE_WHOLE || run.to == run.from)
    return end;
  first = image_of(key, order->rows[run.from], run.offset);
  for (uint32_t i = run.from + 1; i < run.to; i++)
    differ |= image_of(key, order->rows[i], run.offset) ^ first;
  width = differ == 0 ? 0 : 64 - __builtin_clzll(differ);
  shift = width > 32 ? width - 32 : 0;
  width -= shift;
  for (uint32_t i = run.from; i < run.to; i++) {
    uint64_t image = image_of(key, order->rows[i], run.offset) >> shift;
    order->bits[i - run.from] =
        (uint32_t)image & (uint32_t)(((uint64_t)1 << width) - 1);
  }
  prune(order, &run, width);
  for (int from = 0; from < width; from += 8)
    if ((differ >> shift >> from & 0xff) != 0)
      sort_byte(order, &run, from);
  return push_equals(order, &run, shift);
}

pyb__tree_end pyb__order_rows(const pyb__sorted_by *keys, size_t n_keys, uint32_t n,
                              uint32_t most, uint32_t *rows,
                              int (*interrupted)(void *host), void *host) {
  order order = {.keys = keys, .n_keys = n_keys, .most = most, .rows = rows};
  pyb__tree_end end;

  for (uint32_t i = 0; i < n; i++)
    rows[i] = i;
  end = push(&order, (run){0, n, 0, 0});
  while (end == PYB__TREE_WHOLE && order.n_runs != 0) {
    run run = order.runs[--order.n_runs];
    if (run.to - run.from > PRUNE_FROM && interrupted != NULL && interrupted(host))
      end = PYB__TREE_INTERRUPTED;
    else
      end = sort_run(&order, run);
  }
  sqlite3_free(order.bits);
  sqlite3_free(order.spare_bits);
  sqlite3_free(order.spare_rows);
  sqlite3_free(order.runs);
  return end;
}
