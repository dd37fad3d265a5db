/* test_calls.c: each function of pybridge.h: what it gives, and how it fails. */
#include "test.h"

static pyb_session session;
static pyb_value value;

static const char *result_text(void) {
  CHECK(value.type == PYB_TEXT);
  return value.data;
}

/* A failed call: the status, nothing in the result, an error of one line. */
static void failed(pyb_status wanted, pyb_status status) {
  CHECK(status == wanted && error.status == wanted);
  CHECK(value.type == PYB_NULL && value.release == NULL);
  CHECK(error.message[0] != '\0' && strchr(error.message, '\n') == NULL);
}

/* ---- Status --------------------------------------------------------------------- */

static void test_every_status_has_a_text(void) {
  CHECK(strcmp(pyb_status_text(PYB_OK), "success") == 0);
  for (int status = 0; status <= 13; status++)
    CHECK(strcmp(pyb_status_text((pyb_status)status), "unknown status") != 0);
  CHECK(strcmp(pyb_status_text((pyb_status)99), "unknown status") == 0);
}

/* ---- Errors --------------------------------------------------------------------- */

/* All fields: the qualified type, the message in one line, file and line of the code.
 */
static void test_error_says_all(void) {
  OK(run(&session, "import json\n"
                   "class Own(Exception): pass\n"
                   "def f():\n"
                   "  x = 1\n"
                   "  raise Own('first line\\nsecond line')\n"));
  value = int_value(1);
  failed(PYB_PYTHON, pyb_call(&session, "f", NULL, 0, NULL, 0, &value, &error));
  CHECK(strcmp(error.type, "Own") == 0 || strcmp(error.type, "__main__.Own") == 0);
  CHECK(strcmp(error.message, "first line second line") == 0);
  CHECK(has(error.file, "<pybridge:") && error.line == 5);
  failed(PYB_PYTHON, evaluate(&session, "json.loads('{')", &value));
  CHECK(strcmp(error.type, "json.decoder.JSONDecodeError") == 0);
  CHECK(has(error.file, "<pybridge:") && error.line == 1);
  CHECK(run(&session, "x = 1\ny = (2\n") == PYB_PYTHON);
  CHECK(strcmp(error.type, "SyntaxError") == 0 && error.line == 2);
}

/* A longer message is cut at a whole character and ends in "...". */
static void test_long_message_is_cut(void) {
  size_t size;

  for (int shift = 0; shift < 3; shift++) {
    char text[80];
    snprintf(text, sizeof text, "exec(\"raise ValueError('%.*s' + '\\u20ac' * 5000)\")",
             shift, "xx");
    failed(PYB_PYTHON, evaluate(&session, text, &value));
    size = strlen(error.message);
    CHECK(size > 900 && size < sizeof error.message);
    CHECK(strcmp(error.message + size - 3, "...") == 0);
    CHECK((error.message[size - 4] & 0xC0) == 0x80 &&
          (error.message[size - 6] & 0xF0) == 0xE0);
  }
}

/* An error that nobody wants need not be given. */
static void test_error_may_be_null(void) {
  CHECK(pyb_evaluate(&session, "1 / 0", PYB_NTS, NULL, &value, NULL) == PYB_PYTHON);
  CHECK(pyb_execute_code(&session, "1 / 0", PYB_NTS, NULL, NULL) == PYB_PYTHON);
  CHECK(pyb_call(&session, "nobody", NULL, 0, NULL, 0, &value, NULL) == PYB_UNDEFINED);
  CHECK(pyb_call(NULL, "len", NULL, 3, NULL, 0, &value, NULL) == PYB_BAD_ARGUMENT);
  CHECK(pyb_finalize(NULL) == PYB_OK);
}

