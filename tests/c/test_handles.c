/* test_handles.c: Python objects by number: every verb, and numbers that are none. */
#define _GNU_SOURCE
#include <pthread.h>

#include "test.h"

static pyb_session session = {.context = "handles"};

static const char code[] =
    "import sys\n"
    "class Person:\n"
    "  def __init__(self, name, age=0): self.name, self.age = name, age\n"
    "  def getAge(self): return self.age\n"
    "  def getAgePlus(self, n): return self.age + n\n"
    "  def greet(self, word, *, end='!'): return f'{word}, {self.name}{end}'\n"
    "  def older(self, n): return Person(self.name, self.age + n)\n"
    "  def me(self): return self\n"
    "ended = []\n"
    "def count(n):\n"
    "  try:\n"
    "    yield from range(n)\n"
    "  finally:\n"
    "    ended.append(n)\n"
    "def broken():\n"
    "  yield 1\n"
    "  1 / 0\n"
    "def stops():\n"
    "  yield 1\n"
    "  raise StopIteration\n";

static pyb_value handle_value(pyb_handle handle) {
  return (pyb_value){.type = PYB_HANDLE, .integer = (int64_t)handle};
}

static pyb_handle of(const char *expression) {
  pyb_handle handle;

  OK(pyb_handle_of(&session, expression, &handle, &error));
  CHECK(handle > 0 && handle < UINT64_C(1) << 59);
  return handle;
}

static void drop(pyb_handle handle) {
  OK(pyb_handle_release(&session, handle, &error));
}

/* Is a result this integer? Releases it. */
static int gives(pyb_status status, pyb_value *value, int64_t integer) {
  int same = status == PYB_OK && value->type == PYB_INT64 && value->integer == integer;

  pyb_value_release(value);
  return same;
}

/* Is a result this text? Releases it. */
static int says(pyb_status status, pyb_value *value, const char *text) {
  int same = status == PYB_OK && is_text(value, text);

  if (!same && status == PYB_OK && value->type == PYB_TEXT)
    printf("it says: %.*s\n", (int)value->size, value->data);
  pyb_value_release(value);
  return same;
}

/* ---- Making --------------------------------------------------------------------- */

static void test_object_comes_from_a_class_with_arguments(void) {
  pyb_value args[] = {text_value("Ada"), int_value(36)}, value;
  const char *const names[] = {"age"};
  pyb_handle ada;

  OK(pyb_handle_new(&session, "Person", args, 2, NULL, 0, &ada, &error));
  CHECK(says(pyb_handle_get(&session, ada, "name", PYB_AS_FITS, &value, &error), &value,
             "Ada"));
  drop(ada);
  OK(pyb_handle_new(&session, "Person", args, 2, names, 1, &ada, &error));
  CHECK(gives(pyb_handle_call(&session, ada, "getAge", NULL, 0, NULL, 0, PYB_AS_FITS,
                              &value, &error),
              &value, 36));
  drop(ada);
}

static void test_object_comes_from_a_module_that_no_context_gets(void) {
  pyb_value args[] = {int_value(3), int_value(3)}, value;
  pyb_handle random, path;

  OK(pyb_handle_import(&session, "random", &random, &error));
  OK(pyb_handle_import(&session, "os.path", &path, &error));
  CHECK(gives(pyb_handle_call(&session, random, "randint", args, 2, NULL, 0,
                              PYB_AS_FITS, &value, &error),
              &value, 3));
  OK(pyb_handle_get(&session, path, "join", PYB_AS_FITS, &value, &error));
  CHECK(value.type == PYB_HANDLE);
  pyb_value_release(&value);
  CHECK(integer_of(&session, "'random' in globals() or 'os' in globals()") == 0);
  drop(random);
  drop(path);
  CHECK(pyb_handle_import(&session, "no.such", &path, &error) == PYB_UNDEFINED);
  CHECK(pyb_handle_import(&session, "a b", &path, &error) == PYB_BAD_ARGUMENT);
}

