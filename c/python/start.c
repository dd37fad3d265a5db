/* start.c: Python is started once per process, or found running, and never ended. */
#include "bridge.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the file that cffi generates. */
int pyb__seam_start(void);

atomic_bool pyb__started;
atomic_bool pyb__forked;
atomic_bool pyb__open;
bool pyb__attached;
pyb__plane pyb__py;
uintptr_t pyb__generation = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char program[PYB__PATH_ROOM]; /* what was started */
static pyb_error broken;             /* why it cannot be started any more */
static bool begun;                   /* the start has been tried, and got this far */

/* ---- Forks ---------------------------------------------------------------------- */

/* In the child only the forking thread lives: the watch is gone, and another thread
 * may have held the GIL or a lock. Before the start there is nothing to lose. */
static void after_fork(void) {
  if (begun)
    atomic_store(&pyb__forked, true);
  atomic_store(&pyb__open, false);
  pthread_mutex_init(&lock, NULL);
  pyb__watch_forked();
  pyb__signals_forked();
}

/* ---- Starting ------------------------------------------------------------------- */

const char *pyb_version(void) {
  return PYB_VERSION;
}

int pyb_abi(void) {
  return PYB_ABI;
}

const char *pyb_python_version(void) {
  return PYB__PYTHON;
}

/* The version of the libpython in this process may be another than the one of the
 * headers: two libraries of one name, and the loader took what was there first. */
static pyb_status check_version(pyb_error *error) {
  const char *version = Py_GetVersion();
  size_t size = strlen(PYB__PYTHON);

  if (strncmp(version, PYB__PYTHON, size) == 0 && version[size] == '.')
    return PYB_OK;
  return pyb__fail(
      error, PYB_START,
      "this process runs Python %.16s (from \"%s\"), the library was built "
      "for " PYB__PYTHON "; install pybridge with that Python",
      version, pyb__library_path((const void *)Py_IsInitialized));
}

/* A host that loads us with RTLD_LOCAL hides libpython from the extension modules that
 * Python loads later: numpy and others would not find their symbols. */
static void promote_python(void) {
  const char *path = pyb__library_path((const void *)Py_IsInitialized);

  if (path != NULL)
    pyb__library_promote(path);
}

static PyStatus configure(PyConfig *config) {
  PyPreConfig first;
  PyStatus status;

  /* The locale, the standard streams and the signals stay the host's. */
  PyPreConfig_InitPythonConfig(&first);
  first.configure_locale = 0;
  first.coerce_c_locale = 0;
  first.utf8_mode = 1;
  first.parse_argv = 0;
  status = Py_PreInitialize(&first);
  if (PyStatus_Exception(status))
    return status;
  PyConfig_InitPythonConfig(config);
  config->install_signal_handlers = 0;
  config->configure_c_stdio = 0;
  config->parse_argv = 0;
  status = PyConfig_SetBytesString(config, &config->program_name, program);
  if (!PyStatus_Exception(status))
    status = PyConfig_SetBytesString(config, &config->executable, program);
  return status;
}

/* The watch needs Python to have a handler of its own for SIGINT. That it is set for
 * the process as well is undone; what came to it by then is the host's. */
static void set_handler(void) {
  PyObject *module = PyImport_ImportModule("_signal"), *set = NULL, *handler = NULL;
  struct sigaction before;

  sigaction(SIGINT, NULL, &before);
  if (module != NULL)
    handler = PyObject_GetAttrString(module, "default_int_handler");
  if (handler != NULL)
    set = PyObject_CallMethod(module, "signal", "iO", SIGINT, handler);
  sigaction(SIGINT, &before, NULL);
  if (set != NULL && PyErr_CheckSignals() != 0)
    pyb__signals_postpone();
  Py_XDECREF(set);
  Py_XDECREF(handler);
  Py_XDECREF(module);
  PyErr_Clear();
}

static void initialize(void *result) {
  PyStatus *status = result;
  PyConfig config = {0};

  *status = configure(&config);
  if (!PyStatus_Exception(*status))
    *status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (!PyStatus_Exception(*status))
    set_handler();
}

static pyb_status start_python(const pyb_config *config, pyb_error *error) {
  PyStatus result;
  pyb_status status =
      pyb__environment_find(config == NULL ? NULL : config->python, program, error);

  if (status != PYB_OK)
    return status;
  promote_python();
  begun = true;
  pyb__signals_guard(initialize, &result);
  if (!PyStatus_Exception(result))
    return PYB_OK;
  pyb__fail(&broken, PYB_START,
            "Python could not be started from \"%s\": %s; check it with: %s -c pass",
            program, result.err_msg == NULL ? "it wanted to exit" : result.err_msg,
            program);
  if (Py_IsInitialized())
    PyEval_SaveThread();
  if (error != NULL)
    *error = broken;
  return PYB_START;
}

/* ---- The package ---------------------------------------------------------------- */

