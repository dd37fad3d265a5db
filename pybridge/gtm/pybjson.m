pybjson ; JSON as nodes: an object by its names, an array by 1, 2 ...
 quit
 ;
decode(text,node) ; true is 1, false is 0, null is ""; text must be JSON.
 new at
 set at=1
 kill node
 do value("node")
 quit
 ;
value(name) ; Read the value at `at` into the variable called name.
 new c
 do space
 set c=$zextract(text,at)
 if c="{" do object(name) quit
 if c="[" do array(name) quit
 if c="""" set @name=$$string quit
 set c=$$word
 set @name=$select(c="true":1,c="false":0,c="null":"",1:+c)
 if c?.1"-"1.N,$zlength(c)>18 set @name=c
 quit
 ;
object(name)
 new key
 set at=at+1
 for  do space quit:$zextract(text,at)="}"!(at>$zlength(text))  do
 . if $zextract(text,at)="," set at=at+1 do space
 . set key=$$string
 . do space
 . set at=at+1
 . do value($name(@name@(key)))
 set at=at+1
 quit
 ;
array(name)
 new i
 set at=at+1
 for i=1:1 do space quit:$zextract(text,at)="]"!(at>$zlength(text))  do
 . if $zextract(text,at)="," set at=at+1
 . do value($name(@name@(i)))
 set at=at+1
 quit
 ;
string() ; From the quote at `at`; leaves at behind the other one.
 new c,from,out
 set out="",at=at+1,from=at
 for  set c=$zextract(text,at) quit:c=""""!(c="")  set at=at+1 if c="\" do
 . set out=out_$zextract(text,from,at-2)_$$escape
 . set from=at
 set out=out_$zextract(text,from,at-1),at=at+1
 quit out
 ;
escape() ; What stands behind a backslash, at `at`.
 new c,code
 set c=$zextract(text,at),at=at+1
 if c'="u" quit $select(c="n":$zchar(10),c="t":$zchar(9),c="r":$zchar(13),c="b":$zchar(8),c="f":$zchar(12),1:c)
 set code=$$hex
 if code>55295,code<56320,$zextract(text,at,at+1)="\u" set at=at+2,code=code-55296*1024+$$hex+9216
 quit $$utf8(code)
 ;
hex() ; Four hexadecimal digits at `at`.
 new digit,i,sum
 set sum=0
 for i=1:1:4 set digit=$find("0123456789abcdef",$translate($zextract(text,at),"ABCDEF","abcdef"))-2,sum=sum*16+digit,at=at+1
 quit sum
 ;
utf8(code) ; The bytes of a character.
 quit:code<128 $zchar(code)
 quit:code<2048 $zchar(code\64+192,code#64+128)
 quit:code<65536 $zchar(code\4096+224,code\64#64+128,code#64+128)
 quit $zchar(code\262144+240,code\4096#64+128,code\64#64+128,code#64+128)
 ;
space
 for  quit:$zextract(text,at)'?1(1" ",1C)  set at=at+1
 quit
 ;
word() ; A number, or a word.
 new from
 set from=at
 for  quit:",]} "[$zextract(text,at)  set at=at+1
 quit $zextract(text,from,at-1)
