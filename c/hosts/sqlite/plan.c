/* plan.c: sees whether a program is one that the scan below SQL can stand for.
 *
 * It is read from its first instruction to its last, and each of them must be where a
 * plain scan has it, with the operands that it has there. What decides about a row is
 * read by conditions.c. */
#include <stdlib.h>
#include <string.h>

#include "steps.h"

const char pyb__plan_more[] = "the query wants more than columns of a rowid table";

static const char no_memory[] = "there is no memory for it";

/* ---- Constants ------------------------------------------------------------------ */

/* A register is loaded once with a constant, and keeps it. */
static int take_constant(walk *w) {
  pyb__step *step = peek(w);
  int last = step->p2;

  if (step->op == PYB__OP_NULL && step->p1 != 0)
    return 0;
  if (step->op == PYB__OP_NULL && step->p3 > last)
    last = step->p3;
  for (int i = step->p2; i <= last; i++) {
    place *place = place_at(w, i);
    if (place == NULL || place->content != NOTHING)
      return 0;
    place->content = CONSTANT;
    place->step = w->at;
  }
  w->at++;
  return 1;
}

/* A register of LIMIT or OFFSET: nobody else may have it. */
static int take_counter(walk *w, int number, int64_t *value) {
  place *place = place_at(w, number);

  if (!integer(w, number, value) || place->counter || place->compared)
    return 0;
  place->counter = 1;
  return 1;
}

/* ---- Before the loop ------------------------------------------------------------ */

/* Init jumps to Transaction, behind which constants may be, and from there back. */
static int take_start(walk *w) {
  pyb__step *step = take(w, PYB__OP_INIT);

  if (step == NULL || w->at != 1 || step->p2 <= 1 || step->p2 >= w->program->n)
    return 0;
  w->at = w->transaction = step->p2;
  step = take(w, PYB__OP_TRANSACTION);
  if (step == NULL || w->at != w->transaction + 1 || step->p2 != 0)
    return 0;
  w->plan->database = step->p1;
  w->plan->cookie = (uint32_t)step->p3;
  while (is_constant(peek(w)))
    if (!take_constant(w))
      return 0;
  if (peek(w)->op != PYB__OP_GOTO || peek(w)->p2 != 1 || w->at + 1 != w->program->n)
    return 0;
  w->at = 1;
  w->barrier = 0;
  return 1;
}

static int open_table(walk *w, const pyb__step *step) {
  /* An index, and so a WITHOUT ROWID table, has a key there: "k(2,,)". */
  if (w->cursor >= 0 || step->p4 == NULL || step->p4[0] == '\0' ||
      strspn(step->p4, "0123456789") != strlen(step->p4) || step->p5 != 0 ||
      step->p3 != w->plan->database)
    return 0;
  w->cursor = step->p1;
  w->plan->root = (uint32_t)step->p2;
  return 1;
}

static int open_sorter(walk *w, const pyb__step *step) {
  /* P3 of SorterOpen would say that fewer columns are looked at than there are. */
  if (w->sorter >= 0 || step->p4 == NULL || step->p5 != 0 ||
      (step->op == PYB__OP_SORTER_OPEN && step->p3 != 0))
    return 0;
  w->sorter = step->p1;
  w->order = step->p4;
  return 1;
}

static int take_both(walk *w, const pyb__step *step) {
  place *both = place_at(w, step->p2);

  if (w->both != 0 || both == NULL || both->content != NOTHING)
    return 0;
  both->content = NUMBER;
  w->limit = step->p1;
  w->both = step->p2;
  w->offset = step->p3;
  return 1;
}

