/* gate.c: how a host's thread comes into Python and leaves it. */
#include "gate.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#if PY_VERSION_HEX >= 0x030D0000
#define FINALIZING Py_IsFinalizing
#else
#define FINALIZING _Py_IsFinalizing
#endif

static pthread_key_t key;

/* ---- Threads -------------------------------------------------------------------- */

/* The end of a host thread: its thread state goes, unless Python has gone before. */
static void end_thread(void *argument) {
  pyb__thread *thread = argument;

  if (thread->main)
    atomic_store(&pyb__main_thread, NULL);
  pyb__watch_remove(thread);
  if (thread->ours && !thread->main && !atomic_load(&pyb__forked) &&
      Py_IsInitialized() && !FINALIZING()) {
    /* Not PyGILState_Release: the thread's specific data, by which that would find the
     * state, is going at the same time as we are. */
    PyEval_RestoreThread(thread->state);
    Py_XDECREF(thread->kept);
    PyThreadState_Clear(thread->state);
    PyThreadState_DeleteCurrent();
  }
  pyb__this_thread = NULL;
  pyb__free(thread);
}

static void make_key(void) {
  pthread_key_create(&key, end_thread);
}

static pyb__thread *new_thread(pyb_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pyb__thread *thread = pyb__calloc(1, sizeof *thread);

  pthread_once(&once, make_key);
  if (thread == NULL || pthread_setspecific(key, thread) != 0) {
    pyb__free(thread);
    pyb__fail(error, PYB_NO_MEMORY, "no memory for a new host thread");
    return NULL;
  }
  thread->row.thread = thread;
  thread->ident = PyThread_get_thread_ident();
  thread->handle = (uintptr_t)pthread_self();
  atomic_init(&thread->blocked, pyb__signals_blocked());
  return thread;
}

pyb_status pyb__gate_main(pyb_error *error) {
  pyb__thread *thread = new_thread(error);

  if (thread == NULL)
    return PYB_NO_MEMORY;
  thread->main = thread->ours = thread->steady = true;
  thread->state = PyThreadState_Get();
  pyb__watch_add(thread);
  pyb__this_thread = thread;
  atomic_store(&pyb__main_thread, thread);
  return PYB_OK;
}

/* A state that somebody else made may have gone, or been made anew, since. */
static void refresh_state(pyb__thread *thread) {
  PyThreadState *state = PyGILState_GetThisThreadState();

  if (state == NULL) {
    PyGILState_Ensure();
    thread->ours = true;
    state = PyEval_SaveThread();
  }
  thread->state = state;
}

bool pyb__gate_refresh(pyb__thread *thread) {
  refresh_state(thread);
  return true;
}

/* Does the thread's state last as long as Python does? One that we have made does, and
 * so does the first of all, with which Python's own main thread begins and ends. */
static bool is_steady(const pyb__thread *thread) {
  return thread->ours ||
         (PyThreadState_GetID(thread->state) == 1 &&
          PyThreadState_GetInterpreter(thread->state) == PyInterpreterState_Main());
}

/* Make the calling thread known. A thread that Python has never seen gets a thread
 * state that is kept until the thread ends: making one costs a hundred calls. */
static pyb__thread *meet_thread(pyb_error *error) {
  pyb__thread *thread = new_thread(error);

  if (thread == NULL)
    return NULL;
  refresh_state(thread);
  thread->steady = is_steady(thread);
  pyb__watch_add(thread);
  pyb__this_thread = thread;
  return thread;
}

/* ---- Entering and leaving ------------------------------------------------------- */

static int64_t deadline_of(const pyb_session *session, int64_t outer) {
  int64_t deadline;

  if (session == NULL || session->deadline_ms <= 0)
    return outer;
  deadline = pyb__deadline_in(session->deadline_ms);
  return outer != 0 && outer < deadline ? outer : deadline;
}

/* A host and Python that call each other without end would overflow the C stack, of
 * which Python's own limit knows nothing. A few calls within each other always fit. */
static pyb_status check_stack(pyb__thread *thread, pyb_error *error) {
  char here;

  if (thread->floor == NULL)
    thread->floor = pyb__stack_floor();
  if ((uintptr_t)&here > (uintptr_t)thread->floor)
    return PYB_OK;
  pyb__fail(error, PYB_PYTHON,
            "calls between the host and Python are nested too deeply: %d",
            thread->call->depth + 1);
  if (error != NULL)
    memcpy(error->type, "RecursionError", sizeof "RecursionError");
  return PYB_PYTHON;
}

