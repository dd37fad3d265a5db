/* capsule.c: Arrow streams travel to and from Python in PyCapsules, by the Arrow
 * PyCapsule interface. */
#include "bridge.h"

#include <string.h>

#define STREAM "arrow_array_stream"
#define SCHEMA "arrow_schema"

static void release_capsule(PyObject *capsule) {
  struct ArrowArrayStream *rows = PyCapsule_GetPointer(capsule, STREAM);

  if (rows->release != NULL)
    rows->release(rows);
  pyb__free(rows);
}

PyObject *pyb__capsule(struct ArrowArrayStream *rows) {
  struct ArrowArrayStream *moved = pyb__malloc(sizeof *moved);
  PyObject *capsule = NULL;

  if (moved == NULL)
    PyErr_NoMemory();
  else
    capsule = PyCapsule_New(moved, STREAM, release_capsule);
  if (capsule == NULL) {
    if (rows->release != NULL)
      rows->release(rows);
    pyb__free(moved);
    return NULL;
  }
  *moved = *rows;
  memset(rows, 0, sizeof *rows);
  return capsule;
}

/* Call obj.<method>() and give the pointer of the capsule that it returns. */
static PyObject *export(PyObject *object, const char *method, const char *name,
                        void **pointer) {
  PyObject *capsule = PyObject_CallMethod(object, method, NULL);

  *pointer = NULL;
  if (capsule != NULL)
    *pointer = PyCapsule_GetPointer(capsule, name);
  return capsule;
}

int pyb__stream_of(PyObject *object, struct ArrowArrayStream *rows) {
  void *pointer;
  PyObject *capsule = export(object, "__arrow_c_stream__", STREAM, &pointer);
  struct ArrowArrayStream *source = pointer;

  memset(rows, 0, sizeof *rows);
  if (source != NULL && source->release == NULL)
    PyErr_SetString(PyExc_ValueError, "the Arrow stream has been consumed already");
  if (source != NULL && source->release != NULL) {
    *rows = *source;
    source->release = NULL;
  }
  Py_XDECREF(capsule);
  return PyErr_Occurred() == NULL ? 0 : -1;
}

int pyb__schema_of(PyObject *object, struct ArrowSchema *schema) {
  void *pointer;
  PyObject *capsule = export(object, "__arrow_c_schema__", SCHEMA, &pointer);
  struct ArrowSchema *source = pointer;

  memset(schema, 0, sizeof *schema);
  if (source != NULL && source->release == NULL)
    PyErr_SetString(PyExc_ValueError, "the Arrow schema has been consumed already");
  if (source != NULL && source->release != NULL) {
    *schema = *source;
    source->release = NULL;
  }
  Py_XDECREF(capsule);
  return PyErr_Occurred() == NULL ? 0 : -1;
}
