/* sorted.c: reads the rows of a table in the order of its columns.
 *
 * All rows: they are read as they lie in the file, with the columns to sort by beside
 * those of the result, and then put in order. Rows that are equal stay in the order of
 * their rowids, which is what SQLite's sorter makes of rows that come in that order.
 *
 * Only the first rows: the columns to sort by are read alone, with the rowid, and those
 * behind the last row that can be wanted are dropped every now and then, so that memory
 * is needed for not many more than are wanted; what comes behind that row then is not
 * taken at all. In the end the rows themselves are read, by their rowids, in the order
 * of the file, and put in order. */
#include "sorted.h"

#include <string.h>

#include "order.h"

/* Rows that may be read beyond those that are wanted before any are dropped. */
#define SLACK_ROWS 65536

typedef struct sorting {
  pyb__tree *tree;
  const pyb__plan *plan;
  pyb_table *keys; /* the columns to sort by that are not in the result; the rowid */
  size_t n_keys;   /* columns of it */
  pyb__field *fields;
  pyb__sorted_by *by;
  uint32_t *rows; /* of n_rows */
  size_t n_rows;
  uint32_t most;    /* rows that are wanted, with those to pass over; 0 = all */
  pyb__test *tests; /* those of the plan, and room for one more */
} sorting;

static const char too_many[] = "there are too many rows to sort them here";
static const char no_type[] = "a column to sort by holds values of more than one type";

/* ---- Ordering ------------------------------------------------------------------- */

static pyb__tree_end make_rows(sorting *s, size_t n) {
  if (n <= s->n_rows)
    return PYB__TREE_WHOLE;
  sqlite3_free(s->rows);
  s->n_rows = 0;
  s->rows = sqlite3_malloc64(n * sizeof *s->rows);
  if (s->rows == NULL)
    return PYB__TREE_NO_MEMORY;
  s->n_rows = n;
  return PYB__TREE_WHOLE;
}

/* Put into s->rows the first `most` of the n rows that have been read; *most is made
 * less where there are fewer. */
static pyb__tree_end sort_rows(sorting *s, int64_t n, uint32_t *most) {
  pyb__tree_end end;

  if (n >= UINT32_MAX)
    return pyb__tree_decline(s->tree, too_many);
  if (*most == 0 || *most > n)
    *most = (uint32_t)n;
  for (size_t i = 0; i < s->plan->n_keys; i++) {
    uint32_t kinds = s->by[i].column->kinds;
    if ((kinds & (kinds - 1)) != 0)
      return pyb__tree_decline(s->tree, no_type);
  }
  end = make_rows(s, (size_t)n + 1);
  if (end != PYB__TREE_WHOLE || n == 0)
    return end;
  return pyb__order_rows(s->by, s->plan->n_keys, (uint32_t)n, *most, s->rows,
                         s->tree->interrupted, s->tree->host);
}

static pyb__tree_end take(pyb_table *table, const uint32_t *rows, int64_t n) {
  return pyb_table_take(table, rows, n, NULL) == PYB_OK ? PYB__TREE_WHOLE
                                                        : PYB__TREE_NO_MEMORY;
}

/* ---- All rows ------------------------------------------------------------------- */

static int is_same_field(const pyb__field *a, const pyb__field *b) {
  return a->field == b->field && a->real == b->real && a->has_default == b->has_default;
}

/* The fields of the result, and behind them those of the columns to sort by that are
 * not among them. */
static pyb__tree_end read_all(sorting *s) {
  pyb__tree *tree = s->tree;
  pyb__field *result = tree->fields;
  size_t n = tree->n;
  pyb__tree_end end;

  memcpy(s->fields, result, n * sizeof *result);
  s->n_keys = 0;
  for (size_t i = 0; i < s->plan->n_keys; i++) {
    pyb__field field = s->plan->keys[i].field;
    size_t k = 0;

    while (k < n + s->n_keys && !is_same_field(&s->fields[k], &field))
      k++;
    if (k == n + s->n_keys) {
      field.column = pyb_table_column(s->keys, s->n_keys++);
      s->fields[k] = field;
    }
    s->by[i].column = s->fields[k].column;
  }
  tree->fields = s->fields;
  tree->n = n + s->n_keys;
  end = pyb__tree_read(tree);
  tree->fields = result;
  tree->n = n;
  return end;
}

static pyb__tree_end sort_all(sorting *s, pyb_table *table) {
  pyb__tree_end end = read_all(s);
  uint32_t most = 0;

  if (end == PYB__TREE_WHOLE)
    end = sort_rows(s, s->tree->rows, &most);
  if (end == PYB__TREE_WHOLE)
    end = take(table, s->rows, most);
  return end;
}

/* ---- The first rows ------------------------------------------------------------- */

