//! Eigenvalues of small symmetric matrices.

use rayon::prelude::*;

/// The smaller of `x^T x` (`[dim, dim]`) and `x x^T` (`[n, n]`), whose eigenvalues other than 0 are the same; `x`: `[n, dim]`.
pub(super) fn gram(x: &[f64], n: usize, dim: usize) -> Vec<Vec<f64>> {
    if n <= dim {
        let row = |i: usize| &x[i * dim..(i + 1) * dim];
        let product = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
        return (0..n)
            .into_par_iter()
            .map(|i| (0..n).map(|j| product(i, j)).collect())
            .collect();
    }
    let line = |i: usize| {
        let mut line = vec![0.0; dim];
        for row in x.chunks_exact(dim) {
            line.iter_mut().zip(row).for_each(|(sum, value)| *sum += row[i] * value);
        }
        line
    };
    (0..dim).into_par_iter().map(line).collect()
}

/// All eigenvalues of a symmetric matrix, ascending: Householder's tridiagonal form, then bisection with Sturm's count.
/// Cost: `4/3 n^3` operations.
pub(super) fn eigenvalues(mut a: Vec<Vec<f64>>) -> Vec<f64> {
    let n = a.len();
    let mut beside = vec![0.0; n]; // beside[k]: the element next to the diagonal in row k
    for k in 0..n.saturating_sub(1) {
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i][k]).collect();
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let target = if v[0] > 0.0 { -length } else { length };
        beside[k] = target;
        v[0] -= target;
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if k + 2 >= n || norm == 0.0 {
            beside[k] = a[k + 1][k];
            continue;
        }
        v.iter_mut().for_each(|x| *x /= norm);
        // reflect the rest on both sides: A - 2 v w^T - 2 w v^T, w = A v - (v^T A v) v
        let mut w: Vec<f64> = a[k + 1..]
            .iter()
            .map(|row| row[k + 1..].iter().zip(&v).map(|(x, y)| x * y).sum())
            .collect();
        let along: f64 = w.iter().zip(&v).map(|(x, y)| x * y).sum();
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= along * v);
        for (i, row) in a[k + 1..].iter_mut().enumerate() {
            for (j, x) in row[k + 1..].iter_mut().enumerate() {
                *x -= 2.0 * (v[i] * w[j] + w[i] * v[j]);
            }
        }
    }
    let diagonal: Vec<f64> = (0..n).map(|k| a[k][k]).collect();
    let reach = |k: usize| beside[k].abs() + if k > 0 { beside[k - 1].abs() } else { 0.0 };
    let low = (0..n).map(|k| diagonal[k] - reach(k)).fold(f64::INFINITY, f64::min);
    let high = (0..n).map(|k| diagonal[k] + reach(k)).fold(f64::NEG_INFINITY, f64::max);
    // how many eigenvalues lie below x: the negative pivots of T - x
    let below = |x: f64| {
        let mut pivot = 1.0f64;
        let mut count = 0;
        for k in 0..n {
            let square = if k > 0 { beside[k - 1] * beside[k - 1] } else { 0.0 };
            pivot = diagonal[k] - x - square / pivot;
            if pivot.abs() < 1e-300 {
                pivot = -1e-300;
            }
            count += usize::from(pivot < 0.0);
        }
        count
    };
    let find = |index: usize| {
        let (mut low, mut high) = (low, high);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if below(middle) > index {
                high = middle;
            } else {
                low = middle;
            }
        }
        0.5 * (low + high)
    };
    (0..n).into_par_iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_by_hand() {
        // [[2, 1], [1, 2]]: 1 and 3
        let values = eigenvalues(vec![vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((values[0] - 1.0).abs() < 1e-12 && (values[1] - 3.0).abs() < 1e-12);
        // the path of 4 points, Laplacian: 2 - 2 cos(k pi / 4)
        let mut path = vec![vec![0.0; 4]; 4];
        for i in 0..3 {
            path[i][i] += 1.0;
            path[i + 1][i + 1] += 1.0;
            path[i][i + 1] = -1.0;
            path[i + 1][i] = -1.0;
        }
        for (k, value) in eigenvalues(path).iter().enumerate() {
            let wanted = 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / 4.0).cos();
            assert!((value - wanted).abs() < 1e-9, "{k}: {value} {wanted}");
        }
        assert_eq!(eigenvalues(vec![vec![5.0]]).len(), 1);
    }

    #[test]
    fn a_full_matrix_keeps_trace_and_squares() {
        let mut random = crate::random::Random::new(1);
        let x: Vec<f64> = (0..30 * 12).map(|_| random.normal()).collect();
        let a = gram(&x, 30, 12);
        let trace: f64 = (0..12).map(|i| a[i][i]).sum();
        let squares: f64 = a.iter().flatten().map(|x| x * x).sum();
        let values = eigenvalues(a);
        assert!((values.iter().sum::<f64>() - trace).abs() < 1e-8 * trace);
        assert!((values.iter().map(|v| v * v).sum::<f64>() - squares).abs() < 1e-8 * squares);
    }
}
