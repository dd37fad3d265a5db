/* test_jobs.c: functions that are stored, run by a program. */
#define _GNU_SOURCE
#include "test.h"

static pyb_session session = {.context = "jobs"};
static char folder[] = "/tmp/pybridge-jobs-XXXXXX";
static pyb_value value;

/* Is `part` in the text that came back? It is released. */
static int says(const char *part) {
  int found = value.type == PYB_TEXT && has(value.data, part);

  pyb_value_release(&value);
  return found;
}

/* A failed call: the status, nothing in the result, an error that says so. */
static void failed(pyb_status wanted, pyb_status status, const char *words) {
  CHECK(status == wanted && error.status == wanted);
  CHECK(value.type == PYB_NULL && value.release == NULL);
  CHECK(has(error.message, words));
}

/* ---- Tests ---------------------------------------------------------------------- */

static void test_job_gives_results_as_json(void) {
  OK(pyb_job(&session, "p/add", NULL, "{\"x\": 1, \"y\": 2}", "{\"local\": true}",
             &value, &error));
  CHECK(says("\"state\":\"COMPLETED\",\"results\":{\"output_0\":3}"));
  OK(pyb_job(&session, "add", "", "{\"x\": \"4\"}", "{\"project\":\"p\",\"local\":1}",
             &value, &error));
  CHECK(says("\"output_0\":5"));
}

static void test_job_runs_in_a_process_of_its_own(void) {
  OK(pyb_job(&session, "p/pid", NULL, NULL, NULL, &value, &error));
  CHECK(!says("\"output_0\":true"));
  OK(pyb_job(&session, "p/pid", NULL, NULL, "{\"local\": true}", &value, &error));
  CHECK(says("\"output_0\":true"));
}

static void test_pyb_call_reaches_the_same(void) {
  pyb_value args[] = {text_value("p/add"), text_value(""), text_value("{\"x\": 41}"),
                      text_value("{\"local\": true}")};

  OK(run(&session, "import pybridge.functions.jobs as jobs"));
  OK(pyb_call(&session, "jobs.job", args, 4, NULL, 0, &value, &error));
  CHECK(says("\"results\": {\"output_0\": 42}"));
}

static void test_failures_have_type_and_message(void) {
  failed(PYB_PYTHON,
         pyb_job(&session, "p/bad", NULL, NULL, "{\"local\": true}", &value, &error),
         "ValueError: boom");
  CHECK(has(error.type, "RunFailed"));
  OK(pyb_job(&session, "p/bad", NULL, NULL, "{\"local\": true, \"raise\": false}",
             &value, &error));
  CHECK(says("\"state\":\"ERROR\""));
  failed(PYB_UNDEFINED, pyb_job(&session, "p/none", NULL, NULL, NULL, &value, &error),
         "there is no function 'none'");
  failed(PYB_BAD_ARGUMENT, pyb_job(&session, "p/add", "[]", NULL, NULL, &value, &error),
         "inputs is not an object");
  failed(PYB_BAD_ARGUMENT, pyb_job(&session, "p/add", NULL, "{", NULL, &value, &error),
         "parameters is not JSON");
  failed(PYB_BAD_ARGUMENT, pyb_job(&session, NULL, NULL, NULL, NULL, &value, &error),
         "missing");
  failed(PYB_BAD_ARGUMENT,
         pyb_job(&session, "p/add", "{\"x\":\"#t\"}", NULL, NULL, &value, &error),
         "there is no host");
  failed(PYB_BAD_ARGUMENT, pyb_job(&session, "p/add", NULL, NULL, NULL, NULL, &error),
         "missing");
}

static void test_runs_are_listed(void) {
  OK(pyb_list_runs(&session, "p", &value, &error));
  CHECK(says("\"function\":\"bad\",\"action\":\"job\",\"state\":\"ERROR\""));
  OK(pyb_list_runs(&session, "empty", &value, &error));
  CHECK(says("[]"));
  failed(PYB_UNDEFINED, pyb_list_runs(&session, "none", &value, &error),
         "there is no project 'none'");
  failed(PYB_BAD_ARGUMENT, pyb_list_runs(&session, "a b", &value, &error), "'a b'");
  failed(PYB_BAD_ARGUMENT, pyb_list_runs(&session, NULL, NULL, &error), "missing");
}

/* A deadline of the call is one of the run. */
static void test_call_that_is_stopped_stops_the_run(void) {
  pyb_session hurried = {.context = "jobs", .deadline_ms = 600};

  failed(PYB_DEADLINE, pyb_job(&hurried, "p/slow", NULL, NULL, NULL, &value, &error),
         "deadline");
  OK(pyb_list_runs(&session, "p", &value, &error));
  CHECK(says("\"function\":\"slow\",\"action\":\"job\",\"state\":\"STOPPED\""));
}

static void declare(void) {
  OK(run(&session, "import os, pybridge.functions as dh\n"
                   "dh.get_or_create_project('empty')\n"
                   "code = 'import os, time\\n'\n"
                   "code += 'def add(x: int, y: int = 1): return x + y\\n'\n"
                   "code += 'def bad(): raise ValueError(\"boom\")\\n'\n"
                   "code += f'def pid(): return os.getpid() == {os.getpid()}\\n'\n"
                   "code += 'def slow(): time.sleep(60)\\n'\n"
                   "project = dh.get_or_create_project('p')\n"
                   "version = f'PYTHON3_{__import__(\"sys\").version_info.minor}'\n"
                   "for name in ('add', 'bad', 'pid', 'slow'):\n"
                   "    project.new_function(name=name, kind='python', code=code,\n"
                   "                         handler=name, python_version=version)\n"));
}

int main(void) {
  int64_t live;

  CHECK(mkdtemp(folder) != NULL);
  setenv("PYBRIDGE_FUNCTIONS", folder, 1);
  setenv("XDG_DATA_HOME", folder, 1);
  OK(pyb_setup(NULL, &error));
  live = pyb_live();
  declare();
  RUN(test_job_gives_results_as_json);
  RUN(test_job_runs_in_a_process_of_its_own);
  RUN(test_pyb_call_reaches_the_same);
  RUN(test_failures_have_type_and_message);
  RUN(test_runs_are_listed);
  RUN(test_call_that_is_stopped_stops_the_run);
  OK(run(&session, "from pybridge.functions.manager import client\n"
                   "client.of(project.store).end()\n"
                   "import shutil; shutil.rmtree(project.store.root)"));
  CHECK(pyb_live() == live);
  return 0;
}
