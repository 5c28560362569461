//! Where charts are drawn: SVG elements as text, coordinates in pixels, everything of strangers escaped.

use std::fmt::Write as _;

use crate::Caption;
use crate::escape::escaped;
use crate::style::STYLE;

/// All charts are equally wide; a page scales them.
pub(crate) const WIDTH: f64 = 760.0;
/// Space at the edges.
pub(crate) const MARGIN: f64 = 14.0;
/// The height of one line of small text.
pub(crate) const LINE: f64 = 17.0;
/// The size of small text.
const FONT: f64 = 12.0;

/// A picture in the making.
#[derive(Debug)]
pub(crate) struct Canvas {
    height: f64,
    body: String,
}

/// On which side of its place a text stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Left, top, width, height.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    pub(crate) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.y + self.height
    }
}

impl Canvas {
    /// An empty picture with its title.
    pub(crate) fn new(caption: &Caption) -> Self {
        let mut canvas = Self { height: 0.0, body: String::new() };
        let title = fitted(&caption.title, (WIDTH - 2.0 * MARGIN) / 1.25);
        canvas.text("fg-title", Anchor::Start, [MARGIN, 24.0], &title);
        canvas
    }

    pub(crate) fn set_height(&mut self, height: f64) {
        self.height = height;
    }

    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, [x, y]: [f64; 2], text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let (x, y, text) = (pixel(x), pixel(y), escaped(text));
        let _ = writeln!(self.body, "<text{class}{anchor} x=\"{x}\" y=\"{y}\">{text}</text>");
    }

    pub(crate) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(pixel);
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {y2}\"/>");
    }

    pub(crate) fn path(&mut self, class: &str, data: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
    }

    /// As [`Canvas::path`], filled and let through.
    pub(crate) fn faded(&mut self, class: &str, opacity: f64, data: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" opacity=\"{}\" d=\"{data}\"/>", pixel(opacity));
    }

    /// A rectangle, with a text that is shown when the pointer rests on it.
    pub(crate) fn rect(&mut self, class: &str, area: Area, hint: &str) {
        let [x, y, width, height] = [area.x, area.y, area.width, area.height].map(pixel);
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""
        );
        self.body.push_str(&if hint.is_empty() {
            "/>\n".to_owned()
        } else {
            format!("><title>{}</title></rect>\n", escaped(hint))
        });
    }

    pub(crate) fn dot(&mut self, class: &str, [x, y]: [f64; 2]) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
            pixel(x),
            pixel(y)
        );
    }

    /// What is drawn between this and [`Canvas::end_clip`] is not seen outside the area.
    pub(crate) fn begin_clip(&mut self, area: Area) {
        let [x, y, width, height] = [area.x, area.y, area.width, area.height].map(pixel);
        let _ = writeln!(
            self.body,
            "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" viewBox=\"{x} {y} {width} {height}\">"
        );
    }

    pub(crate) fn end_clip(&mut self) {
        self.body.push_str("</svg>\n");
    }
}

/// The element for a page that has the style already.
pub(crate) fn element(canvas: &Canvas, caption: &Caption) -> String {
    framed(canvas, caption, "")
}

/// A file of its own.
pub(crate) fn document(canvas: &Canvas, caption: &Caption) -> String {
    framed(canvas, caption, &format!("<style>\n{STYLE}</style>\n"))
}

fn framed(canvas: &Canvas, caption: &Caption, style: &str) -> String {
    let (width, height) = (pixel(WIDTH), pixel(canvas.height));
    let title = escaped(&caption.title);
    let note = if caption.note.is_empty() {
        String::new()
    } else {
        format!("<desc>{}</desc>\n", escaped(&caption.note))
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fg-chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n{style}{note}<rect class=\"fg-back\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n\
         {}</svg>\n",
        canvas.body
    )
}

/// A coordinate: a tenth of a pixel is finer than anybody sees, hundredths are for opacity.
pub(crate) fn pixel(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// About how wide a text is in small type, in pixels; rather too wide than too narrow.
pub(crate) fn width_of(text: &str) -> f64 {
    text.chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | 't' | 'f' | ' ' | '('
            | ')' => 0.36,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
            'A'..='Z' => 0.72,
            c if c.is_ascii() => 0.58,
            c if u32::from(c) >= 0x1100 => 1.05,
            _ => 0.65,
        })
        .sum::<f64>()
        * FONT
}

/// As much of the text as is at most so wide.
pub(crate) fn fitted(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width_of(&kept) + FONT > width {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}
