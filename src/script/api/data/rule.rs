//! The option `label_map`: what the values or colours of label files mean.

use crate::data::LabelRule;
use crate::script::prelude::*;

/// What the values or colours of label files mean.
pub(super) struct GivenRule(pub LabelRule);

impl Arg for GivenRule {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "map, array or string".into()
    }
    fn wanted() -> String {
        "#{ \"value\": class, .. } (a colour: \"red,green,blue\"), [[red, green, blue], ..] or \"shift\"".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        if let Some(map) = value.read_lock::<Map>() {
            return rule_from_map(&map).map(GivenRule);
        }
        if let Some(colours) = Vec::<[u32; 3]>::convert(value) {
            let colour = |c: &[u32; 3]| {
                Some([
                    u8::try_from(c[0]).ok()?,
                    u8::try_from(c[1]).ok()?,
                    u8::try_from(c[2]).ok()?,
                ])
            };
            let colours: Option<Vec<[u8; 3]>> = colours.iter().map(colour).collect();
            let numbered = colours?.into_iter().enumerate();
            let classes: Option<Vec<_>> = numbered.map(|(i, c)| Some((c, u8::try_from(i).ok()?))).collect();
            return classes
                .filter(|c| !c.is_empty())
                .map(|c| GivenRule(LabelRule::Colours(c)));
        }
        let name = String::convert(value)?;
        (name == "shift").then_some(GivenRule(LabelRule::Shift))
    }
}

/// All keys values, or all colours.
fn rule_from_map(map: &Map) -> Option<LabelRule> {
    let class = |v: &Dynamic| u8::try_from(i64::convert(v)?).ok();
    let colour = |key: &str| -> Option<[u8; 3]> {
        let parts: Option<Vec<u8>> = key.split(',').map(|part| part.trim().parse().ok()).collect();
        parts?.try_into().ok()
    };
    if map.is_empty() {
        return None;
    }
    if map.keys().any(|key| key.contains(',')) {
        let pairs = map.iter().map(|(key, v)| Some((colour(key)?, class(v)?)));
        return Some(LabelRule::Colours(pairs.collect::<Option<_>>()?));
    }
    let pairs = map.iter().map(|(key, v)| Some((key.trim().parse().ok()?, class(v)?)));
    Some(LabelRule::Values(pairs.collect::<Option<_>>()?))
}
