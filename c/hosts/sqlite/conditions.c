/* conditions.c: makes tests of rows from the steps of a program.
 *
 * A comparison is one step. IN is some of them: for up to two members SQLite compares
 * with each; more of them it puts into an index, when the first row has come, and looks
 * up in that. LIKE is a function and a jump. No jump may lead to between the steps of
 * such a group, but where it begins, and nothing of it may be used behind it but the
 * answer. */
#include <string.h>

#include "steps.h"

/* The bits of P5 of a comparison. */
#define AFFINITY 0x47
#define JUMP_IF_NULL 0x10
#define NULL_EQUAL 0x80
#define AFFINITY_TEXT 0x42
#define AFFINITY_NUMERIC 0x43

/* ---- Tests ---------------------------------------------------------------------- */

static int load_operand(walk *w, int number, int only_null, pyb__operand *operand) {
  const pyb_value *value = constant(w, number);
  place *place = place_at(w, number);

  if (value != NULL) {
    if (place->counter)
      return 0;
    place->compared = 1;
    operand->field = PYB__OPERAND_CONSTANT;
    operand->value = *value;
    return 1;
  }
  place = field_at(w, number);
  if (place == NULL || (place->content != FIELD && !only_null) ||
      place->content == NUMBER)
    return 0;
  if (place->content == MISSING) {
    operand->field = PYB__OPERAND_CONSTANT;
    return 1;
  }
  operand->field = place->field.field < 0 ? PYB__OPERAND_ROWID : place->field.field;
  operand->real = place->field.real;
  operand->has_default = place->field.has_default;
  if (operand->field >= w->plan->predicate.width)
    w->plan->predicate.width = operand->field + 1;
  return 1;
}

static int is_binary(const char *collation) {
  static const char binary[] = "BINARY-";

  return collation == NULL || strncmp(collation, binary, sizeof binary - 1) == 0;
}

/* Fill a test from its step: 1, or 0. A comparison is one of r[P3] with r[P1]. */
static int read_test(walk *w, const pyb__step *step, pyb__test *test) {
  static const struct {
    pyb__opcode op;
    pyb__operation operation;
  } known[] = {
      {PYB__OP_LT, PYB__TEST_LT},        {PYB__OP_LE, PYB__TEST_LE},
      {PYB__OP_GT, PYB__TEST_GT},        {PYB__OP_GE, PYB__TEST_GE},
      {PYB__OP_EQ, PYB__TEST_EQ},        {PYB__OP_NE, PYB__TEST_NE},
      {PYB__OP_IS_NULL, PYB__TEST_NULL}, {PYB__OP_NOT_NULL, PYB__TEST_NOT_NULL},
      {PYB__OP_IF, PYB__TEST_TRUE},      {PYB__OP_IF_NOT, PYB__TEST_FALSE},
  };
  int affinity = step->p5 & AFFINITY;
  size_t i = 0;

  while (i < sizeof known / sizeof *known && known[i].op != step->op)
    i++;
  if (i == sizeof known / sizeof *known)
    return 0;
  test->operation = known[i].operation;
  if (test->operation >= PYB__TEST_NULL) {
    test->if_null = step->p3 != 0;
    return step->p5 == 0 &&
           load_operand(w, step->p1, test->operation < PYB__TEST_TRUE, &test->left) &&
           pyb__test_settle(test);
  }
  if ((step->p5 & ~(AFFINITY | JUMP_IF_NULL | NULL_EQUAL)) != 0 || !is_binary(step->p4))
    return 0;
  test->numeric = affinity >= AFFINITY_NUMERIC;
  test->textual = affinity == AFFINITY_TEXT;
  test->if_null = (step->p5 & JUMP_IF_NULL) != 0;
  test->null_equal = (step->p5 & NULL_EQUAL) != 0;
  if (test->null_equal && step->op != PYB__OP_EQ && step->op != PYB__OP_NE)
    return 0;
  return load_operand(w, step->p3, 0, &test->left) &&
         load_operand(w, step->p1, 0, &test->right) && pyb__test_settle(test);
}

/* A rowid behind which no row is wanted ends the loop. It is the first of all tests, so
 * that no row gets by. */
static int take_last_rowid(walk *w, const pyb__test *test) {
  const pyb_value *last = &test->right.value;

  if (w->plan->predicate.n != 0 || w->plan->end != INT64_MAX ||
      test->left.field != PYB__OPERAND_ROWID ||
      test->right.field != PYB__OPERAND_CONSTANT || last->type != PYB_INT64)
    return 0;
  if (test->operation == PYB__TEST_GT)
    w->plan->end = last->integer;
  else if (test->operation == PYB__TEST_GE && last->integer != INT64_MIN)
    w->plan->end = last->integer - 1;
  else
    return 0;
  return 1;
}

