/* watch.c: the thread that stops calls: deadlines, interrupts, and SIGINT's loan.
 *
 * The fast path of a call must not pay for it, so a call only raises its `active` flag
 * and counts itself; the watch looks every TICK at the threads that are active. A call
 * that is still the same one at the next tick has lasted: only then is SIGINT taken and
 * the host asked whether it wants to stop.
 *
 * `active` and `watched` keep a call from leaving (and its session from being freed)
 * while the watch reads it. Each side writes its own flag and then reads the other's;
 * between the two stands a full barrier: here a fence, in the call the locked
 * instructions with which the GIL is taken and dropped (see gate.c). */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "session.h"

#define TICK_NS INT64_C(10000000)
#define IDLE_TICKS 50
#define RESEND_NS INT64_C(100000000)
#define POKES 20 /* ticks, after a SIGINT in a shell */

atomic_bool pyb__watch_asleep;

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* guards the list, `running` */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_cond_t unpinned = PTHREAD_COND_INITIALIZER;
static pyb__thread *threads;
static pyb_work *works;
static bool running;

int64_t pyb__now(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t pyb__deadline_in(int64_t milliseconds) {
  const int64_t most = INT64_MAX / 4; /* 73 years */

  return pyb__now() + (milliseconds < most / 1000000 ? milliseconds * 1000000 : most);
}

void pyb__watch_add(pyb__thread *thread) {
  pthread_mutex_lock(&lock);
  thread->next = threads;
  thread->link = &threads;
  if (threads != NULL)
    threads->link = &thread->next;
  threads = thread;
  pthread_mutex_unlock(&lock);
}

void pyb__watch_remove(pyb__thread *thread) {
  pthread_mutex_lock(&lock);
  while (thread->pinned)
    pthread_cond_wait(&unpinned, &lock);
  *thread->link = thread->next;
  if (thread->next != NULL)
    thread->next->link = thread->link;
  pthread_mutex_unlock(&lock);
}

void pyb__watch_wake(void) {
  pthread_mutex_lock(&lock);
  atomic_store(&pyb__watch_asleep, false);
  pthread_cond_signal(&wake);
  pthread_mutex_unlock(&lock);
}

static bool host_wants_stop(const pyb_session *session) {
  const pyb_services *services = session == NULL ? NULL : session->services;

  return services != NULL &&
         services->size >=
             offsetof(pyb_services, interrupted) + sizeof(void (*)(void)) &&
         services->interrupted != NULL && services->interrupted(session->host) != 0;
}

/* A thread that waits for its host cannot take an exception: the host has to stop. */
static void stop_host(const pyb_session *session) {
  const pyb_services *services = session == NULL ? NULL : session->services;

  if (services != NULL &&
      services->size >= offsetof(pyb_services, interrupt) + sizeof(void (*)(void)) &&
      services->interrupt != NULL)
    services->interrupt(session->host);
}

bool pyb__watch_hold(pyb__thread *thread) {
  atomic_store(&thread->watched, true);
  atomic_thread_fence(memory_order_seq_cst);
  return atomic_load(&thread->active);
}

/* The first reason to stop a call is the one that counts. */
static void stop_for(pyb__thread *thread, int reason) {
  int none = PYB_OK; /* of the exchange, which writes to it where it fails */

  atomic_compare_exchange_strong(&thread->stop, &none, reason);
}

/* Decide whether the call of an active thread is to stop. */
static void look_at(pyb__thread *thread, int64_t now, bool signalled) {
  unsigned calls = atomic_load(&thread->calls);
  bool lasting = calls == thread->seen;
  int64_t deadline = atomic_load(&thread->deadline);

  if (!lasting) { /* a new call: the first exception is for it alone */
    thread->sent = 0;
    thread->once = false;
    thread->pokes = 0;
  }
  thread->seen = calls;
  if (deadline != 0 && now >= deadline)
    stop_for(thread, PYB_DEADLINE);
  if (signalled)
    stop_for(thread, PYB_INTERRUPTED);
  if (!lasting)
    return;
  if (!pyb__attached)
    pyb__signals_take();
  if (host_wants_stop(atomic_load(&thread->outermost)))
    stop_for(thread, PYB_INTERRUPTED);
}

/* One round over the work of hosts. Returns whether there is any. */
static bool look_at_works(int64_t now) {
  for (pyb_work *work = works; work != NULL; work = work->next) {
    if (work->stop == PYB_OK && work->deadline != 0 && now >= work->deadline)
      work->stop = PYB_DEADLINE;
    if (work->stop != PYB_OK)
      stop_host(work->session);
  }
  return works != NULL;
}

/* On Python's main thread a shell's exception comes from the handler. A sleep that
 * has begun between that and Python's looking would last: it is cut short, a few
 * times. */
static void poke(pyb__thread *thread) {
  if (thread->pokes == 0)
    return;
  thread->pokes--;
  if (atomic_load(&pyb__signals_taken) && !atomic_load(&thread->blocked)) {
    atomic_store(&thread->delivered, true);
    pyb__signals_poke(thread->handle);
  }
}

/* In a shell SIGINT ends what the user has started there: one exception, and the
 * query that is in progress, but not the call. */
static void interrupt_shell(pyb__thread *thread) {
  int none = PYB_OK;

  stop_host(atomic_load(&thread->served));
  if (thread->main)
    thread->pokes = POKES;
  else if (atomic_compare_exchange_strong(&thread->stop, &none, PYB_INTERRUPTED)) {
    thread->once = true;
    thread->sent = 0;
  }
}

/* One round over all threads. The lock is held, except while exceptions are sent, as
 * that may wait for the GIL. Returns whether any thread is active. */
static bool tick(void) {
  int64_t now = pyb__now();
  /* One SIGINT is for the calls that are active now, and not for those that follow.
   */
  bool signalled = atomic_exchange(&pyb__signals_pending, false);
  pyb__thread *due[16];
  bool any = look_at_works(now);
  int n = 0;

  for (pyb__thread *thread = threads; thread != NULL; thread = thread->next) {
    if (pyb__watch_hold(thread)) {
      bool shell = atomic_load(&thread->shells) > 0;
      any = true;
      look_at(thread, now, signalled && !shell);
      if (signalled && shell)
        interrupt_shell(thread);
      poke(thread);
      if (atomic_load(&thread->stop) != PYB_OK)
        stop_host(atomic_load(&thread->served));
      if (atomic_load(&thread->stop) != PYB_OK && now - thread->sent >= RESEND_NS &&
          n < (int)(sizeof due / sizeof *due)) {
        thread->pinned = true;
        due[n++] = thread;
      }
    }
    atomic_store(&thread->watched, false);
  }
  if (n == 0)
    return any;
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < n; i++) {
    bool again = due[i]->sent != 0;
    due[i]->sent = now;
    pyb__deliver(due[i], again);
  }
  pthread_mutex_lock(&lock);
  for (int i = 0; i < n; i++) {
    int sent = PYB_INTERRUPTED;
    if (due[i]->once)
      atomic_compare_exchange_strong(&due[i]->stop, &sent, PYB_OK);
    due[i]->pinned = due[i]->once = false;
  }
  pthread_cond_broadcast(&unpinned);
  return any;
}

