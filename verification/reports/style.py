"""How a page looks: one column, in the colours of the reader's choice, light or dark."""

from __future__ import annotations

#: Colours by what they mean; text on its background has a contrast of at least 4.5 in either scheme.
STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1f24; --faint: #57606a; --line: #d0d7de; --soft: #f3f5f7;
  --pass: #1a7f37; --fail: #b3261e; --inconclusive: #8a6100; --float64: #0072b2; --float32: #c24e00; --link: #0969da;
  --good: #d3eedb; --fair: #fbeac5; --bad: #f9d2cf; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --text: #e4e8ee; --faint: #9aa4b1; --line: #3a424d;
  --soft: #1e232a; --pass: #56c271; --fail: #ff8a80; --inconclusive: #e0b050; --float64: #5db8f0; --float32: #ff9a4d;
  --link: #6cb2ff; --good: #17432a; --fair: #4c3a0c; --bad: #5e1f1b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; padding-left: .75rem; border-left: .4rem solid; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .4rem 0; }
a { color: var(--link); }
.pass { color: var(--pass); } .fail { color: var(--fail); } .inconclusive { color: var(--inconclusive); }
.reason { font-size: 1.1rem; }
.formula { font-family: ui-serif, serif; font-size: 1.15rem; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem .75rem;
  white-space: pre-wrap; font: .85rem/1.5 ui-monospace, monospace; margin: .4rem 0; }
details { margin: .4rem 0; } summary { cursor: pointer; font-weight: 600; padding: .2rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; }
figure { margin: .5rem 0; } figcaption { color: var(--faint); font-size: .9rem; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
.chart { display: grid; grid-template-columns: max-content 1fr; column-gap: 1rem; font-size: .9rem;
  line-height: 20px; }
.chart > * { min-width: 0; }
.plot { padding: 0 1.5rem 0 .5rem; }
.growth { padding: .75rem 1.5rem 0 3rem; }
.grid { stroke: var(--line); } .bound { stroke: var(--text); stroke-width: 1.5; }
.float64 { fill: var(--float64); stroke: var(--float64); } .float32 { fill: var(--float32); stroke: var(--float32); }
.open { fill: var(--page); } svg .key { fill: var(--text); stroke: none; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0; font-size: .9rem; }
.legend svg { display: inline-block; width: 1rem; height: 1rem; vertical-align: -.15rem; margin-right: .3rem; }
.heat td { border: 2px solid var(--page); padding: .2rem .6rem; white-space: nowrap; }
.heat td:first-child { white-space: normal; min-width: 9rem; padding-left: 0; }
.heat td:last-child { white-space: normal; }
.good { background: var(--good); } .fair { background: var(--fair); } .bad { background: var(--bad); font-weight: 600; }
@media (max-width: 40rem) { .chart { grid-template-columns: 1fr; } .chart .name { margin-top: .4rem; }
  .chart .corner { display: none; } .heat td, .heat th { padding: .2rem .3rem; font-size: .8rem; }
  .heat td:first-child, .heat th:first-child { min-width: 7rem; padding-left: 0; } }
"""
