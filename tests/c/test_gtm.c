/* test_gtm.c: GT.M's calls at their edges, in a process that is not GT.M. */
#include "gtm_calls.h"

static string none;

/* Read one record a call, until it fits; the answer of "frame" is in result. */
static long frame_of(const char *spec, const char *mask, const char *delimiter,
                     const string *records, int n) {
  string options[8] = {m(spec), m(mask), m(delimiter)};
  long rc = call_strings("begin", 3, options);

  for (int walk = 0; rc == 0 && walk < 4; walk++) {
    for (int i = 0; i < n; i++) {
      string key = m("1"), record = records[i];
      if (pyb_gtm_rows(2, &key, &record, &none, &none, &none, &none, &none, &none,
                       &none, &none, &none, &none, &none, &none, &none, &none) != 0)
        break;
    }
    rc = CALL("frame", "rows", "list");
    if (rc != 0 || !answers(&result, "again"))
      return rc;
  }
  return rc;
}

static void check_rows(const char *expected) {
  CHECK(CALL("evaluate", "repr(rows)") == 0);
  if (!answers(&result, expected))
    printf("%.*s\n", (int)result.length, result.address);
  CHECK(answers(&result, expected));
}

static void test_unknown_verb_is_an_error(void) {
  CHECK(CALL("nothing") == PYB_BAD_ARGUMENT);
  CHECK(complains("does not know this verb"));
}

static void test_call_without_places_is_refused(void) {
  CHECK(pyb_gtm_call(1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                     NULL) == PYB_BAD_ARGUMENT);
  CHECK(pyb_gtm_piece(1, 0, NULL) == 0);
  CHECK(pyb_gtm_output(0, NULL) == 0);
}

/* Each verb with fewer arguments than it needs, with empty ones, and with eight. */
static void test_verbs_withstand_any_number_of_arguments(void) {
  static const char *const verbs[] = {"feed",
                                      "argument",
                                      "setup",
                                      "finalize",
                                      "simple_string",
                                      "execute_code",
                                      "evaluate",
                                      "execute_function",
                                      "get_variable",
                                      "set_variable",
                                      "get_status",
                                      "get_variable_info",
                                      "import_module",
                                      "get_module_info",
                                      "get_function_info",
                                      "execute_query",
                                      "begin",
                                      "frame",
                                      "pull",
                                      "pulled",
                                      "deadline",
                                      "context"};

  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    for (int n = 0; n <= 9; n++) {
      string empty[8], odd[8];
      for (int j = 0; j < 8; j++) {
        empty[j] = bytes(NULL, 0);
        odd[j] = bytes("\0\xff", 2);
      }
      CHECK(call_strings(verbs[i], n, empty) <= 0 || problem.length > 0);
      CHECK(call_strings(verbs[i], n, odd) <= 0 || problem.length > 0);
    }
  CHECK(CALL("deadline", "0") == 0);
  CHECK(CALL("context", "main") == 0);
}

static void test_records_without_a_beginning_are_refused(void) {
  string name = m("name"), key = m("1");

  (void)!CALL("frame"); /* which drops what is there */
  CHECK(rows1("1", "a") == PYB_BAD_ARGUMENT);
  CHECK(pyb_gtm_field(2, &name, &key) == PYB_BAD_ARGUMENT);
  CHECK(pyb_gtm_record(1, &key) == PYB_BAD_ARGUMENT);
  CHECK(pyb_gtm_outer(2, 0, &key) == PYB_BAD_ARGUMENT);
  CHECK(CALL("frame", "rows") == PYB_BAD_ARGUMENT);
  CHECK(complains("\"begin\" comes first"));
  CHECK(CALL("frame", "rows") == PYB_BAD_ARGUMENT);
  CHECK(complains("\"begin\" comes first"));
}

static void test_beginning_that_is_refused_takes_no_records(void) {
  CHECK(CALL("begin", "x", "", "^") == PYB_BAD_ARGUMENT);
  CHECK(rows1("1", "a") == PYB_BAD_ARGUMENT);
  CHECK(CALL("begin", "1", "?", "^") == PYB_BAD_ARGUMENT);
  CHECK(rows1("1", "a") == PYB_BAD_ARGUMENT);
}

static void test_subscript_above_the_first_is_an_error(void) {
  string subscript = m("1");

  CHECK(CALL("begin", "2", "", "^") == 0);
  CHECK(pyb_gtm_outer(2, 1, &subscript) == PYB_BAD_ARGUMENT);
  CHECK(CALL("frame", "rows") == PYB_BAD_ARGUMENT);
  CHECK(complains("not above the last"));
  CHECK(CALL("begin", "2", "", "^") == 0);
  CHECK(pyb_gtm_outer(2, -1, &subscript) == PYB_BAD_ARGUMENT);
}

