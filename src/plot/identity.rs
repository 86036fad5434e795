//! How the layers of a figure look where their options leave it open, and what a legend says of them.

use super::figure::{Figure, Panel};
use super::layers::{Joint, Layer, Note};
use super::legend::Entry;
use super::options::{LegendPlace, Look};
use super::palette::{Colour, Dash, Marker};
use super::style::Style;

/// Lines of more points than this show no markers.
const MARKED: usize = 24;

/// How a layer looks: what its options leave open follows from its turn among the series of the figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) turn: usize,
    pub(super) colour: Colour,
    pub(super) dash: Dash,
    pub(super) marker: Marker,
}

/// The looks of all layers, panel by panel. One label has one turn, colour, dash and marker in the whole figure; a series
/// without a label takes the first turn that is free in its panel.
pub(super) fn identities(figure: &Figure, style: &Style) -> Vec<Vec<Identity>> {
    let layers = || figure.panels.iter().flat_map(|p| &p.layers);
    let looks = || layers().filter_map(|(layer, _)| layer.look());
    let (mut known, nothing): (Vec<(&str, usize)>, Look) = Default::default();
    let mut all = Vec::new();
    for panel in &figure.panels {
        let mut used: Vec<usize> = Vec::new();
        let mut out = Vec::new();
        for (layer, _) in &panel.layers {
            let (look, note) = (layer.look().unwrap_or(&nothing), matches!(layer, Layer::Note { .. }));
            let label = look.label.as_str();
            let of_label = known.iter().find(|k| k.0 == label).map(|k| k.1);
            let free = |t: &usize| !used.contains(t) && !known.iter().any(|k| k.1 == *t);
            let turn = of_label.or_else(|| (0..).find(free)).unwrap_or(0);
            if !look.faint && !note && layer.look().is_some() {
                used.push(turn);
                if !label.is_empty() && of_label.is_none() {
                    known.push((label, turn));
                }
            }
            // what this layer leaves open, another of the same label may say
            let same = || std::iter::once(look).chain(looks().filter(|l| !label.is_empty() && l.label == label));
            let (own, usual) = match (note, look.faint) {
                (true, _) => (style.ink, Dash::Dashed),
                (_, true) => (style.series(turn), Dash::Solid),
                _ => (style.series(turn), Dash::of_series(turn)),
            };
            out.push(Identity {
                turn,
                colour: same().find_map(|l| style.ink_of(l)).unwrap_or(own),
                dash: same().find_map(|l| l.dash).unwrap_or(usual),
                marker: same().find_map(|l| l.marker).unwrap_or(Marker::of_series(turn)),
            });
        }
        all.push(out);
    }
    all
}

/// The marker of a curve: where there are few points or no line, or where it was asked for.
pub(super) fn shown_marker(y: &[f64], joint: Joint, look: &Look, identity: &Identity) -> Marker {
    let few = y.iter().filter(|v| v.is_finite()).count() <= MARKED;
    match (look.marker, joint) {
        (Some(marker), _) => marker,
        (None, Joint::Nothing) => identity.marker,
        (None, Joint::Line) if few && !look.faint => identity.marker,
        _ => Marker::None,
    }
}

/// The legend's entry for this layer, if it has a label.
fn entry(layer: &Layer, identity: &Identity, style: &Style) -> Option<Entry> {
    let look = layer.look().filter(|l| !l.label.is_empty() && !l.faint)?;
    let mut entry = Entry {
        label: look.label.clone(),
        colour: identity.colour,
        ..Entry::default()
    };
    let opacity = match layer {
        Layer::Curve { y, joint, options, .. } if *joint != Joint::Area => {
            entry.marker = shown_marker(y, *joint, look, identity);
            if *joint != Joint::Nothing {
                entry.line = Some(identity.dash);
                entry.patch = options.band.as_ref().map(|_| style.band);
            }
            return Some(entry);
        }
        Layer::Curve { .. } => 0.3,
        Layer::Bars { .. } => 1.0,
        Layer::Bins { .. } => 0.5,
        Layer::Groups { .. } => 0.45,
        Layer::Note {
            note: Note::Span { .. },
            ..
        } => 0.12,
        Layer::Note { .. } => {
            entry.line = Some(identity.dash);
            return Some(entry);
        }
        Layer::Heatmap { .. } | Layer::Picture { .. } => return None,
    };
    if matches!(layer, Layer::Bars { .. }) {
        entry.hatch = identity.turn;
    }
    entry.patch = Some(look.alpha.unwrap_or(opacity));
    Some(entry)
}

/// Legend entries of the panel's layers that have a label, each once.
pub(super) fn entries(panel: &Panel, looks: &[Identity], style: &Style) -> Vec<Entry> {
    let layers = panel.layers.iter().zip(looks);
    once(layers.filter_map(|((layer, _), look)| entry(layer, look, style)))
}

/// Each entry once: of equal ones that which shows most, with marker or band.
fn once(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    for entry in entries {
        match out.iter_mut().find(|e| e.agrees(&entry)) {
            Some(same) if same.detail() < entry.detail() => *same = entry,
            Some(_) => {}
            None => out.push(entry),
        }
    }
    out
}

/// The entries of one legend for all panels: the caller's, or those that several panels with axes agree on.
pub(super) fn shared(figure: &Figure, looks: &[Vec<Identity>], style: &Style) -> Vec<Entry> {
    if !figure.legend.is_empty() {
        return figure.legend.clone();
    }
    let panels = figure.panels.iter().zip(looks);
    let shown = panels.filter(|(panel, _)| panel.place != LegendPlace::Nowhere);
    let lists: Vec<Vec<Entry>> = shown.map(|(panel, looks)| entries(panel, looks, style)).collect();
    let all = once(lists.iter().flatten().cloned());
    let twice = |label: &str| all.iter().filter(|e| e.label == label).count() > 1;
    // panels that have nothing in common, or mean different things by one name, keep their own legends
    let common = |entry: &Entry| lists.iter().filter(|l| l.iter().any(|e| e.agrees(entry))).count() > 1;
    match all.iter().any(common) && !all.iter().any(|entry| twice(&entry.label)) {
        true => all,
        false => Vec::new(),
    }
}
