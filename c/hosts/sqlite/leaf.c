/* leaf.c: takes the cells of a leaf page apart and appends them to the columns.
 *
 * In two steps, because that is several times as fast as cell by cell: first the
 * headers of some rows are read, one after the other; then each column takes its cells
 * of all these rows in one loop in which the column's state is in registers.
 */
#include "btree.h"

#include <math.h>
#include <string.h>

#define ROWS 64               /* at a time: the validity bits of so many fit one word */
#define CELLS 16384           /* at a time, so that wide tables stay in the cache too */
#define IMPOSSIBLE UINT32_MAX /* longer than any record, so that it is refused */
#define LONGEST_HEADER 98307  /* SQLite's own limit: 32767 types of 3 bytes */

/* How long the cell of a one-byte serial type is (§2.1). */
static const uint32_t sizes[128] = {
#define TEXT2(n) n, n
#define TEXT8(n) TEXT2(n), TEXT2(n + 1), TEXT2(n + 2), TEXT2(n + 3)
    0,         1,         2,         3,          4,          6,         8,
    8,         0,         0,         IMPOSSIBLE, IMPOSSIBLE, TEXT8(0),  TEXT8(4),
    TEXT8(8),  TEXT8(12), TEXT8(16), TEXT8(20),  TEXT8(24),  TEXT8(28), TEXT8(32),
    TEXT8(36), TEXT8(40), TEXT8(44), TEXT8(48),  TEXT8(52),  TEXT2(56), TEXT2(57)};

static pyb__tree_end corrupt(pyb__tree *tree) {
  return pyb__tree_decline(tree, "a record is not as the file format says");
}

/* ---- Columns -------------------------------------------------------------------- */

/* Each take_* appends the cells of rows `from` .. `to` of one field, and stops before
 * the first that is not of the column's type, or that needs more room, or that is the
 * column's first NULL: those go through append(). Returns where it stopped. */
typedef struct cells {
  const uint64_t *first; /* of the field, in the row `from` */
  size_t stride;
  const uint8_t *base;
  int from, to;
} cells;

/* Count n cells in, of which `valid` has a bit for each that is not NULL. */
static void add_cells(pyb_column *column, int n, uint64_t valid) {
  if (column->validity != NULL && n != 0) {
    uint8_t *byte = column->validity + (column->length >> 3);
    unsigned bit = (unsigned)(column->length & 7);
    unsigned end = bit + (unsigned)n;
    *byte |= (uint8_t)(valid << bit);
    for (unsigned at = 8; at < end; at += 8)
      *++byte |= (uint8_t)(valid >> (at - bit));
    column->nulls += n - __builtin_popcountll(valid);
  }
  column->length += n;
}

static int take_integers(pyb_column *column, const cells *cells) {
  int64_t *out = column->integers + column->length;
  int nulls = column->validity != NULL, i, n = cells->to - cells->from;
  const uint64_t *cell = cells->first;
  uint64_t valid = 0;

  for (i = 0; i < n; i++, cell += cells->stride) {
    uint32_t type = pyb__cell_type(*cell);
    if (type - 1 < 6)
      out[i] = pyb__cell_integer(pyb__cell_place(cells->base, *cell), type);
    else if (type == 8 || type == 9)
      out[i] = type - 8;
    else if (type == 0 && nulls) {
      out[i] = 0;
      continue;
    } else
      break;
    valid |= (uint64_t)1 << i;
  }
  add_cells(column, i, valid);
  return cells->from + i;
}

static int take_reals(pyb_column *column, const cells *cells, int real) {
  double *out = column->reals + column->length;
  int nulls = column->validity != NULL, i, n = cells->to - cells->from;
  const uint64_t *cell = cells->first;
  uint64_t valid = 0;

  for (i = 0; i < n; i++, cell += cells->stride) {
    uint32_t type = pyb__cell_type(*cell);
    double number = NAN;
    if (type == 7)
      number = pyb__cell_real(pyb__cell_place(cells->base, *cell));
    else if (real && type - 1 < 6)
      number = (double)pyb__cell_integer(pyb__cell_place(cells->base, *cell), type);
    else if (real && (type == 8 || type == 9))
      number = type - 8;
    else if (type != 0)
      break;
    if (number == number)
      valid |= (uint64_t)1 << i;
    else if (!nulls)
      break;
    out[i] = number;
  }
  add_cells(column, i, valid);
  return cells->from + i;
}

