/* invoke.c: calls that are cheap enough for every row: cached code, cached names. */
#include "invoke.h"

#include <string.h>

#define STACK_ARGS 16

/* ---- Contexts ------------------------------------------------------------------- */

/* session->cache: [0] the namespace, borrowed from the context, which lives until the
 * next soft reset; [1] the generation it is of; [2] the name it was found under; [3]
 * the name's own text, to see a name that was changed in place. The reset counts up
 * when the context can be found no more and is not yet gone (context.reset). */
enum { NAMESPACE, GENERATION, NAME, HASH };

/* FNV-1a; a name that is changed in place must change it. */
static uintptr_t hash_text(const char *text) {
  uint64_t hash = UINT64_C(14695981039346656037);

  for (; text != NULL && *text != '\0'; text++)
    hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return (uintptr_t)hash;
}

PyObject *pyb__namespace(const pyb_session *session) {
  const char *name = pyb__context_name(session);
  void **cache = session == NULL ? NULL : ((pyb_session *)(uintptr_t)session)->cache;
  uintptr_t generation = pyb__generation;
  PyObject *text, *namespace;

  if (cache != NULL && cache[NAMESPACE] != NULL &&
      cache[GENERATION] == (void *)generation &&
      cache[NAME] == (void *)(uintptr_t)name && cache[HASH] == (void *)hash_text(name))
    return Py_NewRef(cache[NAMESPACE]);
  text = PyUnicode_FromString(name);
  namespace = text == NULL ? NULL : PyObject_CallOneArg(pyb__py.namespace_of, text);
  Py_XDECREF(text);
  if (namespace == NULL)
    return NULL;
  if (!PyDict_Check(namespace)) {
    Py_DECREF(namespace);
    PyErr_SetString(PyExc_SystemError, "a namespace is not a dict");
    return NULL;
  }
  if (cache != NULL) {
    cache[NAMESPACE] = namespace;
    cache[GENERATION] = (void *)generation; /* as before the GIL may have been lent */
    cache[NAME] = (void *)(uintptr_t)name;
    cache[HASH] = (void *)hash_text(name);
  }
  return namespace;
}

/* ---- Names ---------------------------------------------------------------------- */

/* Plain names that were used lately, as interned strings whose hash is known. */
static struct {
  char text[56];
  PyObject *name;
} names[64];

/* The interned string of a plain name, borrowed; NULL without an exception = too long
 * to be cached. */
static PyObject *intern(const char *text) {
  size_t size = strlen(text);
  unsigned slot = ((unsigned)text[0] * 31 + (unsigned)text[size / 2] * 7 +
                   (unsigned)text[size == 0 ? 0 : size - 1] + (unsigned)size) %
                  (sizeof names / sizeof *names);
  PyObject *name;

  if (size >= sizeof names[slot].text)
    return NULL;
  if (names[slot].name != NULL && memcmp(names[slot].text, text, size + 1) == 0)
    return names[slot].name;
  name = PyUnicode_InternFromString(text);
  if (name == NULL)
    return NULL;
  Py_XSETREF(names[slot].name, name);
  memcpy(names[slot].text, text, size + 1);
  return name;
}

/* Call one of the functions of the plane with the context's name, the path, and an
 * exception or NULL. */
static PyObject *ask_python(PyObject *how, const pyb_session *session, PyObject *path,
                            PyObject *exception) {
  PyObject *context = PyUnicode_FromString(pyb__context_name(session));
  PyObject *found = NULL;

  if (context != NULL)
    found = PyObject_CallFunctionObjArgs(how, context, path, exception, NULL);
  Py_XDECREF(context);
  return found;
}

/* What a path names that is no variable: evaluated here where its code is at hand, as
 * it is from the second time on. */
static PyObject *resolve_path(const pyb_session *session, PyObject *namespace,
                              PyObject *path) {
  PyObject *code = PyDict_GetItemWithError(pyb__py.expressions, path);
  PyObject *found, *exception;

  if (code == NULL)
    return PyErr_Occurred() != NULL ? NULL
                                    : ask_python(pyb__py.resolve, session, path, NULL);
  Py_INCREF(code);
  found = PyEval_EvalCode(code, namespace, namespace);
  Py_DECREF(code);
  if (found != NULL || !(PyErr_ExceptionMatches(PyExc_NameError) ||
                         PyErr_ExceptionMatches(PyExc_AttributeError) ||
                         PyErr_ExceptionMatches(PyExc_LookupError)))
    return found;
  exception = pyb__take_exception();
  found = ask_python(pyb__py.unresolved, session, path, exception);
  Py_XDECREF(exception);
  return found;
}