/* What comes before the loop: cursors, LIMIT and OFFSET. */
static int take_opening(walk *w) {
  int64_t value;

  for (;;) {
    pyb__step *step = peek(w);
    int good = 1;

    if (is_constant(step)) {
      if (!take_constant(w))
        return 0;
      continue;
    }
    if (step->op == PYB__OP_OPEN_READ)
      good = open_table(w, step);
    else if (step->op == PYB__OP_SORTER_OPEN || step->op == PYB__OP_OPEN_EPHEMERAL)
      good = open_sorter(w, step);
    else if (step->op == PYB__OP_MUST_BE_INT)
      good = integer(w, step->p1, &value) && step->p2 == 0;
    else if (step->op == PYB__OP_IF_NOT) /* LIMIT 0 */
      good = integer(w, step->p1, &value) && value != 0;
    else if (step->op == PYB__OP_OFFSET_LIMIT)
      good = take_both(w, step);
    else
      return 1;
    if (!good)
      return 0;
    w->at++;
  }
}

/* ---- Fields --------------------------------------------------------------------- */

static int take_column(walk *w, const pyb__step *step) {
  return step->p1 == w->cursor && (step->p5 == 0 || step->p5 == TYPE_ONLY) &&
         step->p2 >= 0 &&
         load_field(w, step->p3, step->p2, step->p4 != NULL,
                    step->p5 == 0 ? FIELD : NULLNESS);
}

static int take_affinity(walk *w, const pyb__step *step) {
  place *place = field_at(w, step->p1);

  if (place == NULL || place->content != FIELD || place->field.field < 0)
    return 0;
  place->field.real = 1;
  return 1;
}

int pyb__walk_load(walk *w) {
  const pyb__step *step = peek(w);
  int good = 0;

  if (step->op == PYB__OP_COLUMN)
    good = take_column(w, step);
  else if (step->op == PYB__OP_ROWID)
    good = step->p1 == w->cursor && load_field(w, step->p2, -1, 0, FIELD);
  else if (step->op == PYB__OP_REAL_AFFINITY)
    good = take_affinity(w, step);
  w->at++;
  return good;
}

/* ---- The loop ------------------------------------------------------------------- */

static int take_head(walk *w) {
  pyb__step *step = peek(w);
  int64_t first;

  if (step->p1 != w->cursor || w->cursor < 0)
    return 0;
  if (step->op == PYB__OP_SEEK_GE || step->op == PYB__OP_SEEK_GT) {
    if (!integer(w, step->p3, &first) || step->p4 != NULL || step->p5 != 0 ||
        (step->op == PYB__OP_SEEK_GT && first == INT64_MAX))
      return 0;
    w->plan->start = first + (step->op == PYB__OP_SEEK_GT);
  } else if (step->op != PYB__OP_REWIND)
    return 0;
  w->end = step->p2;
  w->at++;
  return 1;
}

/* The first step of the loop, to which Next leads back, and Next itself. */
static int find_next(walk *w) {
  const pyb__step *steps = w->program->steps;
  int top = w->at;

  while (is_constant(peek(w))) {
    if (!take_constant(w))
      return 0;
    top = w->at;
  }
  for (w->next = w->at; w->next < w->transaction; w->next++)
    if (steps[w->next].op == PYB__OP_NEXT)
      break;
  return steps[w->next].op == PYB__OP_NEXT && steps[w->next].p1 == w->cursor &&
         steps[w->next].p2 >= top && steps[w->next].p2 <= w->at &&
         w->end == w->next + 1;
}

/* OFFSET: the first rows that pass are passed over. */
static int take_offset(walk *w, const pyb__step *step, int next) {
  int64_t offset;

  if (step->p1 != w->offset || w->shifted || step->p2 != next || step->p3 != 1 ||
      !take_counter(w, w->offset, &offset))
    return 0;
  w->plan->skip = offset > 0 ? offset : 0;
  w->shifted = 1;
  return 1;
}

/* LIMIT: a register counts the rows down. */
static int take_limit(walk *w, int number) {
  int64_t limit;

  if ((w->limit != 0 && w->limit != number) || w->limited ||
      !take_counter(w, number, &limit) || limit == 0)
    return 0;
  w->plan->most = limit > 0 ? limit : 0;
  w->limited = 1;
  return 1;
}

