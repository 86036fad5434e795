//! What sorts, chooses, moves and adds up elements.

use super::*;
use seglab::ops::{
    Between, Border, cumsum, flip, leaky_relu, median, median_of_all, pad, quantile, roll, scatter_add, softplus, sort,
    topk,
};

#[test]
fn sorted_and_chosen() {
    let random = &mut Random::new(30);
    let x = [draw(random, &[3, 4, 5])];
    for dim in 0..3 {
        for falling in [false, true] {
            check("sort", &x, |a| sort(&a[0], dim, falling).unwrap().0);
            check("topk", &x, |a| topk(&a[0], 2, dim, falling).unwrap().0);
        }
        check("median", &x, |a| median(&a[0], dim).unwrap());
        for (_, between) in Between::ALL {
            check("quantile", &x, |a| {
                quantile(&a[0], &[0.0, 0.3, 0.85, 1.0], dim, between).unwrap()
            });
        }
        check("of a view", &x, |a| {
            let view = a[0].transpose(0, 2).unwrap().narrow(1, 1, 3).unwrap();
            let once = sort(&view, dim, true).unwrap().0;
            (topk(&view, 1, dim, true).unwrap().0.broadcast_mul(&once)).unwrap()
        });
    }
    check("median of all", &x, |a| median_of_all(&a[0]).unwrap());
}

#[test]
fn moved_and_added_up() {
    let random = &mut Random::new(31);
    let x = [draw(random, &[2, 3, 4])];
    for dim in 0..3 {
        check("cumsum", &x, |a| cumsum(&a[0], dim).unwrap());
        check("cumsum of a view", &x, |a| {
            cumsum(&a[0].transpose(0, 2).unwrap(), dim).unwrap()
        });
        check("roll", &x, |a| roll(&a[0], -7, dim).unwrap());
        let value = Tensor::new(0.5, &Device::Cpu).unwrap();
        for border in [
            Border::Constant(&value),
            Border::Reflect,
            Border::Replicate,
            Border::Circular,
        ] {
            for sides in [[1, 1], [-1, 1], [0, 1]] {
                check(&format!("pad {border:?} {sides:?}"), &x, |a| {
                    let value = value.to_device(a[0].device()).unwrap();
                    let here = if let Border::Constant(_) = border {
                        Border::Constant(&value)
                    } else {
                        border
                    };
                    pad(&a[0], dim, sides, here).unwrap()
                });
            }
        }
    }
    check("flip", &x, |a| flip(&a[0].transpose(1, 2).unwrap(), &[0, 2]).unwrap());
    let index = Tensor::new(&[[[0i64, 2], [2, 2]]], &Device::Cpu).unwrap();
    let arguments = [draw(random, &[2, 3, 4]), draw(random, &[2, 2, 3])];
    check("scatter_add", &arguments, |a| {
        let index = index.to_device(a[0].device()).unwrap();
        scatter_add(&a[0], 1, &index, &a[1]).unwrap()
    });
}

#[test]
fn activations() {
    let x = [draw(&mut Random::new(32), &[40])];
    check("leaky_relu", &x, |a| leaky_relu(&a[0], 0.2).unwrap());
    for (beta, threshold) in [(1.0, 20.0), (3.0, 20.0), (0.5, 0.4)] {
        check("softplus", &x, |a| softplus(&a[0], beta, threshold).unwrap());
    }
}
