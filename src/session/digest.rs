//! Fingerprints of texts and files.

use sha2::{Digest, Sha256};

/// SHA-256 of these parts, one behind the other, in hexadecimal digits.
pub fn sha256<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut digest = Sha256::new();
    parts.into_iter().for_each(|part| digest.update(part));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::sha256;

    #[test]
    fn it_is_what_sha256sum_says_however_the_text_is_cut() {
        // printf abc | sha256sum
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(["abc"]), expected);
        assert_eq!(sha256(["a", "", "bc"]), expected);
    }
}
