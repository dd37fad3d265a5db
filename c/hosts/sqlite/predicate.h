/* predicate.h: which rows a query wants, decided on the bytes of the record.
 *
 * A predicate is what SQLite's program does with a row before it takes the columns of
 * the result: tests one behind the other, each of which may jump forward, to the end of
 * the row or to where it is wanted. conditions.c makes it of that program; leaf.c asks
 * it. Comparisons are those of "Datatypes In SQLite" (section 4), and where one of them
 * would need more than this file knows (a number of text, text of a number) nobody
 * guesses: the scan declines.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_PREDICATE_H
#define PYBRIDGE_HOSTS_SQLITE_PREDICATE_H

#include "members.h"
#include "pattern.h"
#include "sqlite.h"

typedef enum pyb__operation {
  PYB__TEST_LT,
  PYB__TEST_LE,
  PYB__TEST_GT,
  PYB__TEST_GE,
  PYB__TEST_EQ,
  PYB__TEST_NE,
  PYB__TEST_NULL,     /* is left NULL? */
  PYB__TEST_NOT_NULL, /* is it not? */
  PYB__TEST_TRUE,     /* is left a number that is not 0? */
  PYB__TEST_FALSE,    /* is it 0? */
  PYB__TEST_MEMBER,   /* is left one of the members? */
  PYB__TEST_STRANGER, /* is it none? */
  PYB__TEST_LIKE,     /* does left match the pattern? */
  PYB__TEST_UNLIKE,   /* does it not? */
  PYB__TEST_ALWAYS,   /* there is nothing to ask */
} pyb__operation;

/* What `field` may say beside the number of a field of the record. */
#define PYB__OPERAND_ROWID (-1)
#define PYB__OPERAND_CONSTANT (-2)

/* Room for an integer as text. */
#define PYB__DIGITS 24

typedef struct pyb__operand {
  int field;
  int real;        /* REAL affinity: a stored integer is a float */
  int has_default; /* a record without the field has not NULL there */
  pyb_value value; /* of a constant, borrowed: null, int64, float64, text or blob */
  char digits[PYB__DIGITS]; /* text of an integer that is compared as text */
} pyb__operand;

/* Where a test may lead beside the tests behind it. */
#define PYB__TEST_REJECT (-1)

typedef struct pyb__test {
  pyb__operation operation;
  int numeric;    /* text that looks like a number is compared as one */
  int textual;    /* a number is compared as text */
  int if_null;    /* jump where the answer is NULL */
  int null_equal; /* IS, IS NOT: NULL is a value like others */
  int plain;      /* may be answered from the cell alone, see predicate.c */
  pyb__operand left, right;
  pyb__members *members; /* both are owned by the predicate, or NULL */
  pyb__pattern *pattern;
  int jump; /* the test to go on with, beyond the last = wanted, or PYB__TEST_REJECT */
  int address; /* plan.c's own */
} pyb__test;

typedef struct pyb__predicate {
  pyb__test *tests; /* of sqlite3_malloc, or NULL */
  int n;
  int width; /* fields of the record that it looks at, from the first */
} pyb__predicate;

typedef enum pyb__verdict {
  PYB__ROW_REJECTED,
  PYB__ROW_WANTED,
  PYB__ROW_UNKNOWN, /* only SQLite knows; *reason says why */
} pyb__verdict;

/* Convert a constant as a comparison with a column of an affinity wants it: 1, or 0
 * where it takes SQLite to say what comes out. Text of an integer is in `digits`, which
 * must live as long as the value. */
int pyb__constant_settle(pyb_value *value, int numeric, int textual,
                         char digits[PYB__DIGITS]);

void pyb__test_release(pyb__test *test);

/* Release the tests. */
void pyb__predicate_release(pyb__predicate *predicate);

/* Make a test, filled in, ready for rows: convert its constants as the affinity wants
 * them, once for all: 1, or 0 where it takes SQLite to say what comes out. */
int pyb__test_settle(pyb__test *test);

/* Judge one row: its cells as leaf.c has them (serial type | offset << 32). */
pyb__verdict pyb__predicate_judge(const pyb__predicate *predicate,
                                  const uint64_t *cells, const uint8_t *base,
                                  int64_t rowid, const char **reason);

#endif /* PYBRIDGE_HOSTS_SQLITE_PREDICATE_H */