/* A row of the result, from fields of the record. */
static int take_row(walk *w, const pyb__step *step) {
  int address = w->at;

  if ((size_t)step->p2 != w->plan->n)
    return 0;
  for (int i = 0; i < step->p2; i++) {
    const place *place = field_at(w, step->p1 + i);
    if (place == NULL || place->content != FIELD)
      return 0;
    w->plan->fields[i].field = place->field.field;
    w->plan->fields[i].real = place->field.real;
    w->plan->fields[i].has_default = place->field.has_default;
  }
  w->at++;
  step = take(w, PYB__OP_DECR_JUMP_ZERO);
  return (step == NULL || (step->p2 == w->end && take_limit(w, step->p1))) &&
         peek(w)->op == PYB__OP_NEXT && w->barrier <= address;
}

/* Only the first rows of an order are kept: where so many are there, and the last of
 * them is not behind this one, this one is left out, or else that one is dropped. */
static int take_number(walk *w, const pyb__step *step) {
  char keys[12];
  int number = step->p2;

  if (step->p1 != w->sorter || w->sorter < 0 || w->numbered ||
      !load_field(w, number, 0, 0, NUMBER))
    return 0;
  w->numbered = 1;
  w->filtered = w->at++;
  step = take(w, PYB__OP_IF_NOT_ZERO);
  if (step == NULL)
    return 0;
  if (w->both != 0 ? step->p1 != w->both || !take_limit(w, w->limit)
                   : !take_limit(w, step->p1))
    return 0;
  if (step->p2 != w->at + 3)
    return 0;
  step = take(w, PYB__OP_LAST);
  if (step == NULL || step->p1 != w->sorter)
    return 0;
  step = take(w, PYB__OP_IDX_LE);
  sqlite3_snprintf(sizeof keys, keys, "%d", (int)w->plan->n_keys);
  if (step == NULL || step->p1 != w->sorter || step->p2 != w->next ||
      step->p4 == NULL || strcmp(step->p4, keys) != 0 ||
      step->p3 + (int)w->plan->n_keys != number)
    return 0;
  w->record = step->p3;
  step = take(w, PYB__OP_DELETE);
  return step != NULL && step->p1 == w->sorter;
}

/* A row for the sorter: the columns to sort by come first. */
static int take_record(walk *w, const pyb__step *step) {
  int record = step->p3, address = w->at;
  const pyb__step *insert;

  if (w->sorter < 0 || step->p4 != NULL || step->p5 != 0 ||
      (w->record != 0 && w->record != step->p1) || (size_t)step->p2 < w->plan->n_keys)
    return 0;
  w->record = step->p1;
  w->n_record = step->p2;
  for (int i = 0; i < step->p2; i++) {
    const place *place = field_at(w, step->p1 + i);
    if (place == NULL || (place->content != FIELD && place->content != NUMBER))
      return 0;
    if ((size_t)i < w->plan->n_keys)
      w->plan->keys[i].field = place->field;
    if ((place->content == NUMBER) != (w->numbered && (size_t)i == w->plan->n_keys))
      return 0;
  }
  w->at++;
  insert = take(w, w->numbered ? PYB__OP_IDX_INSERT : PYB__OP_SORTER_INSERT);
  return insert != NULL && insert->p1 == w->sorter && insert->p2 == record &&
         insert->p3 == step->p1 && peek(w)->op == PYB__OP_NEXT && w->barrier <= address;
}

