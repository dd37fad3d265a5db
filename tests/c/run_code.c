/* run_code.c: a host that runs each of its arguments, says how it ended, and then ends
 * with an exit code of its own.
 *
 *     run_code CODE...
 *
 * Per argument one line, "STATUS TYPE: MESSAGE" or "0"; then both planes must work.
 * Exit code: 7, or 1 = one of them did not.
 */
#include "test.h"

int main(int argc, char **argv) {
  pyb_session session = {.context = "nasty"};

  for (int i = 1; i < argc; i++) {
    pyb_status status = run(&session, argv[i]);
    pyb_value value;

    if (status == PYB_OK)
      puts("0");
    else
      printf("%d %s: %s\n", (int)status, error.type, error.message);
    fflush(stdout);
    OK(pyb_get_status(&session, &value, &error));
    CHECK(status == PYB_OK || value.type == PYB_TEXT);
    pyb_value_release(&value);
    OK(pyb_execute_code(&session, "6 * 7", PYB_NTS, "answer", &error));
    CHECK(integer_of(&session, "answer") == 42);
  }
  return 7;
}
