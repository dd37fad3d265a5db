/* object.c: values become Python objects (load) and Python objects values (dump). */
#include "bridge.h"

#include <string.h>

/* ---- Load ----------------------------------------------------------------------- */

static Py_ssize_t size_of(const pyb_value *value) {
  if (value->size != PYB_NTS)
    return (Py_ssize_t)value->size;
  return value->data == NULL ? 0 : (Py_ssize_t)strlen(value->data);
}

/* Text that is not UTF-8 is an error that says so, not a silent change. */
static PyObject *load_text(const pyb_value *value) {
  return PyUnicode_DecodeUTF8(value->data == NULL ? "" : value->data, size_of(value),
                              "strict");
}

/* Dates, times, decimals and JSON: rare, so made in Python. */
static PyObject *load_rare(const pyb_value *value) {
  PyObject *payload, *object = NULL;

  if (value->type == PYB_DECIMAL || value->type == PYB_JSON)
    payload = load_text(value);
  else
    payload = PyLong_FromLongLong(value->integer);
  if (payload != NULL)
    object = PyObject_CallFunction(pyb__py.complicate, "iO", (int)value->type, payload);
  Py_XDECREF(payload);
  return object;
}

PyObject *pyb__load(const pyb_value *value) {
  switch (value->type) {
  case PYB_NULL:
    Py_RETURN_NONE;
  case PYB_BOOL:
    return PyBool_FromLong(value->integer != 0);
  case PYB_INT64:
    return PyLong_FromLongLong(value->integer);
  case PYB_FLOAT64:
    return PyFloat_FromDouble(value->real);
  case PYB_TEXT:
    return load_text(value);
  case PYB_BLOB:
    return PyBytes_FromStringAndSize(value->data, size_of(value));
  case PYB_DATE:
  case PYB_TIME:
  case PYB_TIMESTAMP:
  case PYB_DECIMAL:
  case PYB_JSON:
    return load_rare(value);
  case PYB_HANDLE:
    return pyb__handle_object((pyb_handle)value->integer);
  }
  PyErr_Format(PyExc_SystemError, "unknown value type %d", (int)value->type);
  return NULL;
}

/* ---- Dump ----------------------------------------------------------------------- */

static int dump_long(PyObject *object, pyb_value *value) {
  int overflow;
  long long integer = PyLong_AsLongLongAndOverflow(object, &overflow);

  if (integer == -1 && PyErr_Occurred() != NULL)
    return -1;
  if (overflow != 0) {
    pyb_error error;
    pyb__fail(&error, PYB_UNSUPPORTED,
              "an int of more than 64 bits has no counterpart; use serialization "
              "\"str\" or \"json\"");
    pyb__raise(&error);
    return -1;
  }
  *value = (pyb_value){.type = PYB_INT64, .integer = integer};
  return 0;
}

static int view_text(PyObject *object, pyb_value *value) {
  Py_ssize_t size;
  const char *data = PyUnicode_AsUTF8AndSize(object, &size);

  if (data == NULL)
    return -1;
  *value = (pyb_value){.type = PYB_TEXT, .data = data, .size = (size_t)size};
  return 0;
}

/* Everything else is turned into one of the plain types in Python; the plain object
 * must outlive the view. */
static int view_rare(PyObject *object, pyb_value *value, PyObject **keep) {
  PyObject *pair = PyObject_CallOneArg(pyb__py.simplify, object), *payload;
  long type;
  int failed = -1;

  if (pair == NULL)
    return -1;
  if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
    PyErr_SetString(PyExc_SystemError, "simplify() gave no pair");
    goto done;
  }
  type = PyLong_AsLong(PyTuple_GET_ITEM(pair, 0));
  payload = PyTuple_GET_ITEM(pair, 1);
  *value = PYB_EMPTY;
  if (PyLong_CheckExact(payload))
    failed = dump_long(payload, value);
  else if (PyFloat_CheckExact(payload))
    *value = (pyb_value){.real = PyFloat_AS_DOUBLE(payload)}, failed = 0;
  else if (PyUnicode_CheckExact(payload))
    failed = view_text(payload, value);
  else if (PyBytes_CheckExact(payload))
    *value = (pyb_value){.data = PyBytes_AS_STRING(payload),
                         .size = (size_t)PyBytes_GET_SIZE(payload)},
    failed = 0;
  else if (payload == Py_None)
    failed = 0;
  else
    PyErr_SetString(PyExc_SystemError, "simplify() gave no plain object");
  value->type = (pyb_type)type;
  if (failed == 0)
    *keep = Py_NewRef(payload);

done:
  Py_DECREF(pair);
  return failed;
}

int pyb__dump_view(PyObject *object, pyb_value *value, PyObject **keep) {
  *keep = NULL;
  *value = PYB_EMPTY;
  if (PyFloat_CheckExact(object)) {
    *value = (pyb_value){.type = PYB_FLOAT64, .real = PyFloat_AS_DOUBLE(object)};
    return 0;
  }
  if (PyLong_CheckExact(object))
    return dump_long(object, value);
  if (PyUnicode_CheckExact(object))
    return view_text(object, value);
  if (object == Py_None)
    return 0;
  if (PyBool_Check(object)) {
    *value = (pyb_value){.type = PYB_BOOL, .integer = object == Py_True};
    return 0;
  }
  if (PyBytes_CheckExact(object)) {
    *value = (pyb_value){.type = PYB_BLOB,
                         .data = PyBytes_AS_STRING(object),
                         .size = (size_t)PyBytes_GET_SIZE(object)};
    return 0;
  }
  return view_rare(object, value, keep);
}

int pyb__dump(PyObject *object, pyb_value *value) {
  PyObject *keep;
  pyb_value view;
  int failed = pyb__dump_view(object, &view, &keep);

  *value = PYB_EMPTY;
  if (failed == 0 &&
      (view.type == PYB_TEXT || view.type == PYB_BLOB || view.type == PYB_DECIMAL)) {
    if (pyb__value_copy(value, view.type, view.data, view.size, NULL) != PYB_OK) {
      PyErr_NoMemory();
      failed = -1;
    }
  } else if (failed == 0) {
    *value = view;
  }
  Py_XDECREF(keep);
  return failed;
}
