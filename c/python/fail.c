/* fail.c: Python exceptions become pyb_error, and errors of the host exceptions. */
#include "bridge.h"

#include <string.h>

PyObject *pyb__take_exception(void) {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;

  PyErr_Fetch(&type, &value, &traceback);
  if (type == NULL)
    return NULL;
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != NULL && value != NULL)
    PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

static void copy(char *field, size_t room, PyObject *text) {
  Py_ssize_t size;
  const char *data =
      PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

  if (data != NULL)
    pyb__copy_text(field, room, data, (size_t)size);
  else
    PyErr_Clear();
}

/* What plane.fail said: (status, type, message, file, line). */
static bool read_report(PyObject *report, pyb_error *error) {
  long status;

  if (report == NULL || !PyTuple_Check(report) || PyTuple_GET_SIZE(report) != 5)
    return false;
  status = PyLong_AsLong(PyTuple_GET_ITEM(report, 0));
  error->status = status <= 0 ? PYB_PYTHON : (pyb_status)status;
  copy(error->type, sizeof error->type, PyTuple_GET_ITEM(report, 1));
  copy(error->message, sizeof error->message, PyTuple_GET_ITEM(report, 2));
  copy(error->file, sizeof error->file, PyTuple_GET_ITEM(report, 3));
  error->line = (int32_t)PyLong_AsLong(PyTuple_GET_ITEM(report, 4));
  PyErr_Clear();
  return true;
}

/* What can be said without the package, where the user has broken that. */
static void say_little(PyObject *exception, pyb_error *error) {
  const char *type = Py_TYPE(exception)->tp_name;
  PyObject *text;

  PyErr_Clear();
  memset(error, 0, sizeof *error);
  error->status = PyErr_GivenExceptionMatches(exception, PyExc_MemoryError)
                      ? PYB_NO_MEMORY
                      : PYB_PYTHON;
  pyb__copy_text(error->type, sizeof error->type, type, strlen(type));
  text = PyObject_Str(exception);
  if (text != NULL)
    copy(error->message, sizeof error->message, text);
  PyErr_Clear();
  Py_XDECREF(text);
  for (char *c = error->message; *c != '\0'; c++)
    if ((unsigned char)*c < ' ')
      *c = ' ';
  if (error->message[0] == '\0')
    strcpy(error->message, "the message cannot be had");
}

/* The call was told to stop: that is what happened, whatever was raised for it. */
static void say_why_stopped(const pyb_session *session, pyb_error *error) {
  pyb__thread *thread = pyb__this_thread;
  int stop = thread == NULL ? PYB_OK : atomic_load(&thread->stop);

  if (error->status != PYB_INTERRUPTED && error->status != PYB_DEADLINE)
    return;
  if (stop == PYB_DEADLINE || error->status == PYB_DEADLINE) {
    error->status = PYB_DEADLINE;
    memcpy(error->type, "DeadlineExceeded", 17);
    if (session != NULL && session->deadline_ms > 0)
      snprintf(error->message, sizeof error->message,
               "the call ran longer than its deadline of %lld ms",
               (long long)session->deadline_ms);
    else
      snprintf(error->message, sizeof error->message,
               "the call ran longer than its deadline");
  } else if (error->message[0] == '\0') {
    snprintf(error->message, sizeof error->message, "the call was interrupted");
  }
}

pyb_status pyb__fail_exception(const pyb_session *session, PyObject *exception,
                               pyb_error *error) {
  pyb_error local;
  PyObject *report = NULL, *name;

  if (error == NULL)
    error = &local;
  memset(error, 0, sizeof *error);
  error->status = PYB_PYTHON;
  if (exception == NULL)
    return pyb__fail(error, PYB_INTERNAL, "a Python call failed without an exception");
  name = PyUnicode_FromString(pyb__context_name(session));
  if (name == NULL) { /* not UTF-8, which may be what the exception is about */
    PyErr_Clear();
    name = PyUnicode_FromString("");
  }
  /* Twice, as a deadline may strike once more while the report is made. */
  for (int i = 0; i < 2 && report == NULL && name != NULL && pyb__py.fail != NULL;
       i++) {
    PyErr_Clear();
    report = PyObject_CallFunctionObjArgs(pyb__py.fail, exception, name, NULL);
  }
  if (!read_report(report, error))
    say_little(exception, error);
  say_why_stopped(session, error);
  Py_XDECREF(report);
  Py_XDECREF(name);
  Py_DECREF(exception);
  PyErr_Clear();
  return error->status;
}

pyb_status pyb__fail_python(const pyb_session *session, pyb_error *error) {
  return pyb__fail_exception(session, pyb__take_exception(), error);
}

PyObject *pyb__raise(const pyb_error *error) {
  static const char *const names[] = {
      [PYB_BAD_ARGUMENT] = "BadArgument", [PYB_UNDEFINED] = "Undefined",
      [PYB_UNSUPPORTED] = "Unsupported",  [PYB_TOO_LARGE] = "TooLarge",
      [PYB_INTERRUPTED] = "Interrupted",  [PYB_DEADLINE] = "DeadlineExceeded",
  };
  const size_t n = sizeof names / sizeof *names;
  const char *name = "HostError";
  PyObject *errors, *class = NULL;

  if (error->status == PYB_NO_MEMORY)
    return PyErr_NoMemory();
  if ((size_t)error->status < n && names[error->status] != NULL)
    name = names[error->status];
  errors = PyImport_ImportModule("pybridge.errors");
  if (errors != NULL)
    class = PyObject_GetAttrString(errors, name);
  /* One that came up through several calls says so once. */
  if (class != NULL && error->type[0] != '\0' &&
      strcmp(error->type, "pybridge.HostError") != 0)
    PyErr_Format(class, "%s: %s", error->type, error->message);
  else if (class != NULL)
    PyErr_SetString(class, error->message);
  Py_XDECREF(class);
  Py_XDECREF(errors);
  return NULL;
}