pyb_status pyb__enter(const pyb_session *session, pyb__call *call, pyb_error *error) {
  pyb__thread *thread = pyb__this_thread;
  pyb_status status;

  if (!atomic_load_explicit(&pyb__open, memory_order_acquire)) {
    status = pyb__start(NULL, error);
    if (status != PYB_OK)
      return status;
    thread = pyb__this_thread;
  }
  /* Who started the Python that we are attached to may also have ended it. */
  if (pyb__attached && !Py_IsInitialized())
    return pyb__fail(error, PYB_START,
                     "the Python of this process has ended; call before its end");
  if (thread == NULL) {
    thread = meet_thread(error);
    if (thread == NULL)
      return PYB_NO_MEMORY;
  }
  if (!thread->steady)
    refresh_state(thread);
  call->depth = thread->call == NULL ? 0 : thread->call->depth + 1;
  if (__builtin_expect(call->depth > 16, 0) && check_stack(thread, error) != PYB_OK)
    return PYB_PYTHON;
  call->outer = thread->call;
  call->outer_deadline = atomic_load_explicit(&thread->deadline, memory_order_relaxed);
  if (session != NULL && session->deadline_ms > 0)
    atomic_store_explicit(&thread->deadline, deadline_of(session, call->outer_deadline),
                          memory_order_relaxed);
  call->session = session;
  call->thread = thread;
  atomic_store_explicit(&thread->innermost, session, memory_order_relaxed);
  if (call->outer == NULL) {
    atomic_store_explicit(&thread->outermost, session, memory_order_relaxed);
    pyb__gate_begin(thread);
  }
  pyb__gate_take_gil(thread, call);
  return PYB_OK;
}

pyb_status pyb__enter_control(const pyb_session *session, pyb__call *call,
                              pyb_error *error) {
  pyb_status status = pyb__start_seam(error);

  if (status == PYB_OK)
    status = pyb__enter(session, call, error);
  if (status == PYB_OK && call->thread->main && !pyb__attached) {
    atomic_store_explicit(&call->thread->blocked, pyb__signals_blocked(),
                          memory_order_relaxed);
    pyb__signals_take();
  }
  return status;
}

/* Send an exception into a thread, or take it away (NULL); wants the GIL. CPython goes
 * by the number, which up to 3.11 a thread that has just been started shares with the
 * one that has started it, until it runs. It would get the exception, and who waits for
 * its beginning would wait for ever. */
static void send(const pyb__thread *thread, PyObject *exception) {
  struct timespec moment = {.tv_nsec = 50000};
  int states = 2;

  for (int i = 0; i < 4000 && states > 1; i++) {
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
    for (states = 0; state != NULL; state = PyThreadState_Next(state))
      states += state->thread_id == thread->ident;
    if (states > 1)
      nanosleep(&moment, NULL);
  }
  PyThreadState_SetAsyncExc(thread->ident, exception);
}

/* Take away the exception that may have been sent to this thread. CPython up to 3.12
 * puts the flag for one up also where it is asked to take one away, and down only where
 * one is raised; with the flag up, 3.11 never gets on with code under a profiler. So
 * one is raised, in code that does nothing. */
static void unsend(pyb__thread *thread) {
  PyThreadState *state = PyThreadState_Get();
  bool raised = false;

  if (pyb__py.nothing != NULL && pyb__py.interrupted != NULL) {
    send(thread, pyb__py.interrupted);
    PyThreadState_EnterTracing(state); /* no profiler of the user's sees it */
    for (int i = 0; i < 8; i++) {      /* signals and lack of memory come before it */
      PyObject *result = PyObject_CallNoArgs(pyb__py.nothing);
      if (result != NULL && raised) {
        Py_DECREF(result);
        break;
      }
      raised = result == NULL;
      Py_XDECREF(result);
      PyErr_Clear();
    }
    PyThreadState_LeaveTracing(state);
  }
  if (!raised)
    send(thread, NULL);
}

void pyb__gate_drain(pyb__thread *thread) {
  PyObject *type, *value, *traceback;

  PyErr_Fetch(&type, &value, &traceback);
  unsend(thread);
  /* A signal that was tripped and not yet noticed would be raised by the next call. */
  if (thread->main && !pyb__attached)
    while (PyErr_CheckSignals() != 0)
      PyErr_Clear();
  PyErr_Restore(type, value, traceback);
  atomic_store(&thread->delivered, false);
}

bool pyb__gate_shelter(void) {
  pyb__thread *thread = pyb__this_thread;
  PyGILState_STATE gil;

  if (thread == NULL || !atomic_exchange(&thread->active, false))
    return false;
  while (atomic_load(&thread->watched))
    sched_yield();
  if (atomic_load(&thread->delivered)) {
    sched_yield();
    gil = PyGILState_Ensure();
    pyb__gate_drain(thread); /* `stop` stays set: it is sent again */
    PyGILState_Release(gil);
  }
  return true;
}

