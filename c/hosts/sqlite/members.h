/* members.h: constants, of which a value is one or is not: the list of IN. */
#ifndef PYBRIDGE_HOSTS_SQLITE_MEMBERS_H
#define PYBRIDGE_HOSTS_SQLITE_MEMBERS_H

#include "sqlite.h"

typedef struct pyb__members pyb__members;

/* Make room for `most` members; NULL = no memory. */
pyb__members *pyb__members_new(size_t most);

/* Add a constant, with numbers and text converted as the affinity wants it (see
 * pyb__constant_settle). It is borrowed. Returns 1, or 0 where it takes SQLite to say
 * what it becomes, or there is no room. */
int pyb__members_add(pyb__members *members, const pyb_value *value, int numeric,
                     int textual);

/* Has NULL been added? */
int pyb__members_have_null(const pyb__members *members);

/* Is a value one of them, which is not NULL? Numbers are equal by what they are worth.
 */
int pyb__members_have(const pyb__members *members, const pyb_value *value);
int pyb__members_have_integer(const pyb__members *members, int64_t integer);
int pyb__members_have_text(const pyb__members *members, const char *data, size_t size);

/* May be NULL. */
void pyb__members_release(pyb__members *members);

#endif /* PYBRIDGE_HOSTS_SQLITE_MEMBERS_H */
