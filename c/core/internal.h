/* internal.h: what the rooms of the library share behind pybridge.h: no Python.h here.
 */
#ifndef PYB_INTERNAL_H
#define PYB_INTERNAL_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pybridge.h"

#define PYB__PRINTF(text, first) __attribute__((format(printf, text, first)))

/* ---- memory.c ------------------------------------------------------------------- */

/* Every allocation of the library goes through these, so that a test can make each one
 * fail in turn. Sizes are bytes; NULL means no memory. */
void *pyb__malloc(size_t size);
void *pyb__calloc(size_t n, size_t size);
void pyb__free(void *memory);

/* A buffer that may grow to gigabytes: small ones are on the heap, large ones are pages
 * of their own, which move rather than copy when they grow, and never shrink. What is
 * new of it is not set to anything. The caller remembers the size. resize(NULL, 0, n)
 * allocates; on failure the old buffer is as it was. */
void *pyb__buffer_resize(void *buffer, size_t old_size, size_t size);
void pyb__buffer_free(void *buffer, size_t size);

/* The counter behind pyb_live. */
void pyb__live_add(int64_t change);

/* ---- pool.c --------------------------------------------------------------------- */

/* A large buffer, or a larger one for it, mostly of pages that were used before; NULL =
 * no memory. */
void *pyb__pool_resize(void *buffer, size_t size);
void pyb__pool_free(void *buffer);

/* Give all kept pages back to the system. */
void pyb__pool_drain(void);

/* ---- linux.c: what is Linux's alone --------------------------------------------- */

/* Pages: mapped, moved (NULL = no memory, and they are where they were), let lie idle
 * with their content up to the system, unmapped. */
void *pyb__pages_map(size_t size);
void *pyb__pages_move(void *pages, size_t old_size, size_t size);
void pyb__pages_idle(void *pages, size_t size);
void pyb__pages_unmap(void *pages, size_t size);

/* The path of the loaded library that holds `address`, or NULL; static storage of the
 * loader. */
const char *pyb__library_path(const void *address);

/* The address below which the C stack of the calling thread has little room left. */
const char *pyb__stack_floor(void);

/* Make the symbols of the already loaded library at `path` visible to libraries that
 * are loaded later. 0 = done. */
int pyb__library_promote(const char *path);

/* ---- error.c -------------------------------------------------------------------- */

/* Fill `error` (NULL allowed) with a status and a message of the bridge's own; return
 * the status. */
pyb_status pyb__fail(pyb_error *error, pyb_status status, const char *format, ...)
    PYB__PRINTF(3, 4);

/* The same for an argument that has to be there and is NULL. */
pyb_status pyb__missing(pyb_error *error, const char *what);

/* Copy text of `size` bytes into a field of `room` bytes, cut at a whole character. */
void pyb__copy_text(char *field, size_t room, const char *text, size_t size);

/* ---- value.c -------------------------------------------------------------------- */

/* Are the arguments of a call, n of them and the last n_names by name, all there? */
pyb_status pyb__check_arguments(const pyb_value *args, size_t n,
                                const char *const *names, size_t n_names,
                                pyb_error *error);

#define PYB__TEXT_ROOM 64

/* The text of a value that is no text, blob or NULL: ISO 8601 for times, the shortest
 * decimal text that gives the same number for floats. Returns its length. */
size_t pyb__value_text(const pyb_value *value, char text[PYB__TEXT_ROOM]);

/* A value that owns a copy of `size` bytes. */
pyb_status pyb__value_copy(pyb_value *value, pyb_type type, const void *data,
                           size_t size, pyb_error *error);

/* ---- session.c ------------------------------------------------------------------ */

/* One call in progress, on the C stack of the host thread that makes it. */
typedef struct pyb__call {
  struct pyb__call *outer;
  const pyb_session *session;
  struct pyb__thread *thread;
  int64_t outer_deadline; /* what thread->deadline was */
  int depth;              /* how many calls of this thread are around it */
  bool held;              /* the thread held the GIL already */
} pyb__call;

/* One host thread that has called. Lives until the thread ends. The atomics are what
 * the watch reads; the rest is the thread's own. */
typedef struct pyb__thread {
  struct pyb__thread *next, **link;
  pyb__call *call;     /* innermost call */
  pyb__call row;       /* that of a row, where none is around it; kept, as most of it
                          stays the same from row to row */
  void *state;         /* its Python thread state, kept between calls */
  const char *floor;   /* its C stack has little room below; NULL = not known yet */
  unsigned long ident; /* Python's number of the thread */
  uintptr_t handle;    /* its pthread_t */
  bool main;           /* the thread on which Python handles signals */
  bool ours;           /* the thread state was made by us */
  bool steady;         /* the thread state is there as long as Python is */
  atomic_bool blocked; /* it has SIGINT blocked, as far as we know */
  _Atomic(const pyb_session *) outermost, innermost;
  _Atomic(const pyb_session *) served; /* whose service runs at the moment, or NULL */
  atomic_llong deadline; /* monotonic ns of the call that must end first, 0 = none */
  atomic_bool active;    /* a call is in progress */
  atomic_uint calls;     /* outermost calls so far: tells one call from the next */
  atomic_bool watched;   /* the watch reads `outermost`: it must not go away */
  atomic_int stop;       /* pyb_status to stop with; 0 = run on */
  atomic_bool delivered; /* an exception was sent into the thread */
  atomic_int shells;     /* calls in progress that one SIGINT does not end */
  /* the watch's own notes */
  bool pinned;
  unsigned seen;
  bool once;    /* what is sent next is not repeated */
  int pokes;    /* how often its system calls are still to be cut short */
  int64_t sent; /* monotonic ns of the last delivery */
  /* text that pyb_object_call_row has lent: a Python object, or the thread's own room
   */
  void *kept;
  char lent[PYB_LENT + 1];
} pyb__thread;

