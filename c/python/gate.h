/* gate.h: the quick way into Python and out of it, which every row of a query pays.
 *
 * What is usual is done here, inline: a thread that is known, no call around this one,
 * no deadline. All else is for gate.c. How the flags and barriers hold together is
 * explained in watch.c. */
#ifndef PYB_GATE_H
#define PYB_GATE_H

#include "bridge.h"

#if PY_VERSION_HEX >= 0x030D0000
#define PYB__CURRENT_STATE PyThreadState_GetUnchecked
#else
#define PYB__CURRENT_STATE _PyThreadState_UncheckedGet
#endif

/* Between raising `active` and reading what the watch wrote stands a full barrier. On
 * x86-64 the locked instructions with which the GIL is taken and dropped are one. */
#ifdef __x86_64__
#define PYB__GIL_BARRIER() atomic_signal_fence(memory_order_seq_cst)
#else
#define PYB__GIL_BARRIER() atomic_thread_fence(memory_order_seq_cst)
#endif

#define PYB__INLINE inline __attribute__((always_inline))
/* What each row of a query runs through lies side by side, each on a cache line of its
 * own: elsewhere its time depends by a twentieth on what else is in the library. */
#define PYB__ROW __attribute__((hot, aligned(64)))
#define PYB__RARE(condition) __builtin_expect((condition) != 0, 0)

/* For a thread that is not steady: has Python not been ended? The thread's state is
 * seen to. */
bool pyb__gate_refresh(pyb__thread *thread);

/* The rare end of an outermost call: it was interrupted, or it has lasted. No GIL. */
void pyb__gate_settle(pyb__thread *thread);

/* An outermost call begins, as the watch is to see it. */
static PYB__INLINE void pyb__gate_begin(pyb__thread *thread) {
  atomic_store_explicit(&thread->calls,
                        atomic_load_explicit(&thread->calls, memory_order_relaxed) + 1,
                        memory_order_relaxed);
  atomic_store_explicit(&thread->active, true, memory_order_release);
}

/* The GIL has been taken. */
static PYB__INLINE void pyb__gate_taken(void) {
  PYB__GIL_BARRIER();
  if (PYB__RARE(atomic_load_explicit(&pyb__watch_asleep, memory_order_relaxed)))
    pyb__watch_wake();
}

/* Take the GIL for a call that has been pushed. */
static PYB__INLINE void pyb__gate_take_gil(pyb__thread *thread, pyb__call *call) {
  thread->call = call;
  call->held = PYB__CURRENT_STATE() == thread->state;
  if (__builtin_expect(!call->held, 1))
    PyEval_RestoreThread(thread->state);
  pyb__gate_taken();
}

/* Push a call that has none around it, and take the GIL. */
static PYB__INLINE void pyb__gate_take_outermost(pyb__thread *thread,
                                                 const pyb_session *session,
                                                 pyb__call *call) {
  call->outer = NULL;
  call->outer_deadline = 0;
  call->depth = 0;
  call->session = session;
  call->thread = thread;
  atomic_store_explicit(&thread->innermost, session, memory_order_relaxed);
  atomic_store_explicit(&thread->outermost, session, memory_order_relaxed);
  pyb__gate_begin(thread);
  pyb__gate_take_gil(thread, call);
}

/* Pop the outermost call, whose deadline is none, and drop the GIL, which it has taken.
 */
static PYB__INLINE void pyb__gate_drop(pyb__thread *thread) {
  thread->call = NULL;
  atomic_store_explicit(&thread->active, false, memory_order_release);
  PyEval_SaveThread();
  PYB__GIL_BARRIER();
  if (PYB__RARE(atomic_load_explicit(&thread->watched, memory_order_relaxed) ||
                atomic_load_explicit(&thread->stop, memory_order_relaxed) != PYB_OK ||
                atomic_load_explicit(&pyb__signals_taken, memory_order_relaxed)))
    pyb__gate_settle(thread);
}

/* Is there nothing to a call but to take the GIL: the thread is known, no call is
 * around this one, and it has no deadline? */
static PYB__INLINE bool pyb__is_usual(pyb__thread *thread, const pyb_session *session) {
  return thread != NULL && thread->call == NULL && session != NULL &&
         session->deadline_ms <= 0 &&
         atomic_load_explicit(&pyb__open, memory_order_acquire) &&
         (!pyb__attached || Py_IsInitialized()) && /* who started it may end it */
         (__builtin_expect(thread->steady, 1) || pyb__gate_refresh(thread));
}

/* Push the thread's own call and take the GIL, where the call is a usual one; false =
 * not done. A locked instruction waits for all that was stored before it, so what is
 * there already is not stored again. */
static PYB__INLINE bool pyb__gate_take_row(pyb__thread *thread,
                                           const pyb_session *session) {
  if (PYB__RARE(!pyb__is_usual(thread, session) ||
                PYB__CURRENT_STATE() == thread->state))
    return false;
  thread->row.session = session;
  thread->call = &thread->row;
  /* Between calls `innermost` is the same. */
  if (PYB__RARE(atomic_load_explicit(&thread->outermost, memory_order_relaxed) !=
                session)) {
    atomic_store_explicit(&thread->innermost, session, memory_order_relaxed);
    atomic_store_explicit(&thread->outermost, session, memory_order_relaxed);
  }
  pyb__gate_begin(thread);
  PyEval_RestoreThread(thread->state);
  pyb__gate_taken();
  return true;
}

/* pyb__enter and pyb__leave for a row. */
static PYB__INLINE pyb_status pyb__enter_row(const pyb_session *session,
                                             pyb__call *call, pyb_error *error) {
  pyb__thread *thread = pyb__this_thread;

  if (PYB__RARE(!pyb__is_usual(thread, session)))
    return pyb__enter(session, call, error);
  pyb__gate_take_outermost(thread, session, call);
  return PYB_OK;
}

static PYB__INLINE void pyb__leave_row(pyb__call *call) {
  if (PYB__RARE(call->outer != NULL || call->held)) {
    pyb__leave(call);
    return;
  }
  atomic_store_explicit(&call->thread->deadline, 0, memory_order_relaxed);
  pyb__gate_drop(call->thread);
}

#endif /* PYB_GATE_H */
