/* test_start.c: which Python is started, and what is said where none can be. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test.h"

/* Each test runs in a child of its own, as a process starts Python once. */
static void in_child(const char *name, void (*work)(void)) {
  int status;
  pid_t child = fork();

  CHECK(child >= 0);
  if (child == 0) {
    alarm(30);
    work();
    fflush(stdout);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  if (status != 0) {
    printf("%s: ended with status %x\n", name, (unsigned)status);
    exit(1);
  }
  printf("%s: ok\n", name);
  fflush(stdout);
}

#define IN_CHILD(test) in_child(#test, test)

static char good[4096]; /* the program that is started when nothing is said */
static char folder[] = "/tmp/pyb_start_XXXXXX";

static const char *in_folder(const char *name) {
  static char path[2][200];
  static int turn;

  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static void make_folder(const char *name) {
  char path[200];

  snprintf(path, sizeof path, "%s", in_folder(name));
  for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
  }
  mkdir(path, 0700);
}

static void write_file(const char *name, const char *text, int mode) {
  FILE *file = fopen(in_folder(name), "w");

  CHECK(file != NULL && fputs(text, file) >= 0);
  fclose(file);
  chmod(in_folder(name), (mode_t)mode);
}

/* A virtual environment that is one by its pyvenv.cfg alone. */
static void make_venv(const char *name, const char *settings) {
  char path[100];

  snprintf(path, sizeof path, "%s/bin", name);
  make_folder(path);
  snprintf(path, sizeof path, "%s/bin/python", name);
  write_file(path, "#!/bin/sh\n", 0700);
  snprintf(path, sizeof path, "%s/pyvenv.cfg", name);
  write_file(path, settings, 0600);
}

/* The start fails, again and again, with an error that has all of the words. */
static void fails_with(const char *one, const char *two, const char *three) {
  pyb_value value;

  for (int i = 0; i < 2; i++) {
    CHECK(pyb_evaluate(NULL, "1", 1, NULL, &value, NULL) == PYB_START);
    CHECK(evaluate(NULL, "1", &value) == PYB_START && value.type == PYB_NULL);
    CHECK(run(NULL, "1") == PYB_START && pyb_setup(NULL, &error) == PYB_START);
    CHECK(has(error.message, one) && has(error.message, two) &&
          has(error.message, three));
  }
}

static void works(void) {
  pyb_value value;

  OK(evaluate(NULL, "6 * 7", &value));
  CHECK(value.integer == 42);
}

static void choose(const char *python) {
  setenv("PYBRIDGE_PYTHON", python, 1);
}

/* ---- Environments that are not there -------------------------------------------- */

/* After each of these a good choice still works, as nothing has been started. */
static void then_good(void) {
  choose(good);
  works();
}

static void test_missing_python_is_named(void) {
  choose("/no/such/bin/python");
  fails_with("\"/no/such/bin/python\"", "PYBRIDGE_PYTHON", ".../bin/python");
  then_good();
}

static void test_folder_or_bare_name_is_no_python(void) {
  pyb_config config = {.size = sizeof config, .python = "python3"};

  choose(folder);
  CHECK(run(NULL, "1") == PYB_START && has(error.message, folder));
  CHECK(pyb_setup(&config, &error) == PYB_START && has(error.message, "\"python3\""));
  CHECK(has(error.message, "pyb_config"));
  then_good();
}

static void test_file_that_is_no_program_is_named(void) {
  make_folder("plain/bin");
  write_file("plain/bin/python", "", 0600);
  choose(in_folder("plain/bin/python"));
  if (geteuid() != 0) /* to root every file is a program: then it has no library */
    fails_with(folder, "not a program", ".../bin/python");
  CHECK(run(NULL, "1") == PYB_START && has(error.message, folder));
  then_good();
}

static void test_wrapper_is_named(void) {
  make_folder("wrapper/bin");
  write_file("wrapper/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n", 0700);
  choose(in_folder("wrapper/bin/python"));
  fails_with(folder, "no standard library", "not a wrapper");
  then_good();
}

static void test_other_version_is_named(void) {
  make_venv("old", "home = /usr/bin\nversion = 3.8.10\n");
  choose(in_folder("old/bin/python"));
  fails_with("is Python 3.8", pyb_python_version(), "PYBRIDGE_PYTHON");
  make_venv("new", "home = /usr/bin\nversion_info = 3.99.0.final.0\n");
  choose(in_folder("new/bin/python"));
  fails_with("is Python 3.99", pyb_python_version(), "PYBRIDGE_PYTHON");
  make_folder("base/bin");
  make_folder("base/lib/python3.5");
  write_file("base/bin/python", "#!/bin/sh\n", 0700);
  write_file("base/lib/python3.5/os.py", "", 0600);
  choose(in_folder("base/bin/python"));
  fails_with("is Python 3.5", pyb_python_version(), "PYBRIDGE_PYTHON");
  then_good();
}

static void test_broken_venv_is_named(void) {
  char settings[100];

  snprintf(settings, sizeof settings, "home = /no/such/bin\nversion = %s.1\n",
           pyb_python_version());
  make_venv("orphan", settings);
  choose(in_folder("orphan/bin/python"));
  fails_with(folder, "/no/such/bin", "-m venv");
  make_venv("homeless", "include-system-site-packages = false\n");
  choose(in_folder("homeless/bin/python"));
  fails_with(folder, "\"home\"", "-m venv");
  then_good();
}

static void test_descriptors_that_are_used_up_are_named(void) {
  struct rlimit limit;
  rlim_t before;

  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  before = limit.rlim_cur;
  limit.rlim_cur = 0;
  make_venv("unread", "version = 3.1\n");
  choose(in_folder("unread/bin/python"));
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  fails_with(folder, "pyvenv.cfg", "cannot be read: Too many open files");
  limit.rlim_cur = before;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  then_good();
}

static void test_wrong_home_is_named(void) {
  setenv("PYTHONHOME", folder, 1);
  fails_with("PYTHONHOME", folder, "unset");
  unsetenv("PYTHONHOME");
  works();
}

/* ---- Environments that start and then fail -------------------------------------- */

static char base[4096]; /* the folder of the python that the good environment is of */

static void test_environment_without_package(void) {
  char settings[5000];

  snprintf(settings, sizeof settings, "home = %s\nversion = %s.1\n", base,
           pyb_python_version());
  make_venv("empty", settings);
  choose(in_folder("empty/bin/python"));
  fails_with("empty/bin/python", "cannot load pybridge", "pip install");
  choose(good); /* too late: Python runs, and it is the empty one */
  CHECK(run(NULL, "1") == PYB_START && has(error.message, "empty/bin/python"));
}

static void test_package_of_another_version_is_named(void) {
  make_folder("other/pybridge/_seam");
  write_file("other/pybridge/__init__.py", "", 0600);
  write_file("other/pybridge/_seam/__init__.py", "", 0600);
  write_file("other/pybridge/_seam/plane.py", "VERSION = '0.0.1'\n", 0600);
  setenv("PYTHONPATH", in_folder("other"), 1);
  fails_with(good, "not version " PYB_VERSION, "install");
}

static void test_package_that_raises_is_named(void) {
  make_folder("raising/pybridge");
  write_file("raising/pybridge/__init__.py", "raise ValueError('not today')\n", 0600);
  setenv("PYTHONPATH", in_folder("raising"), 1);
  fails_with(good, "not today", "install");
}

static void test_package_that_exits_is_named(void) {
  make_folder("exiting/pybridge");
  write_file("exiting/pybridge/__init__.py", "raise SystemExit(3)\n", 0600);
  setenv("PYTHONPATH", in_folder("exiting"), 1);
  fails_with(good, "cannot load pybridge", "install");
}

/* A stop that strikes while the package is loaded says nothing about the package, and
 * the next call loads it. */
static void test_stop_during_the_load_is_no_missing_package(void) {
  make_folder("stopped/pybridge");
  write_file("stopped/pybridge/__init__.py",
             "import sys\n"
             "del sys.path[0]\n"
             "sys.path_importer_cache.clear()\n"
             "raise KeyboardInterrupt\n",
             0600);
  setenv("PYTHONPATH", in_folder("stopped"), 1);
  CHECK(run(NULL, "1") == PYB_INTERRUPTED);
  CHECK(has(error.message, "call again") && !has(error.message, "pip install"));
  works();
}

/* A home without its library: Python itself gives up; the process lives, and every call
 * says why. */
static void test_python_that_gives_up_is_an_error(void) {
  char path[64], *log;

  snprintf(path, sizeof path, "hollow/lib/python%s", pyb_python_version());
  make_folder(path);
  strcat(path, "/os.py");
  write_file(path, "", 0600);
  setenv("PYTHONHOME", in_folder("hollow"), 1);
  log = strdup(in_folder("log"));
  CHECK(log != NULL && freopen(log, "w", stderr) != NULL); /* Python says much */
  free(log);
  fails_with("could not be started", good, "-c pass");
  unsetenv("PYTHONHOME");
  fails_with("could not be started", good, "-c pass");
}

/* ---- Environments that work ----------------------------------------------------- */

static void test_config_chooses(void) {
  pyb_config config = {.size = sizeof config, .python = good};
  pyb_value value;

  choose("/no/such/bin/python"); /* the config goes before it */
  OK(pyb_setup(&config, &error));
  OK(pyb_setup(&config, &error));
  OK(evaluate(NULL, "__import__('sys').executable", &value));
  CHECK(is_text(&value, good));
  pyb_value_release(&value);
}

static void test_empty_choice_is_none(void) {
  choose("");
  works();
}

static volatile sig_atomic_t hosts_own;

static void host_handler(int number) {
  (void)number;
  hosts_own++;
}

/* Ctrl-C while Python starts is the host's, who may not want to die of it. */
static void test_sigint_during_the_start_is_the_hosts(void) {
  struct sigaction action = {.sa_handler = host_handler, .sa_flags = SA_RESTART};
  pid_t sender, host = getpid();

  sigaction(SIGINT, &action, NULL);
  sender = fork();
  CHECK(sender >= 0);
  if (sender == 0)
    for (int i = 0;; i++) {
      struct timespec pause = {.tv_nsec = 100000};
      if (kill(host, SIGINT) != 0)
        _exit(0);
      nanosleep(&pause, NULL);
    }
  pause_ms(5);
  OK(pyb_setup(NULL, &error));
  kill(sender, SIGKILL);
  waitpid(sender, NULL, 0);
  CHECK(hosts_own > 0);
  works();
}

static void *wait_on_a_thread(void *nothing) {
  pause_ms(20000);
  return nothing;
}

/* Also where it comes to another of the host's threads. */
static void test_sigint_during_the_start_comes_to_any_thread(void) {
  pthread_t thread;

  CHECK(pthread_create(&thread, NULL, wait_on_a_thread, NULL) == 0);
  test_sigint_during_the_start_is_the_hosts();
}

/* What the host has set up is left alone: locale, working directory, standard files. */
static void test_start_leaves_the_process(void) {
  char here[4096], there[4096];
  off_t at;

  CHECK(getcwd(here, sizeof here) != NULL);
  at = lseek(0, 0, SEEK_CUR);
  works();
  CHECK(getcwd(there, sizeof there) != NULL && strcmp(here, there) == 0);
  CHECK(lseek(0, 0, SEEK_CUR) == at);
  CHECK(integer_of(NULL, "[m for m in ('numpy', 'pandas', 'json', 'typing', 'ast')"
                         " if m in __import__('sys').modules] == []") == 1);
  CHECK(integer_of(NULL, "__import__('sys').argv == [''] and __name__ == '__main__'"));
}

/* Find `good` and `base`, in a child as well: this process must not start Python. */
static void find_good(void) {
  int ends[2];
  char *line = good;
  FILE *answer;
  pid_t child;

  CHECK(pipe(ends) == 0);
  child = fork();
  if (child == 0) {
    pyb_value value;
    OK(pyb_evaluate(NULL,
                    "__import__('sys').executable + '\\n' + "
                    "__import__('os').path.dirname(__import__('sys')._base_executable)",
                    PYB_NTS, NULL, &value, &error));
    CHECK(write(ends[1], value.data, value.size) == (ssize_t)value.size);
    _exit(0);
  }
  close(ends[1]);
  answer = fdopen(ends[0], "r");
  CHECK(answer != NULL && fgets(line, sizeof good, answer) != NULL);
  line[strcspn(line, "\n")] = '\0';
  CHECK(fgets(base, sizeof base, answer) != NULL);
  base[strcspn(base, "\n")] = '\0';
  fclose(answer);
  waitpid(child, NULL, 0);
}

int main(void) {
  char command[100];

  CHECK(mkdtemp(folder) != NULL);
  find_good();
  IN_CHILD(test_missing_python_is_named);
  IN_CHILD(test_folder_or_bare_name_is_no_python);
  IN_CHILD(test_file_that_is_no_program_is_named);
  IN_CHILD(test_wrapper_is_named);
  IN_CHILD(test_other_version_is_named);
  IN_CHILD(test_broken_venv_is_named);
  IN_CHILD(test_descriptors_that_are_used_up_are_named);
  IN_CHILD(test_wrong_home_is_named);
  IN_CHILD(test_environment_without_package);
  IN_CHILD(test_package_of_another_version_is_named);
  IN_CHILD(test_package_that_raises_is_named);
  IN_CHILD(test_package_that_exits_is_named);
  IN_CHILD(test_stop_during_the_load_is_no_missing_package);
  IN_CHILD(test_python_that_gives_up_is_an_error);
  IN_CHILD(test_config_chooses);
  IN_CHILD(test_empty_choice_is_none);
  IN_CHILD(test_sigint_during_the_start_is_the_hosts);
  IN_CHILD(test_sigint_during_the_start_comes_to_any_thread);
  IN_CHILD(test_start_leaves_the_process);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) == 0 ? 0 : 1;
}
