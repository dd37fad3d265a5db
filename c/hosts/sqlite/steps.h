/* steps.h: how plan.c and conditions.c go through the steps of a program.
 *
 * What is loaded into registers is followed on the way. Jumps inside the loop go
 * forward only, so that a field is where it seems to be as long as no jump leads to
 * between its load and its use. */
#ifndef PYBRIDGE_HOSTS_SQLITE_STEPS_H
#define PYBRIDGE_HOSTS_SQLITE_STEPS_H

#include "program.h"

/* A bit of P5 of Column: only whether the cell is NULL is looked at. */
#define TYPE_ONLY 0x80

typedef enum content { NOTHING, CONSTANT, FIELD, NULLNESS, MISSING, NUMBER } content;

/* What a register has: a constant that a step has loaded, a field of the row (of which
 * only whether it is NULL may be known), NULL, or the sorter's number of the row. */
typedef struct place {
  content content;
  int step;
  int counter;  /* it is counted up or down */
  int compared; /* a test has it as a constant */
  pyb__field field;
} place;

typedef struct walk {
  pyb__program *program;
  pyb__plan *plan;
  int at;      /* the step that comes next */
  int barrier; /* the last one so far that a jump leads to */
  place *places;
  int n_places;
  int cursor, sorter;         /* -1 = not open */
  const char *order;          /* of the sorter: "k(2,B,-B)" */
  int transaction, end, next; /* addresses: of Transaction, behind the loop, of Next */
  int limit, offset, both;    /* registers of OffsetLimit; 0 = there is none */
  int limited, shifted;       /* LIMIT and OFFSET are done */
  int filtered;               /* the address at which a row has passed all tests; 0 =
                               * there may be more of them */
  int numbered;               /* the sorter numbers its rows */
  int record, n_record;       /* registers that the sorter's rows are made of */
} walk;

/* ---- Steps ---------------------------------------------------------------------- */

/* The step that comes next, beyond those that do nothing. */
static inline pyb__step *peek(walk *w) {
  pyb__step *steps = w->program->steps;

  for (;; w->at++) {
    if (steps[w->at].joined)
      w->barrier = w->at;
    if ((steps[w->at].op != PYB__OP_NOOP && steps[w->at].op != PYB__OP_EXPLAIN) ||
        w->at + 1 == w->program->n)
      return &steps[w->at];
  }
}

/* Take the next step if it is this one; NULL = it is not. */
static inline pyb__step *take(walk *w, pyb__opcode op) {
  pyb__step *step = peek(w);

  if (step->op != op || w->at + 1 >= w->program->n)
    return NULL;
  w->at++;
  return step;
}

static inline place *place_at(walk *w, int number) {
  return number >= 1 && number < w->n_places ? &w->places[number] : NULL;
}

/* ---- Registers ------------------------------------------------------------------ */

static inline int is_constant(const pyb__step *step) {
  return step->op == PYB__OP_INTEGER || step->op == PYB__OP_NULL ||
         step->op == PYB__OP_STRING8 || step->op == PYB__OP_VARIABLE;
}

static inline const pyb_value *constant(walk *w, int number) {
  const place *place = place_at(w, number);

  return place != NULL && place->content == CONSTANT
             ? &w->program->steps[place->step].value
             : NULL;
}

/* The integer that a register is loaded with: 1, or 0. */
static inline int integer(walk *w, int number, int64_t *value) {
  const pyb_value *found = constant(w, number);

  if (found == NULL || found->type != PYB_INT64)
    return 0;
  *value = found->integer;
  return 1;
}

static inline int load_field(walk *w, int number, int field, int has_default,
                             content content) {
  place *place = place_at(w, number);

  if (place == NULL || place->content == CONSTANT || number == w->both || field < -1)
    return 0;
  place->content = content;
  place->step = w->at;
  place->field = (pyb__field){.field = field, .has_default = has_default};
  return 1;
}

/* What a register has at this step, or NULL where it cannot be told. */
static inline place *field_at(walk *w, int number) {
  place *place = place_at(w, number);

  if (place == NULL || place->content == NOTHING || place->content == CONSTANT ||
      place->step < w->barrier)
    return NULL;
  return place;
}

/* A register is overwritten with what is not followed: 1, or 0 where it had better not
 * be. */
static inline int spoil(walk *w, int number) {
  place *place = place_at(w, number);

  if (place == NULL || place->content == CONSTANT || number == w->both)
    return 0;
  place->content = NOTHING;
  return 1;
}

/* Take a step that loads a field of the row, or makes a float of one: 1, or 0. (plan.c)
 */
int pyb__walk_load(walk *w);

/* ---- Conditions (conditions.c) -------------------------------------------------- */

/* Take the next step of the loop as a test of the row, or the steps that are one: 1, or
 * 0 where they are none. */
int pyb__walk_test(walk *w);

/* Behind the last test: the jumps become numbers of tests, in place of addresses. */
void pyb__walk_resolve(pyb__predicate *predicate);

#endif /* PYBRIDGE_HOSTS_SQLITE_STEPS_H */
