//! The page: one file that asks for nothing else, and says so to the browser.

use std::fmt::Write as _;

use crate::escape::escaped;
use crate::style::STYLE;
use crate::text::{best_of, cell};
use crate::{Report, Table, figure};

const PAGE_STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2430;--faint:#5c6370;--back:#f6f7f9;--card:#ffffff;--rule:#e3e6ea;--best:#e2f3ea;--mark:#00734f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--faint:#a2a9b6;--back:#0f1116;--card:#171a21;--rule:#2b303a;\
--best:#143528;--mark:#5fe0ae}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,\
'Liberation Sans',Arial,sans-serif}
main{max-width:880px;margin:0 auto;padding:28px 18px 60px}
h1{font-size:26px;line-height:1.25;margin:0 0 8px;overflow-wrap:anywhere}
h2{font-size:17px;margin:30px 0 8px;overflow-wrap:anywhere}
p{margin:0 0 12px;max-width:72ch}
figure{margin:18px 0}
figcaption,.note{color:var(--faint);font-size:14px;margin:6px 2px 0;max-width:80ch;overflow-wrap:anywhere}
figure svg{display:block;width:100%;height:auto;border:1px solid var(--rule);border-radius:6px}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child{text-align:left}
tbody th{font-weight:500}
thead th{font-weight:600;color:var(--faint);font-size:13px;white-space:normal;vertical-align:bottom}
tbody tr:last-child>*{border-bottom:0}
td.best{background:var(--best);color:var(--mark);font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}
dt{color:var(--faint)}
dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:10px 12px;margin:8px 0;\
white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.5 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}
";

/// The report as one HTML page: no script, no request, light and dark.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    if !report.summary.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", escaped(&report.summary));
    }
    for table in &report.tables {
        write_table(&mut page, table);
    }
    for chart in &report.charts {
        let _ = write!(page, "<figure>\n{}", figure(chart));
        let note = &chart.caption().note;
        if !note.is_empty() {
            let _ = writeln!(page, "<figcaption>{}</figcaption>", escaped(note));
        }
        page.push_str("</figure>\n");
    }
    if !(report.settings.is_empty() && report.command.is_empty()) {
        page.push_str("<h2>How it was made</h2>\n");
    }
    if !report.settings.is_empty() {
        page.push_str("<dl>\n");
        for (name, value) in &report.settings {
            let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
        }
        page.push_str("</dl>\n");
    }
    if !report.command.is_empty() {
        let _ = writeln!(page, "<pre>{}</pre>", escaped(&report.command));
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write_table(page: &mut String, table: &Table) {
    if !table.title.is_empty() {
        let _ = writeln!(page, "<h2>{}</h2>", escaped(&table.title));
    }
    let _ = write!(
        page,
        "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">{}</th>",
        escaped(&table.subject)
    );
    for column in &table.columns {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(&column.name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let best = best_of(table);
    for (row, marks) in table.rows.iter().zip(&best) {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escaped(&row.name));
        for (place, column) in table.columns.iter().enumerate() {
            let class = if marks[place] { " class=\"best\" title=\"best of its column\"" } else { "" };
            let _ =
                write!(page, "<td{class}>{}</td>", cell(row.values.get(place).copied().flatten(), column));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
    if !table.caption.is_empty() {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escaped(&table.caption));
    }
}
