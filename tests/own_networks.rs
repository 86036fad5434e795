//! Networks of one's own go through everything a network goes through; loops with further sources, averages and early ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

/// A small network with batch norm and dropout, and a small data set.
const START: &str = r#"
fn own() {
    nn::block(#{
        stem: nn::sequential([nn::conv2d(3, 8, #{ padding: 1, stride: 2 }), nn::batch_norm(8), nn::activation("relu")]),
        body: nn::residual(nn::sequential([nn::conv2d(8, 8, #{ padding: 1 }), nn::batch_norm(8), nn::activation("silu"), nn::dropout(0.2)])),
        head: nn::conv2d(8, 9, #{ kernel: 1 }),
    }, |parts, x| {
        let y = parts.body.forward(parts.stem.forward(x));
        #{ logits: parts.head.forward(y), features: y }
    })
}
let data = data::scenes(#{ count: 6, size: [16, 24], val_count: 2 });
let few = #{ batch_size: 2, checkpoint_every: 0 };
"#;

fn script(text: &str) {
    let text = format!("{START}{text}");
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        if let Err(report) = interpreter.run("test", &text, &mut Scope::new()) {
            panic!("{}", report.render(false));
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_network_of_ones_own_is_trained_evaluated_saved_and_continued() {
    script(
        r#"
        let net = model::from(own(), #{ classes: data.classes });
        let pre = train::pretrain(net, data, few + #{ steps: 2 });
        let run = train::finetune(net, data, few + #{ steps: 4, val: data.val, eval_every: 2 });
        assert(run.history.val_miou[3] >= 0.0);
        let score = eval::segmentation(net, data.val);
        assert(net.summary().contains("stem.0") && net.summary().contains("conv2d 3 -> 8"));
        net.save("own.safetensors");
        let text = "";
        try { model::load("own.safetensors"); } catch (e) { text = e.to_string(); }
        assert(text.contains("load_weights") && text.contains("same script"));
        let other = model::from(own(), #{ classes: data.classes });
        other.load_weights("own.safetensors");
        assert_eq(eval::segmentation(other, data.val).miou, score.miou);

        // paused, saved, read into a network built anew: bit for bit the run that was never interrupted
        let options = #{ steps: 6, batch_size: 2, checkpoint_every: 0, seed: 3, ema: 0.9, accumulate: 2, val: data.val, keep: "best", eval_every: 2 };
        let whole = model::from(own(), #{ classes: data.classes });
        let twin = whole.copy();
        let first = train::finetune(whole, data, options);
        let second = train::finetune(twin, data, options + #{ on_step: |e| if e.step == 2 { "stop" } });
        second.save("half.safetensors");
        let third = train::load("half.safetensors", #{ model: model::from(own(), #{ classes: data.classes }), data: data, val: data.val });
        assert_eq(third.step, 3);
        third.resume();
        assert_eq(third.history.loss, first.history.loss);
        let a = first.model.state();
        let b = third.model.state();
        for name in a.keys() { assert_eq(a[name], b[name]); }
        let a = first.ema.state();
        let b = third.ema.state();
        for name in a.keys() { assert_eq(a[name], b[name]); }
        let a = first.best.state();
        let b = third.best.state();
        for name in a.keys() { assert_eq(a[name], b[name]); }
        let text = "";
        try { train::load("half.safetensors"); } catch (e) { text = e.to_string(); }
        assert(text.contains("model: net"));
        "#,
    );
}

#[test]
fn modes_copies_and_frozen_parts() {
    script(
        r#"
        let net = own();
        let x = tensor::randn([2, 3, 8, 8]);
        net.eval();
        assert_eq(net.forward(x).logits, net.forward(x).logits);
        let before = net.state();
        net.forward(x);
        assert_eq(net.state()["stem.1.running_mean"], before["stem.1.running_mean"]);
        net.train();
        assert(net.forward(x).logits != net.forward(x).logits);
        assert(net.state()["stem.1.running_mean"] != before["stem.1.running_mean"]);
        let twin = net.copy();
        twin.load_state(before);
        assert(net.state()["stem.1.running_mean"] != twin.state()["stem.1.running_mean"]);
        net.freeze("stem");
        let g = net.forward(x).logits.mean().backward();
        assert(!g.norms().keys().contains("stem.0.weight") && g.norms()["head.weight"] > 0.0);
        assert_eq(net.parameters("stem").len, 0);
        // a layer that is a part twice is one
        let twice = nn::conv2d(3, 3, #{ padding: 1 });
        let tied = nn::sequential([twice, nn::activation("relu"), twice]);
        assert_eq(tied.parameters().names, ["0.weight", "0.bias"]);
        assert_eq(tied.copy().parameters().names, ["0.weight", "0.bias"]);
        // a network of the user's own inside another, and an encoder's maps
        let outer = nn::block(#{ encoder: nn::encoder("resnet18"), head: nn::conv2d(512, 4, #{ kernel: 1 }) },
            |parts, x| parts.head.forward(parts.encoder.forward(x)[4]));
        assert_eq(outer.forward(tensor::randn([2, 3, 32, 32])).shape, [2, 4, 1, 1]);
        assert(outer.parameters().names.contains("encoder.layer4.1.bn2.bias"));
        "#,
    );
}

#[test]
fn loops_with_sources_names_and_early_ends() {
    script(
        r#"
        let net = model::from(own(), #{ classes: data.classes });
        let sizes = [];
        let run = train::fit(net, [data, data.val], |net, l, u| {
            let supervised = loss::cross_entropy(net.forward(l.images), l.labels);
            let other = net.forward(u.images).sqr().mean();
            #{ loss: supervised + 0.1 * other, supervised: supervised, images: u.images.shape[0] + l.images.shape[0] }
        }, #{ steps: 3, batch_size: [2, 1], checkpoint_every: 0 });
        assert_eq(run.history.images, [3.0, 3.0, 3.0]);
        assert(run.history.supervised[0] < run.history.loss[0]);

        let stopped = train::finetune(net, data, few + #{ steps: 50, optimizer: #{ lr: 0.0 }, val: data.val, eval_every: 1, patience: 3, keep: "best",
            frozen_norm: true });
        assert_eq(stopped.step, 4);
        assert_eq(stopped.status, "stopped");
        assert_close(eval::segmentation(stopped.best, data.val).miou, stopped.history.val_miou[0]);

        let statistics = net.state()["stem.1.running_mean"];
        train::finetune(net, data, few + #{ steps: 2, frozen_norm: true });
        assert_eq(net.state()["stem.1.running_mean"], statistics);

        // two batches of two are one of four, batch norm at rest
        let whole = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16, dropout: 0.0 });
        let parts = whole.copy();
        let same = #{ steps: 1, checkpoint_every: 0, frozen_norm: true, optimizer: #{ lr: 0.1, momentum: 0.0, weight_decay: 0.0 } };
        let four = data.take(4, #{ seed: 1 });
        let mean = |net, b| net.forward(b.images).sqr().mean();
        train::fit(whole, four, mean, same + #{ batch_size: 4 });
        train::fit(parts, four, mean, same + #{ batch_size: 2, accumulate: 2 });
        assert_close(whole.state()["segmentation_head.0.weight"], parts.state()["segmentation_head.0.weight"], #{ tolerance: 1e-5 });
        "#,
    );
}

#[test]
fn an_average_follows_and_rates_fall_towards_the_images() {
    script(
        r#"
        let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16, dropout: 0.0 });
        let teacher = net.copy();
        let run = train::fit(net, data, |net, b| loss::cross_entropy(net.forward(b.images), b.labels),
            few + #{ steps: 1, ema: 0.75, val: data.val, optimizer: #{ lr: 0.1 } });
        teacher.ema(net, 0.75);
        let name = "encoder.layer1.0.conv1.weight";
        assert_eq(run.ema.state()[name], teacher.state()[name]);
        assert(run.history.ema_val_miou[0] >= 0.0);

        let plain = net.copy();
        let decayed = net.copy();
        let options = few + #{ steps: 1, seed: 4, optimizer: #{ lr: 0.1, momentum: 0.0, weight_decay: 0.0 } };
        train::finetune(plain, data, options);
        train::finetune(decayed, data, options + #{ layer_decay: 0.5 });
        let moved = |n, name| (n.state()[name] - net.state()[name]);
        // five stages before the decoder: stem, layer1 .. layer4
        for pair in [["encoder.conv1.weight", 0.03125], [name, 0.0625], ["encoder.layer4.0.conv1.weight", 0.5], ["segmentation_head.0.weight", 1.0]] {
            assert_close(moved.call(decayed, pair[0]), moved.call(plain, pair[0]) * pair[1], #{ tolerance: 1e-6 });
        }
        "#,
    );
}

#[test]
fn mistakes_are_named() {
    script(
        r#"
        fn refused(work, words) {
            let text = "";
            try { work.call(); } catch (e) { text = e.to_string(); }
            for word in words { if !text.contains(word) { throw `"${word}" is missing in: ${text}`; } }
        }
        let x = tensor::randn([1, 3, 8, 8]);
        refused(|| nn::sequential([nn::conv2d(3, 4), nn::conv2d(5, 4)]).forward(x), ["layer 1", "conv2d 5 -> 4", "[1, 4, 6, 6]"]);
        refused(|| nn::block(#{ a: nn::conv2d(3, 4) }, |parts, x| 7).forward(x), ["nn::block", "must return a tensor", "7"]);
        refused(|| nn::block(#{ a: nn::conv2d(3, 4) }, |parts, x| #{ features: x }).forward(x), ["without `logits`"]);
        refused(|| nn::block(#{ a: nn::conv2d(3, 4) }, |x| x).forward(x), ["2 arguments"]);
        refused(|| nn::block(#{ a: 3 }, |parts, x| x), ["`a` must be a layer"]);
        refused(|| nn::conv2d(0, 4), ["conv2d: 0 channels in", "at least 1"]);
        refused(|| model::from(nn::activation("relu"), #{ classes: 3 }), ["no parameters"]);
        refused(|| model::from(nn::conv2d(3, 4), #{ classes: 3 }).forward(x), ["[1, 4, 6, 6]", "[1, 3, height, width]"]);
        refused(|| own().load_state(#{ "stem.0.weigth": x }), ["missing"]);
        refused(|| own().freeze("stm"), ["stm", "stem"]);
        refused(|| model::from(own(), #{ classes: 9 }).encode(x), ["encode", "one of your own"]);
        refused(|| nn::activation("rleu"), ["relu"]);
        let none = nn::block(#{ a: nn::activation("relu") }, |parts, x| parts.a.forward(x));
        assert_eq(none.parameters().len, 0);
        refused(|| optim::sgd(none.parameters()), ["no parameters were given"]);
        refused(|| model::from(none, #{ classes: 3 }), ["no parameters"]);
        refused(|| own().parameters().get("stem.0.weigth"), ["stem.0.weigth", "did you mean", "stem.0.weight"]);
        let net = model::from(own(), #{ classes: data.classes });
        refused(|| train::fit(net, [data, data], |n, a, b| 1, #{ steps: 1, batch_size: 2 }), ["2 sources and 1 batch sizes"]);
        refused(|| train::fit(net, data, |n, a| #{ value: 1 }, #{ steps: 1, batch_size: 2 }), ["`loss` is no tensor"]);
        refused(|| train::fit(net, data, |n, a| n.forward(a.images), #{ steps: 1, batch_size: 2 }), ["one number", "[2, 9, 16, 24]"]);
        refused(|| train::fit(net, data, |n, a| "text", #{ steps: 1, batch_size: 2 }), ["a tensor of one number", "\"text\""]);
        refused(|| train::fit(net, [data, data.resize([8, 8])],
            |n, a, b| (n.forward(a.images) - n.forward(b.images)).mean(), #{ steps: 1, batch_size: [2, 2] }), ["[2, 9, 16, 24]", "[2, 9, 8, 8]"]);
        refused(|| train::finetune(net, data, #{ steps: 1, keep: "best" }), ["give val"]);
        refused(|| train::finetune(net, data, #{ steps: 1, ema: 1.5 }), ["ema"]);
        refused(|| train::finetune(net, data, #{ steps: 1, layer_decay: 0.5 }), ["layer_decay", "groups"]);
        "#,
    );
}

/// The line and the layer of what does not fit, wherever in the script it is.
#[test]
fn mistakes_are_placed() {
    let cases = [
        (
            "let f = |x| nn::sequential([nn::conv2d(3, 4), nn::batch_norm(5)]).forward(x);\nf.call(tensor::randn([1, 3, 8, 8]));",
            "1:",
            "layer 1 (batch_norm 5)",
        ),
        (
            "let b = nn::block(#{ a: nn::conv2d(3, 4), c: nn::conv2d(5, 4) },\n    |parts, x| parts.c.forward(parts.a.forward(x)));\nb.forward(tensor::randn([1, 3, 8, 8]));",
            "2:",
            "layer c (conv2d 5 -> 4",
        ),
        (
            "let net = model::unet(#{ encoder: \"resnet18\", classes: 3, decoder_channels: 16 });\nlet maps = net.encode(tensor::randn([1, 3, 64, 64]));\nmaps[1] = maps[2];\nnet.decode(maps);",
            "4:",
            "map 1 has shape [1, 128, 8, 8]",
        ),
        (
            "let net = own();\nnet.parameters().get(\"head.wieght\");",
            "2:",
            "head.weight",
        ),
        (
            "let net = model::from(own(), #{ classes: data.classes });\n\ntrain::fit(net, data, |n, b| b, few + #{ steps: 1 });",
            "3:",
            "must return a tensor",
        ),
    ];
    for (text, line, words) in cases {
        let before = START.lines().count();
        let text = format!("{START}{text}");
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let Err(report) = interpreter.run("case", &text, &mut Scope::new()) else {
            panic!("no error: {text}")
        };
        let found = report.render(false);
        let number: usize = line.trim_end_matches(':').parse().unwrap();
        assert!(
            found.contains(&format!("case:{}:", before + number)),
            "{line} of {found}"
        );
        assert!(found.contains(words), "{words} of {found}");
    }
}

#[test]
fn a_loss_that_trains_nothing_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let run = |closure: &str| {
        let text = format!(
            "{START}let net = model::from(own(), #{{ classes: data.classes }});
             train::fit(net, data, {closure}, few + #{{ steps: 2 }});"
        );
        if let Err(report) = interpreter.run("test", &text, &mut Scope::new()) {
            panic!("{}", report.render(false));
        }
        interpreter
            .session()
            .warnings()
            .iter()
            .filter(|w| w.contains("none of the parameters"))
            .count()
    };
    assert_eq!(run("|n, b| n.forward(b.images).mean()"), 0);
    assert_eq!(run("|n, b| n.forward(b.images).detach().mean()"), 1);
}

#[test]
fn the_memories_that_a_loss_fills_go_on_with_the_run() {
    script(
        r#"
        let base = model::from(own(), #{ classes: data.classes });
        let empty = || #{ near: loss::memory(#{ per_class: 6, per_batch: 2, warm_up: 1 }), far: loss::memory(#{ per_class: 4, per_batch: 4, warm_up: 0 }) };
        // one memory in a map, one captured by a closure that the loss calls
        let contrast = |kept, trouble| {
            let far = kept.far;
            let fill = |z, batch| far.store(z, batch.labels);
            |net, batch| {
                let z = net.features(batch.images);
                let o = #{ variant: "own_positive", temperature: 0.3 };
                let value = loss::pixel_contrast(z, (), batch.labels, o + #{ memory: kept.near }) + loss::pixel_contrast(z, (), batch.labels, o + #{ memory: kept.far });
                kept.near.store(z, batch.labels);
                fill.call(z, batch);
                if trouble.contains(batch.step) { trouble.clear(); throw "a cable was pulled"; }
                value
            }
        };
        let options = #{ steps: 5, batch_size: 2, checkpoint_every: 0, seed: 3, optimizer: #{ lr: 0.1 }, augment: #{ flip: 0.5 } };
        let whole = empty.call();
        let first = train::fit(base.copy(), data, contrast.call(whole, []), options);

        // saved after two steps, read again with empty memories
        let half = empty.call();
        let second = train::fit(base.copy(), data, contrast.call(half, []), options + #{ on_step: |e| if e.step == 1 { "stop" } });
        second.save("half.safetensors");
        assert_eq(half.near.counts["0"], 4);
        let again = empty.call();
        let model = base.copy();
        let third = train::load("half.safetensors", #{ model: model, data: data, loss: contrast.call(again, []) });
        assert_eq(again.near.counts, half.near.counts);
        third.resume();
        assert_eq(third.history.loss, first.history.loss);
        for class in 0..9 { assert_eq(again.near.keys(class), whole.near.keys(class)); assert_eq(again.far.keys(class), whole.far.keys(class)); }

        // a step that comes to nothing stores nothing
        let torn = empty.call();
        let net = base.copy();
        let text = "";
        try { train::fit(net, data, contrast.call(torn, [2]), options); } catch (e) { text = e.to_string(); }
        assert(text.contains("a cable was pulled"));
        assert_eq(torn.near.counts, half.near.counts);
        assert_eq(torn.far.keys(0), half.far.keys(0));

        // read without its loss a run keeps what it had; another loss is refused
        let path = "half.safetensors";
        train::load(path, #{ model: base.copy() }).save("copy.safetensors");
        let fourth = train::load("copy.safetensors", #{ model: base.copy(), data: data, loss: contrast.call(empty.call(), []) });
        fourth.resume();
        assert_eq(fourth.history.loss, first.history.loss);
        let one = loss::memory();
        text = "";
        try { train::load(path, #{ model: base.copy(), data: data, loss: |net, batch| { one.store(batch.images, batch.labels); net.forward(batch.images).mean() } }); }
        catch (e) { text = e.to_string(); }
        assert(text.contains("filled 2 memories of past keys") && text.contains("fills 1"));
        "#,
    );
}

#[test]
fn a_loss_asks_the_average_and_the_average_goes_on_with_the_run() {
    script(
        r#"
        let base = model::from(own(), #{ classes: data.classes });
        let consistency = |teacher| |net, l, u| {
            let expected = tensor::no_grad(|| teacher.forward(u.images).softmax(1));
            assert_eq(u.views.len, 2);
            #{ loss: loss::cross_entropy(net.forward(l.images), l.labels) + loss::mse(net.forward(u.views[1]).softmax(1), expected), at: u.step }
        };
        let options = |teacher| #{
            steps: 4, batch_size: [2, 2], accumulate: 2, checkpoint_every: 0, seed: 3, optimizer: #{ lr: 0.1 }, views: [#{}, #{}],
            ema: #{ decay: 0.7, warm_up: true, model: teacher },
        };
        let twins = || { let net = base.copy(); let teacher = base.copy(); teacher.eval(); [net, teacher] };
        let sources = [data, data.without_labels()];

        let whole = twins.call();
        let half = twins.call();
        let first = train::fit(whole[0], sources, consistency.call(whole[1]), options.call(whole[1]));
        assert_eq(first.history.at, [0, 1, 2, 3]);
        let pause = #{ on_step: |e| if e.step == 1 { "stop" } };
        let second = train::fit(half[0], sources, consistency.call(half[1]), options.call(half[1]) + pause);
        second.save("half.safetensors");

        // saved, read into networks built anew: bit for bit the run that was never interrupted, the average in the network given
        let again = twins.call();
        let third = train::load("half.safetensors", #{ model: again[0], ema: again[1], data: sources, loss: consistency.call(again[1]) });
        third.resume();
        assert_eq(third.history.loss, first.history.loss);
        let a = whole[1].state();
        let b = again[1].state();
        let c = third.ema.state();
        for name in a.keys() { assert_eq(a[name], b[name]); assert_eq(c[name], b[name]); }
        assert(a["head.weight"] != whole[0].state()["head.weight"]);

        // the decays of four updates: 1/2, 2/3, then 0.7, by hand on the weights of a run that is advanced step by step
        let slow = twins.call();
        let hand = slow[0].copy();
        let run = train::fit(slow[0], sources, consistency.call(slow[1]), options.call(slow[1]) + #{ on_step: |e| "stop" });
        for decay in [0.5, 2.0 / 3.0, 0.7, 0.7] {
            hand.ema(slow[0], decay);
            let a = hand.state();
            let b = slow[1].state();
            for name in a.keys() { assert_close(a[name], b[name], #{ tolerance: 1e-6 }); }
            if run.step < 4 { run.resume(); }
        }
        "#,
    );
}

#[test]
fn what_a_training_asks_of_its_network_is_asked_of_no_other() {
    script(
        r#"
        fn fresh() { model::from(nn::sequential([nn::conv2d(3, 9, #{ padding: 1, seed: 1 }), nn::batch_norm(9)]), #{ classes: 9 }) }
        fn evaluated(net, images) { net.eval(); net.forward(images) }
        let net = fresh();
        let other = net.copy();
        let seen = #{};
        let settings = few + #{ steps: 1, precision: "bf16", frozen_norm: true };
        train::fit(net, data, |model, b| {
            seen.images = b.images;
            seen.trained = model.forward(b.images);
            seen.other = other.forward(b.images);
            seen.trained.sqr().mean()
        }, settings);
        assert_eq(net.state()["1.running_mean"], tensor::zeros([9]));
        assert(other.state()["1.running_mean"] != tensor::zeros([9]));
        assert_eq(fresh().forward(seen.images), seen.other);
        let exact = evaluated(fresh(), seen.images);
        let off = (seen.trained - exact).abs().max().item();
        assert(off > 0.0 && off < 0.1);

        // nor of the network itself when its loss has failed
        let failed = fresh();
        try { train::fit(failed, data, |model, b| { model.forward(b.images); throw "no" }, settings); } catch {}
        assert_eq(evaluated(failed, seen.images), exact);
        "#,
    );
}

/// As PyTorch's `ModuleList`: the names count on, and everything a network does goes through the elements.
#[test]
fn an_array_of_layers_is_a_part_of_a_block() {
    script(
        r#"
        fn ladder() {
            nn::block(#{
                down: [0, 1, 2].map(|i| nn::conv2d(if i == 0 { 3 } else { 4 }, 4, #{ padding: 1 })), head: [nn::conv2d(4, 9, #{ kernel: 1 })],
            }, |parts, x| {
                for layer in parts.down { x = layer.forward(x).relu(); }
                parts.head[-1].forward(x)
            })
        }
        let net = model::from(ladder(), #{ classes: data.classes });
        let names = net.parameters().names;
        assert(names.contains("down.0.weight") && names.contains("down.2.bias") && names.contains("head.0.weight") && names.len == 8);
        let before = net.copy();
        train::finetune(net, data, few + #{ steps: 2, checkpoint_every: 1 });
        for name in names { assert(net.state()[name] != before.state()[name]); }
        net.save("ladder.safetensors");
        let other = model::from(ladder(), #{ classes: data.classes });
        other.load_weights("ladder.safetensors");
        // a training's checkpoint holds the network and more
        model::from(ladder(), #{ classes: data.classes }).load_weights(`${run_folder()}/finetune/last.safetensors`);
        assert_eq(other.forward(data.get(0).image.unsqueeze(0)), net.forward(data.get(0).image.unsqueeze(0)));
        let text = "";
        try { nn::block(#{ down: [nn::conv2d(3, 4), 5] }, |parts, x| x); } catch (e) { text = e.to_string(); }
        assert(text.contains("element 1 of `down` must be a layer") && text.contains("found the number 5"));
        try { nn::block(#{ down: 5 }, |parts, x| x); } catch (e) { text = e.to_string(); }
        assert(text.contains("`down` must be a layer or an array of layers"));
        let found = "";
        try { nn::block(#{ down: [model::unet(#{ encoder: "resnet18", classes: 9 })] }, |parts, x| x); } catch (e) { found = e.to_string(); }
        assert(found.contains("element 0 of `down`"));
        "#,
    );
}
