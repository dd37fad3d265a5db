/* table.h: a table's parts, shared by the builder (table.c) and the export (stream.c).
 */
#ifndef PYB_TABLE_H
#define PYB_TABLE_H

#include "internal.h"

/* What the slow path of a column needs. */
typedef struct pyb__column_rest {
  char *name;
  char *declared;
  /* Only of a column in which types mix: the type of each cell, the eight bytes of each
   * number, and the ends of each text, all of the column's capacity. */
  uint8_t *tags;
  int64_t *slots;
  int64_t *ends;
} pyb__column_rest;

struct pyb_table {
  size_t n;
  pyb_column *columns;
};

/* Is every cell of this type eight bytes wide? Else it is bytes with offsets. */
static inline bool pyb__is_fixed(pyb_type type) {
  return type != PYB_TEXT && type != PYB_BLOB && type != PYB_DECIMAL;
}

static inline bool pyb__is_mixed(const pyb_column *column) {
  return (column->kinds & (column->kinds - 1)) != 0;
}

static inline pyb_type pyb__only_type(const pyb_column *column) {
  return column->kinds == 0 ? PYB_NULL : (pyb_type)__builtin_ctz(column->kinds);
}

/* Give a column in which types mix the one type that holds all its cells. */
pyb_status pyb__column_settle(pyb_column *column, pyb_error *error);

/* Release the buffers of a column and make it empty. */
void pyb__column_clear(pyb_column *column);

#endif /* PYB_TABLE_H */