/* What came in the way of an import and says nothing about the package. */
static pyb_status status_of_import(PyObject *type) {
  if (type == NULL)
    return PYB_START;
  if (pyb__py.deadline != NULL && PyErr_GivenExceptionMatches(type, pyb__py.deadline))
    return PYB_DEADLINE;
  if (PyErr_GivenExceptionMatches(type, PyExc_KeyboardInterrupt))
    return PYB_INTERRUPTED;
  if (PyErr_GivenExceptionMatches(type, PyExc_MemoryError))
    return PYB_NO_MEMORY;
  return PYB_START;
}

/* Say which package is missing where, as the exception alone does not. */
static pyb_status fail_import(pyb_error *error) {
  PyObject *type, *value, *traceback, *text = NULL;
  const char *reason = NULL;
  pyb_status status;

  PyErr_Fetch(&type, &value, &traceback);
  status = status_of_import(type);
  if (value != NULL)
    text = PyObject_Str(value);
  if (text != NULL)
    reason = PyUnicode_AsUTF8(text);
  if (status == PYB_START)
    pyb__fail(
        error, status,
        "the environment of \"%s\" cannot load pybridge: %s; install it there: %s -m "
        "pip install pybridge",
        program, reason == NULL ? "no reason given" : reason, program);
  else
    pyb__fail(error, status,
              "%s while pybridge was loaded from the environment of \"%s\"; call again",
              pyb_status_text(status), program);
  Py_XDECREF(text);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  PyErr_Clear();
  return status;
}

static bool is_our_version(PyObject *plane) {
  PyObject *text = PyObject_GetAttrString(plane, "VERSION");
  bool is = text != NULL && PyUnicode_Check(text) &&
            PyUnicode_CompareWithASCIIString(text, PYB_VERSION) == 0;

  Py_XDECREF(text);
  PyErr_Clear();
  return is;
}

/* Find in the plane what the data plane calls. */
static bool find_all(PyObject *plane) {
  const struct {
    PyObject **place;
    const char *name;
  } wanted[] = {
      {&pyb__py.expressions, "EXPRESSIONS"},
      {&pyb__py.namespace_of, "namespace_of"},
      {&pyb__py.compile, "compile_expression"},
      {&pyb__py.resolve, "resolve"},
      {&pyb__py.unresolved, "unresolved"},
      {&pyb__py.simplify, "simplify"},
      {&pyb__py.to_json, "to_json"},
      {&pyb__py.complicate, "complicate"},
      {&pyb__py.fail, "fail"},
      {&pyb__py.apply, "apply"},
      {&pyb__py.map, "map"},
      {&pyb__py.proxy, "proxy"},
      {&pyb__py.capture, "capture"},
      {&pyb__py.at_exit, "at_exit"},
      {&pyb__py.nothing, "nothing"},
      {&pyb__py.interrupted, "Interrupted"},
      {&pyb__py.deadline, "DeadlineExceeded"},
      {&pyb__py.unsupported, "Unsupported"},
  };

  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    PyObject *found = PyObject_GetAttrString(plane, wanted[i].name);
    if (found == NULL)
      return false;
    Py_XSETREF(*wanted[i].place, found);
  }
  return true;
}

static pyb_status load_package(pyb_error *error) {
  PyObject *plane = NULL, *done;
  pyb_status status = PYB_OK;

  pyb__py.module = pyb__module();
  if (pyb__py.module != NULL)
    plane = PyImport_ImportModule("pybridge._seam.plane");
  if (plane != NULL && !is_our_version(plane))
    status = pyb__fail(
        error, PYB_START,
        "the pybridge package in the environment of \"%s\" is not version " PYB_VERSION
        " as this library; install the same version there",
        program);
  else if (plane == NULL || !find_all(plane))
    status = fail_import(error);
  if (status == PYB_OK && !pyb__attached) {
    done = PyObject_CallMethod(plane, "take_over", NULL);
    if (done == NULL)
      status = fail_import(error);
    Py_XDECREF(done);
  }
  Py_XDECREF(plane);
  return status;
}

/* ---- End of the process --------------------------------------------------------- */

/* Python is not ended, but what its code has asked for at exit is done: files are
 * flushed, pools closed. Only where no call is in progress, as nothing may hang. */
static void at_exit(void) {
  pyb__call call;
  PyObject *done;

  if (atomic_load(&pyb__forked) || pyb__watch_busy() ||
      pyb__enter(NULL, &call, NULL) != PYB_OK)
    return;
  done = PyObject_CallNoArgs(pyb__py.at_exit);
  Py_XDECREF(done);
  PyErr_Clear();
  pyb__leave(&call);
}

/* ---- The one start -------------------------------------------------------------- */

