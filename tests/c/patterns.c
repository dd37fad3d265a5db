/* patterns.c: patterns of LIKE and GLOB at random, matched by pattern.c and by SQLite.
 *
 *     patterns ROUNDS SEED
 *
 * Build it with -DSQLITE_CORE, the sanitizers, c/hosts/sqlite/pattern.c and -lsqlite3.
 */
#include "pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static size_t below(size_t n) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (size_t)((z ^ (z >> 31)) % n);
}

/* Memory of the very size, so that a read behind it is seen; SQLite's has a NUL more.
 */
static char *random_text(const char *const *pieces, size_t n, size_t most) {
  char text[400] = "";

  for (size_t i = below(most + 1); i > 0; i--)
    strcat(text, pieces[below(n)]);
  return strdup(text);
}

static char *random_pattern(int glob) {
  static const char *const like[] = {"%",  "%", "_", "a", "b",  "A", "B",
                                     "ab", "é", "É", "€", "[a", "]", "\U0001f600"};
  static const char *const globs[] = {"*", "*", "?",    "a",   "b", "A", "[", "]",
                                      "^", "-", "[a-c", "[^é", "é", "€", "[]"};
  return glob ? random_text(globs, sizeof globs / sizeof *globs, 7)
              : random_text(like, sizeof like / sizeof *like, 7);
}

static char *random_subject(void) {
  static const char *const pieces[] = {
      "a", "a", "b", "b", "A",          "B",    "é",    "€",           "[",
      "]", "^", "-", "c", "\U0001f600", "aaaa", "abab", "\xef\xbf\xbd"};
  static const char *const broken[] = {
      "\xff",         "\xc3", "\xc1\xa1", "\xed\xa0\x80", "\xf4\x90\x80\x80",
      "\xef\xbf\xbe", "\x80", "\xe2\x82", "\xf0\x9f\x98", "a",
      "\xef\xbf\xbf", "é"};
  char *text = random_text(pieces, sizeof pieces / sizeof *pieces, 1 + below(14));

  if (below(10) == 0) {
    size_t size = strlen(text);
    text = realloc(text, size + 5);
    strcpy(text + size, broken[below(sizeof broken / sizeof *broken)]);
  }
  return text;
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1000, matched = 0, unknown = 0, unread = 0;

  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  for (long i = 0; i < rounds; i++) {
    int glob = below(2) == 0;
    char *text = below(30) == 0 ? random_subject() : random_pattern(glob);
    size_t size = strlen(text);
    char *exact = size == 0 ? NULL : memcpy(malloc(size), text, size);
    pyb__pattern *pattern = pyb__pattern_new(exact, size, glob);
    free(exact);
    unread += pattern == NULL;
    for (int k = 0; k < 8 && pattern != NULL; k++) {
      char *subject = random_subject();
      size_t length = strlen(subject);
      char *cut = length == 0 ? NULL : memcpy(malloc(length), subject, length);
      int ours = pyb__pattern_matches(pattern, cut, length);
      int theirs = (glob ? sqlite3_strglob(text, subject)
                         : sqlite3_strlike(text, subject, 0)) == 0;
      if (ours >= 0 && ours != theirs) {
        printf("'%s' %s '%s': %d, SQLite says %d\n", subject, glob ? "glob" : "like",
               text, ours, theirs);
        return 1;
      }
      matched += ours == 1;
      unknown += ours < 0;
      free(cut);
      free(subject);
    }
    pyb__pattern_release(pattern);
    free(text);
  }
  printf("matched %ld unknown %ld unread %ld\n", matched, unknown, unread);
  return 0;
}