/* Mark in `ranks`, n of them, the rows that are chosen, and number these upward. */
static void rank(uint32_t *ranks, uint32_t n, const uint32_t *chosen, uint32_t count) {
  uint32_t next = 0;

  memset(ranks, 0, n * sizeof *ranks);
  for (uint32_t i = 0; i < count; i++)
    ranks[chosen[i]] = 1;
  for (uint32_t i = 0; i < n; i++)
    ranks[i] = ranks[i] != 0 ? next++ : UINT32_MAX;
}

/* Keep of the keys those of the rows at s->rows[from.. to), in the order in which they
 * were read. s->rows becomes their numbers then, in the order that it had. */
static pyb__tree_end keep(sorting *s, uint32_t from, uint32_t to) {
  uint32_t n = (uint32_t)s->by[0].column->length, count = to - from;
  uint32_t *ranks = sqlite3_malloc64(((size_t)n + count + 1) * sizeof *ranks);
  uint32_t *kept = ranks + n;
  pyb__tree_end end;

  if (ranks == NULL)
    return PYB__TREE_NO_MEMORY;
  rank(ranks, n, s->rows + from, count);
  for (uint32_t i = 0; i < n; i++)
    if (ranks[i] != UINT32_MAX)
      kept[ranks[i]] = i;
  for (uint32_t i = 0; i < count; i++)
    s->rows[i] = ranks[s->rows[from + i]];
  end = take(s->keys, kept, count);
  sqlite3_free(ranks);
  return end;
}

/* The test for rows that come behind row `last` by the first column to sort by: 1, or 0
 * where there is none. */
static int test_behind(const sorting *s, uint32_t last, pyb__test *test) {
  const pyb__key *key = &s->plan->keys[0];
  const pyb_column *column = s->by[0].column;
  int null =
      column->validity != NULL && (column->validity[last >> 3] >> (last & 7) & 1) == 0;

  if ((column->kinds != 1u << PYB_INT64 && column->kinds != 1u << PYB_FLOAT64) ||
      (null && key->descending))
    return 0; /* nothing comes behind NULL then */
  memset(test, 0, sizeof *test);
  test->operation = null              ? PYB__TEST_NOT_NULL
                    : key->descending ? PYB__TEST_LT
                                      : PYB__TEST_GT;
  test->if_null = key->descending;
  test->left.field = key->field.field < 0 ? PYB__OPERAND_ROWID : key->field.field;
  test->left.real = key->field.real;
  test->left.has_default = key->field.has_default;
  test->right.field = PYB__OPERAND_CONSTANT;
  test->right.value.type = column->kinds == 1u << PYB_INT64 ? PYB_INT64 : PYB_FLOAT64;
  memcpy(&test->right.value.integer, &column->integers[last], 8);
  test->jump = PYB__TEST_REJECT;
  return pyb__test_settle(test);
}

/* Have the tree pass over rows that come behind the last one that is kept, as SQLite
 * does. Like there, all columns to sort by are looked at first. */
static pyb__tree_end pass_behind(sorting *s, uint32_t last) {
  const pyb__predicate *planned = &s->plan->predicate;
  pyb__predicate *predicate = &s->tree->predicate;
  pyb__test test;

  if (!test_behind(s, last, &test))
    return PYB__TREE_WHOLE;
  if (s->tests == NULL) {
    s->tests = sqlite3_malloc64(((size_t)planned->n + 1) * sizeof *s->tests);
    if (s->tests == NULL)
      return PYB__TREE_NO_MEMORY;
    if (planned->n != 0)
      memcpy(s->tests, planned->tests, (size_t)planned->n * sizeof *s->tests);
  }
  s->tests[planned->n] = test;
  predicate->tests = s->tests;
  predicate->n = planned->n + 1;
  for (size_t i = 0; i < s->plan->n_keys; i++)
    if (s->plan->keys[i].field.field >= predicate->width)
      predicate->width = s->plan->keys[i].field.field + 1;
  s->tree->judged = 1;
  return PYB__TREE_WHOLE;
}

/* pyb__tree.full: so many keys have been read that it is time to drop some. */
static pyb__tree_end drop(pyb__tree *tree, void *data) {
  sorting *s = data;
  uint32_t most = s->most;
  pyb__tree_end end = sort_rows(s, s->by[0].column->length, &most);

  (void)tree;
  if (end == PYB__TREE_WHOLE)
    end = pass_behind(s, s->rows[most - 1]);
  return end == PYB__TREE_WHOLE ? keep(s, 0, most) : end;
}

/* How many fields of a record the result needs. SQLite reads them of every row that is
 * among the first for some time, so a fault in them is an error then. */
static size_t result_width(const pyb__tree *tree) {
  size_t width = 0;

  for (size_t i = 0; i < tree->n; i++)
    if (tree->fields[i].field >= 0 && (size_t)tree->fields[i].field >= width)
      width = (size_t)tree->fields[i].field + 1;
  return width;
}

