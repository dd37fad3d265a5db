/* define.h: what a call of py_define says, shared by the kinds of functions. */
#ifndef PYBRIDGE_HOSTS_SQLITE_DEFINE_H
#define PYBRIDGE_HOSTS_SQLITE_DEFINE_H

#include "sqlite.h"

typedef enum pyb__kind {
  PYB__SCALAR,
  PYB__AGGREGATE,
  PYB__WINDOW,
  PYB__VECTORIZED
} pyb__kind;

typedef struct pyb__names {
  size_t n;
  char **names; /* owned, of sqlite3_malloc, as is each of them */
} pyb__names;

/* One definition. It does not change; a later one takes its place. */
typedef struct pyb__definition {
  int references;
  struct pyb__definition *newer; /* a reference: the one that has taken its place */
  int dropped;
  int alone;         /* no other statement ran when it was defined */
  pyb__sqlite *host; /* a reference */
  pyb_object *object;
  char *name;
  pyb__kind kind;
  int arity;         /* -1 = any */
  int special;       /* NULL is passed on, not handled by the bridge */
  int deterministic; /* the three are what SQLite must know */
  int innocuous;
  int json;           /* scalar: JSON comes in and goes out as what it describes */
  int whole;          /* an aggregate that is a function of whole columns */
  int64_t batch;      /* vectorized: rows of one call */
  pyb__names columns; /* vectorized: that come back */
  pyb__names keep;    /* vectorized: of the query, passed by the callable */
} pyb__definition;

pyb__definition *pyb__definition_take(pyb__definition *definition);
void pyb__definition_give(void *definition); /* NULL is harmless */

/* Read the options, a JSON object or NULL, into a definition whose kind and host are
 * set; what they do not say gets its default (options.c). */
PYB_CHECK pyb_status pyb__definition_options(pyb__definition *definition,
                                             const char *options, pyb_error *error);
void pyb__names_release(pyb__names *names);

/* What is registered with SQLite under a name, for good. */
typedef struct pyb__slot {
  int references; /* of the registry, and of each registration in SQLite */
  struct pyb__slot *next;
  char *name;
  pyb__kind kind;      /* a window slot serves aggregates too */
  int flags;           /* of a function: what SQLite was told */
  uint8_t arities[33]; /* of a function: bit 1 + n_args = registered for it */
  char *shape;         /* of a table-valued function: what it was registered with */
  pyb__definition *definition; /* a reference: the newest; NULL = dropped */
} pyb__slot;

pyb__slot *pyb__slot_take(pyb__slot *slot);
void pyb__slot_give(void *slot);

/* The columns of a vectorized definition, as SQLite is told of them, in a string of
 * sqlite3_malloc (batch.c). */
char *pyb__vectorized_shape(const pyb__definition *definition);

/* Register a table-valued function for the slot, in place of one of the same name
 * (batch.c). Returns an SQLite code. */
int pyb__sqlite_vectorize(sqlite3 *db, pyb__slot *slot);

#endif /* PYBRIDGE_HOSTS_SQLITE_DEFINE_H */