PyObject *pyb__name(const char *text) {
  PyObject *name = intern(text);

  if (name != NULL || PyErr_Occurred() != NULL)
    return Py_XNewRef(name); /* what runs meanwhile may drop it from the cache */
  return PyUnicode_FromString(text);
}

PyObject *pyb__resolve(const pyb_session *session, const char *path) {
  PyObject *namespace = pyb__namespace(session), *name, *found = NULL;

  if (namespace == NULL)
    return NULL;
  name = pyb__name(path);
  if (name != NULL)
    found = Py_XNewRef(PyDict_GetItemWithError(namespace, name));
  if (found == NULL && PyErr_Occurred() == NULL)
    found = resolve_path(session, namespace, name);
  Py_XDECREF(name);
  Py_DECREF(namespace);
  return found;
}

/* ---- Calling -------------------------------------------------------------------- */

PyObject *pyb__call_values(PyObject *callable, const pyb_value *args, size_t n,
                           const char *const *names_of, size_t n_names) {
  PyObject *fixed[STACK_ARGS + 1], **stack = fixed, *keywords = NULL, *result = NULL;
  size_t loaded = 0;

  if (n > STACK_ARGS) {
    stack = pyb__malloc((n + 1) * sizeof *stack);
    if (stack == NULL)
      return PyErr_NoMemory();
  }
  for (; loaded < n; loaded++) {
    stack[loaded + 1] = pyb__load(&args[loaded]);
    if (stack[loaded + 1] == NULL)
      goto done;
  }
  if (n_names > 0) {
    keywords = PyTuple_New((Py_ssize_t)n_names);
    for (size_t i = 0; i < n_names && keywords != NULL; i++) {
      PyObject *name = PyUnicode_InternFromString(names_of[i]);
      if (name == NULL)
        goto done;
      PyTuple_SET_ITEM(keywords, (Py_ssize_t)i, name);
    }
    if (keywords == NULL)
      goto done;
  }
  /* stack[0] is free for the callee's use. */
  result = PyObject_Vectorcall(
      callable, stack + 1, (n - n_names) | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);

done:
  Py_XDECREF(keywords);
  while (loaded > 0)
    Py_DECREF(stack[loaded--]);
  if (stack != fixed)
    pyb__free(stack);
  return result;
}

/* Kinds of objects that have no counterpart for sure: asking would only take time. */
static bool is_no_value(PyObject *object) {
  if (PyLong_CheckExact(object) || PyFloat_CheckExact(object) ||
      PyUnicode_CheckExact(object) || object == Py_None)
    return false;
  return PyList_Check(object) || PyDict_Check(object) || PyTuple_Check(object) ||
         PyModule_Check(object) || PyType_Check(object) || PyCallable_Check(object);
}

/* Does the exception that is set say that an object has no counterpart? Text may have
 * none too: that with lone surrogates. */
static bool has_no_counterpart(PyObject *object) {
  return PyErr_ExceptionMatches(pyb__py.unsupported) ||
         (PyUnicode_Check(object) && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError));
}

int pyb__give(PyObject *object, pyb_as as, pyb_value *result) {
  int failed;

  if (object == NULL)
    return -1;
  if (as == PYB_AS_HANDLE || (as == PYB_AS_FITS && is_no_value(object)))
    return pyb__handle_give(object, result);
  failed = pyb__dump_quick(object, result);
  if (failed != 0 && as == PYB_AS_FITS && has_no_counterpart(object)) {
    PyErr_Clear();
    return pyb__handle_give(object, result);
  }
  Py_DECREF(object);
  return failed;
}

pyb_status pyb__call_function(const pyb_session *session, const char *function,
                              const pyb_value *args, size_t n,
                              const char *const *keywords, size_t n_keywords,
                              pyb_value *result, pyb_error *error) {
  pyb__call call;
  pyb_status status = pyb__enter_row(session, &call, error);
  PyObject *callable, *object = NULL;

  if (status != PYB_OK)
    return status;
  callable = pyb__resolve(session, function);
  if (callable != NULL)
    object = pyb__call_values(callable, args, n, keywords, n_keywords);
  Py_XDECREF(callable);
  status = pyb__finish(session, object, result, error);
  pyb__leave_row(&call);
  return status;
}

/* ---- Expressions ---------------------------------------------------------------- */

