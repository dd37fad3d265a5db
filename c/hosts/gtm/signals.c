/* signals.c: M's handlers of signals beside Python's, and processes that Python forks.
 *
 * GT.M keeps time by SIGALRM and ends by SIGTERM. Python code may set handlers in a
 * call; they last until it returns, and M has its own while Python calls it. A process
 * that Python forks is not M's: it must neither go on in M nor end as M does, which
 * would close the database that is its parent's. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gtm.h"

/* One for each call in which Python code has set a handler. */
typedef struct frame {
  struct sigaction hosts[NSIG], pythons[NSIG];
  bool kept[NSIG];
} frame;

static frame *now; /* that of the innermost call; NULL = there are only M's */

static volatile sig_atomic_t python_runs; /* on M's thread, rather than M */
static pthread_t main_thread;             /* M's */

/* ---- Signals that end the process -------------------------------------------------
 *
 * GT.M ends it from its handler, which allocates memory: on top of Python code that is
 * just doing so it would wait for itself for ever. So the call is stopped first. Who
 * is impatient sends the signal again.
 */

static struct sigaction ends[NSIG];  /* GT.M's */
static volatile sig_atomic_t ending; /* the signal that has come, 0 = none */

static void ended(int number, siginfo_t *info, void *machine) {
  if (!pthread_equal(pthread_self(), main_thread))
    pthread_kill(main_thread, number);
  else if (python_runs && ending == 0)
    ending = number;
  else if ((ends[number].sa_flags & SA_SIGINFO) != 0)
    ends[number].sa_sigaction(number, info, machine);
  else
    ends[number].sa_handler(number);
}

static void take_end(int number) {
  struct sigaction ours;

  if (sigaction(number, NULL, &ends[number]) != 0 ||
      ends[number].sa_handler == SIG_IGN || ends[number].sa_handler == SIG_DFL)
    return;
  ours = ends[number];
  ours.sa_flags |= SA_SIGINFO;
  ours.sa_sigaction = ended;
  sigaction(number, &ours, NULL);
}

int pyb__gtm_signals_ending(void *host) {
  (void)host;
  return ending != 0;
}

/* Python has left M's thread. */
static void left(void) {
  int number = ending;

  python_runs = false;
  ending = 0;
  if (number != 0)
    raise(number);
}

/* ---- Handlers that Python code sets ---------------------------------------------- */

void pyb__gtm_signals_keep(void *host, int number) {
  (void)host;
  if (now == NULL) {
    now = pyb__gtm_malloc(sizeof *now);
    if (now != NULL)
      memset(now, 0, sizeof *now);
  }
  if (now != NULL && !now->kept[number])
    now->kept[number] = sigaction(number, NULL, &now->hosts[number]) == 0;
}

/* Put M's handlers in place. What Python took of GT.M's clock is made up for: the
 * handler looks for itself which timers are due. */
static void give_back(void) {
  for (int number = 1; number < NSIG; number++)
    if (now->kept[number])
      sigaction(number, &now->hosts[number], &now->pythons[number]);
  if (now->kept[SIGALRM] && now->hosts[SIGALRM].sa_handler != SIG_IGN &&
      now->hosts[SIGALRM].sa_handler != SIG_DFL)
    raise(SIGALRM);
}

void pyb__gtm_signals_lend(void) {
  if (now != NULL)
    give_back();
  left();
}

void pyb__gtm_signals_return(void) {
  python_runs = true;
  for (int number = 1; now != NULL && number < NSIG; number++)
    if (now->kept[number])
      sigaction(number, &now->pythons[number], &now->hosts[number]);
}

void *pyb__gtm_signals_enter(void) {
  frame *outer = now;

  now = NULL;
  python_runs = true;
  return outer;
}

void pyb__gtm_signals_leave(void *outer) {
  if (now != NULL)
    give_back();
  pyb__gtm_free(now);
  now = outer;
  left();
}

/* ---- Forked processes ------------------------------------------------------------ */

static bool forked;

/* Comes before what GT.M does at the end of a process. */
static void end(int status, void *ignored) {
  (void)ignored;
  fflush(stderr);
  _exit(status);
}

static void child(void) {
  struct sigaction plain = {.sa_handler = SIG_DFL}, found;

  /* M's own: for JOB, ZSYSTEM and pipes. */
  if (!python_runs && pthread_equal(pthread_self(), main_thread))
    return;
  forked = true;
  on_exit(end, NULL);
  for (int number = 1; number < NSIG; number++)
    if ((now == NULL || !now->kept[number]) && sigaction(number, NULL, &found) == 0 &&
        found.sa_handler != SIG_IGN && found.sa_handler != SIG_DFL)
      sigaction(number, &plain, NULL);
}

bool pyb__gtm_forked(void) {
  return forked;
}

void pyb__gtm_signals_prepare(void) {
  main_thread = pthread_self();
  take_end(SIGTERM);
  take_end(SIGHUP);
  take_end(SIGQUIT);
  pthread_atfork(NULL, NULL, child);
}
