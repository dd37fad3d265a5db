/* gtm_calls.h: GT.M's calls, made by a C program as GT.M makes them. */
#ifndef PYB_GTM_CALLS_H
#define PYB_GTM_CALLS_H

#include "../../c/hosts/gtm/gtm.h"
#include "test.h"

typedef pyb__gtm_string string;

long pyb_gtm_call(int count, long level, string *result, string *problem, string *verb,
                  string *a1, string *a2, string *a3, string *a4, string *a5,
                  string *a6, string *a7, string *a8);
long pyb_gtm_piece(int count, long i, string *result);
long pyb_gtm_output(int count, string *text);
long pyb_gtm_rows(int count, string *k1, string *r1, string *k2, string *r2, string *k3,
                  string *r3, string *k4, string *r4, string *k5, string *r5,
                  string *k6, string *r6, string *k7, string *r7, string *k8,
                  string *r8);
long pyb_gtm_field(int count, string *name, string *value);
long pyb_gtm_record(int count, string *key);
long pyb_gtm_outer(int count, long level, string *subscript);
long pyb_gtm_pull(int count, string *r1, string *r2, string *r3, string *r4, string *r5,
                  string *r6, string *r7, string *r8);
long pyb_gtm_pairs(int count, string *k1, string *r1, string *k2, string *r2,
                   string *k3, string *r3, string *k4, string *r4);
long pyb_gtm_cell(int count, string *key, string *name, string *value);

static string result, problem; /* of the last call */

/* A string of M; in an empty one the address says nothing. */
static inline string bytes(const char *data, size_t size) {
  return (string){.length = (long)size,
                  .address = size == 0 ? (char *)16 : (char *)data};
}

static inline string m(const char *text) {
  return bytes(text, strlen(text));
}

static inline long call_strings(const char *verb, int n, string *a) {
  string name = m(verb);

  result = problem = (string){0};
  return pyb_gtm_call(4 + n, 0, &result, &problem, &name, &a[0], &a[1], &a[2], &a[3],
                      &a[4], &a[5], &a[6], &a[7]);
}

/* Call a verb with texts, of which the first that is NULL ends them. */
#define CALL(...) call_texts((const char *const[9]){__VA_ARGS__, NULL})

static inline long call_texts(const char *const texts[9]) {
  string a[8] = {{0}};
  int n = 0;

  for (; n < 8 && texts[n + 1] != NULL; n++)
    a[n] = m(texts[n + 1]);
  return call_strings(texts[0], n, a);
}

static inline long rows1(const char *key, const char *record) {
  string k = m(key), r = m(record), none = {0};

  return pyb_gtm_rows(2, &k, &r, &none, &none, &none, &none, &none, &none, &none, &none,
                      &none, &none, &none, &none, &none, &none);
}

/* Is the answer that text? */
static inline int answers(const string *given, const char *text) {
  return given->length == (long)strlen(text) &&
         memcmp(given->address, text, strlen(text)) == 0;
}

/* Is `part` in the problem? */
static inline int complains(const char *part) {
  char text[4096];

  snprintf(text, sizeof text, "%.*s", (int)problem.length,
           problem.length == 0 ? "" : problem.address);
  if (!has(text, part))
    printf("the problem is: %s\n", text);
  return has(text, part);
}

#endif /* PYB_GTM_CALLS_H */