/* Add a test that jumps to an address, which is none before the step to come. Takes
 * what the test owns. */
static int add_test(walk *w, pyb__test *test, int address, int target) {
  pyb__predicate *predicate = &w->plan->predicate;
  pyb__test *tests = NULL;

  if (target >= w->at && target <= w->next)
    tests = sqlite3_realloc64(predicate->tests,
                              ((size_t)predicate->n + 1) * sizeof *predicate->tests);
  if (tests == NULL) {
    pyb__test_release(test);
    return 0;
  }
  if (target < w->next)
    w->program->steps[target].joined = 1;
  test->jump = target == w->next ? PYB__TEST_REJECT : target;
  test->address = address;
  predicate->tests = tests;
  tests[predicate->n++] = *test;
  return 1;
}

static int take_comparison(walk *w) {
  const pyb__step *step = peek(w);
  int address = w->at;
  pyb__test test;

  memset(&test, 0, sizeof test);
  if (!read_test(w, step, &test))
    return 0;
  w->at++;
  return step->p2 == w->end ? take_last_rowid(w, &test)
                            : add_test(w, &test, address, step->p2);
}

static int add_jump(walk *w, int address, int target) {
  pyb__test test;

  memset(&test, 0, sizeof test);
  test.operation = PYB__TEST_ALWAYS;
  test.left.field = PYB__OPERAND_CONSTANT;
  return add_test(w, &test, address, target);
}

static int take_goto(walk *w) {
  const pyb__step *step = take(w, PYB__OP_GOTO);

  return step != NULL && add_jump(w, w->at - 1, step->p2);
}

/* ---- IN ------------------------------------------------------------------------- */

/* x NOT IN (1, 2) asks at its end whether one of these is NULL: r[P1] & r[P2] is, then.
 */
static int take_nullness(walk *w) {
  const pyb__step *step = take(w, PYB__OP_BIT_AND);
  const int numbers[] = {step->p1, step->p2};
  place both = {.content = NOTHING, .step = w->at - 1};

  for (int i = 0; i < 2; i++) {
    const pyb_value *value = constant(w, numbers[i]);
    const place *place = value == NULL ? field_at(w, numbers[i]) : NULL;
    if (value == NULL && (place == NULL || place->content == NUMBER))
      return 0;
    if (both.content == MISSING || (value != NULL && value->type != PYB_NULL))
      continue;
    if (value != NULL || place->content == MISSING)
      both.content = MISSING;
    else if (both.content == NULLNESS && both.field.field != place->field.field)
      return 0;
    else {
      both.content = NULLNESS;
      both.field = place->field;
    }
  }
  if (both.content == NOTHING || !spoil(w, step->p3))
    return 0;
  *place_at(w, step->p3) = both;
  return 1;
}

/* A longer list is an index that the first row makes, by a subroutine of one call. */
typedef struct list {
  int address; /* of its first step */
  int cursor;  /* of the index */
  int left;    /* the register that is looked up */
  int flag;    /* the one that is NULL where the list has NULL; 0 = none */
  pyb__members *members;
} list;

/* The affinity of a constant that becomes a member, "A" to "D". */
static int read_affinity(const char *p4, int *numeric, int *textual) {
  if (p4 == NULL || p4[0] < 'A' || p4[0] > 'E' || p4[1] != '\0')
    return 0;
  *textual = p4[0] == 'B';
  *numeric = p4[0] > 'B';
  return 1;
}

/* Load a constant, make a record of it, insert that. */
static int take_member(walk *w, list *list) {
  const pyb__step *load = peek(w), *record, *insert;
  int numeric = 0, textual = 0;

  w->at++;
  record = take(w, PYB__OP_MAKE_RECORD);
  insert = record == NULL ? NULL : take(w, PYB__OP_IDX_INSERT);
  return insert != NULL &&
         (load->op != PYB__OP_NULL || (load->p1 == 0 && load->p3 == 0)) &&
         record->p1 == load->p2 && record->p2 == 1 && record->p5 == 0 &&
         insert->p1 == list->cursor && insert->p2 == record->p3 &&
         insert->p3 == record->p1 && spoil(w, load->p2) && spoil(w, record->p3) &&
         read_affinity(record->p4, &numeric, &textual) && record->p4[0] != 'E' &&
         pyb__members_add(list->members, &load->value, numeric, textual);
}

