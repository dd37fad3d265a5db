zpy(code) ; one line of Python, whose value is shown; or the shell: do ^zpy
 new status
 if $data(code)=0 set status=$$Shell^pybridge() write:'status $piece(status,"^",2,999),! quit
 set status=$$Shell^pybridge(.code)
 write:'status $piece(status,"^",2,999),!
 quit