/* `text` is 1 for text and 0 for blobs: that is the lowest bit of the serial type. */
static int take_bytes(pyb_column *column, const cells *cells, uint32_t text) {
  int64_t *out = column->offsets + column->length + 1;
  char *end = column->bytes + column->bytes_size;
  int64_t room = column->bytes_capacity - column->bytes_size;
  int64_t size = column->bytes_size;
  int nulls = column->validity != NULL, i, n = cells->to - cells->from;
  const uint64_t *cell = cells->first;
  uint64_t valid = 0;

  for (i = 0; i < n; i++, cell += cells->stride) {
    uint32_t type = pyb__cell_type(*cell), length = (type - 12) >> 1;
    const uint8_t *data = pyb__cell_place(cells->base, *cell);
    if (type >= 12 && (type & 1) == text && length + PYB__TREE_SLACK <= room) {
      memcpy(end, data, 16);
      if (length > 16)
        memcpy(end + 16, data + 16, 16);
      if (length > 32)
        memcpy(end + 32, data + 32, length - 32);
      end += length;
      room -= length;
      size += length;
      valid |= (uint64_t)1 << i;
    } else if (type != 0 || !nulls)
      break;
    out[i] = size;
  }
  column->bytes_size = size;
  add_cells(column, i, valid);
  return cells->from + i;
}

static int take_rowids(pyb_column *column, const int64_t *rowids, int from, int to) {
  memcpy(column->integers + column->length, rowids + from,
         (size_t)(to - from) * sizeof *rowids);
  add_cells(column, to - from, ~(uint64_t)0 >> (ROWS - (to - from)));
  return to;
}

/* ---- One cell ------------------------------------------------------------------- */

static pyb__tree_end append(pyb__tree *tree, size_t i, int row, const uint8_t *base) {
  pyb__field *field = &tree->fields[i];
  pyb__tree_end end = PYB__TREE_WHOLE;
  pyb_value value;

  if (field->field < 0) {
    value = (pyb_value){.type = PYB_INT64, .integer = tree->rowids[row]};
  } else {
    uint64_t cell = tree->cells[(size_t)row * tree->width + (size_t)field->field];
    if (pyb__cell_type(cell) != PYB__CELL_ABSENT) {
      value = pyb__cell_value(cell, base, field->real);
    } else {
      if (field->absent == NULL)
        end = tree->ask(tree, i, tree->rowids[row]);
      if (end == PYB__TREE_WHOLE && pyb__sqlite_load(field->absent, &value) != PYB_OK)
        end = PYB__TREE_NO_MEMORY;
    }
  }
  if (end == PYB__TREE_WHOLE && pyb_column_append(field->column, &value) != PYB_OK)
    end = PYB__TREE_NO_MEMORY;
  return end;
}

/* Append the cells of all rows that are waiting to column i. */
static pyb__tree_end flush_column(pyb__tree *tree, size_t i, const uint8_t *base) {
  pyb__field *field = &tree->fields[i];
  pyb_column *column = field->column;
  pyb__tree_end end = PYB__TREE_WHOLE;
  int row = 0, count = tree->count;

  while (row < count && end == PYB__TREE_WHOLE) {
    int64_t room = column->capacity - column->length;
    cells cells = {tree->cells, tree->width, base, row, count};

    if (room < count - row)
      cells.to = row + (int)room;
    if (field->field >= 0)
      cells.first += (size_t)row * tree->width + (size_t)field->field;
    if (cells.to == row)
      ; /* no room: append makes it */
    else if (field->field < 0)
      row = column->kinds == 1u << PYB_INT64
                ? take_rowids(column, tree->rowids, row, cells.to)
                : row;
    else if (column->kinds == 1u << PYB_INT64)
      row = take_integers(column, &cells);
    else if (column->kinds == 1u << PYB_FLOAT64)
      row = take_reals(column, &cells, field->real);
    else if (column->kinds == 1u << PYB_TEXT)
      row = take_bytes(column, &cells, 1);
    else if (column->kinds == 1u << PYB_BLOB)
      row = take_bytes(column, &cells, 0);
    if (row < count)
      end = append(tree, i, row++, base);
  }
  return end;
}