static void test_outer_subscripts_may_be_missing_or_empty(void) {
  string empty = bytes(NULL, 0);

  CHECK(CALL("begin", "2", "", "^") == 0);
  CHECK(rows1("1", "a") == 0);
  CHECK(pyb_gtm_outer(2, 0, &empty) == 0);
  CHECK(rows1("2", "b") == 0);
  while (CALL("frame", "rows", "list") == 0 && answers(&result, "again"))
    CHECK(rows1("1", "a") == 0 && rows1("2", "b") == 0);
  check_rows("[(None, 1, 'a'), (None, 2, 'b')]");
}

static void test_delimiters_of_any_length(void) {
  string records[3] = {m("a<->b<->"), m("<-"), m("<->")};

  CHECK(frame_of("1", "", "<->", records, 3) == 0);
  check_rows("[(1, 'a', 'b', None), (1, '<-', None, None), (1, '', '', None)]");
}

static void test_records_have_any_bytes(void) {
  string records[2] = {bytes("a\0b^\n", 5), bytes("", 0)};

  CHECK(frame_of("1", "sx", "^", records, 2) == 0);
  check_rows("[(1, 'a\\x00b', b'\\n'), (1, '', None)]");
}

static void test_record_of_the_longest_string(void) {
  char *text = calloc(1, PYB__GTM_LONGEST);
  string record = bytes(text, PYB__GTM_LONGEST);

  memset(text, 'x', PYB__GTM_LONGEST);
  text[PYB__GTM_LONGEST - 1] = '^';
  CHECK(frame_of("1", "", "^", &record, 1) == 0);
  CHECK(CALL("evaluate", "len(rows[0][1]), rows[0][2]", "repr") == 0);
  CHECK(answers(&result, "(1048575, None)"));
  free(text);
}

static void test_too_many_fields_are_an_error(void) {
  char text[5000] = {0};
  string record = bytes(text, sizeof text);

  memset(text, '^', sizeof text);
  CHECK(frame_of("1", "", "^", &record, 1) == PYB_TOO_LARGE);
  CHECK(complains("4096 is the most; is \"^\" its delimiter?"));
}

static void test_long_result_comes_in_pieces(void) {
  CHECK(CALL("evaluate", "'x' * 1048576 + 'y'") == -2);
  CHECK(result.length == PYB__GTM_LONGEST);
  CHECK(pyb_gtm_piece(2, 1, &result) == 0 && answers(&result, "y"));
  CHECK(pyb_gtm_piece(2, 2, &result) == 0 && result.length == 0);
  CHECK(pyb_gtm_piece(2, -1, &result) == 0 && result.length == 0);
}

/* Pull all records, eight or fewer at a time, and put bars between. */
static long pull_all(char *text, size_t size, int count) {
  string r[8];
  long n, rc;

  *text = '\0';
  do {
    n = pyb_gtm_pull(count, &r[0], &r[1], &r[2], &r[3], &r[4], &r[5], &r[6], &r[7]);
    for (long i = 0; i < n; i++)
      snprintf(text + strlen(text), size - strlen(text), "%.*s|", (int)r[i].length,
               r[i].address);
    CHECK(n >= 0 || (r[0].length == 0 && r[0].address != NULL));
  } while (n == count);
  rc = CALL("pulled");
  CHECK((n < 0) == (rc > 0));
  return rc;
}

static long pull(const char *frame, char *text, size_t size) {
  return CALL("pull", frame, "", "^") != 0 ? 1 : pull_all(text, size, 8);
}

static void test_nothing_to_pull(void) {
  char text[100];

  CHECK(pull_all(text, sizeof text, 8) == 0 && text[0] == '\0');
  CHECK(CALL("pull", "nothing", "", "^") > 0 && complains("nothing"));
  CHECK(CALL("pull", "pa", "", "") == PYB_BAD_ARGUMENT && complains("1 to 63 bytes"));
}

static void test_arrays_with_an_offset(void) {
  char text[200];

  CHECK(CALL("execute_code",
             "t = pa.table({'b': [None, True, False, None, True], 'n': [None] * 5,"
             "'s': ['x', 'a', None, '', 'z'], 'i': [9, 1, None, 3, 9]}).slice(1, 3)") ==
        0);
  CHECK(pull("t", text, sizeof text) == 0);
  CHECK(strcmp(text, "1^^a^1|0^^^|^^^3|") == 0);
  CHECK(CALL("execute_code",
             "s = pa.StructArray.from_arrays([pa.array([1, 2, 3])], ['i'])\n"
             "t = pa.RecordBatchReader.from_batches(pa.schema([('i', pa.int64())]),"
             "[pa.RecordBatch.from_struct_array(s.slice(1)),"
             " pa.RecordBatch.from_struct_array(s.slice(3)),"
             " pa.RecordBatch.from_struct_array(s.slice(2))])") == 0);
  CHECK(pull("t", text, sizeof text) == 0);
  CHECK(strcmp(text, "2|3|3|") == 0);
}

