/* order.h: in which order rows come when they are sorted by columns. */
#ifndef PYBRIDGE_HOSTS_SQLITE_ORDER_H
#define PYBRIDGE_HOSTS_SQLITE_ORDER_H

#include "btree.h"

/* A column to sort by. All its cells that are not NULL are of one type. */
typedef struct pyb__sorted_by {
  const pyb_column *column;
  int descending;
} pyb__sorted_by;

/* Put the numbers of the first `most` of n rows into `rows`, which has room for n, in
 * the order of the columns: NULL before all, numbers by size, text and blobs byte by
 * byte; descending the other way round. Rows that are equal stay as they were. 1 <=
 * most
 * <= n. */
PYB_CHECK pyb__tree_end pyb__order_rows(const pyb__sorted_by *keys, size_t n_keys,
                                        uint32_t n, uint32_t most, uint32_t *rows,
                                        int (*interrupted)(void *host), void *host);

#endif /* PYBRIDGE_HOSTS_SQLITE_ORDER_H */