/* A new reference to the code of an expression. */
static PyObject *code_of(const char *expression, size_t size) {
  PyObject *text = PyUnicode_DecodeUTF8(expression, (Py_ssize_t)size, "strict");
  PyObject *code = NULL;

  if (text == NULL)
    return NULL;
  code = PyDict_GetItemWithError(pyb__py.expressions, text);
  if (code != NULL)
    Py_INCREF(code);
  else if (PyErr_Occurred() == NULL)
    code = PyObject_CallOneArg(pyb__py.compile, text);
  Py_DECREF(text);
  return code;
}

pyb_status pyb__evaluate(const pyb_session *session, const char *expression,
                         size_t size, pyb_value *result, pyb_error *error) {
  pyb__call call;
  pyb_status status = pyb__enter_row(session, &call, error);
  PyObject *namespace, *code = NULL, *object = NULL;

  if (status != PYB_OK)
    return status;
  namespace = pyb__namespace(session);
  if (namespace != NULL)
    code = code_of(expression, size);
  if (code != NULL)
    object = PyEval_EvalCode(code, namespace, namespace);
  Py_XDECREF(code);
  Py_XDECREF(namespace);
  status = pyb__finish(session, object, result, error);
  pyb__leave_row(&call);
  return status;
}

/* ---- Objects -------------------------------------------------------------------- */

static pyb_status keep(const pyb_session *session, PyObject *object, pyb_object **kept,
                       pyb_error *error) {
  if (object == NULL)
    return pyb__fail_python(session, error);
  *kept = pyb__malloc(sizeof **kept);
  if (*kept == NULL) {
    Py_DECREF(object);
    return pyb__fail(error, PYB_NO_MEMORY, "no memory for an object");
  }
  **kept = (pyb_object){.object = object, .generation = pyb__generation};
  pyb__live_add(1);
  return PYB_OK;
}

pyb_status pyb_object_get(const pyb_session *session, const char *expression,
                          pyb_object **object, pyb_error *error) {
  pyb__call call;
  pyb_status status;

  if (object == NULL)
    return pyb__missing(error, "the place for the object");
  *object = NULL;
  if (expression == NULL)
    return pyb__missing(error, "the expression");
  status = pyb__enter(session, &call, error);
  if (status != PYB_OK)
    return status;
  status = keep(session, pyb__resolve(session, expression), object, error);
  pyb__leave(&call);
  return status;
}

/* Dump a result as what it is, or as JSON where it is nothing else. */
static int dump_or_json(PyObject *object, pyb_value *value) {
  PyObject *text;
  int failed = pyb__dump_quick(object, value);

  if (failed == 0 || !PyErr_ExceptionMatches(pyb__py.unsupported))
    return failed;
  PyErr_Clear();
  text = PyObject_CallOneArg(pyb__py.to_json, object);
  if (text != NULL && (failed = pyb__dump(text, value)) == 0)
    value->type = PYB_JSON;
  Py_XDECREF(text);
  return failed;
}

pyb_status pyb_object_call_named(const pyb_session *session, pyb_object *object,
                                 const pyb_value *args, size_t n,
                                 const char *const *keywords, size_t n_keywords,
                                 int json, pyb_value *result, pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *callable, *called;
  int failed = -1;

  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (n > 0 && args == NULL)
    return pyb__missing(error, "the array of values");
  if (n_keywords > n || (n_keywords > 0 && keywords == NULL))
    return pyb__fail(error, PYB_BAD_ARGUMENT,
                     "more names (%zu) than values (%zu) came, or none of them",
                     n_keywords, n);
  status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK)
    return status;
  callable = Py_NewRef(object->object);
  called = pyb__call_values(callable, args, n, keywords, n_keywords);
  if (called != NULL)
    failed = json ? dump_or_json(called, result) : pyb__dump_quick(called, result);
  Py_XDECREF(called);
  status = failed == 0 ? PYB_OK : pyb__fail_python(session, error);
  Py_DECREF(callable);
  pyb__leave(&call);
  return status;
}

pyb_status pyb_object_new(const pyb_session *session, pyb_object *object,
                          pyb_object **instance, pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *callable;

  if (instance == NULL)
    return pyb__missing(error, "the place for the object");
  *instance = NULL;
  status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK)
    return status;
  callable = Py_NewRef(object->object);
  status = keep(session, PyObject_CallNoArgs(callable), instance, error);
  Py_DECREF(callable);
  pyb__leave(&call);
  return status;
}