static pyb__tree_end flush(pyb__tree *tree, const uint8_t *base) {
  pyb__tree_end end = PYB__TREE_WHOLE;

  for (size_t i = 0; i < tree->n && end == PYB__TREE_WHOLE; i++)
    end = flush_column(tree, i, base);
  tree->rows += tree->count;
  tree->count = 0;
  return end;
}

/* ---- Records -------------------------------------------------------------------- */

/* The header of a record of `size` bytes at `base + at`, read so far as the fields in
 * front of `field`. Its bytes are there, those behind it need not be. */
typedef struct header {
  const uint8_t *p, *end;
  size_t at, size, field;
  uint64_t offset; /* of the field's cell from base */
} header;

static inline int begin_header(header *header, const uint8_t *base, size_t at,
                               size_t size) {
  uint64_t length;

  header->p = pyb__varint(base + at, &length);
  if (length > size || length < (uint64_t)(header->p - (base + at)))
    return 0;
  header->end = base + at + length;
  header->offset = at + length;
  header->at = at;
  header->size = size;
  header->field = 0;
  return 1;
}

/* Read the header on, up to field `width`, into `cells`: 1, or 0 where it is not sound.
 *
 * As in SQLite a header that ends early stands for a record made before ALTER TABLE ADD
 * COLUMN, and one that is read to its end must account for every byte. */
static inline int read_fields(const pyb__tree *tree, header *header, size_t width,
                              uint64_t *cells) {
  const uint8_t *p = header->p, *header_end = header->end;
  uint64_t offset = header->offset, last = header->at + header->size;
  size_t field = header->field;

  for (; field < width && p < header_end; field++) {
    uint64_t type = *p++;
    cells[field] = type | offset << 32;
    if (type < 128) {
      offset += sizes[type];
      continue;
    }
    p = pyb__varint(p - 1, &type);
    if (type > UINT32_MAX || offset > UINT32_MAX)
      return 0;
    cells[field] = type | offset << 32;
    if (type < 12)
      offset += sizes[type]; /* a long way to write a small number is not forbidden */
    else
      offset += (type - 12) / 2;
  }
  if (p > header_end || offset > last || (p == header_end && offset != last))
    return 0;
  header->p = p;
  header->offset = offset;
  header->field = field;
  for (; field < width; field++)
    cells[field] = tree->absent[field];
  return 1;
}

/* Is the row one of those to take? *take is set where it is. */
static inline pyb__tree_end judge(pyb__tree *tree, const uint64_t *cells,
                                  const uint8_t *base, int64_t rowid, int *take) {
  const char *reason = NULL;

  *take = 0;
  switch (pyb__predicate_judge(&tree->predicate, cells, base, rowid, &reason)) {
  case PYB__ROW_REJECTED:
    return PYB__TREE_WHOLE;
  case PYB__ROW_UNKNOWN:
    return pyb__tree_decline(tree, reason);
  case PYB__ROW_WANTED:
    break;
  }
  if (tree->skip > 0)
    tree->skip--;
  else {
    tree->enough = --tree->most == 0;
    *take = 1;
  }
  return PYB__TREE_WHOLE;
}

/* How much of a payload of `size` bytes is on the leaf itself (§1.6: U, P, X, M, K). */
static size_t local_size(const pyb__tree *tree, uint64_t size) {
  uint64_t usable = tree->usable_size;
  uint64_t least = (usable - 12) * 32 / 255 - 23;
  uint64_t kept = least + (size - least) % (usable - 4);

  if (size <= usable - 35)
    return size;
  return kept <= usable - 35 ? kept : least;
}

/* A cell of a leaf: the size of the payload, the rowid, then the payload, or what of it
 * is on the page and the number of the first overflow page. */
typedef struct cell {
  const uint8_t *payload;
  size_t size, local;
  int64_t rowid;
} cell;

/* Read the header of a record up to field `width`, and have the bytes of these fields
 * in tree->payload. */