/* Read the columns to sort by, and the rowids. */
static pyb__tree_end read_keys(sorting *s) {
  pyb__tree *tree = s->tree;
  pyb__field *result = tree->fields;
  size_t n = tree->n;
  pyb__tree_end end;

  s->n_keys = s->plan->n_keys + 1;
  for (size_t i = 0; i < s->n_keys; i++) {
    s->fields[i] = (pyb__field){.field = -1};
    if (i < s->plan->n_keys)
      s->fields[i] = s->plan->keys[i].field;
    s->fields[i].column = pyb_table_column(s->keys, i);
    if (i < s->plan->n_keys)
      s->by[i].column = s->fields[i].column;
  }
  tree->seen = result_width(tree);
  tree->fields = s->fields;
  tree->n = s->n_keys;
  tree->full = drop;
  tree->full_data = s;
  tree->full_rows = s->most + (int64_t)s->most / 2 + SLACK_ROWS;
  end = pyb__tree_read(tree);
  tree->fields = result;
  tree->n = n;
  tree->full = NULL;
  tree->seen = 0;
  return end;
}

/* Read the rows whose rowids are left of the keys, in the order of these. */
static pyb__tree_end read_chosen(sorting *s) {
  const pyb_column *rowids = pyb_table_column(s->keys, s->n_keys - 1);
  pyb__tree *tree = s->tree;
  pyb__tree_end end;

  if (rowids->length == 0)
    return PYB__TREE_WHOLE;
  pyb__leaf_release(tree);
  tree->predicate = (pyb__predicate){0};
  tree->wanted = rowids->integers;
  tree->n_wanted = rowids->length;
  tree->start = rowids->integers[0];
  tree->end = rowids->integers[rowids->length - 1];
  end = pyb__tree_read(tree);
  if (end == PYB__TREE_WHOLE && tree->rows != rowids->length)
    return pyb__tree_decline(tree, "a row has gone meanwhile");
  return end;
}

static pyb__tree_end sort_first(sorting *s, pyb_table *table) {
  pyb__tree_end end = read_keys(s);
  uint32_t most = s->most, skip = 0;

  if (end == PYB__TREE_WHOLE)
    end = sort_rows(s, s->by[0].column->length, &most);
  if (end != PYB__TREE_WHOLE)
    return end;
  skip = s->plan->skip < most ? (uint32_t)s->plan->skip : most;
  end = keep(s, skip, most);
  if (end == PYB__TREE_WHOLE)
    end = read_chosen(s);
  if (end == PYB__TREE_WHOLE)
    end = take(table, s->rows, most - skip);
  return end;
}

/* ---- Both ----------------------------------------------------------------------- */

static pyb__tree_end prepare(sorting *s) {
  size_t n = s->plan->n_keys + 1;

  s->fields = sqlite3_malloc64((s->tree->n + n) * sizeof *s->fields);
  s->by = sqlite3_malloc64(n * sizeof *s->by);
  if (s->fields == NULL || s->by == NULL || pyb_table_new(n, &s->keys, NULL) != PYB_OK)
    return PYB__TREE_NO_MEMORY;
  for (size_t i = 0; i < s->plan->n_keys; i++)
    s->by[i] = (pyb__sorted_by){NULL, s->plan->keys[i].descending};
  return PYB__TREE_WHOLE;
}

pyb__tree_end pyb__sorted_read(pyb__tree *tree, const pyb__plan *plan,
                               pyb_table *table) {
  sorting s = {.tree = tree, .plan = plan};
  pyb__tree_end end = prepare(&s);

  tree->skip = tree->most = 0; /* these count rows of the result */
  /* SQLite puts the columns of the result and those to sort by into one record, which
   * may not be longer than others. */
  tree->longest /= (int64_t)(tree->n + plan->n_keys + 1);
  if (end != PYB__TREE_WHOLE)
    goto done;
  if (plan->most == 0 && plan->skip != 0)
    end = pyb__tree_decline(tree, "OFFSET has no LIMIT");
  else if (plan->most == 0)
    end = sort_all(&s, table);
  else if (plan->most > UINT32_MAX / 4 || plan->skip > UINT32_MAX / 4)
    end = pyb__tree_decline(tree, too_many);
  else {
    s.most = (uint32_t)(plan->most + plan->skip);
    end = sort_first(&s, table);
  }

done:
  /* SQLite sorts in files where memory is short. */
  if (end == PYB__TREE_NO_MEMORY)
    end = pyb__tree_decline(tree, "there is no memory to sort it here");
  tree->wanted = NULL;
  tree->predicate = plan->predicate;
  pyb_table_release(s.keys);
  sqlite3_free(s.fields);
  sqlite3_free(s.by);
  sqlite3_free(s.rows);
  sqlite3_free(s.tests);
  return end;
}
