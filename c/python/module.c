/* module.c: the builtin module pybridge._plane: what the package asks of the library.
 */
#include "bridge.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- Values at an address (control plane) --------------------------------------- */

static PyObject *plane_load(PyObject *self, PyObject *address) {
  const pyb_value *value = PyLong_AsVoidPtr(address);

  (void)self;
  if (value == NULL)
    return PyErr_Occurred() != NULL ? NULL : Py_NewRef(Py_None);
  return pyb__load(value);
}

static PyObject *plane_dump(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  pyb_value *value;

  (void)self;
  if (n != 2)
    return PyErr_Format(PyExc_TypeError, "dump(object, address)");
  value = PyLong_AsVoidPtr(args[1]);
  if (value == NULL || pyb__dump(args[0], value) != 0)
    return PyErr_Occurred() != NULL
               ? NULL
               : PyErr_Format(PyExc_ValueError, "the address is NULL");
  Py_RETURN_NONE;
}

static PyObject *plane_capsule(PyObject *self, PyObject *address) {
  struct ArrowArrayStream *rows = PyLong_AsVoidPtr(address);

  (void)self;
  return rows == NULL ? NULL : pyb__capsule(rows);
}

static PyObject *plane_stream(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  struct ArrowArrayStream *rows = n == 2 ? PyLong_AsVoidPtr(args[1]) : NULL;

  (void)self;
  if (rows == NULL || pyb__stream_of(args[0], rows) != 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *plane_schema(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  struct ArrowSchema *schema = n == 2 ? PyLong_AsVoidPtr(args[1]) : NULL;

  (void)self;
  if (schema == NULL || pyb__schema_of(args[0], schema) != 0)
    return NULL;
  Py_RETURN_NONE;
}

/* fail(exception, session, error) -> -status: fill the error there. */
static PyObject *plane_fail(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  const pyb_session *session;
  pyb_error *error;

  (void)self;
  if (n != 3)
    return PyErr_Format(PyExc_TypeError, "fail(exception, session, error)");
  session = PyLong_AsVoidPtr(args[1]);
  error = PyLong_AsVoidPtr(args[2]);
  if (PyErr_Occurred() != NULL)
    return NULL;
  return PyLong_FromLong(
      -(long)pyb__fail_exception(session, Py_NewRef(args[0]), error));
}

static PyObject *plane_forget(PyObject *self, PyObject *ignored) {
  (void)self;
  (void)ignored;
  pyb__generation++;
  pyb__handles_forget();
  Py_RETURN_NONE;
}

/* compile() of text, as that does it, but without making the types of `ast` first,
 * which takes a sixth of a whole start. What it refuses of text has been refused
 * before. */
static PyObject *plane_compile_text(PyObject *self, PyObject *const *args,
                                    Py_ssize_t n) {
  PyCompilerFlags flags = {.cf_flags = PyCF_SOURCE_IS_UTF8 | PyCF_IGNORE_COOKIE,
                           .cf_feature_version = PY_MINOR_VERSION};
  const char *text;

  (void)self;
  if (n != 3 || !PyUnicode_Check(args[0]) || !PyUnicode_Check(args[1])) {
    PyErr_SetString(PyExc_TypeError, "compile_text() takes text, filename, expression");
    return NULL;
  }
  text = PyUnicode_AsUTF8(args[0]);
  if (text == NULL || PySys_Audit("compile", "OO", args[0], args[1]) < 0)
    return NULL;
  return Py_CompileStringObject(
      text, args[1], args[2] == Py_True ? Py_eval_input : Py_file_input, &flags, -1);
}

/* Python code is about to set a handler for a signal: the host's is kept, and put back
 * when the call leaves; SIGINT's by the library, others by hosts that want it. */
static PyObject *plane_take_signal(PyObject *self, PyObject *signal) {
  long number = PyLong_AsLong(signal);

  (void)self;
  if (number == -1 && PyErr_Occurred() != NULL)
    return NULL;
  if (pyb__attached || pyb__this_thread == NULL || pyb__this_thread->call == NULL)
    Py_RETURN_NONE;
  if (number == SIGINT)
    pyb__signals_take();
  else if (number > 0 && number < NSIG)
    pyb__host_signal((int)number);
  Py_RETURN_NONE;
}

/* recover(): the interrupt that was raised has been dealt with, and no other one is on
 * its way; False = the call has to end all the same. */
static PyObject *plane_recover(PyObject *self, PyObject *ignored) {
  pyb__thread *thread = pyb__this_thread;
  bool on;

  (void)self;
  (void)ignored;
  if (thread == NULL || thread->call == NULL)
    Py_RETURN_TRUE;
  Py_BEGIN_ALLOW_THREADS on = pyb__watch_goes_on(thread);
  Py_END_ALLOW_THREADS pyb__gate_drain(thread);
  if (thread->main && !pyb__attached)
    pyb__signals_take_again();
  return PyBool_FromLong(on);
}

/* stop_service(): end the query that the host runs for Python's main thread. */
static PyObject *plane_stop_service(PyObject *self, PyObject *ident) {
  unsigned long number = PyLong_AsUnsignedLong(ident);

  (void)self;
  if (PyErr_Occurred() != NULL)
    return NULL;
  Py_BEGIN_ALLOW_THREADS pyb__watch_stop_service(number);
  Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

/* ---- Output --------------------------------------------------------------------- */

/* output(stream, bytes): to the host where it takes output, else to C's own stdio, so
 * that what Python and the host print comes out in the order of printing. */
static PyObject *plane_output(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  long stream;
  char *data;
  Py_ssize_t size;
  bool failed = false;

  (void)self;
  if (n != 2 || PyBytes_AsStringAndSize(args[1], &data, &size) != 0)
    return PyErr_Occurred() != NULL ? NULL
                                    : PyErr_Format(PyExc_TypeError, "output(n, bytes)");
  stream = PyLong_AsLong(args[0]);
  if (stream == -1 && PyErr_Occurred() != NULL)
    return NULL;
  Py_BEGIN_ALLOW_THREADS if (!pyb__host_output((int)stream, data, (size_t)size)) {
    FILE *file = stream == 2 ? stderr : stdout;
    failed = fwrite(data, 1, (size_t)size, file) != (size_t)size;
    failed = (stream == 2 && fflush(file) != 0) || failed;
  }
  Py_END_ALLOW_THREADS if (failed) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

static PyObject *plane_flush(PyObject *self, PyObject *ignored) {
  (void)self;
  (void)ignored;
  Py_BEGIN_ALLOW_THREADS fflush(stdout);
  fflush(stderr);
  Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

/* ---- The host's services -------------------------------------------------------- */

/* Parameters of a statement: borrowed views of Python objects that `objects` keeps. */
typedef struct parameters {
  size_t n;
  pyb_value *values;
  const char **names;
  PyObject *objects; /* list of what keeps values and names alive */
} parameters;

static void clear_parameters(parameters *params) {
  pyb__free(params->values);
  pyb__free(params->names);
  Py_CLEAR(params->objects);
}

static int add_parameter(parameters *params, PyObject *name, PyObject *object) {
  PyObject *keep = NULL;
  int failed;

  if (pyb__dump_view(object, &params->values[params->n], &keep) != 0)
    return -1;
  if (name != NULL) {
    if (!PyUnicode_Check(name)) {
      PyErr_Format(PyExc_TypeError, "the name of a parameter is text, not %R", name);
      Py_XDECREF(keep);
      return -1;
    }
    params->names[params->n] = PyUnicode_AsUTF8(name);
    if (params->names[params->n] == NULL || PyList_Append(params->objects, name) != 0) {
      Py_XDECREF(keep);
      return -1;
    }
  }
  failed = PyList_Append(params->objects, object);
  if (failed == 0 && keep != NULL)
    failed = PyList_Append(params->objects, keep);
  Py_XDECREF(keep);
  params->n++;
  return failed;
}

/* None, a sequence (bound by position) or a mapping (bound by name). */
static int read_parameters(PyObject *given, parameters *params) {
  PyObject *items = NULL, *fast = NULL;
  bool named = given != Py_None && PyDict_Check(given);
  Py_ssize_t n;
  int failed = -1;

  memset(params, 0, sizeof *params);
  params->objects = PyList_New(0);
  if (params->objects == NULL || given == Py_None)
    return params->objects == NULL ? -1 : 0;
  if (PyUnicode_Check(given) || PyBytes_Check(given)) {
    PyErr_SetString(PyExc_TypeError,
                    "the parameters are a list, a tuple or a dict, not one text");
    return -1;
  }
  items = named ? PyDict_Items(given) : Py_NewRef(given);
  fast = items == NULL ? NULL
                       : PySequence_Fast(items, "the parameters are a list or a dict");
  if (fast == NULL)
    goto done;
  n = PySequence_Fast_GET_SIZE(fast);
  params->values = pyb__calloc((size_t)n, sizeof *params->values);
  params->names = pyb__calloc((size_t)n, sizeof *params->names);
  if (params->values == NULL || params->names == NULL) {
    PyErr_NoMemory();
    goto done;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = PySequence_Fast_GET_ITEM(fast, i);
    PyObject *name = named ? PyTuple_GET_ITEM(item, 0) : NULL;
    if (add_parameter(params, name, named ? PyTuple_GET_ITEM(item, 1) : item) != 0)
      goto done;
  }
  failed = 0;

done:
  Py_XDECREF(items);
  Py_XDECREF(fast);
  return failed;
}

static PyObject *plane_host_query(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  struct ArrowArrayStream rows;
  parameters params = {0};
  pyb_status status = PYB_OK;
  pyb_error error;
  PyObject *capsule = NULL;
  const char *sql;
  Py_ssize_t size;

  (void)self;
  sql = n == 2 ? PyUnicode_AsUTF8AndSize(args[0], &size) : NULL;
  if (sql != NULL && read_parameters(args[1], &params) == 0) {
    Py_BEGIN_ALLOW_THREADS status = pyb__host_query(
        sql, (size_t)size, params.values, params.names, params.n, &rows, &error);
    Py_END_ALLOW_THREADS capsule =
        status == PYB_OK ? pyb__capsule(&rows) : pyb__raise(&error);
  }
  clear_parameters(&params);
  return capsule;
}

static PyObject *plane_host_execute(PyObject *self, PyObject *const *args,
                                    Py_ssize_t n) {
  parameters params = {0};
  pyb_status status = PYB_OK;
  pyb_error error;
  PyObject *result = NULL;
  int64_t changes = 0;
  const char *sql;
  Py_ssize_t size;

  (void)self;
  sql = n == 2 ? PyUnicode_AsUTF8AndSize(args[0], &size) : NULL;
  if (sql != NULL && read_parameters(args[1], &params) == 0) {
    Py_BEGIN_ALLOW_THREADS status = pyb__host_execute(
        sql, (size_t)size, params.values, params.names, params.n, &changes, &error);
    Py_END_ALLOW_THREADS result =
        status == PYB_OK ? PyLong_FromLongLong(changes) : pyb__raise(&error);
  }
  clear_parameters(&params);
  return result;
}

static PyObject *plane_host_write(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  struct ArrowArrayStream rows;
  pyb_status status;
  pyb_error error;
  int64_t count = 0;
  const char *table, *mode;

  (void)self;
  table = n == 3 ? PyUnicode_AsUTF8(args[1]) : NULL;
  mode = table == NULL ? NULL : PyUnicode_AsUTF8(args[2]);
  if (mode == NULL || pyb__stream_of(args[0], &rows) != 0)
    return NULL;
  Py_BEGIN_ALLOW_THREADS status = pyb__host_write(&rows, table, mode, &count, &error);
  Py_END_ALLOW_THREADS return status == PYB_OK ? PyLong_FromLongLong(count)
                                               : pyb__raise(&error);
}

/* host_call(verb, args): what the host answers to a word of its own. */
static PyObject *plane_host_call(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  parameters params = {0};
  pyb_value value = PYB_EMPTY;
  pyb_status status = PYB_OK;
  pyb_error error;
  PyObject *result = NULL;
  const char *verb = n == 2 ? PyUnicode_AsUTF8(args[0]) : NULL;

  (void)self;
  if (verb != NULL && read_parameters(args[1], &params) == 0) {
    Py_BEGIN_ALLOW_THREADS status =
        pyb__host_call(verb, params.values, params.n, &value, &error);
    Py_END_ALLOW_THREADS result =
        status == PYB_OK ? pyb__load(&value) : pyb__raise(&error);
    pyb_value_release(&value);
  }
  clear_parameters(&params);
  return result;
}

static PyObject *plane_host_name(PyObject *self, PyObject *ignored) {
  const char *name = pyb__host_name();

  (void)self;
  (void)ignored;
  return name == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(name);
}

static PyObject *plane_live(PyObject *self, PyObject *ignored) {
  (void)self;
  (void)ignored;
  return PyLong_FromLongLong(pyb_live());
}

/* ---- Handles -------------------------------------------------------------------- */

static PyObject *plane_handle_keep(PyObject *self, PyObject *object) {
  pyb_handle handle = pyb__handle_keep(Py_NewRef(object));

  (void)self;
  return handle == 0 ? NULL : PyLong_FromUnsignedLongLong(handle);
}

/* The number that Python code gives; -1 = exception set. */
static int read_handle(PyObject *number, pyb_handle *handle) {
  *handle = PyLong_AsUnsignedLongLong(number);
  if (PyErr_Occurred() == NULL)
    return 0;
  if (!PyErr_ExceptionMatches(PyExc_OverflowError))
    return -1;
  PyErr_Clear(); /* no handle is below 0, or so large */
  *handle = 0;
  return 0;
}

static PyObject *plane_handle_object(PyObject *self, PyObject *number) {
  pyb_handle handle;

  (void)self;
  return read_handle(number, &handle) == 0 ? pyb__handle_object(handle) : NULL;
}

/* handle_give(object, as) -> (is it kept?, the handle or the value) */
static PyObject *plane_handle_give(PyObject *self, PyObject *const *args,
                                   Py_ssize_t n) {
  pyb_value value = PYB_EMPTY;
  PyObject *given, *pair = NULL;
  long as = n == 2 ? PyLong_AsLong(args[1]) : -1;

  (void)self;
  if (as < PYB_AS_FITS || as > PYB_AS_HANDLE)
    return PyErr_Occurred() != NULL
               ? NULL
               : PyErr_Format(PyExc_TypeError, "handle_give(object, as)");
  if (pyb__give(Py_NewRef(args[0]), (pyb_as)as, &value) != 0)
    return NULL;
  if (value.type == PYB_HANDLE) {
    given = PyLong_FromLongLong(value.integer);
    if (given != NULL)
      pair = Py_BuildValue("(ON)", Py_True, given);
    if (pair != NULL)
      value = PYB_EMPTY; /* the handle is the caller's now */
  } else {
    given = pyb__load(&value);
    if (given != NULL)
      pair = Py_BuildValue("(ON)", Py_False, given);
  }
  pyb_value_release(&value);
  return pair;
}

static PyObject *plane_handle_release(PyObject *self, PyObject *number) {
  pyb_handle handle;

  (void)self;
  if (read_handle(number, &handle) != 0 || pyb__handle_drop(handle) != 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *plane_handle_count(PyObject *self, PyObject *ignored) {
  (void)self;
  (void)ignored;
  return PyLong_FromLongLong(pyb_handle_count());
}

/* ---- The module ----------------------------------------------------------------- */

#define FAST(name) ((PyCFunction)(void (*)(void))(name))

static PyMethodDef methods[] = {
    {"load", plane_load, METH_O, "load(address): the object of the value there."},
    {"dump", FAST(plane_dump), METH_FASTCALL,
     "dump(object, address): write the object as a value that owns its data."},
    {"capsule", plane_capsule, METH_O,
     "capsule(address): move the Arrow stream there into a PyCapsule."},
    {"stream", FAST(plane_stream), METH_FASTCALL,
     "stream(object, address): export an Arrow stream to there."},
    {"schema", FAST(plane_schema), METH_FASTCALL,
     "schema(object, address): export an Arrow schema to there."},
    {"fail", FAST(plane_fail), METH_FASTCALL,
     "fail(exception, session, error): fill the error there, return its -status."},
    {"forget", plane_forget, METH_NOARGS,
     "forget(): make stale what the library keeps of contexts and objects."},
    {"compile_text", FAST(plane_compile_text), METH_FASTCALL,
     "compile_text(text, filename, expression): the code of text, quickly."},
    {"take_signal", plane_take_signal, METH_O,
     "take_signal(number): keep the host's handler of a signal until the call leaves."},
    {"recover", plane_recover, METH_NOARGS,
     "recover(): go on after an interrupt; False = the call has to end."},
    {"stop_service", plane_stop_service, METH_O,
     "stop_service(ident): end the query that the host runs for that thread."},
    {"output", FAST(plane_output), METH_FASTCALL,
     "output(stream, data): print bytes on the host's stdout (1) or stderr (2)."},
    {"flush", plane_flush, METH_NOARGS, "flush(): flush what was printed."},
    {"host_query", FAST(plane_host_query), METH_FASTCALL,
     "host_query(sql, params): rows as an Arrow stream capsule."},
    {"host_execute", FAST(plane_host_execute), METH_FASTCALL,
     "host_execute(sql, params): how many rows changed."},
    {"host_write", FAST(plane_host_write), METH_FASTCALL,
     "host_write(frame, table, mode): how many rows were written."},
    {"host_call", FAST(plane_host_call), METH_FASTCALL,
     "host_call(verb, args): what the host answers to a word of its own."},
    {"host_name", plane_host_name, METH_NOARGS,
     "host_name(): the host that is calling, or None."},
    {"live", plane_live, METH_NOARGS, "live(): things not yet released."},
    {"handle_keep", plane_handle_keep, METH_O,
     "handle_keep(object): a number that the host can use for it."},
    {"handle_object", plane_handle_object, METH_O,
     "handle_object(number): the object of a handle."},
    {"handle_give", FAST(plane_handle_give), METH_FASTCALL,
     "handle_give(object, as): (is it kept?, its handle or value)."},
    {"handle_release", plane_handle_release, METH_O,
     "handle_release(number): let go of the object."},
    {"handle_count", plane_handle_count, METH_NOARGS,
     "handle_count(): how many handles there are."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "pybridge._plane",
    .m_doc = "What the package asks of the library; there while the library is loaded.",
    .m_size = -1,
    .m_methods = methods,
};

PyObject *pyb__module(void) {
  PyObject *module = PyModule_Create(&definition);

  if (module != NULL &&
      (PyModule_AddStringConstant(module, "VERSION", PYB_VERSION) != 0 ||
       PyDict_SetItemString(PyImport_GetModuleDict(), "pybridge._plane", module) != 0))
    Py_CLEAR(module);
  return module;
}
