/* proxy.c: what a host does with the objects that it holds by handle. */
#include "gate.h"

#include <string.h>

/* ---- A visit: one call on one object -------------------------------------------- */

typedef struct visit {
  pyb__call call;
  const pyb_session *session;
  PyObject *object;  /* a reference: the handle may be released in its own call */
  PyObject *capture; /* keeps what is printed; NULL = that is not wanted */
} visit;

/* Enter, with PYB_CAPTURE keep what is printed. `handle` 0 is no object. */
static PYB__INLINE pyb_status enter(const pyb_session *session, visit *v,
                                    pyb_error *error) {
  pyb_status status = pyb__enter_row(session, &v->call, error);
  PyObject *name;

  v->session = session;
  v->object = v->capture = NULL;
  if (status != PYB_OK || session == NULL || (session->flags & PYB_CAPTURE) == 0)
    return status;
  name = PyUnicode_FromString(pyb__context_name(session));
  v->capture = name == NULL ? NULL : PyObject_CallOneArg(pyb__py.capture, name);
  Py_XDECREF(name);
  if (v->capture != NULL)
    return PYB_OK;
  status = pyb__fail_python(session, error);
  pyb__leave(&v->call);
  return status;
}

/* Leave; where an exception is set it becomes the error. */
static pyb_status leave(visit *v, pyb_error *error) {
  pyb_status status = PYB_OK;

  if (v->capture != NULL) {
    PyObject *type, *value, *traceback, *done;
    PyErr_Fetch(&type, &value, &traceback);
    done =
        PyObject_CallMethod(v->capture, "__exit__", "OOO", Py_None, Py_None, Py_None);
    if (type != NULL) /* the first failure is what counts */
      PyErr_Restore(type, value, traceback);
    Py_XDECREF(done);
    Py_DECREF(v->capture);
  }
  if (PyErr_Occurred() != NULL)
    status = pyb__fail_python(v->session, error);
  Py_XDECREF(v->object);
  pyb__leave(&v->call);
  return status;
}

/* The same, with the object of a handle. */
static PYB__INLINE pyb_status enter_with(const pyb_session *session, pyb_handle handle,
                                         visit *v, pyb_error *error) {
  pyb_status status = enter(session, v, error);

  if (status != PYB_OK)
    return status;
  v->object = pyb__handle_object(handle);
  return v->object != NULL ? PYB_OK : leave(v, error);
}

/* Leave with a result, a new reference that is taken (NULL = exception set). A call
 * that is stopped when its result is out has none. */
static PYB__INLINE pyb_status leave_with(visit *v, PyObject *object, pyb_as as,
                                         pyb_value *result, pyb_error *error) {
  pyb_status status;

  if (pyb__give(object, as, result) == 0 && v->capture == NULL) {
    Py_DECREF(v->object);
    pyb__leave_row(&v->call);
    return PYB_OK;
  }
  status = leave(v, error);
  if (status != PYB_OK)
    pyb_value_release(result);
  return status;
}

/* The same for an object that is kept, whatever it is. */
static pyb_status leave_keeping(visit *v, PyObject *object, pyb_handle *handle,
                                pyb_error *error) {
  pyb_status status;

  *handle = object == NULL ? 0 : pyb__handle_keep(object);
  status = leave(v, error);
  if (status != PYB_OK && *handle != 0) {
    (void)!pyb_handle_release(v->session, *handle, NULL);
    *handle = 0;
  }
  return status;
}

/* ---- Arguments ------------------------------------------------------------------ */

/* Empty the place for a result. */
static pyb_status check_result(pyb_value *result, pyb_error *error) {
  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  return PYB_OK;
}

static pyb_status check_handle(pyb_handle *handle, pyb_error *error) {
  if (handle == NULL)
    return pyb__missing(error, "the place for the handle");
  *handle = 0;
  return PYB_OK;
}

