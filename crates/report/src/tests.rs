//! What pages and pictures look like, and what they never do.

use super::*;

const HOSTILE: &str = "</title><script>alert('x')</script>&\"\u{202e}\u{7}<img src=x onerror=y>";

fn axis(label: &str, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), unit, ..Axis::default() }
}

fn caption(title: &str) -> Caption {
    Caption { title: title.to_owned(), note: "How to read it.".to_owned() }
}

/// One of everything, with this text wherever a text can be.
fn sample(name: &str) -> Report {
    let line = LineChart {
        caption: caption(name),
        x: axis(name, Unit::Seconds),
        y: axis(name, Unit::Count),
        series: vec![
            Series {
                name: name.to_owned(),
                shape: Shape::Step,
                points: vec![[0.0, 1.0], [3_600.0, 4.0], [7_200.0, 2.0]],
                ..Series::default()
            },
            Series {
                name: "dots".to_owned(),
                shape: Shape::Dots,
                points: vec![[1_800.0, 3.0]],
                intervals: vec![[2.5, 3.5]],
                like: Some(0),
            },
        ],
        guides: vec![Guide { at: 4.0, label: name.to_owned() }],
    };
    let cdf = CdfChart {
        caption: caption(name),
        x: Axis { log: true, ..axis("wait", Unit::Seconds) },
        series: vec![Distribution { name: name.to_owned(), points: cumulative(&[0.0, 1.0, 60.0, 4_000.0]) }],
    };
    let occupancy = OccupancyChart {
        caption: caption(name),
        rows: vec![name.to_owned(), "gpu1".to_owned()],
        groups: vec![name.to_owned()],
        spans: vec![Span { row: 1, from_s: 0.0, to_s: 60.0, share: 0.5, group: 0, label: name.to_owned() }],
        window_s: None,
    };
    let bars = BarChart {
        caption: caption(name),
        value: axis("energy", Unit::KilowattHours),
        categories: vec![name.to_owned(), "other".to_owned()],
        series: vec![Bars { name: name.to_owned(), values: vec![Some(1_234.5), None] }],
    };
    let column = |name: &str, unit, best| Column { name: name.to_owned(), unit, best };
    Report {
        title: name.to_owned(),
        command: format!("fastgpu model --name {name}"),
        summary: name.to_owned(),
        settings: vec![(name.to_owned(), name.to_owned())],
        tables: vec![Table {
            title: name.to_owned(),
            caption: name.to_owned(),
            subject: "policy".to_owned(),
            columns: vec![
                column("mean wait", Unit::Seconds, Best::Lowest),
                column("utilization", Unit::Fraction, Best::Highest),
                column(name, Unit::Count, Best::None),
            ],
            rows: vec![
                Row { name: name.to_owned(), values: vec![Some(90.0), Some(0.5), None] },
                Row { name: "fifo".to_owned(), values: vec![Some(7_200.0), Some(0.5), Some(3.0)] },
            ],
        }],
        charts: vec![Chart::Line(line), Chart::Cdf(cdf), Chart::Occupancy(occupancy), Chart::Bars(bars)],
    }
}

#[test]
fn a_page_looks_as_it_did() {
    let page = html(&sample("backfill"));
    // The style is a constant; the snapshot is about what is said.
    let (_, body) = page.split_once("</style>\n").unwrap();
    insta::assert_snapshot!("page", body);
    insta::assert_snapshot!("text", text(&sample("backfill")));
}

#[test]
fn names_of_strangers_stay_text_everywhere() {
    let report = sample(HOSTILE);
    let pictures: Vec<String> = report.charts.iter().map(svg).collect();
    for made in pictures.iter().chain([&html(&report)]) {
        assert!(!made.contains("<script") && !made.contains("<img") && !made.contains("alert('"), "{made}");
        assert!(!made.contains('\u{202e}') && !made.contains('\u{7}'));
        assert!(made.contains("&lt;script&gt;"), "the name is still shown");
    }
    assert!(!text(&report).contains(['\u{202e}', '\u{7}']));
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    let page = html(&sample("x")).replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_best_value_of_a_column_is_marked_unless_all_are_equal() {
    let marks = super::text::best_of(&sample("x").tables[0]);
    assert_eq!(marks, [[true, false, false], [false, false, false]]);
}

#[test]
fn the_ninth_series_is_not_dropped_in_silence() {
    let series = |index: u32| Series {
        name: format!("s{index}"),
        points: vec![[0.0, f64::from(index)]],
        ..Series::default()
    };
    let chart = LineChart { series: (0..11).map(series).collect(), ..LineChart::default() };
    let drawn = svg(&Chart::Line(chart));
    assert!(drawn.contains("and 3 more, not drawn") && !drawn.contains("fg-l8"));
}

#[test]
fn charts_without_data_or_with_nonsense_are_still_charts() {
    let nonsense = vec![[f64::NAN, 1.0], [1.0, f64::INFINITY], [0.0, 0.0], [-1e300, 1e300]];
    let line = |points| {
        let series = vec![Series { points, ..Series::default() }];
        svg(&Chart::Line(LineChart { series, ..LineChart::default() }))
    };
    let empty = [
        line(Vec::new()),
        svg(&Chart::Cdf(CdfChart::default())),
        svg(&Chart::Bars(BarChart::default())),
        svg(&Chart::Occupancy(OccupancyChart::default())),
    ];
    assert!(empty.iter().all(|drawn| drawn.contains("no data")));
    for drawn in empty.iter().chain([&line(nonsense)]) {
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}

#[test]
fn a_report_survives_being_json() {
    let report = sample("x");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
