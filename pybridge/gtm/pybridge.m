pybridge ; Python in this process, under the names of the gateway's Main API
 ;
 ; Each label gives 1, or "0^" and what went wrong; results come by reference. A text
 ; longer than a string of M is an array of its pieces, text(1), text(2) ..., on the way
 ; in and on the way out. Names, serializations and types are in docs/gtm.md.
 quit
 ;
 ; ---- Start and end
 ;
Setup() ; Start Python now, rather than at the first call.
 quit $$call("setup")
 ;
Initialize(file) ; The same: which Python is said when the library is installed.
 quit $$call("setup")
 ;
Finalize() ; Drop all contexts; Python goes on, and so do its modules.
 quit $$call("finalize")
 ;
Unload() ; The library stays: Python cannot be taken out of a process.
 quit $$call("finalize")
 ;
Context(name,before) ; Switch to the context of that name; give the one before.
 quit $$call("context",,.before,$get(name))
 ;
Deadline(milliseconds) ; Stop each call that takes longer; 0 = none.
 quit $$call("deadline",,,$get(milliseconds))
 ;
 ; ---- Code execution
 ;
ImportModule(module,imported,alias) ; imported: was it before? alias: its name now
 new info,status
 set status=$$json("import_module",.info,module,$get(alias))
 set imported=$get(info("imported")),alias=$get(info("alias"))
 quit status
 ;
SimpleString(code,variable,serialization,result) ; Run code, then fetch a variable.
 quit $$call("simple_string",.code,.result,$get(variable),$$form($get(serialization)))
 ;
ExecuteCode(code,variable) ; Run code; keep the value of its last expression.
 quit $$call("execute_code",.code,,$get(variable))
 ;
Evaluate(expression,serialization,result) ; Without a serialization: as M writes it.
 quit $$call("evaluate",.expression,.result,$get(serialization))
 ;
ExecuteFunction(function,positional,keyword,variable,serialization,result)
 ; positional(1), (2) ... and keyword(name) are values, whose type is at "type" below
 ; them; or each of the two is JSON, an array and an object.
 new i,name,status
 if $data(positional)<10,$data(keyword)<10 quit $$function(function,.result,$get(variable),$get(serialization),$get(positional),$get(keyword))
 if $get(positional)'="",$data(positional)<10 do decode^pybjson(positional,.positional)
 if $get(keyword)'="",$data(keyword)<10 do decode^pybjson(keyword,.keyword)
 set status=1
 set i=""
 for  set i=$order(positional(i)) quit:i=""!'status  set status=$$argument(positional(i),$get(positional(i,"type")))
 set name=""
 for  set name=$order(keyword(name)) quit:name=""!'status  set status=$$argument(keyword(name),$get(keyword(name,"type")),name)
 quit:'status status
 quit $$function(function,.result,$get(variable),$get(serialization))
 ;
ExecuteFunctionArgs(function,variable,serialization,result,a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20)
 ; A last argument that begins with "**{" is a JSON object of keyword arguments.
 new i,keyword,positional,value
 for i=1:1:20 quit:'$data(@("a"_i))  set positional(i)=@("a"_i)
 set i=$order(positional(""),-1)
 if i'="",$extract(positional(i),1,3)="**{" do decode^pybjson($extract(positional(i),3,$zlength(positional(i))),.keyword) kill positional(i)
 quit $$ExecuteFunction(function,.positional,.keyword,$get(variable),$get(serialization),.result)
 ;
 ; ---- The shell
 ;
Shell(code,result) ; Without code the user types; with code it is as if it was typed.
 use $principal:(flush)
 quit $$call("shell",.code,.result)
 ;
 ; ---- Python -> M
 ;
GetVariable(variable,serialization,stream,useString)
 quit $$call("get_variable",,.stream,variable,$$form($get(serialization)))
 ;
GetVariableJson(variable,stream,useString)
 quit $$call("get_variable",,.stream,variable,"json")
 ;
GetVariablePickle(variable,stream,useString,useDill)
 quit $$call("get_variable",,.stream,variable,$select($get(useDill):"dill",1:"pickle"))
 ;
SetVariable(variable,value,type) ; Bind a value; its type is a letter of a mask.
 new status
 if $data(value)<10 quit $$call("set_variable",,,variable,value,$get(type))
 set status=$$feed(.value)
 quit:'status status
 quit $$call("set_variable",,,variable,"",$get(type))
 ;
 ; ---- Auxiliary
 ;
GetVariableInfo(variable,serialization,defined,type,length)
 new info,status
 set status=$$json("get_variable_info",.info,variable,$get(serialization))
 set defined=$get(info("defined")),type=$get(info("type")),length=$get(info("length"))
 quit status
 ;
GetVariableDefined(variable,defined)
 new length,type
 quit $$GetVariableInfo(variable,,.defined,.type,.length)
 ;
GetVariableType(variable,type)
 new defined,length,status
 set status=$$GetVariableInfo(variable,,.defined,.type,.length)
 if status,'defined quit "0^'"_variable_"' is not defined"
 quit status
 ;
GetModuleInfo(module,imported,alias)
 new info,status
 set status=$$json("get_module_info",.info,module)
 set imported=$get(info("imported")),alias=$get(info("alias"))
 quit status
 ;