static void *watch(void *argument) {
  int idle = 0;

  (void)argument;
  pthread_mutex_lock(&lock);
  for (;;) {
    idle = tick() ? 0 : idle + 1;
    if (idle < IDLE_TICKS) {
      struct timespec pause = {.tv_nsec = TICK_NS};
      pthread_mutex_unlock(&lock);
      nanosleep(&pause, NULL);
      pthread_mutex_lock(&lock);
      continue;
    }
    atomic_store(&pyb__watch_asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    idle = 0;
    if (!tick())
      while (atomic_load(&pyb__watch_asleep))
        pthread_cond_wait(&wake, &lock);
    atomic_store(&pyb__watch_asleep, false);
  }
  return NULL;
}

pyb_status pyb__watch_start(pyb_error *error) {
  sigset_t all, old;
  pthread_t thread;
  pthread_attr_t attributes;
  int failed;

  if (running)
    return PYB_OK;
  /* The host's signals must not be delivered to a thread that it does not know. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  failed = pthread_create(&thread, &attributes, watch, NULL);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (failed != 0)
    return pyb__fail(error, PYB_START,
                     "cannot start the thread that watches deadlines (error %d); raise "
                     "the limit on threads",
                     failed);
  running = true;
  return PYB_OK;
}

static bool any_active(void) {
  bool any = false;

  for (pyb__thread *thread = threads; thread != NULL && !any; thread = thread->next)
    any = atomic_load(&thread->active);
  return any;
}

void pyb__watch_settle(void) {
  pthread_mutex_lock(&lock);
  if (!any_active()) {
    pyb__signals_give_back();
    /* It was for the calls that have ended. */
    atomic_store(&pyb__signals_pending, false);
  }
  pthread_mutex_unlock(&lock);
}

