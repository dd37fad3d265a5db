/* signals.c: SIGINT is lent to Python while a call lasts; all else stays the host's. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

atomic_bool pyb__signals_taken;
atomic_bool pyb__signals_pending;
atomic_bool pyb__signals_tripped;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction hosts; /* the host's SIGINT, while it is taken */

static char poke; /* its address marks the signals that only wake a thread up */

/* Async-signal-safe: flags only. The watch does the rest within its next tick. */
static void interrupted(int number, siginfo_t *info, void *machine) {
  int saved = errno;
  pyb__thread *main = atomic_load(&pyb__main_thread);

  (void)number;
  (void)machine;
  if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == &poke)
    return; /* a system call has been cut short, that is all */
  /* One that the watch sends to a single thread is not for the others. */
  if (info->si_code != SI_TKILL)
    atomic_store(&pyb__signals_pending, true);
  /* Python keeps it for its main thread: one that is in no call now must not find it
   * in its next. */
  if (main != NULL && atomic_load(&main->active)) {
    atomic_store(&pyb__signals_tripped, true);
    pyb__signal_python();
  }
  errno = saved;
}

void pyb__signals_take(void) {
  struct sigaction ours = {.sa_sigaction = interrupted,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK};

  if (atomic_load(&pyb__signals_taken))
    return;
  pthread_mutex_lock(&lock);
  if (!atomic_load(&pyb__signals_taken)) {
    /* No SA_RESTART: a sleep that the signal cuts short is how Python notices it. */
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGINT, &ours, &hosts) == 0)
      atomic_store(&pyb__signals_taken, true);
  }
  pthread_mutex_unlock(&lock);
}

void pyb__signals_take_again(void) {
  struct sigaction ours = {.sa_sigaction = interrupted,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK};

  pthread_mutex_lock(&lock);
  sigemptyset(&ours.sa_mask);
  if (atomic_load(&pyb__signals_taken))
    sigaction(SIGINT, &ours, NULL);
  pthread_mutex_unlock(&lock);
}

void pyb__signals_give_back(void) {
  if (!atomic_load(&pyb__signals_taken))
    return;
  pthread_mutex_lock(&lock);
  if (atomic_load(&pyb__signals_taken)) {
    sigaction(SIGINT, &hosts, NULL);
    atomic_store(&pyb__signals_taken, false);
  }
  pthread_mutex_unlock(&lock);
}

void pyb__signals_poke(uintptr_t thread) {
  union sigval mark = {.sival_ptr = &poke};

  pthread_sigqueue((pthread_t)thread, SIGINT, mark);
}

bool pyb__signals_blocked(void) {
  sigset_t mask;

  return pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 &&
         sigismember(&mask, SIGINT) == 1;
}

void pyb__signals_swallow(void) {
  struct timespec now = {0};
  sigset_t wanted;

  sigemptyset(&wanted);
  sigaddset(&wanted, SIGINT);
  /* What was sent to the thread comes before what was sent to the process. */
  if (pyb__signals_blocked())
    sigtimedwait(&wanted, NULL, &now);
}

void pyb__signals_forked(void) {
  pthread_mutex_init(&lock, NULL);
}

static atomic_bool postponed;

static void postpone(int number) {
  (void)number;
  atomic_store(&postponed, true);
}

void pyb__signals_postpone(void) {
  atomic_store(&postponed, true);
}

void pyb__signals_guard(void (*work)(void *), void *argument) {
  struct sigaction table[NSIG], plain = {.sa_handler = postpone};
  bool known[NSIG] = {false};
  sigset_t set, old;

  /* One that comes meanwhile waits for the host's handler, rather than end the host:
   * on this thread by the mask, on the host's others by a handler that only notes it.
   */
  plain.sa_flags = SA_ONSTACK | SA_RESTART;
  sigemptyset(&plain.sa_mask);
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  for (int number = 1; number < NSIG; number++)
    known[number] = sigaction(number, NULL, &table[number]) == 0;
  sigaction(SIGINT, &plain, NULL);
  work(argument);
  for (int number = 1; number < NSIG; number++)
    if (known[number] && sigaction(number, NULL, &plain) == 0 &&
        (number == SIGINT || plain.sa_sigaction != table[number].sa_sigaction))
      sigaction(number, &table[number], NULL);
  if (atomic_exchange(&postponed, false))
    kill(getpid(), SIGINT);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}
