/* pattern.h: the patterns of LIKE and GLOB, matched with text as SQLite does it.
 *
 * LIKE: `%` stands for any text, `_` for one character, and the letters of ASCII are
 * the same in both cases. GLOB: `*`, `?`, and a set, `[a-f_]`, or what is in none,
 * `[^a-f_]`, where `]` comes first and `-` first or last to be itself; a set that does
 * not end matches nothing. To SQLite a text ends at its first NUL. What it does with
 * bytes that are no UTF-8 is not known here.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_PATTERN_H
#define PYBRIDGE_HOSTS_SQLITE_PATTERN_H

#include "sqlite.h"

typedef struct pyb__pattern pyb__pattern;

/* Read a pattern, which is copied. NULL = it is not UTF-8, or there is no memory. */
pyb__pattern *pyb__pattern_new(const char *text, size_t size, int glob);

/* Does the text match? -1 = that is not known: it is not UTF-8. */
int pyb__pattern_matches(const pyb__pattern *pattern, const char *text, size_t size);

/* May be NULL. */
void pyb__pattern_release(pyb__pattern *pattern);

#endif /* PYBRIDGE_HOSTS_SQLITE_PATTERN_H */