/* From the loop's first step to Next. */
static int take_body(walk *w) {
  int good = 1;

  while (good && w->at < w->next) {
    pyb__step *step = peek(w);

    if (step->op == PYB__OP_NEXT)
      break;
    if (step->op == PYB__OP_RESULT_ROW && w->sorter < 0)
      return take_row(w, step);
    if (step->op == PYB__OP_MAKE_RECORD)
      return take_record(w, step);
    if (step->op == PYB__OP_SEQUENCE) {
      good = take_number(w, step);
      continue;
    }
    if (step->op == PYB__OP_COLUMN || step->op == PYB__OP_ROWID ||
        step->op == PYB__OP_REAL_AFFINITY)
      good = pyb__walk_load(w);
    else if (step->op == PYB__OP_IF_POS) {
      w->filtered = w->at;
      good = w->sorter < 0 && take_offset(w, step, w->next);
      w->at++;
    } else
      good = w->filtered == 0 && pyb__walk_test(w);
  }
  return 0;
}

/* ---- The order ------------------------------------------------------------------ */

/* "k(2,B,-B)": two columns by the collation BINARY, the second one descending. */
static int read_order(walk *w) {
  char *p = w->order == NULL ? NULL : (char *)w->order;
  unsigned long n;

  if (p == NULL)
    return 1;
  if (strncmp(p, "k(", 2) != 0)
    return 0;
  n = strtoul(p + 2, &p, 10);
  if (n < 1 || n > 1000)
    return 0;
  w->plan->keys = sqlite3_malloc64(n * sizeof *w->plan->keys);
  if (w->plan->keys == NULL)
    return 0;
  memset(w->plan->keys, 0, n * sizeof *w->plan->keys);
  for (; w->plan->n_keys < n; w->plan->n_keys++) {
    if (*p++ != ',')
      return 0;
    w->plan->keys[w->plan->n_keys].descending = *p == '-';
    p += *p == '-';
    if (*p++ != 'B')
      return 0;
  }
  return strcmp(p, ")") == 0;
}

/* Columns of the sorter's rows become columns of the result. */
static int take_sorted_row(walk *w, int first, int step_from) {
  pyb__plan *plan = w->plan;
  const pyb__step *steps = w->program->steps;

  for (int i = step_from; i < w->at; i++) {
    const place *place;
    int to = steps[i].p3 - first, from = steps[i].p2;
    if (steps[i].op == PYB__OP_NOOP || steps[i].op == PYB__OP_EXPLAIN)
      continue;
    if (to < 0 || (size_t)to >= plan->n || from < 0 || from >= w->n_record ||
        plan->fields[to].field != PYB__OPERAND_CONSTANT)
      return 0;
    place = &w->places[w->record + from];
    if (place->content != FIELD)
      return 0;
    plan->fields[to].field = place->field.field;
    plan->fields[to].real = place->field.real;
    plan->fields[to].has_default = place->field.has_default;
  }
  for (size_t i = 0; i < plan->n; i++)
    if (plan->fields[i].field == PYB__OPERAND_CONSTANT)
      return 0;
  return 1;
}

/* What the sorter's rows are read by: the sorter itself, or the row that it lends. */
static int take_sort(walk *w, int *source, int *end) {
  const pyb__step *step = take(w, PYB__OP_OPEN_PSEUDO);
  int pseudo = -1, content = 0;

  if (step != NULL) {
    pseudo = step->p1;
    content = step->p2;
  }
  step = peek(w);
  if ((step->op != PYB__OP_SORT && step->op != PYB__OP_SORTER_SORT) ||
      step->p1 != w->sorter)
    return 0;
  *end = step->p2;
  *source = step->op == PYB__OP_SORT ? w->sorter : pseudo;
  w->at++;
  if (step->op == PYB__OP_SORT)
    return pseudo < 0;
  step = take(w, PYB__OP_SORTER_DATA);
  return step != NULL && pseudo >= 0 && step->p1 == w->sorter && step->p2 == content &&
         step->p3 == pseudo;
}

