/* program.c: reads the program of a query from EXPLAIN. */
#include "program.h"

#include <string.h>

/* A query of all the columns that a table can have needs fewer. */
#define MOST_STEPS 100000

/* In the order of the enumeration, which is that of the alphabet. */
static const char *const names[] = {
    "",           "AddImm",
    "Affinity",   "BeginSubrtn",
    "BitAnd",     "Blob",
    "Column",     "DecrJumpZero",
    "Delete",     "Eq",
    "Explain",    "Found",
    "Function",   "Ge",
    "Goto",       "Gt",
    "Halt",       "IdxInsert",
    "IdxLE",      "If",
    "IfNot",      "IfNotZero",
    "IfPos",      "Init",
    "Int64",      "Integer",
    "IsNull",     "Last",
    "Le",         "Lt",
    "MakeRecord", "MustBeInt",
    "Ne",         "Next",
    "Noop",       "NotFound",
    "NotNull",    "Null",
    "NullRow",    "OffsetLimit",
    "Once",       "OpenEphemeral",
    "OpenPseudo", "OpenRead",
    "Real",       "RealAffinity",
    "ResultRow",  "Return",
    "Rewind",     "Rowid",
    "SeekGE",     "SeekGT",
    "Sequence",   "Sort",
    "SorterData", "SorterInsert",
    "SorterNext", "SorterOpen",
    "SorterSort", "String8",
    "TableLock",  "Transaction",
    "Variable",
};

/* The columns of EXPLAIN. */
enum { ADDRESS, OPCODE, P1, P2, P3, P4, P5 };

static const char no_memory[] = "there is no memory for it";

static pyb__opcode find_opcode(const char *name) {
  for (size_t i = 1; i < sizeof names / sizeof *names && name != NULL; i++)
    if (strcmp(names[i], name) == 0)
      return (pyb__opcode)i;
  return PYB__OP_NONE;
}

static const char *add_step(pyb__program *program, sqlite3_stmt *row) {
  pyb__step *step;

  if ((program->n & (program->n - 1)) == 0) {
    size_t room = program->n == 0 ? 1 : (size_t)program->n * 2;
    step = sqlite3_realloc64(program->steps, room * sizeof *step);
    if (step == NULL)
      return no_memory;
    program->steps = step;
  }
  step = &program->steps[program->n];
  memset(step, 0, sizeof *step);
  step->op = find_opcode((const char *)sqlite3_column_text(row, OPCODE));
  if (step->op == PYB__OP_NONE || program->n == MOST_STEPS ||
      sqlite3_column_int(row, ADDRESS) != program->n)
    return pyb__plan_more;
  step->p1 = sqlite3_column_int(row, P1);
  step->p2 = sqlite3_column_int(row, P2);
  step->p3 = sqlite3_column_int(row, P3);
  step->p5 = sqlite3_column_int(row, P5);
  program->n++;
  if (sqlite3_column_type(row, P4) != SQLITE_NULL) {
    step->p4 = sqlite3_mprintf("%s", sqlite3_column_text(row, P4));
    if (step->p4 == NULL)
      return no_memory;
  }
  return NULL;
}

const char *pyb__program_read(sqlite3 *db, char *explain, pyb__program *program) {
  sqlite3_stmt *rows = NULL;
  const char *reason = NULL;
  int code;

  if (explain == NULL ||
      sqlite3_prepare_v2(db, explain, -1, &rows, NULL) != SQLITE_OK) {
    sqlite3_free(explain);
    return "the columns cannot be selected";
  }
  sqlite3_free(explain);
  while ((code = sqlite3_step(rows)) == SQLITE_ROW && reason == NULL)
    reason = add_step(program, rows);
  if (reason == NULL && code != SQLITE_DONE)
    reason = pyb__plan_more;
  sqlite3_finalize(rows);
  return reason;
}

void pyb__program_release(pyb__program *program) {
  for (int i = 0; i < program->n; i++)
    sqlite3_free(program->steps[i].p4);
  sqlite3_free(program->steps);
  sqlite3_finalize(program->values);
}