/* The thread on which Python handles signals; NULL = attached, or it has ended. */
extern _Atomic(pyb__thread *) pyb__main_thread;

/* The innermost session of this thread, NULL outside a call. */
const pyb_session *pyb__session(void);

/* ---- watch.c -------------------------------------------------------------------- */

/* The watch is one thread with all signals blocked, awake only while calls run. It
 * stops calls that are over their deadline or were interrupted, and takes SIGINT for
 * calls that last. */
pyb_status pyb__watch_start(pyb_error *error);
void pyb__watch_wake(void);
extern atomic_bool pyb__watch_asleep;

/* Add and remove a host thread. */
void pyb__watch_add(pyb__thread *thread);
void pyb__watch_remove(pyb__thread *thread);

/* Keep the thread's call from leaving while `watched` is set, which the caller clears;
 * false = it has none. */
bool pyb__watch_hold(pyb__thread *thread);

/* Give SIGINT back, unless some thread is still in a call. */
void pyb__watch_settle(void);

/* Is any call in progress? */
bool pyb__watch_busy(void);

/* Wait until the watch has dealt with the SIGINTs so far; true = the call of this
 * thread, a shell's, goes on, false = it has to end. The GIL must not be held. */
bool pyb__watch_goes_on(pyb__thread *thread);

/* Stop the service that is in progress on the thread of that number, and only that. */
void pyb__watch_stop_service(unsigned long ident);

/* In the child of a fork: the watch and its locks are gone. */
void pyb__watch_forked(void);

/* Monotonic clock, ns. */
int64_t pyb__now(void);

/* The time on it when so many milliseconds will have passed. */
int64_t pyb__deadline_in(int64_t milliseconds);

/* ---- signals.c ------------------------------------------------------------------ */

/* Take SIGINT for Python, once however often asked; give it back with the host's own
 * handler. */
void pyb__signals_take(void);
void pyb__signals_give_back(void);
extern atomic_bool pyb__signals_taken;

/* The same after Python code may have put a handler of its own in place. */
void pyb__signals_take_again(void);

/* A SIGINT has come while it was ours, and no call has been told to end for it yet. */
extern atomic_bool pyb__signals_pending;

/* Python has been told of one, and may not have handled it yet. */
extern atomic_bool pyb__signals_tripped;

/* Cut short the system call that a thread is in, and nothing else. SIGINT is taken. */
void pyb__signals_poke(uintptr_t thread);

/* Has the calling thread blocked SIGINT? */
bool pyb__signals_blocked(void);

/* Take away a SIGINT that the watch has sent to the calling thread, which blocks it:
 * the host must not find it. */
void pyb__signals_swallow(void);

/* In the child of a fork: whoever held the lock is gone. */
void pyb__signals_forked(void);

/* Run `work`, and put the host's whole table of handlers back afterwards. A SIGINT that
 * comes meanwhile is the host's, after that. */
void pyb__signals_guard(void (*work)(void *), void *argument);

/* Inside of that: a SIGINT has come to a handler that `work` has set. */
void pyb__signals_postpone(void);

/* ---- c/python: the other side --------------------------------------------------- */

/* Start Python if need be, take the GIL, push the session. */
pyb_status pyb__enter(const pyb_session *session, pyb__call *call, pyb_error *error);

/* The same for a control-plane call, which takes SIGINT at once. */
pyb_status pyb__enter_control(const pyb_session *session, pyb__call *call,
                              pyb_error *error);
void pyb__leave(pyb__call *call);

/* The data plane's halves of pyb_evaluate and pyb_call. */
pyb_status pyb__evaluate(const pyb_session *session, const char *expression,
                         size_t size, pyb_value *result, pyb_error *error);
pyb_status pyb__call_function(const pyb_session *session, const char *function,
                              const pyb_value *args, size_t n, const char *const *names,
                              size_t n_names, pyb_value *result, pyb_error *error);

/* Send the exception for `thread->stop` into a thread, if its call is still running;
 * `again`: a first one has not ended it. */
void pyb__deliver(pyb__thread *thread, bool again);

/* Tell Python's main thread of a SIGINT. Async-signal-safe. */
void pyb__signal_python(void);

extern bool pyb__attached; /* Python ran before we came: its signals are its own */

#endif /* PYB_INTERNAL_H */