/* Behind the loop over the table: the one over the sorter. */
static int take_output(walk *w) {
  int top = w->at, source, end, columns, next;
  const pyb__step *step;

  if (!take_sort(w, &source, &end))
    return 0;
  top = w->at - (source == w->sorter ? 0 : 1);
  next = end - 1;
  step = take(w, PYB__OP_IF_POS);
  if (step != NULL && !take_offset(w, step, next))
    return 0;
  step = take(w, PYB__OP_ADD_IMM); /* of a counter that is not asked any more */
  if (step != NULL && (step->p1 != w->limit || !w->limited))
    return 0;
  for (size_t i = 0; i < w->plan->n; i++)
    w->plan->fields[i].field = PYB__OPERAND_CONSTANT;
  columns = w->at;
  while (peek(w)->op == PYB__OP_COLUMN && peek(w)->p1 == source && peek(w)->p5 == 0 &&
         peek(w)->p4 == NULL)
    w->at++;
  step = peek(w);
  if (step->op != PYB__OP_RESULT_ROW || (size_t)step->p2 != w->plan->n ||
      !take_sorted_row(w, step->p1, columns))
    return 0;
  w->at++;
  step = peek(w);
  if (w->at != next || step->p1 != w->sorter || step->p2 != top ||
      step->op != (source == w->sorter ? PYB__OP_NEXT : PYB__OP_SORTER_NEXT))
    return 0;
  w->at++;
  w->end = end;
  return 1;
}

/* ---- The whole ------------------------------------------------------------------ */

static int take_all(walk *w) {
  const pyb__step *step;

  if (!take_start(w) || !take_opening(w) || !read_order(w) || !take_head(w) ||
      !find_next(w) || !take_body(w))
    return 0;
  if (w->at != w->next)
    return 0;
  w->at++;
  if (w->sorter >= 0 && !take_output(w))
    return 0;
  step = take(w, PYB__OP_HALT);
  if (step == NULL || step->p1 != 0 || w->at != w->end + 1)
    return 0;
  peek(w);
  return w->at == w->transaction && w->plan->start <= w->plan->end &&
         (w->filtered == 0 || w->barrier <= w->filtered) &&
         (w->both == 0 || (w->limited && w->shifted));
}

/* May two texts be compared with each other? */
static int compares_text(const pyb__predicate *predicate) {
  for (int i = 0; i < predicate->n; i++) {
    const pyb__test *test = &predicate->tests[i];
    int looks_up =
        test->operation == PYB__TEST_MEMBER || test->operation == PYB__TEST_STRANGER;
    int a =
        test->left.field != PYB__OPERAND_CONSTANT || test->left.value.type == PYB_TEXT;
    int b = test->right.field != PYB__OPERAND_CONSTANT ||
            test->right.value.type == PYB_TEXT;

    if ((test->operation < PYB__TEST_NULL && a && b) || looks_up)
      return 1;
  }
  return 0;
}

const char *pyb__plan_make(pyb__program *program, pyb__plan *plan) {
  walk w = {.program = program, .plan = plan, .cursor = -1, .sorter = -1};
  const char *reason = pyb__plan_more;

  plan->start = INT64_MIN;
  plan->end = INT64_MAX;
  for (int i = 0; i < program->n; i++)
    if (program->steps[i].op == PYB__OP_TABLE_LOCK)
      return "the page cache may be shared with another connection";
  /* No program uses more registers than that. */
  w.n_places = 2 * program->n + 100;
  w.places = sqlite3_malloc64((size_t)w.n_places * sizeof *w.places);
  if (w.places == NULL)
    return no_memory;
  memset(w.places, 0, (size_t)w.n_places * sizeof *w.places);
  if (program->n > 2 && take_all(&w)) {
    pyb__walk_resolve(&plan->predicate);
    plan->textual = plan->n_keys != 0 || compares_text(&plan->predicate);
    reason = NULL;
  }
  sqlite3_free(w.places);
  return reason;
}

void pyb__plan_release(pyb__plan *plan) {
  pyb__predicate_release(&plan->predicate);
  sqlite3_free(plan->keys);
}
