//! Words of Python, NumPy and PyTorch, and what they are called here.

/// What to write instead of a function, method, property or variable that other languages have.
pub fn instead(word: &str) -> Option<&'static str> {
    let hint = match word {
        "None" | "null" | "nil" | "undefined" => "nothing is written `()`",
        "True" => "write `true`",
        "False" => "write `false`",
        "range" | "xrange" => "write `for i in 0..10`, or range(0, 10, 2) with a step",
        "T" | "t" | "mT" | "swapaxes" => "write t.transpose(0, 1)",
        "size" => "the sizes are t.shape, their product is t.numel",
        "ndim" | "dim" => "the number of dimensions is t.rank",
        "view" | "resize_" => "write t.reshape([2, -1])",
        "clone" => "`let b = t` is a copy: no function changes a tensor, and t[0] = 1 changes this variable only",
        "interpolate" => "write t.resize([h, w], #{ mode: \"nearest\" })",
        "randperm" => "write permutation(n)",
        "numpy" | "tolist" => "write t.to_array()",
        "cuda" | "gpu" => "write .to_device(\"cuda\"), or start with --device cuda",
        "cpu" => "write .to_device(\"cpu\")",
        "to" => "write .to_dtype(\"f32\") or .to_device(\"cpu\")",
        "astype" | "type" => "write .to_dtype(\"f32\")",
        "float" => "t.to_dtype(\"f32\") for a tensor, n.to_float() for a number, parse_float(text) for a string",
        "half" => "write .to_dtype(\"f16\")",
        "double" => "write .to_dtype(\"f64\")",
        "long" => "write .to_dtype(\"i64\")",
        "int" => "t.to_dtype(\"i64\") for a tensor, n.to_int() for a number, parse_int(text) for a string",
        "to_int" | "to_float" => "parse_int(text) and parse_float(text) read a string",
        "bool" => "write t.ne(0) for a mask",
        "str" | "repr" => "write x.to_string(), or put it into a text: `x = ${x}`",
        "requires_grad" | "requires_grad_" | "Parameter" => "write tensor::variable(t)",
        "grad" => "write let g = loss.backward(); g.of(variable)",
        "argsort" => "write t.sort(dim).indices",
        "kthvalue" => "write t.sort(dim).values",
        "histc" => "write t.histogram(bins).hist",
        "zero_grad" => "nothing to do: backward() gives new gradients each time, optimizer.step(loss.backward())",
        "append" | "add" => "write list.push(x)",
        "extend" => "write list.append(other), or list += other",
        "length" => "write x.len",
        "upper" => "write text.to_upper()",
        "lower" => "write text.to_lower()",
        "any" => "write list.some(|x| x > 0) for a list, mask.max().item() == 1 for a mask",
        "strip" => "write text.trim()",
        "enumerate" => "write for (item, i) in list { .. }",
        "zip" => "write a.zip(b, |x, y| [x, y])",
        "sorted" => {
            "write list.sort(), which gives the sorted list where a value is wanted and changes the list elsewhere"
        }
        "reversed" => "write list.reverse()",
        "isinstance" | "type_name" => "write type_of(x) == \"i64\"",
        "items" => "write for key in map.keys() { map[key] }",
        "all" => "write list.all(|x| x > 0) for a list, mask.min().item() == 1 for a mask",
        "pass" => "an empty block { } does nothing",
        "self" => "a function takes its value as an argument: fn f(x) { .. }",
        "exit" | "quit" => "%quit or Ctrl-D ends the session",
        "np" | "torch" | "nn" | "F" | "plt" => {
            "seglab's functions are in tensor:: model:: loss:: optim:: data:: train:: eval:: plot::, as tensor::zeros([2, 3])"
        }
        "f16" | "bf16" | "f32" | "f64" | "u8" | "u32" | "i64" => "element types are strings, as \"f32\"",
        "array" => "write tensor::from([1, 2])",
        "load_state_dict" => "write net.load_weights(\"file.safetensors\")",
        "state_dict" => "write net.state(), or net.save(\"file.safetensors\")",
        "savefig" => "write figure.save(\"figure.png\")",
        "plot" => "write figure.line(x, y)",
        "imshow" => "write figure.image(image) or figure.heatmap(values)",
        "legend" | "xlabel" | "ylabel" => {
            "labels are options: figure.line(x, y, #{ label: \"a\" }), plot::figure(#{ x: \"step\", y: \"loss\" })"
        }
        "mIoU" | "mean_iou" => "write score.miou",
        _ => return None,
    };
    Some(hint)
}

/// The statement to write for a keyword of another language at the start of, or inside, a statement.
pub fn keyword(word: &str) -> Option<&'static str> {
    let hint = match word {
        "def" | "function" | "func" => "functions are written fn name(x) { .. }",
        "lambda" => "closures are written |x| x + 1",
        "class" | "struct" => "there are no classes; a map #{ name: value } holds fields",
        "raise" => "write throw \"what went wrong\"",
        "elif" | "elseif" => "write else if",
        "except" | "finally" => "write try { .. } catch (e) { .. }",
        "not" => "write !x",
        "and" => "write a && b",
        "or" => "write a || b",
        "is" => "write a == b",
        "del" => "nothing to do; a value goes when nothing uses it",
        "from" | "with" | "yield" | "async" => "this statement of Python does not exist here",
        "print" => "write print(x), with brackets",
        "var" | "auto" | "mut" => "variables are declared with let",
        "f" => "texts with values are written in backticks: `x = ${x}`",
        _ => return None,
    };
    Some(hint)
}