/* The subroutine: all members, none of which is of another row. */
static int take_members(walk *w, list *list) {
  const pyb__step *begin = take(w, PYB__OP_BEGIN_SUBRTN);
  const pyb__step *once = take(w, PYB__OP_ONCE), *step;
  int back = w->at - 1;

  if (once == NULL || once->p2 <= w->at || once->p2 >= w->next || !spoil(w, begin->p2))
    return 0;
  step = take(w, PYB__OP_OPEN_EPHEMERAL);
  if (step == NULL || step->p2 != 1 || step->p4 == NULL || step->p1 == w->cursor ||
      step->p1 == w->sorter ||
      (strcmp(step->p4, "k(1,B)") != 0 && strcmp(step->p4, "k(1,)") != 0))
    return 0;
  list->cursor = step->p1;
  list->members = pyb__members_new((size_t)(once->p2 - w->at) / 3 + 1);
  if (list->members == NULL)
    return 0;
  while (is_constant(peek(w)))
    if (!take_member(w, list))
      return 0;
  step = take(w, PYB__OP_NULL_ROW);
  if (step == NULL || step->p1 != list->cursor || peek(w)->op != PYB__OP_RETURN ||
      w->at != once->p2)
    return 0;
  step = take(w, PYB__OP_RETURN);
  return step->p1 == begin->p2 && step->p2 == back && step->p3 == 1;
}

/* Does the list have NULL, which comes first in the index? */
static int take_null_flag(walk *w, list *list) {
  const pyb__step *step = take(w, PYB__OP_INTEGER);
  int flag = step == NULL ? 0 : step->p2;

  if (step == NULL)
    return 1;
  list->flag = flag;
  step = take(w, PYB__OP_REWIND);
  if (step == NULL || step->p1 != list->cursor || step->p2 != w->at + 1 ||
      !spoil(w, flag))
    return 0;
  step = take(w, PYB__OP_COLUMN);
  return step != NULL && step->p1 == list->cursor && step->p2 == 0 &&
         step->p3 == flag && step->p5 == TYPE_ONLY;
}

/* The column that is looked up: where NULL leads to, if that is asked, and what becomes
 * of the others. */
static int take_left(walk *w, list *list, pyb__test *test, int *null_to) {
  const pyb__step *step = peek(w);
  int number = step->op == PYB__OP_COLUMN ? step->p3 : step->p2;

  if ((step->op != PYB__OP_COLUMN && step->op != PYB__OP_ROWID) || !pyb__walk_load(w) ||
      (peek(w)->op == PYB__OP_REAL_AFFINITY && !pyb__walk_load(w)) ||
      number == list->flag || !load_operand(w, number, 0, &test->left))
    return 0;
  list->left = number;
  step = take(w, PYB__OP_IS_NULL);
  if (step != NULL && step->p1 != number)
    return 0;
  *null_to = step == NULL ? 0 : step->p2;
  step = take(w, PYB__OP_AFFINITY);
  if (step == NULL)
    return 1;
  if (step->p1 != number || step->p2 != 1 ||
      !read_affinity(step->p4, &test->numeric, &test->textual) ||
      (step->p4[0] == 'E' && test->left.field < 0))
    return 0;
  test->left.real |= step->p4[0] == 'E';
  return 1;
}

/* Behind Found: what is not found is not in the list, or nobody knows if the list has
 * NULL or the value is. The loop that tells the two apart looks at one member only,
 * which is NULL, or else it is not come to but by a value that is. */
static int take_unknown(walk *w, const list *list, int *top, int *false_to,
                        int *unknown_to) {
  const pyb__step *step = take(w, PYB__OP_NOT_NULL), *column, *compare;

  if (step == NULL || step->p1 != list->flag || list->flag == 0)
    return 0;
  *false_to = step->p2;
  *top = w->at;
  step = take(w, PYB__OP_REWIND);
  column = take(w, PYB__OP_COLUMN);
  compare = take(w, PYB__OP_NE);
  if (step == NULL || step->p1 != list->cursor || step->p2 != *false_to ||
      column == NULL || column->p1 != list->cursor || column->p2 != 0 ||
      column->p5 != 0 || column->p3 == list->left || !spoil(w, column->p3) ||
      compare == NULL || compare->p1 != list->left || compare->p2 != *false_to ||
      compare->p3 != column->p3 || compare->p5 != 0)
    return 0;
  step = take(w, PYB__OP_GOTO);
  *unknown_to = step == NULL ? 0 : step->p2;
  return step != NULL;
}

static int add_null_test(walk *w, const list *list, const pyb__test *like, int target) {
  pyb__test test;

  memset(&test, 0, sizeof test);
  test.operation = PYB__TEST_NULL;
  test.left = like->left;
  return pyb__test_settle(&test) && add_test(w, &test, list->address, target);
}

