/* handle.c: the objects that a host holds by number, each in a slot of one table.
 *
 * A number is the slot and the generation of what is in it. The generation counts up
 * each time that the slot is used again, and starts anywhere, so that a number which
 * was released, guessed or read from a file is told from one that is held. A slot that
 * has come to the end of its generations is not used any more. The table is read and
 * changed with the GIL held. */
#include "bridge.h"

#include <string.h>
#include <sys/random.h>

/* 59 bits: above 0 in every host, and exact where a number has 18 digits. */
#define SLOT_BITS 24
#define GENERATION_BITS 35
#define MOST_SLOTS ((size_t)1 << SLOT_BITS)
#define LAST_GENERATION (((uint64_t)1 << GENERATION_BITS) - 1)

_Static_assert(sizeof(void *) >= sizeof(pyb_handle), "a handle travels as a pointer");

typedef struct slot {
  PyObject *object;    /* a reference; NULL = free */
  uint64_t generation; /* of what is in it, or was last */
  size_t next;         /* of a free one: the next that is free, + 1; 0 = none */
} slot;

static slot *slots;
static size_t room, used;   /* slots there are, and have been used */
static size_t first_free;   /* + 1; 0 = none */
static atomic_llong in_use; /* handles */

int64_t pyb_handle_count(void) {
  return atomic_load_explicit(&in_use, memory_order_relaxed);
}

/* ---- Slots ---------------------------------------------------------------------- */

/* Some generation of the first half, so that many are left. */
static uint64_t any_generation(void) {
  uint64_t bits;

  if (getentropy(&bits, sizeof bits) != 0)
    bits = (uint64_t)pyb__now() * UINT64_C(0x9E3779B97F4A7C15);
  return (bits >> (64 - GENERATION_BITS + 1)) + 1;
}

/* A slot that is free; -1 = exception set. */
static int take_slot(size_t *taken) {
  if (first_free != 0) {
    *taken = first_free - 1;
    first_free = slots[*taken].next;
    slots[*taken].generation++;
    return 0;
  }
  if (used == MOST_SLOTS) {
    PyErr_Format(PyExc_MemoryError, "there are %zu handles; release some", used);
    return -1;
  }
  if (used == room) {
    size_t more = room == 0 ? 64 : room * 2;
    slot *grown = pyb__buffer_resize(slots, room * sizeof *slots, more * sizeof *slots);
    if (grown == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    slots = grown;
    room = more;
  }
  *taken = used++;
  slots[*taken] = (slot){.generation = any_generation()};
  return 0;
}

/* The slot of a handle that is held, or NULL. */
static inline slot *find(pyb_handle handle) {
  size_t i = handle & (MOST_SLOTS - 1);

  return i < used && slots[i].object != NULL &&
                 slots[i].generation == handle >> SLOT_BITS
             ? &slots[i]
             : NULL;
}

/* Empty a slot, and let go of its object last: code that runs then finds the table as
 * it is to be, and may change it. */
static void empty(slot *s) {
  PyObject *object = s->object;

  s->object = NULL;
  if (s->generation < LAST_GENERATION) {
    s->next = first_free;
    first_free = (size_t)(s - slots) + 1;
  }
  atomic_fetch_sub_explicit(&in_use, 1, memory_order_relaxed);
  pyb__live_add(-1);
  Py_DECREF(object);
}

static const char stale[] =
    "%llu is not the handle of an object: it was released, or is from before a reset";

/* ---- For the data plane --------------------------------------------------------- */

pyb_handle pyb__handle_keep(PyObject *object) {
  size_t i;

  if (take_slot(&i) != 0) {
    Py_DECREF(object);
    return 0;
  }
  slots[i].object = object;
  atomic_fetch_add_explicit(&in_use, 1, memory_order_relaxed);
  pyb__live_add(1);
  return slots[i].generation << SLOT_BITS | i;
}

static void raise_stale(pyb_handle handle) {
  pyb_error error;

  pyb__fail(&error, PYB_UNDEFINED, stale, (unsigned long long)handle);
  pyb__raise(&error);
}

PyObject *pyb__handle_object(pyb_handle handle) {
  slot *s = find(handle);

  if (s != NULL)
    return Py_NewRef(s->object);
  raise_stale(handle);
  return NULL;
}

int pyb__handle_drop(pyb_handle handle) {
  slot *s = find(handle);

  if (s == NULL) {
    raise_stale(handle);
    return -1;
  }
  empty(s);
  return 0;
}

void pyb__handles_forget(void) {
  /* Again: what goes may keep something new, though not for ever. */
  for (int round = 0; round < 3; round++)
    for (size_t i = used; i > 0; i--)
      if (slots[i - 1].object != NULL)
        empty(&slots[i - 1]);
}

/* ---- Results -------------------------------------------------------------------- */

static void release_kept(void *data) {
  (void)!pyb_handle_release(NULL, (pyb_handle)(uintptr_t)data, NULL);
}

int pyb__handle_give(PyObject *object, pyb_value *result) {
  pyb_handle handle = pyb__handle_keep(object);

  if (handle == 0)
    return -1;
  *result = (pyb_value){
      .type = PYB_HANDLE, .integer = (int64_t)handle, .release = release_kept};
  return 0;
}

/* ---- For the host --------------------------------------------------------------- */

pyb_status pyb_handle_release(const pyb_session *session, pyb_handle handle,
                              pyb_error *error) {
  PyObject *type, *value, *traceback; /* of Python code that may have called us */
  pyb__call call;
  pyb_status status;
  slot *s;

  if (handle == 0)
    return PYB_OK;
  if (pyb_handle_count() == 0) /* and Python need not be started to know it */
    return pyb__fail(error, PYB_UNDEFINED, stale, (unsigned long long)handle);
  status = pyb__enter(session, &call, error);
  if (status != PYB_OK)
    return status;
  PyErr_Fetch(&type, &value, &traceback);
  s = find(handle);
  if (s != NULL)
    empty(s);
  else
    status = pyb__fail(error, PYB_UNDEFINED, stale, (unsigned long long)handle);
  PyErr_Restore(type, value, traceback);
  pyb__leave(&call);
  return status;
}
