pybglobal ; globals as frames, and frames as globals
 quit
 ;
 ; The walk is made as text that names the global, because a reference that is written
 ; out costs a third of one by indirection; and it hands over eight records at a time,
 ; because a call costs as much as the walk itself.
 ;
read(global,variable,type,start,end,mask,labels,options,count)
 ; options: "delimiter", "format"="list" or "nodes", "levels", "encoding"="latin-1",
 ; "errors"="null", "json" for what py_query takes
 new again,careful,format,levels,prefix,spec,status
 set status=$$known(.options) quit:'status status
 set levels=$get(options("levels"),1)
 if levels'?1.2N!(levels<1)!(levels>9) quit "0^levels: wanted 1 to 9 subscripts, got "_levels
 set prefix=$$prefix(global)
 set format=$get(options("format"))
 if format'="",format'="list",format'="nodes" quit "0^format: wanted list or nodes, got "_format
 set spec=levels_$select(format="nodes":"f",1:"")_$select($get(options("encoding"))="latin-1":"l",1:"")_$select($get(options("errors"))="null":"n",1:"")
 set again=1,careful=0,status=$$begin
 for  quit:'status!'again  do
 . set again=careful
 . do walk(1,prefix)
 . ; Only now is it known that there are nodes without a value: all from the start.
 . if careful'=again set again=1,status=$$begin quit
 . set status=$$call^pybridge("frame",,.count,variable,$get(type),$get(labels),$get(options("json")))
 . set again=$get(count)="again"
 quit status
 ;
known(options) ; Has every option a name and a value that there is?
 ; One array may serve several calls, so the options of all of them are known.
 new all,name
 set all=",atomic,delimiter,encoding,errors,format,json,keys,levels,",name=""
 for  set name=$order(options(name)) quit:name=""!(all'[(","_name_","))
 if name'="" quit "0^option """_name_""" is unknown; known: "_$extract(all,2,$length(all)-1)
 if $get(options("encoding"))'="",options("encoding")'="latin-1",options("encoding")'="utf-8" quit "0^encoding: wanted utf-8 or latin-1, got "_options("encoding")
 if $get(options("errors"))'="",options("errors")'="null",options("errors")'="fail" quit "0^errors: wanted fail or null, got "_options("errors")
 quit 1
 ;
begin()
 quit $$call^pybridge("begin",,,spec,$get(mask),$select(format="nodes":$piece($get(labels),",",levels+1,9999),format="list":"",1:$get(options("delimiter"),"^")))
 ;
prefix(global) ; What stands before the last subscript: "^g(" or "^g(1,2,"
 if $extract(global)'="^" set global="^"_global
 quit $select(global["(":$extract(global,1,$length(global)-1)_",",1:global_"(")
 ;
walk(level,prefix) ; The records below prefix, or what is below each of its subscripts.
 new s
 if level=levels do records(prefix) quit
 set s=""
 for  set s=$order(@(prefix_"s)")) quit:s=""  do
 . do &pybridge.outer(level-1,s)
 . do walk(level+1,prefix_$$quote(s)_",")
 quit
 ;
quote(s) ; A subscript as it is written.
 quit $extract($name(x(s)),3,$length($name(x(s)))-1)
 ;
records(prefix)
 new k1,k2,k3,k4,k5,k6,k7,k8,last,r1,r2,r3,r4,r5,r6,r7,r8
 set last=$get(end)
 set k8=$get(start)
 if k8'="" set k8=$order(@(prefix_"k8)"),-1)
 if $get(start)'="",last'="",start]]last quit
 if format="nodes" do nodes quit
 if careful do careful quit
 do fast
 quit
 ;
fast ; A node that has no value, only some below it, ends this way of walking.
 new $etrap
 set $etrap="set $ecode="""",careful=1 quit"
 xecute $$loop(prefix,last)
 do rest
 quit
 ;
loop(prefix,last)
 new i,text
 set text="for "
 for i=1:1:8 do
 . set text=text_" set "_$select(i=1:"",1:"r"_(i-1)_"=^(k"_(i-1)_"),")_"k"_i_"=$order("_$select(i=1:prefix_"k8)",1:"^(k"_(i-1)_")")_")"
 . set text=text_" quit:k"_i_"="""""_$select(last="":"",1:"!(k"_i_"]]last)")_" "
 set text=text_" set r8=^(k8) quit:$&pybridge.rows("
 for i=1:1:8 set text=text_"k"_i_",r"_i_$select(i=8:")",1:",")
 quit text
 ;
nodes ; Each field is a node below the record's subscript.
 new f,inner,k
 set k=$get(start)
 if k'="" set k=$order(@(prefix_"k)"),-1)
 set inner="set f="""" for  set f=$order("_prefix_"k,f)) quit:f=""""  if $data("_prefix_"k,f))#10 do &pybridge.field(f,"_prefix_"k,f))"
 xecute "for  set k=$order("_prefix_"k)) quit:k=""""!(last'=""""&(k]]last))  if $data("_prefix_"k))>9 xecute inner quit:$&pybridge.record(k)"
 quit
 ;
