/* cells.h: an Arrow stream read cell by cell into SQL values.
 *
 *     pyb__reader reader;
 *     pyb__batch *batch;
 *
 *     status = pyb__reader_open(&reader, &rows, &error);
 *     while (status == PYB_OK &&
 *            (status = pyb__reader_next(&reader, &batch, &error)) == PYB_OK &&
 *            batch != NULL) {
 *       ... pyb__cell_dump(context, &batch->cells[column], row, SQLITE_STATIC);
 *       pyb__batch_release(batch);
 *     }
 *     pyb__reader_close(&reader);
 *
 * What SQL type a column gets, and how each cell looks in SQL, is decided in cells.c
 * and nowhere else. Streams come from outside: buffers, offsets and indexes are checked
 * before they are followed, as far as the Arrow C interface lets one know their size.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_CELLS_H
#define PYBRIDGE_HOSTS_SQLITE_CELLS_H

#include "sqlite.h"

/* How the cells of a column lie in memory. */
typedef enum pyb__layout {
  PYB__CELL_NONE, /* all NULL */
  PYB__CELL_INT64,
  PYB__CELL_FLOAT64,
  PYB__CELL_TEXT64, /* 64-bit offsets */
  PYB__CELL_TEXT32, /* 32-bit offsets */
  PYB__CELL_BOOL,   /* one bit each */
  PYB__CELL_INT8,
  PYB__CELL_INT16,
  PYB__CELL_INT32,
  PYB__CELL_UINT8,
  PYB__CELL_UINT16,
  PYB__CELL_UINT32,
  PYB__CELL_UINT64,
  PYB__CELL_FLOAT16,
  PYB__CELL_FLOAT32,
  PYB__CELL_TEXT_VIEW,
  PYB__CELL_BLOB64,
  PYB__CELL_BLOB32,
  PYB__CELL_BLOB_VIEW,
  PYB__CELL_BLOB_FIXED,
  PYB__CELL_DECIMAL,
  PYB__CELL_DATE32,
  PYB__CELL_DATE64,
  PYB__CELL_TIME32,
  PYB__CELL_TIME64,
  PYB__CELL_TIMESTAMP
} pyb__layout;

/* What a stream's schema says of one column. */
typedef struct pyb__field {
  pyb__layout layout; /* of the values, also where they are in a dictionary */
  pyb__layout index;  /* of the indexes into a dictionary; NONE = no dictionary */
  int32_t width;      /* bytes of a fixed blob or a decimal */
  int32_t scale;      /* of a decimal */
  int64_t unit;       /* of a time: how many make a second */
  int zoned;          /* a timestamp that is a moment: text ends in +00:00 */
  char sql_type[40];  /* the declared type that stands for it, "DATE" */
  char *name;
} pyb__field;

/* The cells of one column in one batch. Valid as long as the batch. */
typedef struct pyb__cells {
  pyb__layout layout;
  pyb__layout index;
  const uint8_t *validity; /* NULL = no cell is NULL */
  int64_t offset;          /* of the first cell, in cells */
  const void *values;      /* cells, offsets or views, from cell 0 of the buffer */
  const char *bytes;       /* what the offsets point into */
  int64_t first, last;     /* the offsets that may be followed; else bytes 0 to last */
  const void *const *blocks; /* what views point into */
  const int64_t *block_sizes;
  int64_t n_blocks;
  int64_t length;                      /* cells */
  int64_t row;                         /* rows of the stream before this batch */
  const struct pyb__cells *dictionary; /* the values, where index is not NONE */
  const pyb__field *field;             /* borrowed from the reader */
} pyb__cells;

typedef struct pyb__batch {
  struct ArrowArray array; /* owned */
  int64_t rows;
  int64_t row; /* rows of the stream before this batch */
  size_t n;
  pyb__cells cells[]; /* n columns, then their n dictionaries */
} pyb__batch;

typedef struct pyb__reader {
  struct ArrowArrayStream stream; /* owned */
  size_t n;
  pyb__field *fields; /* owned, n */
  int64_t rows;       /* of the batches so far */
} pyb__reader;

/* Read the columns of a schema into n new *fields. A type that SQL has no counterpart
 * for is PYB_UNSUPPORTED with the column's name and what to do. */
PYB_CHECK pyb_status pyb__fields_read(const struct ArrowSchema *schema,
                                      pyb__field **fields, size_t *n, pyb_error *error);
void pyb__fields_release(pyb__field *fields, size_t n);

/* Begin to read `rows` (moved). To be closed on failure too. */
PYB_CHECK pyb_status pyb__reader_open(pyb__reader *reader,
                                      struct ArrowArrayStream *rows, pyb_error *error);

/* The next batch, the caller's to release, or NULL at the end. A batch refers to the
 * reader's fields: the reader is closed after it. */
PYB_CHECK pyb_status pyb__reader_next(pyb__reader *reader, pyb__batch **batch,
                                      pyb_error *error);
void pyb__reader_close(pyb__reader *reader);
void pyb__batch_release(pyb__batch *batch); /* NULL is harmless */

/* Number i of a buffer, which need not be aligned. */
#define PYB__NUMBER(type, buffer, i)                                                   \
  ({                                                                                   \
    type number_;                                                                      \
    __builtin_memcpy(&number_, (const char *)(buffer) + (i) * (int64_t)sizeof(type),   \
                     sizeof(type));                                                    \
    number_;                                                                           \
  })

/* The slow path of pyb__cell_dump: every layout. */
void pyb__cell_dump_any(sqlite3_context *context, const pyb__cells *cells, int64_t row,
                        sqlite3_destructor_type keep);

/* Make cell `row` the result. keep: SQLITE_STATIC where the batch outlives every use of
 * the result, else SQLITE_TRANSIENT. A cell that SQL cannot hold exactly becomes an
 * error that names the column and the row. */
static inline void pyb__cell_dump(sqlite3_context *context, const pyb__cells *cells,
                                  int64_t row, sqlite3_destructor_type keep) {
  int64_t at = cells->offset + row;
  int64_t start, end;

  if (cells->index != PYB__CELL_NONE) {
    pyb__cell_dump_any(context, cells, row, keep);
    return;
  }
  if (cells->validity != NULL && !((cells->validity[at >> 3] >> (at & 7)) & 1))
    return; /* NULL is what a result is at first */
  switch (cells->layout) {
  case PYB__CELL_INT64:
    sqlite3_result_int64(context, PYB__NUMBER(int64_t, cells->values, at));
    return;
  case PYB__CELL_FLOAT64:
    sqlite3_result_double(context, PYB__NUMBER(double, cells->values, at));
    return;
  case PYB__CELL_TEXT64:
    start = PYB__NUMBER(int64_t, cells->values, at);
    end = PYB__NUMBER(int64_t, cells->values, at + 1);
    if (start < cells->first || start > end || end > cells->last)
      break;
    sqlite3_result_text64(context, cells->bytes + start, (uint64_t)(end - start), keep,
                          SQLITE_UTF8);
    return;
  case PYB__CELL_TEXT32:
    start = PYB__NUMBER(int32_t, cells->values, at);
    end = PYB__NUMBER(int32_t, cells->values, at + 1);
    if (start < cells->first || start > end || end > cells->last)
      break;
    sqlite3_result_text64(context, cells->bytes + start, (uint64_t)(end - start), keep,
                          SQLITE_UTF8);
    return;
  default:
    break;
  }
  pyb__cell_dump_any(context, cells, row, keep);
}

#endif /* PYBRIDGE_HOSTS_SQLITE_CELLS_H */
