/* constants.c: finds the values that a query's program compares with.
 *
 * EXPLAIN shows a float with 16 digits, which are those of several floats, and a blob
 * up to its first zero. So SQLite is asked once more: for the program of the same query
 * in which every such literal is a parameter. Where the two differ in nothing but that,
 * the numbers of the parameters say which literal is loaded where, and SQLite itself
 * gives the values: of the literals, and of the parameters that were bound. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* More columns than that a query has only where SQLite was built for it. */
#define MOST_LITERALS 2000

static const char not_plain[] = "the query compares with what cannot be told";

/* A number or blob in the text of the query; equal ones are one. */
typedef struct literal {
  const char *text;
  size_t size;
  int negative;
} literal;

/* The query on its way to be one with parameters. */
typedef struct rewriting {
  const char *p, *end; /* what is still to be read */
  sqlite3_stmt *statement;
  sqlite3_str *text;
  literal *literals; /* of sqlite3_malloc */
  int n, most;       /* literals; the greatest number of a parameter so far */
} rewriting;

/* ---- The text ------------------------------------------------------------------- */

static int is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '$' || (unsigned char)c >= 0x80;
}

/* Behind the text between two quotes, of which one may be doubled. */
static const char *skip_quoted(const char *p, const char *end, char quote) {
  for (p++; p < end; p++)
    if (*p == quote) {
      if (p + 1 == end || p[1] != quote || quote == ']')
        return p + 1;
      p++;
    }
  return end;
}

static const char *skip_comment(const char *p, const char *end) {
  if (*p == '-') {
    while (p < end && *p != '\n')
      p++;
    return p;
  }
  for (p += 2; p + 1 < end; p++)
    if (p[0] == '*' && p[1] == '/')
      return p + 2;
  return end;
}

static const char *skip_digits(const char *p, const char *end) {
  while (p < end && is_digit(*p))
    p++;
  return p;
}

static const char *skip_number(const char *p, const char *end) {
  p = skip_digits(p, end);
  if (p < end && *p == '.')
    p = skip_digits(p + 1, end);
  if (p < end && (*p == 'e' || *p == 'E')) {
    const char *digits = p + 1;
    if (digits < end && (*digits == '+' || *digits == '-'))
      digits++;
    if (digits < end && is_digit(*digits))
      p = skip_digits(digits, end);
  }
  return p;
}

/* Behind the token that begins at p, which is not the end. */
static const char *skip_token(const char *p, const char *end) {
  const char *next = p + 1;

  if (*p == '\'' || *p == '"' || *p == '`')
    return skip_quoted(p, end, *p);
  if (*p == '[')
    return skip_quoted(p, end, ']');
  if (next < end && ((*p == '-' && *next == '-') || (*p == '/' && *next == '*')))
    return skip_comment(p, end);
  if (next < end && (*p == 'x' || *p == 'X') && *next == '\'')
    return skip_quoted(next, end, '\'');
  if (is_digit(*p) || (*p == '.' && next < end && is_digit(*next))) {
    next = skip_number(p, end);
    while (next < end && is_word(*next))
      next++; /* 0x10, 1_000: no literal of ours */
    return next;
  }
  if (*p == '?')
    return skip_digits(next, end);
  if (is_word(*p) || *p == ':' || *p == '@' || *p == '#')
    while (next < end && is_word(*next))
      next++;
  return next;
}

/* Is the token a literal that EXPLAIN does not show exactly? */
static int is_literal(const char *token, const char *behind) {
  if ((*token == 'x' || *token == 'X') && behind - token > 1 && token[1] == '\'')
    return 1;
  if (!is_digit(*token) && (*token != '.' || behind - token == 1))
    return 0;
  return skip_number(token, behind) == behind &&
         (behind - token > 9 || skip_digits(token, behind) != behind);
}

/* Take a minus sign that stands before the literal out of the text: 1, or 0. */
static int take_minus(rewriting *r) {
  const char *text = sqlite3_str_value(r->text);
  int size = sqlite3_str_length(r->text);

  if (text == NULL)
    return 0;
  while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
    size--;
  if (size == 0 || text[size - 1] != '-')
    return 0;
  /* What was between them was white space. */
  ((char *)text)[size - 1] = ' ';
  return 1;
}

