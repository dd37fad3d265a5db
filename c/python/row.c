/* row.c: an object called with a row's values: what each row of a query pays. */
#include "invoke.h"

#include <string.h>

#define STACK_ARGS 16

/* ---- Arguments that are used again ----------------------------------------------- */

/* The object that the last row came as, for the next row: to make one and to let it go
 * again takes longer than all else that the bridge does to call. It is kept only while
 * nobody else has it, so nobody can see it change; the interpreter does the same with
 * floats of its own. The GIL guards what is kept. */

/* An int of one digit that is no small int, which are there once for all: the digit is
 * all that changes. */
static PyObject *spare_int;

#define SMALL_INTS 1024 /* more than any version keeps */

#if PY_VERSION_HEX >= 0x030C0000
#define DIGIT(object) (((PyLongObject *)(object))->long_value.ob_digit[0])
#else
#define DIGIT(object) (((PyLongObject *)(object))->ob_digit[0])
#endif

/* A str of ASCII with room for so many characters. Those of less than two are there
 * once for all too. */
static PyObject *spare_text;
static size_t spare_room;

#define MOST_TEXT 255

/* What an argument is: nothing to keep, or what may become the spare. */
enum kind { ANY, INT, TEXT };

static inline bool is_of_one_digit(const pyb_value *value) {
  return value->type == PYB_INT64 && value->integer > SMALL_INTS &&
         value->integer <= (int64_t)PyLong_MASK;
}

static inline PyObject *load_int(const pyb_value *value) {
  PyObject *object = spare_int;

  if (object == NULL)
    return PyLong_FromLongLong(value->integer);
  spare_int = NULL;
  DIGIT(object) = (digit)value->integer;
  return object;
}

static inline void let_int_go(PyObject *object) {
  if (spare_int == NULL && Py_REFCNT(object) == 1)
    spare_int = object;
  else
    Py_DECREF(object);
}

