//! The characters of TeX's commands and alphabets.

/// TeX commands and their characters.
const SYMBOLS: &str = "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ \
    lambda λ mu μ nu ν xi ξ pi π rho ρ varrho ϱ sigma σ tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ \
    Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω pm ± mp ∓ times × div ÷ cdot · ast ∗ star ⋆ circ ∘ \
    bullet ∙ oplus ⊕ otimes ⊗ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ sim ∼ simeq ≃ equiv ≡ propto ∝ ll ≪ gg ≫ in ∈ \
    notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ cup ∪ cap ∩ setminus ∖ emptyset ∅ varnothing ∅ forall ∀ exists ∃ \
    neg ¬ land ∧ wedge ∧ lor ∨ vee ∨ nabla ∇ partial ∂ infty ∞ sum ∑ prod ∏ int ∫ to → rightarrow → leftarrow ← \
    leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ mapsto ↦ uparrow ↑ downarrow ↓ ldots … dots … cdots ⋯ vdots ⋮ \
    ell ℓ hbar ℏ Re ℜ Im ℑ aleph ℵ prime ′ dagger † ddagger ‡ top ⊤ bot ⊥ perp ⊥ parallel ∥ mid ∣ vert | Vert ‖ | ‖ \
    langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lbrace { rbrace } angle ∠ degree ° checkmark ✓ triangle △ square □ \
    models ⊨ vdash ⊢ backslash \\ hat \u{302} tilde \u{303} bar \u{304} dot \u{307} vec \u{20D7}";

/// The character of a TeX command such as `tau`.
pub(super) fn symbol_of(name: &str) -> Option<char> {
    let mut words = SYMBOLS.split_whitespace();
    while let (Some(command), Some(letter)) = (words.next(), words.next()) {
        if command == name {
            return letter.chars().next();
        }
    }
    None
}

/// The letter of another alphabet: calligraphic, with double strokes, of black letter.
pub(super) fn letter_of(alphabet: &str, c: char) -> char {
    // the first letter, and those that Unicode had before it had these alphabets
    let (first, old) = match alphabet {
        "mathbb" => (0x1D538, "CℂHℍNℕPℙQℚRℝZℤ"),
        "mathfrak" => (0x1D504, "CℭHℌIℑRℜZℨ"),
        _ => (0x1D49C, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"),
    };
    let pairs: Vec<char> = old.chars().collect();
    if let Some(pair) = pairs.chunks(2).find(|p| p[0] == c) {
        return pair[1];
    }
    let place = match c {
        'A'..='Z' => c as u32 - 'A' as u32,
        'a'..='z' => c as u32 - 'a' as u32 + 26,
        _ => return c,
    };
    char::from_u32(first + place).unwrap_or(c)
}
