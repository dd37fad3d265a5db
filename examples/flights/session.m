; The demo's session: Python inside GT.M. By hand, from the repository:
;   . output/gtm/environment.sh; mumps -direct < examples/flights/session.m

; 1. Python runs inside this process. do ^zpy runs a line; its value is shown.
do ^zpy("import sys; sys.path.insert(0, 'examples/flights'); import delays")
do ^zpy("flights = delays.table('flights')")
do ^zpy("flights.shape")

; 2. A DataFrame becomes a global, one record a row; then another one.
set sc=$$WriteGlobal^pybridge("flights","^flights","|","replace",,.count)
write count," records; the first is: ",^flights(1)
do ^zpy("airlines = delays.table('airlines')")
set o("keys")="carrier",sc=$$WriteGlobal^pybridge("airlines","^airline","|","replace",.o)
write ^airline("UA")

; 3. The global becomes a DataFrame: beside it the time of M's own bare loop over it.
set start=$zut,k="" for  set k=$order(^flights(k)) quit:k=""  set record=^flights(k)
set loop=$zut-start
set sc=$$Evaluate^pybridge("','.join(['id', *flights.columns])","str",.labels)
set d("delimiter")="|",start=$zut
set sc=$$ExecuteGlobal^pybridge("^flights","df",,,,,labels,.d,.count),took=$zut-start
write "M's own loop   ",$justify(loop/1E6,0,3)," s"
write "ExecuteGlobal  ",$justify(took/1E6,0,3)," s, ",$justify(took/loop,0,2)," times as long, for 20 typed columns"
do ^zpy("df[['id', 'carrier', 'dep_delay', 'arr_delay', 'distance']].head(3)")

; 4. SQL over globals, once it is said what is in them.
set d("keys")="id",sc=$$DefineTable^pybridge("flights","^flights","flights",.d)
set d("keys")="carrier",sc=$$DefineTable^pybridge("airline","^airline","airlines",.d)
set sql="select a.name, count(*) flights, round(avg(f.arr_delay), 1) delay from flights f"
set sql=sql_" join airline a using (carrier) group by 1 order by delay desc limit 4"
set sc=$$ExecuteQuery^pybridge(sql,"late")
do ^zpy("late")

; 5. A linear model of the delay on arrival, fitted to four flights in five.
set sc=$$ExecuteCode^pybridge("known = df[['id', 'arr_delay', *delays.INPUTS]].dropna()")
set sc=$$ExecuteCode^pybridge("weights = delays.fit(known)")
do ^zpy("dict(zip(delays.INPUTS, weights.round(3).tolist()))")
set sc=$$ExecuteCode^pybridge("predicted = delays.predict(weights, known)")

; 6. The predictions go back into a global, and M takes over.
set o("keys")="id",sc=$$WriteGlobal^pybridge("predicted","^predicted","|","replace",.o,.count)
set (k,sum)="" for  set k=$order(^predicted(k)) quit:k=""  set miss=^(k)-$piece(^(k),"|",2),sum=sum+$select(miss<0:-miss,1:miss)
write count," predictions, ",$justify(sum/count,0,1)," minutes off on average"
set k=$order(^predicted("")) write "flight ",k,": predicted ",+^(k),", was ",$piece(^(k),"|",2)
