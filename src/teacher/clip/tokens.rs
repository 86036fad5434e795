//! Texts in: the tokenizer.

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::super::source;
use super::config::{Config, Family};
use crate::error::{Error, Result};
use crate::session::Place;
use crate::{ensure, fail};

/// Turns texts into numbers.
pub(super) struct Words {
    tokenizer: Tokenizer,
    family: Family,
    /// The most tokens that the model takes.
    longest: usize,
    /// The number of tokens that the model knows.
    known: usize,
    /// Ends a text (CLIP).
    end: u32,
    /// Fills a text up, and whether in front of it (SigLIP; behind it if not).
    pad: u32,
    before: bool,
}

/// Texts as numbers.
pub(super) struct Tokens {
    /// One row a text, all of one length.
    pub(super) ids: Vec<Vec<u32>>,
    /// The place in each row that stands for the whole text.
    pub(super) places: Vec<usize>,
}

impl Words {
    /// The tokenizer of a file `tokenizer.json`; what fills texts up is said in `tokenizer_config.json` beside it, if that is there.
    pub(super) fn read(place: &Place, config: &Config) -> Result<Self> {
        let failed = |e| {
            Error::file(
                place.path(),
                format!("the tokenizer cannot be read ({e}); get the file anew"),
            )
        };
        let tokenizer = Tokenizer::from_bytes(place.text("the tokenizer")?).map_err(failed)?;
        let beside = place.at(place.path().with_file_name("tokenizer_config.json"));
        let about = match beside.exists()? {
            true => source::json(&beside, "the tokenizer's configuration")?,
            false => Value::Null,
        };
        // a token is written as its text, or with properties
        let named = about["pad_token"].as_str().or(about["pad_token"]["content"].as_str());
        let pad = named
            .or(tokenizer.get_padding().map(|p| p.pad_token.as_str()))
            .unwrap_or("<pad>");
        let pad = tokenizer.token_to_id(pad).unwrap_or(config.text.pad_token_id);
        let before = config.family == Family::Siglip && about["padding_side"] == "left";
        Self::new(tokenizer, config, pad, before)
    }

    /// A tokenizer of single bytes for random weights.
    pub(super) fn bytes(config: &Config) -> Result<Self> {
        let text = bytes_json().to_string();
        let tokenizer = Tokenizer::from_bytes(text).map_err(|e| Error::usage(format!("the tokenizer: {e}")))?;
        Self::new(tokenizer, config, config.text.pad_token_id, false)
    }

    fn new(mut tokenizer: Tokenizer, config: &Config, pad: u32, before: bool) -> Result<Self> {
        // texts that are too long are refused, not cut; all are brought to one length below
        tokenizer.with_padding(None);
        let whole = tokenizer.with_truncation(None);
        whole.map_err(|e| Error::usage(format!("the tokenizer: {e}")))?;
        Ok(Words {
            tokenizer,
            family: config.family,
            longest: config.text.max_position_embeddings,
            known: config.text.vocab_size,
            end: config.text.eos_token_id,
            pad,
            before,
        })
    }

    /// The texts as numbers.
    ///
    /// # Errors
    /// No text, an empty one, one that is too long; a tokenizer of another model.
    pub(super) fn encode(&self, texts: &[String]) -> Result<Tokens> {
        ensure!(
            !texts.is_empty(),
            "`texts` is empty, expected at least one such as \"a photo of a cat\""
        );
        let rows = texts.iter().enumerate().map(|(i, text)| self.row(i, text));
        let mut ids = rows.collect::<Result<Vec<_>>>()?;
        let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
        let places = match self.family {
            Family::Clip => ids.iter().map(|row| self.end_of(row)).collect::<Result<Vec<_>>>()?,
            // SigLIP was trained on texts of full length, whose last place counts
            Family::Siglip => vec![self.longest - 1; ids.len()],
        };
        let length = if self.family == Family::Clip {
            longest
        } else {
            self.longest
        };
        for row in &mut ids {
            let own = row.len();
            row.resize(length, self.pad);
            if self.before {
                row.rotate_left(own);
            }
        }
        Ok(Tokens { ids, places })
    }

    fn row(&self, i: usize, text: &str) -> Result<Vec<u32>> {
        ensure!(
            !text.trim().is_empty(),
            "text {i} of `texts` is empty, expected one such as \"a photo of a cat\""
        );
        let text = match self.family {
            Family::Clip => text.to_string(),
            // both generations were trained on small letters; the tokenizer of the second does not make them
            Family::Siglip => text.to_lowercase(),
        };
        let encoded = self
            .tokenizer
            .encode(text, true)
            .map_err(|e| Error::usage(format!("text {i} of `texts`: {e}")))?;
        let ids = encoded.get_ids().to_vec();
        ensure!(
            ids.len() <= self.longest,
            "text {i} of `texts` has {} tokens, those at its ends counted; the model takes at most {}: shorten it",
            ids.len(),
            self.longest
        );
        match ids.iter().find(|id| **id as usize >= self.known) {
            None => Ok(ids),
            Some(id) => fail!(
                "tokenizer.json gives the token {id}, the model knows {} tokens: the files belong to different models",
                self.known
            ),
        }
    }

