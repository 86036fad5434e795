//! What `help` says about the language itself: values, statements, and the traps for people who come from Python.

use crate::script::prelude::*;

/// The topics: the names under which they are found, the first of them shown, and the text.
const TOPICS: &[(&str, &str)] = &[
    ("variables variable let const", VARIABLES),
    ("numbers number int float math", NUMBERS),
    ("strings string text str", STRINGS),
    ("arrays array list lists", ARRAYS),
    ("maps map dict dictionary", MAPS),
    ("loops loop for while if switch break continue", LOOPS),
    ("functions function fn return", FUNCTIONS),
    ("closures closure lambda", CLOSURES),
    ("errors error try catch throw", ERRORS),
    ("modules module import export", MODULES),
];

/// Declare them.
pub fn declare(table: &mut Table) {
    for (names, doc) in TOPICS {
        table.topic(names, doc);
    }
}

const VARIABLES: &str = " Variables are declared with `let`, then assigned with `=`.

 `x = 5` without `let` before is an error; declaring again hides the older variable. A block `{ .. }` has variables of its own.
 `_` alone is no name.
 ```
 let x = 5;
 x += 1;
 let y = if x > 5 { \"big\" } else { \"small\" };
 assert_eq([x, y], [6, \"big\"]);
 ```
";

const NUMBERS: &str = " Integers and floats; an integer over an integer is an integer.

 `5 / 8` is 0: write `5.0 / 8` or `5.to_float() / 8`. Powers are `2 ** 10`; `^` is the exclusive or of bits. `7 % 3` is the
 remainder. sqrt, exp, log, sin, floor, round and so on are functions and take both; `PI` is there.
 ```
 assert_eq([5 / 8, 5.0 / 8], [0, 0.625]);
 assert_eq(2 ** 10, 1024);
 assert_close(sqrt(2) * sqrt(2), 2);
 ```
";

const STRINGS: &str = " Text in \"double quotes\", or in `backticks` with values as ${x}.

 Text in backticks may go over several lines. Parts: `s[0]` is a character, `s.sub_string(1..3)` a part. `+` joins. Methods that
 change a string, as `trim` and `replace`, do so where they are a statement of their own and give a new string elsewhere.
 ```
 let miou = 0.5;
 let text = `mIoU ${miou}`;
 assert_eq(text, \"mIoU 0.5\");
 assert_eq(text.replace(\"mIoU\", \"IoU\").to_upper(), \"IOU 0.5\");
 ```
";

const ARRAYS: &str = " Lists of values of any kind: [1, \"two\", [3]].

 `a[0]` is the first item, `a[-1]` the last, `a.extract(1..3)` a part, `a + b` joins, `x in a` asks. `let b = a` is a copy. Arrays do
 not compute: `tensor::from(a) * 2` does, as does `a.map(|x| x * 2)`, which also stands for Python's list comprehensions.
 ```
 let a = [3, 1];
 a.push(2);
 let sorted = a.sort();
 assert_eq([a, sorted], [[3, 1, 2], [1, 2, 3]]);
 assert_eq(a.filter(|x| x > 1).map(|x| x * x), [9, 4]);
 ```
";

const MAPS: &str = " Values by name: #{ lr: 0.1, steps: 100 }.

 `m.lr` and `m[\"lr\"]` read and write, `\"lr\" in m` asks. A loop runs over `m.keys()`. A map at the end of a call holds its options.
 ```
 let m = #{ lr: 0.1 };
 m.steps = 100;
 let names = [];
 for name in m.keys() { names.push(`${name} = ${m[name]}`); }
 assert_eq(names, [\"lr = 0.1\", \"steps = 100\"]);
 ```
";

const LOOPS: &str = " Loops and choices: for, while, loop, if and switch; blocks stand in { }.

 `for x in list`, `for i in 0..10` (without 10), `for (x, i) in list` with the place of each item. `break` and `continue` as elsewhere.
 ```
 let seen = [];
 for (name, i) in [\"a\", \"b\"] {
     if i == 1 { seen.push(name); } else { continue; }
 }
 let n = 0;
 while n < 3 { n += 1; }
 let word = switch n { 3 => \"three\", _ => \"other\" };
 assert_eq([seen, word], [[\"b\"], \"three\"]);
 ```
";

const FUNCTIONS: &str = " Written fn name(a, b) { .. }; the last value, or `return`, is the answer.

 Functions see no variables from outside, only their arguments; closures do. A comment of lines that start with three slashes in front of a
 function is its help: `name?` shows it, `name??` the text of the function.
 ```
 fn mean(a, b) { (a + b) / 2.0 }
 assert_eq(mean(1, 2), 1.5);
 ```
";

const CLOSURES: &str = " A function as a value: |a, b| a + b, called with .call(..).

 A closure sees the variables around it and shares them: what it changes is changed outside. While a function works on a list, a
 closure given to it cannot see that list: instead of `a.map(|x| x / a.max())` write `let top = a.max(); a.map(|x| x / top)`.
 ```
 let sum = 0;
 let add = |x| { sum += x; sum };
 add.call(2);
 assert_eq(add.call(3), 5);
 assert_eq(sum, 5);
 ```
";

const ERRORS: &str = " Caught by try { .. } catch (e) { .. }, thrown by throw value.

 `e` is what was thrown, else the message as text; in either case `e.message` and `e.line` are there. `throw;` or `throw e;` throws it
 again. Ctrl-C is not caught.
 ```
 let found = ();
 try { [1, 2][7] } catch (e) { found = e; }
 assert(`${found}`.contains(\"2 elements\") && found.line == 2);
 try { throw \"stop\" } catch (e) { found = e; }
 assert(found == \"stop\" && found.message == \"stop\");
 ```
";

const MODULES: &str = " Functions of another file: import \"file\" as name; name::function(..).

 `import` reads file.rhai beside the importing script, again when it has changed. Its functions are there, its variables if it says `export`.
 ```
 let caught = \"\";
 try { import \"no_such_file\" as nothing; } catch (e) { caught = e.message; }
 assert(caught.contains(\"there is no file\"));
 ```
";
