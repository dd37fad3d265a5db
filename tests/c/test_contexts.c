/* test_contexts.c: contexts saved and brought back by a program that has no SQL. */
#define _GNU_SOURCE
#include <pthread.h>

#include "test.h"

static pyb_session session = {.context = "first"};
static char folder[] = "/tmp/pybridge-contexts-XXXXXX";
static pyb_value value;

/* A failed call: the status, nothing in the result, an error of one line. */
static void failed(pyb_status wanted, pyb_status status, const char *says) {
  CHECK(status == wanted && error.status == wanted);
  CHECK(value.type == PYB_NULL && value.release == NULL);
  CHECK(has(error.message, says) && strchr(error.message, '\n') == NULL);
}

/* Is `part` in the text that came back? It is released. */
static int says(const char *part) {
  int found = value.type == PYB_TEXT && has(value.data, part);

  pyb_value_release(&value);
  return found;
}

static int64_t save(const char *name, const char *store) {
  int64_t id;

  OK(pyb_save_context(&session, name, NULL, 0, NULL, store, &id, NULL, &error));
  return id;
}

/* ---- Tests ---------------------------------------------------------------------- */

static void test_what_was_saved_comes_back(void) {
  pyb_session other = {.context = "second"};
  int64_t id;

  OK(run(&session, "import math as m\nx = 41\ndef f(a): return a + x\n"
                   "import threading; lock = threading.Lock()"));
  OK(pyb_save_context(&session, "one", "*", 0, "why", NULL, &id, &value, &error));
  CHECK(id == 1 && value.type == PYB_TEXT);
  CHECK(has(value.data, "\"id\":1") && has(value.data, "_thread.lock"));
  pyb_value_release(&value);

  OK(pyb_restore_context(&other, "one", NULL, 0, NULL, NULL, &value, &error));
  CHECK(says("\"name\":\"f\""));
  CHECK(integer_of(&other, "f(1)") == 42);
  CHECK(integer_of(&other, "m.floor(1.5)") == 1);
}

/* By number, by name the newest; the mask and the emptying before. */
static void test_restore_takes_numbers_masks_and_clears(void) {
  OK(run(&session, "x = 42"));
  CHECK(save("one", NULL) == 2);
  OK(run(&session, "x = 0; extra = 1"));
  OK(pyb_restore_context(&session, "1", "x", 0, NULL, NULL, NULL, &error));
  CHECK(integer_of(&session, "x + extra") == 42);
  OK(pyb_restore_context(&session, "one", "x", 1, NULL, NULL, NULL, &error));
  CHECK(integer_of(&session, "x") == 42);
  CHECK(integer_of(&session, "'extra' in globals()") == 0);
}

static void test_lists_are_json(void) {
  OK(pyb_list_contexts(&session, NULL, &value, &error));
  CHECK(says("\"description\":\"why\""));
  OK(pyb_describe_context(&session, "1", NULL, &value, &error));
  CHECK(says("\"kind\":\"function\""));
  OK(pyb_describe_context(&session, NULL, NULL, &value, &error));
  CHECK(says("\"items\""));
  OK(pyb_search_contexts(&session, "x", "int", NULL, "2000-01-01", NULL, NULL, &value,
                         &error));
  CHECK(says("\"preview\":\"41\""));
  OK(pyb_diff_contexts(&session, "1", "2", NULL, &value, &error));
  CHECK(says("\"changed\""));
  OK(pyb_inspect_context(&session, "1", NULL, &value, &error));
  CHECK(value.data[0] == '[');
  pyb_value_release(&value);
  OK(pyb_verify_context(&session, "1", NULL, &value, &error));
  CHECK(says("\"problems\":[]"));
  OK(pyb_display_context(&session, "1", NULL, &value, &error));
  CHECK(says("math as m"));
  OK(pyb_display_context(&session, "", NULL, &value, &error));
  CHECK(says("Name: x"));
}

static void test_store_may_be_named(void) {
  int64_t id;

  CHECK(save("there", "other.db") == 1);
  OK(pyb_list_contexts(&session, "other.db", &value, &error));
  CHECK(says("\"name\":\"there\""));
  OK(pyb_export_context(&session, "there", "there.pyb", "other.db", &error));
  OK(pyb_delete_context(&session, "there", "other.db", &id, &error));
  CHECK(id == 1);
  OK(pyb_import_context(&session, "there.pyb", "other.db", &id, &error));
  CHECK(id > 1);
  OK(pyb_trust_context(&session, "there", "other.db", &error));
  OK(pyb_delete_context(&session, "there", "other.db", NULL, &error));
  OK(pyb_list_contexts(&session, "other.db", &value, &error));
  CHECK(says("[]"));
}

static void test_transfer_reaches_live_contexts(void) {
  pyb_session third = {.context = "third"};

  OK(pyb_transfer_variables(&session, "x", NULL, "third", &value, &error));
  CHECK(says("\"name\":\"x\""));
  CHECK(integer_of(&third, "x") == 42);
}