static void test_object_comes_from_a_value_or_its_serialization(void) {
  pyb_value json = text_value("{\"a\": [1, 2]}"), number = int_value(5), value;
  pyb_handle dict, five;

  OK(pyb_handle_loads(&session, &json, "json", &dict, &error));
  OK(pyb_handle_loads(&session, &number, NULL, &five, &error));
  CHECK(says(pyb_handle_value(&session, dict, "json", &value, &error), &value,
             "{\"a\":[1,2]}"));
  CHECK(gives(pyb_handle_value(&session, five, NULL, &value, &error), &value, 5));
  drop(dict);
  drop(five);
  CHECK(pyb_handle_loads(&session, &number, "json", &dict, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_loads(&session, &json, "jsn", &dict, &error) == PYB_BAD_ARGUMENT);
  CHECK(dict == 0);
}

/* ---- Attributes, calls, items --------------------------------------------------- */

static void test_attributes_are_got_set_and_deleted(void) {
  pyb_handle ada = of("Person('Ada', 36)");
  pyb_value bob = text_value("Bob"), cat = text_value("cat"), value;

  OK(pyb_handle_set(&session, ada, "name", &bob, &error));
  OK(pyb_handle_set(&session, ada, "pet", &cat, &error)); /* a new one */
  CHECK(says(pyb_handle_get(&session, ada, "name", PYB_AS_FITS, &value, &error), &value,
             "Bob"));
  CHECK(says(pyb_handle_get(&session, ada, "pet", PYB_AS_FITS, &value, &error), &value,
             "cat"));
  OK(pyb_handle_delete(&session, ada, "pet", &error));
  CHECK(pyb_handle_get(&session, ada, "pet", PYB_AS_FITS, &value, &error) ==
            PYB_PYTHON &&
        has(error.type, "AttributeError") && value.type == PYB_NULL);
  CHECK(pyb_handle_delete(&session, ada, "pet", &error) == PYB_PYTHON);
  drop(ada);
  ada = of("5");
  CHECK(pyb_handle_set(&session, ada, "x", &cat, &error) == PYB_PYTHON);
  drop(ada);
}

/* The original deleted what it had read when the proxy went. */
static void test_reading_and_dropping_deletes_nothing(void) {
  pyb_handle ada, bob;
  pyb_value relative, value;

  OK(run(&session, "one = Person('Ada', 36); other = Person('Bob', 4)"));
  ada = of("one");
  bob = of("other");
  relative = handle_value(bob);
  OK(pyb_handle_set(&session, ada, "relative", &relative, &error));
  OK(pyb_handle_get(&session, ada, "relative", PYB_AS_FITS, &value, &error));
  CHECK(value.type == PYB_HANDLE && value.integer != (int64_t)bob);
  pyb_value_release(&value);
  drop(bob);
  drop(ada);
  CHECK(integer_of(&session, "one.relative is other and other.age == 4") == 1);
}

static void test_calls_take_values_names_json_and_handles(void) {
  pyb_handle ada = of("Person('Ada', 36)"), all = of("lambda *a, **k: (a, k)"), made;
  pyb_value args[20] = {text_value("hi"), text_value("?")}, value;
  const char *const end[] = {"end"};

  CHECK(says(pyb_handle_call(&session, ada, "greet", args, 2, end, 1, PYB_AS_FITS,
                             &value, &error),
             &value, "hi, Ada?"));
  CHECK(says(pyb_handle_apply(&session, ada, "greet", "[\"hi\"]", "{\"end\": \".\"}",
                              PYB_AS_FITS, &value, &error),
             &value, "hi, Ada."));
  args[0] = int_value(10);
  CHECK(gives(pyb_handle_call(&session, ada, "getAgePlus", args, 1, NULL, 0,
                              PYB_AS_FITS, &value, &error),
              &value, 46));
  OK(pyb_handle_call(&session, ada, "older", args, 1, NULL, 0, PYB_AS_FITS, &value,
                     &error));
  CHECK(value.type == PYB_HANDLE);
  made = (pyb_handle)value.integer; /* and the value is forgotten */
  CHECK(gives(pyb_handle_get(&session, made, "age", PYB_AS_FITS, &value, &error),
              &value, 46));
  args[0] = handle_value(made);
  OK(pyb_handle_call(&session, all, NULL, args, 20, end, 1, PYB_AS_HANDLE, &value,
                     &error));
  args[0] = value;
  OK(pyb_call(&session, "len", args, 1, NULL, 0, &value, &error));
  CHECK(value.integer == 2);
  pyb_value_release(&args[0]);
  OK(pyb_handle_apply(&session, all, NULL, NULL, NULL, PYB_AS_FITS, &value, &error));
  pyb_value_release(&value);
  CHECK(pyb_handle_apply(&session, all, NULL, "{}", NULL, PYB_AS_FITS, &value,
                         &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_call(&session, ada, "nobody", NULL, 0, NULL, 0, PYB_AS_FITS, &value,
                        &error) == PYB_PYTHON);
  CHECK(pyb_handle_call(&session, ada, NULL, NULL, 0, NULL, 0, PYB_AS_FITS, &value,
                        &error) == PYB_PYTHON);
  drop(made);
  drop(all);
  drop(ada);
}

static void test_handle_goes_where_a_value_goes(void) {
  pyb_handle ada = of("Person('Ada', 36)");
  pyb_value value = handle_value(ada), result;
  pyb_object *id;
  pyb_table *table;

  OK(pyb_set_variable(&session, "bound", &value, &error));
  drop(ada);
  CHECK(integer_of(&session, "bound.age") == 36);
  ada = of("bound");
  value = handle_value(ada);
  OK(pyb_object_get(&session, "id", &id, &error));
  OK(pyb_object_call(&session, id, &value, 1, &result, &error));
  CHECK(result.integer == integer_of(&session, "id(bound)"));
  pyb_object_release(id);
  OK(pyb_table_new(1, &table, &error));
  CHECK(pyb_column_append(pyb_table_column(table, 0), &value) == PYB_UNSUPPORTED);
  pyb_table_release(table);
  drop(ada);
}

static void test_results_are_what_is_asked_for(void) {
  static const struct {
    const char *expression;
    pyb_type fits;
  } cases[] = {{"5", PYB_INT64},
               {"-1", PYB_INT64},
               {"'x'", PYB_TEXT},
               {"None", PYB_NULL},
               {"True", PYB_BOOL},
               {"2.5", PYB_FLOAT64},
               {"__import__('datetime').date(2024, 2, 29)", PYB_DATE},
               {"2**64", PYB_HANDLE},
               {"'\\ud800'", PYB_HANDLE},
               {"[1]", PYB_HANDLE},
               {"object()", PYB_HANDLE},
               {"1j", PYB_HANDLE},
               {"len", PYB_HANDLE}};
  pyb_handle same = of("lambda x: x");
  pyb_value value;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pyb_value arg = handle_value(of(cases[i].expression));
    pyb_status status;
    OK(pyb_handle_call(&session, same, NULL, &arg, 1, NULL, 0, PYB_AS_FITS, &value,
                       &error));
    CHECK(value.type == cases[i].fits);
    pyb_value_release(&value);
    OK(pyb_handle_call(&session, same, NULL, &arg, 1, NULL, 0, PYB_AS_HANDLE, &value,
                       &error));
    CHECK(value.type == PYB_HANDLE && value.integer > 0);
    pyb_value_release(&value);
    status = pyb_handle_value(&session, (pyb_handle)arg.integer, NULL, &value, &error);
    CHECK((status == PYB_OK) == (cases[i].fits != PYB_HANDLE));
    pyb_value_release(&value);
    drop((pyb_handle)arg.integer);
  }
  drop(same);
}

static void test_items_are_got_set_and_deleted(void) {
  pyb_handle dict = of("{'a': 1}"), list = of("[10, 20, 30]"),
             slice = of("slice(1, 3)");
  pyb_value a = text_value("a"), two = int_value(2), part = handle_value(slice), value;

  CHECK(gives(pyb_handle_item(&session, dict, &a, PYB_AS_FITS, &value, &error), &value,
              1));
  OK(pyb_handle_set_item(&session, dict, &a, &two, &error));
  CHECK(gives(pyb_handle_item(&session, dict, &a, PYB_AS_FITS, &value, &error), &value,
              2));
  OK(pyb_handle_delete_item(&session, dict, &a, &error));
  CHECK(pyb_handle_item(&session, dict, &a, PYB_AS_FITS, &value, &error) ==
            PYB_PYTHON &&
        has(error.type, "KeyError"));
  OK(pyb_handle_delete_item(&session, list, &part, &error));
  CHECK(pyb_handle_set_item(&session, list, &two, &two, &error) == PYB_PYTHON);
  CHECK(says(pyb_handle_value(&session, list, "json", &value, &error), &value, "[10]"));
  drop(dict);
  drop(list);
  drop(slice);
}

/* ---- Iteration and questions ---------------------------------------------------- */

static void test_iteration_ends_raises_and_closes(void) {
  pyb_handle objects[] = {of("count(2)"), of("broken()"), of("stops()"),
                          of("count(9)")};
  pyb_handle iterators[4];
  pyb_value value;
  int more;

  for (int i = 0; i < 4; i++) {
    OK(pyb_handle_iterate(&session, objects[i], &iterators[i], &error));
    drop(objects[i]);
    OK(pyb_handle_next(&session, iterators[i], PYB_AS_FITS, &value, &more, &error));
    CHECK(more == 1 && value.type == PYB_INT64);
  }
  OK(pyb_handle_next(&session, iterators[0], PYB_AS_FITS, &value, &more, &error));
  OK(pyb_handle_next(&session, iterators[0], PYB_AS_FITS, &value, &more, &error));
  CHECK(more == 0 && value.type == PYB_NULL);
  OK(pyb_handle_next(&session, iterators[0], PYB_AS_FITS, &value, &more, &error));
  CHECK(more == 0);
  CHECK(pyb_handle_next(&session, iterators[1], PYB_AS_FITS, &value, &more, &error) ==
            PYB_PYTHON &&
        more == 0 && has(error.type, "ZeroDivisionError"));
  CHECK(pyb_handle_next(&session, iterators[2], PYB_AS_FITS, &value, &more, &error) ==
            PYB_PYTHON &&
        has(error.type, "RuntimeError"));
  for (int i = 0; i < 4; i++)
    drop(iterators[i]); /* the last one in the middle */
  CHECK(integer_of(&session, "ended == [2, 9]") == 1);
}

static void test_what_cannot_be_iterated_says_so(void) {
  pyb_handle five = of("5"), list = of("[1]"), iterator;
  pyb_value value;
  int more;

  CHECK(pyb_handle_iterate(&session, five, &iterator, &error) == PYB_PYTHON);
  CHECK(iterator == 0);
  CHECK(pyb_handle_next(&session, list, PYB_AS_FITS, &value, &more, &error) ==
            PYB_PYTHON &&
        has(error.message, "no iterator"));
  drop(five);
  drop(list);
}

static void test_dict_that_changes_during_iteration_is_an_error(void) {
  pyb_handle dict, iterator;
  pyb_value value;
  int more;

  OK(run(&session, "grows = {1: 1}"));
  dict = of("grows");
  OK(pyb_handle_iterate(&session, dict, &iterator, &error));
  OK(pyb_handle_next(&session, iterator, PYB_AS_FITS, &value, &more, &error));
  OK(run(&session, "grows[2] = 2"));
  CHECK(pyb_handle_next(&session, iterator, PYB_AS_FITS, &value, &more, &error) ==
        PYB_PYTHON);
  drop(dict);
  drop(iterator);
}

static void test_questions_are_answered(void) {
  pyb_handle list = of("[1, 2]"), other = of("[1, 2]");
  pyb_value one = int_value(1), equal = handle_value(other), self = handle_value(list),
            value;
  int64_t length;
  int contains;

  OK(pyb_handle_length(&session, list, &length, &error));
  CHECK(length == 2);
  OK(pyb_handle_contains(&session, list, &one, &contains, &error));
  CHECK(contains == 1);
  OK(pyb_handle_contains(&session, list, &self, &contains, &error));
  CHECK(contains == 0);
  OK(pyb_handle_compare(&session, list, "==", &equal, PYB_AS_FITS, &value, &error));
  CHECK(value.type == PYB_BOOL && value.integer == 1);
  OK(pyb_handle_compare(&session, list, "is", &equal, PYB_AS_FITS, &value, &error));
  CHECK(value.integer == 0);
  OK(pyb_handle_compare(&session, list, "is", &self, PYB_AS_FITS, &value, &error));
  CHECK(value.integer == 1);
  CHECK(pyb_handle_compare(&session, list, "<", &one, PYB_AS_FITS, &value, &error) ==
        PYB_PYTHON);
  CHECK(pyb_handle_compare(&session, list, "=", &one, PYB_AS_FITS, &value, &error) ==
            PYB_BAD_ARGUMENT &&
        has(error.message, "=="));
  drop(other);
  other = of("5");
  CHECK(pyb_handle_length(&session, other, &length, &error) == PYB_PYTHON);
  CHECK(length == 0);
  CHECK(pyb_handle_contains(&session, other, &one, &contains, &error) == PYB_PYTHON);
  CHECK(contains == 0);
  drop(list);
  drop(other);
}

static void test_objects_are_described_and_serialized(void) {
  pyb_handle ada = of("Person('Ada', 36)"), list = of("[1, 'x', None]");
  pyb_value value;

  CHECK(says(pyb_handle_value(&session, list, "json", &value, &error), &value,
             "[1,\"x\",null]"));
  CHECK(says(pyb_handle_value(&session, list, "repr", &value, &error), &value,
             "[1, 'x', None]"));
  OK(pyb_handle_value(&session, list, "pickle", &value, &error));
  CHECK(value.type == PYB_BLOB && value.size > 5);
  pyb_value_release(&value);
  OK(pyb_handle_info(&session, ada, &value, &error));
  CHECK(value.type == PYB_TEXT && has(value.data, "Person\",\"class\":false"));
  pyb_value_release(&value);
  OK(pyb_handle_info(&session, list, &value, &error));
  CHECK(has(value.data, "\"type\":\"list\"") && has(value.data, "\"length\":3"));
  pyb_value_release(&value);
  OK(pyb_handle_names(&session, ada, &value, &error));
  CHECK(has(value.data, "\"getAgePlus\""));
  pyb_value_release(&value);
  CHECK(pyb_handle_value(&session, ada, "jsn", &value, &error) == PYB_BAD_ARGUMENT);
  drop(ada);
  drop(list);
}

static void test_frames_give_rows(void) {
  const char *const columns[] = {"b"};
  struct ArrowArrayStream rows;
  struct ArrowSchema schema;
  struct ArrowArray batch;
  pyb_handle frame = of("{'a': [1, 2], 'b': ['x', 'y']}"), five = of("5");

  CHECK(pyb_handle_stream(&session, five, NULL, 0, &rows, &error) == PYB_BAD_ARGUMENT);
  CHECK(rows.release == NULL);
  if (has_module("pyarrow")) {
    OK(pyb_handle_stream(&session, frame, columns, 1, &rows, &error));
    drop(frame);
    CHECK(rows.get_schema(&rows, &schema) == 0 && schema.n_children == 1);
    CHECK(rows.get_next(&rows, &batch) == 0 && batch.length == 2);
    schema.release(&schema);
    batch.release(&batch);
    rows.release(&rows);
  } else {
    drop(frame);
  }
  drop(five);
}

/* ---- Numbers that are no handles ------------------------------------------------- */

/* Every function refuses a number, and says that it is no handle. */
static void refuse(pyb_handle handle) {
  struct ArrowArrayStream rows;
  pyb_value one = int_value(1), stale = handle_value(handle), value;
  pyb_handle made;
  int64_t length;
  int answer;
  pyb_status s[] = {
      pyb_handle_copy(&session, handle, &made, &error),
      pyb_handle_get(&session, handle, "x", PYB_AS_FITS, &value, &error),
      pyb_handle_set(&session, handle, "x", &one, &error),
      pyb_handle_delete(&session, handle, "x", &error),
      pyb_handle_call(&session, handle, NULL, NULL, 0, NULL, 0, PYB_AS_FITS, &value,
                      &error),
      pyb_handle_apply(&session, handle, NULL, NULL, NULL, PYB_AS_FITS, &value, &error),
      pyb_handle_item(&session, handle, &one, PYB_AS_FITS, &value, &error),
      pyb_handle_set_item(&session, handle, &one, &one, &error),
      pyb_handle_delete_item(&session, handle, &one, &error),
      pyb_handle_iterate(&session, handle, &made, &error),
      pyb_handle_next(&session, handle, PYB_AS_FITS, &value, &answer, &error),
      pyb_handle_length(&session, handle, &length, &error),
      pyb_handle_contains(&session, handle, &one, &answer, &error),
      pyb_handle_compare(&session, handle, "==", &one, PYB_AS_FITS, &value, &error),
      pyb_handle_value(&session, handle, NULL, &value, &error),
      pyb_handle_value(&session, handle, "json", &value, &error),
      pyb_handle_stream(&session, handle, NULL, 0, &rows, &error),
      pyb_handle_info(&session, handle, &value, &error),
      pyb_handle_names(&session, handle, &value, &error),
      pyb_handle_loads(&session, &stale, NULL, &made, &error),
      pyb_set_variable(&session, "v", &stale, &error),
      pyb_call(&session, "len", &stale, 1, NULL, 0, &value, &error),
  };

  for (size_t i = 0; i < sizeof s / sizeof *s; i++)
    CHECK(s[i] == PYB_UNDEFINED);
  CHECK(has(error.message, "is not the handle of an object"));
  if (handle != 0)
    CHECK(pyb_handle_release(&session, handle, &error) == PYB_UNDEFINED);
}

static void test_number_that_is_no_handle_is_an_error(void) {
  pyb_handle live = of("[]"), other = of("[]");
  uint64_t random = 88172645463325252u;

  refuse(0);
  OK(pyb_handle_release(&session, 0, &error)); /* as with every release */
  refuse(1);
  refuse(live + (UINT64_C(1) << 24));
  refuse(live - (UINT64_C(1) << 24));
  refuse(live | UINT64_C(1) << 63);
  refuse(UINT64_MAX);
  for (int i = 0; i < 20; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    refuse(random);
  }
  drop(live);
  refuse(live);
  live = of("[]"); /* in the same slot */
  drop(live);
  refuse(live);
  drop(other);
  refuse(other);
}

static void test_handles_do_not_outlive_a_reset(void) {
  pyb_handle ada, all[100];
  int64_t live;

  OK(pyb_finalize(&error));
  live = pyb_live();
  OK(run(&session, code));
  CHECK(pyb_handle_count() == 0);
  ada = of("Person('Ada')");
  for (int i = 0; i < 100; i++)
    all[i] = of("[]");
  CHECK(pyb_handle_count() == 101 && pyb_live() == live + 101);
  OK(pyb_finalize(&error));
  CHECK(pyb_handle_count() == 0 && pyb_live() == live);
  refuse(ada);
  for (int i = 0; i < 100; i++)
    CHECK(of("[]") != all[i]);
  OK(pyb_finalize(&error));
  OK(run(&session, code));
}

/* What goes releases other handles, makes new ones, and calls the host, which calls
 * back: while it is released, and while all are. */
static pyb_handle inner;
static int called;

static pyb_status execute(void *host, const char *sql, size_t size,
                          const pyb_value *params, const char *const *names, size_t n,
                          int64_t *changes, pyb_error *out) {
  (void)host, (void)sql, (void)size, (void)params, (void)names, (void)n;
  called++;
  *changes = pyb_handle_count();
  return inner == 0 ? PYB_OK : pyb_handle_release(NULL, inner, out);
}

static void test_object_that_goes_may_call_back(void) {
  static const pyb_services services = {.size = sizeof services, .execute = execute};
  pyb_session calling = {.context = "handles", .services = &services};
  pyb_handle last;

  OK(run(&session, "from pybridge import _plane, host\n"
                   "class Last:\n"
                   "  def __init__(self, other): self.other = other\n"
                   "  def __del__(self):\n"
                   "    _plane.handle_release(self.other)\n"
                   "    _plane.handle_keep(['more'] * 9)\n"
                   "    host.execute('x')\n"));
  inner = of("['inner']");
  last = of("Last(_plane.handle_keep([]))");
  CHECK(pyb_handle_count() == 3);
  OK(pyb_handle_release(&calling, last, &error));
  CHECK(called == 1 && pyb_handle_count() == 1);
  refuse(last);
  refuse(inner);
  inner = 0;
  /* The reset drops them all, also what they make then. */
  OK(run(&session, "class Again:\n"
                   "  def __del__(self): _plane.handle_keep(object())\n"));
  for (int i = 0; i < 200; i++)
    (void)of("Again()");
  OK(pyb_finalize(&error));
  CHECK(pyb_handle_count() == 0);
  OK(run(&session, code));
}

static void test_handle_may_be_released_in_its_own_call(void) {
  pyb_handle ada = of("Person('Ada', 36)"), run_it;
  pyb_value value, args[1];

  OK(run(&session, "from pybridge import _plane\n"
                   "def release_and_ask(number, ada):\n"
                   "  _plane.handle_release(number)\n"
                   "  return ada.age\n"));
  run_it = of("release_and_ask");
  args[0] = int_value((int64_t)ada);
  CHECK(gives(pyb_call(&session, "release_and_ask",
                       (pyb_value[]){args[0], handle_value(ada)}, 2, NULL, 0, &value,
                       &error),
              &value, 36));
  refuse(ada);
  args[0] = int_value((int64_t)run_it);
  CHECK(pyb_handle_call(&session, run_it, NULL, (pyb_value[]){args[0], int_value(5)}, 2,
                        NULL, 0, PYB_AS_FITS, &value, &error) == PYB_PYTHON);
  refuse(run_it);
}

/* ---- Threads, numbers ---------------------------------------------------- */

static pyb_handle shared;

static void *use_on_thread(void *result) {
  pyb_session own = {.context = "other"};
  pyb_value value;
  pyb_handle made;

  for (int i = 0; i < 300; i++) {
    OK(pyb_handle_call(&own, shared, "getAge", NULL, 0, NULL, 0, PYB_AS_FITS, &value,
                       &error));
    CHECK(value.integer == 36);
    OK(pyb_handle_copy(&own, shared, &made, &error));
    OK(pyb_handle_release(NULL, made, &error));
    CHECK(pyb_handle_release(NULL, made, &error) == PYB_UNDEFINED);
  }
  return result;
}

static void *release_on_thread(void *result) {
  OK(pyb_handle_release(NULL, shared, &error));
  return result;
}

static void test_any_thread_may_use_and_release(void) {
  pthread_t threads[6];

  shared = of("Person('Ada', 36)");
  for (int i = 0; i < 6; i++)
    CHECK(pthread_create(&threads[i], NULL, use_on_thread, NULL) == 0);
  for (int i = 0; i < 6; i++)
    pthread_join(threads[i], NULL);
  CHECK(pthread_create(&threads[0], NULL, release_on_thread, NULL) == 0);
  pthread_join(threads[0], NULL);
  refuse(shared);
}

static void test_very_many_come_and_go(void) {
  int64_t live = pyb_live(), count = pyb_handle_count();
  const int n = checked() ? 2000 : 100000;
  pyb_handle *all = malloc((size_t)n * sizeof *all);
  pyb_value value;

  for (int i = 0; i < n; i++)
    OK(pyb_handle_of(&session, "Person", &all[i], &error));
  CHECK(pyb_live() == live + n && pyb_handle_count() == count + n);
  for (int i = 0; i < n; i += 2)
    drop(all[i]);
  for (int i = 0; i < n; i += 1000)
    CHECK(pyb_handle_get(&session, all[i], "x", PYB_AS_FITS, &value, &error) ==
          PYB_UNDEFINED);
  for (int i = 1; i < n; i += 2)
    drop(all[i]);
  CHECK(pyb_live() == live && pyb_handle_count() == count);
  free(all);
}

static void test_what_is_printed_is_captured(void) {
  pyb_session capturing = {.context = "handles", .flags = PYB_CAPTURE};
  pyb_handle print = of("print");
  pyb_value text = text_value("words"), value;

  OK(pyb_handle_call(&capturing, print, NULL, &text, 1, NULL, 0, PYB_AS_FITS, &value,
                     &error));
  OK(pyb_get_status(&session, &value, &error));
  CHECK(value.type == PYB_TEXT && has(value.data, "words\\n"));
  pyb_value_release(&value);
  drop(print);
}

static void test_missing_arguments_are_named(void) {
  pyb_handle list = of("[]"), made;
  pyb_value value;

  CHECK(pyb_handle_of(&session, NULL, &made, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_of(&session, "1", NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_new(&session, NULL, NULL, 0, NULL, 0, &made, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_new(&session, "len", NULL, 1, NULL, 0, &made, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_import(&session, NULL, &made, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_loads(&session, NULL, NULL, &made, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_copy(&session, list, NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_get(&session, list, NULL, PYB_AS_FITS, &value, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_get(&session, list, "x", PYB_AS_FITS, NULL, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_set(&session, list, "x", NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_call(&session, list, "x", NULL, 0, NULL, 1, PYB_AS_FITS, &value,
                        &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_item(&session, list, NULL, PYB_AS_FITS, &value, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_set_item(&session, list, NULL, NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_next(&session, list, PYB_AS_FITS, &value, NULL, &error) ==
        PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_length(&session, list, NULL, &error) == PYB_BAD_ARGUMENT);
  CHECK(pyb_handle_stream(&session, list, NULL, 1, NULL, &error) == PYB_BAD_ARGUMENT);
  drop(list);
}

/* Before Python has been started there is no handle, and none is needed to know it. */
static void test_release_starts_nothing(void) {
  CHECK(pyb_handle_release(NULL, 12345, &error) == PYB_UNDEFINED);
  CHECK(pyb_handle_count() == 0);
}

/* At the end of the process, after all that Python does there. */
static pyb_handle last;

static void release_last(void) {
  if (last != 0 && pyb_handle_release(NULL, last, &error) != PYB_OK)
    _exit(3);
}

int main(void) {
  CHECK(atexit(release_last) == 0);
  RUN(test_release_starts_nothing);
  OK(run(&session, code));
  RUN(test_object_comes_from_a_class_with_arguments);
  RUN(test_object_comes_from_a_module_that_no_context_gets);
  RUN(test_object_comes_from_a_value_or_its_serialization);
  RUN(test_attributes_are_got_set_and_deleted);
  RUN(test_reading_and_dropping_deletes_nothing);
  RUN(test_calls_take_values_names_json_and_handles);
  RUN(test_handle_goes_where_a_value_goes);
  RUN(test_results_are_what_is_asked_for);
  RUN(test_items_are_got_set_and_deleted);
  RUN(test_iteration_ends_raises_and_closes);
  RUN(test_what_cannot_be_iterated_says_so);
  RUN(test_dict_that_changes_during_iteration_is_an_error);
  RUN(test_questions_are_answered);
  RUN(test_objects_are_described_and_serialized);
  RUN(test_frames_give_rows);
  RUN(test_number_that_is_no_handle_is_an_error);
  RUN(test_handles_do_not_outlive_a_reset);
  RUN(test_object_that_goes_may_call_back);
  RUN(test_handle_may_be_released_in_its_own_call);
  RUN(test_any_thread_may_use_and_release);
  RUN(test_very_many_come_and_go);
  RUN(test_what_is_printed_is_captured);
  RUN(test_missing_arguments_are_named);
  OK(pyb_finalize(&error));
  CHECK(pyb_handle_count() == 0 && pyb_live() == 0);
  OK(run(&session, "class Loud:\n  def __del__(self): print('gone')\n"));
  last = of("Loud()");
  (void)of("Loud()"); /* never released */
  return 0;
}