static pyb_status start(const pyb_config *config, pyb_error *error) {
  static bool fork_known;
  PyGILState_STATE gil = PyGILState_UNLOCKED;
  pyb_status status;

  if (!fork_known)
    fork_known = pthread_atfork(NULL, NULL, after_fork) == 0;
  if (broken.status != PYB_OK) {
    if (error != NULL)
      *error = broken;
    return broken.status;
  }
  if (program[0] == '\0') {
    pyb__attached = Py_IsInitialized() != 0;
    if (!pyb__attached) {
      status = start_python(config, error);
      if (status != PYB_OK) {
        program[0] = '\0';
        return status;
      }
    } else {
      begun = true;
      memcpy(program, "this process", sizeof "this process");
      promote_python();
    }
    if (!pyb__attached) {
      status = pyb__gate_main(error);
      PyEval_SaveThread();
      if (status != PYB_OK)
        return status;
    }
  }
  gil = PyGILState_Ensure();
  status = check_version(error);
  if (status == PYB_OK)
    status = load_package(error);
  PyGILState_Release(gil);
  if (status == PYB_OK)
    status = pyb__watch_start(error);
  if (status == PYB_OK) {
    atomic_store(&pyb__started, true);
    atomic_store(&pyb__open, true);
    if (!pyb__attached)
      atexit(at_exit);
  }
  return status;
}

static pyb_status fail_forked(pyb_error *error) {
  return pyb__fail(
      error, PYB_FORKED,
      "this process was forked after Python had been started in its parent; "
      "start Python after the fork, or run another program with exec");
}

/* Wait for the lock without the GIL, which the thread that holds it may want. Returns
 * the state to restore, NULL = the GIL was not held. */
static PyThreadState *take_lock(void) {
  PyThreadState *state =
      Py_IsInitialized() && PyGILState_Check() ? PyEval_SaveThread() : NULL;

  pthread_mutex_lock(&lock);
  return state;
}

static void drop_lock(PyThreadState *state) {
  pthread_mutex_unlock(&lock);
  if (state != NULL)
    PyEval_RestoreThread(state);
}

pyb_status pyb__start(const pyb_config *config, pyb_error *error) {
  pyb_status status;
  PyThreadState *state;

  if (atomic_load(&pyb__forked))
    return fail_forked(error);
  if (atomic_load(&pyb__started))
    return PYB_OK;
  state = take_lock();
  status = atomic_load(&pyb__started) ? PYB_OK : start(config, error);
  drop_lock(state);
  return status;
}

/* ---- The seam ------------------------------------------------------------------- */

/* Load what cffi would load, as it would print its troubles and go on. */
static pyb_status load_seam(pyb_error *error) {
  static const char *const modules[] = {"_cffi_backend", "pybridge.main",
                                        "pybridge.output"};
  PyGILState_STATE gil = PyGILState_Ensure();
  pyb_status status = PYB_OK;

  for (size_t i = 0; i < sizeof modules / sizeof *modules && status == PYB_OK; i++) {
    PyObject *module = PyImport_ImportModule(modules[i]);
    if (module == NULL)
      status = fail_import(error);
    Py_XDECREF(module);
  }
#if PY_VERSION_HEX < 0x030C0000
  /* cffi's lock is this type's version tag: it waits until that is 0, which is for ever
   * where Python code has looked at an attribute of a capsule before we came. */
  PyType_Modified(&PyCapsule_Type);
#endif
  PyGILState_Release(gil);
  return status;
}

/* By itself, at the first call that crosses: what runs on the data plane alone starts
 * faster without it. */
pyb_status pyb__start_seam(pyb_error *error) {
  static atomic_bool crossable;
  pyb_status status;
  PyThreadState *state;

  if (atomic_load_explicit(&crossable, memory_order_acquire))
    return PYB_OK;
  status = pyb__start(NULL, error);
  if (status != PYB_OK)
    return status;
  state = take_lock();
  if (!atomic_load(&crossable)) {
    bool active = pyb__gate_shelter();
    status = load_seam(error);
    if (status == PYB_OK && pyb__seam_start() != 0)
      status =
          pyb__fail(error, PYB_START,
                    "cffi could not load the seam of pybridge in \"%s\"; run: python "
                    "-m pybridge doctor",
                    program);
    atomic_store(&crossable, status == PYB_OK);
    pyb__gate_expose(active);
  }
  drop_lock(state);
  return status;
}

pyb_status pyb_setup(const pyb_config *config, pyb_error *error) {
  const char *wanted = config == NULL ? NULL : config->python;

  if (config != NULL && config->size < sizeof *config)
    return pyb__fail(error, PYB_BAD_ARGUMENT,
                     "pyb_config.size is %zu, not sizeof(pyb_config); set it",
                     config->size);
  if (atomic_load(&pyb__started) && !pyb__attached && wanted != NULL &&
      strcmp(wanted, program) != 0)
    return pyb__fail(
        error, PYB_BAD_ARGUMENT,
        "Python runs already, from \"%s\": \"%s\" cannot be chosen any more; "
        "choose it before the first call",
        program, wanted);
  return pyb__start(config, error);
}
