/* session.c: who is calling: the innermost session of the thread, and its services. */
#include "session.h"

#include <sched.h>
#include <string.h>

/* The call that this thread is in. Set by the gate in c/python. */
_Thread_local pyb__thread *pyb__this_thread;
_Atomic(pyb__thread *) pyb__main_thread;

const pyb_session *pyb__session(void) {
  pyb__thread *thread = pyb__this_thread;

  return thread == NULL || thread->call == NULL ? NULL : thread->call->session;
}

void pyb_interrupt(const pyb_session *session) {
  pyb__watch_interrupt(session);
}

/* The services of the innermost session, or NULL and an error that says what is
 * missing. A host may have been built with fewer services: `end` is the end of the one
 * that is wanted. */
static const pyb_services *services(size_t end, const char *name, void **host,
                                    pyb_error *error) {
  const pyb_session *session = pyb__session();

  if (session == NULL) {
    pyb__fail(
        error, PYB_HOST,
        "no host is calling: \"%s\" works only while a host process runs this code",
        name);
    return NULL;
  }
  if (session->services == NULL || session->services->size < end) {
    pyb__fail(error, PYB_HOST, "this host offers no \"%s\"", name);
    return NULL;
  }
  *host = session->host;
  return session->services;
}

#define END_OF(member) (offsetof(pyb_services, member) + sizeof(void (*)(void)))

/* Around a service: while it runs, the watch may have the host stop it. */
static void begin_service(void) {
  atomic_store(&pyb__this_thread->served, pyb__session());
}

static void end_service(void) {
  atomic_store(&pyb__this_thread->served, NULL);
  /* The session may be gone soon; the watch may have it still. */
  atomic_thread_fence(memory_order_seq_cst);
  while (atomic_load(&pyb__this_thread->watched))
    sched_yield();
}

pyb_status pyb__host_query(const char *sql, size_t size, const pyb_value *params,
                           const char *const *names, size_t n,
                           struct ArrowArrayStream *rows, pyb_error *error) {
  void *host;
  const pyb_services *lent = services(END_OF(query), "query", &host, error);
  pyb_status status;

  memset(rows, 0, sizeof *rows);
  if (lent == NULL)
    return PYB_HOST;
  if (lent->query == NULL)
    return pyb__fail(error, PYB_HOST, "this host offers no \"query\"");
  begin_service();
  status = lent->query(host, sql, size, params, names, n, rows, error);
  end_service();
  return status;
}

pyb_status pyb__host_execute(const char *sql, size_t size, const pyb_value *params,
                             const char *const *names, size_t n, int64_t *changes,
                             pyb_error *error) {
  void *host;
  const pyb_services *lent = services(END_OF(execute), "execute", &host, error);
  pyb_status status;

  *changes = 0;
  if (lent == NULL)
    return PYB_HOST;
  if (lent->execute == NULL)
    return pyb__fail(error, PYB_HOST, "this host offers no \"execute\"");
  begin_service();
  status = lent->execute(host, sql, size, params, names, n, changes, error);
  end_service();
  return status;
}

pyb_status pyb__host_write(struct ArrowArrayStream *rows, const char *table,
                           const char *mode, int64_t *count, pyb_error *error) {
  void *host;
  const pyb_services *lent = services(END_OF(write), "write", &host, error);

  *count = 0;
  if (lent != NULL && lent->write != NULL) {
    pyb_status status;

    begin_service();
    status = lent->write(host, rows, table, mode, count, error);
    end_service();
    return status;
  }
  if (rows->release != NULL)
    rows->release(rows);
  if (lent != NULL)
    return pyb__fail(error, PYB_HOST, "this host offers no \"write\"");
  return PYB_HOST;
}

pyb_status pyb__host_call(const char *verb, const pyb_value *args, size_t n,
                          pyb_value *result, pyb_error *error) {
  void *host;
  const pyb_services *lent = services(END_OF(call), "call", &host, error);
  pyb_status status;

  *result = PYB_EMPTY;
  if (lent == NULL)
    return PYB_HOST;
  if (lent->call == NULL)
    return pyb__fail(error, PYB_HOST, "this host offers no \"call\"");
  begin_service();
  status = lent->call(host, verb, args, n, result, error);
  end_service();
  return status;
}

const char *pyb__host_name(void) {
  const pyb_session *session = pyb__session();

  return session == NULL || session->services == NULL ? NULL : session->services->name;
}

void pyb__host_signal(int number) {
  const pyb_session *session = pyb__session();

  if (session != NULL && session->services != NULL &&
      session->services->size >= END_OF(signal) && session->services->signal != NULL)
    session->services->signal(session->host, number);
}

bool pyb__host_output(int stream, const char *text, size_t size) {
  const pyb_session *session = pyb__session();

  if (session == NULL || session->services == NULL ||
      session->services->size < END_OF(output) || session->services->output == NULL)
    return false;
  session->services->output(session->host, stream, text, size);
  return true;
}
