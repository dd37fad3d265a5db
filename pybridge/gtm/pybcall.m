pybcall ; what Python asks of M: globals, code, output
 quit
 ;
call(result,problem,verb,a,b,c,d) ; The one call-in: see c/hosts/gtm/callin.c.
 new $etrap,$estack
 set $etrap="set problem=$zstatus,$ecode="""" trollback:$tlevel  quit"
 set (result,problem)=""
 do @verb
 quit
 ;
print(a) ; Write text to the current device, with $x and $y right.
write new i
 for i=1:1:$zlength(a,$zchar(10)) write:i>1 ! write $zpiece(a,$zchar(10),i)
 quit
get set result=$data(@a)#10 set:result result=result_@a quit
set set @a=b quit
kill kill @a quit
data set result=$data(@a) quit
order set result=$order(@a,b) quit
query set result=$query(@a) quit
increment set result=$increment(@a,b) quit
xecute xecute a quit
evaluate set @("result="_a) quit
lock lock +@a:b set result=$test quit
unlock lock -@a quit
commit ; Sets and kills, all or none: "s" or "k", a reference and a value, each packed.
 new at,op,ref,value
 set at=1
 tstart ():serial
 for  quit:at>$zlength(a)  do
 . set op=$$unpack,ref=$$unpack,value=$$unpack
 . if op="s" set @ref=value
 . else  kill @ref
 tcommit
 quit
unpack() ; The part that begins at `at`: its length, a colon, its bytes.
 new from,size
 set from=$zfind(a,":",at),size=$zextract(a,at,from-2),at=from+size
 quit $zextract(a,from,at-1)
