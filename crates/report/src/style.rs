//! Colours and type of all charts, for light and dark. A page may set the variables to colours of its own.
//!
//! Eight colours, found by search, that stay at least 31 apart in CIELAB for every pair, also as people see them who lack red, green or
//! blue cones (Machado, Oliveira and Fernandes, 2009). The second four are also dashed when they are lines.

/// The style sheet that [`figure`](super::figure) relies on. [`svg`](super::svg) and [`html`](super::html) bring it themselves.
pub const STYLE: &str = "\
.fg-chart{--fg-back:#ffffff;--fg-ink:#1f2430;--fg-faint:#5c6370;--fg-grid:#e3e6ea;--fg-axis:#9aa1ad;\
--fg-0:#004adf;--fg-1:#a83100;--fg-2:#24965f;--fg-3:#854089;--fg-4:#d7a40b;--fg-5:#00baff;--fg-6:#353431;--fg-7:#9bb0bd;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;font-size:12px}
@media(prefers-color-scheme:dark){.fg-chart{--fg-back:#171a21;--fg-ink:#e6e8ec;--fg-faint:#a2a9b6;--fg-grid:#2b303a;\
--fg-axis:#6d7584;--fg-0:#2284ff;--fg-1:#e08118;--fg-2:#4af084;--fg-3:#b667b4;--fg-4:#ffe607;--fg-5:#bee7ff;--fg-6:#d40740;\
--fg-7:#a4a296}}
.fg-chart text{fill:var(--fg-ink);font-variant-numeric:tabular-nums}
.fg-back{fill:var(--fg-back)}
.fg-chart .fg-title{font-size:14px;font-weight:600}
.fg-chart .fg-faint{fill:var(--fg-faint)}
.fg-grid{stroke:var(--fg-grid);fill:none}
.fg-axis{stroke:var(--fg-axis);fill:none}
.fg-guide{stroke:var(--fg-ink);stroke-dasharray:2 3;fill:none}
.fg-line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.fg-span{stroke:var(--fg-back);stroke-width:.6}
.fg-l0{stroke:var(--fg-0)}.fg-l1{stroke:var(--fg-1)}.fg-l2{stroke:var(--fg-2)}.fg-l3{stroke:var(--fg-3)}
.fg-l4{stroke:var(--fg-4);stroke-dasharray:7 3}.fg-l5{stroke:var(--fg-5);stroke-dasharray:7 3}
.fg-l6{stroke:var(--fg-6);stroke-dasharray:7 3}.fg-l7{stroke:var(--fg-7);stroke-dasharray:7 3}
.fg-f0{fill:var(--fg-0)}.fg-f1{fill:var(--fg-1)}.fg-f2{fill:var(--fg-2)}.fg-f3{fill:var(--fg-3)}
.fg-f4{fill:var(--fg-4)}.fg-f5{fill:var(--fg-5)}.fg-f6{fill:var(--fg-6)}.fg-f7{fill:var(--fg-7)}
";
