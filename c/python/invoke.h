/* invoke.h: what `invoke` and `row` share: calls with objects that a host keeps. */
#ifndef PYB_INVOKE_H
#define PYB_INVOKE_H

#include "gate.h"

struct pyb_object {
  PyObject *object;
  uintptr_t generation;
};

static inline pyb_status pyb__stale(pyb_error *error) {
  return pyb__fail(error, PYB_UNDEFINED,
                   "the object is from before the reset; define it again");
}

/* Enter for a call with an object, unless that is from before a soft reset. */
static PYB__INLINE pyb_status pyb__enter_with(const pyb_session *session,
                                              const pyb_object *object, pyb__call *call,
                                              pyb_error *error) {
  pyb_status status;

  if (PYB__RARE(object == NULL))
    return pyb__missing(error, "the object");
  status = pyb__enter_row(session, call, error);
  if (PYB__RARE(status != PYB_OK) || object->generation == pyb__generation)
    return status;
  pyb__leave(call);
  return pyb__stale(error);
}

/* Load a value; the numbers, which come most often, without a call of ours. */
static inline PyObject *pyb__load_quick(const pyb_value *value) {
  if (value->type == PYB_INT64)
    return PyLong_FromLongLong(value->integer);
  if (value->type == PYB_FLOAT64)
    return PyFloat_FromDouble(value->real);
  return pyb__load(value);
}

/* Is the exact int of one digit at most? Its value is then *integer. */
static inline bool pyb__is_compact(PyObject *object, int64_t *integer) {
#if PY_VERSION_HEX >= 0x030C0000
  if (!PyUnstable_Long_IsCompact((PyLongObject *)object))
    return false;
  *integer = PyUnstable_Long_CompactValue((PyLongObject *)object);
#else
  if (Py_SIZE(object) < -1 || Py_SIZE(object) > 1)
    return false;
  *integer = Py_SIZE(object) * (int64_t)((PyLongObject *)object)->ob_digit[0];
#endif
  return true;
}

/* Dump into a value; a small integer, which comes most often, without any call. */
static inline int pyb__dump_quick(PyObject *object, pyb_value *value) {
  int64_t integer;

  if (!PyLong_CheckExact(object) || !pyb__is_compact(object, &integer))
    return pyb__dump(object, value);
  *value = (pyb_value){.type = PYB_INT64, .integer = integer};
  return 0;
}

/* Dump a result, a new reference that is taken (NULL = exception set). */
static inline pyb_status pyb__finish(const pyb_session *session, PyObject *object,
                                     pyb_value *result, pyb_error *error) {
  int failed = -1;

  if (object != NULL)
    failed = result == NULL ? 0 : pyb__dump_quick(object, result);
  Py_XDECREF(object);
  return failed == 0 ? PYB_OK : pyb__fail_python(session, error);
}

#endif /* PYB_INVOKE_H */
