/* gtm.h: what the files of the GT.M host share.
 *
 * GT.M loads the library as a package of call-outs (its table is pybridge.xc); the M
 * routine ^pybridge is what M programs call. The types of the call-out and call-in
 * interface are declared here, as GT.M's Programmer's Guide gives them, so that the
 * library builds where there is no GT.M. */
#ifndef PYB_GTM_H
#define PYB_GTM_H

#include <stdbool.h>

#include "pybridge.h"

/* A string of M: any bytes. In an empty one `address` says nothing. */
typedef struct pyb__gtm_string {
  long length;
  char *address;
} pyb__gtm_string;

#define PYB__GTM_LONGEST 1048576 /* bytes in one string of M */

/* ---- Memory (memory.c) ----------------------------------------------------------- */

void *pyb__gtm_malloc(size_t size);

/* As realloc; `size` is not 0. */
void *pyb__gtm_resize(void *memory, size_t size);

/* As free; it fits pyb_value's release. */
void pyb__gtm_free(void *memory);

/* ---- Values (value.c) ----------------------------------------------------------- */

/* How a field or an argument is read: the letters of a mask. */
typedef enum pyb__gtm_kind {
  PYB__GTM_INFER = '+',   /* a canonical number, else text */
  PYB__GTM_SKIP = '-',    /* not at all */
  PYB__GTM_BOOL = 'b',    /* a number: 0 is false */
  PYB__GTM_DATE = 'd',    /* $HOROLOG's days, 0 = 1840-12-31 */
  PYB__GTM_TIME = 't',    /* seconds since midnight, with a fraction perhaps */
  PYB__GTM_MOMENT = 'm',  /* YYYY-MM-DD hh:mm:ss.ffffff, or $HOROLOG "days,seconds" */
  PYB__GTM_INTEGER = 'i', /* an integer of 64 bits */
  PYB__GTM_FLOAT = 'f',   /* a number */
  PYB__GTM_DECIMAL = 'n', /* a number, exact */
  PYB__GTM_TEXT = 's',    /* text in UTF-8 */
  PYB__GTM_BYTES = 'x'    /* bytes */
} pyb__gtm_kind;

#define PYB__GTM_KINDS "+-bdtmifnsx"

/* What a number in M's own form is. */
typedef enum pyb__gtm_number {
  PYB__GTM_NOT_CANONICAL, /* text that M would write otherwise as a number */
  PYB__GTM_WHOLE,         /* an integer of up to 18 digits: exact as int64 */
  PYB__GTM_SHORT,         /* a fraction of up to 15 digits: a float64 tells it apart */
  PYB__GTM_LONG           /* a canonical number that needs a decimal */
} pyb__gtm_number;

pyb__gtm_number pyb__gtm_number_of(const char *data, size_t size);

/* Read `size` bytes as `kind` into *value, which borrows them. What does not fit is
 * PYB_UNSUPPORTED, with *why saying what is wanted; empty is NULL but as text, bytes.
 */
pyb_status pyb__gtm_load(const char *data, size_t size, pyb__gtm_kind kind,
                         pyb_value *value, const char **why);

/* The days since 1970-01-01 of $HOROLOG's day 0, 1840-12-31. */
#define PYB__GTM_EPOCH 47117

/* The longest text of a value that is not text itself. */
#define PYB__GTM_NUMBER 64

/* Write a scalar as M writes it: numbers canonical, true as 1, NULL as "". Text and
 * blobs are left where they are. Returns where the bytes are: `buffer` or the value's
 * own. */
const char *pyb__gtm_dump(const pyb_value *value, char buffer[PYB__GTM_NUMBER],
                          size_t *size);

/* How many bytes of a text to take where at most `most` may be taken: no character is
 * cut. What is no UTF-8 is cut anywhere. */
size_t pyb__gtm_cut(const char *data, size_t size, size_t most);

/* ---- The process's one caller (callout.c) ---------------------------------------- */

/* GT.M is one thread, so there is one session, which is static. */
typedef struct pyb__gtm {
  pyb_session session;
  pyb_services services;
  char context[256];
  bool in_transaction; /* then GT.M forbids that M is called */
} pyb__gtm;

extern pyb__gtm pyb__gtm_host;

/* ---- Globals as columns (rows.c) ------------------------------------------------- */

/* Begin to collect records: `spec` is what pyb_gtm_begin says. */
pyb_status pyb__gtm_rows_begin(const pyb__gtm_string *spec, const pyb__gtm_string *mask,
                               const pyb__gtm_string *delimiter, pyb_error *error);

/* Make a frame of the records. *again is set where the types that were guessed from the
 * first records do not hold for all: then all are to be given once more. `labels` has
 * commas between; `options` is JSON or NULL. */
pyb_status pyb__gtm_rows_end(const char *variable, const char *type, const char *labels,
                             const char *options, int64_t *count, bool *again,
                             pyb_error *error);

/* Drop what was collected. */
void pyb__gtm_rows_drop(void);

/* ---- Columns as globals (pull.c) ------------------------------------------------- */

/* Begin to give out the rows of a frame. `keys` are labels with commas between, of the
 * columns that are subscripts; NULL = the rows are numbered by M. */
pyb_status pyb__gtm_pull_begin(const char *variable, const char *keys,
                               const char *delimiter, pyb_error *error);

/* Drop what is left of them. The error of what failed meanwhile, if anything did. */
pyb_status pyb__gtm_pull_end(pyb_error *error);

/* ---- $LIST (list.c) -------------------------------------------------------------- */

/* Read the element that begins at data[*at] of a $LIST as a value, which borrows from
 * `data` or from `scratch`, and move *at behind it. */
pyb_status pyb__gtm_element(const char *data, size_t size, size_t *at, pyb_value *value,
                            char *scratch, const char **why);

/* ---- Signals (signals.c) --------------------------------------------------------- */

/* The service: M's handler of a signal is kept until the call returns. */
void pyb__gtm_signals_keep(void *host, int number);

/* Around a call of M's: what enter gives is for leave, which puts M's handlers back. */
void *pyb__gtm_signals_enter(void);
void pyb__gtm_signals_leave(void *outer);

/* Around M's code that Python calls: M has its handlers, then Python has its own. */
void pyb__gtm_signals_lend(void);
void pyb__gtm_signals_return(void);

/* Is this a process that Python code has forked? It is not M's then. */
bool pyb__gtm_forked(void);

/* From now on a signal that ends the process stops Python's call first, and processes
 * that are forked are harmless to the database. */
void pyb__gtm_signals_prepare(void);

/* The service `interrupted`: has such a signal come? */
int pyb__gtm_signals_ending(void *host);

/* ---- M, called from Python (callin.c) -------------------------------------------- */

/* Fill the services that Python is lent. */
void pyb__gtm_lend(pyb_services *services);

/* Fill an error, cut to its size. */
__attribute__((format(printf, 3, 4))) pyb_status pyb__gtm_refuse(pyb_error *error,
                                                                 pyb_status status,
                                                                 const char *format,
                                                                 ...);

#endif /* PYB_GTM_H */