static void test_decimals_of_any_scale(void) {
  char text[300];

  CHECK(
      CALL(
          "execute_code",
          "from decimal import Decimal as D\n"
          "t = pa.table({'a': pa.array([D('-0.00'), D('120.50')], pa.decimal128(9, 2)),"
          "'b': pa.array([D('0'), D('1200')], pa.decimal128(9, -2)),"
          "'c': pa.array([D('1E-38'), None], pa.decimal128(38, 38)),"
          "'d': pa.array([D('9' * 38), D('-' + '9' * 38)])})") == 0);
  CHECK(pull("t", text, sizeof text) == 0);
  CHECK(strcmp(text, "0^0^.00000000000000000000000000000000000001"
                     "^99999999999999999999999999999999999999|"
                     "120.5^1200^^-99999999999999999999999999999999999999|") == 0);
}

static void test_what_m_has_nothing_for_is_an_error(void) {
  char text[100];

  CHECK(CALL("execute_code",
             "t = pa.table({'a': pa.array([D('1' * 50)], pa.decimal256(60, 0))})") ==
        0);
  CHECK(pull("t", text, sizeof text) > 0 && complains("decimal256"));
  CHECK(CALL("execute_code", "t = pa.table({'l': [[1, 2]]})") == 0);
  CHECK(pull("t", text, sizeof text) > 0 && complains("column 'l'"));
}

static void test_empty_frames(void) {
  char text[100];

  CHECK(CALL("execute_code", "t = pa.table({'a': pa.array([], pa.int64())})") == 0);
  CHECK(pull("t", text, sizeof text) == 0 && text[0] == '\0');
  CHECK(CALL("execute_code", "t = pa.table({})") == 0);
  CHECK(pull("t", text, sizeof text) == 0 && text[0] == '\0');
}

static void test_rows_that_fail_are_an_error(void) {
  char text[100];

  CHECK(CALL("execute_code",
             "def rows():\n"
             "  raise RuntimeError('no more')\n"
             "  yield\n"
             "schema = pa.schema([('a', pa.int64())])\n"
             "t = pa.RecordBatchReader.from_batches(schema, rows())") == 0);
  CHECK(pull("t", text, sizeof text) > 0 && complains("no more"));
}

static void test_m_is_not_there(void) {
  CHECK(CALL("execute_code", "from pybridge.host import globals as g\ng['^x'][1]") > 0);
  CHECK(complains("this process is not GT.M"));
}

static void test_output_waits_where_m_is_not_there(void) {
  string text;

  CHECK(CALL("execute_code", "print('a' * 3)") == 0);
  CHECK(CALL("execute_code", "print('b')") == 0);
  CHECK(pyb_gtm_output(1, &text) == 0 && answers(&text, "aaa\nb\n"));
  CHECK(pyb_gtm_output(1, &text) == 0 && text.length == 0);
}

static void test_fed_text_has_its_type(void) {
  CHECK(CALL("feed", "[1, ") == 0 && CALL("feed", "2]") == 0);
  CHECK(CALL("set_variable", "v", "", "j") == 0);
  CHECK(CALL("evaluate", "repr(v)") == 0 && answers(&result, "[1, 2]"));
}

static void test_arguments_that_fail_are_forgotten(void) {
  CHECK(CALL("argument", "1", "i") == 0);
  CHECK(CALL("argument", "x", "i", "name") == PYB_UNSUPPORTED);
  CHECK(CALL("execute_function", "dict", "", "repr") == 0 && answers(&result, "{}"));
}

int main(void) {
  RUN(test_unknown_verb_is_an_error);
  RUN(test_call_without_places_is_refused);
  RUN(test_verbs_withstand_any_number_of_arguments);
  RUN(test_records_without_a_beginning_are_refused);
  RUN(test_beginning_that_is_refused_takes_no_records);
  RUN(test_subscript_above_the_first_is_an_error);
  RUN(test_outer_subscripts_may_be_missing_or_empty);
  RUN(test_delimiters_of_any_length);
  RUN(test_records_have_any_bytes);
  RUN(test_record_of_the_longest_string);
  RUN(test_too_many_fields_are_an_error);
  RUN(test_long_result_comes_in_pieces);
  CHECK(CALL("execute_code", "import pyarrow as pa") == 0);
  RUN(test_nothing_to_pull);
  RUN(test_arrays_with_an_offset);
  RUN(test_decimals_of_any_scale);
  RUN(test_what_m_has_nothing_for_is_an_error);
  RUN(test_empty_frames);
  RUN(test_rows_that_fail_are_an_error);
  RUN(test_m_is_not_there);
  RUN(test_output_waits_where_m_is_not_there);
  RUN(test_fed_text_has_its_type);
  RUN(test_arguments_that_fail_are_forgotten);
  return 0;
}