static void test_errors_say_what_was_wanted(void) {
  int64_t id = 5;

  failed(PYB_UNDEFINED,
         pyb_restore_context(&session, "99", NULL, 0, NULL, NULL, &value, &error),
         "no saved context 99");
  CHECK(strcmp(error.type, "pybridge.UnknownSnapshot") == 0);
  failed(PYB_BAD_ARGUMENT,
         pyb_restore_context(&session, NULL, NULL, 0, NULL, NULL, &value, &error),
         "number or name");
  failed(
      PYB_BAD_ARGUMENT,
      pyb_restore_context(&session, "1", NULL, 0, "{\"mode\":1}", NULL, &value, &error),
      "'mode' wants text");
  failed(PYB_BAD_ARGUMENT,
         pyb_save_context(&session, "a", NULL, -1, NULL, NULL, &id, &value, &error),
         "max_length");
  CHECK(id == 0);
  failed(PYB_BAD_ARGUMENT,
         pyb_save_context(&session, "a", NULL, 0, NULL, "/proc/nowhere/a.db", NULL,
                          &value, &error),
         "/proc/nowhere/a.db");
  failed(PYB_BAD_ARGUMENT, pyb_list_contexts(&session, NULL, NULL, &error), "result");
  failed(PYB_BAD_ARGUMENT,
         pyb_transfer_variables(&session, NULL, "a", "b", &value, &error), "mask");
  failed(PYB_BAD_ARGUMENT, pyb_export_context(&session, "1", NULL, NULL, &error),
         "path");
  CHECK(pyb_delete_context(&session, "99", NULL, NULL, NULL) == PYB_UNDEFINED);
}

/* What another key has signed is refused, with a status of its own. */
static void test_another_key_is_not_trusted(void) {
  OK(run(&session, "import os\n"
                   "os.environ['XDG_DATA_HOME'] = os.getcwd() + '/other'"));
  failed(PYB_UNTRUSTED,
         pyb_restore_context(&session, "1", NULL, 0, NULL, "own.db", &value, &error),
         "trust");
  CHECK(strcmp(error.type, "pybridge.NotTrusted") == 0);
  OK(pyb_restore_context(&session, "1", NULL, 0, "{\"trust\": true}", "own.db", NULL,
                         &error));
  OK(pyb_trust_context(&session, "1", "own.db", &error));
  OK(pyb_restore_context(&session, "1", NULL, 0, NULL, "own.db", NULL, &error));
}

static void *interrupt_soon(void *unused) {
  pause_ms(200);
  pyb_interrupt(&session);
  return unused;
}

/* Neither a deadline nor an interrupt leaves a part of a snapshot. */
static void test_stopped_save_leaves_nothing(void) {
  pthread_t thread;

  OK(run(&session, "class Stuck:\n"
                   "  def __reduce__(self):\n"
                   "    while True: pass\n"
                   "stuck = Stuck()"));
  session.deadline_ms = 200;
  failed(
      PYB_DEADLINE,
      pyb_save_context(&session, "stopped", NULL, 0, NULL, NULL, NULL, &value, &error),
      "deadline");
  session.deadline_ms = 0;
  CHECK(pthread_create(&thread, NULL, interrupt_soon, NULL) == 0);
  failed(
      PYB_INTERRUPTED,
      pyb_save_context(&session, "stopped", NULL, 0, NULL, NULL, NULL, &value, &error),
      "");
  pthread_join(thread, NULL);
  OK(run(&session, "del stuck"));
  OK(pyb_list_contexts(&session, NULL, &value, &error));
  CHECK(!has(value.data, "stopped"));
  pyb_value_release(&value);
}

static void test_output_is_captured(void) {
  OK(run(&session, "class Talks:\n"
                   "  def __reduce__(self):\n"
                   "    print('saving')\n"
                   "    return str, ('x',)\n"
                   "talks = Talks()"));
  session.flags = PYB_CAPTURE;
  CHECK(save("talks", NULL) > 0);
  session.flags = 0;
  OK(pyb_get_status(&session, &value, &error));
  CHECK(says("saving"));
}

static void test_nothing_stays_live(void) {
  int64_t live = pyb_live();

  for (int i = 0; i < 20; i++) {
    OK(pyb_describe_context(&session, "1", NULL, &value, &error));
    pyb_value_release(&value);
    CHECK(pyb_display_context(&session, "none", NULL, &value, &error) != PYB_OK);
  }
  CHECK(pyb_live() == live);
}

int main(void) {
  char path[200];

  CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
  snprintf(path, sizeof path, "%s/own.db", folder);
  setenv("XDG_DATA_HOME", folder, 1);
  setenv("PYBRIDGE_STORE", path, 1);
  if (has_module("cloudpickle")) {
    RUN(test_what_was_saved_comes_back);
    RUN(test_restore_takes_numbers_masks_and_clears);
    RUN(test_lists_are_json);
    RUN(test_store_may_be_named);
    RUN(test_transfer_reaches_live_contexts);
    RUN(test_errors_say_what_was_wanted);
    RUN(test_stopped_save_leaves_nothing);
    RUN(test_output_is_captured);
    RUN(test_nothing_stays_live);
    RUN(test_another_key_is_not_trusted);
  }
  puts("done");
  snprintf(path, sizeof path, "rm -rf '%s'", folder);
  CHECK(chdir("/") == 0 && system(path) == 0);
  return 0;
}