/* Text or None, a new reference. */
static PyObject *text_or_none(const char *text) {
  return text == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(text);
}

/* Call the rare verb of that name in pybridge/proxy.py. `given` are new references that
 * are taken; where one is NULL an exception is set. */
static PyObject *ask(const char *verb, PyObject *const *given, size_t n) {
  PyObject *stack[8], *result = NULL;
  size_t have = 0;

  stack[1] = pyb__name(verb);
  while (have < n && given[have] != NULL)
    have++;
  if (have == n && stack[1] != NULL) {
    memcpy(stack + 2, given, n * sizeof *given);
    result = PyObject_Vectorcall(pyb__py.proxy, stack + 1,
                                 (n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  }
  for (size_t i = 0; i < n; i++)
    Py_XDECREF(given[i]);
  Py_XDECREF(stack[1]);
  return result;
}

#define ASK(verb, ...)                                                                 \
  ask(verb, (PyObject *[]){__VA_ARGS__},                                               \
      sizeof((PyObject *[]){__VA_ARGS__}) / sizeof(PyObject *))

/* ---- Making --------------------------------------------------------------------- */

pyb_status pyb_handle_of(const pyb_session *session, const char *expression,
                         pyb_handle *handle, pyb_error *error) {
  pyb_status status = check_handle(handle, error);
  visit v;

  if (status == PYB_OK && expression == NULL)
    status = pyb__missing(error, "the expression");
  if (status == PYB_OK)
    status = enter(session, &v, error);
  if (status != PYB_OK)
    return status;
  return leave_keeping(&v, pyb__resolve(session, expression), handle, error);
}

pyb_status pyb_handle_new(const pyb_session *session, const char *callable,
                          const pyb_value *args, size_t n, const char *const *names,
                          size_t n_names, pyb_handle *handle, pyb_error *error) {
  pyb_status status = check_handle(handle, error);
  PyObject *made = NULL;
  visit v;

  if (status == PYB_OK && callable == NULL)
    status = pyb__missing(error, "the callable");
  if (status == PYB_OK)
    status = pyb__check_arguments(args, n, names, n_names, error);
  if (status == PYB_OK)
    status = enter(session, &v, error);
  if (status != PYB_OK)
    return status;
  v.object = pyb__resolve(session, callable);
  if (v.object != NULL)
    made = pyb__call_values(v.object, args, n, names, n_names);
  return leave_keeping(&v, made, handle, error);
}

pyb_status pyb_handle_import(const pyb_session *session, const char *module,
                             pyb_handle *handle, pyb_error *error) {
  pyb_status status = check_handle(handle, error);
  visit v;

  if (status == PYB_OK && module == NULL)
    status = pyb__missing(error, "the module's name");
  if (status == PYB_OK)
    status = enter(session, &v, error);
  if (status != PYB_OK)
    return status;
  return leave_keeping(&v, ASK("module", PyUnicode_FromString(module)), handle, error);
}

pyb_status pyb_handle_loads(const pyb_session *session, const pyb_value *value,
                            const char *serialization, pyb_handle *handle,
                            pyb_error *error) {
  pyb_status status = check_handle(handle, error);
  PyObject *object;
  visit v;

  if (status == PYB_OK && value == NULL)
    status = pyb__missing(error, "the value");
  if (status == PYB_OK)
    status = enter(session, &v, error);
  if (status != PYB_OK)
    return status;
  object = pyb__load(value);
  if (object != NULL && serialization != NULL)
    object = ASK("loads", object, PyUnicode_FromString(serialization));
  return leave_keeping(&v, object, handle, error);
}

pyb_status pyb_handle_copy(const pyb_session *session, pyb_handle handle,
                           pyb_handle *copy, pyb_error *error) {
  pyb_status status = check_handle(copy, error);
  visit v;

  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  return leave_keeping(&v, Py_NewRef(v.object), copy, error);
}

/* ---- Attributes ----------------------------------------------------------------- */

pyb_status pyb_handle_get(const pyb_session *session, pyb_handle handle,
                          const char *name, pyb_as as, pyb_value *result,
                          pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *text, *object = NULL;
  visit v;

  if (status == PYB_OK && name == NULL)
    status = pyb__missing(error, "the attribute's name");
  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  text = pyb__name(name);
  if (text != NULL)
    object = PyObject_GetAttr(v.object, text);
  Py_XDECREF(text);
  return leave_with(&v, object, as, result, error);
}

/* Set an attribute, or delete it (value NULL). */
static pyb_status change(const pyb_session *session, pyb_handle handle,
                         const char *name, const pyb_value *value, pyb_error *error) {
  PyObject *text, *object = NULL;
  pyb_status status;
  visit v;

  if (name == NULL)
    return pyb__missing(error, "the attribute's name");
  status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  text = pyb__name(name);
  if (text != NULL && value != NULL)
    object = pyb__load(value);
  if (text != NULL && (value == NULL || object != NULL))
    (void)PyObject_SetAttr(v.object, text, object); /* -1 = exception set */
  Py_XDECREF(object);
  Py_XDECREF(text);
  return leave(&v, error);
}

pyb_status pyb_handle_set(const pyb_session *session, pyb_handle handle,
                          const char *name, const pyb_value *value, pyb_error *error) {
  if (value == NULL)
    return pyb__missing(error, "the value");
  return change(session, handle, name, value, error);
}

pyb_status pyb_handle_delete(const pyb_session *session, pyb_handle handle,
                             const char *name, pyb_error *error) {
  return change(session, handle, name, NULL, error);
}

/* ---- Calls ---------------------------------------------------------------------- */

pyb_status pyb_handle_call(const pyb_session *session, pyb_handle handle,
                           const char *method, const pyb_value *args, size_t n,
                           const char *const *names, size_t n_names, pyb_as as,
                           pyb_value *result, pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *callee = NULL, *text, *object = NULL;
  visit v;

  if (status == PYB_OK)
    status = pyb__check_arguments(args, n, names, n_names, error);
  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  if (method == NULL) {
    object = pyb__call_values(v.object, args, n, names, n_names);
  } else if (n_names == 0) {
    object = pyb__invoke_values(v.object, method, args, n);
  } else {
    text = pyb__name(method);
    callee = text == NULL ? NULL : PyObject_GetAttr(v.object, text);
    Py_XDECREF(text);
    if (callee != NULL)
      object = pyb__call_values(callee, args, n, names, n_names);
    Py_XDECREF(callee);
  }
  return leave_with(&v, object, as, result, error);
}

pyb_status pyb_handle_apply(const pyb_session *session, pyb_handle handle,
                            const char *method, const char *args, const char *kwargs,
                            pyb_as as, pyb_value *result, pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *object;
  visit v;

  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  object = ASK("apply", Py_NewRef(v.object), text_or_none(method), text_or_none(args),
               text_or_none(kwargs));
  return leave_with(&v, object, as, result, error);
}

/* ---- Items ---------------------------------------------------------------------- */

pyb_status pyb_handle_item(const pyb_session *session, pyb_handle handle,
                           const pyb_value *key, pyb_as as, pyb_value *result,
                           pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *at, *object = NULL;
  visit v;

  if (status == PYB_OK && key == NULL)
    status = pyb__missing(error, "the key");
  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  at = pyb__load(key);
  if (at != NULL)
    object = PyObject_GetItem(v.object, at);
  Py_XDECREF(at);
  return leave_with(&v, object, as, result, error);
}

/* Set an item, or delete it (value NULL). */
static pyb_status change_item(const pyb_session *session, pyb_handle handle,
                              const pyb_value *key, const pyb_value *value,
                              pyb_error *error) {
  PyObject *at, *object = NULL;
  pyb_status status;
  visit v;

  if (key == NULL)
    return pyb__missing(error, "the key");
  status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  at = pyb__load(key);
  if (at != NULL && value == NULL)
    (void)PyObject_DelItem(v.object, at); /* -1 = exception set, here and below */
  else if (at != NULL)
    object = pyb__load(value);
  if (object != NULL)
    (void)PyObject_SetItem(v.object, at, object);
  Py_XDECREF(object);
  Py_XDECREF(at);
  return leave(&v, error);
}

pyb_status pyb_handle_set_item(const pyb_session *session, pyb_handle handle,
                               const pyb_value *key, const pyb_value *value,
                               pyb_error *error) {
  if (value == NULL)
    return pyb__missing(error, "the value");
  return change_item(session, handle, key, value, error);
}

pyb_status pyb_handle_delete_item(const pyb_session *session, pyb_handle handle,
                                  const pyb_value *key, pyb_error *error) {
  return change_item(session, handle, key, NULL, error);
}

/* ---- Iteration ------------------------------------------------------------------ */

pyb_status pyb_handle_iterate(const pyb_session *session, pyb_handle handle,
                              pyb_handle *iterator, pyb_error *error) {
  pyb_status status = check_handle(iterator, error);
  visit v;

  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  return leave_keeping(&v, PyObject_GetIter(v.object), iterator, error);
}

pyb_status pyb_handle_next(const pyb_session *session, pyb_handle iterator, pyb_as as,
                           pyb_value *result, int *more, pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *item;
  visit v;

  if (status == PYB_OK && more == NULL)
    status = pyb__missing(error, "the place for whether there is more");
  if (status != PYB_OK)
    return status;
  *more = 0;
  status = enter_with(session, iterator, &v, error);
  if (status != PYB_OK)
    return status;
  if (!PyIter_Check(v.object)) {
    PyErr_Format(PyExc_TypeError, "an object of type %.200s is no iterator; iterate it",
                 Py_TYPE(v.object)->tp_name);
    return leave(&v, error);
  }
  item = PyIter_Next(v.object);
  if (item == NULL) /* the end, or an exception */
    return leave(&v, error);
  status = leave_with(&v, item, as, result, error);
  *more = status == PYB_OK;
  return status;
}

pyb_status pyb_handle_length(const pyb_session *session, pyb_handle handle,
                             int64_t *length, pyb_error *error) {
  pyb_status status;
  visit v;

  if (length == NULL)
    return pyb__missing(error, "the place for the length");
  *length = 0;
  status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  *length = PyObject_Size(v.object);
  status = leave(&v, error);
  if (status != PYB_OK)
    *length = 0;
  return status;
}

pyb_status pyb_handle_contains(const pyb_session *session, pyb_handle handle,
                               const pyb_value *value, int *contains,
                               pyb_error *error) {
  PyObject *object;
  pyb_status status;
  visit v;

  if (contains == NULL || value == NULL)
    return pyb__missing(error, "the value or the place for the answer");
  *contains = 0;
  status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  object = pyb__load(value);
  if (object != NULL)
    *contains = PySequence_Contains(v.object, object);
  Py_XDECREF(object);
  status = leave(&v, error);
  if (status != PYB_OK)
    *contains = 0;
  return status;
}

pyb_status pyb_handle_compare(const pyb_session *session, pyb_handle handle,
                              const char *op, const pyb_value *other, pyb_as as,
                              pyb_value *result, pyb_error *error) {
  static const char *const ops[] = {[Py_LT] = "<",
                                    [Py_LE] = "<=",
                                    [Py_EQ] = "==",
                                    [Py_NE] = "!=",
                                    [Py_GT] = ">",
                                    [Py_GE] = ">=",
                                    "is"};
  const int n_ops = sizeof ops / sizeof *ops, is = n_ops - 1;
  pyb_status status = check_result(result, error);
  PyObject *second, *object = NULL;
  int known = 0;
  visit v;

  if (status == PYB_OK && (op == NULL || other == NULL))
    status = pyb__missing(error, "the operator or the other value");
  while (status == PYB_OK && known < n_ops && strcmp(op, ops[known]) != 0)
    known++;
  if (status == PYB_OK && known == n_ops)
    status = pyb__fail(error, PYB_BAD_ARGUMENT,
                       "there is no comparison \"%.64s\"; known: ==, !=, <, <=, >, >=, "
                       "is",
                       op);
  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  second = pyb__load(other);
  if (second != NULL)
    object = known == is ? PyBool_FromLong(v.object == second)
                         : PyObject_RichCompare(v.object, second, known);
  Py_XDECREF(second);
  return leave_with(&v, object, as, result, error);
}

/* ---- Whole objects -------------------------------------------------------------- */

/* What a verb of pybridge/proxy.py says of the object, as a value. */
static pyb_status describe(const pyb_session *session, pyb_handle handle,
                           const char *verb, const char *argument, pyb_value *result,
                           pyb_error *error) {
  pyb_status status = check_result(result, error);
  PyObject *object;
  visit v;

  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  object = argument == NULL
               ? ASK(verb, Py_NewRef(v.object))
               : ASK(verb, Py_NewRef(v.object), PyUnicode_FromString(argument));
  return leave_with(&v, object, PYB_AS_VALUE, result, error);
}

pyb_status pyb_handle_value(const pyb_session *session, pyb_handle handle,
                            const char *serialization, pyb_value *result,
                            pyb_error *error) {
  pyb_status status;
  visit v;

  if (serialization != NULL)
    return describe(session, handle, "dumps", serialization, result, error);
  status = check_result(result, error);
  if (status == PYB_OK)
    status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  return leave_with(&v, Py_NewRef(v.object), PYB_AS_VALUE, result, error);
}

pyb_status pyb_handle_info(const pyb_session *session, pyb_handle handle,
                           pyb_value *result, pyb_error *error) {
  return describe(session, handle, "info_json", NULL, result, error);
}

pyb_status pyb_handle_names(const pyb_session *session, pyb_handle handle,
                            pyb_value *result, pyb_error *error) {
  return describe(session, handle, "names_json", NULL, result, error);
}

/* A list of the columns' names, or None for all of them. */
static PyObject *columns_list(const char *const *columns, size_t n) {
  PyObject *list = PyList_New((Py_ssize_t)n);

  for (size_t i = 0; i < n && list != NULL; i++) {
    PyObject *name = PyUnicode_FromString(columns[i]);
    if (name == NULL)
      Py_CLEAR(list);
    else
      PyList_SET_ITEM(list, (Py_ssize_t)i, name);
  }
  return list;
}

pyb_status pyb_handle_stream(const pyb_session *session, pyb_handle handle,
                             const char *const *columns, size_t n,
                             struct ArrowArrayStream *rows, pyb_error *error) {
  pyb_status status;
  PyObject *stream;
  visit v;

  if (rows == NULL)
    return pyb__missing(error, "the place for the rows");
  memset(rows, 0, sizeof *rows);
  if (n > 0 && columns == NULL)
    return pyb__missing(error, "the array of columns");
  for (size_t i = 0; i < n; i++)
    if (columns[i] == NULL)
      return pyb__missing(error, "the name of a column");
  status = enter_with(session, handle, &v, error);
  if (status != PYB_OK)
    return status;
  stream = ASK("stream", Py_NewRef(v.object),
               columns == NULL ? Py_NewRef(Py_None) : columns_list(columns, n));
  if (stream != NULL)
    (void)pyb__stream_of(stream, rows); /* -1 = exception set */
  Py_XDECREF(stream);
  status = leave(&v, error);
  if (status != PYB_OK && rows->release != NULL)
    rows->release(rows);
  return status;
}
