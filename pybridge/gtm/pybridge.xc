$library
call: gtm_long_t pyb_gtm_call(I:gtm_long_t, O:gtm_string_t*[64], O:gtm_string_t*[64], I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*)
piece: gtm_long_t pyb_gtm_piece(I:gtm_long_t, O:gtm_string_t*[64])
output: gtm_long_t pyb_gtm_output(O:gtm_string_t*[64])
rows: gtm_long_t pyb_gtm_rows(I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*, I:gtm_string_t*) : SIGSAFE
field: gtm_long_t pyb_gtm_field(I:gtm_string_t*, I:gtm_string_t*) : SIGSAFE
record: gtm_long_t pyb_gtm_record(I:gtm_string_t*) : SIGSAFE
outer: gtm_long_t pyb_gtm_outer(I:gtm_long_t, I:gtm_string_t*) : SIGSAFE
pull: gtm_long_t pyb_gtm_pull(O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64])
pairs: gtm_long_t pyb_gtm_pairs(O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64])
cell: gtm_long_t pyb_gtm_cell(O:gtm_string_t*[64], O:gtm_string_t*[64], O:gtm_string_t*[64])
