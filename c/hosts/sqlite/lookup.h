/* lookup.h: find the rows of a frame by the value of one column. */
#ifndef PYBRIDGE_HOSTS_SQLITE_LOOKUP_H
#define PYBRIDGE_HOSTS_SQLITE_LOOKUP_H

#include "cells.h"

typedef struct pyb__lookup pyb__lookup;

/* Index column `column` of the batches. NULL where it cannot be: a type that has no
 * plain form, too many rows, no memory. The lookup borrows nothing. */
pyb__lookup *pyb__lookup_new(pyb__batch *const *batches, size_t n, size_t column,
                             int64_t rows);
void pyb__lookup_release(pyb__lookup *lookup); /* NULL is harmless */

/* The first of the rows, ascending, among which are all that equal `value` in SQL, and
 * others; -1 = there is none. Returns 0 where it cannot tell, since SQL would compare
 * the value after converting it. */
int pyb__lookup_find(const pyb__lookup *lookup, sqlite3_value *value, int64_t *row);

/* The row after `row`, or -1. */
int64_t pyb__lookup_next(const pyb__lookup *lookup, int64_t row);

#endif /* PYBRIDGE_HOSTS_SQLITE_LOOKUP_H */