/* Copy `size` bytes, two at least; false = not all of them are ASCII. */
static inline bool copy_ascii(char *to, const char *from, size_t size) {
  uint64_t word, all = 0;
  uint32_t half, halves;
  size_t at = 0;

  for (; at + sizeof word <= size; at += sizeof word) {
    memcpy(&word, from + at, sizeof word);
    memcpy(to + at, &word, sizeof word);
    all |= word;
  }
  if (size >= sizeof word) { /* the last ones, some of them again */
    memcpy(&word, from + size - sizeof word, sizeof word);
    memcpy(to + size - sizeof word, &word, sizeof word);
    all |= word;
  } else if (size >= sizeof half) {
    memcpy(&half, from, sizeof half);
    memcpy(to, &half, sizeof half);
    halves = half;
    memcpy(&half, from + size - sizeof half, sizeof half);
    memcpy(to + size - sizeof half, &half, sizeof half);
    all = halves | half;
  } else {
    to[0] = from[0];
    to[1] = from[1];
    to[size - 1] = from[size - 1];
    all = (unsigned char)(from[0] | from[1] | from[size - 1]);
  }
  return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* Load text that may become the spare one; `room` is how much the object holds. */
static inline PyObject *load_text(const pyb_value *value, size_t *room) {
  PyObject *object = spare_text;
  char *data;

  *room = value->size;
  if (object == NULL || value->size > spare_room)
    return pyb__load(value);
  data = (char *)PyUnicode_1BYTE_DATA(object);
  if (!copy_ascii(data, value->data, value->size))
    return pyb__load(value);
  data[value->size] = '\0';
  ((PyASCIIObject *)object)->length = (Py_ssize_t)value->size;
  ((PyASCIIObject *)object)->hash = -1;
  *room = spare_room;
  spare_text = NULL;
  return object;
}

/* Does nobody else have the text, and does it hold nothing but its characters? */
static inline bool may_be_spare(PyObject *object) {
  if (Py_REFCNT(object) != 1 || !PyUnicode_IS_COMPACT_ASCII(object) ||
      PyUnicode_CHECK_INTERNED(object))
    return false;
#if PY_VERSION_HEX < 0x030C0000
  return ((PyASCIIObject *)object)->wstr == NULL;
#else
  return true;
#endif
}

static inline void let_text_go(PyObject *object, size_t room) {
  PyObject *old = object;

  if (may_be_spare(object) && (spare_text == NULL || room > spare_room)) {
    old = spare_text;
    spare_text = object;
    spare_room = room;
  }
  Py_XDECREF(old);
}

/* ---- Calling -------------------------------------------------------------------- */

/* PyObject_Vectorcall. A function written in Python needs no looking for how it is
 * called, and none whether it has returned what it must. */
static inline PyObject *vectorcall(PyObject *callable, PyObject *const *args,
                                   size_t n) {
  if (__builtin_expect(PyFunction_Check(callable), 1))
    return ((PyFunctionObject *)callable)->vectorcall(callable, args, n, NULL);
  return PyObject_Vectorcall(callable, args, n, NULL);
}

/* Call with one value. */
static PYB__INLINE PyObject *call_one(PyObject *callable, const pyb_value *value) {
  PyObject *stack[2], *result;
  enum kind kind = ANY;
  size_t room = 0;

  if (__builtin_expect(is_of_one_digit(value), 1)) {
    kind = INT;
    stack[1] = load_int(value);
  } else if (value->type == PYB_TEXT && value->size >= 2 && value->size <= MOST_TEXT) {
    kind = TEXT;
    stack[1] = load_text(value, &room);
  } else {
    stack[1] = pyb__load_quick(value);
  }
  if (PYB__RARE(stack[1] == NULL))
    return NULL;
  /* stack[0] is free for the callee's use. */
  result = vectorcall(callable, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET);
  if (__builtin_expect(kind == INT, 1))
    let_int_go(stack[1]);
  else if (kind == TEXT)
    let_text_go(stack[1], room);
  else
    Py_DECREF(stack[1]);
  return result;
}

/* Call with n values, by position. */
static PyObject *call_few(PyObject *callable, const pyb_value *args, size_t n) {
  PyObject *stack[STACK_ARGS + 1], *result = NULL;
  size_t loaded = 0;

  while (loaded < n) {
    PyObject *object = pyb__load_quick(&args[loaded]);
    if (object == NULL)
      goto done;
    stack[++loaded] = object;
  }
  /* stack[0] is free for the callee's use. */
  result = vectorcall(callable, stack + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET);

done:
  while (loaded > 0)
    Py_DECREF(stack[loaded--]);
  return result;
}

/* Short text, a reference that is taken, is lent from where it is, until the thread's
 * next row. */
static inline void lend_kept(pyb__thread *thread, PyObject *text, pyb_value *result) {
  PyObject *old = thread->kept;

  thread->kept = text;
  *result = (pyb_value){.type = PYB_TEXT,
                        .data = (const char *)PyUnicode_1BYTE_DATA(text),
                        .size = (size_t)PyUnicode_GET_LENGTH(text)};
  Py_XDECREF(old);
}

/* Short text of other kinds, or in a thread at whose end nobody could let it go: into
 * the thread's own room. */
static bool lend_copied(pyb__thread *thread, PyObject *text, pyb_value *result) {
  Py_ssize_t size;
  const char *data = PyUnicode_AsUTF8AndSize(text, &size);

  if (data == NULL)
    PyErr_Clear(); /* comes again */
  if (data == NULL || size > PYB_LENT)
    return false;
  memcpy(thread->lent, data, (size_t)size + 1);
  *result = (pyb_value){.type = PYB_TEXT, .data = thread->lent, .size = (size_t)size};
  Py_DECREF(text);
  return true;
}

/* Lend short text, so that no memory is asked for, and none given back by whoever is
 * done with it. False = not done, the object is something else. */
static inline bool lend(pyb__thread *thread, PyObject *object, pyb_value *result) {
  if (!PyUnicode_CheckExact(object))
    return false;
  if (!PyUnicode_IS_COMPACT_ASCII(object) || !thread->steady)
    return lend_copied(thread, object, result);
  if (PyUnicode_GET_LENGTH(object) > PYB_LENT)
    return false;
  lend_kept(thread, object, result);
  return true;
}

/* Dump what was called has returned (NULL = exception set), a reference that is taken.
 */
static PYB__INLINE pyb_status give(const pyb_session *session, pyb__thread *thread,
                                   PyObject *called, bool lent, pyb_value *result,
                                   pyb_error *error) {
  if (lent && called != NULL && !PyLong_CheckExact(called) &&
      lend(thread, called, result))
    return PYB_OK;
  return pyb__finish(session, called, result, error);
}

/* What is called however many values there are, and whoever calls. */
static __attribute__((noinline)) pyb_status call_object(const pyb_session *session,
                                                        pyb_object *object,
                                                        const pyb_value *args, size_t n,
                                                        bool lent, pyb_value *result,
                                                        pyb_error *error) {
  pyb__call call;
  pyb_status status;
  PyObject *callable, *called;

  if (result == NULL)
    return pyb__missing(error, "the place for the result");
  *result = PYB_EMPTY;
  if (n > 0 && args == NULL)
    return pyb__missing(error, "the array of values");
  status = pyb__enter_with(session, object, &call, error);
  if (status != PYB_OK)
    return status;
  callable = Py_NewRef(object->object); /* it may be released in its own call */
  if (n == 1)
    called = call_one(callable, args);
  else if (n <= STACK_ARGS)
    called = call_few(callable, args, n);
  else
    called = pyb__call_values(callable, args, n, NULL, 0);
  status = give(session, call.thread, called, lent, result, error);
  Py_DECREF(callable);
  pyb__leave_row(&call);
  return status;
}

pyb_status pyb_object_call(const pyb_session *session, pyb_object *object,
                           const pyb_value *args, size_t n, pyb_value *result,
                           pyb_error *error) {
  return call_object(session, object, args, n, false, result, error);
}

/* The usual row, of one value, on the straightest way; all else by call_object. */
PYB__ROW
pyb_status pyb_object_call_row(const pyb_session *session, pyb_object *object,
                               const pyb_value *args, size_t n, pyb_value *result,
                               pyb_error *error) {
  pyb__thread *thread = pyb__this_thread;
  PyObject *callable;
  pyb_status status;

  if (PYB__RARE(n != 1 || args == NULL || object == NULL || result == NULL))
    return call_object(session, object, args, n, true, result, error);
  if (PYB__RARE(!pyb__gate_take_row(thread, session)))
    return call_object(session, object, args, 1, true, result, error);
  if (__builtin_expect(object->generation == pyb__generation, 1)) {
    callable = Py_NewRef(object->object); /* it may be released in its own call */
    status = give(session, thread, call_one(callable, args), true, result, error);
    Py_DECREF(callable);
  } else {
    status = pyb__stale(error);
  }
  if (PYB__RARE(status != PYB_OK))
    *result = PYB_EMPTY;
  pyb__gate_drop(thread);
  return status;
}
