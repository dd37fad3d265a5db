/* session.h: calls in progress, and the services that hosts lend to Python. */
#ifndef PYB_SESSION_H
#define PYB_SESSION_H

#include "internal.h"

/* The host thread that runs this code, NULL until its first call. Eight bytes of the
 * room that the loader keeps for libraries that come late: looking there is free, where
 * the general way is a function call, twice in every call of ours. */
extern _Thread_local pyb__thread *pyb__this_thread
    __attribute__((tls_model("initial-exec")));

/* What `pybridge.host` reaches: the services of the innermost session. Called without
 * the GIL. `names` as in pyb_services. Rows given to write are moved. */
pyb_status pyb__host_query(const char *sql, size_t size, const pyb_value *params,
                           const char *const *names, size_t n,
                           struct ArrowArrayStream *rows, pyb_error *error);
pyb_status pyb__host_execute(const char *sql, size_t size, const pyb_value *params,
                             const char *const *names, size_t n, int64_t *changes,
                             pyb_error *error);
pyb_status pyb__host_write(struct ArrowArrayStream *rows, const char *table,
                           const char *mode, int64_t *count, pyb_error *error);

pyb_status pyb__host_call(const char *verb, const pyb_value *args, size_t n,
                          pyb_value *result, pyb_error *error);

/* The name of the host that is calling, NULL = none. */
const char *pyb__host_name(void);

/* Python code is about to set a handler for this signal. */
void pyb__host_signal(int number);

/* Give output to the host; false = it does not take any. */
bool pyb__host_output(int stream, const char *text, size_t size);

/* pyb_interrupt's other half, in watch.c. */
void pyb__watch_interrupt(const pyb_session *session);

#endif /* PYB_SESSION_H */
