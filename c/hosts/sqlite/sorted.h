/* sorted.h: rows of a table in the order of its columns, read below SQL. */
#ifndef PYBRIDGE_HOSTS_SQLITE_SORTED_H
#define PYBRIDGE_HOSTS_SQLITE_SORTED_H

#include "program.h"

/* Read what a plan with an order wants into the columns of the tree, which is set up as
 * for pyb__tree_read. */
PYB_CHECK pyb__tree_end pyb__sorted_read(pyb__tree *tree, const pyb__plan *plan,
                                         pyb_table *table);

#endif /* PYBRIDGE_HOSTS_SQLITE_SORTED_H */