static pyb__tree_end gather_fields(pyb__tree *tree, pyb__chain *chain, header *header,
                                   size_t width) {
  if (!read_fields(tree, header, width, tree->cells))
    return corrupt(tree);
  return pyb__tree_gather(tree, chain, header->offset);
}

/* The same, from the header's first byte on. */
static pyb__tree_end gather_header(pyb__tree *tree, pyb__chain *chain, header *header,
                                   size_t width) {
  pyb__tree_end end;
  uint64_t length;

  pyb__varint(tree->payload, &length);
  if (length > chain->size || length > LONGEST_HEADER)
    return corrupt(tree);
  end = pyb__tree_gather(tree, chain, length);
  if (end != PYB__TREE_WHOLE)
    return end;
  if (!begin_header(header, tree->payload, 0, chain->size))
    return corrupt(tree);
  return gather_fields(tree, chain, header, width);
}

/* Append the row of a record that goes on in overflow pages, if it is wanted. Only as
 * much of the chain is read as the fields need that are looked at. */
static pyb__tree_end read_chained(pyb__tree *tree, const cell *cell) {
  pyb__chain chain = {cell->size, cell->local, pyb__be32(cell->payload + cell->local)};
  pyb__tree_end end = pyb__tree_payload_room(tree, cell->local);
  size_t width = (size_t)tree->predicate.width;
  header header;
  int take = 0;

  if (end != PYB__TREE_WHOLE)
    return end;
  memcpy(tree->payload, cell->payload, cell->local);
  if (tree->judged) {
    if (width != 0)
      end = gather_header(tree, &chain, &header, width);
    if (end == PYB__TREE_WHOLE)
      end = judge(tree, tree->cells, tree->payload, cell->rowid, &take);
    if (end != PYB__TREE_WHOLE || !take)
      return end;
  }
  /* From its first byte again: the payload may have moved. */
  end = gather_header(tree, &chain, &header, tree->width);
  if (end != PYB__TREE_WHOLE)
    return end;
  tree->rowids[0] = cell->rowid;
  tree->count = 1;
  return flush(tree, tree->payload);
}

/* Take cell i of a leaf apart: 1, or 0 where it is not all on the page. A cell of
 * SQLite's is never shorter than 4 bytes. */
static int read_cell(const pyb__tree *tree, const uint8_t *page, uint32_t i,
                     cell *cell) {
  uint32_t at = pyb__be16(page + 8 + 2 * i);
  const uint8_t *p = page + at, *page_end = page + tree->usable_size;
  uint64_t size, rowid, local;

  if (at < 8 + 2 * pyb__page_cells(page) || at + 4 > tree->usable_size)
    return 0;
  p = pyb__varint(p, &size);
  p = pyb__varint(p, &rowid);
  if (p > page_end || size > INT32_MAX)
    return 0;
  local = local_size(tree, size);
  if (local + (local < size ? 4 : 0) > (size_t)(page_end - p))
    return 0;
  cell->payload = p;
  cell->size = size;
  cell->local = local;
  cell->rowid = (int64_t)rowid;
  return 1;
}

static pyb__tree_end add_row(pyb__tree *tree, const uint8_t *page, const cell *cell) {
  uint64_t *cells = tree->cells + (size_t)tree->count * tree->width;
  pyb__tree_end end = PYB__TREE_WHOLE;
  header header;
  int take;

  if (cell->size > (uint64_t)tree->longest)
    return pyb__tree_decline(tree,
                             "a record is longer than the limit of the connection");
  if (cell->local < cell->size && tree->width != 0) {
    end = flush(tree, page);
    return end == PYB__TREE_WHOLE ? read_chained(tree, cell) : end;
  }
  if (tree->width != 0 &&
      !begin_header(&header, page, (size_t)(cell->payload - page), cell->size))
    return corrupt(tree);
  if (tree->judged) {
    if (tree->predicate.width != 0 &&
        !read_fields(tree, &header, (size_t)tree->predicate.width, cells))
      return corrupt(tree);
    end = judge(tree, cells, page, cell->rowid, &take);
    if (end != PYB__TREE_WHOLE || !take)
      return end;
  }
  if (tree->width != 0 && !read_fields(tree, &header, tree->width, cells))
    return corrupt(tree);
  tree->rowids[tree->count++] = cell->rowid;
  return tree->count == tree->room ? flush(tree, page) : end;
}

