/* program.h: the program that SQLite would run for a query, as EXPLAIN shows it.
 *
 * program.c reads it, constants.c finds what values it compares with, plan.c sees
 * whether it is one that the scan below SQL can stand for, and settings.c whether it
 * means on this connection what it seems to.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_PROGRAM_H
#define PYBRIDGE_HOSTS_SQLITE_PROGRAM_H

#include "btree.h"

/* The instructions that a program may have; one with another is not looked at. */
typedef enum pyb__opcode {
  PYB__OP_NONE,
  PYB__OP_ADD_IMM,
  PYB__OP_AFFINITY,
  PYB__OP_BEGIN_SUBRTN,
  PYB__OP_BIT_AND,
  PYB__OP_BLOB,
  PYB__OP_COLUMN,
  PYB__OP_DECR_JUMP_ZERO,
  PYB__OP_DELETE,
  PYB__OP_EQ,
  PYB__OP_EXPLAIN,
  PYB__OP_FOUND,
  PYB__OP_FUNCTION,
  PYB__OP_GE,
  PYB__OP_GOTO,
  PYB__OP_GT,
  PYB__OP_HALT,
  PYB__OP_IDX_INSERT,
  PYB__OP_IDX_LE,
  PYB__OP_IF,
  PYB__OP_IF_NOT,
  PYB__OP_IF_NOT_ZERO,
  PYB__OP_IF_POS,
  PYB__OP_INIT,
  PYB__OP_INT64,
  PYB__OP_INTEGER,
  PYB__OP_IS_NULL,
  PYB__OP_LAST,
  PYB__OP_LE,
  PYB__OP_LT,
  PYB__OP_MAKE_RECORD,
  PYB__OP_MUST_BE_INT,
  PYB__OP_NE,
  PYB__OP_NEXT,
  PYB__OP_NOOP,
  PYB__OP_NOT_FOUND,
  PYB__OP_NOT_NULL,
  PYB__OP_NULL,
  PYB__OP_NULL_ROW,
  PYB__OP_OFFSET_LIMIT,
  PYB__OP_ONCE,
  PYB__OP_OPEN_EPHEMERAL,
  PYB__OP_OPEN_PSEUDO,
  PYB__OP_OPEN_READ,
  PYB__OP_REAL,
  PYB__OP_REAL_AFFINITY,
  PYB__OP_RESULT_ROW,
  PYB__OP_RETURN,
  PYB__OP_REWIND,
  PYB__OP_ROWID,
  PYB__OP_SEEK_GE,
  PYB__OP_SEEK_GT,
  PYB__OP_SEQUENCE,
  PYB__OP_SORT,
  PYB__OP_SORTER_DATA,
  PYB__OP_SORTER_INSERT,
  PYB__OP_SORTER_NEXT,
  PYB__OP_SORTER_OPEN,
  PYB__OP_SORTER_SORT,
  PYB__OP_STRING8,
  PYB__OP_TABLE_LOCK,
  PYB__OP_TRANSACTION,
  PYB__OP_VARIABLE,
} pyb__opcode;

typedef struct pyb__step {
  pyb__opcode op;
  int p1, p2, p3, p5;
  char *p4;        /* of sqlite3_malloc, or NULL */
  pyb_value value; /* of an instruction that loads a constant; borrowed */
  int joined;      /* a jump leads to here */
} pyb__step;

typedef struct pyb__program {
  pyb__step *steps; /* n of them, step i at address i */
  int n;
  sqlite3_stmt *values; /* the constants belong to it; NULL = to nobody */
} pyb__program;

/* Read what SQLite would do for a statement; `explain` is its text behind "explain ", a
 * string of sqlite3_malloc that is taken, NULL = no memory for it. Returns NULL, or why
 * it is no program to go on with. To be released then, too. */
const char *pyb__program_read(sqlite3 *db, char *explain, pyb__program *program);

void pyb__program_release(pyb__program *program);

/* ---- Constants (constants.c) ---------------------------------------------------- */

/* Fill in the values of all instructions that load a constant. EXPLAIN does not show
 * all of them exactly. Returns NULL, or why they are not to be had. */
const char *pyb__program_constants(sqlite3 *db, const pyb__sqlite_plain *query,
                                   pyb__program *program);

/* ---- The plan (plan.c) ---------------------------------------------------------- */

/* A column to sort by. */
typedef struct pyb__key {
  pyb__field field;
  int descending;
} pyb__key;

/* What a program does: go through the rows of a table, take those that pass the tests,
 * put them in order, pass over `skip`, and return `most` of them. */
typedef struct pyb__plan {
  uint32_t root, cookie;
  int database;
  int64_t start, end; /* rowids, inclusive; start <= end */
  pyb__predicate predicate;
  int textual; /* text is compared: by the collation "BINARY" */
  int matches; /* LIKE or GLOB is called: by SQLite's own functions */
  size_t longest_pattern;
  int64_t skip, most; /* most: 0 = all */
  pyb__field *fields; /* the caller's, n: which fields of the record they are */
  size_t n;
  pyb__key *keys; /* of sqlite3_malloc; n_keys 0 = in the order of the rowids */
  size_t n_keys;
} pyb__plan;

/* Why most programs are none of those. */
extern const char pyb__plan_more[];

/* Understand a program, its constants filled in: NULL, or why the scan below SQL cannot
 * stand for it. To be released then, too. The plan borrows from the program. */
const char *pyb__plan_make(pyb__program *program, pyb__plan *plan);

void pyb__plan_release(pyb__plan *plan);

/* ---- The connection (settings.c) ------------------------------------------------ */

/* Does the connection do what a plan takes for granted, which its program does not say:
 * NULL, or what is otherwise. `scan` names the table; so many parameters are bound. */
const char *pyb__plan_suits(sqlite3 *db, const pyb__plan *plan,
                            const pyb__sqlite_scan *scan, int parameters);

#endif /* PYBRIDGE_HOSTS_SQLITE_PROGRAM_H */
