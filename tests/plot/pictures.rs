//! Pictures: in the colours of their classes, smaller, in a terminal, as files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seglab::options::{Arg, Given};
use seglab::plot::{ColourMap, Figure, FigureOptions, HeatmapOptions, Ink, Picture};

#[test]
fn sizes_and_labels_are_checked() {
    let text = Picture::new(2, 2, vec![0; 11]).unwrap_err().to_string();
    assert!(text.contains("12 bytes, found 11"), "{text}");
    let text = Picture::labels(2, 1, &[0, 7], &[[1, 2, 3]]).unwrap_err().to_string();
    assert!(text.contains("label 7 at row 0, column 1"), "{text}");
    let known = Picture::labels(2, 1, &[0, 255], &[[1, 2, 3]]).unwrap();
    assert_eq!(known.pixels[..3], [1, 2, 3]);
}

#[test]
fn an_overlay_blends_inside_and_draws_the_outline() {
    let p = Picture::new(3, 1, vec![100; 9]).unwrap();
    let o = p.overlay(&[0, 1, 255], &[[200; 3], [0; 3]], 0.5).unwrap();
    // pixel 0 touches another label: full colour; pixel 1 touches the ignored one; pixel 2 is left alone
    assert_eq!(o.pixels, [200, 200, 200, 0, 0, 0, 100, 100, 100]);
}

#[test]
fn two_pixels_are_one_character() {
    let colours = [[255, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0], [9, 9, 9], [9, 9, 9]];
    let text = Picture::new(2, 3, colours.concat())
        .unwrap()
        .half_blocks(80, 24, true, true);
    assert_eq!(
        text,
        "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[48;2;0;255;0m▀\x1b[0m\n\x1b[38;2;9;9;9m▀▀\x1b[0m"
    );
}

#[test]
fn large_pictures_are_shrunk_by_averages_and_labels_are_not_mixed() {
    let p = Picture::new(4, 4, (0..48).map(|i| if i / 3 % 2 == 0 { 0 } else { 200 }).collect()).unwrap();
    let text = p.half_blocks(2, 9, true, true);
    assert_eq!(text.matches('▀').count(), 2);
    assert!(text.contains("38;2;100;100;100"), "{text:?}"); // (0 + 200) / 2
    assert!(p.half_blocks(2, 9, true, false).contains("38;2;0;0;0"));
    let row = Picture::new(3, 1, vec![0, 0, 0, 90, 90, 90, 240, 240, 240]).unwrap();
    // three cells into one: (0 + 90 + 240) / 3; three into two: (0 + 90/2) / 1.5 and (90/2 + 240) / 1.5
    assert!(row.half_blocks(1, 1, true, true).contains("38;2;110;110;110"));
    let two = row.half_blocks(2, 1, true, true);
    assert!(
        two.contains("38;2;30;30;30") && two.contains("38;2;190;190;190"),
        "{two:?}"
    );
}

#[test]
fn colours_of_xterm_are_the_nearest() {
    for (colour, code) in [([0; 3], 16), ([255, 0, 0], 196), ([128; 3], 244)] {
        let text = Picture::new(1, 1, colour.to_vec())
            .unwrap()
            .half_blocks(1, 1, false, true);
        assert!(text.contains(&format!("38;5;{code}m")), "{text:?}"); // 244: 8 + 10 * 12
    }
}

#[test]
fn the_protocols_carry_a_png() {
    let mut random = seglab::random::Random::new(0); // noise, which no compression makes fit one message
    let noise = (0..64 * 64 * 3).map(|_| random.below(256) as u8).collect();
    let p = Picture::new(64, 64, noise).unwrap();
    let text = p.kitty().unwrap();
    assert!(text.starts_with("\x1b_Ga=T,f=100,q=2,m=1;") && text.ends_with("\x1b\\"));
    let parts = text.split("\x1b_G").filter_map(|c| c.split(';').nth(1));
    let body: String = parts.map(|c| c.trim_end_matches("\x1b\\")).collect();
    let png = STANDARD.decode(body).unwrap();
    assert_eq!(png, p.png().unwrap());
    assert!(p.iterm().unwrap().starts_with("\x1b]1337;File=inline=1;size="));
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; 64 * 64 * 3];
    reader.next_frame(&mut pixels).unwrap();
    assert_eq!(pixels, p.pixels);
}

#[test]
fn colour_maps_hit_their_ends_and_numbers_in_them_can_be_read() {
    let cells = |values: &[f64], colors: ColourMap| {
        let mut figure = Figure::new(FigureOptions::default()).unwrap();
        let options = HeatmapOptions {
            colors,
            ..HeatmapOptions::default()
        };
        figure.heatmap(values, 1, values.len(), options).unwrap();
        let svg = figure.svg(None).unwrap();
        let rects = svg
            .lines()
            .filter(|l| l.starts_with("<rect "))
            .skip(1)
            .take(values.len());
        let fill = |line: &str| line.split("fill=\"").nth(1).unwrap()[..7].to_string();
        (rects.map(fill).collect::<Vec<_>>(), svg)
    };
    let (blues, svg) = cells(&[0.0, 1.0], ColourMap::Blues);
    assert_eq!(blues, ["#f7fbff", "#08306b"]);
    assert!(svg.contains("fill=\"#ffffff\">1<") && svg.contains(">0</text>"));
    // as far below zero as above; nothing for NaN
    let (both, _) = cells(&[0.0, 3.0, -1.0, f64::NAN], ColourMap::Diverging);
    assert_eq!([&both[0], &both[1], &both[3]], ["#f7f7f7", "#b2182b", "#f2f2f2"]);
    assert_ne!(both[2], "#2166ac");
    // one value alone lies in the middle
    assert_eq!(cells(&[2.0], ColourMap::Blues).0, ["#6baed6"]);
}

#[test]
fn names_of_colours_are_a_closed_set() {
    let of = |text: &str| Ink::read(&Given::Text(text.into()));
    assert_eq!(of("#4477aa").unwrap(), Ink::Rgb([0x44, 0x77, 0xAA]));
    assert_eq!(of("C8").unwrap(), Ink::Series(8));
    assert_eq!(of("gray"), of("grey"));
    for wrong in ["rde", "#4477", "#44zz66", "#+12345", "C"] {
        let text = of(wrong).unwrap_err().error("line").to_string();
        assert!(text.contains("is not known") && text.contains("#RRGGBB"), "{text}");
    }
    assert!(
        of("reed")
            .unwrap_err()
            .error("line")
            .to_string()
            .contains("did you mean \"red\"")
    );
}