    /// The first token that ends the text: its features stand for the whole. A configuration that says 2 is of the time when the
    /// token of the largest number was meant.
    fn end_of(&self, row: &[u32]) -> Result<usize> {
        let end = match self.end {
            2 => row.iter().max().copied().unwrap_or(2),
            end => end,
        };
        match row.iter().position(|id| *id == end) {
            Some(place) => Ok(place),
            None => fail!(
                "tokenizer.json does not end a text with the token {end}, which config.json names: the files differ"
            ),
        }
    }
}

/// How many tokens [`Words::bytes`] knows: all bytes, what begins and what ends a text.
pub(super) const BYTES: usize = 258;

/// The file of a tokenizer whose tokens are bytes.
fn bytes_json() -> Value {
    let mut letters: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    letters.sort_unstable();
    let [begin, end] = ["<|startoftext|>", "<|endoftext|>"];
    let names = letters.iter().map(char::to_string).chain([begin.into(), end.into()]);
    let vocabulary: serde_json::Map<String, Value> = names.enumerate().map(|(i, name)| (name, i.into())).collect();
    let special = |name: &str, id: usize| {
        json!({ "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true })
    };
    let part = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let named = |name: &str, id: usize| json!({ "id": name, "ids": [id], "tokens": [name] });
    json!({
        "version": "1.0",
        "added_tokens": [special(begin, BYTES - 2), special(end, BYTES - 1)],
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [part(begin), { "Sequence": { "id": "A", "type_id": 0 } }, part(end)],
            "pair": [part(begin), { "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }, part(end)],
            "special_tokens": { begin: named(begin, BYTES - 2), end: named(end, BYTES - 1) }
        },
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(family: Family) -> Words {
        Words::bytes(&Config::small(family, BYTES).unwrap()).unwrap()
    }

    #[test]
    fn clip_texts_end_where_they_end_and_siglips_are_full() {
        let texts = ["ab".to_string(), "a cat".to_string()];
        let clip = words(Family::Clip).encode(&texts).unwrap();
        assert_eq!(clip.places, [3, 6]); // behind what begins the text and its letters
        assert!(clip.ids.iter().all(|row| row.len() == 7 && row[0] == 256));
        assert_eq!((clip.ids[0][3], clip.ids[1][6]), (257, 257));
        let siglip = words(Family::Siglip).encode(&texts).unwrap();
        assert!(siglip.ids.iter().all(|row| row.len() == 64) && siglip.places == [63, 63]);
        let large = words(Family::Siglip).encode(&["AB".to_string()]).unwrap();
        assert_eq!(large.ids[0], siglip.ids[0]);
    }

    #[test]
    fn texts_that_do_not_fit_are_named() {
        let error = |family, texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
            words(family).encode(&texts).err().unwrap().to_string()
        };
        let long = "x".repeat(76);
        let text = error(Family::Clip, &["cat", &long]);
        assert!(
            text.contains("text 1 of `texts` has 78 tokens") && text.contains("at most 77"),
            "{text}"
        );
        assert!(error(Family::Siglip, &[&long]).contains("at most 64"));
        assert!(error(Family::Clip, &[]).contains("`texts` is empty"));
        assert!(error(Family::Clip, &["cat", " "]).contains("text 1 of `texts` is empty"));
    }

    #[test]
    fn files_of_different_models_are_told() {
        let mut small = Config::small(Family::Clip, BYTES).unwrap();
        small.text.vocab_size = 200;
        let text = Words::bytes(&small)
            .unwrap()
            .encode(&["cat".into()])
            .err()
            .unwrap()
            .to_string();
        assert!(
            text.contains("the token 256") && text.contains("different models"),
            "{text}"
        );
        let mut other = Config::small(Family::Clip, BYTES).unwrap();
        other.text.eos_token_id = 49407;
        let text = Words::bytes(&other)
            .unwrap()
            .encode(&["cat".into()])
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("49407"), "{text}");
        // a configuration of before the mistake was found
        other.text.eos_token_id = 2;
        assert_eq!(
            Words::bytes(&other).unwrap().encode(&["cat".into()]).unwrap().places,
            [4]
        );
    }
}