/* Room for one more literal: 1, or 0. */
static int make_room(rewriting *r) {
  size_t room = r->n == 0 ? 8 : (size_t)r->n * 2;
  literal *literals = r->literals;

  if (r->n == MOST_LITERALS)
    return 0;
  if (r->n == 0 || (r->n >= 8 && (r->n & (r->n - 1)) == 0))
    literals = sqlite3_realloc64(literals, room * sizeof *literals);
  if (literals == NULL)
    return 0;
  r->literals = literals;
  return 1;
}

static int add_literal(rewriting *r, const char *token, size_t size) {
  literal literal = {token, size, *token != 'x' && *token != 'X' && take_minus(r)};
  int i = 0;

  while (i < r->n &&
         (r->literals[i].size != size || r->literals[i].negative != literal.negative ||
          memcmp(r->literals[i].text, token, size) != 0))
    i++;
  if (i == r->n) {
    if (!make_room(r))
      return 0;
    r->literals[r->n++] = literal;
  }
  sqlite3_str_appendf(r->text, " ?%d ",
                      sqlite3_bind_parameter_count(r->statement) + i + 1);
  return 1;
}

/* Write a parameter of the query with its number, so that ours do not shift it. */
static int add_parameter(rewriting *r, const char *token, size_t size) {
  char *name = sqlite3_mprintf("%.*s", (int)size, token);
  int number = 0;

  if (name != NULL && size == 1 && *token == '?')
    number = r->most + 1;
  else if (name != NULL && *token == '?')
    number = size < 8 ? (int)strtol(token + 1, NULL, 10) : 0;
  else if (name != NULL)
    number = sqlite3_bind_parameter_index(r->statement, name);
  sqlite3_free(name);
  if (number > r->most)
    r->most = number;
  sqlite3_str_appendf(r->text, " ?%d ", number);
  return number > 0;
}

static int rewrite(rewriting *r) {
  int good = 1;

  while (r->p < r->end && good) {
    const char *token = r->p;
    size_t size;
    r->p = skip_token(token, r->end);
    size = (size_t)(r->p - token);
    if (is_literal(token, r->p))
      good = add_literal(r, token, size);
    else if (*token == '?' || *token == ':' || *token == '@')
      good = add_parameter(r, token, size);
    else if (*token == '$' || *token == '#')
      good = 0; /* these may go on in ways of their own */
    else
      sqlite3_str_append(r->text, token, (int)size);
  }
  return good && r->most <= sqlite3_bind_parameter_count(r->statement);
}

/* ---- The program ---------------------------------------------------------------- */

static int is_shown(pyb__opcode op) {
  return op == PYB__OP_INTEGER || op == PYB__OP_NULL || op == PYB__OP_STRING8;
}

static int is_unseen(pyb__opcode op) {
  return op == PYB__OP_REAL || op == PYB__OP_INT64 || op == PYB__OP_BLOB;
}