rest ; The records of the last round, which had fewer than eight.
 new i,k
 for i=1:1:8 set k=@("k"_i) quit:k=""!(last'=""&(k]]last))  quit:i=8  quit:$&pybridge.rows(k,@("r"_i))
 quit
 ;
careful ; One at a time, without those that have no value.
 new k,r
 set k=$get(start)
 if k'="" set k=$order(@(prefix_"k)"),-1)
 for  set k=$order(@(prefix_"k)")) quit:k=""!(last'=""&(k]]last))  if $data(@(prefix_"k)"))#10,$&pybridge.rows(k,@(prefix_"k)")) quit
 quit
 ;
write(global,variable,mode,options,count)
 ; mode: "fail" where the global is there, "replace" it, or "append" to it.
 ; options: "delimiter", "keys" (labels of the columns that are subscripts, with commas
 ; between), "atomic"=1 for one transaction
 new delimiter,i,prefix,status
 set status=$$known(.options) quit:'status status
 set mode=$get(mode,"fail"),count=0,prefix=$$prefix(global)
 if mode'="fail",mode'="replace",mode'="append" quit "0^mode: wanted fail, replace or append, got "_mode
 if prefix["," quit "0^the global to write has no subscripts, got "_global
 if mode="fail",$data(@$extract(prefix,1,$length(prefix)-1)) quit "0^"_$extract(prefix,1,$length(prefix)-1)_" is there already; the modes replace and append write to it"
 set delimiter=$get(options("delimiter"),"^")
 set status=$$call^pybridge("pull",,,variable,$get(options("keys")),delimiter)
 quit:'status status
 ; What M itself refuses (a subscript or a record that is too long) is a status too.
 new $etrap,problem
 set $etrap="set problem=$zstatus,$ecode="""" zgoto "_$zlevel_":failed^pybglobal"
 if $get(options("atomic")) tstart ():serial
 ; A transaction that GT.M begins anew needs its rows anew.
 if $trestart,$get(options("atomic")) set count=0,status=$$call^pybridge("pull",,,variable,$get(options("keys")),delimiter) if 'status trollback -1 quit status
 if mode="replace" kill @$extract(prefix,1,$length(prefix)-1)
 set i=+$order(@(prefix_""""")"),-1)
 do @$select($get(options("format"))="nodes":"cells",$get(options("keys"))="":"numbered",options("keys")[",":"several",1:"keyed")
 set status=$$call^pybridge("pulled")
 if $get(options("atomic")) trollback:'status -1 tcommit:status
 quit status
 ;
failed ; M has refused a node.
 set status=$$call^pybridge("pulled")
 if $get(options("atomic")),$tlevel trollback -1
 quit "0^"_problem
 ;
cells ; Each field a node below the record's subscripts; NULL has none.
 new at,f,k,key,n,v
 set key=""
 for  set n=$&pybridge.cell(.k,.f,.v) quit:n<1  do
 . if k'=key set key=k,count=count+1,at=$select($get(options("keys"))="":prefix_(i+k)_",",1:prefix_$$subscripts(k)_",")
 . set @(at_"f)")=v
 quit
 ;
subscripts(key) ; What is joined by the delimiter, as it is written.
 new i,text
 set text=""
 for i=1:1:$select(options("keys")[",":$zlength(key,delimiter),1:1) set text=text_$select(i=1:"",1:",")_$$quote($select(options("keys")[",":$zpiece(key,delimiter,i),1:key))
 quit text
 ;
numbered ; Below 1, 2, ... or behind the last number that is there.
 new j,n,r1,r2,r3,r4,r5,r6,r7,r8
 xecute "for  set n=$&pybridge.pull(.r1,.r2,.r3,.r4,.r5,.r6,.r7,.r8) quit:n<8  set "_prefix_"i+1)=r1,"_prefix_"i+2)=r2,"_prefix_"i+3)=r3,"_prefix_"i+4)=r4,"_prefix_"i+5)=r5,"_prefix_"i+6)=r6,"_prefix_"i+7)=r7,"_prefix_"i+8)=r8,i=i+8,count=count+8"
 for j=1:1:n set @(prefix_"i+j)")=@("r"_j),count=count+1
 quit
 ;
keyed
 new j,k1,k2,k3,k4,n,r1,r2,r3,r4
 xecute "for  set n=$&pybridge.pairs(.k1,.r1,.k2,.r2,.k3,.r3,.k4,.r4) quit:n<4  set "_prefix_"k1)=r1,"_prefix_"k2)=r2,"_prefix_"k3)=r3,"_prefix_"k4)=r4,count=count+4"
 for j=1:1:n set @(prefix_"k"_j_")")=@("r"_j),count=count+1
 quit
 ;
several ; Subscripts of several columns.
 new i,j,k1,k2,k3,k4,key,n,r1,r2,r3,r4
 for  set n=$&pybridge.pairs(.k1,.r1,.k2,.r2,.k3,.r3,.k4,.r4) quit:n<1  do  quit:n<4
 . for j=1:1:n do
 . . set key=""
 . . for i=1:1:$zlength(@("k"_j),delimiter) set key=key_$select(i=1:"",1:",")_$$quote($zpiece(@("k"_j),delimiter,i))
 . . set @(prefix_key_")")=@("r"_j),count=count+1
 quit
