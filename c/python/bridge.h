/* bridge.h: what the files of c/python share: the only place with Python.h.
 *
 * Every function here that is not marked otherwise wants the GIL, and returns a
 * pyb_status with `error` filled, never with a Python exception set. */
#ifndef PYB_BRIDGE_H
#define PYB_BRIDGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../core/session.h"

#ifdef Py_GIL_DISABLED
#error "free-threaded builds of Python are not supported: build with an ordinary one"
#endif

#define PYB__PYTHON Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION)

/* ---- environment.c -------------------------------------------------------------- */

#define PYB__PATH_ROOM 4096

/* Find the python program of the environment to start, and see that it will do. No GIL,
 * no Python. Errors: PYB_START with the path and the cure. */
pyb_status pyb__environment_find(const char *wanted, char path[PYB__PATH_ROOM],
                                 pyb_error *error);

/* ---- start.c -------------------------------------------------------------------- */

/* Start Python, or attach to it, once. No GIL is wanted or kept. */
pyb_status pyb__start(const pyb_config *config, pyb_error *error);

/* The same for cffi's half, which the control plane needs. */
pyb_status pyb__start_seam(pyb_error *error);

extern atomic_bool pyb__started; /* the start has been done, and well */
extern atomic_bool pyb__forked;  /* this process is a child made after the start */
extern atomic_bool pyb__open;    /* started, and not forked since */

/* The Python functions that the data plane needs, all in pybridge/_seam/plane.py. */
typedef struct pyb__plane {
  PyObject *module;       /* pybridge._plane, made here */
  PyObject *expressions;  /* dict: text -> code, source.EXPRESSIONS */
  PyObject *namespace_of; /* name -> dict */
  PyObject *compile;      /* text -> code, and into `expressions` */
  PyObject *resolve;      /* namespace name, path -> object */
  PyObject *unresolved;   /* namespace name, path, exception -> raises */
  PyObject *simplify;     /* object -> (type number, payload) */
  PyObject *to_json;      /* object -> JSON text */
  PyObject *complicate;   /* type number, payload -> object */
  PyObject *fail;         /* exception, context name -> (status, type, ...) */
  PyObject *apply, *map;  /* vectorised calls */
  PyObject *proxy;   /* verb, arguments ... -> what that does: handles' rare verbs */
  PyObject *capture; /* context name -> what keeps what is printed, begun */
  PyObject *at_exit;
  PyObject *nothing; /* -> None: what a stop that came too late is raised in */
  PyObject *interrupted, *deadline, *unsupported; /* exception classes */
} pyb__plane;

extern pyb__plane pyb__py;

/* Counts the soft resets: what was cached before one is stale. */
extern uintptr_t pyb__generation;

/* ---- gate.c --------------------------------------------------------------------- */

/* Make the starting thread the one on which Python handles signals. */
pyb_status pyb__gate_main(pyb_error *error);

/* Undo an exception that was sent into this thread and has not been raised. */
void pyb__gate_drain(pyb__thread *thread);

/* Keep stops away from what must not be cut short, such as the one import that cffi
 * does not try twice: the call that is in progress on this thread, if any, is out of
 * the watch's sight until it is exposed again, and is then stopped late. No GIL is
 * wanted. shelter() returns what expose() wants to know. */
bool pyb__gate_shelter(void);
void pyb__gate_expose(bool active);

/* ---- fail.c --------------------------------------------------------------------- */

/* The exception that is set, a new reference; none is set afterwards. */
PyObject *pyb__take_exception(void);

/* Turn the Python exception that is set into an error; none is set afterwards. */
pyb_status pyb__fail_python(const pyb_session *session, pyb_error *error);

/* The same for a given exception, a new reference that is taken. */
pyb_status pyb__fail_exception(const pyb_session *session, PyObject *exception,
                               pyb_error *error);

/* Raise what an error of a host service says. Returns NULL. */
PyObject *pyb__raise(const pyb_error *error);

/* ---- object.c ------------------------------------------------------------------- */

/* Load: a new reference to the Python object of a value; NULL = exception set. */
PyObject *pyb__load(const pyb_value *value);

/* Dump: an object as a value that owns its data. -1 = exception set. */
int pyb__dump(PyObject *object, pyb_value *value);

/* The same, but text and bytes are borrowed from the object; what is not is kept
 * alive by *keep, a new reference or NULL. */
int pyb__dump_view(PyObject *object, pyb_value *value, PyObject **keep);

/* ---- invoke.c ------------------------------------------------------------------- */

/* The namespace of a session's context, a new reference: another thread may drop the
 * context while this one is in a call. NULL = exception set. */
PyObject *pyb__namespace(const pyb_session *session);

/* The text of the session's context name. */
static inline const char *pyb__context_name(const pyb_session *session) {
  return session == NULL || session->context == NULL ? "" : session->context;
}

/* A new reference to the string of a name, which is cached where it is not long. */
PyObject *pyb__name(const char *text);

/* A new reference to what a path names: a variable of the context at once, anything
 * else by way of Python. */
PyObject *pyb__resolve(const pyb_session *session, const char *path);

/* Call with n values, the last n_names of them by keyword. NULL = exception set. */
PyObject *pyb__call_values(PyObject *callable, const pyb_value *args, size_t n,
                           const char *const *names, size_t n_names);

/* object.method(values). NULL = exception set. */
PyObject *pyb__invoke_values(PyObject *object, const char *method,
                             const pyb_value *args, size_t n);

/* Turn a result, a new reference that is taken (NULL = exception set), into a value. -1
 * = exception set. */
int pyb__give(PyObject *object, pyb_as as, pyb_value *result);

/* ---- handle.c ------------------------------------------------------------------- */

/* Keep an object, a new reference that is taken. 0 = exception set. */
pyb_handle pyb__handle_keep(PyObject *object);

/* A new reference to the object of a handle. NULL = Undefined is set. */
PyObject *pyb__handle_object(pyb_handle handle);

/* Let go of it. -1 = Undefined is set. */
int pyb__handle_drop(pyb_handle handle);

/* Let go of all of them: the soft reset. */
void pyb__handles_forget(void);

/* Keep an object, a new reference that is taken, for a value that owns its handle. -1 =
 * exception set. */
int pyb__handle_give(PyObject *object, pyb_value *result);

/* ---- capsule.c ------------------------------------------------------------------ */

/* Move a stream into a new PyCapsule "arrow_array_stream"; the stream is taken on
 * failure too. NULL = exception set. */
PyObject *pyb__capsule(struct ArrowArrayStream *rows);

/* Export an object with __arrow_c_stream__ into *rows. -1 = exception set. */
int pyb__stream_of(PyObject *object, struct ArrowArrayStream *rows);
int pyb__schema_of(PyObject *object, struct ArrowSchema *schema);

/* ---- module.c ------------------------------------------------------------------- */

/* Make the module pybridge._plane and put it into sys.modules. NULL = exception. */
PyObject *pyb__module(void);

#endif /* PYB_BRIDGE_H */