/* Without making the bound method. */
PyObject *pyb__invoke_values(PyObject *object, const char *method,
                             const pyb_value *args, size_t n) {
  PyObject *stack[STACK_ARGS + 1], *bound, *name = pyb__name(method), *result = NULL;
  size_t loaded = 0;

  if (name == NULL)
    return NULL;
  if (n >= STACK_ARGS) {
    bound = PyObject_GetAttr(object, name);
    if (bound != NULL)
      result = pyb__call_values(bound, args, n, NULL, 0);
    Py_XDECREF(bound);
    Py_DECREF(name);
    return result;
  }
  stack[0] = object;
  for (; loaded < n; loaded++) {
    stack[loaded + 1] = pyb__load_quick(&args[loaded]);
    if (stack[loaded + 1] == NULL)
      goto done;
  }
  result = PyObject_VectorcallMethod(name, stack, n + 1, NULL);

done:
  while (loaded > 0)
    Py_DECREF(stack[loaded--]);
  Py_DECREF(name);
  return result;
}

pyb_status pyb_object_invoke(const pyb_session *session, pyb_object *object,
                             const char *method, const pyb_value *args, size_t n,
                             pyb_value *result, pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *owner;

  if (result != NULL)
    *result = PYB_EMPTY;
  if (method == NULL || (n > 0 && args == NULL))
    return pyb__missing(error, "the method's name or the array of values");
  status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK)
    return status;
  owner = Py_NewRef(object->object);
  status =
      pyb__finish(session, pyb__invoke_values(owner, method, args, n), result, error);
  Py_DECREF(owner);
  pyb__leave(&call);
  return status;
}

pyb_status pyb_object_has(const pyb_session *session, pyb_object *object,
                          const char *const *attributes, size_t n, int *has,
                          pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *owner;

  if (has == NULL || (n > 0 && attributes == NULL))
    return pyb__missing(error, "the array of names or the place for the answer");
  *has = 0;
  status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK)
    return status;
  *has = 1;
  owner = Py_NewRef(object->object);
  for (size_t i = 0; i < n && *has; i++)
    *has = PyObject_HasAttrString(owner, attributes[i]);
  Py_DECREF(owner);
  pyb__leave(&call);
  return PYB_OK;
}

/* Hand the callable and the rows (taken) to one of the vectorised calls. */
static PyObject *call_columns(PyObject *how, pyb_object *object,
                              struct ArrowArrayStream *rows) {
  PyObject *callable = Py_NewRef(object->object);
  PyObject *capsule = pyb__capsule(rows), *result = NULL;

  if (capsule != NULL)
    result = PyObject_CallFunctionObjArgs(how, callable, capsule, NULL);
  Py_XDECREF(capsule);
  Py_DECREF(callable);
  return result;
}

static void drop(struct ArrowArrayStream *rows) {
  if (rows != NULL && rows->release != NULL)
    rows->release(rows);
}

pyb_status pyb_object_apply(const pyb_session *session, pyb_object *object,
                            struct ArrowArrayStream *rows, pyb_value *result,
                            pyb_error *error) {
  pyb__call call;
  pyb_status status;

  if (result != NULL)
    *result = PYB_EMPTY;
  if (result == NULL || rows == NULL || rows->release == NULL)
    status = pyb__missing(error, "the stream of rows or the place for the result");
  else
    status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK) {
    drop(rows);
    return status;
  }
  status =
      pyb__finish(session, call_columns(pyb__py.apply, object, rows), result, error);
  pyb__leave(&call);
  return status;
}

pyb_status pyb_object_map(const pyb_session *session, pyb_object *object,
                          struct ArrowArrayStream *rows,
                          struct ArrowArrayStream *mapped, pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *frame;

  if (mapped != NULL)
    memset(mapped, 0, sizeof *mapped);
  if (mapped == NULL || rows == NULL || rows->release == NULL)
    status = pyb__missing(error, "the stream of rows or the place for the columns");
  else
    status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK) {
    drop(rows);
    return status;
  }
  frame = call_columns(pyb__py.map, object, rows);
  if (frame == NULL || pyb__stream_of(frame, mapped) != 0)
    status = pyb__fail_python(session, error);
  Py_XDECREF(frame);
  pyb__leave(&call);
  return status;
}

void pyb_object_release(pyb_object *object) {
  pyb__call call;

  if (object == NULL)
    return;
  /* Where Python cannot be entered any more the reference is the process's to keep. */
  if (pyb__enter(NULL, &call, NULL) == PYB_OK) {
    PyObject *type, *value, *traceback; /* of Python code that may have called us */
    PyErr_Fetch(&type, &value, &traceback);
    Py_DECREF(object->object);
    PyErr_Restore(type, value, traceback);
    pyb__leave(&call);
  }
  pyb__free(object);
  pyb__live_add(-1);
}
