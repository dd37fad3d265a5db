/* mean.c: a C program that lets Python compute on its numbers.
 *
 *     cc mean.c $(python -m pybridge config --cflags --libs) -o mean && ./mean
 */
#include <stdio.h>

#include <pybridge.h>

/* Print what went wrong and where; the exit code of the program. */
static int complain(const pyb_error *error) {
  fprintf(stderr, "%s: %s", error->type[0] ? error->type : "pybridge", error->message);
  if (error->line > 0)
    fprintf(stderr, " (%s, line %d)", error->file, (int)error->line);
  fputc('\n', stderr);
  return 1;
}

/* Ten thousand rows, built without Python: a column of integers and one of floats. */
static pyb_status build(struct ArrowArrayStream *rows, pyb_error *error) {
  pyb_table *table;
  pyb_status status = pyb_table_new(2, &table, error);

  if (status != PYB_OK)
    return status;
  status = pyb_table_name(table, 0, "n", NULL, error);
  if (status == PYB_OK)
    status = pyb_table_name(table, 1, "half", NULL, error);
  for (int64_t i = 0; i < 10000 && status == PYB_OK; i++) {
    status = pyb_column_int64(pyb_table_column(table, 0), i);
    if (status == PYB_OK)
      status = pyb_column_float64(pyb_table_column(table, 1), (double)i / 2);
  }
  if (status == PYB_OK)
    return pyb_table_finish(table, rows, error); /* the table is gone, come what may */
  pyb_table_release(table);
  return status;
}

int main(void) {
  pyb_session session = {0}; /* the context "main", no services */
  struct ArrowArrayStream rows;
  pyb_value mean;
  pyb_error error = {.message = "out of memory"};
  int64_t count;

  if (build(&rows, &error) != PYB_OK)
    return complain(&error);

  /* The rows become a pandas DataFrame called numbers; the call owns them now. */
  if (pyb_set_stream(&session, "numbers", NULL, NULL, &rows, &count, &error) != PYB_OK)
    return complain(&error);

  if (pyb_evaluate(&session, "float(numbers['half'].mean())", PYB_NTS, NULL, &mean,
                   &error) != PYB_OK)
    return complain(&error);
  printf("mean of %lld rows: %.2f\n", (long long)count, mean.real);
  pyb_value_release(&mean); /* nothing to release in a float, and harmless */

  /* An error is a value too, and names the line of the Python code. */
  if (pyb_execute_code(&session, "x = 1\ny = x / 0", PYB_NTS, NULL, &error) == PYB_OK)
    return 1;
  complain(&error);

  /* Forget the variables: nothing that the library gave out is left then. */
  if (pyb_finalize(&error) != PYB_OK)
    return complain(&error);
  return pyb_live() == 0 ? 0 : 1;
}