GetFunctionInfo(function,defined,type,docs,signature,arguments)
 new info,status
 set status=$$json("get_function_info",.info,function)
 set defined=$get(info("defined")),type=$get(info("type")),docs=$get(info("docs"))
 set signature=$get(info("signature"))
 kill arguments
 merge arguments=info("arguments")
 quit status
 ;
GetStatus(report) ; The last failure, with its traceback in report, and forget it.
 new status
 set status=$$json("get_status",.report)
 if 'status!($get(report("type"))="") quit status
 quit "0^"_report("type")_": "_$get(report("message"))
 ;
 ; ---- M -> Python
 ;
ExecuteGlobal(global,variable,type,start,end,mask,labels,options,count)
 quit $$read^pybglobal(global,variable,$get(type),$get(start),$get(end),$get(mask),$get(labels),.options,.count)
 ;
ExecuteTable(table,variable,type,start,end,properties,options,count)
 ; A table is a global that ^%pybridge describes; properties are masks of its fields.
 quit $$read^pybschema(table,variable,$get(type),$get(start),$get(end),$get(properties,"*"),.options,.count)
 ;
ExecuteClass(class,variable,type,start,end,properties,options,count)
 quit $$ExecuteTable(class,variable,$get(type),$get(start),$get(end),$get(properties,"*"),.options,.count)
 ;
ExecuteQuery(query,variable,type,namespace,options,count)
 ; SQL over the tables of ^%pybridge; or in another database, which namespace names.
 ; options: JSON, as py_query has them
 if $get(namespace)="" quit $$query^pybschema(query,variable,$get(type),$get(options),.count)
 quit $$call("execute_query",.query,.count,variable,$get(type),namespace,$get(options))
 ;
DefineTable(table,global,variable,options) ; Describe a global that WriteGlobal writes.
 quit $$define^pybschema(table,global,variable,.options)
 ;
GuessTable(table,global,labels,options) ; Describe a global by what is in it.
 quit $$guess^pybschema(table,global,$get(labels),.options)
 ;
 ; ---- Python -> M, in bulk
 ;
WriteGlobal(variable,global,layout,mode,options,count) ; layout: the delimiter, or "nodes"
 if $get(layout)="nodes" set options("format")="nodes"
 else  set:$get(layout)'="" options("delimiter")=layout
 quit $$write^pybglobal(global,variable,$get(mode,"fail"),.options,.count)
 ;
 ; ---- Context persistence
 ;
SaveContext(context,maxLength,mask,verbose,name,description) ; context: the snapshot's id
 new status,text
 set status=$$call("save_context",,.context,$get(name),$get(mask),$get(maxLength),$get(description))
 if status,$get(verbose) set status=$$DisplayContext(context)
 quit status
 ;
DisplayContext(id) ; Write what is in a snapshot, or in the context as it is now.
 new status,text
 set status=$$call("display_context",,.text,$get(id))
 if status do print^pybcall(text) write !
 quit status
 ;
RestoreContext(id,verbose,clear,mask,report) ; report: what was restored and what not
 new status,text
 set status=$$call("restore_context",,.text,id,$get(mask),+$get(clear))
 if status do decode^pybjson(text,.report)
 if status,$get(verbose) set status=$$DisplayContext(id)
 quit status
 ;
 ; ---- How calls are made
 ;
call(verb,text,result,a,b,c,d,e) ; text comes before a, where a verb has one
 new i,problem,rc,value
 kill result
 if $data(text)>9 set rc=$$feed(.text) if 'rc quit rc
 if $data(text)#10!($data(text)>9) set rc=$&pybridge.call($tlevel,.value,.problem,verb,$get(text),$get(a),$get(b),$get(c),$get(d))
 else  set rc=$&pybridge.call($tlevel,.value,.problem,verb,$get(a),$get(b),$get(c),$get(d),$get(e))
 do:$tlevel held
 if rc>0 quit "0^"_problem
 set result=value
 if rc<0 set result="" for i=0:1:-rc-1 do &pybridge.piece(i,.value) set result(i+1)=value
 quit 1
 ;
feed(text) ; Hand over a text that is an array.
 new i,problem,rc,value
 set rc=0
 if $get(text)'="" set rc=$&pybridge.call($tlevel,.value,.problem,"feed",text)
 set i=""
 for  set i=$order(text(i)) quit:i=""!rc  set rc=$&pybridge.call($tlevel,.value,.problem,"feed",text(i))
 quit:rc>0 "0^"_problem
 quit 1
 ;
argument(value,type,name)
 new problem,rc,result
 set rc=$&pybridge.call($tlevel,.result,.problem,"argument",value,$get(type),$get(name))
 quit:rc>0 "0^"_problem
 quit 1
 ;
function(function,result,variable,serialization,positional,keyword)
 quit $$call("execute_function",,.result,function,variable,$$form(serialization),$get(positional),$get(keyword))
 ;
json(verb,node,a,b) ; A call whose result is JSON, into node.
 new result,status
 kill node
 set status=$$call(verb,,.result,$get(a),$get(b))
 if status,$get(result)'="" do decode^pybjson(result,.node)
 quit status
 ;
form(serialization) ; The original's default is str.
 quit $select(serialization="":"str",1:serialization)
 ;
held ; Write what Python printed while M could not be called.
 new left,text
 for  set left=$&pybridge.output(.text) do:text'="" print^pybcall(text) quit:'left
 quit