/* Of the rows that are wanted the next one has come: wait for the one behind it. */
static void pass(pyb__tree *tree) {
  if (--tree->n_wanted == 0)
    tree->enough = 1;
  else
    tree->start = *++tree->wanted;
}

/* The cells that are not wanted are looked at too: SQLite would, with its pragma
 * cell_size_check. Rowids ascend (§1.6); SQLite trusts in it when it seeks. */
pyb__tree_end pyb__leaf_read(pyb__tree *tree, const uint8_t *page, int64_t last) {
  uint32_t n = pyb__page_cells(page);
  pyb__tree_end end = PYB__TREE_WHOLE;
  int64_t previous = 0;
  cell cell;

  if (8 + 2 * n > tree->usable_size)
    return corrupt(tree);
  for (uint32_t i = 0; i < n && end == PYB__TREE_WHOLE; i++) {
    if (!read_cell(tree, page, i, &cell) || cell.rowid > last ||
        (i == 0 ? cell.rowid < tree->next : cell.rowid <= previous))
      return corrupt(tree);
    previous = cell.rowid;
    tree->beyond |= cell.rowid > tree->end;
    if (cell.rowid < tree->start || cell.rowid > tree->end || tree->enough)
      continue;
    if (tree->wanted != NULL) {
      if (cell.rowid != tree->start)
        return corrupt(tree);
      pass(tree);
    }
    end = add_row(tree, page, &cell);
  }
  if (end == PYB__TREE_WHOLE)
    end = flush(tree, page);
  if (end == PYB__TREE_WHOLE && tree->full != NULL &&
      tree->fields[0].column->length >= tree->full_rows)
    end = tree->full(tree, tree->full_data);
  return end;
}

/* ---- Begin and end -------------------------------------------------------------- */

static void mark_default(pyb__tree *tree, const pyb__operand *operand) {
  if (operand->field >= 0 && operand->has_default)
    tree->absent[operand->field] = PYB__CELL_ABSENT;
}

pyb__tree_end pyb__leaf_begin(pyb__tree *tree) {
  tree->width = tree->seen;
  for (size_t i = 0; i < tree->n; i++)
    if (tree->fields[i].field >= 0 && (size_t)tree->fields[i].field >= tree->width)
      tree->width = (size_t)tree->fields[i].field + 1;
  if ((size_t)tree->predicate.width > tree->width)
    tree->width = (size_t)tree->predicate.width;
  if (tree->most == 0)
    tree->most = INT64_MAX;
  tree->judged = tree->predicate.n != 0 || tree->skip != 0 || tree->most != INT64_MAX;
  tree->room = ROWS;
  if (tree->width > CELLS / ROWS)
    tree->room = tree->width < CELLS ? (int)(CELLS / tree->width) : 1;
  tree->cells = sqlite3_malloc64(((size_t)tree->room * tree->width + 1) * 8);
  tree->rowids = sqlite3_malloc64(ROWS * sizeof *tree->rowids);
  tree->absent = sqlite3_malloc64(tree->width + 1);
  if (tree->cells == NULL || tree->rowids == NULL || tree->absent == NULL)
    return PYB__TREE_NO_MEMORY;
  memset(tree->absent, 0, tree->width + 1);
  for (size_t i = 0; i < tree->n; i++)
    if (tree->fields[i].field >= 0 && tree->fields[i].has_default)
      tree->absent[tree->fields[i].field] = PYB__CELL_ABSENT;
  for (int i = 0; i < tree->predicate.n; i++) {
    mark_default(tree, &tree->predicate.tests[i].left);
    mark_default(tree, &tree->predicate.tests[i].right);
  }
  return PYB__TREE_WHOLE;
}

void pyb__leaf_release(pyb__tree *tree) {
  sqlite3_free(tree->cells);
  sqlite3_free(tree->rowids);
  sqlite3_free(tree->absent);
  tree->cells = NULL;
  tree->rowids = NULL;
  tree->absent = NULL;
  tree->width = 0;
}