void pyb__gate_expose(bool active) {
  if (active)
    atomic_store(&pyb__this_thread->active, true);
}

/* An inner call ran into a deadline of its own: the outer one runs on. Wants the GIL.
 */
static void leave_deadline(pyb__thread *thread, int64_t outer_deadline) {
  if (outer_deadline != 0 && pyb__now() >= outer_deadline)
    return;
  /* Twice: the first time the deadline may still be looked at, then it is sent. */
  for (int i = 0; i < 2; i++) {
    atomic_thread_fence(memory_order_seq_cst);
    while (atomic_load(&thread->watched))
      sched_yield();
    atomic_store(&thread->stop, PYB_OK);
  }
  if (atomic_load(&thread->delivered)) {
    sched_yield();
    pyb__gate_drain(thread);
  }
}

/* The end of a call in a thread that held the GIL before: somebody else's call. The
 * usual slow end would want the GIL twice. */
static void leave_held(pyb__thread *thread) {
  atomic_thread_fence(memory_order_seq_cst);
  while (atomic_load(&thread->watched))
    sched_yield();
  if (atomic_load(&thread->delivered))
    pyb__gate_drain(thread);
  atomic_store(&thread->stop, PYB_OK);
}

void pyb__gate_settle(pyb__thread *thread) {
  while (atomic_load(&thread->watched))
    sched_yield();
  /* A SIGINT that the watch has sent to this thread is handled at the end of any system
   * call: here, before the host's handler is put back. */
  if (atomic_load(&thread->delivered)) {
    sched_yield();
    if (thread->main && !atomic_load(&thread->blocked))
      pyb__signals_swallow(); /* it was blocked after all */
  }
  if (atomic_load(&pyb__signals_taken))
    pyb__watch_settle();
  if (atomic_load(&thread->delivered) ||
      (thread->main && atomic_exchange(&pyb__signals_tripped, false))) {
    PyEval_RestoreThread(thread->state);
    pyb__gate_drain(thread);
    PyEval_SaveThread();
  }
  atomic_store(&thread->stop, PYB_OK);
}

void pyb__leave(pyb__call *call) {
  pyb__thread *thread = call->thread;
  pyb__call *outer = call->outer;

  if (outer == NULL && !call->held) {
    atomic_store_explicit(&thread->deadline, 0, memory_order_relaxed);
    pyb__gate_drop(thread);
    return;
  }
  thread->call = outer;
  atomic_store_explicit(&thread->deadline, call->outer_deadline, memory_order_relaxed);
  if (outer == NULL) {
    atomic_store_explicit(&thread->active, false, memory_order_release);
    leave_held(thread);
    return;
  }
  atomic_store_explicit(&thread->innermost, outer->session, memory_order_relaxed);
  if (atomic_load(&thread->stop) == PYB_DEADLINE)
    leave_deadline(thread, call->outer_deadline);
  if (!call->held)
    PyEval_SaveThread();
}

/* ---- Stopping ------------------------------------------------------------------- */

void pyb__signal_python(void) {
  PyErr_SetInterruptEx(SIGINT);
}

/* On the thread on which Python handles signals, a real signal also cuts a sleep or a
 * wait short. On the others an exception waits for the next bytecode. */
void pyb__deliver(pyb__thread *thread, bool again) {
  PyGILState_STATE gil;

  if (thread->main && !pyb__attached) {
    if (pyb__watch_hold(thread) && atomic_load(&thread->stop) != PYB_OK) {
      atomic_store(&thread->delivered, true);
      pyb__signals_take();
      if (!atomic_load(&thread->blocked))
        pthread_kill((pthread_t)thread->handle, SIGINT);
      else /* it would stay pending, and be the host's when that looks for it */
        pyb__signal_python();
    }
    atomic_store(&thread->watched, false);
    /* Code that ignores SIGINT, or takes it for something else, has to stop too. */
    if (!again)
      return;
  }
  if (!Py_IsInitialized() || FINALIZING())
    return;
  gil = PyGILState_Ensure();
  if (atomic_load(&thread->active) && atomic_load(&thread->stop) != PYB_OK) {
    atomic_store(&thread->delivered, true);
    send(thread, atomic_load(&thread->stop) == PYB_DEADLINE ? pyb__py.deadline
                                                            : pyb__py.interrupted);
  }
  PyGILState_Release(gil);
}