static int is_same_text(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Write into p1 of each instruction that loads a literal or a parameter the number of
 * the parameter: 1, or 0 where the programs differ in more than that. */
static int align(pyb__program *program, const pyb__program *other) {
  int good = program->n == other->n;

  for (int i = 0; i < program->n && good; i++) {
    pyb__step *a = &program->steps[i];
    const pyb__step *b = &other->steps[i];

    if (is_unseen(a->op)) {
      good = b->op == PYB__OP_VARIABLE && a->p2 == b->p2;
      a->op = PYB__OP_VARIABLE;
      a->p1 = b->p1;
    } else
      good = a->op == b->op && a->p1 == b->p1 && a->p2 == b->p2 && a->p3 == b->p3 &&
             a->p5 == b->p5 &&
             (a->op == PYB__OP_VARIABLE || is_same_text(a->p4, b->p4));
  }
  return good;
}

/* Ask for the program of the query with parameters for its literals. */
static const char *find_literals(sqlite3 *db, const pyb__sqlite_plain *query,
                                 pyb__program *program, rewriting *r) {
  pyb__program other = {0};
  const char *reason = not_plain;

  r->p = query->sql;
  r->end = query->sql + query->size;
  r->statement = query->statement;
  r->text = sqlite3_str_new(db);
  sqlite3_str_appendall(r->text, "explain ");
  if (!rewrite(r) || r->n == 0)
    sqlite3_free(sqlite3_str_finish(r->text));
  else
    reason = pyb__program_read(db, sqlite3_str_finish(r->text), &other);
  if (reason == NULL && !align(program, &other))
    reason = not_plain;
  pyb__program_release(&other);
  return reason;
}

/* ---- The values ----------------------------------------------------------------- */

/* "select ?, :a, 1.5": the parameters of the query by their names, then its literals;
 * column i has the value of parameter i + 1. */
static char *values_query(sqlite3 *db, sqlite3_stmt *statement, const rewriting *r) {
  int n = sqlite3_bind_parameter_count(statement);
  sqlite3_str *sql = sqlite3_str_new(db);

  for (int i = 0; i < n; i++) {
    const char *name = sqlite3_bind_parameter_name(statement, i + 1);
    sqlite3_str_appendf(sql, "%s%s", i == 0 ? "select " : ", ",
                        name == NULL ? "?" : name);
  }
  for (int i = 0; i < r->n; i++)
    sqlite3_str_appendf(sql, "%s%s%.*s", i + n == 0 ? "select " : ", ",
                        r->literals[i].negative ? "-" : "", (int)r->literals[i].size,
                        r->literals[i].text);
  return sqlite3_str_finish(sql);
}

static const char *find_values(sqlite3 *db, const pyb__sqlite_plain *query,
                               pyb__program *program, const rewriting *r) {
  int n = sqlite3_bind_parameter_count(query->statement) + r->n;
  char *sql = values_query(db, query->statement, r);
  int good = sql != NULL &&
             sqlite3_prepare_v2(db, sql, -1, &program->values, NULL) == SQLITE_OK &&
             sqlite3_column_count(program->values) == n &&
             pyb__sqlite_parameters(db, program->values, query->params, query->names,
                                    query->n_params, NULL) == PYB_OK &&
             sqlite3_step(program->values) == SQLITE_ROW;

  sqlite3_free(sql);
  for (int i = 0; i < program->n && good; i++) {
    pyb__step *step = &program->steps[i];
    if (step->op == PYB__OP_VARIABLE)
      good = step->p1 >= 1 && step->p1 <= n &&
             pyb__sqlite_load(sqlite3_column_value(program->values, step->p1 - 1),
                              &step->value) == PYB_OK &&
             (step->value.type == PYB_NULL || step->value.type == PYB_INT64 ||
              step->value.type == PYB_FLOAT64 || step->value.type == PYB_TEXT ||
              step->value.type == PYB_BLOB);
  }
  return good ? NULL : not_plain;
}

static const char *show_value(pyb__step *step) {
  if (step->op == PYB__OP_INTEGER)
    step->value = (pyb_value){.type = PYB_INT64, .integer = step->p1};
  if (step->op == PYB__OP_STRING8 && step->p4 == NULL)
    return not_plain;
  if (step->op == PYB__OP_STRING8)
    step->value =
        (pyb_value){.type = PYB_TEXT, .data = step->p4, .size = strlen(step->p4)};
  return NULL;
}

const char *pyb__program_constants(sqlite3 *db, const pyb__sqlite_plain *query,
                                   pyb__program *program) {
  int parameters = sqlite3_bind_parameter_count(query->statement), unseen = 0;
  const char *reason = NULL;
  rewriting r = {0};

  for (int i = 0; i < program->n && reason == NULL; i++) {
    unseen |= is_unseen(program->steps[i].op);
    if (is_shown(program->steps[i].op))
      reason = show_value(&program->steps[i]);
  }
  if (reason == NULL && unseen)
    reason = find_literals(db, query, program, &r);
  if (reason == NULL && (unseen || parameters != 0 || query->n_params != 0))
    reason = find_values(db, query, program, &r);
  sqlite3_free(r.literals);
  return reason;
}