/* Behind the list: the look-up, and where its three answers lead to. */
static int take_lookup(walk *w, list *list) {
  int null_to = 0, top = 0, false_to = 0, unknown_to = 0, has_null;
  const pyb__step *find;
  pyb__test test;

  memset(&test, 0, sizeof test);
  if (!take_left(w, list, &test, &null_to))
    return 0;
  find = peek(w);
  test.operation = find->op == PYB__OP_FOUND ? PYB__TEST_MEMBER : PYB__TEST_STRANGER;
  if ((find->op != PYB__OP_FOUND && find->op != PYB__OP_NOT_FOUND) ||
      find->p1 != list->cursor || find->p3 != list->left || find->p4 == NULL ||
      strcmp(find->p4, "1") != 0 || find->p5 != 0)
    return 0;
  w->at++;
  if (find->op == PYB__OP_FOUND) {
    if (!take_unknown(w, list, &top, &false_to, &unknown_to) ||
        (null_to != 0 && null_to != top))
      return 0;
  } else
    unknown_to = null_to;
  if (w->barrier > list->address || !spoil(w, list->left))
    return 0;
  has_null = pyb__members_have_null(list->members);
  test.if_null = has_null == (find->op == PYB__OP_FOUND);
  if (null_to != 0 && unknown_to == find->p2)
    test.if_null = 1;
  else if (null_to != 0 && !add_null_test(w, list, &test, unknown_to))
    return 0;
  test.members = list->members;
  list->members = NULL;
  (void)pyb__test_settle(&test); /* it has no constant */
  return add_test(w, &test, list->address, find->p2) &&
         (find->op == PYB__OP_NOT_FOUND ||
          add_jump(w, list->address, has_null ? unknown_to : false_to));
}

static int take_list(walk *w) {
  list list = {.address = w->at};
  int good =
      take_members(w, &list) && take_null_flag(w, &list) && take_lookup(w, &list);

  pyb__members_release(list.members);
  return good;
}

/* ---- LIKE and GLOB -------------------------------------------------------------- */

/* SQLite's own limit, unless it was built with another one. */
#define LONGEST_PATTERN 50000

/* The pattern is constant text, which comes first; what it is matched with is a field.
 */
static int read_match(walk *w, const pyb__step *call, pyb__test *test) {
  int glob = call->p4 != NULL && strcmp(call->p4, "glob(2)") == 0;
  const pyb_value *text = constant(w, call->p2);

  if ((!glob && (call->p4 == NULL || strcmp(call->p4, "like(2)") != 0)) ||
      call->p5 != 0 || text == NULL || text->type != PYB_TEXT ||
      text->size > LONGEST_PATTERN || place_at(w, call->p2)->counter ||
      !load_operand(w, call->p2 + 1, 0, &test->left) ||
      test->left.field == PYB__OPERAND_CONSTANT)
    return 0;
  place_at(w, call->p2)->compared = 1;
  if (text->size > w->plan->longest_pattern)
    w->plan->longest_pattern = text->size;
  w->plan->matches = 1;
  test->pattern = pyb__pattern_new(text->data, text->size, glob);
  return test->pattern != NULL;
}

/* A call of the function, and a jump by its answer. */
static int take_match(walk *w) {
  int address = w->at;
  const pyb__step *call = take(w, PYB__OP_FUNCTION), *jump = peek(w);
  pyb__test test;

  memset(&test, 0, sizeof test);
  if ((jump->op != PYB__OP_IF && jump->op != PYB__OP_IF_NOT) || jump->p1 != call->p3 ||
      jump->p5 != 0 || w->barrier > address || !read_match(w, call, &test))
    return 0;
  w->at++;
  test.operation = jump->op == PYB__OP_IF ? PYB__TEST_LIKE : PYB__TEST_UNLIKE;
  test.if_null = jump->p3 != 0;
  if (!spoil(w, call->p3) || !pyb__test_settle(&test)) {
    pyb__test_release(&test);
    return 0;
  }
  return add_test(w, &test, address, jump->p2);
}

/* ---- Any of them ---------------------------------------------------------------- */

int pyb__walk_test(walk *w) {
  switch (peek(w)->op) {
  case PYB__OP_GOTO:
    return take_goto(w);
  case PYB__OP_BIT_AND:
    return take_nullness(w);
  case PYB__OP_BEGIN_SUBRTN:
    return take_list(w);
  case PYB__OP_FUNCTION:
    return take_match(w);
  default:
    return take_comparison(w);
  }
}

void pyb__walk_resolve(pyb__predicate *predicate) {
  for (int i = 0; i < predicate->n; i++) {
    int to = i + 1, address = predicate->tests[i].jump;
    if (address == PYB__TEST_REJECT)
      continue;
    while (to < predicate->n && predicate->tests[to].address < address)
      to++;
    predicate->tests[i].jump = to;
  }
}
