gtm ; what benchmarks/gtm.py times: a line on stdin is a label and its arguments
 new line
 use $principal:(nocenable)
 for  read line quit:$zeof  do
 . new $etrap,start
 . set $etrap="write ""error ""_$zstatus,! set $ecode="""" quit"
 . do @line
 quit
 ;
done ; the time since start, in milliseconds
 write $zut-start/1000,!
 quit
 ;
fill(n) ; ^p: records of eight fields, of about 45 bytes
 new i
 set start=$zut
 kill ^p
 for i=1:1:n set ^p(i)="name"_i_"^"_i_"^"_(i*37#100000)_"^"_(i/8)_"^"_(i#7)_"^city"_(i#100)_"^"_(i*3)_"^"_(i/100)
 do done
 quit
 ;
read ; the floor: walk the global and fetch each record
 new k,v
 set start=$zut,k=""
 for  set k=$order(^p(k)) quit:k=""  set v=^p(k)
 do done
 quit
 ;
execute
 new sc
 set start=$zut
 set sc=$$ExecuteGlobal^pybridge("^p","df")
 do ok(sc),done
 quit
 ;
naive(n) ; a call for each row
 new k,sc
 set sc=$$ExecuteCode^pybridge("rows=[]"_$char(10)_"def add(k,v): rows.append([k,*v.split('^')])")
 set start=$zut,k=""
 for  set k=$order(^p(k)) quit:k=""!(k>n)  set sc=$$ExecuteFunctionArgs^pybridge("add",,,,k,^p(k))
 set sc=$$ExecuteCode^pybridge("import pandas; slow=pandas.DataFrame(rows)")
 do ok(sc),done
 quit
 ;
csv(file) ; write a file, read it with pandas
 new k,sc
 set start=$zut,k=""
 open file:(newversion:stream:nowrap) use file
 for  set k=$order(^p(k)) quit:k=""  write k,",",$translate(^p(k),"^",","),!
 close file use $principal
 set sc=$$ExecuteCode^pybridge("import pandas; csv=pandas.read_csv('"_file_"',header=None)")
 do ok(sc),done
 quit
 ;
set(n) ; the floor of writing
 new i,x
 kill ^q
 set x=^p(n),start=$zut
 for i=1:1:n set ^q(i)=x
 do done
 quit
 ;
write
 new sc
 kill ^q
 set start=$zut
 set sc=$$WriteGlobal^pybridge("fields","^q")
 do ok(sc),done
 quit
 ;
python(code) ; an expression that must be true
 new sc,start,x
 set start=$zut
 set sc=$$Evaluate^pybridge(code,,.x)
 do ok(sc)
 if 'x write "error ",code," is false",! quit
 do done
 quit
 ;
same(n) ; is ^q what ^p is?
 new i
 set start=$zut
 for i=1:1:n if ^p(i)'=^q(i) write "error ^q(",i,") differs",! quit
 else  do done
 quit
 ;
ok(sc)
 if 'sc set $ecode=",U1,"
 quit
