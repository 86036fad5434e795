//! Arguments: variables that inputs find, hostile values, values of a type.

use seglab::random::Random;
use seglab::script::table::Param;

/// The variables that inputs find, by the name of their type in signatures.
pub(crate) const VARIABLES: &str = r##"
    let t = tensor::arange(6).to_dtype("f32").reshape([2, 3]);
    let w = tensor::variable(tensor::ones([3]));
    let image = tensor::randn([1, 3, 16, 16]);
    let labels = tensor::from([[0, 1, 255], [2, 2, 0]]);
    let feature = tensor::randn([2, 4, 3, 3]);
    let feature_labels = tensor::zeros([2, 3, 3]).to_dtype("i64");
    let data = data::scenes(#{ count: 2, size: [16, 24], val_count: 1 });
    let batches = data.batches(#{ size: 1 });
    let net = model::unet(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
    let parameters = net.parameters();
    let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
    let score = eval::segmentation(net, data.val);
    let opt = optim::sgd([w], #{ lr: 0.1 });
    let gradients = (w * w).sum().backward();
    let figure = plot::figure().line([1, 2], [3, 4]);
    let report = { net.save("fuzz.safetensors"); net.load_weights("fuzz.safetensors") };
    let clip = teacher::clip("random");
    let siglip = teacher::siglip("random");
    let sam = teacher::segment_anything("random");
    let segformer = teacher::segformer("random");
    let picture = tensor::rand([3, 16, 24]);
    let list = [3, 1.5, "x", t];
    let map = #{ size: [4, 4], lr: 0.1, a: t };
    let text = "seglab";
    let f = |x| x;
"##;

const HOSTILE: &[&str] = &[
    "()",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "255",
    "9223372036854775807",
    "-9223372036854775807 - 1",
    "1 << 40",
    "1e6",
    "-0.5",
    "0.0",
    "1e300",
    "1e-300",
    "0.0 / 0.0",
    "1.0 / 0.0",
    "-1.0 / 0.0",
    "\"\"",
    "\"f32\"",
    "\"x\"",
    "\"\u{e9}\u{4e16}\"",
    "'c'",
    "[]",
    "[0]",
    "[-1]",
    "[2, 3]",
    "[0, 0]",
    "[1 << 40]",
    "[1 << 40, 1 << 40]",
    "[1 << 62, 4]",
    "[1 << 32, 1 << 32, 0]",
    "[[1, 2], [3]]",
    "[\"a\", ()]",
    "[0.5, 2.0]",
    "[0.0 / 0.0]",
    "#{}",
    "#{ dim: 1 }",
    "#{ dim: -9223372036854775807 }",
    "true",
    "false",
    "0..3",
    "3..0",
    "0..=9223372036854775807",
    "-5..-1",
    "|x| x",
    "||  1",
    "|a, b| a + b",
    "|a, b, c| throw a",
    "Fn(\"abs\")",
    "tensor::zeros([0])",
    "tensor::zeros([0, 3])",
    "tensor::zeros([3, 0, 2])",
    "tensor::from(1.5)",
    "tensor::from(-3)",
    "tensor::from([1, 2]).to_dtype(\"u8\")",
    "tensor::from([0, 5]).to_dtype(\"u32\")",
    "tensor::ones([2, 2]).to_dtype(\"f16\")",
    "tensor::ones([2, 2]).to_dtype(\"bf16\")",
    "tensor::ones([2, 2]).to_dtype(\"f64\")",
    "tensor::from([0.0 / 0.0, 1.0 / 0.0, 1e38])",
    "tensor::from([9223372036854775807, -1])",
    "tensor::ones([1, 2, 4, 4])",
    "tensor::ones([1, 1, 1, 1, 1, 1])",
    "tensor::ones([4, 6]).transpose(0, 1)",
    "tensor::ones([4, 2, 3, 3])",
];

const ALL_VARIABLES: &[&str] = &[
    "t",
    "w",
    "image",
    "labels",
    "feature",
    "feature_labels",
    "data",
    "batches",
    "net",
    "parameters",
    "run",
    "score",
    "opt",
    "gradients",
    "figure",
    "report",
    "clip",
    "siglip",
    "sam",
    "segformer",
    "picture",
    "list",
    "map",
    "text",
    "f",
    "missing",
];

pub(crate) const TENSORS: &[&str] = &[
    "t",
    "w",
    "image",
    "labels",
    "feature",
    "feature_labels",
    "image",
    "feature",
    "picture",
];

pub(crate) fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[random.below(from.len())]
}

pub(crate) fn any(random: &mut Random) -> String {
    let from = if random.chance(0.3) { ALL_VARIABLES } else { HOSTILE };
    pick(random, from).to_string()
}

/// A value of the type called `kind` in signatures, or (with probability `hostile`) anything.
pub(crate) fn value(random: &mut Random, kind: &str, doc: &str, hostile: f64) -> String {
    if random.chance(hostile) {
        return any(random);
    }
    let choices: Vec<&str> = kind.split(" or ").collect();
    let integers = ["0", "1", "2", "3", "4", "8", "-1", "-2", "16", "255"];
    let floats = ["0.1", "0.5", "1.0", "2", "0.0", "-1.0", "1e-8", "0.07"];
    match pick(random, &choices) {
        "int" => pick(random, &integers).into(),
        "float" => pick(random, &floats).into(),
        "bool" => pick(random, &["true", "false"]).into(),
        "Tensor" => pick(random, TENSORS).into(),
        "closure" => pick(
            random,
            &["|x| x", "|a, b| a", "|| 1", "|m, b| m.forward(b.images).mean()"],
        )
        .into(),
        "map" => pick(
            random,
            &[
                "#{}",
                "map",
                "#{ lr: 0.1 }",
                "#{ channels: 8 }",
                "#{ flip: 0.5 }",
                "#{ name: \"poly\" }",
            ],
        )
        .into(),
        "Dataset" => pick(random, &["data", "data.val", "data.train"]).into(),
        "Model" => "net".into(),
        "Run" | "Run]" => "run".into(),
        "Score" => "score".into(),
        "Optimizer" => "opt".into(),
        "Gradients" => "gradients".into(),
        "Figure" => "figure".into(),
        "Parameters" => "parameters".into(),
        "ClipTeacher" => pick(random, &["clip", "siglip"]).into(),
        "SamTeacher" => "sam".into(),
        "SegformerTeacher" => "segformer".into(),
        "string" => {
            let named: Vec<&str> = doc.split('"').skip(1).step_by(2).collect();
            let usual = [
                "\"\"",
                "\"x\"",
                "\"f64\"",
                "\"out/x.png\"",
                "\"x.npz\"",
                "\"lr\"",
                "\"encoder\"",
                "\"../x.svg\"",
            ];
            if named.is_empty() || random.chance(0.2) {
                pick(random, &usual).into()
            } else {
                format!("\"{}\"", pick(random, &named))
            }
        }
        kind if kind.starts_with('[') => {
            let inner = kind
                .trim_matches(['[', ']'])
                .split(", ")
                .next()
                .unwrap_or("any")
                .to_string();
            let count = if kind.contains(',') {
                kind.split(", ").count()
            } else {
                random.below(4)
            };
            let items: Vec<String> = (0..count).map(|_| value(random, &inner, doc, hostile)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => any(random),
    }
}

pub(crate) fn arguments(random: &mut Random, params: &[Param], hostile: f64) -> String {
    let mut given = Vec::new();
    let mut options = Vec::new();
    for param in params {
        let wanted = param.default.is_none() || random.chance(0.25);
        if wanted && !random.chance(hostile / 10.0) {
            let value = value(
                random,
                &param.kind,
                &format!("{} {:?}", param.doc, param.default),
                hostile,
            );
            if param.default.is_none() && options.is_empty() && random.chance(0.9) {
                given.push(value);
            } else {
                options.push(format!("{}: {value}", param.name));
            }
        }
    }
    if random.chance(hostile / 10.0) {
        options.push(format!("{}: 1", pick(random, &["dmi", "lr", "steps", "seed"])));
    }
    if !options.is_empty() {
        given.push(format!("#{{ {} }}", options.join(", ")));
    }
    if random.chance(hostile / 10.0) {
        given.push(any(random));
    }
    given.join(", ")
}