/* What is missing is an error, not a crash. */
static void test_missing_arguments_are_errors(void) {
  struct ArrowArrayStream rows = {0};
  const char *const nameless[] = {NULL};
  const pyb_session *s = &session;
  pyb_object *object;
  pyb_value one = int_value(1);
  int64_t count;
  int answer;

#define BAD(call) failed(PYB_BAD_ARGUMENT, (value = int_value(1), (call)))
#define BAD_PLACE(call) CHECK((call) == PYB_BAD_ARGUMENT && has(error.message, "place"))
  BAD(pyb_simple_string(s, NULL, 0, NULL, NULL, &value, &error));
  BAD(pyb_evaluate(s, NULL, 0, NULL, &value, &error));
  BAD(pyb_execute_function(s, NULL, NULL, NULL, NULL, NULL, &value, &error));
  BAD(pyb_call(s, NULL, NULL, 0, NULL, 0, &value, &error));
  BAD(pyb_call(s, "len", NULL, 1, NULL, 0, &value, &error));
  BAD(pyb_call(s, "len", &one, 1, nameless, 2, &value, &error));
  BAD(pyb_call(s, "len", &one, 1, nameless, 1, &value, &error));
  BAD(pyb_call(s, "len", &one, 1, NULL, 1, &value, &error));
  BAD(pyb_get_variable(s, NULL, NULL, &value, &error));
  BAD(pyb_get_variable_info(s, NULL, NULL, &value, &error));
  BAD(pyb_get_function_info(s, NULL, &value, &error));
  BAD(pyb_import_module(s, NULL, NULL, &value, &error));
  BAD(pyb_get_module_info(s, NULL, &value, &error));
  value = PYB_EMPTY;
  failed(PYB_BAD_ARGUMENT, pyb_execute_code(s, NULL, 0, NULL, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_variable(s, NULL, &one, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_variable(s, "x", NULL, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_stream(s, "x", NULL, NULL, NULL, &count, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_stream(s, "x", NULL, NULL, &rows, &count, &error));
  failed(PYB_BAD_ARGUMENT, pyb_execute_query(s, NULL, 0, "x", NULL, NULL, NULL, NULL,
                                             NULL, 0, &count, &error));
  failed(PYB_BAD_ARGUMENT, pyb_execute_query(s, "q", 1, NULL, NULL, NULL, NULL, NULL,
                                             NULL, 0, &count, &error));
  failed(PYB_BAD_ARGUMENT, pyb_execute_query(s, "q", 1, "x", NULL, NULL, NULL, NULL,
                                             NULL, 1, &count, &error));
  failed(PYB_BAD_ARGUMENT, pyb_get_stream(s, NULL, NULL, 0, &rows, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_get(s, NULL, &object, &error));
  CHECK(object == NULL);
  failed(PYB_BAD_ARGUMENT, pyb_object_call(s, NULL, NULL, 0, &value, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_new(s, NULL, &object, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_invoke(s, NULL, "x", NULL, 0, NULL, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_has(s, NULL, NULL, 0, &answer, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_apply(s, NULL, NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_map(s, NULL, NULL, &rows, &error));
  BAD_PLACE(pyb_simple_string(s, "1", 1, NULL, NULL, NULL, &error));
  BAD_PLACE(pyb_evaluate(s, "1", 1, NULL, NULL, &error));
  BAD_PLACE(pyb_call(s, "len", NULL, 0, NULL, 0, NULL, &error));
  BAD_PLACE(pyb_get_variable(s, "x", NULL, NULL, &error));
  BAD_PLACE(pyb_initialize(s, NULL, NULL, &error));
  BAD_PLACE(pyb_job(s, "f", NULL, NULL, NULL, NULL, &error));
  BAD_PLACE(pyb_list_runs(s, NULL, NULL, &error));
  BAD_PLACE(pyb_get_status(s, NULL, &error));
  BAD_PLACE(pyb_get_stream(s, "x", NULL, 0, NULL, &error));
  BAD_PLACE(pyb_get_schema(s, "x", NULL, &error));
  BAD_PLACE(pyb_object_get(s, "x", NULL, &error));
  BAD_PLACE(pyb_table_new(1, NULL, &error));
#undef BAD
#undef BAD_PLACE
  pyb_object_release(NULL);
  pyb_interrupt(NULL);
  pyb_interrupt(s);
}

/* ---- Code ----------------------------------------------------------------------- */

static void test_simple_string(void) {
  OK(pyb_simple_string(&session, "x = 6\ny = x * 7", PYB_NTS, "y", NULL, &value,
                       &error));
  CHECK(value.type == PYB_INT64 && value.integer == 42);
  OK(pyb_simple_string(&session, "x = 1", PYB_NTS, NULL, NULL, &value, &error));
  CHECK(value.type == PYB_NULL);
  OK(pyb_simple_string(&session, "x = {'a': [1, None]}", PYB_NTS, "x", "json", &value,
                       &error));
  CHECK(has(result_text(), "\"a\""));
  pyb_value_release(&value);
  OK(pyb_simple_string(&session, "x = 5 # and what follows", 5, "x", "repr", &value,
                       &error));
  CHECK(is_text(&value, "5"));
  pyb_value_release(&value);
  failed(PYB_UNDEFINED,
         pyb_simple_string(&session, "", 0, "nobody", NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_simple_string(&session, "", 0, "x", "yaml", &value, &error));
}

static void test_execute_code(void) {
  OK(pyb_execute_code(&session, "a = 2\na * 21", PYB_NTS, "answer", &error));
  CHECK(integer_of(&session, "answer") == 42);
  value = PYB_EMPTY;
  failed(PYB_BAD_ARGUMENT,
         pyb_execute_code(&session, "a = 2", PYB_NTS, "answer", &error));
  failed(PYB_BAD_ARGUMENT, pyb_execute_code(&session, "1", 1, "not a name", &error));
  failed(PYB_PYTHON, pyb_execute_code(&session, "a = 3\n1 / 0", PYB_NTS, "b", &error));
  failed(PYB_UNDEFINED, pyb_execute_code(&session, "b", 1, "answer", &error));
  CHECK(integer_of(&session, "answer") == 42);
  OK(run(&session, "if True:\r\n  crlf = 1\r\n"));
  CHECK(integer_of(&session, "crlf") == 1);
  OK(pyb_execute_code(&session, "", 0, NULL, &error));
  CHECK(pyb_execute_code(&session, "a = 1\n\0b", 8, NULL, &error) == PYB_PYTHON);
  CHECK(strcmp(error.type, "SyntaxError") == 0 && error.line == 2);
}

static void test_evaluate(void) {
  OK(evaluate(&session, "1 + 1", &value));
  CHECK(value.integer == 2);
  OK(pyb_evaluate(&session, "1 + 1", 1, NULL, &value, &error));
  CHECK(value.integer == 1);
  OK(pyb_evaluate(&session, "[1, 2]", PYB_NTS, "json", &value, &error));
  CHECK(has(result_text(), "1") && has(result_text(), "2"));
  pyb_value_release(&value);
  failed(PYB_PYTHON, evaluate(&session, "1 +", &value));
  CHECK(strcmp(error.type, "SyntaxError") == 0);
  failed(PYB_UNDEFINED, evaluate(&session, "nobody", &value));
  CHECK(evaluate(&session, "'a\0b'", &value) == PYB_PYTHON);
  failed(PYB_PYTHON, pyb_evaluate(&session, "'\xFF'", 3, NULL, &value, &error));
}

static void test_execute_function(void) {
  OK(run(&session, "def f(a, b=2, *, c=3): return [a, b, c]"));
  OK(pyb_execute_function(&session, "f", "[1]", "{\"c\": \"x\"}", NULL, "json", &value,
                          &error));
  CHECK(has(result_text(), "\"x\""));
  pyb_value_release(&value);
  OK(pyb_execute_function(&session, "f", "[1]", NULL, "kept", NULL, &value, &error));
  CHECK(value.type == PYB_NULL && integer_of(&session, "kept[1]") == 2);
  failed(PYB_UNDEFINED, pyb_execute_function(&session, "math.floor", "[2.5]", NULL,
                                             NULL, NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_execute_function(&session, "f", "{}", NULL, NULL, NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_execute_function(&session, "f", "[1", NULL, NULL, NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_execute_function(&session, "f", NULL, "[]", NULL, NULL, &value, &error));
  failed(PYB_PYTHON,
         pyb_execute_function(&session, "f", "[]", NULL, "kept", NULL, &value, &error));
  CHECK(strcmp(error.type, "TypeError") == 0 && integer_of(&session, "kept[1]") == 2);
}

static void test_call(void) {
  const char *const names[] = {"c", "b"};
  pyb_value args[40] = {[0] = int_value(1), [1] = int_value(10), [2] = int_value(100)};

  OK(run(&session, "def f(a, b=2, c=3): return a + 2 * b + 3 * c\n"
                   "def count(*args): return len(args)"));
  OK(pyb_call(&session, "f", args, 3, NULL, 0, &value, &error));
  CHECK(value.integer == 321);
  OK(pyb_call(&session, "f", args, 3, names, 2, &value, &error));
  CHECK(value.integer == 231);
  OK(pyb_call(&session, "count", args, 40, NULL, 0, &value, &error));
  CHECK(value.integer == 40);
  failed(PYB_UNSUPPORTED,
         pyb_call(&session, "'x-y'.split", (pyb_value[]){text_value("-")}, 1, NULL, 0,
                  &value, &error));
  failed(PYB_UNDEFINED, pyb_call(&session, "nobody", args, 1, NULL, 0, &value, &error));
  failed(PYB_PYTHON, pyb_call(&session, "f", args, 0, NULL, 0, &value, &error));
  OK(run(&session, "seven = 7"));
  CHECK(pyb_call(&session, "seven", args, 0, NULL, 0, &value, &error) != PYB_OK);
  failed(PYB_PYTHON,
         pyb_call(&session, "f",
                  (pyb_value[]){{.type = PYB_TEXT, .data = "\xFF", .size = 1}}, 1, NULL,
                  0, &value, &error));
}

/* ---- Variables and modules ------------------------------------------------------ */

static void test_variables(void) {
  pyb_value text = text_value("v");

  OK(pyb_set_variable(&session, "v", &text, &error));
  OK(pyb_get_variable(&session, "v", NULL, &value, &error));
  CHECK(is_text(&value, "v"));
  pyb_value_release(&value);
  OK(run(&session, "class A: b = [{'k': 5}]\na = A()"));
  OK(pyb_get_variable(&session, "a.b[0]['k']", NULL, &value, &error));
  CHECK(value.integer == 5);
  failed(PYB_UNDEFINED, pyb_get_variable(&session, "a.c", NULL, &value, &error));
  failed(PYB_UNDEFINED, pyb_get_variable(&session, "nobody", NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT, pyb_get_variable(&session, "", NULL, &value, &error));
  value = PYB_EMPTY;
  failed(PYB_BAD_ARGUMENT, pyb_set_variable(&session, "a.b", &text, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_variable(&session, "class", &text, &error));
  failed(PYB_BAD_ARGUMENT, pyb_set_variable(&session, "", &text, &error));
  CHECK(pyb_set_variable(&session, "\xFF", &text, &error) != PYB_OK);
  OK(pyb_get_variable_info(&session, "v", NULL, &value, &error));
  CHECK(has(result_text(), "\"defined\":true") || has(result_text(), ": true"));
  CHECK(has(result_text(), "\"str\""));
  pyb_value_release(&value);
  OK(pyb_get_variable_info(&session, "nobody", NULL, &value, &error));
  CHECK(has(result_text(), "false"));
  pyb_value_release(&value);
  OK(pyb_get_function_info(&session, "len", &value, &error));
  CHECK(has(result_text(), "\"signature\""));
  pyb_value_release(&value);
  failed(PYB_BAD_ARGUMENT, pyb_get_function_info(&session, "v", &value, &error));
}

static void test_modules(void) {
  OK(pyb_import_module(&session, "colorsys", "cs", &value, &error));
  CHECK(has(result_text(), "\"cs\"") && has(result_text(), "false"));
  pyb_value_release(&value);
  OK(pyb_import_module(&session, "colorsys", NULL, &value, &error));
  CHECK(has(result_text(), "true"));
  pyb_value_release(&value);
  OK(pyb_get_module_info(&session, "colorsys", &value, &error));
  CHECK(has(result_text(), "\"cs\""));
  pyb_value_release(&value);
  failed(PYB_UNDEFINED,
         pyb_import_module(&session, "no_such_module", NULL, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_import_module(&session, "colorsys", "not a name", &value, &error));
}

/* A file of code is run once in a context; without one there is nothing to do. */
static void test_initializer_runs_once(void) {
  static const char code[] = "runs = globals().get('runs', 0) + 1\n";
  char path[] = "/tmp/pybridge-XXXXXX.py";
  int file = mkstemps(path, 3);

  CHECK(write(file, code, sizeof code - 1) == (ssize_t)sizeof code - 1);
  close(file);
  for (int i = 0; i < 2; i++) {
    OK(pyb_initialize(&session, path, &value, &error));
    CHECK(has(result_text(), "\"ok\":true") && has(result_text(), path));
    pyb_value_release(&value);
  }
  OK(pyb_evaluate(&session, "runs", PYB_NTS, NULL, &value, &error));
  CHECK(value.type == PYB_INT64 && value.integer == 1);
  unlink(path);
  failed(PYB_BAD_ARGUMENT, pyb_initialize(&session, path, &value, &error));
  OK(pyb_initialize(&session, NULL, &value, &error));
  CHECK(value.type == PYB_NULL);
}

/* The last failure is reported once, with what was printed under PYB_CAPTURE. */
static void test_status_is_read_and_cleared(void) {
  pyb_session captured = {.context = "captured", .flags = PYB_CAPTURE};

  OK(pyb_get_status(&captured, &value, &error));
  pyb_value_release(&value);
  CHECK(run(&captured, "print('out')\n"
                       "import sys; print('err', file=sys.stderr)\n"
                       "try:\n"
                       "  {}['key']\n"
                       "except KeyError as exc:\n"
                       "  raise ValueError('outer') from exc\n") == PYB_PYTHON);
  captured.flags = 0;
  OK(pyb_get_status(&captured, &value, &error));
  CHECK(has(result_text(), "ValueError") && has(result_text(), "KeyError"));
  CHECK(has(result_text(), "out\\n") && has(result_text(), "err\\n"));
  CHECK(has(result_text(), "raise ValueError"));
  CHECK(!has(result_text(), "_seam") && !has(result_text(), "pybridge/main"));
  pyb_value_release(&value);
  OK(pyb_get_status(&captured, &value, &error));
  CHECK(value.type == PYB_NULL);
}

/* ---- Contexts ------------------------------------------------------------------- */

/* Each name is a namespace of its own; none, "" and "main" are the same one. */
static void test_contexts_are_separate(void) {
  pyb_session one = {.context = "one"}, two = {.context = "two \xC3\xA4"};
  pyb_session none = {0}, empty = {.context = ""}, main_one = {.context = "main"};

  OK(run(&one, "x = 1"));
  OK(run(&two, "x = 2"));
  OK(run(&none, "x = 3"));
  CHECK(integer_of(&one, "x") == 1 && integer_of(&two, "x") == 2);
  CHECK(integer_of(&empty, "x") == 3 && integer_of(&main_one, "x") == 3);
  CHECK(integer_of(NULL, "x") == 3);
}

/* A session whose context's name is another one, in place or not, follows it. */
static void test_context_may_change(void) {
  char name[8] = "first";
  pyb_session changing = {.context = name};

  OK(run(&changing, "x = 'first'"));
  CHECK(integer_of(&changing, "x == 'first'"));
  strcpy(name, "other");
  OK(run(&changing, "x = 'other'"));
  CHECK(integer_of(&changing, "x == 'other'"));
  OK(run(NULL, "x = 'main'"));
  name[0] = '\0';
  CHECK(integer_of(&changing, "x == 'main'"));
  strcpy(name, "first");
  CHECK(integer_of(&changing, "x == 'first'"));
  changing.context = "other";
  CHECK(integer_of(&changing, "x == 'other'"));
}

/* A context's name that is no UTF-8 is an error, on both planes. */
static void test_context_is_utf8(void) {
  pyb_session wrong = {.context = "\xFF\xFE"};

  CHECK(evaluate(&wrong, "1", &value) != PYB_OK && has(error.type, "Unicode"));
  CHECK(has(error.message, "utf-8"));
  CHECK(run(&wrong, "1") != PYB_OK && has(error.message, "utf-8"));
}

/* ---- Rows ----------------------------------------------------------------------- */

static void make_rows(struct ArrowArrayStream *rows) {
  pyb_table *table;

  OK(pyb_table_new(2, &table, &error));
  OK(pyb_table_name(table, 0, "n", NULL, &error));
  OK(pyb_table_name(table, 1, "t", NULL, &error));
  for (int i = 0; i < 3; i++) {
    OK(pyb_column_int64(pyb_table_column(table, 0), i));
    OK(pyb_column_text(pyb_table_column(table, 1), "abc", (size_t)i));
  }
  OK(pyb_table_finish(table, rows, &error));
}

/* A query on another database: one of Python's own, as a variable. */
static void test_queries(void) {
  static const char opened[] =
      "import sqlite3; there = sqlite3.connect(':memory:', check_same_thread=False)";
  const char *const both[] = {"a", "b"}, *const one[] = {"a", NULL};
  pyb_value params[2] = {int_value(5), text_value("xy")};
  int64_t count;

  if (!has_module("pyarrow") || !has_module("sqlite3"))
    return;
  OK(pyb_execute_code(&session, opened, PYB_NTS, NULL, &error));
  OK(pyb_execute_query(&session, "select ? as n, ? as t union all select 6, null",
                       PYB_NTS, "frame", "list", "there", NULL, params, NULL, 2, &count,
                       &error));
  CHECK(count == 2 && integer_of(&session, "frame == [(5, 'xy'), (6, None)]"));
  OK(pyb_execute_query(&session, "select :b, :a -- cut", 13, "frame", "list", "there",
                       "{}", params, both, 2, NULL, &error));
  CHECK(integer_of(&session, "frame == [('xy', 5)]"));
  failed(PYB_BAD_ARGUMENT,
         pyb_execute_query(&session, "select 1", PYB_NTS, "frame", "list", "there",
                           NULL, params, one, 2, &count, &error));
  failed(PYB_UNDEFINED,
         pyb_execute_query(&session, "select 1", PYB_NTS, "frame", NULL, "nowhere",
                           NULL, NULL, NULL, 0, &count, &error));
  failed(PYB_HOST, pyb_execute_query(&session, "select 1", PYB_NTS, "frame", NULL, NULL,
                                     NULL, NULL, NULL, 0, &count, &error));
  failed(PYB_PYTHON, pyb_execute_query(&session, "select nix", PYB_NTS, "frame", NULL,
                                       "there", NULL, NULL, NULL, 0, &count, &error));
  CHECK(count == 0 && integer_of(&session, "frame == [('xy', 5)]"));
  OK(pyb_execute_code(&session, "there.close()", PYB_NTS, NULL, &error));
}

/* Rows in, rows out: of all columns, or of those that are named. */
static void test_streams(void) {
  struct ArrowArrayStream rows;
  struct ArrowSchema schema;
  struct ArrowArray batch;
  const char *const columns[] = {"t"}, *const wrong[] = {"no such"};
  int64_t count;

  make_rows(&rows);
  OK(pyb_set_stream(&session, "frame", "list", NULL, &rows, &count, &error));
  CHECK(rows.release == NULL && count == 3);
  CHECK(integer_of(&session, "frame == [(0, ''), (1, 'a'), (2, 'ab')]"));
  make_rows(&rows);
  OK(pyb_set_stream(&session, "frame", "dicts", "{}", &rows, NULL, &error));
  CHECK(integer_of(&session, "frame[2] == {'n': 2, 't': 'ab'}"));
  value = PYB_EMPTY;
  make_rows(&rows);
  failed(PYB_BAD_ARGUMENT,
         pyb_set_stream(&session, "frame", "cube", NULL, &rows, &count, &error));
  CHECK(rows.release == NULL && count == 0);
  make_rows(&rows);
  failed(PYB_BAD_ARGUMENT,
         pyb_set_stream(&session, NULL, "list", NULL, &rows, &count, &error));
  CHECK(rows.release == NULL);
  make_rows(&rows);
  failed(PYB_BAD_ARGUMENT,
         pyb_set_stream(&session, "frame", "list", "[", &rows, &count, &error));
  CHECK(rows.release == NULL && integer_of(&session, "len(frame)") == 3);
  if (!has_module("pyarrow"))
    return;
  OK(pyb_get_schema(&session, "frame", &schema, &error));
  CHECK(schema.n_children == 2 && strcmp(schema.children[0]->name, "n") == 0);
  schema.release(&schema);
  OK(pyb_get_stream(&session, "frame", columns, 1, &rows, &error));
  CHECK(rows.get_schema(&rows, &schema) == 0 && schema.n_children == 1);
  CHECK(rows.get_next(&rows, &batch) == 0 && batch.length == 3);
  batch.release(&batch);
  schema.release(&schema);
  rows.release(&rows);
  CHECK(pyb_get_stream(&session, "frame", wrong, 1, &rows, &error) != PYB_OK);
  CHECK(rows.release == NULL && has(error.message, "no such"));
  failed(PYB_UNDEFINED, pyb_get_stream(&session, "nobody", NULL, 0, &rows, &error));
  CHECK(pyb_get_stream(&session, "len", NULL, 0, &rows, &error) != PYB_OK);
  failed(PYB_UNDEFINED, pyb_get_schema(&session, "nobody", &schema, &error));
}

/* ---- Objects -------------------------------------------------------------------- */

static void test_objects(void) {
  static const char *const methods[] = {"step", "finish"}, *const more[] = {"step",
                                                                            "x"};
  static const char *const x[] = {"x"};
  pyb_object *class, *sum, *none;
  pyb_value args[20] = {[0] = int_value(5)};
  int answer;

  OK(run(&session, "class Sum:\n"
                   "  def __init__(self): self.total = 0\n"
                   "  def step(self, x, *more): self.total += x\n"
                   "  def finish(self): return self.total\n"
                   "  def __call__(self, x): return x + 1\n"));
  OK(pyb_object_get(&session, "Sum", &class, &error));
  OK(pyb_object_has(&session, class, methods, 2, &answer, &error));
  CHECK(answer == 1);
  OK(pyb_object_has(&session, class, more, 2, &answer, &error));
  CHECK(answer == 0);
  OK(pyb_object_new(&session, class, &sum, &error));
  OK(pyb_object_invoke(&session, sum, "step", args, 1, NULL, &error));
  OK(pyb_object_invoke(&session, sum, "step", args, 20, NULL, &error));
  OK(pyb_object_invoke(&session, sum, "finish", NULL, 0, &value, &error));
  CHECK(value.integer == 10);
  OK(pyb_object_call(&session, sum, args, 1, &value, &error));
  CHECK(value.integer == 6);
  failed(PYB_PYTHON, pyb_object_call(&session, sum, args, 0, &value, &error));
  OK(pyb_object_call_named(&session, sum, args, 1, x, 1, 0, &value, &error));
  CHECK(value.integer == 6);
  failed(PYB_BAD_ARGUMENT,
         pyb_object_call_named(&session, sum, args, 1, x, 2, 0, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_object_call_named(&session, sum, args, 1, NULL, 1, 0, &value, &error));
  CHECK(pyb_object_invoke(&session, sum, "nobody", NULL, 0, NULL, &error) ==
        PYB_PYTHON);
  failed(PYB_UNDEFINED, pyb_object_get(&session, "nobody", &none, &error));
  CHECK(none == NULL);
  OK(run(&session, "del Sum"));
  OK(pyb_object_call(&session, sum, args, 1, &value, &error));
  OK(pyb_finalize(&error));
  failed(PYB_UNDEFINED, pyb_object_call(&session, sum, args, 1, &value, &error));
  failed(PYB_UNDEFINED,
         pyb_object_call_named(&session, sum, args, 1, NULL, 0, 1, &value, &error));
  failed(PYB_UNDEFINED, pyb_object_new(&session, class, &none, &error));
  failed(PYB_UNDEFINED,
         pyb_object_invoke(&session, sum, "finish", NULL, 0, &value, &error));
  pyb_object_release(class);
  pyb_object_release(sum);
}

/* Short text is lent to a host that takes a row at a time, all else comes as ever. */
static void test_object_lends_short_text(void) {
  int64_t live;
  pyb_value n = int_value(PYB_LENT);
  pyb_object *repeat;

  OK(run(&session, "def repeat(n):\n"
                   "  if n < 0: return '\\ud800'\n"
                   "  return n if n > 1000 else 'x' * n"));
  OK(pyb_object_get(&session, "repeat", &repeat, &error));
  live = pyb_live();
  OK(pyb_object_call_row(&session, repeat, &n, 1, &value, &error));
  CHECK(value.type == PYB_TEXT && value.size == PYB_LENT && value.release == NULL);
  CHECK(strlen(value.data) == PYB_LENT && value.data[0] == 'x' && pyb_live() == live);
  pyb_value_release(&value);
  n = int_value(0);
  OK(pyb_object_call_row(&session, repeat, &n, 1, &value, &error));
  CHECK(is_text(&value, "") && value.data[0] == '\0');
  n = int_value(PYB_LENT + 1);
  OK(pyb_object_call_row(&session, repeat, &n, 1, &value, &error));
  CHECK(value.size == PYB_LENT + 1 && value.release != NULL && pyb_live() == live + 1);
  pyb_value_release(&value);
  n = int_value(2000);
  OK(pyb_object_call_row(&session, repeat, &n, 1, &value, &error));
  CHECK(value.type == PYB_INT64 && value.integer == 2000);
  n = int_value(-1);
  failed(PYB_PYTHON, pyb_object_call_row(&session, repeat, &n, 1, &value, &error));
  failed(PYB_PYTHON, pyb_object_call_row(&session, repeat, &n, 0, &value, &error));
  failed(PYB_BAD_ARGUMENT, pyb_object_call_row(&session, NULL, &n, 1, &value, &error));
  pyb_object_release(repeat);
}

/* JSON goes in as what it describes, and comes out where there is no other type. */
static void test_object_json(void) {
  pyb_value args[2] = {{.type = PYB_JSON, .data = "[3, 1, 2]", .size = 9},
                       {.type = PYB_JSON, .data = "{", .size = 1}};
  static const char *const reverse[] = {"reverse"};
  pyb_object *sorted, *length;

  OK(pyb_object_get(&session, "sorted", &sorted, &error));
  OK(pyb_object_get(&session, "len", &length, &error));
  OK(pyb_object_call(&session, length, args, 1, &value, &error));
  CHECK(value.integer == 3);
  OK(pyb_object_call_named(&session, sorted, args, 1, NULL, 0, 1, &value, &error));
  CHECK(value.type == PYB_JSON && has(value.data, "[1,2,3]"));
  pyb_value_release(&value);
  failed(PYB_UNSUPPORTED,
         pyb_object_call_named(&session, sorted, args, 1, NULL, 0, 0, &value, &error));
  failed(PYB_PYTHON,
         pyb_object_call_named(&session, length, args, 0, NULL, 0, 1, &value, &error));
  failed(PYB_BAD_ARGUMENT,
         pyb_object_call(&session, length, args + 1, 1, &value, &error));
  args[1] = int_value(1);
  OK(pyb_object_call_named(&session, sorted, args, 2, reverse, 1, 1, &value, &error));
  CHECK(has(value.data, "[3,2,1]"));
  pyb_value_release(&value);
  pyb_object_release(sorted);
  pyb_object_release(length);
}

static void test_object_columns(void) {
  struct ArrowArrayStream rows, mapped;
  struct ArrowArray batch;
  pyb_object *total, *twice, *broken;

  if (!has_module("numpy") || !has_module("pyarrow"))
    return;
  OK(run(&session, "def total(n, t): return int(n.sum())\n"
                   "def twice(n, t): return n * 2\n"
                   "def broken(n, t): raise ValueError('columns')"));
  OK(pyb_object_get(&session, "total", &total, &error));
  OK(pyb_object_get(&session, "twice", &twice, &error));
  OK(pyb_object_get(&session, "broken", &broken, &error));
  make_rows(&rows);
  OK(pyb_object_apply(&session, total, &rows, &value, &error));
  CHECK(value.integer == 3 && rows.release == NULL);
  make_rows(&rows);
  OK(pyb_object_map(&session, twice, &rows, &mapped, &error));
  CHECK(mapped.get_next(&mapped, &batch) == 0 && batch.length == 3);
  batch.release(&batch);
  mapped.release(&mapped);
  make_rows(&rows);
  failed(PYB_PYTHON, pyb_object_apply(&session, broken, &rows, &value, &error));
  CHECK(rows.release == NULL && strcmp(error.message, "columns") == 0);
  make_rows(&rows);
  failed(PYB_PYTHON, pyb_object_map(&session, broken, &rows, &mapped, &error));
  CHECK(rows.release == NULL && mapped.release == NULL);
  OK(pyb_finalize(&error));
  make_rows(&rows);
  failed(PYB_UNDEFINED, pyb_object_apply(&session, total, &rows, &value, &error));
  CHECK(rows.release == NULL);
  make_rows(&rows);
  failed(PYB_UNDEFINED, pyb_object_map(&session, twice, &rows, &mapped, &error));
  CHECK(rows.release == NULL && mapped.release == NULL);
  pyb_object_release(total);
  pyb_object_release(twice);
  pyb_object_release(broken);
}

/* ---- Services ------------------------------------------------------------------- */

static char printed[100];
static pyb_session calling;

static pyb_status query(void *host, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        struct ArrowArrayStream *rows, pyb_error *out) {
  CHECK(host == &calling && size == strlen(sql));
  if (strcmp(sql, "fail") == 0) {
    *out = (pyb_error){.status = PYB_HOST, .message = "the host says no"};
    return PYB_HOST;
  }
  if (strcmp(sql, "nested") == 0) { /* the host comes back into Python */
    pyb_value inner;
    OK(evaluate(&calling, "x + 1", &inner));
    CHECK(inner.integer == 6);
  }
  CHECK(n == 0 || (n == 2 && params[0].integer == 7 && is_text(&params[1], "p")));
  CHECK(n == 0 || (names == NULL || names[0] == NULL || strcmp(names[0], "a") == 0));
  make_rows(rows);
  return PYB_OK;
}

static pyb_status execute(void *host, const char *sql, size_t size,
                          const pyb_value *params, const char *const *names, size_t n,
                          int64_t *changes, pyb_error *out) {
  (void)host, (void)sql, (void)params, (void)names, (void)n, (void)out;
  *changes = (int64_t)size;
  return PYB_OK;
}

static void output(void *host, int stream, const char *text, size_t size) {
  CHECK(host == &calling && stream == 1);
  strncat(printed, text, size);
}

/* Python reaches the services of the session that calls, and no others. */
static void test_services(void) {
  static const pyb_services services = {.size = sizeof services,
                                        .name = "test",
                                        .query = query,
                                        .execute = execute,
                                        .output = output};
  static const pyb_services short_ones = {.size = 2 * sizeof(void *), .name = "short"};

  calling = (pyb_session){.services = &services, .host = &calling};
  OK(run(&calling, "from pybridge import _plane, host\nx = 5"));
  OK(run(&calling, "assert _plane.host_name() == 'test'"));
  OK(run(&calling, "_plane.host_query('select', None)"));
  OK(run(&calling, "_plane.host_query('select', [7, 'p'])"));
  OK(run(&calling, "_plane.host_query('select', {'a': 7, 'b': 'p'})"));
  OK(run(&calling, "_plane.host_query('nested', ())"));
  CHECK(integer_of(&calling, "_plane.host_execute('12345', None)") == 5);
  CHECK(run(&calling, "_plane.host_query('fail', None)") == PYB_HOST);
  CHECK(has(error.message, "the host says no"));
  CHECK(run(&calling, "_plane.host_write(1, 't', 'fail')") != PYB_OK);
  CHECK(run(&calling, "_plane.host_query('select', 'text')") == PYB_PYTHON);
  CHECK(run(&calling, "_plane.host_query('select', [object()])") == PYB_UNSUPPORTED);
  CHECK(run(&calling, "_plane.host_query('select', {1: 2})") == PYB_PYTHON);
  CHECK(run(&calling, "_plane.host_query('select', 5)") == PYB_PYTHON);
  CHECK(run(&calling, "_plane.host_query('\\ud800', None)") == PYB_PYTHON);
  OK(run(&calling, "print('to the', 'host')"));
  CHECK(strcmp(printed, "to the host\n") == 0);
  calling.services = &short_ones;
  CHECK(run(&calling, "_plane.host_query('select', None)") == PYB_HOST);
  CHECK(has(error.message, "offers no \"query\""));
  CHECK(run(&session, "from pybridge import _plane") == PYB_OK);
  CHECK(run(&session, "_plane.host_query('select', None)") == PYB_HOST);
}

static pyb_status nest(void *host, const char *sql, size_t size,
                       const pyb_value *params, const char *const *names, size_t n,
                       int64_t *changes, pyb_error *out) {
  (void)host, (void)params, (void)names, (void)n;
  *changes = 1;
  return pyb_execute_code(&calling, sql, size, NULL, out);
}

static pyb_object *held;

static pyb_status release_held(void *host, const char *sql, size_t size,
                               const pyb_value *params, const char *const *names,
                               size_t n, int64_t *changes, pyb_error *out) {
  (void)host, (void)sql, (void)size, (void)params, (void)names, (void)n, (void)out;
  *changes = 0;
  pyb_object_release(held);
  held = NULL;
  return PYB_OK;
}

/* An object may be released while it is being called: the call keeps what it needs. */
static void test_object_may_be_released_in_its_call(void) {
  static const pyb_services services = {.size = sizeof services,
                                        .execute = release_held};
  pyb_session releasing = {.services = &services};
  pyb_value args[20] = {int_value(5)};

  OK(run(&releasing, "import functools\nfrom pybridge import _plane\n"
                     "def make():\n"
                     "  def f(*args):\n"
                     "    _plane.host_execute('release', None)\n"
                     "    return [bytes(n) for n in range(1000)] and len(args)\n"
                     "  return functools.lru_cache(maxsize=2)(f)\n"
                     "class Owner:\n"
                     "  def __init__(self): self.step = make()\n"));
  for (size_t n = 0; n <= 20; n += 5) {
    OK(pyb_object_get(&releasing, "make()", &held, &error));
    OK(pyb_object_call(&releasing, held, args, n, &value, &error));
    CHECK(held == NULL && value.integer == (int64_t)n);
    OK(pyb_object_get(&releasing, "Owner()", &held, &error));
    OK(pyb_object_invoke(&releasing, held, "step", args, n, &value, &error));
    CHECK(held == NULL && value.integer == (int64_t)n);
    OK(pyb_object_get(&releasing, "lambda: make()()", &held, &error));
    OK(pyb_object_call(&releasing, held, args, 0, &value, &error));
    CHECK(held == NULL && value.integer == 0);
  }
}

/* A host and Python that call each other without end: an error before the C stack ends,
 * also where the code has raised Python's own limit. */
static void test_nesting_has_an_end(void) {
  static const pyb_services services = {.size = sizeof services, .execute = nest};

  calling = (pyb_session){.services = &services, .host = &calling};
  OK(run(&calling, "import sys\nfrom pybridge import _plane\ndeep = 0\n"
                   "def down(n):\n"
                   "  global deep\n"
                   "  deep = max(deep, n)\n"
                   "  _plane.host_execute(f'down({n + 1})', None)\n"));
  CHECK(run(&calling, "down(0)") != PYB_OK && has(error.message, "Recursion"));
  OK(run(&calling, "sys.setrecursionlimit(10**6); deep = 0"));
  CHECK(run(&calling, "down(0)") != PYB_OK && has(error.message, "RecursionError"));
  CHECK(has(error.message, "HostError") || has(error.type, "HostError"));
  CHECK(integer_of(&calling, "deep") > 100);
  OK(run(&calling, "sys.setrecursionlimit(1000)"));
}

/* ---- Start and end -------------------------------------------------------------- */

static void test_setup_after_the_start(void) {
  pyb_config config = {.size = sizeof config};

  OK(pyb_setup(NULL, &error));
  OK(pyb_setup(&config, &error));
  config.python = "/no/such/python";
  CHECK(pyb_setup(&config, &error) == PYB_BAD_ARGUMENT);
  CHECK(has(error.message, "/no/such/python"));
  config.size = 0;
  CHECK(pyb_setup(&config, &error) == PYB_BAD_ARGUMENT);
}

/* A finalize drops variables, also from within a call, and what follows works. */
static void test_finalize(void) {
  pyb_session other = {.context = "other"};

  OK(run(&session, "x = 1"));
  OK(run(&other, "x = 2"));
  OK(pyb_finalize(&error));
  failed(PYB_UNDEFINED, evaluate(&session, "x", &value));
  failed(PYB_UNDEFINED, evaluate(&other, "x", &value));
  OK(pyb_setup(NULL, &error));
  OK(run(&other, "x = 2"));
  OK(run(
      &other,
      "import pybridge\npybridge.main.finalize()\ny = x if 'x' in globals() else 0"));
  for (int i = 0; i < 100; i++) {
    OK(run(&other, "y = [str(i) for i in range(100)]"));
    failed(PYB_UNDEFINED, evaluate(&other, "x", &value));
  }
}

int main(void) {
  int64_t live;

  OK(pyb_setup(NULL, &error));
  live = pyb_live();
  RUN(test_every_status_has_a_text);
  RUN(test_error_says_all);
  RUN(test_long_message_is_cut);
  RUN(test_error_may_be_null);
  RUN(test_missing_arguments_are_errors);
  RUN(test_simple_string);
  RUN(test_execute_code);
  RUN(test_evaluate);
  RUN(test_execute_function);
  RUN(test_call);
  RUN(test_variables);
  RUN(test_modules);
  RUN(test_initializer_runs_once);
  RUN(test_status_is_read_and_cleared);
  RUN(test_contexts_are_separate);
  RUN(test_context_may_change);
  RUN(test_context_is_utf8);
  RUN(test_queries);
  RUN(test_streams);
  RUN(test_objects);
  RUN(test_object_lends_short_text);
  RUN(test_object_json);
  RUN(test_object_columns);
  RUN(test_services);
  RUN(test_object_may_be_released_in_its_call);
  RUN(test_nesting_has_an_end);
  RUN(test_setup_after_the_start);
  RUN(test_finalize);
  CHECK(pyb_live() == live);
  return 0;
}