bool pyb__watch_busy(void) {
  bool any;

  pthread_mutex_lock(&lock);
  any = any_active();
  pthread_mutex_unlock(&lock);
  return any;
}

void pyb__watch_forked(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&wake, NULL);
  pthread_cond_init(&unpinned, NULL);
  for (pyb__thread *thread = threads; thread != NULL; thread = thread->next) {
    atomic_store(&thread->watched, false);
    thread->pinned = false;
  }
}

bool pyb__watch_goes_on(pyb__thread *thread) {
  struct timespec pause = {.tv_nsec = 1000000};
  bool wanted;

  pyb__watch_wake();
  pthread_mutex_lock(&lock);
  while (thread->pinned || thread->once || atomic_load(&pyb__signals_pending)) {
    pthread_mutex_unlock(&lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&lock);
  }
  thread->pokes = 0;
  wanted = atomic_load(&thread->stop) != PYB_OK ||
           host_wants_stop(atomic_load(&thread->outermost));
  pthread_mutex_unlock(&lock);
  return !wanted;
}

void pyb__watch_stop_service(unsigned long ident) {
  pthread_mutex_lock(&lock);
  for (pyb__thread *thread = threads; thread != NULL; thread = thread->next)
    if (thread->ident == ident) {
      if (pyb__watch_hold(thread))
        stop_host(atomic_load(&thread->served));
      atomic_store(&thread->watched, false);
    }
  pthread_mutex_unlock(&lock);
}

void pyb__watch_interrupt(const pyb_session *session) {
  pthread_mutex_lock(&lock);
  for (pyb_work *work = works; work != NULL; work = work->next)
    if (work->session == session) {
      if (work->stop == PYB_OK)
        work->stop = PYB_INTERRUPTED;
      stop_host(session);
    }
  for (pyb__thread *thread = threads; thread != NULL; thread = thread->next) {
    if (pyb__watch_hold(thread) && (atomic_load(&thread->outermost) == session ||
                                    atomic_load(&thread->innermost) == session))
      atomic_store(&thread->stop, PYB_INTERRUPTED);
    atomic_store(&thread->watched, false);
  }
  pthread_mutex_unlock(&lock);
}

/* ---- Work of the host -----------------------------------------------------------
 */

pyb_status pyb_work_begin(const pyb_session *session, pyb_work *work,
                          pyb_error *error) {
  if (session == NULL || work == NULL)
    return pyb__fail(error, PYB_BAD_ARGUMENT,
                     "the session or the work is missing (NULL)");
  *work = (pyb_work){.session = session};
  if (session->deadline_ms > 0) {
    pyb_status status = pyb_setup(NULL, error); /* and with it the watch */
    if (status != PYB_OK)
      return status;
    work->deadline = pyb__deadline_in(session->deadline_ms);
  }
  pthread_mutex_lock(&lock);
  work->next = works;
  work->link = &works;
  if (works != NULL)
    works->link = &work->next;
  works = work;
  atomic_store(&pyb__watch_asleep, false);
  pthread_cond_signal(&wake);
  pthread_mutex_unlock(&lock);
  return PYB_OK;
}

pyb_status pyb_work_end(pyb_work *work, pyb_status status, pyb_error *error) {
  pthread_mutex_lock(&lock);
  *work->link = work->next;
  if (work->next != NULL)
    work->next->link = work->link;
  pthread_mutex_unlock(&lock);
  if (work->stop == PYB_INTERRUPTED)
    return pyb__fail(error, PYB_INTERRUPTED, "the call was interrupted");
  if (work->stop != PYB_DEADLINE)
    return status;
  pyb__fail(error, PYB_DEADLINE, "the call ran longer than its deadline of %lld ms",
            (long long)work->session->deadline_ms);
  if (error != NULL)
    memcpy(error->type, "DeadlineExceeded", sizeof "DeadlineExceeded");
  return PYB_DEADLINE;
}
