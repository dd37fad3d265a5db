pybschema ; tables: what is in the records of a global
 ;
 ; ^%pybridge("table",name)=global, and below it:
 ;   "keys"=names of the subscripts, with commas between; "id" unless said otherwise
 ;   "delimiter", "format": as ExecuteGlobal has them
 ;   "field",position)=name, "field",position,"type")=a letter of a mask
 quit
 ;
read(table,variable,type,start,end,properties,options,count)
 new field,global,labels,mask,name,position
 if '$data(^%pybridge("table",table)) quit "0^there is no table '"_table_"' in ^%pybridge; known: "_$$known
 set global=^%pybridge("table",table),labels=$get(^(table,"keys"),"id"),mask=""
 set options("levels")=$length(labels,",")
 if $data(^%pybridge("table",table,"delimiter")) set options("delimiter")=^("delimiter")
 if $data(^%pybridge("table",table,"format")) set options("format")=^("format")
 set position="",name=0
 for  set position=$order(^%pybridge("table",table,"field",position)) quit:position=""  do
 . set field=^(position)
 . if '$$matches(field,$get(properties,"*")) set:$get(options("format"))'="nodes" $extract(mask,position)="-" quit
 . set labels=labels_","_field,name=name+1
 . set $extract(mask,$select($get(options("format"))="nodes":$length(mask)+1,1:position))=$get(^%pybridge("table",table,"field",position,"type"),"+")
 if 'name quit "0^no field of table '"_table_"' is like '"_properties_"'; it has: "_$$fields(table)
 quit $$read^pybglobal(global,variable,$get(type),$get(start),$get(end),$translate(mask," ","-"),labels,.options,.count)
 ;
known() ; The tables there are.
 new name,names
 set (name,names)=""
 for  set name=$order(^%pybridge("table",name)) quit:name=""  set names=names_$select(names="":"",1:", ")_name
 quit $select(names="":"none",1:names)
 ;
fields(table)
 new names,position
 set (names,position)=""
 for  set position=$order(^%pybridge("table",table,"field",position)) quit:position=""  set names=names_$select(names="":"",1:", ")_^(position)
 quit names
 ;
matches(name,masks) ; Is the name like one of the masks, * any run and ? one character?
 new found,i
 set found=0
 for i=1:1:$length(masks,",") quit:found  set found=$$like(name,$$trim($piece(masks,",",i)))
 quit found
 ;
trim(text)
 for  quit:$extract(text)'=" "  set text=$extract(text,2,$length(text))
 for  quit:$extract(text,$length(text))'=" "  set text=$extract(text,1,$length(text)-1)
 quit text
 ;
like(name,mask)
 new c,found,i
 if mask="" quit name=""
 set c=$extract(mask),mask=$extract(mask,2,$length(mask))
 if c="?" quit $select(name="":0,1:$$like($extract(name,2,$length(name)),mask))
 if c'="*" quit $select($extract(name)'=c:0,1:$$like($extract(name,2,$length(name)),mask))
 set found=0
 for i=1:1:$length(name)+1 quit:found  set found=$$like($extract(name,i,$length(name)),mask)
 quit found
 ;
define(table,global,variable,options) ; From a frame, as WriteGlobal writes it.
 new columns,i,position,status,text
 set status=$$letters(variable,.columns)
 quit:'status status
 do begin(table,global,.options)
 set position=0
 for i=1:1 quit:'$data(columns(i))  if ","_$get(options("keys"))_","'[(","_columns(i,1)_",") do
 . set position=position+1
 . set ^%pybridge("table",table,"field",position)=columns(i,1),^(position,"type")=columns(i,2)
 quit 1
 ;
guess(table,global,labels,options) ; From the data: all of it is looked at.
 new before,columns,count,i,keys,status
 set status=$$Context^pybridge("pybridge tables",.before)
 set status=$$read^pybglobal(global,"guessed","arrow",,,,$get(labels),.options,.count)
 if status set status=$$letters("guessed",.columns)
 set i=$$ExecuteCode^pybridge("globals().pop('guessed', None)"),i=$$Context^pybridge(before)
 quit:'status status
 set options("keys")=columns(1,1)
 for i=2:1:$get(options("levels"),1) set options("keys")=options("keys")_","_columns(i,1)
 do begin(table,global,.options)
 for i=$get(options("levels"),1)+1:1 quit:'$data(columns(i))  do
 . set ^%pybridge("table",table,"field",i-$get(options("levels"),1))=columns(i,1),^(i-$get(options("levels"),1),"type")=columns(i,2)
 quit 1
 ;
letters(variable,columns) ; columns(i,1)=name, columns(i,2)=letter
 new status,text
 set status=$$Evaluate^pybridge("__import__('pybridge.gtm.tables',fromlist='x').letters("_variable_")","json",.text)
 if status do decode^pybjson(text,.columns)
 quit status
 ;
begin(table,global,options)
 new name
 kill ^%pybridge("table",table)
 set ^%pybridge("table",table)=$select($extract(global)="^":global,1:"^"_global)
 for name="delimiter","format" if $data(options(name)) set ^%pybridge("table",table,name)=options(name)
 set ^%pybridge("table",table,"keys")=$select($get(options("keys"))="":"id",1:options("keys"))
 quit
 ;
query(sql,variable,type,options,count) ; SQL over the tables that it names
 new at,code,status,table,words
 set status=$$Context^pybridge("pybridge tables",.at)
 set words=" "_$translate(sql,$zchar(9,10,13)_"(),;=<>""","          ")_" "
 set table=""
 for  set table=$order(^%pybridge("table",table)) quit:table=""!'status  if $$lower(words)[(" "_$$lower(table)_" ") set status=$$load(table)
 if status set status=$$run(sql,variable,$get(type),$get(options),at,.count)
 set code=$$ExecuteCode^pybridge("for name in [n for n in globals() if not n.startswith('__')]: del globals()[name]"_$char(10)_"globals().pop('name', None)")
 set code=$$Context^pybridge(at)
 quit status
 ;
load(table)
 new options
 quit $$read(table,table,"arrow",,,,.options)
 ;
run(sql,variable,type,options,at,count)
 new p
 set p(1)=sql,p(2)=variable,p(3)=type,p(4)=options,p(5)=at
 set p(1,"type")="s",p(2,"type")="s",p(3,"type")="s",p(4,"type")="s",p(5,"type")="s"
 quit $$ExecuteFunction^pybridge("__import__('pybridge.gtm.tables',fromlist='x').run",.p,,,"value",.count)
 ;
lower(text)
 quit $translate(text,"ABCDEFGHIJKLMNOPQRSTUVWXYZ","abcdefghijklmnopqrstuvwxyz")
